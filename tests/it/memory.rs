//! What a write holds is bounded, and counted in the session's pool.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::dml::Place;
use crate::landing::says;
use crate::postgres::Postgres;
use crate::program::program;

/// Batches of 1,000 rows with a kilobyte each.
fn table(batches: i64) -> Arc<MemTable> {
    let text = "x".repeat(1_000);
    let batches: Vec<_> = (0..batches)
        .map(|batch| {
            let ids = Int64Array::from_iter_values(batch * 1_000..(batch + 1) * 1_000);
            let texts = StringArray::from_iter_values((0..1_000).map(|_| &text));
            RecordBatch::try_from_iter([("id", Arc::new(ids) as _), ("v", Arc::new(texts) as _)]).unwrap()
        })
        .collect();
    Arc::new(MemTable::try_new(batches[0].schema(), vec![batches]).unwrap())
}

/// The most bytes that a statement held.
async fn peak(context: &SessionContext, sql: &str) -> Result<usize, String> {
    let frame = context.sql(sql).await.unwrap();
    let (task, plan) = (frame.task_ctx(), frame.create_physical_plan().await.unwrap());
    collect(Arc::clone(&plan), Arc::new(task)).await.map_err(|error| error.to_string())?;
    fn found(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
        let own = plan.metrics().and_then(|metrics| metrics.sum_by_name("peak_memory"));
        own.map(|sum| sum.as_usize()).or_else(|| plan.children().into_iter().find_map(found))
    }
    Ok(found(&plan).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_holds_no_more_than_its_limit() {
    let server = Postgres::new("CREATE TABLE t (id bigint, v text); CREATE TABLE u (id bigint, v text)");
    server.context.register_table("batches", table(100)).unwrap();
    for (name, limit) in [("t", 4_000_000), ("u", 64_000_000)] {
        server.register(name, "", &format!("'writers' '2', 'memory.limit' '{limit}'")).await.unwrap();
        let sql = format!("INSERT INTO {name} SELECT * FROM batches");
        let peak = peak(&server.context, &sql).await.unwrap();
        // Two writers have room for more than eight batches; what they encode can go beyond the limit.
        assert!((1_000_000..=limit.min(16_000_000) + 1_000_000).contains(&peak), "{name} held {peak}");
        assert!(name == "t" || peak > 5_000_000, "{name} held {peak}");
        assert_eq!(server.rows(&format!("SELECT count(*), sum(length(v)) FROM {name}")), ["100000|100000000"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_of_the_session_counts_with_it() {
    let server = Postgres::new("CREATE TABLE t (id bigint, v text)");
    for (bytes, lands) in [(500_000, false), (30_000_000, true)] {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(bytes));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool)).build_arc().unwrap();
        let context = SessionContext::new_with_config_rt(SessionConfig::new(), runtime);
        datafusion_landfall::register(&context);
        context.register_table("batches", table(20)).unwrap();
        let create = format!("CREATE EXTERNAL TABLE t STORED AS POSTGRES LOCATION '{}'", server.url());
        context.sql(&create).await.unwrap();
        match peak(&context, "INSERT INTO t SELECT * FROM batches").await {
            Ok(_) => assert!(lands, "{bytes} bytes were enough"),
            Err(error) => {
                assert!(!lands, "{error}");
                says(&error, &["memory pool has no space for a batch of 10", "datafusion.execution.batch_size"]);
            }
        }
        assert_eq!(pool.reserved(), 0, "everything is given back");
        let rows = if lands { "20000" } else { "0" };
        assert_eq!(server.rows("SELECT count(*) FROM t"), [rows]);
    }
}

/// The most memory that the program has held, in bytes.
fn most(folder: &Path, arguments: &[&str]) -> usize {
    let mut child = program(folder).args(arguments).stdout(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
        most = most.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success(), "{arguments:?}");
    most
}

#[test]
fn a_large_value_takes_about_twice_its_size() {
    const SIZE: usize = 64_000_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let copy = format!("COPY (SELECT 1 AS id, repeat('abcdefgh', {}) AS v) TO 'v.parquet' STORED AS PARQUET", SIZE / 8);
    most(path, &["sql", "-c", &copy]);
    let none = most(path, &["sql", "-c", "SELECT 1"]);
    for place in &Place::all() {
        let (kind, text, reads) = match place {
            Place::Sqlite(_) => ("SQLITE", "TEXT", 2.0),
            // The driver holds it, too.
            Place::Postgres(_) => ("POSTGRES", "text", 3.0),
            Place::MySql(_) => ("MYSQL", "longtext", 2.0),
        };
        place.client(&format!("CREATE TABLE v (id INTEGER PRIMARY KEY, v {text})"));
        let loaded = most(path, &["load", "v.parquet", &place.url(), "v"]);
        assert_eq!(place.client("SELECT length(v) FROM v"), [SIZE.to_string()]);
        let create = format!("CREATE EXTERNAL TABLE v STORED AS {kind} LOCATION '{}'", place.url());
        let read = most(path, &["sql", "-c", &format!("{create}; SELECT length(v) FROM v")]);
        let updated = most(path, &["load", "v.parquet", &place.url(), "v", "--mode", "update"]);
        for (what, bytes, times) in [("loads", loaded, 2.0), ("reads", read, reads), ("updates", updated, 4.0)] {
            let took = (bytes - none) as f64 / SIZE as f64;
            assert!((0.9..times + 0.9).contains(&took), "{} {what} with {took} times the size", place.name());
        }
    }
}
