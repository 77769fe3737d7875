//! The trait of a decision log.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

/// A store of decision records. Creating a record is put-if-absent, which is the whole agreement between runs.
#[async_trait]
pub trait DecisionLog: Debug + Send + Sync {
    /// Proposes a record and returns the record that stands: the proposal, or an earlier decision for this epoch or a
    /// later one of the job. Its `gtrid` identifies the proposer.
    ///
    /// # Errors
    /// An error leaves the outcome open. Read the log before you act on it.
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord>;

    /// Reads the state of a job.
    async fn read(&self, job: &JobId) -> Result<JobState>;

    /// Reads the list of all jobs.
    async fn jobs(&self) -> Result<Vec<JobEntry>>;

    /// Removes the records of epochs before `before`, except the last record and the last committed one. A removed
    /// epoch stays decided. All branches of these epochs must be completed.
    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()>;

    /// Removes all records of a job that will not run again. All of its branches must be completed.
    async fn remove(&self, job: &JobId) -> Result<()>;

    /// The location as an argument of the program's option `--log`, without secrets.
    fn url(&self) -> String;

    /// The name of its table, if it is not the default.
    fn ledger_table(&self) -> Option<String> {
        None
    }
}

/// The log of a write to a database without a ledger. It stores nothing, which is enough for one branch without a job.
#[derive(Debug)]
pub(crate) struct NoLedger {
    /// The location of the database.
    pub(crate) location: String,
}

impl NoLedger {
    /// The error of a write that requires a ledger, for this reason.
    pub(crate) fn error(location: &str, why: &str) -> Error {
        Error::config(format!("{location} has no ledger, and {why}"))
    }
}

#[async_trait]
impl DecisionLog for NoLedger {
    async fn decide(&self, _: DecisionRecord) -> Result<DecisionRecord> {
        Err(Self::error(&self.location, "a decision cannot be stored without a ledger: set the option 'log'"))
    }

    async fn read(&self, _: &JobId) -> Result<JobState> {
        Ok(JobState::default())
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        Ok(Vec::new())
    }

    async fn forget(&self, _: &JobId, _: Epoch) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _: &JobId) -> Result<()> {
        Ok(())
    }

    fn url(&self) -> String {
        self.location.clone()
    }
}
