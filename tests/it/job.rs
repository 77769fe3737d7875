//! A job is written once, whatever happens to its runs.

use crate::landing::{Landing, count, says};

const TABLE: &str = "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)";

#[tokio::test]
async fn a_second_run_of_a_finished_job_writes_nothing() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'load 1'").await.unwrap();
    let insert = "INSERT INTO t VALUES (1, 'a'), (2, 'b')";
    assert_eq!(count(&landing.sql(insert).await.unwrap()), 2);
    assert_eq!(count(&landing.sql(insert).await.unwrap()), 0);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["2"]);
    assert_eq!(
        landing.rows("SELECT job, decision, rows, positions FROM landfall_ledger"),
        [r#"load 1|commit|2|{"end":true,"table":"t"}"#]
    );
}

#[tokio::test]
async fn a_job_that_failed_can_be_run_again() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'j'").await.unwrap();
    says(&landing.error("INSERT INTO t VALUES (1, 'a'), (1, 'b')").await, &["row 2"]);
    assert_eq!(landing.rows("SELECT decision FROM landfall_ledger"), ["abort"]);
    assert_eq!(count(&landing.sql("INSERT INTO t VALUES (1, 'a')").await.unwrap()), 1);
    assert_eq!(count(&landing.sql("INSERT INTO t VALUES (1, 'a')").await.unwrap()), 0);
    assert_eq!(landing.rows("SELECT k, v FROM t"), ["1|a"]);
}

#[tokio::test]
async fn a_job_without_rows_is_finished_too() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'j'").await.unwrap();
    landing.sql("INSERT INTO t SELECT 1, 'a' WHERE false").await.unwrap();
    assert_eq!(count(&landing.sql("INSERT INTO t VALUES (1, 'a')").await.unwrap()), 0);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn a_job_of_another_table_is_an_error() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER); CREATE TABLE u (k INTEGER)");
    landing.register("t", "", "'job' 'j'").await.unwrap();
    landing.register("u", "", "'job' 'j'").await.unwrap();
    landing.sql("INSERT INTO t VALUES (1)").await.unwrap();
    says(&landing.error("INSERT INTO u VALUES (1)").await, &["job 'j'", "\"t\"", "\"u\"", "a name of its own"]);
    assert_eq!(landing.rows("SELECT count(*) FROM u"), ["0"]);
}

#[tokio::test]
async fn without_a_job_nothing_is_remembered() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    landing.sql("INSERT INTO t VALUES (1, 'a')").await.unwrap();
    assert_eq!(landing.rows("SELECT name FROM sqlite_schema WHERE type = 'table'"), ["t"]);
}

#[tokio::test]
async fn of_runs_at_once_one_writes() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'j'").await.unwrap();
    let insert = || landing.sql("INSERT INTO t SELECT value, 'v' FROM generate_series(1, 50000)");
    let (a, b, c) = tokio::join!(insert(), insert(), insert());
    let written: Vec<u64> = [a, b, c].iter().flatten().map(|answer| count(answer)).collect();
    assert!(written.contains(&50_000), "{written:?}");
    assert_eq!(landing.rows("SELECT count(*), count(DISTINCT k) FROM t"), ["50000|50000"]);
    assert_eq!(landing.rows("SELECT count(*) FROM landfall_ledger WHERE decision = 'commit'"), ["1"]);
}
