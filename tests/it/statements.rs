//! Statements that DataFusion has no plan for: ATTACH, USE, DDL in a database, ON CONFLICT.

use std::path::Path;

use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::sql;

use crate::dml::Place;
use crate::landing::{count, read, says};
use crate::postgres::Postgres;
use crate::program::{program, run, texts};

fn session() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_information_schema(true))
}

async fn done(context: &SessionContext, text: &str) -> u64 {
    count(&sql(context, text).await.unwrap().collect().await.unwrap())
}

/// Runs a statement without rows.
async fn does(context: &SessionContext, text: &str) {
    sql(context, text).await.unwrap_or_else(|error| panic!("{text}: {error}")).collect().await.unwrap();
}

async fn error(context: &SessionContext, text: &str) -> String {
    match sql(context, text).await {
        Err(error) => error.to_string(),
        Ok(frame) => frame.collect().await.unwrap_err().to_string(),
    }
}

/// The rows of a query.
async fn rows(context: &SessionContext, text: &str) -> Vec<String> {
    let frame = sql(context, text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    let view = "datafusion.public.landfall_test_rows";
    context.register_table(view, frame.into_view()).unwrap();
    let rows = read(context, &format!("SELECT * FROM {view}")).await;
    context.deregister_table(view).unwrap();
    rows
}

#[tokio::test]
async fn an_attached_database_is_used_with_short_names() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))");
        let context = session();
        let attach = format!("ATTACH '{}' AS db", place.url());
        does(&context, &attach).await;
        says(&error(&context, &attach).await, &["database db is already attached", "DETACH db"]);
        does(&context, &attach.replace("ATTACH", "ATTACH IF NOT EXISTS")).await;
        assert_eq!(done(&context, "INSERT INTO db.t VALUES (1, 'one'), (2, 'two')").await, 2, "{}", place.name());
        assert_eq!(done(&context, "UPDATE db.t SET name = 'TWO' WHERE id = 2").await, 1, "{}", place.name());
        let schema = match place {
            Place::Sqlite(_) => "main".to_owned(),
            Place::Postgres(_) => place.client("SELECT current_schema()").remove(0),
            Place::MySql(_) => place.client("SELECT DATABASE()").remove(0),
        };
        let full = format!("SELECT name FROM db.\"{schema}\".t WHERE id = 2");
        assert_eq!(rows(&context, &full).await, ["TWO"]);
        does(&context, "CREATE VIEW ones AS SELECT name FROM db.t WHERE id = 1").await;
        does(&context, "USE db").await;
        assert_eq!(done(&context, "INSERT INTO t VALUES (3, 'three')").await, 1);
        let all = "WITH ones AS (SELECT id FROM t) SELECT count(*) FROM ones";
        assert_eq!(rows(&context, all).await, ["3"], "a name of WITH comes first");
        assert_eq!(rows(&context, "SELECT name FROM ones").await, ["one"], "the session's own view");
        // A database cannot have it.
        does(&context, "CREATE VIEW twos AS SELECT name FROM t WHERE id = 2").await;
        assert_eq!(rows(&context, "SELECT name FROM twos").await, ["TWO"]);
        place.client("CREATE TABLE later (id INTEGER)");
        assert_eq!(done(&context, "INSERT INTO later SELECT id FROM t").await, 3);
        let tables = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'db' AND table_schema = '{schema}'"
        );
        assert_eq!(
            done(&context, "INSERT INTO t VALUES (3, 'THREE') ON CONFLICT (id) DO UPDATE SET name = excluded.name")
                .await,
            1
        );
        assert_eq!(done(&context, "CREATE TABLE copy AS SELECT * FROM t").await, 3);
        assert_eq!(rows(&context, "SELECT name FROM copy WHERE id = 3").await, ["THREE"]);
        let tables = rows(&context, &tables).await;
        assert!(tables.contains(&"later".to_owned()), "{tables:?}");
        does(&context, "USE DEFAULT").await;
        says(&error(&context, "SELECT * FROM t").await, &["t"]);
        says(&error(&context, "USE dc").await, &["dc"]);
        says(&error(&context, "DETACH dc").await, &["database dc is not attached", "did you mean db?"]);
        does(&context, "USE db").await;
        does(&context, "DETACH db").await;
        does(&context, "DETACH IF EXISTS db").await;
        says(&error(&context, "DETACH db").await, &["database db is not attached"]);
        says(&error(&context, "SELECT * FROM db.t").await, &["db"]);
        does(&context, &attach).await;
        assert_eq!(rows(&context, "SELECT count(*) FROM db.t").await, ["3"]);
    }
}

#[tokio::test]
async fn information_schema_reads_the_columns_of_all_tables_at_once() {
    let [sqlite, _, mysql] = Place::all();
    // In the database of all tests, tables come and go between two queries.
    for place in [sqlite, Place::Postgres(Postgres::with_database("")), mysql] {
        place.client("CREATE TABLE texts (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, body TEXT, raw JSON)");
        place.client("CREATE TABLE numbers (a SMALLINT, b NUMERIC(10,2), c DOUBLE PRECISION, d BIGINT, e BOOLEAN)");
        place.client("CREATE TABLE times (a DATE, b TIMESTAMP, c TIME, d CHAR(3))");
        place.client("CREATE VIEW both_of_them AS SELECT name, b FROM texts, numbers");
        if matches!(place, Place::Postgres(_)) {
            place.client("CREATE DOMAIN code AS varchar(5); CREATE TYPE pair AS (x int, y text)");
            place.client("CREATE TABLE own (a code, b pair, c int[][], d uuid, e interval, f char(2)[])");
        }
        let context = session();
        does(&context, &format!("ATTACH '{}' AS db", place.url())).await;
        let own = match place {
            Place::MySql(_) => format!("AND table_schema = '{}'", place.client("SELECT DATABASE()").remove(0)),
            Place::Sqlite(_) | Place::Postgres(_) => String::new(),
        };
        let columns = format!(
            "SELECT table_schema, table_name, column_name, ordinal_position, data_type, is_nullable, numeric_precision, \
             numeric_scale FROM information_schema.columns WHERE table_catalog = 'db' {own} \
             ORDER BY table_schema, table_name, ordinal_position"
        );
        let shown = rows(&context, &columns).await;
        assert!(shown.len() >= 15, "{shown:?}");
        assert_eq!(shown, read(&context, &columns).await, "as each table is described");

        let shown = rows(&context, "SHOW COLUMNS FROM db.numbers").await;
        assert_eq!(shown.len(), 5, "{shown:?}");
        // Other tables of such a query are read.
        place.client("INSERT INTO numbers (a, d) VALUES (7, 1), (8, 2)");
        let joined = "SELECT n.a FROM db.numbers n WHERE n.d IN (SELECT count(*) - 4 FROM information_schema.columns \
                      WHERE table_catalog = 'db' AND table_name = 'numbers')";
        assert_eq!(rows(&context, joined).await, ["7"]);
    }
}

#[tokio::test]
async fn options_of_attach_are_those_of_all_tables() {
    let [place, ..] = &Place::all();
    place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)");
    let context = session();
    does(
        &context,
        &format!(
            "ATTACH '{}' AS db OPTIONS ('on_conflict' 'update', writers 1, 'pragma.journal_mode' 'wal')",
            place.url()
        ),
    )
    .await;
    done(&context, "INSERT INTO db.t VALUES (1, 'a')").await;
    done(&context, "INSERT INTO db.t VALUES (1, 'b')").await;
    assert_eq!(place.client("SELECT name FROM t"), ["b"]);
    let message = error(&context, &format!("ATTACH '{}' AS other OPTIONS ('on_conflct' 'update')", place.url())).await;
    says(&message, &["on_conflct", "on_conflict"]);
    says(
        &error(&context, &format!("ATTACH '{}' AS other OPTIONS ('job' 'j')", place.url())).await,
        &["'job'", "single table"],
    );
    says(&error(&context, "ATTACH 'postgres://me:secret@127.0.0.1:1/x' AS other").await, &["127.0.0.1"]);
    assert!(!error(&context, "ATTACH 'postgres://me:secret@127.0.0.1:1/x' AS other").await.contains("secret"));
    says(&error(&context, "ATTACH 'oracle://x' AS other").await, &["unknown database URL"]);
    says(&error(&context, "ATTACH").await, &["Expected"]);
    says(&error(&context, "ATTACH 'sqlite:a.db' AS x OPTIONS (a)").await, &["value of option a"]);
}

#[tokio::test]
async fn a_table_is_created_from_a_query_with_all_rows_or_not_at_all() {
    for place in &Place::all() {
        let context = session();
        does(&context, &format!("ATTACH '{}' AS db", place.url())).await;
        let series = "SELECT value AS id, 'v' || value AS name FROM range(0, 30000)";
        assert_eq!(done(&context, &format!("CREATE TABLE db.made AS {series}")).await, 30_000, "{}", place.name());
        assert_eq!(
            place.client("SELECT count(*), max(name) FROM made WHERE id > 29997"),
            ["2|v29999"],
            "{}",
            place.name()
        );
        says(&error(&context, &format!("CREATE TABLE db.made AS {series}")).await, &["made already exists"]);
        does(&context, &format!("CREATE TABLE IF NOT EXISTS db.made AS {series}")).await;
        assert_eq!(rows(&context, "SELECT count(*) FROM db.made").await, ["30000"]);
        let fails = "CREATE TABLE db.failed AS SELECT 1 / (value - 29000) AS x FROM range(0, 30000)";
        says(&error(&context, fails).await, &["ivide by zero"]);
        says(&error(&context, "SELECT * FROM db.failed").await, &["failed"]);
        says(
            &error(&context, "CREATE OR REPLACE TABLE db.made AS SELECT 1 AS a").await,
            &["OR REPLACE", "INSERT INTO"],
        );
        does(&context, "DROP TABLE db.made").await;
        says(&error(&context, "SELECT * FROM db.made").await, &["made"]);
        place.client("CREATE TABLE people (id INTEGER)");
        does(&context, "SHOW TABLES").await;
        says(&error(&context, "SELECT * FROM db.peple").await, &["peple", "did you mean people?"]);
        says(&error(&context, "SELECT * FROM dbx.people").await, &["database dbx is not attached", "did you mean db?"]);
        // Only ASCII letters are in lower case, as in DataFusion.
        does(&context, "CREATE TABLE db.ÄPFEL AS SELECT 1 AS id").await;
        assert_eq!(done(&context, "INSERT INTO db.Äpfel VALUES (2)").await, 1, "{}", place.name());
        assert_eq!(rows(&context, "SELECT count(*) FROM db.\"Äpfel\"").await, ["2"], "{}", place.name());
        // A table in memory is DataFusion's as before.
        does(&context, "CREATE TABLE own AS SELECT 1 AS a").await;
        assert_eq!(rows(&context, "SELECT a FROM own").await, ["1"]);
        does(&context, "DROP TABLE own").await;
    }
}

#[tokio::test]
async fn ddl_is_what_the_database_makes_of_it() {
    for place in &Place::all() {
        let context = session();
        does(&context, &format!("ATTACH '{}' AS db", place.url())).await;
        let columns = match place {
            Place::Sqlite(_) => {
                "id INTEGER PRIMARY KEY AUTOINCREMENT, j TEXT, d DOUBLE, s STRING DEFAULT 'x' CHECK (s <> '')"
            }
            Place::Postgres(_) => "id BIGSERIAL PRIMARY KEY, j JSONB, d DOUBLE, s STRING DEFAULT 'x' CHECK (s <> '')",
            Place::MySql(_) => {
                "id BIGINT AUTO_INCREMENT PRIMARY KEY, j JSON, d DOUBLE, s VARCHAR(20) DEFAULT 'x' CHECK (s <> '')"
            }
        };
        does(&context, &format!("CREATE TABLE db.made ({columns})")).await;
        says(&error(&context, &format!("CREATE TABLE db.made ({columns})")).await, &["made"]);
        does(&context, &format!("CREATE TABLE IF NOT EXISTS db.made ({columns})")).await;
        assert_eq!(done(&context, "INSERT INTO db.made (j, d) VALUES ('{}', 1.5)").await, 1, "{}", place.name());
        assert_eq!(place.client("SELECT id, j, d, s FROM made"), ["1|{}|1.5|x"], "{}", place.name());
        says(&error(&context, "INSERT INTO db.made (s) VALUES ('')").await, &["row 1"]);
        does(&context, "ALTER TABLE db.made ADD COLUMN more STRING").await;
        assert_eq!(done(&context, "INSERT INTO db.made (j, more) VALUES ('[]', 'm')").await, 1, "{}", place.name());
        assert_eq!(place.client("SELECT more FROM made WHERE id > 1"), ["m"]);
        does(&context, "DROP TABLE db.made").await;
        does(&context, "DROP TABLE IF EXISTS db.made").await;
        says(&error(&context, "DROP TABLE db.made").await, &["made"]);
        if let Place::Postgres(_) = place {
            does(&context, "CREATE SCHEMA db.landfall_s").await;
            does(&context, "CREATE TABLE db.landfall_s.t (id INTEGER)").await;
            assert_eq!(done(&context, "INSERT INTO db.landfall_s.t VALUES (1)").await, 1);
            says(&error(&context, "DROP SCHEMA db.landfall_s").await, &["landfall_s"]);
            does(&context, "DROP SCHEMA db.landfall_s CASCADE").await;
        }
    }
}

#[tokio::test]
async fn an_insert_says_what_happens_to_keys_that_exist() {
    for place in &Place::all() {
        let context = session();
        does(&context, &format!("ATTACH '{}' AS db", place.url())).await;
        place.client("CREATE TABLE t (k INTEGER PRIMARY KEY, a VARCHAR(20) DEFAULT 'd', n INTEGER)");
        let all = || place.client("SELECT k, a, n FROM t ORDER BY k");
        for (statement, expected) in [
            (
                "INSERT INTO db.t VALUES (1, 'new', 10), (3, 'x', 1) ON CONFLICT DO NOTHING",
                ["1|old|1", "2|old|2", "3|x|1"],
            ),
            (
                "INSERT INTO db.t VALUES (1, 'new', 10), (3, 'x', 1) ON CONFLICT (k) DO NOTHING",
                ["1|old|1", "2|old|2", "3|x|1"],
            ),
            (
                "INSERT INTO db.t VALUES (1, 'new', 10), (3, 'x', 1) ON CONFLICT (k) DO UPDATE SET a = EXCLUDED.a, n = excluded.n",
                ["1|new|10", "2|old|2", "3|x|1"],
            ),
            (
                "INSERT INTO db.t (k, a) SELECT * FROM (VALUES (1, 'new'), (3, 'x')) AS s ON CONFLICT (k) DO UPDATE SET a = excluded.a",
                ["1|new|1", "2|old|2", "3|x|NULL"],
            ),
            (
                "INSERT INTO db.t (k, a, n) VALUES (1, 'new', 10), (3, 'x', 1) \
                 ON CONFLICT (k) DO UPDATE SET n = t.n + excluded.n",
                ["1|old|11", "2|old|2", "3|x|1"],
            ),
            (
                "INSERT INTO db.t (k, a, n) VALUES (1, 'new', 10), (2, 'new', 20), (3, 'x', 1) \
                 ON CONFLICT (k) DO UPDATE SET a = upper(excluded.a) || a WHERE t.n < 2",
                ["1|NEWold|1", "2|old|2", "3|x|1"],
            ),
            (
                "INSERT INTO db.t VALUES (1, 'new', 10), (3, 'x', 1) ON DUPLICATE KEY UPDATE a = VALUES(a), n = VALUES(n)",
                ["1|new|10", "2|old|2", "3|x|1"],
            ),
            (
                "INSERT INTO db.t VALUES (1, 'new', 10), (3, 'x', 1) ON DUPLICATE KEY UPDATE n = n + VALUES(n)",
                ["1|old|11", "2|old|2", "3|x|1"],
            ),
            ("INSERT OR REPLACE INTO db.t (k, n) VALUES (1, 10), (3, 1)", ["1|d|10", "2|old|2", "3|d|1"]),
            ("INSERT OR IGNORE INTO db.t (k, n) VALUES (1, 10), (3, 1)", ["1|old|1", "2|old|2", "3|d|1"]),
            ("INSERT IGNORE INTO db.t (k, n) VALUES (1, 10), (3, 1)", ["1|old|1", "2|old|2", "3|d|1"]),
        ] {
            place.client("DELETE FROM t");
            place.client("INSERT INTO t VALUES (1, 'old', 1), (2, 'old', 2)");
            does(&context, statement).await;
            assert_eq!(all(), expected, "{}: {statement}", place.name());
        }
        let explain = "EXPLAIN INSERT INTO db.t (k) VALUES (1) ON CONFLICT DO NOTHING";
        let batches = sql(&context, explain).await.unwrap().collect().await.unwrap();
        let explained = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
        says(&explained, &["on_conflict=ignore by (k)"]);
        for (statement, parts) in [
            ("INSERT INTO db.t VALUES (1, 'a', 1) ON CONFLICT (a) DO NOTHING", &["no unique key", "(a)"][..]),
            (
                "INSERT INTO db.t VALUES (1, 'a', 1) ON CONFLICT ON CONSTRAINT pk DO NOTHING",
                &["pk", "name the columns"],
            ),
            ("INSERT OR ABORT INTO db.t VALUES (1, 'a', 1)", &["INSERT OR ABORT is not supported"]),
            ("INSERT INTO db.t VALUES (1, 'a', 1) ON CONFLICT (k) DO UPDATE SET b = 1", &["b"]),
            ("INSERT INTO db.t (a) VALUES ('a') ON CONFLICT (k) DO UPDATE SET a = 'b'", &["\"k\""]),
            (
                "INSERT INTO db.t VALUES (1, 'a', 'x') ON CONFLICT (k) DO UPDATE SET a = excluded.a, n = excluded.n",
                &["'x'", "\"n\""],
            ),
        ] {
            says(&error(&context, statement).await, parts);
        }
        says(&error(&context, "INSERT INTO u VALUES (1) ON CONFLICT DO NOTHING").await, &["u"]);
    }
}

#[test]
fn the_program_runs_them() {
    let folder = tempfile::tempdir().unwrap();
    let said = |script: &str| {
        let output = run(folder.path(), &["sql", "-c", script]);
        assert!(output.status.success(), "{}", texts(&output).1);
        texts(&output).0
    };
    let first = said(
        "ATTACH 'sqlite:people.db'; USE people; CREATE TABLE p AS SELECT 1 AS id, 'Ada' AS name; \
         INSERT INTO p VALUES (2, 'Grace'); SELECT count(*) AS people FROM p",
    );
    says(
        &first,
        &[
            "people has the schema main; to read a table, use SELECT … FROM people.table, or people.schema.table",
            "using people.main",
            "1 row written",
            "| 2      |",
        ],
    );
    let listed = said("ATTACH 'sqlite:people.db' AS x; SHOW TABLES; DESCRIBE x.p");
    says(&listed, &["| x             | main               | p ", "| name        | Utf8View  |"]);
    std::fs::write(folder.path().join("zip.csv"), "zip,n\n00701,1\n10001,2\n").unwrap();
    let zips = said(
        "ATTACH 'sqlite:people.db' AS x; CREATE TABLE x.zips AS SELECT * FROM 'zip.csv'; SELECT * FROM x.zips WHERE n = 1",
    );
    says(&zips, &["2 rows written", "| 00701 | 1 |"]);
    let output = run(folder.path(), &["sql", "-c", "SELECT * FROM 'no.csv'"]);
    says(&texts(&output).1, &["file no.csv does not exist"]);
    let killed = |point: &str| {
        let script = "ATTACH 'sqlite:people.db' AS x; CREATE TABLE x.q AS SELECT value FROM range(0, 1000)";
        program(folder.path())
            .args(["sql", "-c", script])
            .env("FAILPOINTS", format!("{point}=return"))
            .output()
            .unwrap()
    };
    if cfg!(feature = "failpoints") {
        assert!(!killed("sqlite.commit.before").status.success());
        assert!(!has_table(folder.path(), "q"));
        assert!(!killed("sqlite.commit.after").status.success());
        assert!(has_table(folder.path(), "q"));
    }
}

fn has_table(folder: &Path, name: &str) -> bool {
    let db = rusqlite::Connection::open(folder.join("people.db")).unwrap();
    db.table_exists(None, name).unwrap()
}
