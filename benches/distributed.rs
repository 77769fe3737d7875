//! The cost of a distributed commit: an INSERT whose rows 1, 4, 16 or 64 branches write, prepare and commit by one decision,
//! beside the same INSERT by one writer with one-phase commit. Both sides run in this process and read the same partitions,
//! in turn; the rows are counted after each run.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Instant;

use criterion::Criterion;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::{LandfallTable, SinkOptions};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::figure;
use crate::pairs::Pairs;
use crate::server::LazyServer;

/// Rows of each INSERT.
fn rows() -> usize {
    figure::rows(640_000)
}

pub fn benches(criterion: &mut Criterion, server: &LazyServer) {
    let runtime = LazyCell::new(|| Runtime::new().expect("a runtime"));
    for branches in [1, 4, 16, 64] {
        let context = LazyCell::new(|| source(branches));
        let run = |options: &[(&str, &str)], is_distributed: bool| {
            server.execute(
                "DROP TABLE IF EXISTS bench_distributed; CREATE TABLE bench_distributed (id BIGINT, name TEXT)",
            );
            let time = runtime.block_on(inserted(&context, &server.url, options, is_distributed));
            let found = server.number("SELECT count(DISTINCT id) FROM bench_distributed");
            assert_eq!(found, rows() as i64, "not all rows were written");
            time
        };
        let name = format!("distributed/postgres, {branches} branches");
        Pairs { name: &name, beside: "one writer, one phase", rows: rows(), bar: None }.measure(
            criterion,
            || run(&[("writers", "1")], false),
            || run(&[("writers", &branches.to_string())], true),
        );
    }
}

/// A session with rows in as many partitions as there are branches.
fn source(partitions: usize) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(partitions));
    datafusion_landfall::register(&context);
    let part = |partition: usize| {
        let ids = (partition * rows() / partitions) as i64..((partition + 1) * rows() / partitions) as i64;
        let batches = ids.clone().step_by(8192).map(|first| {
            let ids: Vec<_> = (first..(first + 8192).min(ids.end)).collect();
            let names: ArrayRef = Arc::new(StringArray::from_iter_values(ids.iter().map(|id| format!("row {id}"))));
            let ids: ArrayRef = Arc::new(Int64Array::from(ids));
            RecordBatch::try_from_iter([("id", ids), ("name", names)]).expect("columns of one length")
        });
        batches.collect::<Vec<_>>()
    };
    let parts: Vec<_> = (0..partitions).map(part).collect();
    let table = MemTable::try_new(parts[0][0].schema(), parts).expect("a table");
    context.register_table("source", Arc::new(table)).expect("a table");
    context
}

async fn inserted(
    context: &SessionContext,
    url: &str,
    options: &[(&str, &str)],
    is_distributed: bool,
) -> std::time::Duration {
    let options = SinkOptions::try_from_pairs(options.iter().copied()).expect("options");
    let table = LandfallTable::connect(url, "bench_distributed", options).await.expect("the table");
    let table = if is_distributed { table.distributed(Uuid::new_v4()) } else { table };
    let _ = context.deregister_table("bench_distributed");
    context.register_table("bench_distributed", Arc::new(table)).expect("a table");
    let began = Instant::now();
    let insert = context.sql("INSERT INTO bench_distributed SELECT * FROM source").await.expect("a plan");
    insert.collect().await.expect("the rows are written");
    began.elapsed()
}
