//! Sources of one's own that can be read from a position on, so that a stream can be gone on with.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::provider::planning::{Planning, boxed, planned};

/// Batches, each with the position behind its last row.
pub type PositionedStream = BoxStream<'static, DfResult<(RecordBatch, String)>>;

/// A source that can be read from a position on: a log, a queue, a file that grows. What a position is, it says itself;
/// Landfall keeps it with each checkpoint, and gives it back when a job goes on.
pub trait ReplayableSource: Debug + Send + Sync {
    /// What it is called; a job goes on only with sources of the same names.
    fn name(&self) -> String;

    /// The schema of its batches.
    fn schema(&self) -> SchemaRef;

    /// Its batches behind `position`, or from its beginning: the same rows each time. A batch without rows moves the
    /// position on.
    ///
    /// # Errors
    /// Where there is nothing to read there, such as when a position is no longer kept.
    fn read(&self, position: Option<&str>, context: Arc<TaskContext>) -> DfResult<PositionedStream>;
}

/// A table over such sources, each of them a partition.
#[derive(Debug)]
pub struct ReplayableTable {
    sources: Vec<Arc<dyn ReplayableSource>>,
    schema: SchemaRef,
    boundedness: Boundedness,
}

impl ReplayableTable {
    /// A table over sources that end.
    ///
    /// # Errors
    /// `Config` where there is none, or they have different schemas.
    pub fn try_new(sources: Vec<Arc<dyn ReplayableSource>>) -> crate::Result<Self> {
        let Some(schema) = sources.first().map(|source| source.schema()) else {
            return Err(crate::Error::config("a table has one source at least"));
        };
        if let Some(other) = sources.iter().find(|source| source.schema() != schema) {
            return Err(crate::Error::config(format!(
                "source {} has other columns than source {}",
                other.name(),
                sources[0].name()
            )));
        }
        Ok(Self { sources, schema, boundedness: Boundedness::Bounded })
    }

    /// The same with sources that never end.
    pub fn unbounded(mut self) -> Self {
        self.boundedness = Boundedness::Unbounded { requires_infinite_memory: false };
        self
    }
}

impl TableProvider for ReplayableTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            _: &'life1 dyn Session,
            projection: Option<&'life2 Vec<usize>>,
            _: &'life3 [Expr],
            _: Option<usize>,
        ) -> Planning {
            let exec = ReplayableExec::try_new(self.sources.clone(), &self.schema, projection.cloned(), self.boundedness);
            planned(exec.map(|exec| Arc::new(exec) as _))
        }
    }
}

/// A leaf that reads replayable sources.
#[derive(Debug)]
pub(super) struct ReplayableExec {
    sources: Vec<Arc<dyn ReplayableSource>>,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl ReplayableExec {
    fn try_new(
        sources: Vec<Arc<dyn ReplayableSource>>,
        schema: &SchemaRef,
        projection: Option<Vec<usize>>,
        boundedness: Boundedness,
    ) -> DfResult<Self> {
        let schema = match &projection {
            Some(projection) => Arc::new(schema.project(projection)?),
            None => Arc::clone(schema),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(sources.len()),
            EmissionType::Incremental,
            boundedness,
        );
        Ok(Self { sources, projection, properties: Arc::new(properties) })
    }

    pub(super) fn sources(&self) -> &[Arc<dyn ReplayableSource>] {
        &self.sources
    }

    /// The columns of a batch that are asked for.
    pub(super) fn project(&self, batch: RecordBatch) -> DfResult<RecordBatch> {
        match &self.projection {
            Some(projection) => Ok(batch.project(projection)?),
            None => Ok(batch),
        }
    }
}

impl DisplayAs for ReplayableExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.sources.iter().map(|source| source.name()).collect();
        write!(f, "ReplayableExec: {}", names.join(", "))
    }
}

impl ExecutionPlan for ReplayableExec {
    fn name(&self) -> &str {
        "ReplayableExec"
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let Some(source) = self.sources.get(partition) else {
            return internal_err!("ReplayableExec has {} partitions, not {partition}", self.sources.len());
        };
        let projection = self.projection.clone();
        let batches = source.read(None, context)?.map(move |read| {
            let (batch, _) = read?;
            match &projection {
                Some(projection) => Ok(batch.project(projection)?),
                None => Ok(batch),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
