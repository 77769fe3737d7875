//! Landfall's SELECT against reading the same rows as a COPY's messages, and looking at none.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use sqlx::Connection;

use crate::columnar_vs_row::postgres::{copy, create, encoded};
use crate::columnar_vs_row::rows;
use crate::events;
use crate::pairs::Pairs;
use crate::server::{LazyServer, Server};

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let filled = LazyCell::new(|| {
        create(server, "PRIMARY KEY (id)");
        server.runtime.block_on(copy(server, &encoded(server, &events::batches(rows()))));
        // The first reader of a row would note that it is committed.
        server.execute("VACUUM (FREEZE, ANALYZE) bench_events");
        &**server
    });
    let pairs = Pairs { name: "scan/postgres", beside: "COPY of bytes, dropped", rows: rows(), bar: Some(0.80) };
    pairs.measure(
        criterion,
        || filled.runtime.block_on(dropped_messages(&filled)),
        || filled.runtime.block_on(landfall(&filled, rows())),
    );
}

async fn dropped_messages(server: &Server) -> Duration {
    let began = Instant::now();
    let mut connection = server.connect().await;
    let select = "COPY (SELECT id, user_id, kind, amount, ts FROM bench_events) TO STDOUT (FORMAT BINARY)";
    let mut messages = connection.copy_out_raw(select).await.expect("a COPY");
    let mut count = 0;
    while messages.try_next().await.expect("a message").is_some() {
        count += 1;
    }
    drop(messages);
    connection.close().await.expect("a goodbye");
    // The server sends a row a message, and the trailer.
    assert!(count > rows());
    began.elapsed()
}

/// Reads the table, which has so many rows.
pub async fn landfall(server: &Server, rows: usize) -> Duration {
    let context = SessionContext::new();
    datafusion_landfall::register(&context);
    let create = format!("CREATE EXTERNAL TABLE bench_events STORED AS POSTGRES LOCATION '{}'", server.url);
    context.sql(&create).await.expect("a table");
    let began = Instant::now();
    let select = context.sql("SELECT * FROM bench_events").await.expect("a plan");
    let mut batches = select.execute_stream().await.expect("a stream");
    let mut count = 0;
    while let Some(batch) = batches.try_next().await.expect("a batch") {
        count += batch.num_rows();
    }
    assert_eq!(count, rows);
    began.elapsed()
}
