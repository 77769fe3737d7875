//! What can go wrong between here and a server: the error says what to do, and the table is as it was.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::{Postgres, folder, port, psql};
use crate::cluster::Cluster;
use crate::landing::says;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_used_says_why() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    let at = |url: String| {
        let server = &server;
        async move { server.register_at(&url, "x", "", "'table' 't'").await.unwrap_err().to_string() }
    };
    let port = port();
    says(
        &at("postgres://landfall@localhost:1/landfall".into()).await,
        &["could not connect to postgres://landfall@localhost:1/landfall", "check the host and the port"],
    );
    says(
        &at(format!("postgres://landfall@localhost:{port}/nosuch")).await,
        &["the database does not exist", "\"nosuch\""],
    );
    says(&at(format!("postgres://nobody@localhost:{port}/landfall")).await, &["\"nobody\"", "authentication failed"]);
    let wrong = at(format!("postgres://secretive:wrong@localhost:{port}/landfall")).await;
    says(&wrong, &["password authentication failed", "password_env"]);
    assert!(!wrong.contains("wrong@"), "{wrong}");
    says(&at(format!("postgres://landfall@localhost:{port}/landfall?sslmod=disable")).await, &["'sslmod'"]);
    says(&at("localhost/landfall".into()).await, &["postgres://user@host:port/database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named() {
    let server = Postgres::new("CREATE TABLE t (id int); CREATE TABLE j (id int)");
    server.rows(&format!(
        "GRANT USAGE ON SCHEMA {} TO reader; GRANT SELECT ON t TO reader; GRANT SELECT, INSERT ON j TO reader",
        server.schema
    ));
    server.register_at(&server.url_as("reader"), "t", "", "").await.unwrap();
    says(
        &server.error("INSERT INTO t VALUES (1)").await,
        &["permission denied for table t", "grant the privilege to the user"],
    );
    assert!(server.read("SELECT * FROM t").await.is_empty());
    server.register_at(&server.url_as("reader"), "j", "", "'job' 'load'").await.unwrap();
    says(
        &server.error("INSERT INTO j VALUES (1)").await,
        &["landfall_ledger", "PRIMARY KEY (job, epoch)", "GRANT SELECT, INSERT, DELETE", "ledger_table"],
    );
    let error = server.register_at(&server.url_as("reader"), "made", "(a INT)", "").await.unwrap_err();
    says(&error.to_string(), &["creating table made", "permission denied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_says_so() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    server.rows(&format!("GRANT USAGE ON SCHEMA {} TO single; GRANT ALL ON t TO single", server.schema));
    server.register_at(&server.url_as("single"), "t", "", "'pool.idle_timeout' '1ms'").await.unwrap();
    // The connection that described the table is not used any more.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let taken = PgConnection::connect(&server.url_as("single")).await.unwrap();
    says(&server.error("INSERT INTO t VALUES (1)").await, &["too many connections"]);
    taken.close().await.unwrap();
    let mut waited = 0;
    while let Err(error) = server.sql("INSERT INTO t VALUES (1)").await {
        says(&error.to_string(), &["too many connections"]);
        waited += 1;
        assert!(waited < 50, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.rows("SELECT * FROM t"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_is_waited_for_as_long_as_the_option_says() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    server.register("t", "", "'lock_timeout' '200ms'").await.unwrap();
    let mut holder = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE t").execute(&mut holder).await.unwrap();
    let began = Instant::now();
    says(&server.error("INSERT INTO t VALUES (1)").await, &["lock", "'lock_timeout' (200ms)"]);
    assert!(began.elapsed() < Duration::from_secs(5));
    // Who reads does not stop an overwrite: the rows are deleted, not truncated.
    sqlx::raw_sql("ROLLBACK; BEGIN; SELECT * FROM t").execute(&mut holder).await.unwrap();
    server.sql("INSERT OVERWRITE t VALUES (2)").await.unwrap();
    assert_eq!(server.rows("SELECT * FROM t"), ["2"]);
}

/// An INSERT that goes on until somebody stops it.
fn endless(options: &str, url: &str) -> Child {
    let sql = format!(
        "CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{url}' OPTIONS ({options}'retry.max' '0'); \
         INSERT INTO t SELECT value, 'text ' || value FROM generate_series(1, 100000000)"
    );
    Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["sql", "-c", &sql])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_for(what: &str, sql: &str, wanted: &str) {
    let began = Instant::now();
    while psql("public", sql).unwrap() != [wanted] {
        assert!(began.elapsed() < Duration::from_secs(60), "no {what}: {sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const BACKENDS: &str = "pg_stat_activity WHERE application_name = 'landfall' AND query LIKE 'COPY";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_mid_copy_leaves_nothing() {
    let server = Postgres::new("CREATE TABLE cut_here (id bigint, v text)");
    let child = endless("'table' 'cut_here', ", &server.url());
    let copying = format!("{BACKENDS} %cut_here%' AND state = 'active'");
    wait_for("COPY", &format!("SELECT count(*) > 0 FROM {copying}"), "t");
    std::thread::sleep(Duration::from_millis(300));
    server.rows(&format!("SELECT pg_terminate_backend(pid) FROM {copying}"));
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    says(&error, &["run the statement again"]);
    assert_eq!(server.rows("SELECT count(*) FROM cut_here"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_killed_leaves_nothing_and_its_job_can_run_again() {
    let server = Postgres::new("CREATE TABLE killed (id bigint, v text)");
    for _ in 0..3 {
        let mut child = endless("'table' 'killed', 'job' 'load', ", &server.url());
        let copying = format!("SELECT count(*) > 0 FROM {BACKENDS} %killed%'");
        wait_for("COPY", &copying, "t");
        std::thread::sleep(Duration::from_millis(200));
        child.kill().unwrap();
        child.wait().unwrap();
        wait_for("end of the session", &copying, "f");
        assert_eq!(server.rows("SELECT count(*) FROM killed"), ["0"]);
    }
    server.register("t", "", "'table' 'killed', 'job' 'load'").await.unwrap();
    for _ in 0..2 {
        server.sql("INSERT INTO t VALUES (1, 'once')").await.unwrap();
    }
    says(&server.error("INSERT INTO t VALUES (1, 'twice')").await, &["has run another INSERT"]);
    assert_eq!(server.rows("SELECT v FROM killed"), ["once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_mid_copy_ends_the_write() {
    let (cluster, url) = Cluster::start("postgres");
    let mut client = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (id bigint, v text)").execute(&mut client).await.unwrap();
    let child = endless("", &url);
    let began = Instant::now();
    let copying = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND application_name = 'landfall'";
    while sqlx::query_scalar::<_, i64>(copying).fetch_one(&mut client).await.unwrap() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "no COPY");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = std::fs::read_to_string(cluster.folder.path().join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap();
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    says(&String::from_utf8_lossy(&output.stderr), &["connection", "run the statement again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_rolls_back() {
    // A tablespace of two megabytes; only root may make one.
    let space = folder().join("space");
    if std::fs::create_dir(&space).is_err() || !as_root(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs"], &space) {
        println!("skipped: a small file system can be mounted by root only");
        return;
    }
    as_root(&["chown", "--reference", folder().join("data").to_str().unwrap()], &space);
    as_root(&["chmod", "700"], &space);
    let server = Postgres::new("");
    psql("public", &format!("CREATE TABLESPACE small LOCATION '{}'", space.display())).unwrap();
    server.rows("CREATE TABLE t (id bigint, v text) TABLESPACE small");
    server.register("t", "", "").await.unwrap();
    let error = server.error("INSERT INTO t SELECT value, 'text ' || value FROM generate_series(1, 1000000)").await;
    let rows = server.rows("SELECT count(*) FROM t");
    server.rows("DROP TABLE t; CHECKPOINT");
    psql("public", "DROP TABLESPACE small").unwrap();
    as_root(&["umount"], &space);
    says(&error, &["full", "free space", "No space left"]);
    assert_eq!(rows, ["0"]);
}

fn as_root(command: &[&str], folder: &std::path::Path) -> bool {
    let status = Command::new(command[0]).args(&command[1..]).arg(folder).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_a_statement_that_the_server_works_on() {
    let server = Postgres::new(
        "CREATE TABLE slow (id int PRIMARY KEY); \
         CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$; \
         CREATE TRIGGER sleep BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION sleep()",
    );
    let busy = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{}%' AND wait_event = 'PgSleep'",
        server.schema
    );
    for statement in ["INSERT INTO t VALUES (1)", "REPLACE INTO t VALUES (1)"] {
        let sql = format!(
            "CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{}' OPTIONS ('table' '{}.slow'); {statement}",
            server.url(),
            server.schema
        );
        let child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["sql", "-c", &sql])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("sleep", &busy, "1");
        let began = Instant::now();
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(20), "{statement} went on");
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        says(&String::from_utf8_lossy(&output.stderr), &["rolled back, and nothing was written"]);
        wait_for("end of it", &busy, "0");
        assert_eq!(server.rows("SELECT count(*) FROM slow"), ["0"]);
    }
}

/// A COPY ends with a few bytes, which TCP would hold back for 40 ms.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_insert_is_not_held_back() {
    let server = Postgres::new("CREATE TABLE t (id int)");
    server.register("t", "", "'writers' '1'").await.unwrap();
    let mut times = Vec::new();
    for id in 0..30 {
        server.sql(&format!("INSERT INTO t VALUES ({id})")).await.unwrap();
        let plan = server.sql(&format!("EXPLAIN ANALYZE INSERT INTO t VALUES ({})", id + 100)).await.unwrap();
        let plan = datafusion::arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
        let sent = plan.split("send_time=").nth(1).unwrap().split([',', ']']).next().unwrap();
        let unit = sent.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = sent.trim_end_matches(unit).parse().unwrap();
        times.push(
            number
                * if unit == "ms" {
                    1.0
                } else if unit == "s" {
                    1e3
                } else {
                    1e-3
                },
        );
    }
    // The machine may be busy, but not each time.
    times.sort_by(f64::total_cmp);
    assert!(times[3] < 30.0, "sending a row takes {times:?} ms");
}
