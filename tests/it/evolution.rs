//! The option `schema.evolution`: tables that are altered to fit a query.

use std::sync::Arc;

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::SessionContext;
use datafusion_landfall::{begin, register, sql};

use crate::dml::Place;
use crate::landing::{count, rows_of, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;
use crate::program::{program, texts};

async fn session(place: &Place, options: &str) -> SessionContext {
    let context = SessionContext::new();
    register(&context);
    let attach = format!("ATTACH '{}' AS a OPTIONS ({options})", place.url());
    sql(&context, &attach).await.unwrap();
    context
}

async fn run(context: &SessionContext, text: &str) -> Result<u64, String> {
    let frame = sql(context, text).await.map_err(|error| error.to_string())?;
    Ok(count(&frame.collect().await.map_err(|error| error.to_string())?))
}

const ADD: &str = "'schema.evolution' 'add'";

#[tokio::test(flavor = "multi_thread")]
async fn missing_columns_are_added_and_matched_by_name() {
    for place in &Place::all() {
        let name = place.name();
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(40) DEFAULT 'old')");
        place.client("INSERT INTO t VALUES (0, 'zero')");
        let context = session(place, ADD).await;
        // In another order, with names that need quotes.
        let insert = "INSERT INTO a.t SELECT 2.25 AS price, 1 AS id, true AS \"select\", TIMESTAMP '2026-11-30 12:00:00' AS \"At\"";
        let plan = sql(&context, &format!("EXPLAIN {insert}")).await.unwrap().collect().await.unwrap();
        says(&rows_of(&plan).join("\n"), &["ddl=[ALTER TABLE", "ADD COLUMN", "price", "select"]);
        assert!(place.client("SELECT * FROM t")[0].matches('|').count() == 1, "{name}: EXPLAIN has altered the table");
        assert_eq!(run(&context, insert).await.unwrap(), 1, "{name}");
        let rows = run_rows(&context, "SELECT id, v, price, \"select\", \"At\" FROM a.t ORDER BY id").await;
        assert_eq!(rows, ["0|zero|NULL|NULL|NULL", "1|old|2.25|true|2026-11-30T12:00:00"], "{name}");
        // Now there is nothing to add: the same columns, in another case.
        assert_eq!(run(&context, "INSERT INTO a.t SELECT 3 AS \"ID\", 1.5 AS \"PRICE\"").await.unwrap(), 1);
        let twice = run(&context, "INSERT INTO a.t SELECT 4 AS id, 1 AS \"New\", 2 AS new").await;
        if let Err(error) = twice {
            // Names that differ only in case are one name in some databases.
            assert!(!error.is_empty());
        }
        // With a column list, nothing is altered.
        let listed = run(&context, "INSERT INTO a.t (id, more) SELECT 5, 6").await.unwrap_err();
        assert!(listed.contains("more"), "{name}: {listed}");
        let update =
            "INSERT INTO a.t SELECT 1 AS id, 'changed' AS note ON CONFLICT (id) DO UPDATE SET note = excluded.note";
        assert_eq!(run(&context, update).await.unwrap(), 1, "{name}");
        assert_eq!(run_rows(&context, "SELECT v, note FROM a.t WHERE id = 1").await, ["old|changed"], "{name}");
        // VALUES has no names of columns.
        let _ = run(&context, "INSERT INTO a.t VALUES (9, 'nine')").await;
        assert!(run(&context, "SELECT column1 FROM a.t").await.is_err(), "{name}");
    }
}

async fn run_rows(context: &SessionContext, text: &str) -> Vec<String> {
    rows_of(&sql(context, text).await.unwrap().collect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_every_type_are_added() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY)");
        let context = session(place, ADD).await;
        let wide = "INSERT INTO a.t SELECT 1 AS id, arrow_cast(1, 'Int16') AS a, 2 AS b, arrow_cast(0.5, 'Float32') AS c,
            0.25::DOUBLE AS d, 12.345::DECIMAL(20, 3) AS e, 'text' AS f, arrow_cast('bytes', 'Binary') AS g, false AS h,
            DATE '2026-11-30' AS i, TIMESTAMP '2026-11-30 01:02:03' AS j,
            arrow_cast('2026-11-30T01:02:03Z', 'Timestamp(Microsecond, Some(\"UTC\"))') AS k, arrow_cast('01:02:03', 'Time64(Microsecond)') AS l";
        assert_eq!(run(&context, wide).await.unwrap(), 1, "{}", place.name());
        let read = "SELECT a, b, c, d, e, f, arrow_cast(g, 'Utf8'), h, i, j FROM a.t";
        let rows = run_rows(&context, read).await;
        let expected = "1|2|0.5|0.25|12.345|text|bytes|false|2026-11-30|2026-11-30T01:02:03";
        assert_eq!(rows, [expected], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_statements_add_the_same_column_at_once() {
    for place in Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY)");
        let place = Arc::new(place);
        let tasks = (0..4).map(|id| {
            let place = Arc::clone(&place);
            tokio::spawn(async move {
                let context = session(&place, "'schema.evolution' 'add', 'lock_timeout' '30s'").await;
                run(&context, &format!("INSERT INTO a.t SELECT {id} AS id, {id} AS n, 'x' AS v")).await
            })
        });
        for task in futures::future::join_all(tasks).await {
            assert_eq!(task.unwrap().unwrap(), 1, "{}", place.name());
        }
        assert_eq!(place.client("SELECT id, n FROM t ORDER BY id"), ["0|0", "1|1", "2|2", "3|3"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_frames_jobs_files_and_failures() {
    for place in &Place::all() {
        let name = place.name();
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)");
        place.register("t", "", "'schema.evolution' 'add', 'job' 'once'").await;
        let frame = place.context().sql("SELECT 1 AS id, 2 AS n, 'x' AS added").await.unwrap();
        frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap();
        assert_eq!(place.client("SELECT id, n, added FROM t"), ["1|2|x"], "{name}");
        // The job is finished, and its column is there.
        let frame = place.context().sql("SELECT 1 AS id, 2 AS n, 'x' AS added").await.unwrap();
        frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap();
        assert_eq!(place.client("SELECT count(*) FROM t"), ["1"], "{name}");

        let context = session(place, ADD).await;
        let failed = run(&context, "INSERT INTO a.t SELECT 1 AS id, 3 AS n, 4 AS left_over").await.unwrap_err();
        says(&failed, &["key already exists"]);
        assert_eq!(place.client("SELECT left_over FROM t"), ["NULL"], "{name}");
        let transaction = begin(&context).await.unwrap();
        let refused =
            transaction.sql("INSERT INTO a.t SELECT 7 AS id, 7 AS n, 7 AS other").await.unwrap().collect().await;
        says(&refused.unwrap_err().to_string(), &["a transaction cannot alter tables", "before BEGIN"]);
        drop(transaction);

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("more.csv"), "id,n,city\n10,1,Berlin\n11,2,Paris\n").unwrap();
        let load = |options: &[&str]| {
            let url = place.url();
            let mut arguments = vec!["load", "more.csv", &url, "t"];
            arguments.extend(options);
            let output = program(folder.path()).args(&arguments).output().unwrap();
            (output.status.success(), texts(&output))
        };
        let (is_done, (_, error)) = load(&[]);
        assert!(!is_done && error.contains("has no column \"city\""), "{name}: {error}");
        let (is_done, (_, error)) = load(&["--option", "schema.evolution=add"]);
        assert!(is_done, "{name}: {error}");
        assert_eq!(place.client("SELECT id, city FROM t WHERE id >= 10 ORDER BY id"), ["10|Berlin", "11|Paris"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_widened_if_the_server_can() {
    for place in &Place::all() {
        let name = place.name();
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(3) NOT NULL, d NUMERIC(5, 2) DEFAULT 1.5, n SMALLINT NOT NULL DEFAULT 7)");
        let long = "INSERT INTO a.t SELECT 1 AS id, 'longer' AS v, 1234567.25::DECIMAL(12, 2) AS d";
        let large = "INSERT INTO a.t SELECT 2 AS id, 'abc' AS v, 1::DECIMAL(5, 2) AS d, 100000 AS n";
        let off = session(place, "").await;
        let widen = session(place, "'schema.evolution' 'widen'").await;
        let rewrite = session(place, "'schema.evolution' 'rewrite'").await;
        match place {
            Place::Sqlite(_) => {
                // Its columns store longer texts, and their declared types cannot be changed.
                assert_eq!(run(&widen, "INSERT INTO a.t SELECT 1 AS id, 'longer' AS v").await.unwrap(), 1);
                continue;
            }
            Place::Postgres(_) => {
                assert!(run(&off, &long.replace("SELECT", "(id, v, d) SELECT")).await.is_err());
                assert_eq!(run(&widen, long).await.unwrap(), 1, "{name}");
            }
            Place::MySql(_) => {
                assert!(run(&widen, long).await.is_err(), "MySQL rewrites the table for it");
                run(&rewrite, &long.replace("longer", "new")).await.unwrap();
            }
        }
        assert!(run(&widen, large).await.is_err(), "{name}: the server rewrites the table for it");
        assert_eq!(run(&rewrite, large).await.unwrap(), 1, "{name}");
        assert_eq!(place.client("SELECT id, d, n FROM t ORDER BY id"), ["1|1234567.25|7", "2|1.00|100000"], "{name}");
        // Defaults and NOT NULL stay.
        place.client("INSERT INTO t (id, v) VALUES (3, 'x')");
        assert_eq!(place.client("SELECT d, n FROM t WHERE id = 3")[0].split('|').next_back(), Some("7"), "{name}");
        assert!(run(&off, "INSERT INTO a.t (id, v, n) VALUES (4, 'x', NULL)").await.is_err(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_type_says_besides_is_not_lost() {
    let place = Place::Postgres(Postgres::with_database(""));
    place.client("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    place.client("CREATE DOMAIN positive AS smallint CHECK (VALUE > 0)");
    place.client("CREATE TABLE t (k VARCHAR(5) COLLATE ci PRIMARY KEY, a positive)");
    place.client("INSERT INTO t VALUES ('a', 1)");
    let context = session(&place, "'schema.evolution' 'rewrite'").await;
    says(&run(&context, "INSERT INTO a.t SELECT 'A' AS k").await.unwrap_err(), &["key already exists"]);
    assert!(run(&context, "INSERT INTO a.t SELECT 'b' AS k, CAST(50000 AS BIGINT) AS a").await.is_err());
    assert!(run(&context, "INSERT INTO a.t SELECT 'b' AS k, CAST(-5 AS BIGINT) AS a").await.is_err());
    assert_eq!(place.client("SELECT k, a FROM t"), ["a|1"]);
    says(&run(&context, "INSERT INTO a.t SELECT 'b' AS k, NULL AS x").await.unwrap_err(), &["untyped NULL", "CAST"]);
    let place = Place::MySql(MySql::new(""));
    place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, x DECIMAL(5, 2) UNSIGNED, g FLOAT UNSIGNED)");
    let context = session(&place, "'schema.evolution' 'rewrite'").await;
    for values in ["CAST(-5 AS DECIMAL(9, 3)) AS x", "CAST(-3.5 AS DOUBLE) AS g"] {
        assert!(run(&context, &format!("INSERT INTO a.t SELECT 1 AS id, {values}")).await.is_err(), "{values}");
    }
    assert_eq!(place.client("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_owner_is_left_as_it_is() {
    let place = Place::Postgres(Postgres::with_database(""));
    place.client("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    place.client("CREATE ROLE evolution_writer LOGIN PASSWORD 'secret'; GRANT USAGE, CREATE ON SCHEMA public TO evolution_writer; GRANT SELECT, INSERT ON t TO evolution_writer");
    let mut url: url::Url = place.url().parse().unwrap();
    url.set_username("evolution_writer").unwrap();
    url.set_password(Some("secret")).unwrap();
    let context = SessionContext::new();
    register(&context);
    sql(&context, &format!("ATTACH '{url}' AS a OPTIONS ({ADD})")).await.unwrap();
    let refused = run(&context, "INSERT INTO a.t SELECT 1 AS id, 2 AS n").await;
    place.client("DROP OWNED BY evolution_writer; DROP ROLE evolution_writer");
    let refused = refused.unwrap_err();
    says(&refused, &["altering table", "owner"]);
    assert!(!refused.contains("secret"));
    assert_eq!(place.client("SELECT count(*) FROM t"), ["0"]);
}
