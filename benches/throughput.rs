//! Rows a second by the size of batches, by the way of writing, and over a while.

use std::cell::LazyCell;
use std::time::Duration;

use criterion::Criterion;
use tokio::runtime::Runtime;

use crate::columnar_vs_row::postgres::{create, on_fresh_table};
use crate::columnar_vs_row::sqlite;
use crate::events;
use crate::figure::{Bar, Figure, Unit, rows};
use crate::landing::Landing;
use crate::pairs::repeat;
use crate::server::LazyServer;

/// Rows a second that there have to be.
const BAR: f64 = 100_000.0;

const KEY: &str = "PRIMARY KEY (id)";

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let rows = rows(500_000);
    let batches = LazyCell::new(|| events::batches(rows));
    let landing = |verb, options: &str| {
        let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ({options})", server.url);
        Landing { table: "bench_events", stored_as, verb }
    };
    for size in [100, 1_000, 10_000] {
        let cut = LazyCell::new(|| events::cut(&batches, size));
        let insert = || server.runtime.block_on(landing("INSERT INTO", "'writers' '1'").land(&cut));
        let run = || on_fresh_table(server, KEY, rows, insert);
        print(criterion, &format!("throughput/postgres, batches of {size} rows"), rows, &run);
    }
    // A table that has half of the rows already, so that half of them conflict.
    let (half, options) = (rows / 2, "'writers' '1', 'on_conflict' 'update', 'upsert' 'blind'");
    for (name, verb, options) in [
        ("upsert", "INSERT INTO", options),
        ("replace", "REPLACE INTO", "'writers' '1', 'upsert' 'blind'"),
        ("overwrite", "INSERT OVERWRITE", "'writers' '1'"),
    ] {
        let run = || {
            create(server, KEY);
            let filling = events::cut(&batches, half).swap_remove(0);
            server.runtime.block_on(landing("INSERT INTO", "'writers' '1'").land(&[filling]));
            server.execute("CHECKPOINT");
            let took = server.runtime.block_on(landing(verb, options).land(&batches));
            assert_eq!(server.number("SELECT count(*) FROM bench_events"), rows as i64);
            took
        };
        print(criterion, &format!("throughput/postgres, {name}, half of the rows are there"), rows, &run);
    }
    // A hundred statements of a thousand rows, each a transaction, by one registered table.
    let statements = LazyCell::new(|| events::cut(&events::batches(100_000), 1_000));
    let sustained = || {
        on_fresh_table(server, KEY, 100_000, || {
            server.runtime.block_on(async {
                let mut sum = Duration::ZERO;
                let one = landing("INSERT INTO", "'writers' '1'");
                let session = one.session(&statements[..1]).await;
                for batch in &*statements {
                    session.bring(batch.clone());
                    sum += session.write().await;
                }
                sum
            })
        })
    };
    let name = "throughput/postgres, 100 statements of 1000 rows";
    print(criterion, name, 100_000, &sustained);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let runtime = Runtime::new().expect("a runtime");
    let all = LazyCell::new(|| events::batches(crate::columnar_vs_row::rows()));
    for size in [100, 1_000, 10_000] {
        let cut = LazyCell::new(|| events::cut(&all, size));
        let run = || sqlite::on_fresh_table(&file, || runtime.block_on(sqlite::landing(&file).land(&cut)));
        let name = format!("throughput/sqlite, batches of {size} rows");
        print(criterion, &name, crate::columnar_vs_row::rows(), &run);
    }
}

fn print(criterion: &mut Criterion, name: &str, rows: usize, run: &dyn Fn() -> Duration) {
    let rates = repeat(criterion, name, || {
        let time = run();
        (time, rows as f64 / time.as_secs_f64())
    });
    Figure::new(name, Unit::Rows, rates).bar([Bar::Median(BAR)]).print();
}
