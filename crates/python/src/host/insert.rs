//! An INSERT whose query is another library's plan.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, collect,
};
use datafusion::prelude::SessionContext;
use futures::future::{Either, select};
use futures::stream::{self, StreamExt, TryStreamExt, select_all};

use super::feed::FeedExec;
use super::{ended, spawn};
use crate::process::Process;

/// Landfall's plan of the INSERT, and the query, which is visible to the optimizer of the other library: it is not correct
/// before this has distributed its rows.
#[derive(Clone)]
pub(super) struct HostInsert {
    process: &'static Process,
    context: SessionContext,
    plan: Arc<dyn ExecutionPlan>,
    feed: Arc<FeedExec>,
    query: Arc<dyn ExecutionPlan>,
}

impl HostInsert {
    pub(super) fn new(
        process: &'static Process,
        context: SessionContext,
        plan: Arc<dyn ExecutionPlan>,
        feed: Arc<FeedExec>,
        query: Arc<dyn ExecutionPlan>,
    ) -> Self {
        Self { process, context, plan, feed, query }
    }

    /// Writes the rows, and returns their number. The query runs on the thread that polls this, which is one of its own
    /// runtime; Landfall runs on another.
    async fn written(self, of_query: Arc<TaskContext>) -> DfResult<Vec<RecordBatch>> {
        let partitions = 0..self.query.output_partitioning().partition_count();
        let partitions = partitions.map(|partition| self.query.execute(partition, Arc::clone(&of_query)));
        let rows = select_all(partitions.collect::<DfResult<Vec<_>>>()?);
        let delivered = pin!(self.feed.open().deliver(rows));
        let writing = pin!(ended(spawn(self.process, collect(self.plan, self.context.task_ctx()))));
        match select(writing, delivered).await {
            Either::Left((counted, _)) => counted,
            Either::Right(((), writing)) => writing.await,
        }
    }
}

impl fmt::Debug for HostInsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostInsert").field("plan", &self.plan).field("query", &self.query).finish_non_exhaustive()
    }
}

impl DisplayAs for HostInsert {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt_as(format, f)
    }
}

impl ExecutionPlan for HostInsert {
    fn name(&self) -> &str {
        "LandfallInsert"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.query]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let Ok([query]) = <[_; 1]>::try_from(children) else {
            return internal_err!("LandfallInsert has one child");
        };
        Ok(Arc::new(Self { query, ..self.as_ref().clone() }))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let counted = stream::once(self.clone().written(context));
        let batches = counted.map_ok(|batches| stream::iter(batches).map(Ok)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.plan.metrics()
    }
}
