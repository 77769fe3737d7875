//! What the size of a statement does to its rows' price, and how a stream is cut by size and by time.

use std::cell::LazyCell;

use criterion::Criterion;

use crate::columnar_vs_row::postgres::on_fresh_table;
use crate::events;
use crate::figure::{Figure, Unit, rows};
use crate::landing::Landing;
use crate::pairs::{Pairs, repeat};
use crate::server::LazyServer;

const KEY: &str = "PRIMARY KEY (id)";

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    for rows in [10, 100, 1_000, 10_000] {
        let batches = LazyCell::new(|| events::batches(rows));
        let name = format!("batching/statement of {rows} rows");
        let rates = repeat(criterion, &name, || {
            let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ('writers' '1')", server.url);
            let landing = Landing::insert("bench_events", stored_as);
            let took = on_fresh_table(server, KEY, rows, || {
                server.runtime.block_on(async {
                    let session = landing.session(&batches).await;
                    // The connection is there.
                    session.write().await;
                    server_truncate(server).await;
                    session.write().await
                })
            });
            (took, rows as f64 / took.as_secs_f64())
        });
        Figure::new(name, Unit::Rows, rates).note("one transaction, on a connection that is open").print();
    }
    let rows = rows(500_000);
    let batches = LazyCell::new(|| events::cut(&events::batches(rows), 1_000));
    let land = |options: &str| {
        let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ('writers' '1', {options} 'job' 'JOB')", server.url);
        let landing = Landing::insert("bench_events", stored_as);
        on_fresh_table(server, KEY, rows, || server.runtime.block_on(landing.land(&batches)))
    };
    for (name, options) in [
        ("batching/epochs of 50000 rows", "'checkpoint.rows' '50000',"),
        ("batching/epochs of 4 MB", "'checkpoint.bytes' '4MB',"),
        ("batching/epochs of 100 ms", "'checkpoint.interval' '100ms',"),
    ] {
        let pairs = Pairs { name, beside: "one epoch", rows, bar: None };
        pairs.measure(criterion, || land(""), || land(options));
    }
}

async fn server_truncate(server: &LazyServer) {
    let mut connection = server.connect().await;
    crate::server::execute(&mut connection, "TRUNCATE bench_events").await;
}
