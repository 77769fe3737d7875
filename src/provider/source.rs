//! User-defined sources that can be read from a position, so that a job can resume.

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

/// A stream of batches, each with the position after its last row.
pub type PositionedStream = BoxStream<'static, DfResult<(RecordBatch, String)>>;

/// A source that can be read from a position: a log, a queue, a growing file. The source defines what a position is.
/// Landfall stores it with each checkpoint and passes it back when a job resumes.
pub trait ReplayableSource: Debug + Send + Sync {
    /// The name. A job resumes only with sources of the same names.
    fn name(&self) -> String;

    /// The schema of its batches.
    fn schema(&self) -> SchemaRef;

    /// Reads the batches after `position`, or from the beginning. Every call must return the same rows. A batch without
    /// rows advances the position.
    ///
    /// # Errors
    /// If the source cannot be read from the position, for example because its rows were removed.
    fn read(&self, position: Option<&str>, context: Arc<TaskContext>) -> DfResult<PositionedStream>;
}

/// A table of replayable sources. Each source is a partition.
#[derive(Debug)]
pub struct ReplayableTable {
    sources: Vec<Arc<dyn ReplayableSource>>,
    schema: SchemaRef,
    boundedness: Boundedness,
}

impl ReplayableTable {
    /// Creates a table of bounded sources.
    ///
    /// # Errors
    /// `Config` without a source, or if the schemas differ.
    pub fn try_new(sources: Vec<Arc<dyn ReplayableSource>>) -> crate::Result<Self> {
        let Some(schema) = sources.first().map(|source| source.schema()) else {
            return Err(crate::Error::config("a table needs at least one source"));
        };
        if let Some(other) = sources.iter().find(|source| source.schema() != schema) {
            return Err(crate::Error::config(format!(
                "the columns of source {} differ from the columns of source {}",
                other.name(),
                sources[0].name()
            )));
        }
        Ok(Self { sources, schema, boundedness: Boundedness::Bounded })
    }

    /// The names of the sources.
    pub(super) fn names(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.name()).collect()
    }

    /// Creates a table of unbounded sources.
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

/// The plan of a scan of replayable sources.
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
            return internal_err!("ReplayableExec has no partition {partition}: it has {}", self.sources.len());
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
