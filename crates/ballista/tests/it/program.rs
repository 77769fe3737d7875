//! `landfall sql --ballista`.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::cluster::{files, session_at, start};
use crate::databases::{Database, Kind};

fn landfall(arguments: &[&str]) -> Command {
    let folder = Path::new(env!("CARGO_BIN_EXE_landfall-scheduler")).parent().unwrap();
    let mut command = Command::new(folder.join("examples/landfall"));
    command.args(arguments);
    command
}

/// Runs statements on a cluster; returns what is printed, and whether they succeeded.
async fn sql(cluster: &str, statements: &[&str]) -> (bool, String) {
    let mut arguments = vec!["sql", "--ballista", cluster];
    arguments.extend(statements.iter().flat_map(|statement| ["-c", statement]));
    let mut command = landfall(&arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stdout, stderr } = output.await.unwrap();
    let printed = [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (status.success(), printed)
}

fn create(database: &Database, options: &str) -> String {
    let kind = match database.kind {
        Kind::Postgres => "POSTGRES",
        Kind::MariaDb => "MYSQL",
    };
    format!("CREATE EXTERNAL TABLE t STORED AS {kind} LOCATION '{}' OPTIONS ({options})", database.url())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_program_runs_its_statements_on_a_cluster() {
    let url = start().await;
    let folder = files(&session_at(&url, 2).await, 2, 5_000).await;
    let parquet = folder.path().join("0.parquet").display().to_string();
    for database in Database::each() {
        database.client("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))");
        let create = create(&database, "'job' 'by the program'");
        let insert = format!("INSERT INTO t SELECT id, name FROM '{parquet}'");
        let (done, printed) =
            sql(&url, &[&create, &format!("EXPLAIN {insert}"), &insert, "SELECT sum(id) FROM t"]).await;
        assert!(done && printed.contains("CommitExec") && printed.contains("2500 rows written"), "{printed}");
        assert!(printed.contains("3126250"), "{printed}");
        assert_eq!(database.client("SELECT count(*), sum(id) FROM t"), ["2500|3126250"]);
        let (done, printed) = sql(&url, &[&create, &insert]).await;
        assert!(done && printed.contains("0 rows written") && printed.contains("is finished"), "{printed}");
        let attach = format!("ATTACH '{}' AS d", database.url());
        let table = if database.kind == Kind::Postgres { "d.public.t" } else { "d.t" };
        let (done, printed) = sql(&url, &[&attach, &format!("SELECT count(*), sum(id) FROM {table}")]).await;
        assert!(done && printed.contains("3126250"), "{printed}");
        let create = self::create(&database, "'writers' '2'");
        let (done, printed) = sql(&url, &[&create, "TRUNCATE TABLE t"]).await;
        assert!(done, "{printed}");
        assert_eq!(database.client("SELECT count(*) FROM t"), ["0"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_cluster_does_not_do_is_said() {
    let url = start().await;
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("rows.csv");
    std::fs::write(&csv, "id,name\n1,one\n").unwrap();
    let database = Database::new(Kind::Postgres);
    database.client("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))");
    let create = create(&database, "'writers' '2'");
    let (done, printed) = sql(&url, &[&create, &format!("INSERT INTO t SELECT * FROM '{}'", csv.display())]).await;
    assert!(!done && printed.contains("CREATE EXTERNAL TABLE") && printed.contains("CSV"), "{printed}");
    assert!(!printed.contains("Internal error"), "{printed}");
    let (done, printed) = sql(&url, &[&format!("SELECT * FROM '{}'", csv.display())]).await;
    assert!(!done && printed.contains("STORED AS") && !printed.contains("Internal error"), "{printed}");
    let rejects = self::create(&database, "'reject.max' '5', 'reject.table' 'bad'");
    let (done, printed) = sql(&url, &[&rejects, "INSERT INTO t SELECT 7, 'seven'"]).await;
    assert!(!done && printed.contains("'reject.max'") && !printed.contains("Job "), "{printed}");
    // DataFusion reads it on the executors.
    let external = format!("CREATE EXTERNAL TABLE s STORED AS CSV LOCATION '{}'", csv.display());
    let (done, printed) = sql(&url, &[&create, &external, "INSERT INTO t SELECT id, name FROM s"]).await;
    assert!(done && printed.contains("1 row written"), "{printed}");
    let (done, printed) = sql(&url, &["BEGIN; SELECT 1; COMMIT"]).await;
    assert!(!done && printed.contains("BEGIN is not supported"), "{printed}");
    let (done, printed) = sql("df://localhost:1", &["SELECT count(*) FROM (VALUES (1), (2)) AS v"]).await;
    assert!(!done && printed.contains("the scheduler localhost:1 does not answer"), "{printed}");
    let (done, printed) = sql("nonsense", &["SELECT 1"]).await;
    assert!(!done && printed.contains("df://host:50050"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ctrl_c_rolls_a_statement_back() {
    let url = start().await;
    let folder = files(&session_at(&url, 4).await, 4, 2_000_000).await;
    let database = Database::new(Kind::Postgres);
    database.client("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))");
    let insert = format!("INSERT INTO t SELECT id, name FROM '{}/'", folder.path().display());
    let create = create(&database, "'writers' '2'");
    let mut command = landfall(&["sql", "--ballista", &url, "-c", &create, "-c", &insert]);
    let mut running = command.stderr(Stdio::piped()).spawn().unwrap();
    // Until rows arrive.
    let writes = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'";
    while database.client(writes) == ["0"] {
        assert!(running.try_wait().unwrap().is_none(), "it ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = std::time::Instant::now();
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    let output = tokio::task::spawn_blocking(move || running.wait_with_output().unwrap()).await.unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{printed}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(printed.contains("rolled back"), "{printed}");
    // The executors are told when they prepare.
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
                AND pid <> pg_backend_pid()";
    while database.client(busy) != ["0"] {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(database.client("SELECT count(*) FROM t"), ["0"]);
    assert!(database.prepared().is_empty(), "{:?}", database.prepared());
}
