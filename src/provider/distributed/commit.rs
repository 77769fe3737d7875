//! The node that decides.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;
use log::warn;

use super::statement::DistributedWrite;
use super::writer::parts;
use crate::error::{Error, Result};
use crate::manager::Joined;
use crate::pipeline::Part;
use crate::provider::counted::{count_schema, counted, properties};
use crate::provider::remote_run::warn_of_finished;

/// Decides about the parts that its input returns, and completes their branches. Returns the number of rows, as an INSERT
/// does. If the input fails, the transaction is aborted.
#[derive(Debug)]
pub(super) struct CommitExec {
    input: Arc<dyn ExecutionPlan>,
    statement: Arc<DistributedWrite>,
    properties: Arc<PlanProperties>,
}

impl CommitExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, statement: Arc<DistributedWrite>) -> Self {
        let properties = properties(count_schema(), 1);
        Self { input, statement, properties }
    }

    pub(super) fn statement(&self) -> &DistributedWrite {
        &self.statement
    }
}

impl DistributedWrite {
    /// Commits the parts. Returns the number of rows that this run wrote.
    async fn commit(&self, parts: Vec<Part>) -> Result<u64> {
        let run = self.run().await?;
        let rows = parts.iter().map(|part| part.rows).sum();
        let branches: Vec<_> = parts.into_iter().flat_map(|part| part.branches).collect();
        match run.join().await? {
            Joined::Open(transaction) => Ok(transaction.commit(&branches, rows).await?.rows),
            Joined::Finished(record) if run.is_of(&record) => {
                run.complete(&record).await?;
                Ok(record.rows)
            }
            Joined::Finished(record) => {
                warn_of_finished(&record, self);
                Ok(0)
            }
        }
    }

    /// Rolls back what was written, after a failure.
    async fn abort(&self) {
        let aborted = async {
            if let Joined::Open(transaction) = self.run().await?.join().await? {
                transaction.abort().await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = aborted.await {
            warn!("could not roll back the branches of table {self} ({error}): run landfall recover");
        }
    }
}

/// Rolls back what was written if the statement is stopped before its commit.
struct AbortOnDrop(Option<Arc<DistributedWrite>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let (Some(statement), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { statement.abort().await });
        }
    }
}

impl DisplayAs for CommitExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitExec: table={}", self.statement)?;
        let Some(write) = self.statement.opened() else { return Ok(()) };
        if let Some(job) = &write.job {
            write!(f, ", job={job}")?;
        }
        write!(f, ", commit=two_phase, log={}", write.log.url())
    }
}

impl ExecutionPlan for CommitExec {
    fn name(&self) -> &str {
        "CommitExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => Ok(Arc::new(Self::new(input, Arc::clone(&self.statement)))),
            _ => internal_err!("CommitExec has one child"),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("CommitExec has only partition 0, not {partition}");
        }
        let input = self.input.execute(0, context)?;
        let statement = Arc::clone(&self.statement);
        let committed = async move {
            let mut stopped = AbortOnDrop(Some(Arc::clone(&statement)));
            let written = input.try_collect::<Vec<_>>().await;
            let batches = match written {
                Ok(batches) => batches,
                Err(error) => {
                    stopped.0 = None;
                    statement.abort().await;
                    return Err(error);
                }
            };
            stopped.0 = None;
            let committed = async {
                let parts = batches.iter().map(parts).collect::<Result<Vec<_>>>()?.concat();
                // The commit continues if its caller stops waiting.
                let own = Arc::clone(&statement);
                let committing = tokio::spawn(async move { own.commit(parts).await });
                committing.await.map_err(|error| Error::internal(format!("the commit failed: {error}")))?
            };
            Ok(committed.await.map_err(|error| statement.doing(error))?)
        };
        Ok(counted(committed))
    }
}
