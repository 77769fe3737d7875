//! The program is killed at random moments and run again: good and rejected rows are those of the input, each once.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use fastrand::Rng;

use super::rejected;
use crate::dml::Place;
use crate::program::program;

/// Rows of the input.
const ROWS: i64 = 9_000;

/// Whether a row cannot be stored, and why.
fn class(place: &Place, id: i64) -> Option<&'static str> {
    match (id % 211, place) {
        (7, _) => Some("encode"),
        (100 | 101, Place::Postgres(_)) => Some("23514"),
        (100 | 101, Place::MySql(_)) => Some("4025"),
        (100 | 101, Place::Sqlite(_)) => Some("275"),
        _ => None,
    }
}

fn write_input(folder: &std::path::Path) {
    std::fs::create_dir_all(folder.join("input")).unwrap();
    for file in 0..6 {
        let ids = file * ROWS / 6..(file + 1) * ROWS / 6;
        let lines: String = ids
            .map(|id| match id % 211 {
                7 => format!("{id},many\n"),
                100 | 101 => format!("{id},-5\n"),
                _ => format!("{id},{id}\n"),
            })
            .collect();
        std::fs::write(folder.join(format!("input/{file}.csv")), format!("id,v\n{lines}")).unwrap();
    }
}

fn script(place: &Place, folder: &std::path::Path, options: &str) -> String {
    let stored_as = match place {
        Place::Sqlite(_) => "SQLITE",
        Place::Postgres(_) => "POSTGRES",
        Place::MySql(_) => "MYSQL",
    };
    let url = place.url();
    let location = url.strip_prefix("sqlite:").unwrap_or(&url);
    format!(
        "CREATE EXTERNAL TABLE input (id BIGINT, v TEXT) STORED AS CSV LOCATION '{}/input/'
             OPTIONS ('format.has_header' 'true');
         CREATE EXTERNAL TABLE t STORED AS {stored_as} LOCATION '{location}' OPTIONS ('job' 'the job',
             'checkpoint.rows' '1500', 'reject.max' '5 %', 'reject.table' 'rejects'{options});
         INSERT INTO t SELECT id, v FROM input WHERE id >= 0",
        folder.display()
    )
}

/// Kills a job again and again until it finishes.
fn kill_until_it_ends(place: &Place, rng: &mut Rng, options: &str, what: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_input(folder.path());
    let script = script(place, folder.path(), options);
    for run in 0.. {
        assert!(run < 100, "{what}: no progress");
        let mut child = program(folder.path());
        let child =
            child.args(["sql", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        // Later kills leave more time, so that it ends.
        std::thread::sleep(Duration::from_millis(rng.u64(100..400) + 30 * run));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            break;
        }
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!error.contains("error: "), "{what}: {error}");
    }
    let bad: BTreeMap<_, _> = (0..ROWS).filter_map(|id| Some((id, class(place, id)?))).collect();
    let found: Vec<_> = rejected(place).into_iter().map(|(id, class, _)| (id, class)).collect();
    let expected: Vec<_> = bad.iter().map(|(id, class)| (*id, (*class).to_owned())).collect();
    assert_eq!(found, expected, "{what}: rejected");
    let stored = super::stored(place, "t");
    let good: Vec<_> = (0..ROWS).filter(|id| !bad.contains_key(id)).collect();
    assert!(stored == good, "{what}: {} of {} rows are stored", stored.len(), good.len());
}

fn kill_at_random(rounds: usize) {
    let seed = std::env::var("LANDFALL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| Rng::new().u64(..));
    println!("LANDFALL_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    for round in 0..rounds {
        for place in &Place::all() {
            place.client("CREATE TABLE t (id BIGINT PRIMARY KEY, v INT CHECK (v >= 0))");
            let options = match round % 3 {
                0 => "",
                1 => ", 'on_conflict' 'update'",
                _ if matches!(place, Place::Sqlite(_)) => ", 'on_conflict' 'ignore'",
                _ => ", 'writers' '3'",
            };
            let what = format!("{} round {round} with seed {seed}{options}", place.name());
            kill_until_it_ends(place, &mut rng, options, &what);
        }
    }
}

#[test]
fn a_job_that_is_killed_sets_each_bad_row_aside_once() {
    kill_at_random(3);
}

#[test]
#[ignore = "takes minutes: tests/run -- --ignored rejects"]
fn a_job_that_is_killed_often_sets_each_bad_row_aside_once() {
    kill_at_random(30);
}
