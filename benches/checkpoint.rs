//! What checkpoints cost, and how soon the rows of a stream are seen.
//!
//! Cost: a job in epochs of 100,000 rows beside the same job as one epoch. Latency: a stream that brings a batch of 1,000
//! rows every 10 ms, with ten checkpoints a second; another connection looks for the last row that is there, all the
//! time.

use std::cell::LazyCell;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::MemTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::Interrupt;
use futures::stream;
use tokio::runtime::Runtime;

use crate::columnar_vs_row::{ROWS, mysql, postgres, sqlite};
use crate::events;
use crate::mysql::LazyMySql;
use crate::pairs::Pairs;
use crate::server::LazyServer;

/// What a checkpoint every so many rows is asked for by.
const CHECKPOINTS: &str = "'checkpoint.rows' '100000', ";

/// How much of the throughput must be left.
const BAR: f64 = 0.97;

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql_server: &LazyMySql) {
    let batches = LazyCell::new(|| events::batches(ROWS));
    let (key, one) = ("PRIMARY KEY (id)", "'writers' '1', ");
    for (name, key, writers) in [
        ("checkpoint/postgres", key, one),
        ("checkpoint/postgres_without_key", "", one),
        ("checkpoint/postgres_two_writers", key, "'writers' '2', "),
    ] {
        let write = |checkpoints: &str| {
            let create = create("bench_events", "POSTGRES", &server.url, &format!("{writers}{checkpoints}"));
            postgres::on_fresh_table(server, key, ROWS, || server.runtime.block_on(write(&create, &batches)))
        };
        let pairs = Pairs { name, beside: "one epoch", rows: ROWS, bar: Some(BAR) };
        pairs.measure(criterion, || write(""), || write(CHECKPOINTS));
    }
    let in_mysql = |checkpoints: &str| {
        let create = create("bench_events", "MYSQL", &mysql_server.url, &format!("{one}{checkpoints}"));
        let write =
            || mysql_server.runtime.block_on(write(&create, &batches[..mysql::ROWS.div_ceil(events::BATCH_ROWS)]));
        mysql::on_fresh_table(mysql_server, key, mysql::ROWS.next_multiple_of(events::BATCH_ROWS), write)
    };
    let pairs = Pairs { name: "checkpoint/mysql", beside: "one epoch", rows: mysql::ROWS, bar: Some(BAR) };
    pairs.measure(criterion, || in_mysql(""), || in_mysql(CHECKPOINTS));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let runtime = Runtime::new().expect("a runtime");
    let in_sqlite = |checkpoints: &str| {
        let options = format!("'pragma.synchronous' 'full', {checkpoints}");
        let create = create("events", "SQLITE", &file.display().to_string(), &options);
        sqlite::on_fresh_table(&file, || runtime.block_on(write(&create, &batches)))
    };
    let pairs = Pairs { name: "checkpoint/sqlite", beside: "one epoch", rows: ROWS, bar: Some(BAR) };
    pairs.measure(criterion, || in_sqlite(""), || in_sqlite(CHECKPOINTS));
    latency(criterion, server);
}

/// The statement that registers a table, which a job writes.
fn create(table: &str, stored_as: &str, location: &str, options: &str) -> String {
    format!("CREATE EXTERNAL TABLE {table} STORED AS {stored_as} LOCATION '{location}' OPTIONS ({options}'job' 'JOB')")
}

async fn write(create: &str, batches: &[RecordBatch]) -> Duration {
    let context = SessionContext::new();
    datafusion_landfall::register(&context);
    let source = MemTable::try_new(events::schema(), vec![batches.to_vec()]).expect("a source");
    context.register_table("source", Arc::new(source)).expect("a source");
    let create = create.replace("JOB", &uuid::Uuid::new_v4().to_string());
    context.sql(&create).await.expect("a table");
    let table = create.split_whitespace().nth(3).expect("its name");
    let began = Instant::now();
    let insert = context.sql(&format!("INSERT INTO {table} SELECT * FROM source")).await.expect("a plan");
    insert.collect().await.expect("all rows");
    began.elapsed()
}

/// Rows of a batch of the stream.
const BATCH: usize = 1_000;

/// From one batch to the next.
const PERIOD: Duration = Duration::from_millis(10);

/// Batches of one measurement.
const BATCHES: usize = 1_000;

/// Brings batches at their times, and notes how it went.
#[derive(Debug)]
struct Source {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    seen: Arc<Mutex<Seen>>,
    stop: Interrupt,
}

#[derive(Debug, Default)]
struct Seen {
    /// When each batch was handed out.
    brought: Vec<Instant>,
    /// How long the sink took until it asked for the next.
    waits: Vec<Duration>,
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PartitionStream for Source {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (seen, stop, batches) = (Arc::clone(&self.seen), self.stop.clone(), self.batches.clone());
        let began = tokio::time::Instant::now();
        let bring = move |number: usize| {
            let (seen, stop, batch) = (Arc::clone(&seen), stop.clone(), batches.get(number).cloned());
            async move {
                let asked = Instant::now();
                if let Some(last) = number.checked_sub(1).map(|last| lock(&seen).brought[last]) {
                    lock(&seen).waits.push(asked - last);
                }
                let Some(batch) = batch else {
                    stop.stop();
                    return std::future::pending().await;
                };
                tokio::time::sleep_until(began + PERIOD * number as u32).await;
                lock(&seen).brought.push(Instant::now());
                Some((Ok(batch), number + 1))
            }
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::unfold(0, bring)))
    }
}

fn latency(criterion: &mut Criterion, server: &LazyServer) {
    let mut all: Vec<(Vec<Duration>, Vec<Duration>)> = Vec::new();
    let mut group = criterion.benchmark_group("checkpoint/latency");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(1));
    group.bench_function("write to visible", |bencher| {
        bencher.iter_custom(|iterations| {
            let began = Instant::now();
            // A run takes ten seconds, and has a thousand latencies in it.
            while all.len() < 3 {
                all.push(stream_into(server));
            }
            began.elapsed() / 3 * u32::try_from(iterations).unwrap_or(u32::MAX)
        });
    });
    group.finish();
    if all.is_empty() {
        return;
    }
    let (latencies, waits): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let (mut latencies, mut waits) = (latencies.concat(), waits.concat());
    latencies.sort();
    waits.sort();
    let mut line = String::new();
    for (of, times, bars) in [
        ("write to visible", &latencies, "bars P50 150 ms, P99 300 ms"),
        ("the stream waits for the sink", &waits, "bar 10 ms at most"),
    ] {
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let _ = writeln!(
            line,
            "checkpoint/latency: {of}: P50 {:.1} ms, P95 {:.1} ms, P99 {:.1} ms, longest {:.1} ms of {} ({bars})",
            at(0.5),
            at(0.95),
            at(0.99),
            at(1.0),
            times.len()
        );
    }
    print!("{line}");
}

/// Writes the stream; gives how long each batch took until it was seen, and the stream until it was asked again.
fn stream_into(server: &LazyServer) -> (Vec<Duration>, Vec<Duration>) {
    postgres::create(server, "PRIMARY KEY (id)");
    server.execute("CHECKPOINT");
    let rows = compute::concat_batches(&events::schema(), &events::batches(BATCH * BATCHES)).expect("the events");
    let batches = (0..BATCHES).map(|number| rows.slice(number * BATCH, BATCH)).collect();
    let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Interrupt::new());
    let source = Source { schema: events::schema(), batches, seen: Arc::clone(&seen), stop: stop.clone() };
    let url = server.url.clone();
    let visible = server.runtime.block_on(async {
        let writing = tokio::spawn(async move {
            let config = SessionConfig::new().with_extension(Arc::new(stop));
            let context = SessionContext::new_with_config(config);
            datafusion_landfall::register(&context);
            let table = StreamingTable::try_new(events::schema(), vec![Arc::new(source)]).expect("a stream");
            context.register_table("source", Arc::new(table.with_infinite_table(true))).expect("a stream");
            let create = create("bench_events", "POSTGRES", &url, "'checkpoint.interval' '100ms', ");
            // A stream is no job.
            context.sql(&create.replace(", 'job' 'JOB'", "")).await.expect("a table");
            let insert = context.sql("INSERT INTO bench_events SELECT * FROM source").await.expect("a plan");
            insert.collect().await.expect("all rows");
        });
        let mut connection = server.connect().await;
        let mut visible = Vec::with_capacity(BATCHES);
        while visible.len() < BATCHES {
            let is_over = writing.is_finished();
            let last = sqlx::query_scalar("SELECT coalesce(max(id), -1) FROM bench_events").fetch_one(&mut connection);
            let last: i64 = last.await.expect("the last row");
            visible.resize((last + 1) as usize / BATCH, Instant::now());
            assert!(!is_over || visible.len() == BATCHES, "the stream ended after {} batches", visible.len());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        writing.await.expect("the stream ends");
        visible
    });
    assert_eq!(server.number("SELECT count(*) FROM bench_events"), (BATCH * BATCHES) as i64);
    server.execute("DROP TABLE bench_events");
    let seen = lock(&seen);
    let latencies = visible.iter().zip(&seen.brought).map(|(visible, brought)| *visible - *brought).collect();
    (latencies, seen.waits.clone())
}
