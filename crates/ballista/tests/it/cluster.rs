//! A cluster in this process: a scheduler and two executors.

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::BallistaCodec;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::utils::{default_config_producer, default_session_builder};
use ballista_executor::new_standalone_executor_from_state;
use ballista_scheduler::standalone::new_standalone_scheduler_with_builder;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion_landfall::{LandfallTable, SinkOptions};
use datafusion_landfall_ballista::{client, connect_with_state};
use tracing_subscriber::EnvFilter;

use crate::databases::Database;

/// Two executors of two tasks each. Returns the URL of their scheduler.
pub async fn start() -> String {
    // RUST_LOG=debug shows the plans of the tasks.
    let _ = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_test_writer().try_init();
    let config = client(SessionConfig::new_with_ballista());
    let (logical, physical) = (config.ballista_logical_extension_codec(), config.ballista_physical_extension_codec());
    let state = SessionStateBuilder::new().with_default_features().with_config(config).build();
    let (builder, producer) = (Arc::new(default_session_builder), Arc::new(default_config_producer));
    let codec = BallistaCodec::new(logical, physical);
    let address = new_standalone_scheduler_with_builder(builder, producer, codec).await.unwrap();
    for _ in 0..2 {
        let scheduler = SchedulerGrpcClient::connect(format!("http://localhost:{}", address.port())).await.unwrap();
        new_standalone_executor_from_state(scheduler, 2, &state).await.unwrap();
    }
    format!("df://localhost:{}", address.port())
}

/// A session on a cluster of its own, with `partitions` partitions.
pub async fn session(partitions: usize) -> SessionContext {
    session_at(&start().await, partitions).await
}

pub async fn session_at(url: &str, partitions: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(partitions);
    let state = SessionStateBuilder::new().with_default_features().with_config(config).build();
    connect_with_state(url, state).await.unwrap()
}

/// Registers a table of a database.
pub async fn register(context: &SessionContext, database: &Database, table: &str, options: &[(&str, &str)]) {
    let options = SinkOptions::try_from_pairs(options.iter().copied()).unwrap();
    let opened = LandfallTable::connect(&database.url(), table, options).await.unwrap();
    context.register_table(table, Arc::new(opened)).unwrap();
}

/// Parquet files with the numbers from 1 to `rows`, and values of other types, as the table `source`.
pub async fn files(context: &SessionContext, files: u64, rows: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let local = SessionContext::new();
    for file in 0..files {
        let (first, last) = (file * rows / files + 1, (file + 1) * rows / files);
        let path = folder.path().join(format!("{file}.parquet"));
        let sql = format!(
            "COPY (SELECT value AS id, 'row ' || value AS name, CAST(value AS DOUBLE) / 8 AS share,
                CASE WHEN value % 7 = 0 THEN NULL ELSE CAST(value % 1000 AS DECIMAL(9, 2)) / 100 END AS price,
                DATE '2020-01-01' + CAST(value % 365 AS INT) AS day
              FROM generate_series({first}, {last})) TO '{}' STORED AS PARQUET",
            path.display()
        );
        local.sql(&sql).await.unwrap().collect().await.unwrap();
    }
    source(context, &folder).await;
    folder
}

/// Registers a folder of files as the table `source`.
pub async fn source(context: &SessionContext, folder: &tempfile::TempDir) {
    let path = folder.path().display().to_string();
    context.register_parquet("source", &path, ParquetReadOptions::default()).await.unwrap();
}

/// The columns of the files, in a table.
pub const COLUMNS: &str = "name VARCHAR(20), share DOUBLE PRECISION, price DECIMAL(9, 4), day DATE";

/// The number of rows that a statement writes.
pub async fn run(context: &SessionContext, sql: &str) -> Result<u64, DataFusionError> {
    let batches = datafusion_landfall::sql(context, sql).await?.collect().await?;
    Ok(count(&batches))
}

pub fn count(batches: &[RecordBatch]) -> u64 {
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().iter()).flatten().sum()
}

/// How a statement is planned on the cluster.
pub async fn explain(context: &SessionContext, sql: &str) -> String {
    let batches = context.sql(&format!("EXPLAIN {sql}")).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}
