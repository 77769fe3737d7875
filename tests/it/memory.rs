//! What a write holds is bounded, and counted in the session's pool.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::landing::says;
use crate::postgres::Postgres;

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
