//! What `benches/run --compare` measures with two builds in turn: a few paths, each done again and again.
//!
//! `LANDFALL_BENCH_GATE` names the scenarios, or says `all`; each ends with a line in the file of
//! `LANDFALL_BENCH_RESULTS`. `LANDFALL_BENCH_SLOWER='name=1.3'` makes one of them take 30 % longer, to show that this is
//! noticed.

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::columnar_vs_row::{mysql, postgres, sqlite};
use crate::compare::changed;
use crate::concurrency::buffered;
use crate::encode::landfall_encoder;
use crate::figure::append;
use crate::landing::Landing;
use crate::latency::{small_inserts, statements};
use crate::mysql::LazyMySql;
use crate::server::LazyServer;
use crate::{events, scan};

/// Runs of each scenario, after one that warms up.
const RUNS: usize = 5;

/// How much longer one may take before it is told: the throughput of the one, the latency of the other.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Throughput,
    Latency,
}

/// The names that are asked for, where this is what is asked for.
pub fn asked() -> Option<String> {
    std::env::var("LANDFALL_BENCH_GATE").ok().filter(|names| !names.is_empty())
}

pub fn run(asked: &str, server: &LazyServer, mysql_server: &LazyMySql) {
    const KEY: &str = "PRIMARY KEY (id)";
    let gate = Gate { asked, slower: std::env::var("LANDFALL_BENCH_SLOWER").unwrap_or_default() };
    let rows = 200_000;
    let batches = events::batches(rows);

    let mut encoder = LazyCell::new(|| landfall_encoder(server, "bench_encode_gate", events::schema()));
    gate.measure("encode/postgres", Kind::Throughput, &mut || {
        let began = Instant::now();
        for _ in 0..10 {
            for batch in &batches {
                encoder
                    .encode(batch, |piece| {
                        black_box(piece);
                    })
                    .expect("a batch");
            }
        }
        began.elapsed()
    });
    gate.measure("compare/lineitem", Kind::Throughput, &mut changed());
    gate.measure("buffer/8 senders and 8 receivers", Kind::Throughput, &mut || server.runtime.block_on(buffered(8)));
    for (name, key, options) in [
        ("postgres/insert", KEY, "'writers' '1'"),
        ("postgres/insert without key", "", "'writers' '1'"),
        ("postgres/two phases of 2 writers", KEY, "'writers' '2', 'commit' 'two_phase'"),
        ("postgres/checkpoints", KEY, "'writers' '1', 'job' 'JOB', 'checkpoint.rows' '50000'"),
    ] {
        gate.measure(name, Kind::Throughput, &mut || postgres::land(server, key, rows, options, &batches));
    }
    let upsert = |options: &str| {
        let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ('writers' '1', {options})", server.url);
        Landing::insert("bench_events", stored_as)
    };
    gate.measure("postgres/upsert of equal rows", Kind::Throughput, &mut || {
        postgres::on_fresh_table(server, KEY, rows, || {
            server.runtime.block_on(async {
                let landing = upsert("'on_conflict' 'update', 'upsert' 'diff'");
                landing.land(&batches).await;
                landing.land(&batches).await
            })
        })
    });
    gate.measure("postgres/select", Kind::Throughput, &mut || {
        postgres::create(server, KEY);
        server.runtime.block_on(upsert("'on_conflict' 'error'").land(&batches));
        server.runtime.block_on(scan::landfall(server, rows))
    });
    let loaded = &batches[..6];
    let loaded_rows = loaded.len() * events::BATCH_ROWS;
    gate.measure("mysql/insert", Kind::Throughput, &mut || {
        let landing = mysql::landing(mysql_server, "'writers' '1'");
        mysql::on_fresh_table(mysql_server, KEY, loaded_rows, || mysql_server.runtime.block_on(landing.land(loaded)))
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    gate.measure("sqlite/insert", Kind::Throughput, &mut || {
        sqlite::fresh(&file, "");
        server.runtime.block_on(sqlite::landing(&file).land(&batches))
    });
    gate.measure("latency/INSERT of 1000 rows", Kind::Latency, &mut || {
        let mut times = small_inserts(server, 1, statements(), None);
        times.sort();
        times[times.len() / 2]
    });
}

struct Gate<'a> {
    asked: &'a str,
    slower: String,
}

impl Gate<'_> {
    fn measure(&self, name: &str, kind: Kind, run: &mut dyn FnMut() -> Duration) {
        if self.asked != "all" && !self.asked.split(',').any(|asked| asked == name) {
            return;
        }
        run();
        let seconds: Vec<_> = (0..RUNS).map(|_| self.slowed(name, run()).as_secs_f64()).collect();
        let kind = match kind {
            Kind::Throughput => "throughput",
            Kind::Latency => "latency",
        };
        println!("{name}: {seconds:.4?}");
        append(&json!({ "gate": name, "kind": kind, "seconds": seconds }));
    }

    /// What it took, and what it takes longer where that was asked for.
    fn slowed(&self, name: &str, took: Duration) -> Duration {
        let Some((slower, factor)) = self.slower.split_once('=') else { return took };
        let factor: f64 = factor.parse().expect("LANDFALL_BENCH_SLOWER: a name, =, and a number such as 1.3");
        if slower != name || factor <= 1.0 {
            return took;
        }
        let began = Instant::now();
        while began.elapsed() < took.mul_f64(factor - 1.0) {
            std::hint::spin_loop();
        }
        took + began.elapsed()
    }
}
