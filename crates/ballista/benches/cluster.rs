//! INSERT by a cluster of two executors with two tasks each, beside one process on the same machine: the same Parquet files, into
//! the same empty table, in turn. `tests/ballista bench` runs it. The rows are counted after each run.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[path = "../tests/it/cluster.rs"]
mod cluster;
#[path = "../tests/it/databases.rs"]
mod databases;
#[path = "../tests/it/programs.rs"]
mod programs;

use std::time::{Duration, Instant};

use datafusion::prelude::{SessionConfig, SessionContext};

use crate::cluster::{COLUMNS, files, register, run, session_at, source};
use crate::databases::Database;
use crate::programs::Processes;

const ROWS: u64 = 2_000_000;
const PAIRS: usize = 7;

#[tokio::main]
async fn main() {
    // `cargo test` runs benches, too.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let processes = Processes::start();
    let cluster = session_at(&processes.url, 4).await;
    let folder = files(&cluster, 4, ROWS).await;
    let alone = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    datafusion_landfall::register(&alone);
    source(&alone, &folder).await;
    for database in Database::each() {
        for (key, kind) in [("", "without a key"), ("PRIMARY KEY", "with a key")] {
            let mut pairs = Vec::new();
            for pair in 0..PAIRS {
                let measure = async |context: &SessionContext, options: &[(&str, &str)]| -> Duration {
                    database.client(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id BIGINT {key}, {COLUMNS})"));
                    let _ = context.deregister_table("t");
                    register(context, &database, "t", options).await;
                    let began = Instant::now();
                    let written = run(context, "INSERT INTO t SELECT * FROM source").await.unwrap();
                    let took = began.elapsed();
                    let counted = database.client("SELECT count(DISTINCT id) FROM t");
                    assert_eq!((written, counted), (ROWS, vec![ROWS.to_string()]));
                    took
                };
                let four: &[_] = &[("writers", "4")];
                // Who comes second finds the caches as the other left them.
                let (one, two) = if pair % 2 == 0 {
                    (measure(&alone, &[]).await, measure(&cluster, four).await)
                } else {
                    let two = measure(&cluster, four).await;
                    (measure(&alone, &[]).await, two)
                };
                pairs.push((one.as_secs_f64(), two.as_secs_f64()));
            }
            pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
            let ratio = |pair: usize| pairs[pair].0 / pairs[pair].1;
            let (one, two) = pairs[PAIRS / 2];
            println!(
                "{:?} {kind}: {:.2} M rows/s by two executors, {:.2} M rows/s by one process: {:.2} ({:.2} to {:.2}, {PAIRS} pairs)",
                database.kind,
                ROWS as f64 / two / 1e6,
                ROWS as f64 / one / 1e6,
                ratio(PAIRS / 2),
                ratio(0),
                ratio(PAIRS - 1),
            );
        }
    }
}
