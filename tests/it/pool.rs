//! Connections are kept, bounded, and never lost.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use tokio::time::timeout;

use crate::landing::{Landing, error, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;

const OPTIONS: &str = "'pool.max' '4', 'pool.acquire_timeout' '5s', 'retry.max' '0'";

async fn run(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
    context.sql(sql).await?.collect().await
}

/// Does everything that can go wrong with a table `t (id, v)`, more often than there are connections; waits after what was
/// given up until it is undone.
async fn go_wrong(context: &SessionContext, is_undone: impl Fn() -> bool) {
    for round in 0..12 {
        run(context, &format!("INSERT INTO t VALUES ({round}, 'a')")).await.unwrap();
        error(context, &format!("INSERT INTO t VALUES ({round}, 'again')")).await;
        error(context, "INSERT INTO t SELECT 1000 / (value - 90000), 'x' FROM generate_series(1, 100000)").await;
        let long = "INSERT INTO t SELECT value + 1000000, 'x' FROM generate_series(1, 10000000)";
        let given_up = timeout(Duration::from_millis(round * 9), run(context, long)).await;
        assert!(given_up.is_err(), "nobody waited: {given_up:?}");
        let undone = async {
            while !is_undone() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), undone).await.expect("what was given up is undone");
        run(context, "SELECT * FROM t LIMIT 1").await.unwrap();
        let mut stream = context.sql("SELECT * FROM t").await.unwrap().execute_stream().await.unwrap();
        drop(futures::StreamExt::next(&mut stream).await);
    }
    let all = (0..4).map(|id| {
        let context = context.clone();
        tokio::spawn(async move { run(&context, &format!("INSERT INTO t VALUES ({}, 'last')", 100 + id)).await })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_connections_come_back_whatever_goes_wrong() {
    let server = Postgres::with_database("CREATE TABLE t (id int PRIMARY KEY, v text)");
    server.register("t", "", OPTIONS).await.unwrap();
    go_wrong(&server.context, || true).await;
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["16"]);
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND \
                  backend_type = 'client backend'";
    // What was given up last is undone before long.
    let busy = || server.rows(&format!("SELECT state, wait_event, query {others} AND state <> 'idle'"));
    let began = std::time::Instant::now();
    while !busy().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", busy());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let open = server.rows(&format!("SELECT count(*) {others}"));
    assert!(["1", "2", "3", "4"].contains(&open[0].as_str()), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_connections_come_back_whatever_goes_wrong() {
    let made = MySql::new("CREATE TABLE t (id int PRIMARY KEY, v text)");
    made.register("t", "", OPTIONS).await.unwrap();
    // MariaDB rolls back a thousand rows a second where two others wait for them, a million where nobody does.
    let busy = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND COMMAND <> 'Sleep' AND
                ID <> CONNECTION_ID()";
    go_wrong(&made.context, || made.rows(busy) == ["0"]).await;
    assert_eq!(made.rows("SELECT count(*) FROM t"), ["16"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_connections_come_back_whatever_goes_wrong() {
    let landing = Landing::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
    landing.register("t", "", &format!("{OPTIONS}, 'lock_timeout' '20s'")).await.unwrap();
    go_wrong(&landing.context, || true).await;
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["16"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_all_connections_in_use_is_told_who_has_them() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    let options = "'pool.max' '4', 'pool.acquire_timeout' '1s', 'lock_timeout' '30s', 'retry.max' '0'";
    server.register("t", "", options).await.unwrap();
    let locking = format!("BEGIN; LOCK TABLE {}.t; SELECT pg_sleep(4); COMMIT", server.schema);
    let lock = std::thread::spawn(move || crate::postgres::psql("public", &locking));
    while server
        .rows("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%.t; SELECT%'")
        != ["1"]
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let context = Arc::new(server.context.clone());
    let waiting: Vec<_> = (0..2)
        .map(|id| {
            let context = Arc::clone(&context);
            tokio::spawn(async move { run(&context, &format!("INSERT INTO t VALUES ({id})")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    says(
        &server.error("INSERT INTO t VALUES (5)").await,
        &[
            "no connection for writing to postgres://",
            "became free within 1s (maximum: 2; branch landfall-",
            "has held a connection for ",
            "'pool.max'",
        ],
    );
    lock.join().unwrap().unwrap();
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["2"]);
}

/// A query that the server refused leaves a connection on which nothing is as it seems.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_reading_was_refused_is_not_used_again() {
    let server = Postgres::new("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')");
    let options = "'on_conflict' 'update', 'upsert' 'diff', 'writers' '1', 'lock_timeout' '500ms', 'retry.max' '0'";
    server.register("t", "", options).await.unwrap();
    let locking = format!("BEGIN; LOCK TABLE {}.t; SELECT pg_sleep(3); COMMIT", server.schema);
    let lock = std::thread::spawn(move || crate::postgres::psql("public", &locking));
    let held =
        "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    while server.rows(held) == ["0"] {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    says(&server.error("INSERT INTO t VALUES (1, 'b')").await, &["lock"]);
    lock.join().unwrap().unwrap();
    for round in 0..4 {
        server.sql(&format!("INSERT INTO t VALUES (1, 'round {round}')")).await.unwrap();
        assert_eq!(server.rows("SELECT v FROM t"), [format!("round {round}")]);
    }
}

#[tokio::test]
async fn a_pool_that_is_too_small_for_its_writers_is_refused() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    let error = server.register("t", "", "'pool.max' '4', 'writers' '4'").await.unwrap_err().to_string();
    says(&error, &["'pool.max' = 4 is too small for 'writers' = 4", "use 10 or more"]);
    let error = server.register("t", "", "'pool.max' '8', 'pool.min_idle' '9'").await.unwrap_err().to_string();
    says(&error, &["'pool.min_idle' = 9 is greater than 'pool.max' = 8"]);
    let error = server.register("t", "", "'pool.max' '3'").await.unwrap_err().to_string();
    says(&error, &["'pool.max' cannot be '3'", "4 to 10000"]);
}

#[tokio::test]
async fn a_sqlite_file_that_was_replaced_is_opened_anew() {
    let landing = Landing::new("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    landing.register("t", "", "").await.unwrap();
    landing.sql("INSERT INTO t VALUES (1)").await.unwrap();
    std::fs::remove_file(landing.file()).unwrap();
    landing.db().execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY)").unwrap();
    landing.sql("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(landing.rows("SELECT id FROM t"), ["2"]);
}
