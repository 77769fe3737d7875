//! SQLite: against a loop that inserts row by row.
//!
//! The loop is given every advantage that costs it nothing: one transaction, one prepared statement, the same cache,
//! and its timestamps are text already when the clock starts, where Landfall renders them.

use std::cell::LazyCell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

use super::ROWS;
use crate::events;
use crate::pairs::Pairs;

pub fn benches(criterion: &mut Criterion) {
    let batches = LazyCell::new(|| events::batches(ROWS));
    let rendered = LazyCell::new(|| batches.iter().map(rendered_timestamps).collect::<Vec<_>>());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let runtime = Runtime::new().expect("a runtime");
    let pairs = Pairs { name: "columnar_vs_row/sqlite", beside: "row loop", rows: ROWS, bar: Some(1.10) };
    pairs.measure(
        criterion,
        || on_fresh_table(&file, || row_loop(&file, &batches, &rendered)),
        || on_fresh_table(&file, || runtime.block_on(landfall(&file, &batches))),
    );
}

/// What `work` says it took on a fresh table, after a look whether it did what it should.
pub fn on_fresh_table(file: &Path, work: impl Fn() -> Duration) -> Duration {
    fresh(file);
    let time = work();
    let rows: usize = Connection::open(file)
        .and_then(|db| db.query_row("SELECT count(*) FROM events", [], |row| row.get(0)))
        .expect("a table");
    assert_eq!(rows, ROWS);
    time
}

fn fresh(file: &Path) {
    let _ = std::fs::remove_file(file);
    let db = Connection::open(file).expect("a new database");
    db.execute_batch(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, kind TEXT NOT NULL, amount REAL, \
         ts TIMESTAMP NOT NULL)",
    )
    .expect("a new table");
}

fn rendered_timestamps(batch: &RecordBatch) -> ArrayRef {
    let text = cast(batch.column(4), &DataType::Utf8).expect("timestamps as text");
    let text = text.as_string::<i32>().iter().map(|text| text.map(|text| format!("{:0<26}", text.replace('T', " "))));
    Arc::new(text.collect::<datafusion::arrow::array::StringArray>())
}

fn row_loop(file: &Path, batches: &[RecordBatch], rendered: &[ArrayRef]) -> Duration {
    let began = Instant::now();
    let db = Connection::open(file).expect("the database");
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; BEGIN IMMEDIATE").expect("a transaction");
    let mut statement =
        db.prepare("INSERT INTO events (id, user_id, kind, amount, ts) VALUES (?, ?, ?, ?, ?)").expect("a statement");
    for (batch, timestamps) in batches.iter().zip(rendered) {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let users = batch.column(1).as_primitive::<Int64Type>();
        let kinds = batch.column(2).as_string_view();
        let amounts = batch.column(3).as_primitive::<Float64Type>();
        let timestamps = timestamps.as_string::<i32>();
        for row in 0..batch.num_rows() {
            let amount = amounts.is_valid(row).then(|| amounts.value(row));
            statement
                .execute(params![ids.value(row), users.value(row), kinds.value(row), amount, timestamps.value(row)])
                .expect("a row");
        }
    }
    db.execute_batch("COMMIT").expect("a commit");
    began.elapsed()
}

async fn landfall(file: &Path, batches: &[RecordBatch]) -> Duration {
    let context = SessionContext::new();
    datafusion_landfall::register(&context);
    let source = MemTable::try_new(events::schema(), vec![batches.to_vec()]).expect("a source");
    context.register_table("source", Arc::new(source)).expect("a source");
    let create = format!(
        "CREATE EXTERNAL TABLE events STORED AS SQLITE LOCATION '{}' OPTIONS ('pragma.synchronous' 'full')",
        file.display()
    );
    context.sql(&create).await.expect("a table");
    let began = Instant::now();
    let insert = context.sql("INSERT INTO events SELECT * FROM source").await.expect("a plan");
    insert.collect().await.expect("all rows");
    began.elapsed()
}
