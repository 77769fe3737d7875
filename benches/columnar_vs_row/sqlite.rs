//! SQLite: against a loop that inserts row by row, and one that inserts 64 at once.
//!
//! They are given every advantage that costs it nothing: one transaction, one prepared statement, the same cache,
//! and their timestamps are text already when the clock starts, where Landfall renders them.

use std::cell::LazyCell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

use super::rows;
use crate::events;
use crate::landing::Landing;
use crate::pairs::Pairs;

pub fn benches(criterion: &mut Criterion) {
    let batches = LazyCell::new(|| events::batches(rows()));
    let rendered = LazyCell::new(|| batches.iter().map(rendered_timestamps).collect::<Vec<_>>());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let runtime = Runtime::new().expect("a runtime");
    let landfall = || on_fresh_table(&file, || runtime.block_on(landing(&file).land(&batches)));
    let pairs = |name, beside, bar| Pairs { name, beside, rows: rows(), bar };
    let by_row = pairs("columnar_vs_row/sqlite/row_loop", "prepared INSERT, row by row", Some(1.10));
    by_row.measure(criterion, || on_fresh_table(&file, || row_loop(&file, &batches, &rendered)), landfall);
    let many = pairs("columnar_vs_row/sqlite/values", "INSERTs of 64 rows each", None);
    many.measure(criterion, || on_fresh_table(&file, || values(&file, &batches, &rendered)), landfall);
}

/// What `work` says it took on a fresh table, after a look whether it did what it should.
pub fn on_fresh_table(file: &Path, work: impl Fn() -> Duration) -> Duration {
    fresh(file, "");
    let time = work();
    assert_eq!(count(file), rows());
    time
}

/// How many rows are there.
pub fn count(file: &Path) -> usize {
    let counted = |db: Connection| db.query_row("SELECT count(*) FROM events", [], |row| row.get(0));
    Connection::open(file).and_then(counted).expect("a table")
}

/// Makes the table in a new file; `more` can be empty.
pub fn fresh(file: &Path, more: &str) {
    let _ = std::fs::remove_file(file);
    let db = Connection::open(file).expect("a new database");
    let create = format!(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, kind TEXT NOT NULL, amount REAL, \
         ts TIMESTAMP NOT NULL{more})"
    );
    db.execute_batch(&create).expect("a new table");
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

/// An INSERT INTO the table.
pub fn landing(file: &Path) -> Landing {
    let stored_as = format!("SQLITE LOCATION '{}' OPTIONS ('pragma.synchronous' 'full')", file.display());
    Landing::insert("events", stored_as)
}

/// The rows, sixty-four in a statement, which is prepared once.
fn values(file: &Path, batches: &[RecordBatch], rendered: &[ArrayRef]) -> Duration {
    const AT_ONCE: usize = 64;
    let began = Instant::now();
    let db = Connection::open(file).expect("the database");
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; BEGIN IMMEDIATE").expect("a transaction");
    let insert = |rows: usize| {
        let places = vec!["(?, ?, ?, ?, ?)"; rows].join(", ");
        db.prepare_cached(&format!("INSERT INTO events (id, user_id, kind, amount, ts) VALUES {places}"))
            .expect("a statement")
    };
    for (batch, timestamps) in batches.iter().zip(rendered) {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let users = batch.column(1).as_primitive::<Int64Type>();
        let kinds = batch.column(2).as_string_view();
        let amounts = batch.column(3).as_primitive::<Float64Type>();
        let timestamps = timestamps.as_string::<i32>();
        for start in (0..batch.num_rows()).step_by(AT_ONCE) {
            let end = batch.num_rows().min(start + AT_ONCE);
            let mut statement = insert(end - start);
            for row in start..end {
                let first = (row - start) * 5 + 1;
                let amount = amounts.is_valid(row).then(|| amounts.value(row));
                statement.raw_bind_parameter(first, ids.value(row)).expect("a value");
                statement.raw_bind_parameter(first + 1, users.value(row)).expect("a value");
                statement.raw_bind_parameter(first + 2, kinds.value(row)).expect("a value");
                statement.raw_bind_parameter(first + 3, amount).expect("a value");
                statement.raw_bind_parameter(first + 4, timestamps.value(row)).expect("a value");
            }
            statement.raw_execute().expect("rows");
        }
    }
    db.execute_batch("COMMIT").expect("a commit");
    began.elapsed()
}
