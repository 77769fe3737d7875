//! The network between Landfall and a server fails at each message of their protocols: it is cut, it stalls, or it is late.
//! Afterwards, and after the next run of the job, each row is stored once, nothing is in doubt, and no run took longer than
//! its time-outs.
//!
//! A few of the cases run by default; `LANDFALL_TEST_NETWORK=all` runs all of them, and another value those whose text
//! contains it. `LANDFALL_TEST_SEED` chooses the bytes.

mod proxy;
mod stopped;

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use proxy::{At, Fault, Proxy, Wire};

use crate::cluster::Cluster;
use crate::mysql::client;

const ROWS: u32 = 20_000;

/// The sum of the time-outs that a run with [`OPTIONS`] can meet at one fault, and the time that it takes otherwise.
const LONGEST: Duration = Duration::from_secs(40);

const OPTIONS: &str = "'socket_timeout' '1s', 'lock_timeout' '1s', 'pool.acquire_timeout' '2s'";

const RETRY: &str = "'job' 'the job', 'retry.max' '5', 'retry.backoff' '100ms'";

/// How the job commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    OnePhase,
    TwoPhase,
    /// To both databases; the decision is in the first.
    Fanout,
}

const MODES: [Mode; 3] = [Mode::OnePhase, Mode::TwoPhase, Mode::Fanout];

const FAULTS: [Fault; 5] = [Fault::CutBefore, Fault::CutAfter, Fault::StallBefore, Fault::StallAfter, Fault::Late];

/// The steps of a job, and how they commit. The first ledger record and the first COMMIT claim the job.
fn steps(wire: Wire) -> Vec<(At, &'static [Mode])> {
    use Mode::*;
    const TWO: &[Mode] = &[TwoPhase, Fanout];
    const OWN: &[Mode] = &[OnePhase, TwoPhase];
    match wire {
        Wire::Postgres => vec![
            (At::Message("INSERT INTO landfall_ledger", 0), &MODES),
            (At::Message("COMMIT", 0), &MODES),
            (At::Message("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL", 0), &MODES),
            (At::Message("COPY ", 0), &MODES),
            (At::Message("<data>", 2), &MODES),
            (At::Message("<end>", 0), &MODES),
            (At::Message("PREPARE TRANSACTION", 0), TWO),
            // With one phase, the connection that claimed the job knows the statement.
            (At::Message("INSERT INTO landfall_ledger", 1), TWO),
            (At::Message("COMMIT", 1), &MODES),
            (At::Message("COMMIT PREPARED", 0), TWO),
        ],
        // A FANOUT job has its ledger in PostgreSQL.
        Wire::MySql => vec![
            (At::Message("INSERT INTO landfall_ledger", 0), OWN),
            (At::Message("COMMIT", 0), OWN),
            (At::Message("START TRANSACTION READ WRITE", 1), &[OnePhase]),
            (At::Message("XA START", 0), TWO),
            (At::Message("LOAD DATA", 0), &MODES),
            (At::Message("<data>", 1), &MODES),
            (At::Message("<end>", 0), &MODES),
            (At::Message("XA END", 0), TWO),
            (At::Message("XA PREPARE", 0), TWO),
            (At::Message("INSERT INTO landfall_ledger", 1), &[TwoPhase]),
            (At::Message("COMMIT", 1), OWN),
            (At::Message("XA COMMIT", 0), TWO),
        ],
    }
}

#[derive(Debug, Clone)]
struct Case {
    wire: Wire,
    mode: Mode,
    at: At,
    fault: Fault,
}

/// Which cases are wanted beside the short list.
fn wanted() -> Option<String> {
    std::env::var("LANDFALL_TEST_NETWORK").ok()
}

/// All cases, or for each step one fault in one mode, by turns; and some bytes.
fn cases(wire: Wire) -> Vec<Case> {
    let (mut cases, wanted) = (Vec::new(), wanted());
    for (number, (at, modes)) in steps(wire).into_iter().enumerate() {
        let of_step = modes.iter().flat_map(|mode| FAULTS.map(|fault| (*mode, fault)));
        let of_step: Vec<_> = of_step.collect();
        let chosen = match &wanted {
            Some(_) => of_step,
            None => vec![of_step[number * 4 % of_step.len()]],
        };
        cases.extend(chosen.into_iter().map(|(mode, fault)| Case { wire, mode, at: at.clone(), fault }));
    }
    let seed = std::env::var("LANDFALL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("LANDFALL_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..if wanted.is_some() { 60 } else { 2 } {
        let (mode, at) = (MODES[random.usize(..3)], At::Byte(random.usize(1..600_000)));
        let fault = [Fault::CutBefore, Fault::StallBefore][random.usize(..2)];
        cases.push(Case { wire, mode, at, fault });
    }
    if let Some(part) = wanted.filter(|wanted| wanted != "all") {
        cases.retain(|case| format!("{case:?}").contains(&part));
    }
    cases
}

/// Both servers.
struct Servers {
    _clusters: [Cluster; 2],
    postgres: String,
    mysql: String,
}

impl Servers {
    fn start() -> Self {
        let (postgres, mysql) = (Cluster::start("postgres"), Cluster::start("mysql"));
        Self { _clusters: [postgres.0, mysql.0], postgres: postgres.1, mysql: mysql.1 }
    }

    fn psql(&self, schema: &str, sql: &str) -> Vec<String> {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", &self.postgres, "-c", sql]);
        let output = command.env("PGOPTIONS", format!("-csearch_path={schema}")).output().unwrap();
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn mariadb(&self, database: &str, sql: &str) -> Vec<String> {
        client(&self.mysql.parse().unwrap(), database, sql).unwrap()
    }

    fn port(url: &str) -> u16 {
        url.parse::<url::Url>().unwrap().port().unwrap()
    }
}

/// A schema in PostgreSQL and a database in MariaDB, of one case.
struct Job<'s> {
    servers: &'s Servers,
    name: String,
    postgres: Proxy,
    mysql: Proxy,
}

impl<'s> Job<'s> {
    fn new(servers: &'s Servers) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("n{}", COUNT.fetch_add(1, Relaxed));
        servers.psql("public", &format!("CREATE SCHEMA {name}"));
        servers.mariadb("landfall", &format!("CREATE DATABASE {name}"));
        let table = "CREATE TABLE t (id bigint PRIMARY KEY, name text)";
        servers.psql(&name, table);
        servers.mariadb(&name, table);
        Self {
            servers,
            name,
            postgres: Proxy::new(Wire::Postgres, Servers::port(&servers.postgres)),
            mysql: Proxy::new(Wire::MySql, Servers::port(&servers.mysql)),
        }
    }

    fn proxy(&self, wire: Wire) -> &Proxy {
        match wire {
            Wire::Postgres => &self.postgres,
            Wire::MySql => &self.mysql,
        }
    }

    /// The databases that are written.
    fn wires(case: &Case) -> Vec<Wire> {
        match case.mode {
            Mode::Fanout => vec![Wire::Postgres, Wire::MySql],
            _ => vec![case.wire],
        }
    }

    fn script(&self, case: &Case) -> String {
        let commit = match case.mode {
            Mode::OnePhase => "'commit' 'one_phase', ",
            Mode::TwoPhase => "'commit' 'two_phase', 'writers' '1', ",
            Mode::Fanout => "",
        };
        let is_fanout = case.mode == Mode::Fanout;
        let job = if is_fanout { String::new() } else { format!(", {commit}{RETRY}") };
        let writers = if is_fanout { ", 'writers' '1'" } else { "" };
        let mut script = String::new();
        for wire in Self::wires(case) {
            let (port, own) = (self.proxy(wire).port, &self.name);
            let (name, stored_as, location) = match wire {
                Wire::Postgres => {
                    let parameters = format!("sslmode=disable&options=-csearch_path%3D{own}");
                    ("p", "POSTGRES", format!("postgres://landfall@127.0.0.1:{port}/landfall?{parameters}"))
                }
                Wire::MySql => ("m", "MYSQL", format!("mysql://landfall@127.0.0.1:{port}/{own}?ssl-mode=disabled")),
            };
            script += &format!(
                "CREATE EXTERNAL TABLE {name} STORED AS {stored_as} LOCATION '{location}' \
                 OPTIONS ('table' 't', {OPTIONS}{writers}{job}); "
            );
        }
        let table = match (case.mode, case.wire) {
            (Mode::Fanout, _) => {
                script += &format!("CREATE EXTERNAL TABLE f STORED AS FANOUT LOCATION 'p, m' OPTIONS ({RETRY}); ");
                "f"
            }
            (_, Wire::Postgres) => "p",
            (_, Wire::MySql) => "m",
        };
        script + &format!("INSERT INTO {table} SELECT value, 'text ' || value FROM generate_series(1, {ROWS})")
    }

    fn run(&self, case: &Case) -> (Output, Duration) {
        let began = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        let output = command.args(["sql", "-c", &self.script(case)]).stdin(Stdio::null()).output().unwrap();
        (output, began.elapsed())
    }

    /// The number of rows of each table that is written. Each is one of the input.
    fn rows(&self, case: &Case) -> Vec<u32> {
        let count = "SELECT count(*), coalesce(sum(CASE WHEN id BETWEEN 1 AND 20000 AND name = concat('text ', id) \
                     THEN 1 ELSE 0 END), 0) FROM t";
        let of_each = Self::wires(case).into_iter().map(|wire| {
            let counts = match wire {
                Wire::Postgres => self.servers.psql(&self.name, count),
                Wire::MySql => self.servers.mariadb(&self.name, count),
            };
            let counts: Vec<u32> = counts[0].split('|').map(|count| count.parse().unwrap()).collect();
            assert_eq!(counts[0], counts[1], "{case:?}: rows that are not of the input");
            counts[0]
        });
        of_each.collect()
    }

    fn in_doubt(&self) -> Vec<String> {
        let mut found = self.servers.psql(&self.name, "SELECT gid FROM pg_prepared_xacts");
        found.extend(self.servers.mariadb(&self.name, "XA RECOVER"));
        found
    }
}

/// Runs a case.
fn fails_once(servers: &Servers, case: &Case) {
    let job = Job::new(servers);
    job.proxy(case.wire).fail(case.at.clone(), case.fault);
    let (first, took) = job.run(case);
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    println!("{case:?}: {} after {took:.1?}: {said}", first.status);
    assert!(!said.contains("panicked"), "{case:?}");
    assert!(took < LONGEST, "{case:?}: it took {took:?}: {said}");
    if matches!(case.at, At::Message(..)) {
        assert_eq!(job.proxy(case.wire).failures(), 1, "{case:?}: the network has not failed");
    }
    let all = vec![ROWS; Job::wires(case).len()];
    if first.status.success() {
        assert_eq!(job.rows(case), all, "{case:?}: after its first run");
    }
    job.proxy(case.wire).wait_for_late();
    job.proxy(case.wire).heal();
    let (second, took) = job.run(case);
    assert!(second.status.success() && took < LONGEST, "{case:?}: after {took:?}, {second:?}\nthe first said: {said}");
    assert_eq!(job.rows(case), all, "{case:?}");
    assert_eq!(job.in_doubt(), [""; 0], "{case:?}");
    servers.psql("public", &format!("DROP SCHEMA {} CASCADE", job.name));
    servers.mariadb("landfall", &format!("DROP DATABASE {}", job.name));
}

#[test]
fn a_network_that_fails_loses_and_doubles_nothing_in_postgres() {
    let servers = Servers::start();
    cases(Wire::Postgres).iter().for_each(|case| fails_once(&servers, case));
}

#[test]
fn a_network_that_fails_loses_and_doubles_nothing_in_mariadb() {
    let servers = Servers::start();
    cases(Wire::MySql).iter().for_each(|case| fails_once(&servers, case));
}
