//! A query of Landfall, in another library's plan.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use super::told;
use crate::process::Process;

/// Batches that are read before the other library takes them.
const AHEAD: usize = 2;

/// A leaf that reads on the runtime of this library.
#[derive(Debug)]
pub(super) struct HostScan {
    process: &'static Process,
    plan: Arc<dyn ExecutionPlan>,
}

impl HostScan {
    pub(super) fn new(process: &'static Process, plan: Arc<dyn ExecutionPlan>) -> Self {
        Self { process, plan }
    }
}

impl DisplayAs for HostScan {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt_as(format, f)
    }
}

impl ExecutionPlan for HostScan {
    fn name(&self) -> &str {
        self.plan.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let plan = Arc::clone(&self.plan);
        let mut batches = RecordBatchReceiverStreamBuilder::new(self.schema(), AHEAD);
        let sender = batches.tx();
        let _entered = self.process.runtime.enter();
        batches.spawn(async move {
            let mut rows = plan.execute(partition, context).map_err(told)?;
            while let Some(batch) = rows.next().await {
                if sender.send(batch.map_err(told)).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(batches.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.plan.metrics()
    }
}
