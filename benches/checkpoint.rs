//! What checkpoints cost, and how soon the rows of a stream are seen.
//!
//! Cost: a job in epochs of 100,000 rows beside the same job as one epoch. Latency: a stream that brings a batch of 1,000
//! rows every 10 ms, with ten checkpoints a second; another connection looks for the last row that is there, all the
//! time.

use std::cell::LazyCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use criterion::Criterion;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::Interrupt;
use futures::stream;
use tokio::runtime::Runtime;

use crate::columnar_vs_row::{mysql, postgres, rows, sqlite};
use crate::events;
use crate::figure::{Bar, Figure, is_quick};
use crate::landing::Landing;
use crate::mysql::LazyMySql;
use crate::pairs::{Pairs, repeat};
use crate::server::LazyServer;

/// Rows between two checkpoints, where the bar is.
const EVERY: usize = 100_000;

/// How much of the throughput must be left.
const BAR: f64 = 0.97;

pub fn benches(criterion: &mut Criterion, server: &LazyServer, mysql_server: &LazyMySql) {
    let rows = rows();
    let batches = LazyCell::new(|| events::batches(rows));
    let (key, one) = ("PRIMARY KEY (id)", "'writers' '1', ");
    for (name, key, writers, every) in [
        ("checkpoint/postgres", key, one, EVERY),
        ("checkpoint/postgres_without_key", "", one, EVERY),
        ("checkpoint/postgres_two_writers", key, "'writers' '2', ", EVERY),
        ("checkpoint/postgres, every 1000 rows", key, one, 1_000),
        ("checkpoint/postgres, every 10000 rows", key, one, 10_000),
        ("checkpoint/postgres, every 1000000 rows", key, one, 1_000_000),
    ] {
        let write = |checkpoints: &str| {
            let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ({writers}{checkpoints}'job' 'JOB')", server.url);
            let landing = Landing::insert("bench_events", stored_as);
            // Batches of a thousand rows, where checkpoints are to come as often.
            let batches = if every < events::BATCH_ROWS { &events::cut(&batches, every) } else { &*batches };
            postgres::on_fresh_table(server, key, rows, || server.runtime.block_on(landing.land(batches)))
        };
        let pairs = Pairs { name, beside: "one epoch", rows, bar: (every == EVERY).then_some(BAR) };
        pairs.measure(criterion, || write(""), || write(&checkpoints(every)));
    }
    let in_mysql = |checkpoints: &str| {
        let landing = mysql::landing(mysql_server, &format!("{one}{checkpoints}'job' 'JOB'"));
        let batches = &batches[..mysql::rows().div_ceil(events::BATCH_ROWS)];
        let write = || mysql_server.runtime.block_on(landing.land(batches));
        mysql::on_fresh_table(mysql_server, key, batches.iter().map(RecordBatch::num_rows).sum(), write)
    };
    let pairs = Pairs { name: "checkpoint/mysql", beside: "one epoch", rows: mysql::rows(), bar: Some(BAR) };
    pairs.measure(criterion, || in_mysql(""), || in_mysql(&checkpoints(EVERY)));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.db");
    let runtime = Runtime::new().expect("a runtime");
    let in_sqlite = |checkpoints: &str| {
        let options = format!("'pragma.synchronous' 'full', {checkpoints}'job' 'JOB'");
        let landing = Landing::insert("events", format!("SQLITE LOCATION '{}' OPTIONS ({options})", file.display()));
        sqlite::on_fresh_table(&file, || runtime.block_on(landing.land(&batches)))
    };
    let pairs = Pairs { name: "checkpoint/sqlite", beside: "one epoch", rows, bar: Some(BAR) };
    pairs.measure(criterion, || in_sqlite(""), || in_sqlite(&checkpoints(EVERY)));
    commits(criterion, server);
    latency(criterion, server);
}

/// The option that asks for a checkpoint every so many rows.
fn checkpoints(every: usize) -> String {
    format!("'checkpoint.rows' '{every}', ")
}

/// What a job takes whose one epoch is empty, or has some rows: the claim, the commit, its record.
fn commits(criterion: &mut Criterion, server: &LazyServer) {
    for (name, rows) in [("checkpoint/empty epoch", 0), ("checkpoint/epoch of 1000 rows", 1_000)] {
        let times = repeat(criterion, name, || {
            postgres::create(server, "PRIMARY KEY (id)");
            let batch = events::batches(1_000).swap_remove(0).slice(0, rows);
            let options = "'writers' '1', 'job' 'JOB', 'checkpoint.rows' '1000000'";
            let stored_as = format!("POSTGRES LOCATION '{}' OPTIONS ({options})", server.url);
            let took = server.runtime.block_on(Landing::insert("bench_events", stored_as).land(&[batch]));
            (took, took)
        });
        Figure::times(name, times).print();
    }
}

/// Rows of a batch of the stream.
const BATCH: usize = 1_000;

/// From one batch to the next.
const PERIOD: Duration = Duration::from_millis(10);

/// Batches of one measurement.
fn stream_batches() -> usize {
    if is_quick() { 200 } else { 1_000 }
}

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
    // A run takes ten seconds, and has a thousand latencies in it.
    let all = repeat(criterion, "checkpoint/latency", || {
        let began = Instant::now();
        let seen = stream_into(server);
        (began.elapsed(), seen)
    });
    let (latencies, waits): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    Figure::times("checkpoint/latency/write to visible", latencies.concat())
        .bar([Bar::Median(0.150), Bar::P99(0.300)])
        .note(format!("a batch of {BATCH} rows every {PERIOD:?}, ten checkpoints a second"))
        .print();
    Figure::times("checkpoint/latency/the stream waits for the sink", waits.concat()).bar([Bar::P99(0.010)]).print();
}

/// Writes the stream; gives how long each batch took until it was seen, and the stream until it was asked again.
fn stream_into(server: &LazyServer) -> (Vec<Duration>, Vec<Duration>) {
    let batch_count = stream_batches();
    postgres::create(server, "PRIMARY KEY (id)");
    server.execute("CHECKPOINT");
    let rows = compute::concat_batches(&events::schema(), &events::batches(BATCH * batch_count)).expect("the events");
    let batches = (0..batch_count).map(|number| rows.slice(number * BATCH, BATCH)).collect();
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
            // A stream is no job.
            let create = format!(
                "CREATE EXTERNAL TABLE bench_events STORED AS POSTGRES LOCATION '{url}' \
                 OPTIONS ('checkpoint.interval' '100ms')"
            );
            context.sql(&create).await.expect("a table");
            let insert = context.sql("INSERT INTO bench_events SELECT * FROM source").await.expect("a plan");
            insert.collect().await.expect("all rows");
        });
        let mut connection = server.connect().await;
        let mut visible = Vec::with_capacity(batch_count);
        while visible.len() < batch_count {
            let is_over = writing.is_finished();
            let last = sqlx::query_scalar("SELECT coalesce(max(id), -1) FROM bench_events").fetch_one(&mut connection);
            let last: i64 = last.await.expect("the last row");
            visible.resize((last + 1) as usize / BATCH, Instant::now());
            assert!(!is_over || visible.len() == batch_count, "the stream ended after {} batches", visible.len());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        writing.await.expect("the stream ends");
        visible
    });
    assert_eq!(server.number("SELECT count(*) FROM bench_events"), (BATCH * batch_count) as i64);
    server.execute("DROP TABLE bench_events");
    let seen = lock(&seen);
    let latencies = visible.iter().zip(&seen.brought).map(|(visible, brought)| *visible - *brought).collect();
    (latencies, seen.waits.clone())
}
