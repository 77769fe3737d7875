//! Where decisions live.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

/// Where decision records live. Creating one is put-if-absent, and that is the whole agreement between runs.
#[async_trait]
pub trait DecisionLog: Debug + Send + Sync {
    /// Proposes a record and returns the one that stands: the proposal, or what was decided before for this epoch
    /// or a later one of the job. Whose it is, its `gtrid` tells.
    ///
    /// # Errors
    /// An error leaves the outcome open: read the log before anything is concluded from it.
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord>;

    /// What is known of a job; reads only.
    async fn read(&self, job: &JobId) -> Result<JobState>;

    /// Every job that is known; reads only.
    async fn jobs(&self) -> Result<Vec<JobEntry>>;

    /// Removes the records of epochs before `before`, but never the last record nor the last committed one.
    /// A forgotten epoch stays decided. Only for epochs whose branches are all completed.
    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()>;

    /// Removes all records of a job that will not run again. All of its branches must be completed.
    async fn remove(&self, job: &JobId) -> Result<()>;

    /// Where it is, as the program's option `--log` takes it; without secrets.
    fn url(&self) -> String;

    /// The table that it is in there, where that has another name than usual.
    fn ledger_table(&self) -> Option<String> {
        None
    }
}

/// The log of a write to a database that keeps no ledger: it remembers nothing, which is enough for one branch without a
/// job.
#[derive(Debug)]
pub(crate) struct NoLedger {
    /// Where the database is.
    pub(crate) location: String,
}

impl NoLedger {
    /// The error of a write that needs a ledger, for this reason.
    pub(crate) fn error(location: &str, why: &str) -> Error {
        Error::config(format!("{location} keeps no ledger, and {why}"))
    }
}

#[async_trait]
impl DecisionLog for NoLedger {
    async fn decide(&self, _: DecisionRecord) -> Result<DecisionRecord> {
        Err(Self::error(&self.location, "nothing can be decided there: set the option 'log'"))
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
