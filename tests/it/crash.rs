//! The program and the server die at every moment, and the next run makes it whole: all rows, each once, and nothing
//! left behind. The points at which the program dies are those of the feature `failpoints`.
//!
//! The long forms: cargo test --features failpoints -- --ignored crash

#[cfg(feature = "failpoints")]
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fastrand::Rng;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::landing::says;
use crate::postgres::Cluster;

/// Rows of the input.
const ROWS: u64 = 20_000;

/// What is written, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    OnePhase,
    TwoPhase,
    FourWriters,
    /// By key, through tables for staging, decided in a folder.
    FourUpserts,
    PostgresAndSqlite,
}

const SCENES: [Scene; 5] =
    [Scene::OnePhase, Scene::TwoPhase, Scene::FourWriters, Scene::FourUpserts, Scene::PostgresAndSqlite];

/// Whether a run is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Job,
    Statement,
}

struct Stage {
    cluster: Cluster,
    url: String,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let (cluster, url) = Cluster::start();
        Self { cluster, url, folder: tempfile::tempdir().unwrap() }
    }

    fn psql(&self, sql: &str) -> Vec<String> {
        let output =
            Command::new("psql").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &self.url, "-c", sql]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn sqlite(&self) -> std::path::PathBuf {
        self.folder.path().join("b.db")
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    /// Empty tables, and no memory of what was before.
    fn clear(&self, scene: Scene) {
        let key = if scene == Scene::FourUpserts { " PRIMARY KEY" } else { "" };
        self.psql(&format!("DROP TABLE IF EXISTS t, landfall_ledger; CREATE TABLE t (id bigint{key}, name text)"));
        let _ = std::fs::remove_dir_all(self.log());
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        Connection::open(self.sqlite()).unwrap().execute_batch("CREATE TABLE b (id INTEGER, name TEXT)").unwrap();
    }

    fn script(&self, scene: Scene, kind: Kind) -> String {
        let options = match scene {
            Scene::OnePhase => "'commit' 'one_phase'".into(),
            Scene::TwoPhase => "'commit' 'two_phase', 'writers' '1'".into(),
            Scene::FourWriters => "'writers' '4'".into(),
            Scene::FourUpserts => format!("'writers' '4', 'log' 'file://{}'", self.log().display()),
            Scene::PostgresAndSqlite => "'writers' '2'".into(),
        };
        let job = if kind == Kind::Job { "'job' 'the job'" } else { "" };
        let (of_t, of_both) = match (scene, job.is_empty()) {
            (_, true) => (options, String::new()),
            (Scene::PostgresAndSqlite, false) => (options, format!("OPTIONS ({job})")),
            (_, false) => (format!("{options}, {job}"), String::new()),
        };
        let query = format!("SELECT value AS id, 'text ' || value AS name FROM generate_series(1, {ROWS})");
        let create = format!("CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{}' OPTIONS ({of_t});", self.url);
        match scene {
            Scene::PostgresAndSqlite => format!(
                "{create} CREATE EXTERNAL TABLE b STORED AS SQLITE LOCATION '{}'; \
                 CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 't, b' {of_both}; INSERT INTO both {query}",
                self.sqlite().display()
            ),
            Scene::FourUpserts => format!("{create} REPLACE INTO t {query}"),
            _ => format!("{create} INSERT INTO t {query}"),
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
        let mut arguments = vec!["recover".to_owned(), self.url.clone(), "--older-than".into(), "0s".into()];
        match scene {
            Scene::FourUpserts => arguments.extend(["--log".into(), format!("file://{}", self.log().display())]),
            Scene::PostgresAndSqlite => {
                arguments.extend(["--log".into(), format!("sqlite:{}", self.sqlite().display())]);
            }
            _ => {}
        }
        let output = self.program(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Rows of each table, which are those of the input, or none.
    fn rows(&self, scene: Scene, what: &str) -> u64 {
        let input = format!("SELECT i, 'text ' || i FROM generate_series(1, {ROWS}) i");
        let count = self.psql("SELECT count(*) FROM t")[0].parse().unwrap();
        if count > 0 {
            let differ = format!(
                "SELECT count(*) FROM ((TABLE t EXCEPT ALL {input}) UNION ALL ({input} EXCEPT ALL TABLE t)) AS d"
            );
            assert_eq!(self.psql(&differ), ["0"], "{what}: the table is not the input; it has {count} rows");
        }
        if scene == Scene::PostgresAndSqlite {
            let db = Connection::open(self.sqlite()).unwrap();
            let all = "SELECT count(*), count(DISTINCT id), coalesce(sum(name = 'text ' || id), 0), coalesce(max(id), 0) \
                       FROM b";
            let all: [u64; 4] =
                db.query_row(all, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).unwrap();
            assert_eq!(all, [count; 4], "{what}: SQLite differs from PostgreSQL");
        }
        count
    }

    fn nothing_is_left(&self, what: &str) {
        assert_eq!(self.psql("SELECT gid FROM pg_prepared_xacts"), [""; 0], "{what}: left prepared");
        let tables = "SELECT relname FROM pg_class WHERE relname LIKE 'landfall_stage%'";
        assert_eq!(self.psql(tables), [""; 0], "{what}: left for staging");
    }

    /// After a death: a job is run again, a statement is recovered; then the tables are whole.
    fn make_whole(&self, scene: Scene, kind: Kind, what: &str) {
        match kind {
            Kind::Job => {
                let again = self.run(scene, kind);
                assert!(again.status.success(), "{what}: {again:?}");
                assert_eq!(self.rows(scene, what), ROWS, "{what}");
            }
            Kind::Statement => {
                self.recover(scene);
                let rows = self.rows(scene, what);
                assert!(rows == 0 || rows == ROWS, "{what}: {rows} rows");
            }
        }
        self.nothing_is_left(what);
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
            let kind = if round % 3 == 2 { Kind::Statement } else { Kind::Job };
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
            // The server finishes what it was told last.
            let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'landfall'";
            while kind == Kind::Statement && self.psql(sessions) != ["0"] {
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
            let script = self.script(scene, Kind::Job);
            let mut child = self.program(&["sql", "-c", &script]);
            let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(rng.u64(100..500)));
            self.cluster.crash();
            let output = child.wait_with_output().unwrap();
            if !output.status.success() {
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(error.contains("error: "), "{what}: {error}");
            }
            self.make_whole(scene, Kind::Job, &what);
        }
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
                    for kind in [Kind::Job, Kind::Statement] {
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
    let scenes = [Scene::TwoPhase, Scene::FourUpserts, Scene::PostgresAndSqlite];
    let died = Stage::new().die_at(&points, &scenes, &[0]);
    assert_eq!(died, BTreeSet::from(points), "points that were passed");
}

#[cfg(feature = "failpoints")]
#[test]
#[ignore = "takes 15 minutes"]
fn crash_at_every_point_of_the_protocol() {
    let points = datafusion_landfall::xa::POINTS;
    let died = Stage::new().die_at(points, &SCENES, &[0, 1]);
    assert_eq!(died, points.iter().copied().collect(), "points that were passed");
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_made_whole() {
    Stage::new().kill_at_random(5);
}

#[test]
#[ignore = "takes 5 minutes"]
fn crash_of_the_program_at_a_hundred_moments() {
    Stage::new().kill_at_random(120);
}

#[test]
fn a_run_whose_server_stops_is_made_whole() {
    Stage::new().stop_the_server(2);
}

#[test]
#[ignore = "takes a minute"]
fn crash_of_the_server_at_many_moments() {
    Stage::new().stop_the_server(15);
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
    says(&show(&["status", &stage.url]).1, &["no jobs", "no branches are in doubt"]);
    // Somebody else's, and one that only looks like ours.
    stage.psql("CREATE TABLE x (i int)");
    for gid in ["another", "landfall-7-1-1-0", "landfall-x"] {
        stage.psql(&format!("BEGIN; INSERT INTO x VALUES (1); PREPARE TRANSACTION '{gid}'"));
    }
    // Ours, of a job that this log does not know.
    let unknown = "landfall-00000000000000aa-2-00000000000000bb-0";
    stage.psql(&format!("BEGIN; INSERT INTO x VALUES (2); PREPARE TRANSACTION '{unknown}'"));
    let (ok, said) = show(&["recover", &stage.url, "--older-than", "0s"]);
    assert!(!ok, "it is left, and the status says so: {said}");
    says(&said, &[unknown, "decided in another log", "--log"]);
    assert!(!said.contains("landfall-x") && !said.contains("another |"), "{said}");
    assert_eq!(stage.psql("SELECT count(*) FROM pg_prepared_xacts"), ["4"]);
    stage.psql(&format!("ROLLBACK PREPARED '{unknown}'"));
    for gid in ["another", "landfall-7-1-1-0", "landfall-x"] {
        stage.psql(&format!("ROLLBACK PREPARED '{gid}'"));
    }
}
