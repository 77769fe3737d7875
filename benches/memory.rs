//! Peak memory of landing many rows, beside that of the idle program: the program is run, and asked afterwards.

use std::process::Command;

use criterion::Criterion;

const ROWS: u64 = 10_000_000;
const BAR_MIB: f64 = 100.0;

/// Not a time, so criterion only says whether it was asked for.
pub fn benches(criterion: &mut Criterion) {
    let mut asked = false;
    criterion.benchmark_group("memory").sample_size(10).bench_function("sqlite", |bencher| {
        if !std::mem::replace(&mut asked, true) {
            sqlite();
        }
        bencher.iter(|| ());
    });
}

fn sqlite() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let idle = peak_mib("SELECT 1");
    let landing = peak_mib(&format!(
        "CREATE EXTERNAL TABLE events (id BIGINT, user_id BIGINT, kind VARCHAR, amount DOUBLE, ts TIMESTAMP, \
         PRIMARY KEY (id)) STORED AS SQLITE LOCATION '{}'; \
         INSERT INTO events SELECT value, value * 7919 % 100000, 'kind of event ' || (value % 5), \
         CASE WHEN value % 8 = 0 THEN NULL ELSE value / 100.0 END, \
         to_timestamp_seconds(1704067200 + value) FROM generate_series(1, {ROWS})",
        file.display()
    ));
    println!(
        "memory/sqlite: landing {ROWS} rows takes {landing:.0} MiB at its peak, the idle program {idle:.0} MiB, \
         difference {:.0} MiB (bar {BAR_MIB:.0} MiB)",
        landing - idle
    );
}

/// The largest resident set of a run of the program.
fn peak_mib(sql: &str) -> f64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_landfall")).args(["sql", "-c", sql]).spawn().expect("the program");
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0_u64;
    loop {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = peak_kib.max(peak.unwrap_or(0));
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "the program failed");
            return peak_kib as f64 / 1024.0;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
