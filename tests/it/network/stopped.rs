//! A server whose processes are stopped: its machine acknowledges everything, and answers nothing.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::landing::says;
use crate::mysql::client;

/// A server, and how it is looked at.
struct Server {
    cluster: Cluster,
    url: String,
    stored_as: &'static str,
}

impl Server {
    fn start(script: &'static str, stored_as: &'static str) -> Self {
        let (cluster, url) = Cluster::start(script);
        let server = Self { cluster, url, stored_as };
        server.ask("CREATE TABLE t (id bigint, v text)");
        server
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        if self.stored_as == "MYSQL" {
            return client(&self.url.parse().unwrap(), "landfall", sql).unwrap();
        }
        let output = Command::new("psql").args(["-X", "-q", "-A", "-t", &self.url, "-c", sql]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Its processes.
    fn processes(&self) -> Vec<String> {
        let file = if self.stored_as == "MYSQL" { "pid" } else { "data/postmaster.pid" };
        let text = std::fs::read_to_string(self.cluster.folder.path().join(file)).unwrap();
        let first = text.lines().next().unwrap().trim().to_owned();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &first]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let children: Vec<_> = children.split_whitespace().map(str::to_owned).collect();
        // The first one starts others.
        std::iter::once(first).chain(children).collect()
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).args(self.processes()).status().unwrap();
        assert!(status.success());
    }

    /// An INSERT that goes on until somebody stops it, once it sends rows.
    fn write(&self, options: &str) -> Child {
        let sql = format!(
            "CREATE EXTERNAL TABLE t STORED AS {} LOCATION '{}' OPTIONS ('writers' '1'{options}); \
             INSERT INTO t SELECT value, 'text ' || value FROM generate_series(1, 100000000)",
            self.stored_as, self.url
        );
        let mut program = Command::new(env!("CARGO_BIN_EXE_landfall"));
        let child = program.args(["sql", "-c", &sql]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = child.stderr(Stdio::piped()).spawn().unwrap();
        let sending = match self.stored_as {
            "MYSQL" => "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'LOAD DATA%'",
            _ => "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND application_name = 'landfall'",
        };
        let began = Instant::now();
        while self.ask(sending) == ["0"] {
            assert!(began.elapsed() < Duration::from_secs(60), "no rows are sent");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        child
    }

    /// Whether nothing was written, and nothing holds a lock.
    fn is_as_before(&self) {
        let (began, url) = (Instant::now(), self.url.parse().unwrap());
        let is_locked = || match self.stored_as {
            "MYSQL" => client(&url, "landfall", "SET lock_wait_timeout = 1; LOCK TABLES t WRITE").is_err(),
            _ => self.ask("BEGIN; LOCK TABLE t NOWAIT; SELECT 'locked'") != ["locked"],
        };
        // It takes back a million rows.
        while is_locked() {
            assert!(began.elapsed() < Duration::from_secs(60), "a transaction is left");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(self.ask("SELECT count(*) FROM t"), ["0"]);
    }
}

fn a_stopped_server_is_given_up(script: &'static str, stored_as: &'static str, step: &str) {
    let server = Server::start(script, stored_as);
    let options = ", 'socket_timeout' '1s', 'lock_timeout' '1s', 'pool.acquire_timeout' '1s', 'retry.max' '1'";
    let child = server.write(options);
    server.signal("-STOP");
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    let (took, said) = (began.elapsed(), String::from_utf8_lossy(&output.stderr).into_owned());
    server.signal("-CONT");
    assert_eq!(output.status.code(), Some(1), "{said}");
    // Two attempts: the first notices it at its rows, the second when it connects.
    assert!(took < Duration::from_secs(20), "it took {took:?}: {said}");
    says(&said, &[&format!("did not answer {step} within 2s"), "socket_timeout", "did not respond within 1s"]);
    server.is_as_before();

    // Without a shorter time-out it waits, says so, and can be stopped.
    let mut child = server.write("");
    server.signal("-STOP");
    let (mut stderr, mut said) = (BufReader::new(child.stderr.take().unwrap()), String::new());
    while !said.contains("still waiting") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    let began = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    stderr.read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    let took = began.elapsed();
    server.signal("-CONT");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(took < Duration::from_millis(2_500), "Ctrl-C took {took:?}: {said}");
    says(&said, &[&format!("has not answered {step} for 10s"), &server.url, "rolled back, and nothing was written"]);
    server.is_as_before();
}

#[test]
fn a_postgres_that_is_stopped_is_given_up() {
    a_stopped_server_is_given_up("postgres", "POSTGRES", "COPY");
}

#[test]
fn a_mariadb_that_is_stopped_is_given_up() {
    a_stopped_server_is_given_up("mysql", "MYSQL", "LOAD DATA");
}
