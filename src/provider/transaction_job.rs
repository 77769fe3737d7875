//! The job of a transaction of several statements: the transaction is committed once.

use std::sync::Arc;

use log::warn;

use crate::backend::{Backend, DecisionLog};
use crate::error::{Error, Result};
use crate::manager::{JobSpec, Opened, Run, TransactionManager};
use crate::registry::without_ledger;
use crate::txn::{DecisionRecord, JobId, StatementId, Subject};

/// A job, from the first statement that writes on.
pub(super) struct TransactionJob {
    pub(super) job: JobId,
    /// The decision log: that of BEGIN, or the ledger of the database that is written first.
    log: Arc<dyn DecisionLog>,
    /// The statements that write.
    subject: Subject,
    /// What an earlier run has committed. Then nothing is written.
    finished: Option<DecisionRecord>,
    /// The locations of the databases that have been written.
    joined: Vec<String>,
}

impl TransactionJob {
    /// Opens the job; the run is `None` if an earlier one has committed it.
    pub(super) async fn open(
        job: JobId,
        log: Option<Arc<dyn DecisionLog>>,
        first: &Arc<dyn Backend>,
        manager: &TransactionManager,
    ) -> Result<(Self, Option<Run>)> {
        let log = match log.or_else(|| first.decision_log()) {
            Some(log) => log,
            None => return Err(without_ledger(first.as_ref())),
        };
        let spec =
            JobSpec { log: Arc::clone(&log), job: Some(job.clone()), subject: Subject::default(), resources: vec![] };
        let (finished, run) = match manager.open(spec).await? {
            Opened::Finished(record) => {
                warn!(
                    "job '{job}' is finished: the statements of this transaction write nothing, and are only compared \
                     with those that were committed"
                );
                (Some(record), None)
            }
            Opened::Run(run) => (None, Some(run)),
        };
        Ok((Self { job, log, subject: Subject::default(), finished, joined: Vec::new() }, run))
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// Whether the record of the job is stored in this database.
    pub(super) fn is_recorded_in(&self, database: &dyn Backend) -> bool {
        database.decision_log().is_some_and(|ledger| ledger.url() == self.log.url())
    }

    /// Completes what earlier runs have left in a database, at its first statement.
    pub(super) async fn join(&mut self, database: &Arc<dyn Backend>, manager: &TransactionManager) -> Result<()> {
        let location = database.location();
        if self.joined.contains(&location) {
            return Ok(());
        }
        if !self.is_recorded_in(database.as_ref()) {
            if let Some(ledger) = database.decision_log()
                && ledger.read(&self.job).await?.checkpoint().is_some()
            {
                return Err(Error::config(format!(
                    "job '{}' was committed with the decision log {}, but its decision log is now {}: write first to \
                     the same database as before, or use another job name",
                    self.job,
                    ledger.url(),
                    self.log.url()
                )));
            }
            let identity = database.identity().await?;
            let is_other = |record: &DecisionRecord| !record.positions.subject.databases.contains(&identity);
            if self.finished.as_ref().is_some_and(is_other) {
                return Err(self.differs(&format!("has not written to {location}")));
            }
            self.subject.databases.push(identity);
        }
        manager.join(&self.job, self.log.as_ref(), database.as_ref()).await?;
        self.joined.push(location);
        Ok(())
    }

    /// Records a statement, or compares it with the statement that was committed.
    pub(super) fn add(&mut self, table: &str, statement: StatementId) -> Result<()> {
        let difference = self
            .finished
            .as_ref()
            .and_then(|record| record.positions.subject.statement_differs(self.subject.statements.len(), &statement));
        if let Some(difference) = difference {
            return Err(self.differs(&difference));
        }
        self.subject.statements.push(statement);
        if !self.subject.table.split(", ").any(|known| known == table) {
            let separator = if self.subject.table.is_empty() { "" } else { ", " };
            self.subject.table = format!("{}{separator}{table}", self.subject.table);
        }
        Ok(())
    }

    /// What the transaction has written, at its end.
    ///
    /// # Errors
    /// `Config` if the transaction that was committed has more statements.
    pub(super) fn end(self) -> Result<Subject> {
        let count = self.subject.statements.len();
        match &self.finished {
            Some(record) if record.positions.subject.statements.len() > count => {
                let committed = record.positions.subject.statements.len();
                Err(self.differs(&format!("has run {committed} statements that write, not {count}")))
            }
            _ => Ok(self.subject),
        }
    }

    fn differs(&self, how: &str) -> Error {
        Error::config(format!(
            "job '{}' is finished, and {how}: each run of a job must consist of the same statements; to run this \
             transaction, use another job name",
            self.job
        ))
    }
}
