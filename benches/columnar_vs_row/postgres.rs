//! PostgreSQL: against a COPY of bytes that were encoded before the clock starts, and against a loop that inserts row
//! by row.
//!
//! All sides connect inside the clock, write in one transaction, and end with its COMMIT. Each has a new table, whose
//! rows nobody vacuums meanwhile, and a checkpoint just behind it.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion_landfall::postgres::CopyEncoder;
use sqlx::{Connection, Executor};

use super::ROWS;
use crate::encode::landfall_encoder;
use crate::events;
use crate::pairs::Pairs;
use crate::server::{LazyServer, Server, execute};

/// Rows that the loop inserts; its time for more is extrapolated.
const LOOP_ROWS: usize = 20_000;

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let batches = LazyCell::new(|| events::batches(ROWS));
    let pieces = LazyCell::new(|| encoded(server, &batches));
    let copy = |key: &str| on_fresh_table(server, key, ROWS, || server.runtime.block_on(copy(server, &pieces)));
    let landfall =
        |key: &str| on_fresh_table(server, key, ROWS, || server.runtime.block_on(landfall(server, &batches)));
    let row_loop = |key: &str| {
        let time = on_fresh_table(server, key, LOOP_ROWS, || server.runtime.block_on(row_loop(server, &batches)));
        time * (ROWS / LOOP_ROWS) as u32
    };

    let pairs = |name, beside, bar| Pairs { name, beside, rows: ROWS, bar };
    let key = "PRIMARY KEY (id)";
    let primary_key = pairs("columnar_vs_row/postgres/primary_key", "COPY of ready bytes", Some(0.97));
    primary_key.measure(criterion, || copy(key), || landfall(key));
    let no_key = pairs("columnar_vs_row/postgres/no_key", "COPY of ready bytes", Some(0.97));
    no_key.measure(criterion, || copy(""), || landfall(""));
    let by_row = pairs("columnar_vs_row/postgres/row_loop", "prepared INSERT, row by row", None);
    by_row.measure(criterion, || row_loop(key), || landfall(key));
}

/// Makes the table `bench_events`; `key` can be empty.
pub fn create(server: &Server, key: &str) {
    let key = if key.is_empty() { String::new() } else { format!(", {key}") };
    server.execute(&format!(
        "DROP TABLE IF EXISTS bench_events; CREATE TABLE bench_events (id bigint NOT NULL, user_id bigint NOT NULL, \
         kind text NOT NULL, amount double precision, ts timestamp NOT NULL{key}) WITH (autovacuum_enabled = false)"
    ));
}

/// The data of one COPY, in the pieces that Landfall would send.
pub fn encoded(server: &Server, batches: &[RecordBatch]) -> Vec<Vec<u8>> {
    let mut encoder = landfall_encoder(server, "bench_encode_events", events::schema());
    let mut pieces = vec![CopyEncoder::HEADER.to_vec()];
    for batch in batches {
        encoder.encode(batch, |piece| pieces.push(piece.to_vec())).expect("a batch");
    }
    pieces.push(CopyEncoder::TRAILER.to_vec());
    pieces
}

/// What `work` says it took on a fresh table, after a look whether it did what it should.
pub fn on_fresh_table(server: &Server, key: &str, rows: usize, work: impl Fn() -> Duration) -> Duration {
    create(server, key);
    server.execute("CHECKPOINT");
    let time = work();
    assert_eq!(server.number("SELECT count(*) FROM bench_events"), rows as i64);
    server.execute("DROP TABLE bench_events");
    time
}

pub async fn copy(server: &Server, pieces: &[Vec<u8>]) -> Duration {
    let began = Instant::now();
    let mut connection = server.connect().await;
    execute(&mut connection, "BEGIN").await;
    let mut copy = connection.copy_in_raw("COPY bench_events FROM STDIN (FORMAT BINARY)").await.expect("a COPY");
    for piece in pieces {
        copy.send(piece.as_slice()).await.expect("a piece");
    }
    copy.finish().await.expect("all rows");
    execute(&mut connection, "COMMIT").await;
    connection.close().await.expect("a goodbye");
    began.elapsed()
}

async fn landfall(server: &Server, batches: &[RecordBatch]) -> Duration {
    let context = SessionContext::new();
    datafusion_landfall::register(&context);
    let source = MemTable::try_new(events::schema(), vec![batches.to_vec()]).expect("a source");
    context.register_table("source", Arc::new(source)).expect("a source");
    // One connection, as the other side has.
    let create = format!(
        "CREATE EXTERNAL TABLE bench_events STORED AS POSTGRES LOCATION '{}' OPTIONS ('writers' '1')",
        server.url
    );
    context.sql(&create).await.expect("a table");
    let began = Instant::now();
    let insert = context.sql("INSERT INTO bench_events SELECT * FROM source").await.expect("a plan");
    insert.collect().await.expect("all rows");
    began.elapsed()
}

/// The first rows, each in a statement of its own, which is prepared once.
async fn row_loop(server: &Server, batches: &[RecordBatch]) -> Duration {
    // What the server counts from.
    const EPOCH: &str = "timestamp '1970-01-01' + $5 * interval '1 microsecond'";
    let began = Instant::now();
    let mut connection = server.connect().await;
    execute(&mut connection, "BEGIN").await;
    let insert = sqlx::AssertSqlSafe(format!("INSERT INTO bench_events VALUES ($1, $2, $3, $4, {EPOCH})"));
    let insert = sqlx::SqlSafeStr::into_sql_str(insert);
    let insert = connection.prepare(insert).await.expect("a statement");
    let mut left = LOOP_ROWS;
    for batch in batches {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let users = batch.column(1).as_primitive::<Int64Type>();
        let kinds = batch.column(2).as_string_view();
        let amounts = batch.column(3).as_primitive::<Float64Type>();
        let timestamps = batch.column(4).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows().min(left) {
            let insert = sqlx::Statement::query(&insert)
                .bind(ids.value(row))
                .bind(users.value(row))
                .bind(kinds.value(row))
                .bind(amounts.is_valid(row).then(|| amounts.value(row)))
                .bind(timestamps.value(row));
            insert.execute(&mut connection).await.expect("a row");
        }
        left -= batch.num_rows().min(left);
    }
    execute(&mut connection, "COMMIT").await;
    connection.close().await.expect("a goodbye");
    began.elapsed()
}
