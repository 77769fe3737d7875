//! How a server can be set up: behind a connection pooler, as a standby, with synchronous commits, without a search path.

use std::fs::{Permissions, set_permissions, write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datafusion::prelude::SessionContext;
use sqlx::{Connection, PgConnection};

use super::{Postgres, port};
use crate::cluster::Cluster;
use crate::landing::{error, says, session};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A command as another user than root, whom servers refuse.
fn as_server(program: &str) -> Command {
    let id = |name: &str| String::from_utf8(Command::new("id").arg(name).output().unwrap().stdout).unwrap();
    if id("-u").trim() != "0" {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", program]);
    command
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A PgBouncer before the server of the tests.
struct Bouncer {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Bouncer {
    fn start(mode: &str) -> Self {
        let (folder, own) = (tempfile::tempdir().unwrap(), free_port());
        set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let file = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=landfall\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {own}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n",
            port()
        );
        write(&file, text).unwrap();
        let mut command = as_server("/usr/sbin/pgbouncer");
        let process = command.arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("on Debian and Ubuntu: apt-get install pgbouncer");
        let bouncer = Self { process, port: own, _folder: folder };
        wait_until("PgBouncer does not start", || std::net::TcpStream::connect(("127.0.0.1", own)).is_ok());
        bouncer
    }

    fn url(&self, server: &Postgres) -> String {
        format!("postgres://landfall@127.0.0.1:{}/{}", self.port, server.database)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_refused_and_its_sessions_stay_as_they_were() {
    let server = Postgres::with_database("CREATE TABLE t (id int)");
    let bouncer = Bouncer::start("transaction");
    for _ in 0..2 {
        let refused = server.register_at(&bouncer.url(&server), "t", "", "").await.unwrap_err().to_string();
        says(&refused, &["pooler", "PgBouncer", "connect directly to the server", "pool_mode = session"]);
    }
    let show = ["-X", "-A", "-t", &bouncer.url(&server), "-c", "SHOW lock_timeout"];
    let shown = Command::new("psql").args(show).output().unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap().trim(), "0", "the settings of Landfall have leaked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_session_mode_works() {
    let server = Postgres::with_database("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let bouncer = Bouncer::start("session");
    for (id, commit) in ["one_phase", "two_phase"].into_iter().enumerate() {
        let options = format!("'table' 't', 'job' '{commit}', 'commit' '{commit}'");
        server.register_at(&bouncer.url(&server), commit, "", &options).await.unwrap();
        for _ in 0..2 {
            let insert = format!("INSERT INTO {commit} VALUES ({id}, 'x')");
            server.sql(&insert).await.unwrap();
        }
    }
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["2"]);
    assert_eq!(server.read("SELECT v FROM one_phase").await, ["x", "x"]);
}

/// A replica of a cluster, which is started in its folder.
fn start_standby(cluster: &Cluster, url: &str) -> String {
    let folder = cluster.folder.path();
    let bin = Command::new(crate::program::repository().join("tests/postgres")).arg("bin").output().unwrap();
    let bin = String::from_utf8(bin.stdout).unwrap().trim().to_owned();
    let program = |name: &str| Path::new(&bin).join(name).display().to_string();
    let control = folder.join("data/pg_hba.conf");
    let rules = std::fs::read_to_string(&control).unwrap();
    write(&control, rules + "host replication all 127.0.0.1/32 trust\n").unwrap();
    assert!(psql(url, "SELECT pg_reload_conf()").is_ok());
    let primary: url::Url = url.parse().unwrap();
    let own = free_port().to_string();
    let data = folder.join("standby").display().to_string();
    let copied = as_server(&program("pg_basebackup"))
        .args(["-h", "127.0.0.1", "-p", &primary.port().unwrap().to_string(), "-U", "landfall", "-R", "-D", &data])
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let log = folder.join("standby.log").display().to_string();
    let started = as_server(&program("pg_ctl"))
        .args(["-D", &data, "-l", &log, "-s", "-w", "-o", &format!("-p {own}"), "start"])
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(started.success(), "{}", std::fs::read_to_string(log).unwrap_or_default());
    format!("postgres://landfall@127.0.0.1:{own}/landfall")
}

fn stop_standby(cluster: &Cluster) {
    let pid = std::fs::read_to_string(cluster.folder.path().join("standby/postmaster.pid")).unwrap();
    assert!(Command::new("kill").args(["-QUIT", pid.lines().next().unwrap()]).status().unwrap().success());
}

fn psql(url: &str, sql: &str) -> Result<String, String> {
    let output = Command::new("psql").args(["-X", "-q", "-A", "-t", url, "-c", sql]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

async fn register(context: &SessionContext, name: &str, url: &str, options: &str) {
    let sql = format!(
        "CREATE EXTERNAL TABLE {name} STORED AS POSTGRES LOCATION '{url}' OPTIONS ('table' 'public.t'{options})"
    );
    context.sql(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_can_be_read_and_says_that_it_cannot_be_written() {
    let (cluster, url) = Cluster::start("postgres");
    psql(&url, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (7)").unwrap();
    let standby = start_standby(&cluster, &url);
    let context = session();
    for (name, options) in [("a", ""), ("b", ", 'commit' 'two_phase'"), ("c", ", 'job' 'j'")] {
        register(&context, name, &standby, options).await;
        assert_eq!(crate::landing::read(&context, &format!("SELECT id FROM {name}")).await, ["7"]);
        for statement in ["INSERT INTO # VALUES (1)", "DELETE FROM # WHERE id = 7", "REPLACE INTO # VALUES (7)"] {
            let said = error(&context, &statement.replace('#', name)).await;
            says(&said, &["the server is read-only: if it is a standby, connect to the primary"]);
        }
    }
    stop_standby(&cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_for_a_standby_is_waited_for() {
    let (_cluster, url) = Cluster::start("postgres");
    psql(&url, "CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    // The decisions of the ledger, too, would wait: without a job there are none.
    psql(&url, "ALTER SYSTEM SET synchronous_standby_names = '*'").unwrap();
    psql(&url, "SELECT pg_reload_conf()").unwrap();
    let context = session();
    register(&context, "t", &url, ", 'socket_timeout' '300ms', 'lock_timeout' '300ms', 'retry.max' '0'").await;
    let insert = tokio::spawn(async move { context.sql("INSERT INTO t VALUES (1)").await.unwrap().collect().await });
    tokio::time::sleep(Duration::from_secs(4)).await;
    let waits =
        psql(&url, "SELECT wait_event FROM pg_stat_activity WHERE application_name = 'landfall' AND state = 'active'");
    assert_eq!(waits.unwrap(), "SyncRep");
    assert!(!insert.is_finished(), "the commit was given up");
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("ALTER SYSTEM RESET synchronous_standby_names").execute(&mut other).await.unwrap();
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut other).await.unwrap();
    insert.await.unwrap().unwrap();
    assert_eq!(psql(&url, "SELECT id FROM t").unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_search_path_rows_are_staged_beside_their_table() {
    let server =
        Postgres::with_database("CREATE SCHEMA \"My.Own\"; CREATE TABLE \"My.Own\".t (id int PRIMARY KEY, v text)");
    let url = format!("postgres://landfall@localhost:{}/{}?options=-csearch_path%3D", port(), server.database);
    let ledger = std::fs::read_to_string(crate::program::repository().join("sql/ledger/postgres.sql")).unwrap();
    psql(&url, &ledger.replace("landfall_ledger", "\"My.Own\".ledger")).unwrap();
    let options =
        "'table' '\"My.Own\".t', 'ledger_table' '\"My.Own\".ledger', 'commit' 'two_phase', 'on_conflict' 'update'";
    server.register_at(&url, "t", "", options).await.unwrap();
    server.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')").await.unwrap();
    server.sql("INSERT INTO t VALUES (2, 'c'), (3, 'd')").await.unwrap();
    server.sql("UPDATE t SET v = concat(v, 'e') WHERE id > 2").await.unwrap();
    assert_eq!(server.rows("SELECT * FROM \"My.Own\".t ORDER BY id"), ["1|a", "2|c", "3|de"]);
    assert_eq!(server.rows("SELECT relname FROM pg_class WHERE relname LIKE 'landfall_stage%'"), [""; 0]);
}
