//! The largest resident set of a program that lands many rows, above that of one that is idle.

use std::cell::LazyCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use criterion::Criterion;

use crate::figure::{self, Bar, Figure, Unit};
use crate::pairs::repeat;
use crate::server::LazyServer;

fn rows() -> u64 {
    figure::rows(10_000_000) as u64
}

/// Above the idle program, at the server's full speed.
const BAR: f64 = 32.0 * 1024.0 * 1024.0;

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    measure(criterion, "sqlite", None, &|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("events.db");
        land(&format!("SQLITE LOCATION '{}'", file.display()))
    });
    measure(criterion, "postgres", Some(Bar::Median(BAR)), &|| {
        server.execute("DROP TABLE IF EXISTS bench_landing");
        let peak = land(&format!("POSTGRES LOCATION '{}' OPTIONS ('table' 'bench_landing')", server.url));
        assert_eq!(server.number("SELECT count(*) FROM bench_landing"), rows() as i64);
        server.execute("DROP TABLE bench_landing");
        peak
    });
}

fn measure(criterion: &mut Criterion, name: &str, bar: Option<Bar>, land: &dyn Fn() -> f64) {
    let name = format!("memory/{name}");
    let idle = LazyCell::new(|| peak_bytes("SELECT 1;"));
    let peaks = repeat(criterion, &name, || {
        let began = Instant::now();
        let peak = land();
        (began.elapsed(), peak)
    });
    if peaks.is_empty() {
        return;
    }
    Figure::new(
        format!("{name}/peak above the idle program"),
        Unit::Memory,
        peaks.iter().map(|peak| peak - *idle).collect(),
    )
    .bar(bar)
    .note(format!("{} rows; a program that has answered SELECT 1 takes {:.1} MiB", rows(), *idle / 1024.0 / 1024.0))
    .print();
}

/// Lands generated rows in a table that is stored so, and says what memory it took.
fn land(stored_as: &str) -> f64 {
    peak_bytes(&format!(
        "CREATE EXTERNAL TABLE events (id BIGINT, user_id BIGINT, kind VARCHAR, amount DOUBLE, ts TIMESTAMP, \
         PRIMARY KEY (id)) STORED AS {stored_as}; \
         INSERT INTO events SELECT value, value * 7919 % 100000, 'kind of event ' || (value % 5), \
         CASE WHEN value % 8 = 0 THEN NULL ELSE value / 100.0 END, \
         to_timestamp_seconds(1704067200 + value) FROM generate_series(1, {});",
        rows()
    ))
}

/// The largest resident set of a program that has run the statements, and waits for more.
pub fn peak_bytes(sql: &str) -> f64 {
    const DONE: &str = "all done";
    let mut script = tempfile::NamedTempFile::new().expect("a temporary file");
    write!(script, "{sql} SELECT '{DONE}';").expect("a temporary file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .arg("sql")
        .arg(script.path())
        // What is to come after it: that it waits for.
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    // Until its end: it may still print what is below that line.
    let mut answers = BufReader::new(child.stdout.take().expect("its answers")).lines();
    let is_done = answers.any(|line| line.expect("an answer").contains(DONE));
    assert!(is_done, "the program failed");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("a program that waits");
    let peak_kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let peak_kib: u64 = peak_kib.expect("the largest resident set");
    // There is no more.
    drop(child.stdin.take());
    assert!(child.wait().expect("its end").success(), "the program failed");
    peak_kib as f64 * 1024.0
}
