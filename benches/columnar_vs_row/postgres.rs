//! PostgreSQL: against a COPY of bytes that were encoded before the clock starts, against a loop that inserts row by row,
//! and against INSERTs of many rows: as a list of VALUES, and as arrays that are unnested.
//!
//! All sides connect inside the clock, write in one transaction, and end with its COMMIT. Each has a new table, whose
//! rows nobody vacuums meanwhile, and a checkpoint just behind it.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion_landfall::postgres::CopyEncoder;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::rows;
use crate::encode::landfall_encoder;
use crate::events;
use crate::landing::Landing;
use crate::pairs::Pairs;
use crate::server::{LazyServer, Server, execute};

/// Rows that the loop inserts; its time for more is extrapolated.
const LOOP_ROWS: usize = 20_000;

/// Rows that are inserted many at once; the time for more is extrapolated.
const MANY_ROWS: usize = 100_000;

/// Rows of a batch whose INSERT is written by hand.
const BATCH: usize = 1_000;

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let rows = rows();
    let batches = LazyCell::new(|| events::batches(rows));
    let pieces = LazyCell::new(|| encoded(server, &batches));
    let copy = |key: &str| on_fresh_table(server, key, rows, || server.runtime.block_on(copy(server, &pieces)));
    // One connection, as the other sides have.
    let landfall = |key: &str| land(server, key, rows, "'writers' '1'", &batches);
    let row_loop = |key: &str| {
        let time = on_fresh_table(server, key, LOOP_ROWS, || server.runtime.block_on(row_loop(server, &batches)));
        time * (rows / LOOP_ROWS) as u32
    };
    let many = |key: &str, how: Many| {
        let time = on_fresh_table(server, key, MANY_ROWS, || server.runtime.block_on(how.insert(server, &batches)));
        time * (rows / MANY_ROWS) as u32
    };

    let pairs = |name, beside, bar| Pairs { name, beside, rows, bar };
    let key = "PRIMARY KEY (id)";
    let primary_key = pairs("columnar_vs_row/postgres/primary_key", "COPY of ready bytes", Some(0.97));
    primary_key.measure(criterion, || copy(key), || landfall(key));
    let no_key = pairs("columnar_vs_row/postgres/no_key", "COPY of ready bytes", Some(0.97));
    no_key.measure(criterion, || copy(""), || landfall(""));
    let by_row = pairs("columnar_vs_row/postgres/row_loop", "prepared INSERT, row by row", None);
    by_row.measure(criterion, || row_loop(key), || landfall(key));
    let values = pairs("columnar_vs_row/postgres/values", "INSERTs of 1,000 rows each", None);
    values.measure(criterion, || many(key, Many::Values), || landfall(key));
    let unnest = pairs("columnar_vs_row/postgres/unnest", "INSERTs of arrays, unnested", None);
    unnest.measure(criterion, || many(key, Many::Unnest), || landfall(key));
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

/// What landing the batches in a fresh table takes.
pub fn land(server: &Server, key: &str, rows: usize, options: &str, batches: &[RecordBatch]) -> Duration {
    let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ({options})", server.url);
    let landing = Landing::insert("bench_events", stored_as);
    on_fresh_table(server, key, rows, || server.runtime.block_on(landing.land(batches)))
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

/// Ways to insert many rows by one statement.
#[derive(Debug, Clone, Copy)]
enum Many {
    Values,
    Unnest,
}

impl Many {
    /// The first rows, a thousand in a statement, which is prepared once.
    async fn insert(self, server: &Server, batches: &[RecordBatch]) -> Duration {
        let all = concat_batches(&events::schema(), batches).expect("the events");
        let began = Instant::now();
        let mut connection = server.connect().await;
        execute(&mut connection, "BEGIN").await;
        for start in (0..MANY_ROWS).step_by(BATCH) {
            self.statement(&all.slice(start, BATCH)).execute(&mut connection).await.expect("rows");
        }
        execute(&mut connection, "COMMIT").await;
        connection.close().await.expect("a goodbye");
        began.elapsed()
    }

    fn statement(self, batch: &RecordBatch) -> Query<'static, sqlx::Postgres, PgArguments> {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let users = batch.column(1).as_primitive::<Int64Type>();
        let kinds = batch.column(2).as_string_view();
        let amounts = batch.column(3).as_primitive::<Float64Type>();
        let timestamps = batch.column(4).as_primitive::<TimestampMicrosecondType>();
        match self {
            Self::Values => {
                let row = |row: usize| {
                    let first = row * 5 + 1;
                    let time = format!("timestamp '1970-01-01' + ${} * interval '1 microsecond'", first + 4);
                    format!("(${}, ${}, ${}, ${}, {time})", first, first + 1, first + 2, first + 3)
                };
                let values = (0..batch.num_rows()).map(row).collect::<Vec<_>>().join(", ");
                let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO bench_events VALUES {values}")));
                for row in 0..batch.num_rows() {
                    query = query.bind(ids.value(row)).bind(users.value(row)).bind(kinds.value(row).to_owned());
                    let amount = amounts.is_valid(row).then(|| amounts.value(row));
                    query = query.bind(amount).bind(timestamps.value(row));
                }
                query
            }
            Self::Unnest => sqlx::query(
                "INSERT INTO bench_events SELECT id, user_id, kind, amount, \
                 timestamp '1970-01-01' + us * interval '1 microsecond' \
                 FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::float8[], $5::bigint[]) \
                 AS t (id, user_id, kind, amount, us)",
            )
            .bind(ids.values().to_vec())
            .bind(users.values().to_vec())
            .bind(kinds.iter().flatten().map(str::to_owned).collect::<Vec<_>>())
            .bind(amounts.iter().collect::<Vec<_>>())
            .bind(timestamps.values().to_vec()),
        }
    }
}
