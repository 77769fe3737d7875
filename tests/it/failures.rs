//! Bad input gets an error that names the thing and the next step, and changes nothing.

use std::time::Duration;

use datafusion_landfall::{ErrorKind, Interrupt, LandfallTable, SinkOptions};
use std::sync::Arc;

use crate::landing::{Landing, says, session};

const TABLE: &str = "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL)";

async fn create_error(sql: &str) -> String {
    session().sql(sql).await.expect_err(sql).to_string()
}

#[tokio::test]
async fn a_bad_location_is_named() {
    let landing = Landing::new(TABLE);
    let folder = landing.folder.path().display().to_string();
    let create = |location: &str| format!("CREATE EXTERNAL TABLE t STORED AS SQLITE LOCATION '{location}'");

    says(&create_error("CREATE EXTERNAL TABLE t STORED AS SQLITE").await, &["LOCATION"]);
    says(&create_error(&create("")).await, &["LOCATION contains no path"]);
    says(&create_error(&create(":memory:")).await, &["in-memory", "specify a path"]);
    says(&create_error(&create(&folder)).await, &[&folder, "is a directory"]);
    says(
        &create_error(&create(&format!("{folder}/none.db"))).await,
        &["no table \"t\"", "specify columns to create the table"],
    );
    let nowhere = format!("CREATE EXTERNAL TABLE t (a INT) STORED AS SQLITE LOCATION '{folder}/no/t.db'");
    says(&create_error(&nowhere).await, &["could not open", "t.db", "check that the directory exists"]);

    let text = landing.folder.path().join("text.db");
    std::fs::write(&text, "this is a text, and no database, but long enough to be looked at as one").unwrap();
    says(&create_error(&create(text.to_str().unwrap())).await, &["text.db", "not a SQLite database"]);
    assert!(!landing.folder.path().join("none.db").exists(), "nothing is created by a failure");
}

#[tokio::test]
async fn a_bad_option_is_named() {
    let landing = Landing::new(TABLE);
    let error = |options: &'static str| async { landing.register("t", "", options).await.unwrap_err().to_string() };
    says(&error("'on_conflit' 'update'").await, &["unknown option 'on_conflit'", "did you mean 'on_conflict'"]);
    says(&error("'on_conflict' 'merge'").await, &["'merge'", "'error', 'update' or 'ignore'"]);
    says(&error("'lock_timeout' '5'").await, &["lock_timeout", "5s"]);
    says(&error("'pragma.synchronos' 'off'").await, &["pragma.synchronous"]);
    says(&error("'table' 'none'").await, &["no table \"none\"", "option 'table'"]);
}

#[tokio::test]
async fn a_query_that_does_not_fit_the_table_is_refused_when_it_is_planned() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL, u BLOB)");
    landing.register("t", "", "").await.unwrap();
    says(&landing.error("INSERT INTO t SELECT 1").await, &["Column count"]);
    says(&landing.error("INSERT INTO t (k, w) VALUES (1, 2)").await, &["w"]);
    says(&landing.error("INSERT INTO t VALUES (1, 'x', [1, 2])").await, &["List", "Binary"]);
    says(&landing.error("REPLACE INTO t (v) VALUES ('x')").await, &["\"k\"", "add the column to the query"]);
    let frame = landing.context.sql("SELECT DATE '2024-01-01' AS k, 'x' AS v").await.unwrap();
    let error = frame.write_table("t", Default::default()).await.unwrap_err().to_string();
    says(&error, &["column \"k\"", "Date32", "declared INTEGER", "date_part"]);

    let landing = Landing::new("CREATE TABLE t (v TEXT)");
    landing.register("t", "", "").await.unwrap();
    says(&landing.error("REPLACE INTO t VALUES ('x')").await, &["REPLACE INTO requires a key", "t"]);
}

#[tokio::test]
async fn a_row_that_the_table_refuses_is_named() {
    let landing = Landing::new(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); \
         CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL CHECK (length(v) < 5), p INTEGER REFERENCES p)",
    );
    landing.register("t", "", "").await.unwrap();
    for (values, parts) in [
        ("(1, 'a', NULL), (2, NULL, NULL)", ["row 2", "\"v\"", "NOT NULL"]),
        ("(1, 'a', NULL), (NULL, 'b', NULL)", ["row 2", "\"k\"", "omit the column"]),
        ("(1, 'a', NULL), (1, 'b', NULL)", ["row 2", "UNIQUE constraint failed: t.k", "REPLACE INTO"]),
        ("(1, 'a', NULL), (2, 'abcdef', NULL)", ["row 2", "CHECK constraint failed", "length(v)"]),
        ("(1, 'a', 9)", ["FOREIGN KEY constraint failed", "foreign key", "committing"]),
    ] {
        let message = landing.error(&format!("INSERT INTO t VALUES {values}")).await;
        if values.contains('9') {
            says(&message, &parts[..2]);
        } else {
            says(&message, &parts);
        }
        assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
    }
}

#[tokio::test]
async fn a_value_that_sqlite_would_change_is_refused() {
    let landing = Landing::new("CREATE TABLE t (i INTEGER, r REAL, d DATE, n NUMERIC(20, 10), s STRING, ts TIMESTAMP)");
    landing.register("t", "", "").await.unwrap();
    for (insert, parts) in [
        ("t (r) VALUES (1.0), ('NaN')", ["row 2", "\"r\"", "NULL"]),
        ("t (d) SELECT CAST(-800000 AS INT)::DATE", ["row 1", "\"d\"", "0000 to 9999"]),
        ("t (n) VALUES (1.5), ('1234567.1234567891')", ["row 2", "\"n\"", "15"]),
        ("t (s) VALUES ('abc'), ('00123')", ["row 2", "'00123'", "TEXT"]),
    ] {
        says(&landing.error(&format!("INSERT INTO {insert}")).await, &parts);
    }
    let frame = landing.context.sql("SELECT arrow_cast(18446744073709551615, 'UInt64') AS i").await.unwrap();
    let error = frame.write_table("t", Default::default()).await.unwrap_err().to_string();
    says(&error, &["row 1", "18446744073709551615", "does not fit Int64"]);
    let frame = landing.context.sql("SELECT arrow_cast(1, 'Timestamp(ns)') AS ts").await.unwrap();
    let error = frame.write_table("t", Default::default()).await.unwrap_err().to_string();
    says(&error, &["row 1", "\"ts\"", "does not fit Timestamp(µs)"]);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn a_locked_database_is_waited_for_and_its_holder_named() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'lock_timeout' '300ms'").await.unwrap();
    let other = landing.db();
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1, 'theirs')").unwrap();
    let began = std::time::Instant::now();
    let error = landing.error("INSERT INTO t VALUES (2, 'ours')").await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    says(&error, &["t.db is still locked", "lock_timeout"]);
    if cfg!(target_os = "linux") {
        says(&error, &["held by this process"]);
    }
    other.execute_batch("COMMIT").unwrap();
    landing.sql("INSERT INTO t VALUES (2, 'ours')").await.unwrap();
    assert_eq!(landing.rows("SELECT v FROM t"), ["theirs", "ours"]);
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_written() {
    for journal_mode in ["delete", "wal"] {
        let landing =
            Landing::new(&format!("PRAGMA journal_mode = {journal_mode}; {TABLE}; INSERT INTO t VALUES (0, 'old')"));
        landing.register("t", "", "'pragma.max_page_count' '50'").await.unwrap();
        let fill = "INSERT INTO t SELECT value, repeat('x', 1000) FROM generate_series(1, 100000)";
        let error = landing.error(fill).await;
        says(&error, &["could not extend", "t.db", "free space"]);
        assert_eq!(landing.rows("SELECT * FROM t"), ["0|old"]);
        assert_eq!(landing.rows("PRAGMA integrity_check"), ["ok"]);
        landing.sql("INSERT INTO t VALUES (1, 'new')").await.unwrap();
    }
}

#[tokio::test]
async fn a_query_that_fails_in_mid_stream_leaves_the_table_as_it_was() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    let error =
        landing.error("INSERT INTO t SELECT value, 100 / (90000 - value) FROM generate_series(1, 100000)").await;
    says(&error, &["writing table t", "the query failed", "Divide by zero"]);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn a_dropped_write_rolls_back() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    let endless = landing.sql("INSERT INTO t SELECT value, 'x' FROM generate_series(1, 1000000000)");
    assert!(tokio::time::timeout(Duration::from_millis(300), endless).await.is_err(), "it ended");
    landing.sql("INSERT INTO t VALUES (1, 'after')").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|after"]);
}

#[tokio::test]
async fn an_interrupt_rolls_back_and_says_so() {
    let landing = Landing::new(TABLE);
    let interrupt = Interrupt::new();
    let config = datafusion::prelude::SessionConfig::new().with_extension(Arc::new(interrupt.clone()));
    let context = datafusion::prelude::SessionContext::new_with_config(config);
    let url = format!("sqlite:{}", landing.file().display());
    let table = LandfallTable::connect(&url, "t", SinkOptions::new()).await.unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
    let endless = context.sql("INSERT INTO t SELECT value, 'x' FROM generate_series(1, 1000000000)").await.unwrap();
    let (ended, ()) = tokio::join!(endless.collect(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        interrupt.stop();
    });
    let error = ended.unwrap_err();
    says(&error.to_string(), &["interrupted", "rolled back"]);
    let datafusion::error::DataFusionError::External(inner) = error.find_root() else { panic!("{error:?}") };
    let own = inner.downcast_ref::<datafusion_landfall::Error>().unwrap();
    assert_eq!(own.kind(), ErrorKind::Interrupted);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn a_trigger_that_ends_the_transaction_leaves_no_row() {
    let landing = Landing::new(&format!(
        "{TABLE}; CREATE TRIGGER guard BEFORE INSERT ON t WHEN NEW.k = 70 \
         BEGIN SELECT RAISE(ROLLBACK, 'seventy is not wanted'); END"
    ));
    landing.register("t", "", "").await.unwrap();
    let error = landing.error("INSERT INTO t SELECT value, 'x' FROM generate_series(1, 1000)").await;
    says(&error, &["seventy is not wanted"]);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn a_table_that_changed_since_it_was_registered_is_noticed() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    landing.db().execute_batch("DROP TABLE t").unwrap();
    says(&landing.error("INSERT INTO t VALUES (1, 'x')").await, &["table t no longer exists"]);
    landing.db().execute_batch("CREATE TABLE t (other TEXT)").unwrap();
    says(&landing.error("INSERT INTO t VALUES (1, 'x')").await, &["no column \"k\"", "other TEXT"]);
}

#[tokio::test]
async fn a_stored_value_of_another_type_is_named_when_it_is_read() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER, d DATE); INSERT INTO t VALUES ('abc', 'yesterday')");
    landing.register("t", "", "").await.unwrap();
    says(&landing.error("SELECT k FROM t").await, &["table t", "column \"k\"", "'abc'", "typeof"]);
    says(&landing.error("SELECT d FROM t").await, &["column \"d\"", "'yesterday'", "Date32"]);
}

#[tokio::test]
async fn a_stored_date_or_number_that_would_be_changed_is_named_when_it_is_read() {
    for (declared, value) in [
        ("DATE", "'2013-1-5'"),
        ("DATE", "'2013-01-05 23:59:59'"),
        ("DATE", "'2013-01-05T23:59:59-05:00'"),
        ("TIMESTAMP", "'2013-1-5 00:00:00'"),
        ("TIMESTAMP", "'2013-01-05 00:00:00.0000001'"),
        ("TIME", "'00:00:00.0000001'"),
        ("\"Float32\"", "1e300"),
        ("NUMERIC", "9223372036854775807"),
        ("DECIMAL(5, 2)", "1.005"),
        ("BOOLEAN", "2"),
        ("\"Int8\"", "128"),
    ] {
        let landing = Landing::new(&format!("CREATE TABLE t (c {declared}); INSERT INTO t VALUES ({value})"));
        landing.register("t", "", "").await.unwrap();
        says(&landing.error("SELECT c FROM t").await, &["column \"c\""]);
    }
}

#[tokio::test]
async fn a_column_that_was_renamed_is_no_text() {
    let landing = Landing::new("CREATE TABLE t (id INTEGER PRIMARY KEY, state TEXT); INSERT INTO t VALUES (1, 'kept')");
    landing.register("t", "", "").await.unwrap();
    landing.db().execute_batch("ALTER TABLE t RENAME COLUMN state TO status").unwrap();
    for statement in [
        "SELECT state FROM t",
        "SELECT id FROM t WHERE state <> 'kept'",
        "DELETE FROM t WHERE state <> 'kept'",
        "UPDATE t SET id = 2 WHERE state <> 'kept'",
        "SELECT id FROM t ORDER BY state",
    ] {
        says(&landing.error(statement).await, &["state"]);
    }
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|kept"]);
}
