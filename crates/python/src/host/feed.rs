//! The rows of another library's query, as a leaf of Landfall's plan.

#![expect(clippy::disallowed_types, reason = "taken once for each execution of a plan")]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Batches that are read before the database takes them.
const AHEAD: usize = 2;

/// What the query delivers.
enum Fed {
    Batch(RecordBatch),
    Failed(DataFusionError),
    /// All rows were delivered. A query that is dropped earlier does not say this, and must not look complete.
    End,
}

/// A leaf whose rows another task delivers.
#[derive(Debug)]
pub(super) struct FeedExec {
    receiver: Mutex<Option<Receiver<Fed>>>,
    properties: Arc<PlanProperties>,
}

impl FeedExec {
    pub(super) fn new(schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { receiver: Mutex::new(None), properties: Arc::new(properties) }
    }

    /// The way of rows to the next execution.
    pub(super) fn open(&self) -> Feeder {
        let (sender, receiver) = mpsc::channel(AHEAD);
        *self.receiver.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiver);
        Feeder(sender)
    }
}

/// Delivers the rows.
pub(super) struct Feeder(Sender<Fed>);

impl Feeder {
    /// Delivers a stream to its end, as far as it is taken.
    pub(super) async fn deliver(self, mut rows: impl Stream<Item = DfResult<RecordBatch>> + Unpin) {
        while let Some(next) = rows.next().await {
            let (next, is_last) = match next {
                Ok(batch) => (Fed::Batch(batch), false),
                Err(error) => (Fed::Failed(error), true),
            };
            if self.0.send(next).await.is_err() || is_last {
                return;
            }
        }
        // A statement that failed takes no more.
        let _ = self.0.send(Fed::End).await;
    }
}

/// What was received, and the receiver if there can be more.
async fn received(receiver: Option<Receiver<Fed>>) -> Option<(DfResult<RecordBatch>, Option<Receiver<Fed>>)> {
    let mut receiver = receiver?;
    match receiver.recv().await {
        Some(Fed::Batch(batch)) => Some((Ok(batch), Some(receiver))),
        Some(Fed::Failed(error)) => Some((Err(error), None)),
        Some(Fed::End) => None,
        None => Some((Err(DataFusionError::Execution("the statement was stopped".into())), None)),
    }
}

impl DisplayAs for FeedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedExec")
    }
}

impl ExecutionPlan for FeedExec {
    fn name(&self) -> &str {
        "FeedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
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

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let Some(receiver) = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return internal_err!("the rows of a datafusion session can be read only once");
        };
        let batches = stream::unfold(Some(receiver), received);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
