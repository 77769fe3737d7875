//! The same nodes on another engine: datafusion-distributed, with workers in this process.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_distributed::{
    DistributedExt, SessionStateBuilderExt, Worker, WorkerQueryContext, WorkerResolver, display_plan_ascii,
};
use datafusion_landfall::{LandfallTable, SinkOptions};
use datafusion_landfall_ballista::physical_codec;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use url::Url;
use uuid::Uuid;

use crate::cluster::{COLUMNS, files, run};
use crate::databases::Database;

struct Workers(Vec<Url>);

#[async_trait]
impl WorkerResolver for Workers {
    fn get_urls(&self) -> Result<Vec<Url>, DataFusionError> {
        Ok(self.0.clone())
    }
}

/// Starts workers that know Landfall's nodes.
async fn workers(count: usize) -> Workers {
    let mut urls = Vec::new();
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        urls.push(Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap());
        let worker = Worker::from_session_builder(|context: WorkerQueryContext| async move {
            Ok(context.builder.with_distributed_user_codec_arc(physical_codec()).build())
        });
        let server = Server::builder().add_service(worker.into_worker_server());
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    }
    Workers(urls)
}

fn session(workers: Workers) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(SessionConfig::new().with_target_partitions(2))
        .with_distributed_worker_resolver(workers)
        .with_distributed_planner()
        .with_distributed_user_codec_arc(physical_codec())
        // Small files are divided among the workers, too.
        .with_distributed_file_scan_config_bytes_per_partition(1)
        .unwrap()
        .build();
    let context = SessionContext::from(state);
    datafusion_landfall::register(&context);
    context
}

const ROWS: u64 = 30_000;

const INSERT: &str = "INSERT INTO t SELECT * FROM source";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_workers_write_and_the_coordinator_decides() {
    let context = session(workers(2).await);
    let _folder = files(&context, 4, ROWS).await;
    for database in Database::each() {
        for key in ["", "PRIMARY KEY"] {
            database.client(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id BIGINT {key}, {COLUMNS})"));
            let register = async |run: Uuid| {
                let options = [("job", format!("thirty thousand{key}")), ("writers", "2".to_owned())];
                let options = options.each_ref().map(|(key, value)| (*key, value.as_str()));
                let options = SinkOptions::try_from_pairs(options).unwrap();
                let table = LandfallTable::connect(&database.url(), "t", options).await.unwrap();
                let _ = context.deregister_table("t");
                context.register_table("t", Arc::new(table.distributed(run))).unwrap();
            };
            register(Uuid::new_v4()).await;
            let plan = context.sql(INSERT).await.unwrap().create_physical_plan().await.unwrap();
            let shown = display_plan_ascii(plan.as_ref(), false);
            // The node that decides is in the stage of the coordinator, those that write are in the stage of the workers.
            let (coordinator, rest) = shown.split_once("Stage").unwrap();
            assert!(coordinator.contains("CommitExec") && !coordinator.contains("WriterExec"), "{shown}");
            assert!(rest.contains("tasks=2") && rest.contains("WriterExec: writers="), "{shown}");

            assert_eq!(run(&context, INSERT).await.unwrap(), ROWS, "{:?} {key}", database.kind);
            register(Uuid::new_v4()).await;
            assert_eq!(run(&context, INSERT).await.unwrap(), 0, "{:?} {key}", database.kind);
            let counted = database.client("SELECT count(*), count(DISTINCT id), sum(id) FROM t");
            assert_eq!(counted, [format!("{ROWS}|{ROWS}|{}", ROWS * (ROWS + 1) / 2)], "{:?} {key}", database.kind);
            assert!(database.prepared().is_empty(), "{:?}", database.prepared());
        }
        // All or nothing: one of the rows is there.
        database.client("DELETE FROM t; INSERT INTO t (id) VALUES (29000)");
        let table = LandfallTable::connect(&database.url(), "t", SinkOptions::new()).await.unwrap();
        let _ = context.deregister_table("t");
        context.register_table("t", Arc::new(table.distributed(Uuid::new_v4()))).unwrap();
        let error = run(&context, INSERT).await.unwrap_err().to_string();
        assert!(error.contains("the key already exists"), "{error}");
        assert_eq!(database.client("SELECT count(*) FROM t"), ["1"], "{:?}", database.kind);
    }
}
