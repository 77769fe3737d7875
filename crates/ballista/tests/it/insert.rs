//! INSERT … SELECT from Parquet files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::{FanoutTable, LandfallTable, SinkOptions};

use crate::cluster::{COLUMNS, explain, files, register, run, session};
use crate::databases::{Database, Kind};

const ROWS: u64 = 40_000;

const INSERT: &str = "INSERT INTO t SELECT * FROM source";

/// All rows of a table, and their number.
const ALL: &str = "SELECT id, name, share, price, day FROM t ORDER BY id";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_executors_write_what_one_process_writes() {
    let cluster = session(4).await;
    let folder = files(&cluster, 6, ROWS).await;
    for database in Database::each() {
        // With and without a plan that changes while it is executed.
        for (key, adaptive) in [("", true), ("", false), ("PRIMARY KEY", true), ("PRIMARY KEY", false)] {
            let set = format!("SET ballista.planner.adaptive.enabled = {adaptive}");
            cluster.sql(&set).await.unwrap().collect().await.unwrap();
            let create = format!("CREATE TABLE t (id BIGINT {key}, {COLUMNS})");
            database.client(&format!("DROP TABLE IF EXISTS t; {create}"));
            let alone = SessionContext::new();
            datafusion_landfall::register(&alone);
            alone.register_parquet("source", folder.path().to_str().unwrap(), Default::default()).await.unwrap();
            register(&alone, &database, "t", &[]).await;
            assert_eq!(run(&alone, "INSERT INTO t SELECT * FROM source").await.unwrap(), ROWS);
            let expected = database.client(ALL);
            assert_eq!(expected.len(), usize::try_from(ROWS).unwrap());

            database.client("DELETE FROM t");
            let _ = cluster.deregister_table("t");
            register(&cluster, &database, "t", &[("writers", "3")]).await;
            let plan = explain(&cluster, "INSERT INTO t SELECT * FROM source").await;
            assert!(plan.contains("CommitExec") && plan.contains("WriterExec: writers=3"), "{plan}");
            assert_eq!(run(&cluster, "INSERT INTO t SELECT * FROM source").await.unwrap(), ROWS, "{:?}", database.kind);
            assert!(database.client(ALL) == expected, "{:?} {key}", database.kind);
            until_nothing_is_prepared(&database).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_is_run_once_and_a_second_collect_is_another_run() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 4, ROWS).await;
    for database in Database::each() {
        let count = || database.client("SELECT count(*), count(DISTINCT id) FROM t");
        database.client(&format!("CREATE TABLE t (id BIGINT, {COLUMNS})"));
        let _ = cluster.deregister_table("t");
        register(&cluster, &database, "t", &[("job", "forty thousand")]).await;
        assert_eq!(run(&cluster, INSERT).await.unwrap(), ROWS);
        assert_eq!(run(&cluster, INSERT).await.unwrap(), 0, "{:?}", database.kind);
        assert_eq!(count(), [format!("{ROWS}|{ROWS}")]);
        // Another statement under the name of the job.
        let other = run(&cluster, "INSERT INTO t SELECT * FROM source WHERE id < 10").await.unwrap_err().to_string();
        assert!(other.contains("has run another INSERT"), "{other}");

        // Without a job, each execution writes the rows.
        cluster.deregister_table("t").unwrap();
        register(&cluster, &database, "t", &[]).await;
        let statement = datafusion_landfall::sql(&cluster, INSERT).await.unwrap();
        for _ in 0..2 {
            statement.clone().collect().await.unwrap();
        }
        assert_eq!(count(), [format!("{}|{ROWS}", 3 * ROWS)], "{:?}", database.kind);
        until_nothing_is_prepared(&database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_that_fails_leaves_nothing() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 4, ROWS).await;
    for database in Database::each() {
        // The last rows are too long, when other partitions may be prepared.
        database.client(&format!("CREATE TABLE t (id BIGINT PRIMARY KEY, {})", COLUMNS.replace("(20)", "(8)")));
        let _ = cluster.deregister_table("t");
        register(&cluster, &database, "t", &[("job", "too long"), ("writers", "4")]).await;
        let error = run(&cluster, INSERT).await.unwrap_err().to_string();
        assert!(error.contains("column \"name\"") && error.contains("longer than the 8 characters"), "{error}");
        assert_eq!(database.client("SELECT count(*) FROM t"), ["0"], "{:?}: {error}", database.kind);
        until_nothing_is_prepared(&database).await;
        // The job can run again.
        let short = "INSERT INTO t SELECT * FROM source WHERE id < 10000";
        assert_eq!(run(&cluster, short).await.unwrap(), 9_999, "{:?}", database.kind);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_that_is_cancelled_leaves_nothing() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 4, ROWS).await;
    for database in Database::each() {
        database.client(&format!("CREATE TABLE t (id BIGINT PRIMARY KEY, {COLUMNS})"));
        let _ = cluster.deregister_table("t");
        register(&cluster, &database, "t", &[("job", "stopped"), ("writers", "4")]).await;
        for millis in [50, 150, 300, 500] {
            let running = run(&cluster, INSERT);
            if tokio::time::timeout(Duration::from_millis(millis), running).await.is_err() {
                until_nothing_is_prepared(&database).await;
            }
        }
        // Whatever was stopped, the next run finishes the job.
        until(|| async { run(&cluster, INSERT).await.is_ok() }).await;
        let counted = database.client("SELECT count(*), count(DISTINCT id) FROM t");
        assert_eq!(counted, [format!("{ROWS}|{ROWS}")], "{:?}", database.kind);
        until_nothing_is_prepared(&database).await;
    }
}

/// The server is reading the branches of a transaction that was aborted while it ran.
async fn until_nothing_is_prepared(database: &Database) {
    until(|| async { database.prepared().is_empty() }).await;
}

async fn until<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < end, "it takes more than 10 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_table_of_one_database_is_written_to_another() {
    let cluster = session(4).await;
    let [postgres, mariadb] = Database::each();
    postgres.client(
        "CREATE TABLE f (id BIGINT PRIMARY KEY, v DOUBLE PRECISION, name TEXT);
         INSERT INTO f SELECT n, n * 0.1, 'row ' || n FROM generate_series(1, 30000) n",
    );
    mariadb.client("CREATE TABLE t (id BIGINT PRIMARY KEY, v DOUBLE, name VARCHAR(20))");
    register(&cluster, &postgres, "f", &[]).await;
    register(&cluster, &mariadb, "t", &[]).await;
    datafusion_landfall::register_catalog(&cluster, "pg", &postgres.url()).await.unwrap();
    for (from, rows) in [("f WHERE id % 3 = 0", 10_000), ("pg.public.f WHERE v < 1000.1 AND id % 3 = 1", 3_334)] {
        let sql = format!("INSERT INTO t SELECT * FROM {from}");
        assert_eq!(run(&cluster, &sql).await.unwrap(), rows, "{from}");
    }
    let of = |database: &Database, condition: &str| {
        let table = if database.kind == Kind::Postgres { "f" } else { "t" };
        database.client(&format!("SELECT count(*), sum(id), max(name) FROM {table} WHERE {condition}"))
    };
    assert_eq!(of(&mariadb, "1 = 1"), of(&postgres, "id % 3 = 0 OR (v < 1000.1 AND id % 3 = 1)"));
    // Each side of a union is read by one of its tasks.
    mariadb.client("CREATE TABLE u (id BIGINT, name VARCHAR(20))");
    register(&cluster, &mariadb, "u", &[]).await;
    let folder = files(&cluster, 3, 900).await;
    let union = "INSERT INTO u SELECT id, name FROM f WHERE id <= 500 UNION ALL SELECT id, name FROM source
                 UNION ALL SELECT id, name FROM t WHERE id < 100";
    let expected = 500 + 900 + mariadb.client("SELECT id FROM t WHERE id < 100").len() as u64;
    assert_eq!(run(&cluster, union).await.unwrap(), expected);
    assert_eq!(mariadb.client("SELECT count(*) FROM u"), [expected.to_string()]);
    drop(folder);
    // A query of both, which only reads.
    let both = "SELECT count(*) AS n FROM f JOIN t ON f.id = t.id AND f.name = t.name";
    let read = cluster.sql(both).await.unwrap().collect().await.unwrap();
    assert_eq!(read[0].column(0).as_primitive::<Int64Type>().value(0), 13_334);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn upserts_overwrites_and_assignments_are_those_of_one_process() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 4, ROWS).await;
    for database in Database::each() {
        database.client(&format!(
            "CREATE TABLE t (id BIGINT PRIMARY KEY, {COLUMNS}, note VARCHAR(5) DEFAULT 'given');
             INSERT INTO t (id, name) VALUES (1, 'old'), (2, 'old'), (0, 'zero')"
        ));
        let one = |sql: &str| database.client(sql).join(" ");
        let options = [("on_conflict", "update"), ("writers", "2")];
        let _ = cluster.deregister_table("t");
        register(&cluster, &database, "t", &options).await;
        let columns = "INSERT INTO t (id, name, share, price, day)";
        run(&cluster, &format!("{columns} SELECT * FROM source")).await.unwrap();
        assert_eq!(one("SELECT count(*), max(note) FROM t"), format!("{}|given", ROWS + 1), "{:?}", database.kind);
        assert_eq!(one("SELECT name FROM t WHERE id < 3 ORDER BY id"), "zero row 1 row 2");

        cluster.deregister_table("t").unwrap();
        register(&cluster, &database, "t", &[]).await;
        let overwrite = columns.replace("INTO", "OVERWRITE");
        assert_eq!(run(&cluster, &format!("{overwrite} SELECT * FROM source WHERE id <= 9")).await.unwrap(), 9);
        assert_eq!(one("SELECT count(*), max(name) FROM t"), "9|row 9", "{:?}", database.kind);
        // A number that is no integer, and a text that is one.
        let error = run(&cluster, "INSERT INTO t (id) SELECT share FROM source").await.unwrap_err().to_string();
        assert!(error.contains("id"), "{error}");
        assert_eq!(
            run(&cluster, "INSERT INTO t (id) SELECT CAST(id + 100 AS VARCHAR) FROM source").await.unwrap(),
            ROWS
        );
        assert_eq!(one("SELECT count(*), max(id) FROM t"), format!("{}|{}", ROWS + 9, ROWS + 100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_handed_over_is_refused() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 2, 100).await;
    let place = Database::new(Kind::Postgres);
    place.client(&format!("CREATE TABLE t (id BIGINT, {COLUMNS})"));
    let refused = async |url: &str, options: &[(&str, &str)]| {
        let options = SinkOptions::try_from_pairs(options.iter().copied()).unwrap();
        let table = LandfallTable::connect(url, "t", options).await.unwrap();
        cluster.register_table("refused", Arc::new(table)).unwrap();
        let error = run(&cluster, "INSERT INTO refused SELECT * FROM source").await.unwrap_err().to_string();
        cluster.deregister_table("refused").unwrap();
        assert!(!error.contains("s3cret"), "{error}");
        error
    };
    let with_password = place.url().replace("landfall@", "landfall:s3cret@");
    let error = refused(&with_password, &[]).await;
    assert!(error.contains("contains a password") && error.contains("'password_env'"), "{error}");
    let error = refused(&place.url(), &[("log", "file:///tmp/decisions")]).await;
    assert!(error.contains("file:///tmp/decisions") && error.contains("object store"), "{error}");
    let error = refused(&place.url(), &[("log", &with_password)]).await;
    assert!(error.contains("decision log") && error.contains("contains a password"), "{error}");
    assert_eq!(place.client("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_query_that_may_change_when_it_is_repeated_has_one_writer() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 4, 1_000).await;
    let place = Database::new(Kind::Postgres);
    place.client("CREATE TABLE t (id BIGINT, share DOUBLE PRECISION)");
    register(&cluster, &place, "t", &[]).await;
    let limited = "SELECT other.id, other.share FROM (SELECT id FROM source GROUP BY id LIMIT 70) AS some \
                   JOIN source AS other ON some.id = other.id";
    for (query, writers, rows) in
        [("SELECT id, share FROM source", 4, 1_000), ("SELECT id, random() FROM source", 1, 1_000), (limited, 1, 70)]
    {
        let sql = format!("INSERT INTO t {query}");
        let plan = explain(&cluster, &sql).await;
        assert!(plan.contains(&format!("WriterExec: writers={writers}")), "{sql}: {plan}");
        assert_eq!(run(&cluster, &sql).await.unwrap(), rows, "{sql}");
    }
}

/// A table in each database, and `both` of them together.
async fn fanout(cluster: &SessionContext, options: &[(&str, &str)]) -> [Database; 2] {
    let databases = Database::each();
    let mut members: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
    for (database, name) in databases.iter().zip(["a", "b"]) {
        database.client(&format!("CREATE TABLE t (id BIGINT PRIMARY KEY, {COLUMNS})"));
        let table = LandfallTable::connect(&database.url(), "t", SinkOptions::new()).await.unwrap();
        members.push((name.to_owned(), Arc::new(table)));
    }
    let options = SinkOptions::try_from_pairs(options.iter().copied()).unwrap();
    let both = FanoutTable::try_new("both", members, &options).unwrap();
    let _ = cluster.deregister_table("both");
    cluster.register_table("both", Arc::new(both)).unwrap();
    databases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fanout_table_is_written_in_all_members_or_in_none() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 4, ROWS).await;
    let databases = fanout(&cluster, &[("job", "to both")]).await;
    let insert = INSERT.replace("INTO t", "INTO both");
    let plan = explain(&cluster, &insert).await;
    assert!(plan.contains("WriterExec: writers=4, postgres://") && plan.contains("mysql://"), "{plan}");
    for written in [ROWS, 0] {
        assert_eq!(run(&cluster, &insert).await.unwrap(), written);
        let [first, second] = databases.each_ref().map(|database| database.client(ALL));
        assert_eq!(first.len(), usize::try_from(ROWS).unwrap());
        assert_eq!(first[6], "7|row 7|0.875||2020-01-08");
        assert_eq!(second[6].replace("NULL", ""), first[6]);
        assert_eq!(second.len(), first.len());
    }

    let databases = fanout(&cluster, &[]).await;
    // One of its rows is in the second member already.
    databases[1].client("INSERT INTO t (id) VALUES (39999)");
    let error = run(&cluster, &insert).await.unwrap_err();
    let DataFusionError::External(source) = &error else { panic!("{error:?}") };
    let kind = source.downcast_ref::<Error>().map(Error::kind);
    assert!(kind == Some(ErrorKind::Constraint) && error.to_string().contains("'39999'"), "{error:?}");
    assert_eq!(databases[0].client("SELECT count(*) FROM t"), ["0"]);
    assert_eq!(databases[1].client("SELECT count(*) FROM t"), ["1"]);
    for database in &databases {
        until_nothing_is_prepared(database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn truncate_empties_a_table_and_all_members() {
    let cluster = session(2).await;
    let databases = fanout(&cluster, &[]).await;
    for (database, table) in [(&databases[0], "a"), (&databases[1], "b")] {
        let opened = LandfallTable::connect(&database.url(), "t", SinkOptions::new()).await.unwrap();
        cluster.register_table(table, Arc::new(opened)).unwrap();
    }
    let fill = || databases.iter().for_each(|database| drop(database.client("INSERT INTO t (id) VALUES (1), (2)")));
    let counts = || databases.each_ref().map(|database| database.client("SELECT count(*) FROM t").concat());
    fill();
    datafusion_landfall::sql(&cluster, "TRUNCATE TABLE a").await.unwrap().collect().await.unwrap();
    assert_eq!(counts(), ["0", "2"]);
    let both = "CREATE EXTERNAL TABLE every STORED AS FANOUT LOCATION 'a, b'";
    datafusion_landfall::sql(&cluster, both).await.unwrap();
    let error = run(&cluster, "DELETE FROM every WHERE id = 1").await.unwrap_err().to_string();
    assert!(error.contains("FANOUT") && error.contains("in one process"), "{error}");
    assert_eq!(counts(), ["0", "2"]);
    datafusion_landfall::sql(&cluster, "TRUNCATE TABLE both").await.unwrap().collect().await.unwrap();
    assert_eq!(counts(), ["0", "0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transaction_of_several_statements_is_refused() {
    let cluster = session(2).await;
    let error = datafusion_landfall::begin(&cluster).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("one process"), "{error}");
}

/// An executor that dies after it has prepared a branch leaves its rows locked. The task that writes the same keys again waits
/// for `lock_timeout`, and the statement ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_that_a_prepared_branch_locks_ends_the_statement_after_lock_timeout() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 4, ROWS).await;
    for database in Database::each() {
        database.client(&format!("CREATE TABLE t (id BIGINT PRIMARY KEY, {COLUMNS})"));
        let (prepare, roll_back) = match database.kind {
            Kind::Postgres => (
                "BEGIN; INSERT INTO t (id) VALUES (7); PREPARE TRANSACTION 'of the dead executor'",
                "ROLLBACK PREPARED 'of the dead executor'",
            ),
            Kind::MariaDb => (
                "XA START 'dead'; INSERT INTO t (id) VALUES (7); XA END 'dead'; XA PREPARE 'dead'",
                "XA ROLLBACK 'dead'",
            ),
        };
        database.client(prepare);
        let _ = cluster.deregister_table("t");
        register(&cluster, &database, "t", &[("lock_timeout", "3s"), ("job", "locked")]).await;
        let began = Instant::now();
        let error = run(&cluster, INSERT).await.unwrap_err();
        let took = began.elapsed();
        let DataFusionError::External(source) = &error else { panic!("{error:?}") };
        let kind = source.downcast_ref::<Error>().map(Error::kind);
        assert_eq!(kind, Some(ErrorKind::Locked), "{error:?}");
        println!("{:?}: the statement ended {took:?} after its start, with a lock_timeout of 3 s", database.kind);
        assert!(took > Duration::from_secs(3) && took < Duration::from_secs(20), "{took:?}");
        database.client(roll_back);
        until_nothing_is_prepared(&database).await;
        assert_eq!(run(&cluster, INSERT).await.unwrap(), ROWS, "{:?}", database.kind);
    }
}

/// Ballista keeps the plans of statements that have ended for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_statements_do_not_need_many_connections() {
    let cluster = session(2).await;
    let database = Database::new(Kind::Postgres);
    database.client("CREATE TABLE t (id BIGINT PRIMARY KEY)");
    register(&cluster, &database, "t", &[]).await;
    for id in 0..25 {
        assert_eq!(run(&cluster, &format!("INSERT INTO t SELECT {id}")).await.unwrap(), 1);
    }
    let connections = database.client("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()");
    let connections: u32 = connections.concat().parse().unwrap();
    assert!(connections < 15, "{connections} connections");
}
