//! Indexes that are built after the rows, against a COPY of ready bytes into the table with its indexes: in the order of the key, and
//! in random order; with a second index; into an empty table, into one that is truncated, and into one that is created.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::prelude::SessionContext;
use datafusion_landfall::load::{Load, Mode};

use crate::columnar_vs_row::postgres::{copy, create, encoded, on_fresh_table};
use crate::columnar_vs_row::rows;
use crate::events;
use crate::landing::{Landing, context};
use crate::pairs::Pairs;
use crate::server::{LazyServer, Server};

const KEY: &str = "PRIMARY KEY (id)";

const REBUILD: &str = "'indexes' 'rebuild'";

/// The same rows in random order, in batches of the same size.
fn shuffled(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let all = concat_batches(&events::schema(), batches).expect("batches of one schema");
    let mut order: Vec<u32> = (0..all.num_rows() as u32).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for last in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(last, (state >> 33) as usize % (last + 1));
    }
    let all = take_record_batch(&all, &UInt32Array::from(order)).expect("all rows");
    events::cut(&[all], events::BATCH_ROWS)
}

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let rows = rows();
    let ordered = LazyCell::new(|| events::batches(rows));
    let random = LazyCell::new(|| shuffled(&ordered));
    let ordered_bytes = LazyCell::new(|| encoded(server, &ordered));
    let random_bytes = LazyCell::new(|| encoded(server, &random));
    let second = format!("{KEY}, UNIQUE (user_id, id)");
    let pairs = |name, bar| Pairs { name, beside: "COPY of ready bytes into the indexed table", rows, bar };
    let copied = |key: &str, bytes: &[Vec<u8>]| {
        on_fresh_table(server, key, rows, || server.runtime.block_on(copy(server, bytes)))
    };
    let landed = |key: &str, verb, options: &str, batches: &[RecordBatch]| {
        let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ({options})", server.url);
        let landing = Landing { table: "bench_events", stored_as, verb };
        on_fresh_table(server, key, rows, || server.runtime.block_on(landing.land(batches)))
    };
    let insert = |key: &str, batches: &[RecordBatch]| landed(key, "INSERT INTO", REBUILD, batches);

    pairs("indexes/postgres/rebuild, key order", Some(1.4)).measure(
        criterion,
        || copied(KEY, &ordered_bytes),
        || insert(KEY, &ordered),
    );
    pairs("indexes/postgres/rebuild, random order", Some(2.5)).measure(
        criterion,
        || copied(KEY, &random_bytes),
        || insert(KEY, &random),
    );
    pairs("indexes/postgres/rebuild, random order, a second index", None).measure(
        criterion,
        || copied(&second, &random_bytes),
        || insert(&second, &random),
    );
    let overwrite = format!("{REBUILD}, 'overwrite' 'truncate'");
    pairs("indexes/postgres/rebuild of a truncated table, random order", None).measure(
        criterion,
        || copied(KEY, &random_bytes),
        || landed(KEY, "INSERT OVERWRITE", &overwrite, &random),
    );
    // The other side creates its table outside of what is measured.
    pairs("indexes/postgres/auto, a load that creates its table, key order", Some(1.4)).measure(
        criterion,
        || copied(KEY, &ordered_bytes),
        || created(server, rows, &ordered),
    );
    pairs("indexes/postgres/auto, a load that creates its table, random order", Some(2.5)).measure(
        criterion,
        || copied(KEY, &random_bytes),
        || created(server, rows, &random),
    );
}

/// What a load that creates its table takes.
fn created(server: &Server, rows: usize, batches: &[RecordBatch]) -> Duration {
    // Leaves the server in the same state as the other side.
    create(server, KEY);
    server.execute("CHECKPOINT; DROP TABLE bench_events");
    let context = context(batches);
    let time = server.runtime.block_on(load(server, &context));
    assert_eq!(server.number("SELECT count(*) FROM bench_events"), rows as i64);
    server.execute("DROP TABLE bench_events");
    time
}

async fn load(server: &Server, context: &SessionContext) -> Duration {
    let began = Instant::now();
    let load = Load::new(&server.url, "bench_events").with_mode(Mode::Create).with_key(["id"]);
    let plan = load.connect().await.expect("a connection").plan(context, "SELECT * FROM source").await.expect("a plan");
    let insert = plan.target().await.expect("a table").insert(context).await.expect("a statement");
    let written = context.execute_logical_plan(insert).await.expect("a plan").collect().await;
    written.expect("all rows");
    began.elapsed()
}
