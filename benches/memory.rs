//! Peak memory of landing many rows, beside that of the idle program: the program is run, and asked afterwards.

use std::process::Command;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};

use crate::server::LazyServer;

const ROWS: u64 = 10_000_000;
const BAR_MIB: f64 = 100.0;

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    measure(criterion, "sqlite", &|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("events.db");
        land(&format!("SQLITE LOCATION '{}'", file.display()))
    });
    measure(criterion, "postgres", &|| {
        server.execute("DROP TABLE IF EXISTS bench_landing");
        let peak = land(&format!("POSTGRES LOCATION '{}' OPTIONS ('table' 'bench_landing')", server.url));
        assert_eq!(server.number("SELECT count(*) FROM bench_landing"), ROWS as i64);
        server.execute("DROP TABLE bench_landing");
        peak
    });
}

fn measure(criterion: &mut Criterion, name: &str, land: &dyn Fn() -> f64) {
    let mut group = criterion.benchmark_group("memory");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    group.throughput(Throughput::Elements(ROWS));
    let mut peaks = Vec::new();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let began = Instant::now();
            peaks.extend((0..iterations).map(|_| land()));
            began.elapsed()
        });
    });
    group.finish();
    if let Some(landing) = peaks.into_iter().reduce(f64::max) {
        let idle = peak_mib("SELECT 1");
        println!(
            "memory/{name}: landing {ROWS} rows takes {landing:.0} MiB at its highest peak, the idle program \
             {idle:.0} MiB, difference {:.0} MiB (bar {BAR_MIB:.0} MiB)",
            landing - idle
        );
    }
}

/// Lands generated rows in a table that is stored so, and says what memory it took.
fn land(stored_as: &str) -> f64 {
    peak_mib(&format!(
        "CREATE EXTERNAL TABLE events (id BIGINT, user_id BIGINT, kind VARCHAR, amount DOUBLE, ts TIMESTAMP, \
         PRIMARY KEY (id)) STORED AS {stored_as}; \
         INSERT INTO events SELECT value, value * 7919 % 100000, 'kind of event ' || (value % 5), \
         CASE WHEN value % 8 = 0 THEN NULL ELSE value / 100.0 END, \
         to_timestamp_seconds(1704067200 + value) FROM generate_series(1, {ROWS})"
    ))
}

/// The largest resident set of a run of the program.
fn peak_mib(sql: &str) -> f64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["sql", "-c", sql])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the program");
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
