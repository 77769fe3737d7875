//! A transaction of several statements, whose databases become known while they run.

use uuid::Uuid;

use super::live::TransactionManager;
use super::recovery::recover_job;
use super::run::{Opened, Run};
use super::spec::JobSpec;
use crate::backend::{Backend, DecisionLog};
use crate::error::{Error, Result};
use crate::txn::{Epoch, Gtrid, JobId, JobNumber, State, Xid};

/// The name of such a transaction. Its branches are started before its decision log is known.
#[derive(Debug, Clone, Copy)]
pub struct GroupName {
    number: JobNumber,
    run: Uuid,
}

impl GroupName {
    /// Draws a new name.
    pub fn draw() -> Self {
        Self { number: JobNumber::draw(), run: Uuid::new_v4() }
    }

    /// The name of a branch.
    pub fn xid(&self, bqual: u64) -> Xid {
        // Epoch 1 is the claim of a write without a job.
        Xid { gtrid: Gtrid::new(self.number, Epoch(2), self.run), bqual }
    }
}

impl TransactionManager {
    /// Completes branches of a job that earlier runs left prepared in a database, as the log says.
    ///
    /// # Errors
    /// Any error of the log, or of the database.
    pub async fn join(&self, job: &JobId, log: &dyn DecisionLog, database: &dyn Backend) -> Result<()> {
        let state = log.read(job).await?;
        recover_job(database, log, job, &state, None, self.retry()).await
    }

    /// The run of the transaction of this name, which it begins.
    ///
    /// # Errors
    /// `Internal` for a job.
    pub async fn open_group(&self, name: GroupName, job_spec: JobSpec) -> Result<Run> {
        let job = JobId::of_statement(name.run);
        let key = format!("{job} in {}", job_spec.log.url());
        self.live.insert(key.clone(), State::Active);
        match Run::open(self.clone(), job_spec, job, (name.number, name.run), key).await? {
            Opened::Run(run) => Ok(run),
            Opened::Finished(_) => Err(Error::internal("a transaction of several statements cannot be a job")),
        }
    }
}
