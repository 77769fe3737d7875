//! Ballista's scheduler, with Landfall's tables. Its arguments are those of `ballista-scheduler`.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::error::{BallistaError, Result};
use ballista_core::object_store::{session_config_with_s3_support, session_state_with_s3_support};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{Config, SchedulerConfig};
use ballista_scheduler::scheduler_process::start_server;
use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Plans are recursive: as in `ballista-scheduler`.
const STACK: usize = 32 << 20;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    let arguments = Config::parse();
    let filter = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| arguments.log_level_setting.clone());
    tracing_subscriber::fmt().with_ansi(false).with_env_filter(EnvFilter::new(filter)).init();
    let address: SocketAddr = format!("{}:{}", arguments.bind_host, arguments.bind_port)
        .parse()
        .map_err(|error| BallistaError::Configuration(format!("invalid address of the scheduler: {error}")))?;
    let config: SchedulerConfig = arguments.try_into()?;
    let config = config
        .with_override_config_producer(Arc::new(session_config_with_s3_support))
        .with_override_session_builder(Arc::new(session_state_with_s3_support));
    let config = datafusion_landfall_ballista::scheduler(config);
    let cluster = BallistaCluster::new_from_config(&config).await?;
    start_server(cluster, address, Arc::new(config)).await
}
