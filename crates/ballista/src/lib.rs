//! Landfall on an [Apache Ballista](https://datafusion.apache.org/ballista) cluster: the executors write the rows of one
//! INSERT in parallel, and one decision commits them. A statement is all or nothing, and with a job name it happens once,
//! whatever process dies. The [guide](datafusion_landfall::guide::distributed) describes guarantees and limits.
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
//! The programs `landfall-scheduler` and `landfall-executor` are those of Ballista with [`scheduler`] and [`executor`]. Other
//! programs call these functions, and [`client`] or [`connect`], to become part of such a cluster.

mod client;
mod codec;

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::{BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use ballista_executor::executor_process::ExecutorProcessConfig;
use ballista_scheduler::config::SchedulerConfig;
use datafusion::prelude::SessionConfig;

use crate::codec::{LogicalCodec, PhysicalCodec};

pub use crate::client::{connect, connect_with_state};

/// The configuration of a session whose statements can use Landfall's tables on a cluster. [`connect`] calls it.
///
/// It turns off what makes statements wrong or endless in Ballista 55.0:
///
/// * adaptive planning (`ballista.planner.adaptive.enabled`): when an executor is lost, the results of tasks that are run again
///   are refused, so that the statement does not end;
/// * without it, broadcast joins (`ballista.optimizer.broadcast_join_threshold_bytes`), which lose a LIMIT below them;
/// * dynamic filters (`datafusion.optimizer.enable_dynamic_filter_pushdown`), with which some joins fail.
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

/// The configuration of a scheduler that plans such statements.
pub fn scheduler(mut config: SchedulerConfig) -> SchedulerConfig {
    let logical = config.override_logical_codec.take();
    let physical = config.override_physical_codec.take();
    let logical = logical.unwrap_or_else(|| Arc::new(BallistaLogicalExtensionCodec::default()));
    let physical = physical.unwrap_or_else(|| Arc::new(BallistaPhysicalExtensionCodec::default()));
    config.override_logical_codec = Some(Arc::new(LogicalCodec::new(logical)));
    config.override_physical_codec = Some(Arc::new(PhysicalCodec::new(physical)));
    config
}

/// The configuration of an executor that executes such statements.
pub fn executor(mut config: ExecutorProcessConfig) -> ExecutorProcessConfig {
    let logical = config.override_logical_codec.take();
    let physical = config.override_physical_codec.take();
    let logical = logical.unwrap_or_else(|| Arc::new(BallistaLogicalExtensionCodec::default()));
    let physical = physical.unwrap_or_else(|| Arc::new(BallistaPhysicalExtensionCodec::default()));
    config.override_logical_codec = Some(Arc::new(LogicalCodec::new(logical)));
    config.override_physical_codec = Some(Arc::new(PhysicalCodec::new(physical)));
    config
}
