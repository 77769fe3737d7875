//! Indexes that are built after the rows: they come back exactly, whatever happens in between.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::{Postgres, folder, port, psql_in};
use crate::landing::{count, says};
use crate::program::signal;

/// As many rows as it takes: some 4 MB.
const MANY: u64 = 60_000;

/// Many rows for a table of three columns. Their keys are in no order.
fn many() -> String {
    format!(
        "SELECT value * 7919 % 1000003 AS id, value % 1000 AS n, 'text ' || value AS name FROM generate_series(1, {MANY})"
    )
}

/// What a backup of the schema consists of.
fn dump(server: &Postgres) -> String {
    let mut command = Command::new("pg_dump");
    command.args(["--schema-only", "-U", "landfall", "-p", &port(), "-n", &server.schema, "-d", &server.database]);
    let output = command.args(["-T", "*.landfall_ledger"]).arg("-h").arg(folder()).output().expect("pg_dump");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // A new one for each dump.
    text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
}

/// The numbers of the indexes of a table, which are new ones after they were built again.
fn indexes(server: &Postgres, table: &str) -> Vec<String> {
    server.rows(&format!("SELECT indexrelid FROM pg_index WHERE indrelid = '{table}'::regclass ORDER BY 1"))
}

fn rows(server: &Postgres, table: &str) -> String {
    server.rows(&format!("SELECT count(*) FROM {table}")).remove(0)
}

const PLAIN: &str = "CREATE TABLE t (id bigint PRIMARY KEY, n bigint, name text); CREATE INDEX t_n ON t (n)";

/// Whether nothing of table `t` is left to vacuum: all of its rows are frozen.
const FROZEN: &str = "SELECT all_frozen * 8192 = pg_relation_size('t') FROM pg_visibility_map_summary('t')";

const REBUILD: &str = "'indexes' 'rebuild'";

/// Every kind of index that a backup tells from others.
const EVERY_KIND: &str = r#"
    CREATE TABLE parent (n bigint PRIMARY KEY); INSERT INTO parent SELECT generate_series(0, 999);
    CREATE TABLE "T t" (
        id bigint NOT NULL, n bigint REFERENCES parent DEFERRABLE INITIALLY DEFERRED, name text NOT NULL,
        span int8range GENERATED ALWAYS AS (int8range(id, id + 1)) STORED, words tsvector, "a""b" int,
        CONSTRAINT "the key" PRIMARY KEY (id) INCLUDE (n) WITH (fillfactor = 71),
        CONSTRAINT later UNIQUE (name) DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT "at end" UNIQUE (name, id) DEFERRABLE,
        CONSTRAINT apart EXCLUDE USING gist (span WITH &&) WITH (fillfactor = 88) WHERE (id > 5) DEFERRABLE
    );
    CREATE UNIQUE INDEX no_two_nulls ON "T t" ("a""b", id) NULLS NOT DISTINCT;
    CREATE UNIQUE INDEX partial ON "T t" (id, n) WHERE n > 3 AND name <> 'it''s';
    CREATE INDEX expressions ON "T t" (lower(name), (n % 10), id);
    ALTER INDEX expressions ALTER COLUMN 1 SET STATISTICS 77;
    ALTER INDEX expressions ALTER COLUMN 2 SET STATISTICS 0;
    CREATE INDEX collated ON "T t" (name COLLATE "C" text_pattern_ops DESC NULLS LAST, n ASC NULLS FIRST);
    CREATE INDEX brin ON "T t" USING brin (n int8_minmax_multi_ops (values_per_range = 16)) WITH (pages_per_range = 7);
    CREATE INDEX hash ON "T t" USING hash (name) WITH (fillfactor = 60);
    CREATE INDEX gin ON "T t" USING gin (words) WITH (fastupdate = off);
    CREATE INDEX gist ON "T t" USING gist (words tsvector_ops (siglen = 100));
    CREATE INDEX elsewhere ON "T t" (n) TABLESPACE "Other place";
    ALTER TABLE "T t" CLUSTER ON collated;
    CREATE UNIQUE INDEX identity ON "T t" (name, id DESC);
    ALTER TABLE "T t" REPLICA IDENTITY USING INDEX identity;
    COMMENT ON INDEX partial IS 'an index''s comment';
    COMMENT ON INDEX "the key" IS 'of the index';
    COMMENT ON CONSTRAINT "the key" ON "T t" IS 'of the "constraint"';
    COMMENT ON CONSTRAINT apart ON "T t" IS E'two\nlines \\ here';
    CREATE STATISTICS both_columns ON n, id FROM "T t""#;

/// The server has this tablespace for all tests.
fn make_tablespace() {
    let create = "SET allow_in_place_tablespaces = true";
    let arguments = ["-X", "-q", "-U", "landfall", "-d", "landfall", "-p", &port()];
    let mut command = Command::new("psql");
    command.args(arguments).args(["-c", create, "-c", "CREATE TABLESPACE \"Other place\" LOCATION ''"]);
    // Another run of the test may have made it.
    command.arg("-h").arg(folder()).output().expect("psql");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_index_comes_back_exactly() {
    make_tablespace();
    for commit in ["one_phase", "two_phase"] {
        let server = Postgres::new(EVERY_KIND);
        let options = format!("'table' '\"T t\"', {REBUILD}, 'overwrite' 'truncate', 'commit' '{commit}'");
        server.register("t", "", &options).await.unwrap();
        let (before, table) = (dump(&server), format!("{}.\"T t\"", server.schema));
        let old = indexes(&server, &table);
        assert_eq!(old.len(), 14);
        let insert = format!("t (id, n, name) {}", many());
        assert_eq!(count(&server.sql(&format!("INSERT INTO {insert}")).await.unwrap()), MANY);
        assert_eq!(dump(&server), before);
        let new = indexes(&server, &table);
        assert!(new.iter().all(|index| !old.contains(index)) && new.len() == old.len(), "they were not built again");
        assert_eq!(count(&server.sql(&format!("INSERT OVERWRITE {insert}")).await.unwrap()), MANY);
        assert_eq!(dump(&server), before);
        assert!(indexes(&server, &table).iter().all(|index| !new.contains(index)), "they were not built again");
        assert_eq!(rows(&server, &table), MANY.to_string());
        let valid = "SELECT bool_and(indisvalid AND indisready AND indislive) FROM pg_index WHERE indrelid = ";
        assert_eq!(server.rows(&format!("{valid} '{table}'::regclass")), ["t"]);
        // The constraints hold, and those that are deferred wait.
        let twice = format!("INSERT INTO {table} (id, n, name) SELECT id, n, 'other' FROM {table} LIMIT 1");
        assert!(psql_in("landfall", &server.schema, &twice).unwrap_err().contains("the key"));
        server.rows(&format!(
            "BEGIN; INSERT INTO {table} (id, n, name) SELECT -1, -1, name FROM {table} LIMIT 1; ROLLBACK"
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_are_built_after_many_rows_of_a_table_that_is_empty() {
    let server = Postgres::with_database(&format!("CREATE EXTENSION pg_visibility; {PLAIN}"));
    server.register("t", "", REBUILD).await.unwrap();
    server.register("cut", "", &format!("'table' 't', 'overwrite' 'truncate', {REBUILD}")).await.unwrap();
    let first = indexes(&server, "t");
    // For a few rows, it would not pay.
    server.sql("INSERT INTO t VALUES (-1, 1, 'a')").await.unwrap();
    assert_eq!(indexes(&server, "t"), first);
    // Nor if the table has rows.
    server.sql(&format!("INSERT INTO t {}", many())).await.unwrap();
    assert_eq!(indexes(&server, "t"), first);
    server.sql(&format!("INSERT OVERWRITE cut {}", many())).await.unwrap();
    let second = indexes(&server, "t");
    assert_ne!(second, first);
    assert_eq!(rows(&server, "t"), MANY.to_string());
    assert_eq!(server.rows(FROZEN), ["t"]);
    let plan = server.read(&format!("EXPLAIN INSERT INTO t {}", many())).await.join("\n");
    says(&plan, &["indexes=rebuild"]);
    server.rows("TRUNCATE t");
    server.sql(&format!("INSERT INTO t {}", many())).await.unwrap();
    assert_ne!(indexes(&server, "t"), second);
    assert_eq!(server.rows(FROZEN), ["f"]);
    // Without an index, there is only the freezing.
    server.rows("ALTER TABLE t DROP CONSTRAINT t_pkey; DROP INDEX t_n");
    server.sql(&format!("INSERT OVERWRITE cut {}", many())).await.unwrap();
    assert_eq!((server.rows(FROZEN).remove(0), rows(&server, "t")), ("t".into(), MANY.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_landfall_creates_gets_its_indexes_after_its_first_rows() {
    let server = Postgres::new("");
    let columns = "(id BIGINT PRIMARY KEY, n BIGINT, name VARCHAR)";
    let insert = |table: &str| format!("INSERT INTO {table} {}", many());
    server.register("a", columns, "").await.unwrap();
    let (first, before) = (indexes(&server, "a"), dump(&server));
    says(&server.read(&format!("EXPLAIN {}", insert("a"))).await.join("\n"), &["indexes=auto"]);
    server.sql(&insert("a")).await.unwrap();
    let second = indexes(&server, "a");
    assert_ne!(first, second);
    assert_eq!((dump(&server), rows(&server, "a")), (before, MANY.to_string()));
    let plan = server.read(&format!("EXPLAIN {}", insert("a"))).await.join("\n");
    assert!(!plan.contains("indexes"), "{plan}");
    server.sql("INSERT INTO a SELECT -value, 1, 'x' FROM generate_series(1, 100000)").await.unwrap();
    assert_eq!(indexes(&server, "a"), second);
    // The second INSERT of a table, one with checkpoints, one with several writers, and upserts need them.
    for (table, options) in [
        ("kept", "'indexes' 'keep'"),
        ("epochs", "'checkpoint.rows' '50000'"),
        ("writers", "'writers' '2'"),
        ("upserts", "'on_conflict' 'update'"),
        ("prepared", "'commit' 'two_phase'"),
        ("rejects", "'reject.max' '5', 'reject.table' 'rejected'"),
    ] {
        server.register(table, columns, options).await.unwrap();
        let first = indexes(&server, table);
        assert_eq!(count(&server.sql(&insert(table)).await.unwrap()), MANY, "{table}");
        assert_eq!(indexes(&server, table), first, "{table}");
    }
    server.register("later", columns, "").await.unwrap();
    let first = indexes(&server, "later");
    // A reader is not disturbed, and the statement does not wait.
    let mut reader = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM later").execute(&mut reader).await.unwrap();
    server.sql(&insert("later")).await.unwrap();
    assert_eq!((indexes(&server, "later"), rows(&server, "later")), (first, MANY.to_string()));
    reader.close().await.unwrap();
    // In a transaction of several statements.
    server.register("several", columns, "").await.unwrap();
    let first = indexes(&server, "several");
    let transaction = datafusion_landfall::begin(&server.context).await.unwrap();
    transaction.sql(&insert("several")).await.unwrap().collect().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!((indexes(&server, "several"), rows(&server, "several")), (first, MANY.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_occurs_twice_is_an_error_and_nothing_changes() {
    let server = Postgres::new(PLAIN);
    server.register("kept", "", "'table' 't', 'indexes' 'keep'").await.unwrap();
    server.register("t", "", REBUILD).await.unwrap();
    let (before, first) = (dump(&server), indexes(&server, "t"));
    let twice = format!("SELECT id, n, name FROM ({}) UNION ALL SELECT * FROM (VALUES (7919, 0, 'again'))", many());
    let key = ["t_pkey", "Key (id)=(7919)", "occurs twice in the query", "set the option 'on_conflict' to 'update'"];
    let error = server.error(&format!("INSERT INTO kept {twice}")).await;
    says(&error, &key);
    assert!(error.contains(": row ") && !error.contains("building"), "{error}");
    let error = server.error(&format!("INSERT INTO t {twice}")).await;
    says(&error, &key);
    says(
        &error,
        &["building index \"t_pkey\" after the rows", "'indexes' to 'keep'", &format!("rows 1 to {}", MANY + 1)],
    );
    assert_eq!((dump(&server), indexes(&server, "t"), rows(&server, "t")), (before, first, "0".into()));
    // An index that is no key is named as such.
    server.rows("ALTER TABLE t DROP CONSTRAINT t_pkey; CREATE UNIQUE INDEX partial ON t (id) WHERE id > 0");
    let error = server.error(&format!("INSERT INTO t {twice}")).await;
    says(
        &error,
        &["building index \"partial\"", "unique index \"partial\" is partial", "Key (id)=(7919) is duplicated"],
    );
    server.rows("DROP INDEX partial; ALTER TABLE t ADD PRIMARY KEY (id)");
    // The error of a few rows names the row.
    let error = server.error("INSERT INTO t VALUES (1, 2, 'a'), (1, 3, 'b')").await;
    says(&error, &["row 2:", "t_pkey", "Key (id)=(1)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_the_indexes_is_named_when_the_statement_is_planned() {
    let server = Postgres::new(
        "CREATE TABLE referenced (id int PRIMARY KEY, n int, UNIQUE (n)); CREATE TABLE o (id int REFERENCES referenced (n)); \
         CREATE TABLE grouped (id int PRIMARY KEY, n int); CREATE VIEW v AS SELECT id, n FROM grouped GROUP BY id; \
         CREATE TABLE partitioned (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); \
         CREATE TABLE part PARTITION OF partitioned FOR VALUES FROM (0) TO (9); \
         CREATE TABLE published (id int PRIMARY KEY, n int); \
         CREATE TABLE parent (id int PRIMARY KEY, n int); CREATE TABLE child () INHERITS (parent); \
         CREATE TABLE watched (id int PRIMARY KEY, n int); \
         CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; \
         CREATE TRIGGER seen AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION seen(); \
         CREATE TABLE ruled (id int PRIMARY KEY, n int); \
         CREATE RULE r AS ON INSERT TO ruled WHERE NEW.n = 1 DO INSTEAD INSERT INTO grouped VALUES (NEW.*); \
         CREATE TABLE disabled (id int, n int, UNIQUE (id) DEFERRABLE); ALTER TABLE disabled DISABLE TRIGGER ALL",
    );
    let publication = format!("p_{}", server.schema);
    server.rows(&format!("CREATE PUBLICATION {publication} FOR TABLE published"));
    for (table, why) in [
        ("referenced", "constraint o_id_fkey on table o depends on index referenced_n_key"),
        ("grouped", "view v depends on index grouped_pkey"),
        ("partitioned", "the table is partitioned, or is a partition"),
        ("part", "the table is partitioned, or is a partition"),
        ("published", &format!("publication {publication} contains the table")),
        ("parent", "inherits"),
        ("child", "inherits"),
        ("watched", "the table has triggers"),
        ("ruled", "the table has rules"),
        ("disabled", "depends on index disabled_id_key"),
        ("v", "the table is not an ordinary table"),
    ] {
        server.register(table, "", REBUILD).await.unwrap();
        let error = server.error(&format!("INSERT INTO {table} VALUES (1, 2)")).await;
        says(&error, &[table, why, "set the option 'indexes' to 'auto'"]);
    }
    server.rows("CREATE TABLE t (id bigint PRIMARY KEY, n bigint, name text)");
    server.register("t", "", REBUILD).await.unwrap();
    says(&server.error("INSERT INTO t SELECT id + 1, n, name FROM t").await, &["reads the table", "'auto'"]);
    server
        .register("rejects", "", &format!("'table' 't', {REBUILD}, 'reject.max' '5', 'reject.table' 'r'"))
        .await
        .unwrap();
    says(&server.error("INSERT INTO rejects VALUES (1, 2, 'a')").await, &["'reject.max'", "remove one of the two"]);
    let transaction = datafusion_landfall::begin(&server.context).await.unwrap();
    let run = async { transaction.sql("INSERT INTO t VALUES (1, 2, 'a')").await?.collect().await };
    let error = run.await.unwrap_err().to_string();
    says(&error, &["in a transaction of several statements", "outside BEGIN and COMMIT"]);
    drop(transaction);
    // What needs the indexes while rows are written keeps them.
    for (table, options, verb) in [
        ("upserts", "'on_conflict' 'update'", "INSERT INTO"),
        ("replaced", "'upsert' 'blind'", "REPLACE INTO"),
        ("writers", "'writers' '2'", "INSERT INTO"),
        ("epochs", "'checkpoint.rows' '30000'", "INSERT INTO"),
        ("deleted", "'overwrite' 'delete'", "INSERT OVERWRITE"),
    ] {
        server.register(table, "", &format!("'table' 't', {REBUILD}, {options}")).await.unwrap();
        let first = indexes(&server, "t");
        let insert = format!("{verb} {table} {}", many());
        let plan = server.read(&format!("EXPLAIN {insert}")).await.join("\n");
        assert!(!plan.contains("indexes=rebuild"), "{plan}");
        assert_eq!(count(&server.sql(&insert).await.unwrap()), MANY, "{table}");
        assert_eq!((indexes(&server, "t"), rows(&server, "t")), (first, MANY.to_string()), "{table}");
        server.rows("TRUNCATE t");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_own_the_table_writes_it_as_it_is() {
    let server = Postgres::new(PLAIN);
    server.rows(&format!(
        "GRANT USAGE ON SCHEMA {0} TO reader; GRANT ALL ON TABLE t TO reader; \
         CREATE TABLE own (id bigint PRIMARY KEY, n bigint, name text); ALTER TABLE own OWNER TO reader",
        server.schema
    ));
    let url = server.url_as("reader");
    for table in ["t", "own"] {
        server.register_at(&url, table, "", &format!("{REBUILD}, 'overwrite' 'truncate'")).await.unwrap();
        let first = indexes(&server, table);
        for verb in ["INSERT INTO", "INSERT OVERWRITE"] {
            let insert = format!("{verb} {table} {}", many());
            let plan = server.read(&format!("EXPLAIN {insert}")).await.join("\n");
            assert!(!plan.contains("indexes="), "{plan}");
            assert_eq!(count(&server.sql(&insert).await.unwrap()), MANY);
            assert_eq!((indexes(&server, table), rows(&server, table)), (first.clone(), MANY.to_string()));
        }
    }
    server.rows(&format!("GRANT CREATE ON SCHEMA {} TO reader", server.schema));
    let first = indexes(&server, "own");
    server.sql(&format!("INSERT OVERWRITE own {}", many())).await.unwrap();
    assert_ne!(indexes(&server, "own"), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_who_uses_the_table_as_long_as_the_option_says() {
    let server = Postgres::new(PLAIN);
    server.register("t", "", &format!("{REBUILD}, 'lock_timeout' '200ms', 'retry.max' '0'")).await.unwrap();
    let (before, mut reader) = (dump(&server), PgConnection::connect(&server.url()).await.unwrap());
    sqlx::raw_sql("BEGIN; SELECT * FROM t").execute(&mut reader).await.unwrap();
    let error = server.error(&format!("INSERT INTO t {}", many())).await;
    says(&error, &["dropping the indexes", "another transaction holds a lock", "'lock_timeout' (200ms)"]);
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    assert_eq!((dump(&server), rows(&server, "t")), (before, "0".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_an_older_snapshot_sees_frozen_rows() {
    let server = Postgres::new(PLAIN);
    server.rows("INSERT INTO t VALUES (1, 2, 'old')");
    server.register("t", "", &format!("{REBUILD}, 'overwrite' 'truncate'")).await.unwrap();
    let mut reader = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class LIMIT 1")
        .execute(&mut reader)
        .await
        .unwrap();
    server.sql(&format!("INSERT OVERWRITE t {}", many())).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut reader).await.unwrap();
    assert_eq!(seen, MANY as i64);
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM t WHERE id = 7919").fetch_one(&mut reader).await.unwrap();
    assert_eq!(seen, 1);
}

fn landfall(arguments: &[&str], failpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.args(arguments).env("FAILPOINTS", failpoint).stdin(std::process::Stdio::null());
    command
}

fn script(server: &Postgres, options: &str, statement: &str) -> String {
    format!("CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{}' OPTIONS ({options}); {statement}", server.url())
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_program_that_is_killed_meanwhile_leaves_the_table_as_it_was() {
    for (table, options, statement) in [
        ("", REBUILD.to_owned(), "INSERT INTO t"),
        ("INSERT INTO t VALUES (1, 2, 'old')", format!("{REBUILD}, 'overwrite' 'truncate'"), "INSERT OVERWRITE t"),
    ] {
        let server = Postgres::with_database(&format!("{PLAIN}; {table}"));
        let (before, old, first) = (dump(&server), rows(&server, "t"), indexes(&server, "t"));
        let script = script(&server, &options, &format!("{statement} {}", many()));
        for point in [
            "postgres.indexes.dropped",
            "branch.written",
            "postgres.indexes.built",
            "postgres.indexes.built=1*off->return",
            "postgres.commit.before",
        ] {
            let point = if point.contains('=') { point.to_owned() } else { format!("{point}=return") };
            let killed = landfall(&["sql", "-c", &script], &point).output().unwrap();
            assert!(!killed.status.success(), "{point}: {killed:?}");
            wait_until("its session goes on", || {
                let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                              AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
                server.rows(others) == ["0"]
            });
            let after = (dump(&server), rows(&server, "t"), indexes(&server, "t"));
            assert_eq!(after, (before.clone(), old.clone(), first.clone()), "{point}");
        }
        succeeded(&landfall(&["sql", "-c", &script], "").output().unwrap());
        assert_eq!((dump(&server), rows(&server, "t")), (before, MANY.to_string()));
        assert_ne!(indexes(&server, "t"), first);
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_table_whose_branch_is_in_doubt_is_closed_until_it_is_recovered() {
    for (point, committed) in [("postgres.prepare.after", false), ("decide.after", true)] {
        let server = Postgres::with_database(PLAIN);
        let (before, first) = (dump(&server), indexes(&server, "t"));
        let options = format!("{REBUILD}, 'commit' 'two_phase', 'job' 'j'");
        let script = script(&server, &options, &format!("INSERT INTO t {}", many()));
        let killed = landfall(&["sql", "-c", &script], &format!("{point}=return")).output().unwrap();
        assert!(!killed.status.success(), "{killed:?}");
        let read = "SET lock_timeout = '200ms'; SELECT count(*) FROM t";
        let error = psql_in(&server.database, &server.schema, read).unwrap_err();
        says(&error, &["lock timeout"]);
        succeeded(&landfall(&["recover", &server.url(), "--older-than", "0s"], "").output().unwrap());
        let expected = if committed { MANY.to_string() } else { "0".into() };
        assert_eq!((dump(&server), rows(&server, "t")), (before.clone(), expected), "{point}");
        assert_eq!(indexes(&server, "t") == first, !committed);
        // The job goes on from there.
        succeeded(&landfall(&["sql", "-c", &script], "").output().unwrap());
        assert_eq!(rows(&server, "t"), MANY.to_string());
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn readers_and_writers_wait_for_the_commit_and_find_all_rows() {
    let server = Postgres::with_database(PLAIN);
    let script = script(&server, REBUILD, &format!("INSERT INTO t {}", many()));
    let writing = landfall(&["sql", "-c", &script], "postgres.indexes.dropped=sleep(1500)").spawn().unwrap();
    let closed =
        "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    wait_until("it does not lock the table", || server.rows(closed) == ["1"]);
    for statement in ["SELECT count(*) FROM t", "INSERT INTO t VALUES (-1, 0, 'a')"] {
        let sql = format!("SET lock_timeout = '100ms'; {statement}");
        says(&psql_in(&server.database, &server.schema, &sql).unwrap_err(), &["lock timeout"]);
    }
    // Waits, and sees the table with all rows.
    assert_eq!(rows(&server, "t"), MANY.to_string());
    succeeded(&writing.wait_with_output().unwrap());
}

#[test]
fn building_an_index_can_be_interrupted() {
    let server = Postgres::with_database(
        "CREATE FUNCTION slow(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql \
         AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN $1; END $$; \
         CREATE TABLE t (id bigint PRIMARY KEY, n bigint, name text); CREATE INDEX t_n ON t (slow(n))",
    );
    let (before, first) = (dump(&server), indexes(&server, "t"));
    let script = script(&server, REBUILD, &format!("INSERT INTO t {}", many()));
    let writing = landfall(&["sql", "-c", &script], "").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let building = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()";
    wait_until("it does not build the index", || server.rows(building) == ["1"]);
    let began = Instant::now();
    signal(&writing, "-INT");
    let ended = writing.wait_with_output().unwrap();
    assert!(
        !ended.status.success() && began.elapsed() < Duration::from_secs(20),
        "{ended:?} after {:?}",
        began.elapsed()
    );
    assert_eq!((dump(&server), indexes(&server, "t"), rows(&server, "t")), (before, first, "0".into()));
}

#[test]
fn a_load_creates_its_table_with_the_key_after_the_rows() {
    let (server, folder) = (Postgres::new(""), tempfile::tempdir().unwrap());
    let lines: String =
        (0..MANY).map(|row| format!("{},{},text {row}\n", row * 7919 % 1_000_003, row % 1000)).collect();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good.csv", &format!("id,n,name\n{lines}"));
    let twice = file("twice.csv", &format!("id,n,name\n{lines}7919,0,again\n"));
    let load = |file: &str, table: &str, more: &[&str]| {
        let arguments = ["load", file, &server.url(), table, "--mode", "create", "--key", "id"];
        landfall(&[&arguments[..], more].concat(), "").output().unwrap()
    };
    succeeded(&load(&good, "made", &[]));
    succeeded(&load(&good, "kept", &["--option", "indexes=keep"]));
    succeeded(&load(&good, "prepared", &["--option", "commit=two_phase"]));
    let dumped = dump(&server);
    assert_eq!(dumped.matches("PRIMARY KEY").count(), 3, "{dumped}");
    for table in ["made", "kept", "prepared"] {
        assert_eq!(rows(&server, table), MANY.to_string(), "{table}");
    }
    let failed = load(&twice, "failed", &[]);
    assert!(!failed.status.success());
    let said = String::from_utf8_lossy(&failed.stderr);
    says(&said, &["building index \"failed_pkey\" after the rows", "Key (id)=(7919)", "'indexes' to 'keep'"]);
    assert_eq!(server.rows("SELECT to_regclass('failed')"), ["NULL"]);
}
