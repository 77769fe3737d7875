//! The program and the server die at every moment, and the next run makes it whole: all rows, each once, and nothing
//! left behind. The points at which the program dies are those of the feature `failpoints`.
//!
//! The long forms: tests/run -- --ignored crash

#[cfg(feature = "failpoints")]
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fastrand::Rng;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::landing::says;
use crate::mysql::client;

/// Rows of the input.
const ROWS: u64 = 20_000;

/// Files that a job with checkpoints reads.
const FILES: u64 = 8;

/// What is written, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    OnePhase,
    TwoPhase,
    /// The key is built after the rows.
    Rebuild,
    FourWriters,
    /// By key, through tables for staging, decided in a folder.
    FourUpserts,
    Sqlite,
    PostgresAndSqlite,
    MariaDb,
    MariaDbFourWriters,
    MariaDbFourUpserts,
    MariaDbAndSqlite,
    /// Decided in MariaDB.
    MariaDbAndPostgres,
    /// Decided in PostgreSQL.
    PostgresAndMariaDb,
}

const SCENES: [Scene; 13] = [
    Scene::OnePhase,
    Scene::TwoPhase,
    Scene::Rebuild,
    Scene::FourWriters,
    Scene::FourUpserts,
    Scene::Sqlite,
    Scene::PostgresAndSqlite,
    Scene::MariaDb,
    Scene::MariaDbFourWriters,
    Scene::MariaDbFourUpserts,
    Scene::MariaDbAndSqlite,
    Scene::MariaDbAndPostgres,
    Scene::PostgresAndMariaDb,
];

/// A database that a scene writes to, the one that decides first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Postgres,
    MariaDb,
    Sqlite,
}

impl Scene {
    fn members(self) -> &'static [Member] {
        match self {
            Self::OnePhase | Self::TwoPhase | Self::Rebuild | Self::FourWriters | Self::FourUpserts => {
                &[Member::Postgres]
            }
            Self::Sqlite => &[Member::Sqlite],
            Self::PostgresAndSqlite => &[Member::Sqlite, Member::Postgres],
            Self::MariaDb | Self::MariaDbFourWriters | Self::MariaDbFourUpserts => &[Member::MariaDb],
            Self::MariaDbAndSqlite => &[Member::Sqlite, Member::MariaDb],
            Self::MariaDbAndPostgres => &[Member::MariaDb, Member::Postgres],
            Self::PostgresAndMariaDb => &[Member::Postgres, Member::MariaDb],
        }
    }

    fn is_upsert(self) -> bool {
        matches!(self, Self::FourUpserts | Self::MariaDbFourUpserts)
    }

    /// The options of each member.
    fn options(self, stage: &Stage) -> String {
        match self {
            Self::OnePhase | Self::MariaDb => "'commit' 'one_phase'".into(),
            Self::TwoPhase => "'commit' 'two_phase', 'writers' '1'".into(),
            Self::Rebuild => "'indexes' 'rebuild'".into(),
            Self::FourWriters | Self::MariaDbFourWriters => "'writers' '4'".into(),
            Self::FourUpserts | Self::MariaDbFourUpserts => {
                format!("'writers' '4', 'log' 'file://{}'", stage.log().display())
            }
            Self::Sqlite => "'lock_timeout' '5s'".into(),
            _ => "'writers' '2'".into(),
        }
    }
}

/// Whether a run is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Job,
    Statement,
    /// A job with checkpoints, over files.
    Epochs,
}

struct Stage {
    clusters: [Cluster; 2],
    postgres: String,
    mysql: String,
    folder: TempDir,
    input: TempDir,
    rows: u64,
    /// Rows from one checkpoint to the next.
    every: u64,
}

impl Stage {
    fn new() -> Self {
        Self::with_rows(ROWS, 1_500)
    }

    fn with_rows(rows: u64, every: u64) -> Self {
        let (postgres, mysql) = (Cluster::start("postgres"), Cluster::start("mysql"));
        let clusters = [postgres.0, mysql.0];
        let (folder, input) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for file in 0..FILES {
            let ids = file * rows / FILES + 1..=(file + 1) * rows / FILES;
            let lines: String = ids.map(|id| format!("{id},text {id}\n")).collect();
            std::fs::write(input.path().join(format!("{file}.csv")), format!("id,name\n{lines}")).unwrap();
        }
        Self { clusters, postgres: postgres.1, mysql: mysql.1, folder, input, rows, every }
    }

    fn psql(&self, sql: &str) -> Vec<String> {
        let psql = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &self.postgres, "-c", sql];
        let output = Command::new("psql").args(psql).output().unwrap();
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn mariadb(&self, sql: &str) -> Vec<String> {
        client(&self.mysql.parse().unwrap(), "landfall", sql).unwrap()
    }

    fn sqlite(&self) -> std::path::PathBuf {
        self.folder.path().join("b.db")
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    /// Empty tables, and no memory of what was before.
    fn clear(&self, scene: Scene) {
        let key = if scene.is_upsert() || scene == Scene::Rebuild { " PRIMARY KEY" } else { "" };
        self.psql(&format!("DROP TABLE IF EXISTS t, landfall_ledger; CREATE TABLE t (id bigint{key}, name text)"));
        self.mariadb(&format!("DROP TABLE IF EXISTS m, landfall_ledger; CREATE TABLE m (id bigint{key}, name text)"));
        let _ = std::fs::remove_dir_all(self.log());
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        let key = if scene == Scene::Sqlite { " PRIMARY KEY" } else { "" };
        let create = format!("CREATE TABLE b (id INTEGER{key}, name TEXT)");
        Connection::open(self.sqlite()).unwrap().execute_batch(&create).unwrap();
    }

    fn script(&self, scene: Scene, kind: Kind) -> String {
        let job = match kind {
            Kind::Job => "'job' 'the job'".to_owned(),
            Kind::Statement => String::new(),
            // What a server's death does is for the next run to mend here.
            Kind::Epochs => format!("'job' 'the job', 'retry.max' '0', 'checkpoint.rows' '{}'", self.every),
        };
        let members = scene.members();
        let create = members.iter().map(|member| {
            let (name, stored_as, location) = match member {
                Member::Postgres => ("t", "POSTGRES", self.postgres.clone()),
                Member::MariaDb => ("m", "MYSQL", self.mysql.clone()),
                Member::Sqlite => ("b", "SQLITE", self.sqlite().display().to_string()),
            };
            let options = match (member, members.len()) {
                (_, 1) if !job.is_empty() => format!("OPTIONS ({}, {job})", scene.options(self)),
                (Member::Sqlite, _) => String::new(),
                _ => format!("OPTIONS ({})", scene.options(self)),
            };
            (name, format!("CREATE EXTERNAL TABLE {name} STORED AS {stored_as} LOCATION '{location}' {options}; "))
        });
        let (names, create): (Vec<_>, Vec<_>) = create.unzip();
        let query = match kind {
            Kind::Epochs => "SELECT id, name FROM input WHERE id > 0".to_owned(),
            _ => format!("SELECT value AS id, 'text ' || value AS name FROM generate_series(1, {})", self.rows),
        };
        let input = format!(
            "CREATE EXTERNAL TABLE input (id BIGINT, name TEXT) STORED AS CSV LOCATION '{}/' \
             OPTIONS ('format.has_header' 'true'); ",
            self.input.path().display()
        );
        let create: Vec<_> = create.into_iter().chain([input]).collect();
        let verb = if scene.is_upsert() { "REPLACE" } else { "INSERT" };
        match names.as_slice() {
            [only] => format!("{}{verb} INTO {only} {query}", create.concat()),
            names => {
                let options = if job.is_empty() { String::new() } else { format!("OPTIONS ({job})") };
                format!(
                    "{}CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION '{}' {options}; INSERT INTO both {query}",
                    create.concat(),
                    names.join(", ")
                )
            }
        }
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        command.args(arguments).env_remove("FAILPOINTS").stdin(Stdio::null()).current_dir(self.folder.path());
        command
    }

    fn run(&self, scene: Scene, kind: Kind) -> Output {
        self.program(&["sql", "-c", &self.script(scene, kind)]).output().unwrap()
    }

    /// Ends what a dead statement left, as an administrator would.
    fn recover(&self, scene: Scene) {
        let url = |member: &Member| match member {
            Member::Postgres => self.postgres.clone(),
            Member::MariaDb => self.mysql.clone(),
            Member::Sqlite => format!("sqlite:{}", self.sqlite().display()),
        };
        let log = match scene.is_upsert() {
            true => format!("file://{}", self.log().display()),
            false => url(&scene.members()[0]),
        };
        for member in scene.members().iter().filter(|member| **member != Member::Sqlite) {
            let output =
                self.program(&["recover", &url(member), "--older-than", "0s", "--log", &log]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }

    /// Rows of each table, which are those of the input, or none.
    fn rows(&self, scene: Scene, what: &str) -> u64 {
        let counts = scene.members().iter().map(|member| match member {
            Member::Postgres => {
                let input = format!("SELECT i, 'text ' || i FROM generate_series(1, {}) i", self.rows);
                let count = self.psql("SELECT count(*) FROM t")[0].parse().unwrap();
                if scene == Scene::Rebuild {
                    let key = "SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass";
                    assert_eq!(self.psql(key), ["t_pkey"], "{what}: its key");
                }
                if count > 0 {
                    let differ = format!(
                        "SELECT count(*) FROM ((TABLE t EXCEPT ALL {input}) UNION ALL ({input} EXCEPT ALL TABLE t)) AS d"
                    );
                    assert_eq!(self.psql(&differ), ["0"], "{what}: the table is not the input; it has {count} rows");
                }
                count
            }
            Member::MariaDb => {
                let all = format!(
                    "SELECT count(*), count(DISTINCT id), coalesce(sum(name = concat('text ', id)), 0), \
                     coalesce(sum(id BETWEEN 1 AND {}), 0) FROM m",
                    self.rows
                );
                let all: Vec<u64> = self.mariadb(&all)[0].split('|').map(|count| count.parse().unwrap()).collect();
                assert_eq!(all, [all[0]; 4], "{what}: the table in MariaDB is not the input");
                all[0]
            }
            Member::Sqlite => {
                let db = Connection::open(self.sqlite()).unwrap();
                let all = "SELECT count(*), count(DISTINCT id), coalesce(sum(name = 'text ' || id), 0), \
                           coalesce(max(id), 0) FROM b";
                let all: [u64; 4] =
                    db.query_row(all, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).unwrap();
                assert_eq!(all, [all[0]; 4], "{what}: the table in SQLite is not the input");
                all[0]
            }
        });
        let counts: Vec<u64> = counts.collect();
        assert!(counts.iter().all(|count| *count == counts[0]), "{what}: the tables have {counts:?} rows");
        counts[0]
    }

    fn nothing_is_left(&self, what: &str) {
        assert_eq!(self.psql("SELECT gid FROM pg_prepared_xacts"), [""; 0], "{what}: left prepared");
        assert_eq!(self.mariadb("XA RECOVER"), [""; 0], "{what}: left prepared in MariaDB");
        let tables = "SELECT relname FROM pg_class WHERE relname LIKE 'landfall_stage%'";
        assert_eq!(self.psql(tables), [""; 0], "{what}: left for staging");
    }

    /// After a death: a job is run again, a statement is recovered; then the tables are whole.
    fn make_whole(&self, scene: Scene, kind: Kind, what: &str) {
        match kind {
            Kind::Job | Kind::Epochs => {
                let again = self.run(scene, kind);
                assert!(again.status.success(), "{what}: {again:?}");
                assert_eq!(self.rows(scene, what), self.rows, "{what}");
            }
            Kind::Statement => {
                self.recover(scene);
                let rows = self.rows(scene, what);
                assert!(rows == 0 || rows == self.rows, "{what}: {rows} rows");
            }
        }
        self.nothing_is_left(what);
    }

    /// Whether a server still does what a dead program told it last.
    fn is_busy(&self) -> bool {
        self.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'landfall'") != ["0"]
            || self.mariadb("SELECT count(*) - 1 FROM information_schema.PROCESSLIST WHERE DB = 'landfall'") != ["0"]
    }

    /// The program is killed at a random moment, as often as it takes.
    fn kill_at_random(&self, rounds: usize) {
        let seed = std::env::var("LANDFALL_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| Rng::new().u64(..));
        println!("LANDFALL_SEED={seed}");
        let mut rng = Rng::with_seed(seed);
        for round in 0..rounds {
            let scene = SCENES[round % SCENES.len()];
            let kind = [Kind::Job, Kind::Epochs, Kind::Statement, Kind::Epochs][(round / SCENES.len() + round) % 4];
            let what = format!("round {round} with seed {seed}, {scene:?}, {kind:?}");
            self.clear(scene);
            for _ in 0..rng.usize(1..4) {
                let mut child = self.program(&["sql", "-c", &self.script(scene, kind)]);
                let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                // A run takes about half a second; the end of it is where more can go wrong.
                std::thread::sleep(Duration::from_millis(rng.u64(50..600)));
                child.kill().unwrap();
                let ended = child.wait().unwrap();
                if kind == Kind::Statement {
                    break;
                }
                if ended.success() {
                    break;
                }
            }
            while kind == Kind::Statement && self.is_busy() {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.make_whole(scene, kind, &what);
        }
    }

    /// The server stops at a random moment, as if the power had failed.
    fn stop_the_server(&self, rounds: usize) {
        let mut rng = Rng::new();
        for round in 0..rounds {
            let scene = SCENES[round % SCENES.len()];
            let what = format!("server stopped in round {round}, {scene:?}");
            self.clear(scene);
            let kind = if rng.bool() { Kind::Job } else { Kind::Epochs };
            let what = format!("{what}, {kind:?}");
            let script = self.script(scene, kind);
            let mut child = self.program(&["sql", "-c", &script]);
            let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(rng.u64(100..500)));
            let of_mysql = scene.members().contains(&Member::MariaDb) && (scene.members().len() == 1 || rng.bool());
            let of_mysql = of_mysql || scene.members() == [Member::Sqlite, Member::MariaDb];
            self.clusters[usize::from(of_mysql)].crash();
            let output = child.wait_with_output().unwrap();
            if !output.status.success() {
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(error.contains("error: "), "{what}: {error}");
            }
            self.make_whole(scene, kind, &what);
        }
    }

    /// A long job is killed, or its server is, again and again until it finishes.
    fn interrupt_until_it_ends(&self, scene: Scene, kills_server: bool) {
        let mut rng = Rng::new();
        let what = format!("{scene:?}, {} rows, server killed: {kills_server}", self.rows);
        self.clear(scene);
        let (mut runs, mut most) = (0, 0);
        loop {
            let mut child = self.program(&["sql", "-c", &self.script(scene, Kind::Epochs)]);
            let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(rng.u64(200..2_000)));
            if kills_server && child.try_wait().unwrap().is_none() {
                let of_mysql = scene.members().contains(&Member::MariaDb);
                self.clusters[usize::from(of_mysql)].crash();
            } else {
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            runs += 1;
            if output.status.success() {
                break;
            }
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            if let Some(row) = error.split("resumes after row ").nth(1).and_then(|rest| rest.split(',').next()) {
                let row: u64 = row.parse().unwrap();
                assert!(row >= most, "{what}: it went back from row {most} to row {row}");
                most = row;
            }
            assert!(runs < 500, "{what}: no progress beyond row {most}: {error}");
        }
        println!("{what}: {runs} runs");
        assert_eq!(self.rows(scene, &what), self.rows, "{what}");
        self.nothing_is_left(&what);
    }
}

#[cfg(feature = "failpoints")]
impl Stage {
    /// The program dies at these points; gives those that it came to.
    fn die_at(&self, points: &[&'static str], scenes: &[Scene], times: &[u32]) -> BTreeSet<&'static str> {
        let mut died = BTreeSet::new();
        for scene in scenes {
            for point in points {
                for before in times {
                    for kind in [Kind::Job, Kind::Statement, Kind::Epochs] {
                        let what = format!("{scene:?}, {kind:?}, {point} passed {before} times");
                        self.clear(*scene);
                        let mut program = self.program(&["sql", "-c", &self.script(*scene, kind)]);
                        let output =
                            program.env("FAILPOINTS", format!("{point}={before}*off->return")).output().unwrap();
                        let is_aborted = std::os::unix::process::ExitStatusExt::signal(&output.status).is_some();
                        assert!(is_aborted || output.status.success(), "{what}: {output:?}");
                        if is_aborted {
                            died.insert(*point);
                        }
                        self.make_whole(*scene, kind, &what);
                    }
                }
            }
        }
        died
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_run_that_dies_at_a_step_of_the_protocol_is_made_whole() {
    let points = ["prepare.one", "decide.after", "complete.one", "last_agent.after", "log.put.after"];
    let scenes = [Scene::TwoPhase, Scene::FourUpserts, Scene::PostgresAndSqlite, Scene::MariaDbAndPostgres];
    let stage = Stage::new();
    let died = stage.die_at(&points, &scenes, &[0]);
    assert_eq!(died, BTreeSet::from(points), "points that were passed");
    let points = ["postgres.indexes.dropped", "postgres.indexes.built"];
    let died = stage.die_at(&points, &[Scene::Rebuild], &[0]);
    assert_eq!(died, BTreeSet::from(points), "points that were passed");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_job_that_dies_between_two_checkpoints_goes_on() {
    // The epoch before is being committed while the next one is written.
    let points = ["branch.started", "epoch.written", "prepare.all", "decide.after", "complete.one", "forget.after"];
    let scenes = [Scene::OnePhase, Scene::FourWriters, Scene::Sqlite, Scene::MariaDbFourUpserts];
    let stage = Stage::new();
    for (scene, before) in scenes.into_iter().zip([3, 2, 5, 4]) {
        let died = stage.die_at(&points, &[scene], &[before]);
        assert!(died.contains("epoch.written"), "{scene:?} died at {died:?}");
    }
}

#[cfg(feature = "failpoints")]
#[test]
#[ignore = "takes long"]
fn crash_at_every_point_of_the_protocol() {
    let points = datafusion_landfall::backend::POINTS;
    // A run waits more than it works: several stages at once.
    let stages: Vec<_> = (0..4)
        .map(|of| {
            std::thread::spawn(move || {
                let (stage, mut died) = (Stage::new(), BTreeSet::new());
                for scene in SCENES.into_iter().skip(of).step_by(4) {
                    died.extend(stage.die_at(points, &[scene], &[0, 1]));
                    println!("{scene:?} has died at every point");
                }
                died
            })
        })
        .collect();
    let died: BTreeSet<_> = stages.into_iter().flat_map(|stage| stage.join().unwrap()).collect();
    assert_eq!(died, points.iter().copied().collect(), "points that were passed");
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_made_whole() {
    Stage::new().kill_at_random(SCENES.len());
}

#[test]
#[ignore = "takes 5 minutes"]
fn crash_of_the_program_at_a_hundred_moments() {
    Stage::new().kill_at_random(120);
}

#[test]
fn a_run_whose_server_stops_is_made_whole() {
    Stage::new().stop_the_server(6);
}

#[test]
#[ignore = "takes two minutes"]
fn crash_of_the_server_at_many_moments() {
    Stage::new().stop_the_server(33);
}

/// Of each database, with one writer and with several, appends and upserts.
const LONG: [Scene; 8] = [
    Scene::OnePhase,
    Scene::FourWriters,
    Scene::FourUpserts,
    Scene::Sqlite,
    Scene::PostgresAndSqlite,
    Scene::MariaDb,
    Scene::MariaDbFourUpserts,
    Scene::MariaDbAndPostgres,
];

#[test]
#[ignore = "takes minutes, and needs the machine for itself"]
fn crash_of_a_million_rows_until_they_are_in() {
    let stage = Stage::with_rows(1_000_000, 20_000);
    for scene in LONG {
        stage.interrupt_until_it_ends(scene, false);
        if scene != Scene::Sqlite {
            stage.interrupt_until_it_ends(scene, true);
        }
    }
}

#[test]
fn a_long_job_that_is_killed_again_and_again_finishes() {
    let stage = Stage::with_rows(100_000, 3_000);
    for scene in [Scene::FourWriters, Scene::PostgresAndSqlite, Scene::MariaDb] {
        stage.interrupt_until_it_ends(scene, scene == Scene::MariaDb);
    }
}

#[test]
fn a_statement_that_died_is_shown_and_recovered() {
    let stage = Stage::new();
    let show = |arguments: &[&str]| {
        let output = stage.program(arguments).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    says(&show(&["status", &stage.postgres]).1, &["no jobs", "no branches are in doubt"]);
    // Somebody else's, and one that only looks like ours.
    stage.psql("CREATE TABLE x (i int)");
    for gid in ["another", "landfall-7-1-1-0", "landfall-x"] {
        stage.psql(&format!("BEGIN; INSERT INTO x VALUES (1); PREPARE TRANSACTION '{gid}'"));
    }
    // Ours, of a job that this log does not know.
    let unknown = "landfall-00000000000000aa-2-00000000000000bb-0";
    stage.psql(&format!("BEGIN; INSERT INTO x VALUES (2); PREPARE TRANSACTION '{unknown}'"));
    let (ok, said) = show(&["recover", &stage.postgres, "--older-than", "0s"]);
    assert!(!ok, "it is left, and the status says so: {said}");
    says(&said, &[unknown, "decided in another log", "--log"]);
    assert!(!said.contains("landfall-x") && !said.contains("another |"), "{said}");
    assert_eq!(stage.psql("SELECT count(*) FROM pg_prepared_xacts"), ["4"]);
    stage.psql(&format!("ROLLBACK PREPARED '{unknown}'"));
    for gid in ["another", "landfall-7-1-1-0", "landfall-x"] {
        stage.psql(&format!("ROLLBACK PREPARED '{gid}'"));
    }
}
