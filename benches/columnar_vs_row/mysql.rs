//! MariaDB: against LOAD DATA LOCAL of a file that was made before the clock starts, against a loop that inserts row by
//! row, and against DuckDB's mysql extension.
//!
//! All sides connect inside the clock, write in one transaction, and end with its COMMIT. The ready file is in memory,
//! and goes to the server by the same client library that Landfall uses.

use std::cell::LazyCell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt, stream};
use mysql_async::prelude::Queryable;
use mysql_async::{Value, params::Params};
use tokio_util::bytes::Bytes;

use crate::encode::formatted;
use crate::events;
use crate::figure;
use crate::landing::Landing;
use crate::mysql::{LazyMySql, MySql};
use crate::pairs::Pairs;

/// Rows of one measurement: the server takes them at half a million a second.
pub fn rows() -> usize {
    figure::rows(500_000)
}

/// Rows that the loop inserts; its time for more is extrapolated.
const LOOP_ROWS: usize = 20_000;

/// Rows that are inserted a thousand at once; the time for more is extrapolated.
const MANY_ROWS: usize = 100_000;

/// Rows of one such INSERT.
const BATCH: usize = 1_000;

pub fn benches(criterion: &mut Criterion, server: &LazyMySql) {
    let rows = rows();
    let batches = LazyCell::new(|| events::batches(rows));
    let pieces = LazyCell::new(|| -> Vec<Bytes> {
        let mut pieces = Vec::new();
        for batch in &*batches {
            pieces.push(Bytes::from(formatted(batch)));
        }
        pieces
    });
    let load = |key: &str| on_fresh_table(server, key, rows, || server.runtime.block_on(load(server, &pieces)));
    let landfall = |key: &str, options: &str| {
        on_fresh_table(server, key, rows, || server.runtime.block_on(landing(server, options).land(&batches)))
    };
    let row_loop = |key: &str| {
        let time = on_fresh_table(server, key, LOOP_ROWS, || server.runtime.block_on(row_loop(server, &batches)));
        time * (rows / LOOP_ROWS) as u32
    };
    let pairs = |name, beside, bar| Pairs { name, beside, rows, bar };
    let (key, one) = ("PRIMARY KEY (id)", "'writers' '1'");
    let primary_key = pairs("columnar_vs_row/mysql/primary_key", "LOAD DATA of a ready file", Some(0.95));
    primary_key.measure(criterion, || load(key), || landfall(key, one));
    let no_key = pairs("columnar_vs_row/mysql/no_key", "LOAD DATA of a ready file", Some(0.95));
    no_key.measure(criterion, || load(""), || landfall("", one));
    let by_row = pairs("columnar_vs_row/mysql/row_loop", "prepared INSERT, row by row", None);
    by_row.measure(criterion, || row_loop(key), || landfall(key, one));
    let many = pairs("columnar_vs_row/mysql/values", "INSERTs of 1,000 rows each", None);
    let values = |key: &str| {
        let time = on_fresh_table(server, key, MANY_ROWS, || server.runtime.block_on(values(server, &batches)));
        time * (rows / MANY_ROWS) as u32
    };
    many.measure(criterion, || values(key), || landfall(key, one));
    let parquet = LazyCell::new(|| server.runtime.block_on(parquet(&batches)));
    let by_duckdb = pairs("columnar_vs_row/mysql/duckdb", "DuckDB 1.5.5", Some(2.5));
    by_duckdb.measure(
        criterion,
        || on_fresh_table(server, key, rows, || duckdb(server, parquet.path())),
        || landfall(key, one),
    );
    let writers = pairs("columnar_vs_row/mysql/two_writers", "one writer", None);
    writers.measure(criterion, || landfall("", one), || landfall("", "'writers' '2'"));
    let upsert = pairs("columnar_vs_row/mysql/statements", "LOAD DATA, no conflicts looked after", None);
    upsert.measure(criterion, || landfall(key, one), || landfall(key, "'on_conflict' 'update'"));
}

/// Makes the table `bench_events`; `key` can be empty.
pub fn create(server: &MySql, key: &str) {
    let key = if key.is_empty() { String::new() } else { format!(", {key}") };
    server.execute(&[
        "DROP TABLE IF EXISTS bench_events",
        &format!(
            "CREATE TABLE bench_events (id bigint NOT NULL, user_id bigint NOT NULL, kind varchar(40) NOT NULL, \
             amount double, ts datetime(6) NOT NULL{key}) ENGINE = InnoDB CHARACTER SET utf8mb4"
        ),
    ]);
}

/// What `work` says it took on a fresh table, after a look whether it did what it should.
pub fn on_fresh_table(server: &MySql, key: &str, rows: usize, work: impl Fn() -> Duration) -> Duration {
    create(server, key);
    let time = work();
    assert_eq!(server.number("SELECT count(*) FROM bench_events"), rows as u64);
    server.execute(&["DROP TABLE bench_events"]);
    time
}

async fn load(server: &MySql, pieces: &[Bytes]) -> Duration {
    let file = pieces.to_vec();
    let began = Instant::now();
    let mut connection = server.connect().await;
    connection.query_drop("START TRANSACTION").await.expect("a transaction");
    connection.set_infile_handler(async move { Ok(stream::iter(file.into_iter().map(Ok)).boxed()) });
    let load = "LOAD DATA LOCAL INFILE 'ready' INTO TABLE bench_events CHARACTER SET utf8mb4";
    connection.query_drop(load).await.expect("all rows");
    assert_eq!(connection.get_warnings(), 0);
    connection.query_drop("COMMIT").await.expect("a commit");
    connection.disconnect().await.expect("a goodbye");
    began.elapsed()
}

/// An INSERT INTO the table.
pub fn landing(server: &MySql, options: &str) -> Landing {
    Landing::insert("bench_events", format!("MYSQL LOCATION '{}' OPTIONS ({options})", server.url))
}

/// The first rows, each in a statement of its own, which is prepared once.
async fn row_loop(server: &MySql, batches: &[RecordBatch]) -> Duration {
    inserted(server, batches, LOOP_ROWS, 1).await
}

/// The first rows, a thousand in a statement, which is prepared once.
async fn values(server: &MySql, batches: &[RecordBatch]) -> Duration {
    inserted(server, batches, MANY_ROWS, BATCH).await
}

async fn inserted(server: &MySql, batches: &[RecordBatch], rows: usize, at_once: usize) -> Duration {
    let all = concat_batches(&events::schema(), batches).expect("the events");
    let began = Instant::now();
    let mut connection = server.connect().await;
    connection.query_drop("START TRANSACTION").await.expect("a transaction");
    let places = vec!["(?, ?, ?, ?, ?)"; at_once].join(", ");
    let insert = connection.prep(format!("INSERT INTO bench_events VALUES {places}")).await.expect("a statement");
    let ids = all.column(0).as_primitive::<Int64Type>();
    let users = all.column(1).as_primitive::<Int64Type>();
    let kinds = all.column(2).as_string_view();
    let amounts = all.column(3).as_primitive::<Float64Type>();
    let timestamps = all.column(4).as_primitive::<TimestampMicrosecondType>();
    for start in (0..rows).step_by(at_once) {
        let mut values: Vec<Value> = Vec::with_capacity(5 * at_once);
        for row in start..start + at_once {
            let at = timestamp_us_to_datetime(timestamps.value(row)).expect("a time");
            values.extend([
                ids.value(row).into(),
                users.value(row).into(),
                kinds.value(row).into(),
                amounts.is_valid(row).then(|| amounts.value(row)).into(),
                at.format("%Y-%m-%d %H:%M:%S%.6f").to_string().into(),
            ]);
        }
        connection.exec_drop(&insert, Params::Positional(values)).await.expect("rows");
    }
    connection.query_drop("COMMIT").await.expect("a commit");
    connection.disconnect().await.expect("a goodbye");
    began.elapsed()
}

/// The events as a file that DuckDB reads.
async fn parquet(batches: &[RecordBatch]) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".parquet").tempfile().expect("a temporary file");
    // In the order of the key, as the other side has them.
    let config = SessionConfig::new().with_target_partitions(1);
    let frame = SessionContext::new_with_config(config).read_batches(batches.to_vec()).expect("a source");
    let path = file.path().to_str().expect("a path");
    frame.write_parquet(path, DataFrameWriteOptions::new().with_single_file_output(true), None).await.expect("a file");
    file
}

fn duckdb(server: &MySql, file: &Path) -> Duration {
    let script = crate::server::repository().join("benches/duckdb");
    let port = server.url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()).expect("a port");
    let run = Command::new(script).arg(port).arg(file).stderr(Stdio::inherit()).output().expect("benches/duckdb");
    let seconds = String::from_utf8_lossy(&run.stdout).trim().parse().expect("seconds");
    Duration::from_secs_f64(seconds)
}
