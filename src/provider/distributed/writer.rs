//! The node that writes and prepares the parts.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{TryStreamExt, stream};

use super::Division;
use super::statement::DistributedWrite;
use crate::error::{Error, ErrorKind, Result};
use crate::manager::Joined;
use crate::pipeline::{Part, write_part};
use crate::provider::counted::properties;
use crate::txn::Xid;

/// Writes each partition of its input as a part, and prepares it. Returns a row for each part: the names of its branches,
/// and the number of its rows.
#[derive(Debug)]
pub(super) struct WriterExec {
    input: Arc<dyn ExecutionPlan>,
    division: Division,
    statement: Arc<DistributedWrite>,
    properties: Arc<PlanProperties>,
}

impl WriterExec {
    pub(super) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        division: Division,
        statement: Arc<DistributedWrite>,
    ) -> DfResult<Self> {
        let input = division.divide(input)?;
        let properties = properties(schema(), input.output_partitioning().partition_count());
        Ok(Self { input, division, statement, properties })
    }

    pub(super) fn statement(&self) -> &DistributedWrite {
        &self.statement
    }
}

/// The columns of a part.
fn schema() -> SchemaRef {
    let fields = [("branches", DataType::Utf8), ("rows", DataType::UInt64)];
    Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, false)).to_vec()))
}

/// The row of a part.
fn row(part: &Part) -> DfResult<RecordBatch> {
    let branches: Vec<_> = part.branches.iter().map(Xid::to_string).collect();
    let columns: [arrow::array::ArrayRef; 2] =
        [Arc::new(StringArray::from(vec![branches.join(" ")])), Arc::new(UInt64Array::from(vec![part.rows]))];
    Ok(RecordBatch::try_new(schema(), columns.to_vec())?)
}

/// The parts of a batch of such rows.
pub(super) fn parts(batch: &RecordBatch) -> Result<Vec<Part>> {
    let bad = || Error::new(ErrorKind::Decode, "a writer returned an invalid part");
    let columns = (
        batch.columns().first().and_then(|column| column.as_any().downcast_ref::<StringArray>()),
        batch.columns().get(1).and_then(|column| column.as_any().downcast_ref::<UInt64Array>()),
    );
    let (Some(branches), Some(rows)) = columns else { return Err(bad()) };
    let part = |(branches, rows): (Option<&str>, Option<u64>)| {
        let branches = branches?.split_whitespace().map(Xid::parse).collect::<Option<Vec<_>>>()?;
        Some(Part { branches, rows: rows? })
    };
    branches.iter().zip(rows.iter()).map(|row| part(row).ok_or_else(bad)).collect()
}

impl DisplayAs for WriterExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writers = self.properties.output_partitioning().partition_count();
        write!(f, "WriterExec: writers={writers}")?;
        let Some(write) = self.statement.opened() else { return write!(f, ", table={}", self.statement) };
        for target in &write.targets {
            write!(f, ", {}, table={}", target.resource.location(), target.spec.table)?;
            if !target.assignments.schema().fields().is_empty() {
                write!(f, ", columns=[{}]", target.assignments)?;
            }
        }
        Ok(())
    }
}

impl ExecutionPlan for WriterExec {
    fn name(&self) -> &str {
        "WriterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        match self.division {
            Division::One => vec![Distribution::SinglePartition],
            Division::Any(_) | Division::ByKey(..) => vec![Distribution::UnspecifiedDistribution],
        }
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => {
                Ok(Arc::new(Self::try_new(input, self.division.clone(), Arc::clone(&self.statement))?))
            }
            _ => internal_err!("WriterExec has one child"),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        self.statement.check_locks(&self.input)?;
        // The branch is started first: it locks rows that the query reads.
        let input = Arc::clone(&self.input);
        let rows = stream::once(async move { input.execute(partition, context) }).try_flatten();
        let rows = rows.map_err(|error| Error::new(ErrorKind::Input, "the query failed").with_source(error));
        let statement = Arc::clone(&self.statement);
        let written = async move {
            let written = async {
                match statement.run().await?.join().await? {
                    Joined::Finished(_) => Ok(Part { branches: Vec::new(), rows: 0 }),
                    Joined::Open(transaction) => write_part(statement.write().await?, &transaction, rows).await,
                }
            };
            let part = written.await.map_err(|error| statement.doing(error))?;
            row(&part)
        };
        let rows = stream::once(written).map_err(DataFusionError::from);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), rows)))
    }
}
