//! Landfall on an [Apache Ballista](https://datafusion.apache.org/ballista) cluster: the executors write the rows of one
//! statement in parallel, and one decision commits all of these rows. A statement stores all of its rows or none. A
//! statement with a job name stores its rows exactly once, even if a process of the cluster dies and the statement is run
//! again. The [guide](datafusion_landfall::guide::distributed) describes the guarantees and the limits.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use datafusion_landfall::{LandfallTable, SinkOptions};
//!
//! let context = datafusion_landfall_ballista::connect("df://scheduler:50050").await?;
//! let options = SinkOptions::try_from_pairs([("password_env", "SALES_PASSWORD"), ("job", "orders of May")])?;
//! let orders = LandfallTable::connect("postgres://me@db/sales", "orders", options).await?;
//! context.register_table("orders", std::sync::Arc::new(orders))?;
//! context.register_parquet("may", "s3://lake/orders/2026-05/", Default::default()).await?;
//! datafusion_landfall::sql(&context, "INSERT INTO orders SELECT * FROM may").await?.collect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The programs `landfall-scheduler` and `landfall-executor` are Ballista's scheduler and executor with the configurations
//! that the functions [`scheduler`] and [`executor`] return. To start a scheduler or an executor in your own program, pass
//! its configuration to one of these functions. To run statements from your own program, call [`connect`], or pass the
//! configuration of your session to [`client`].

mod client;
mod codec;
mod error;

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::{BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use ballista_executor::executor_process::ExecutorProcessConfig;
use ballista_scheduler::config::SchedulerConfig;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::{DefaultPhysicalExtensionCodec, PhysicalExtensionCodec};

use crate::codec::{LogicalCodec, PhysicalCodec};

pub use crate::client::{connect, connect_with_state};

/// Completes the configuration of a session, so that its statements can use Landfall's tables on a cluster. [`connect`]
/// calls this function.
///
/// The function turns off three features with which statements return wrong results, fail, or do not end in Ballista 55.0:
///
/// * adaptive planning (`ballista.planner.adaptive.enabled`): after an executor is lost, the scheduler refuses the results
///   of tasks that are run again, so that the statement does not end;
/// * broadcast joins (`ballista.optimizer.broadcast_join_threshold_bytes`): without adaptive planning, a LIMIT below such a
///   join is ignored;
/// * dynamic filters (`datafusion.optimizer.enable_dynamic_filter_pushdown`): some joins fail with them.
pub fn client(config: SessionConfig) -> SessionConfig {
    let logical = LogicalCodec::new(config.ballista_logical_extension_codec());
    let physical = PhysicalCodec::new(config.ballista_physical_extension_codec());
    config
        .with_ballista_adaptive_query_planner(false)
        .with_ballista_broadcast_join_threshold_bytes(0)
        .set_bool("datafusion.optimizer.enable_dynamic_filter_pushdown", false)
        .with_ballista_logical_extension_codec(Arc::new(logical))
        .with_ballista_physical_extension_codec(Arc::new(physical))
}

/// The codec of Landfall's nodes of physical plans, for another engine that sends parts of a plan to other processes. For
/// `datafusion-distributed`, call `SessionStateBuilder::with_distributed_user_codec_arc(physical_codec())` in the coordinator
/// and in the workers, and register the table with
/// [`LandfallTable::distributed`](datafusion_landfall::LandfallTable::distributed).
pub fn physical_codec() -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(PhysicalCodec::new(Arc::new(DefaultPhysicalExtensionCodec {})))
}

/// Completes the configuration of a scheduler, so that it can plan statements that use Landfall's tables.
pub fn scheduler(mut config: SchedulerConfig) -> SchedulerConfig {
    let logical = config.override_logical_codec.take();
    let physical = config.override_physical_codec.take();
    let logical = logical.unwrap_or_else(|| Arc::new(BallistaLogicalExtensionCodec::default()));
    let physical = physical.unwrap_or_else(|| Arc::new(BallistaPhysicalExtensionCodec::default()));
    config.override_logical_codec = Some(Arc::new(LogicalCodec::new(logical)));
    config.override_physical_codec = Some(Arc::new(PhysicalCodec::new(physical)));
    config
}

/// Completes the configuration of an executor, so that it can execute statements that use Landfall's tables.
pub fn executor(mut config: ExecutorProcessConfig) -> ExecutorProcessConfig {
    let logical = config.override_logical_codec.take();
    let physical = config.override_physical_codec.take();
    let logical = logical.unwrap_or_else(|| Arc::new(BallistaLogicalExtensionCodec::default()));
    let physical = physical.unwrap_or_else(|| Arc::new(BallistaPhysicalExtensionCodec::default()));
    config.override_logical_codec = Some(Arc::new(LogicalCodec::new(logical)));
    config.override_physical_codec = Some(Arc::new(PhysicalCodec::new(physical)));
    config
}
