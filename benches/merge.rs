//! MERGE of 200,000 rows into a table of 500,000, half of them there already, beside what is written by hand: psql with a
//! COPY of ready bytes into a temporary table and PostgreSQL's MERGE, and in SQLite a temporary table, filled by a prepared
//! statement with ready values, and an upsert.
//!
//! Both sides change the same table, in turn; what a run has added is deleted after it, and what it updated stays, so that
//! every run writes as much. Whether it did is counted.

use std::cell::{LazyCell, RefCell};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::SinkOptions;
use datafusion_landfall::postgres::{CopyEncoder, Postgres};
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::events;
use crate::pairs::Pairs;
use crate::server::LazyServer;

const TABLE_ROWS: usize = 500_000;
const ROWS: usize = 200_000;

/// The first id of the source: as many of its rows are there as are not.
const FIRST: usize = TABLE_ROWS - ROWS / 2;

const COLUMNS: &str = "(id BIGINT, user_id BIGINT NOT NULL, kind VARCHAR NOT NULL, amount DOUBLE, ts TIMESTAMP NOT NULL, PRIMARY KEY (id))";

/// What follows the name of the table, and that of the source as `s`.
const ON: &str = "ON t.id = s.id \
    WHEN MATCHED THEN UPDATE SET user_id = s.user_id, kind = s.kind, amount = s.amount, ts = s.ts \
    WHEN NOT MATCHED THEN INSERT (id, user_id, kind, amount, ts) VALUES (s.id, s.user_id, s.kind, s.amount, s.ts)";

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    postgres(criterion, server);
    sqlite(criterion);
}

/// The rows that are merged.
fn source() -> Vec<RecordBatch> {
    let merged = |batch: RecordBatch| {
        let mut columns = batch.columns().to_vec();
        let ids = columns[0].as_primitive::<Int64Type>().values().iter().map(|id| id + FIRST as i64);
        columns[0] = Arc::new(Int64Array::from_iter_values(ids)) as ArrayRef;
        columns[2] = Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n("merged", batch.num_rows())));
        RecordBatch::try_new(batch.schema(), columns).expect("columns of one length")
    };
    events::batches(ROWS).into_iter().map(merged).collect()
}

/// A session with a table of the database, and the source.
struct Landfall {
    context: SessionContext,
}

impl Landfall {
    async fn new(stored_as: &str, rows: Vec<RecordBatch>) -> Self {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        datafusion_landfall::register(&context);
        let made = Self { context };
        made.source("source", rows);
        made.run(&format!("CREATE EXTERNAL TABLE bench_merge {COLUMNS} STORED AS {stored_as}")).await;
        made.source("events", events::batches(TABLE_ROWS));
        made.run("INSERT OVERWRITE bench_merge SELECT * FROM events").await;
        made.context.deregister_table("events").expect("the events");
        made
    }

    fn source(&self, name: &str, rows: Vec<RecordBatch>) {
        let table = MemTable::try_new(events::schema(), vec![rows]).expect("a source");
        self.context.register_table(name, Arc::new(table)).expect("a source");
    }

    async fn run(&self, sql: &str) -> Duration {
        let began = Instant::now();
        self.context.sql(sql).await.expect(sql).collect().await.expect(sql);
        began.elapsed()
    }

    async fn merge(&self) -> Duration {
        self.run(&format!("MERGE INTO bench_merge AS t USING source AS s {ON}")).await
    }
}

fn postgres(criterion: &mut Criterion, server: &LazyServer) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = folder.path().join("source.bin");
    let script = folder.path().join("merge.sql");
    let landfall = LazyCell::new(|| {
        server.execute("DROP TABLE IF EXISTS bench_merge");
        let landfall = server.runtime.block_on(Landfall::new(&format!("POSTGRES LOCATION '{}'", server.url), source()));
        let database = Postgres::try_new(&server.url, &SinkOptions::new()).expect("the server");
        let encoder = CopyEncoder::connect(&database, "bench_merge", events::schema());
        let mut encoder = server.runtime.block_on(encoder).expect("an encoder");
        let mut file = File::create(&bytes).expect("a file");
        file.write_all(CopyEncoder::HEADER).expect("a file");
        for batch in source() {
            encoder.encode(&batch, |piece| file.write_all(piece).expect("a file")).expect("bytes");
        }
        file.write_all(CopyEncoder::TRAILER).expect("a file");
        let by_hand = format!(
            "BEGIN;\nCREATE TEMPORARY TABLE s (LIKE bench_merge) ON COMMIT DROP;\n\\copy s FROM '{}' WITH (FORMAT binary)\n\
             MERGE INTO bench_merge AS t USING s {ON};\nCOMMIT;\n",
            bytes.display()
        );
        std::fs::write(&script, by_hand).expect("a file");
        landfall
    });
    let settle = |time: Duration| {
        let merged = server.number("SELECT count(*) FROM bench_merge WHERE kind = 'merged'");
        assert_eq!(merged, ROWS as i64, "not all rows were merged");
        server.execute(&format!("DELETE FROM bench_merge WHERE id >= {TABLE_ROWS}"));
        server.execute("VACUUM bench_merge");
        server.execute("CHECKPOINT");
        time
    };
    let psql = || {
        LazyCell::force(&landfall);
        let began = Instant::now();
        let mut command = Command::new("psql");
        let done = command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&script).arg(&server.url).status();
        let time = began.elapsed();
        assert!(done.expect("psql").success(), "psql failed");
        settle(time)
    };
    let merge = || settle(server.runtime.block_on(landfall.merge()));
    let name = "merge/postgres/200,000 rows into 500,000";
    Pairs { name, beside: "COPY and MERGE by psql", rows: ROWS, bar: Some(0.9) }.measure(criterion, psql, merge);
}

/// A row as it is stored.
type Row = (i64, i64, String, Option<f64>, String);

fn sqlite(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("merge.db");
    let runtime = LazyCell::new(|| Runtime::new().expect("a runtime"));
    let landfall =
        LazyCell::new(|| runtime.block_on(Landfall::new(&format!("SQLITE LOCATION '{}'", file.display()), source())));
    let rows = LazyCell::new(|| source().iter().flat_map(stored).collect::<Vec<Row>>());
    let db = RefCell::new(None);
    let settle = |time: Duration| {
        let mut db = db.borrow_mut();
        let db: &mut Connection = db.get_or_insert_with(|| Connection::open(&file).expect("the database"));
        let merged = db.query_row("SELECT count(*) FROM bench_merge WHERE kind = 'merged'", [], |row| row.get(0));
        assert_eq!(merged, Ok(ROWS as i64), "not all rows were merged");
        db.execute("DELETE FROM bench_merge WHERE id >= ?1", [TABLE_ROWS as i64]).expect("the old rows");
        time
    };
    let by_hand = || {
        LazyCell::force(&landfall);
        let rows = LazyCell::force(&rows);
        let began = Instant::now();
        upsert(&file, rows).expect("an upsert");
        settle(began.elapsed())
    };
    let merge = || settle(runtime.block_on(landfall.merge()));
    let name = "merge/sqlite/200,000 rows into 500,000";
    Pairs { name, beside: "a staging table and an upsert", rows: ROWS, bar: Some(0.9) }
        .measure(criterion, by_hand, merge);
}

/// What somebody writes who knows SQLite.
fn upsert(file: &Path, rows: &[Row]) -> rusqlite::Result<()> {
    let db = Connection::open(file)?;
    db.execute_batch(
        "PRAGMA cache_size = -16384; BEGIN IMMEDIATE;
         CREATE TEMPORARY TABLE s (id INTEGER PRIMARY KEY, user_id INTEGER, kind TEXT, amount REAL, ts TEXT)",
    )?;
    {
        let mut insert = db.prepare("INSERT INTO s VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (id, user_id, kind, amount, ts) in rows {
            insert.execute(rusqlite::params![id, user_id, kind, amount, ts])?;
        }
    }
    db.execute_batch(
        "INSERT INTO bench_merge (id, user_id, kind, amount, ts) SELECT id, user_id, kind, amount, ts FROM s WHERE true
         ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, kind = excluded.kind, amount = excluded.amount,
             ts = excluded.ts;
         DROP TABLE s; COMMIT",
    )
}

/// Rows of a batch as Landfall stores them.
fn stored(batch: &RecordBatch) -> Vec<Row> {
    let texts = |column: usize| cast(batch.column(column), &DataType::Utf8).expect("texts");
    let (kinds, times) = (texts(2), texts(4));
    let text = |array: &ArrayRef, row| {
        let array: &StringArray = array.as_string();
        array.value(row).to_owned()
    };
    let number = |column: usize, row| batch.column(column).as_primitive::<Int64Type>().value(row);
    let amounts = batch.column(3).as_primitive::<Float64Type>();
    let row = |row: usize| {
        let amount = amounts.is_valid(row).then(|| amounts.value(row));
        (number(0, row), number(1, row), text(&kinds, row), amount, text(&times, row))
    };
    (0..batch.num_rows()).map(row).collect()
}
