//! Ballista's executor, with Landfall's tables. Its arguments are those of `ballista-executor`.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::error::{BallistaError, Result};
use ballista_core::object_store::{runtime_env_with_s3_support, session_config_with_s3_support};
use ballista_executor::config::Config;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::health::spawn_health_server;
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Config::parse();
    let health: SocketAddr = format!("{}:{}", arguments.bind_host, arguments.bind_health_port)
        .parse()
        .map_err(|error| BallistaError::Configuration(format!("invalid address of the health probes: {error}")))?;
    let mut config: ExecutorProcessConfig = arguments.try_into()?;
    let filter = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| config.special_mod_log_level.clone());
    tracing_subscriber::fmt().with_ansi(false).with_env_filter(EnvFilter::new(filter)).init();
    config.override_config_producer = Some(Arc::new(session_config_with_s3_support));
    config.override_runtime_producer = Some(Arc::new(runtime_env_with_s3_support));
    let (_stop, stopped) = tokio::sync::oneshot::channel();
    spawn_health_server(health, config.health.clone(), stopped);
    start_executor_process(Arc::new(datafusion_landfall_ballista::executor(config))).await
}
