//! The run of a statement on a cluster, as the process that waits for it knows it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use datafusion::catalog::TableProvider;
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, LogicalPlan, WriteOp};
use log::warn;
use uuid::Uuid;

use super::destination::Destination;
use super::dml::Changes;
use super::fingerprint::Inserted;
use super::planning::inserting;
use crate::error::Result;
use crate::manager::{DistributedRun, Joined};
use crate::pipeline::job_spec_of;
use crate::txn::{DecisionRecord, StatementId};

/// The run of a statement that other processes execute.
#[derive(Debug)]
pub struct RemoteRun {
    destination: Destination,
    statement: StatementId,
    run: Uuid,
}

/// Draws the run of a statement that writes a Landfall table. Returns the plan with the run, and the run; `None` for a plan that
/// writes no such table.
pub fn start(plan: LogicalPlan) -> (LogicalPlan, Option<RemoteRun>) {
    match started(&plan) {
        Some((plan, run)) => (plan, Some(run)),
        None => (plan, None),
    }
}

fn started(plan: &LogicalPlan) -> Option<(LogicalPlan, RemoteRun)> {
    let LogicalPlan::Dml(DmlStatement { table_name, target, op: WriteOp::Insert(op), input, .. }) = plan else {
        return None;
    };
    let provider = &target.downcast_ref::<DefaultTableSource>()?.table_provider;
    let (table, statement) = target_of(provider, *op);
    let destination = Destination::of(table.as_ref())?;
    let run = Uuid::new_v4();
    let with_run = Destination::of(table.as_ref())?.distributed(run).into_provider();
    let target = match provider.downcast_ref::<Changes>() {
        Some(changes) => provider_as_source(Arc::new(changes.with_table(with_run))),
        None if provider.is::<Inserted>() => Inserted::source(with_run, statement.clone()),
        None => provider_as_source(with_run),
    };
    let op = WriteOp::Insert(*op);
    let plan = LogicalPlan::Dml(DmlStatement::new(table_name.clone(), target, op, Arc::clone(input)));
    Some((plan, RemoteRun { destination, statement, run }))
}

fn target_of(provider: &Arc<dyn TableProvider>, op: InsertOp) -> (&Arc<dyn TableProvider>, StatementId) {
    if let Some((table, _, statement)) = provider.downcast_ref::<Changes>().map(Changes::parts) {
        return (table, statement.clone());
    }
    match provider.downcast_ref::<Inserted>().map(Inserted::parts) {
        Some((table, statement)) => (table, statement.clone()),
        None => (provider, StatementId::of_operation(inserting(op))),
    }
}

/// Logs a warning that a job was finished by an earlier run.
pub(super) fn warn_of_finished(record: &DecisionRecord, table: impl fmt::Display) {
    let (job, rows) = (&record.job, record.total());
    warn!(
        "job '{job}' is finished: an earlier run has written {rows} rows to table {table}; this time, nothing was written"
    );
}

impl RemoteRun {
    /// Logs a warning if a statement wrote no rows because its job had been finished before.
    pub async fn note_if_finished(&self, counted: &[RecordBatch]) {
        let counts = counted.iter().filter_map(|batch| batch.columns().first()?.as_primitive_opt::<UInt64Type>());
        let is_of_job = self.destination.job().is_some();
        if !is_of_job || counts.flat_map(|counts| counts.values()).any(|count| *count > 0) {
            return;
        }
        if let Ok(run) = self.run().await
            && let Ok(Joined::Finished(record)) = run.join().await
            && !run.is_of(&record)
        {
            warn_of_finished(&record, self.destination.name());
        }
    }

    async fn run(&self) -> Result<DistributedRun> {
        let Self { destination, statement, run } = self;
        let (name, log) = destination.decided().await?;
        let spec = job_spec_of(&name, statement, destination.job(), &log, destination.databases()).await?;
        Ok(DistributedRun::new(spec, *run))
    }

    /// Ends a run whose outcome did not arrive: decides ABORT, and rolls back what is prepared. If the run was committed
    /// before, completes it and returns the number of rows.
    ///
    /// # Errors
    /// Errors of the decision log and of the database. The next run of the job, or `landfall recover`, ends it then.
    pub async fn end(&self) -> Result<Option<u64>> {
        let run = self.run().await?;
        let record = match run.join().await? {
            Joined::Open(transaction) => transaction.abort().await?,
            Joined::Finished(record) if run.is_of(&record) => {
                run.complete(&record).await?;
                Some(record)
            }
            Joined::Finished(_) => None,
        };
        Ok(record.map(|record| record.rows))
    }
}
