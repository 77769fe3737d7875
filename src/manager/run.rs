//! A run of a job that it has claimed. It starts the epochs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::OnceCell;
use uuid::Uuid;

use super::claimed::{Claimed, Mentioned};
use super::live::TransactionManager;
use super::spec::JobSpec;
use super::transaction::Transaction;
use crate::backend::failpoint::failpoint;
use crate::error::Result;
use crate::metrics::Phases;
use crate::txn::{DecisionRecord, Epoch, JobId, JobNumber, JobState, NextEpoch, next_epoch};

/// The result of opening a job.
#[derive(Debug)]
pub enum Opened {
    /// The job is finished. This is its last record.
    Finished(DecisionRecord),
    /// The run has claimed the job.
    Run(Run),
}

/// A run of a job that it has claimed.
#[derive(Debug)]
pub struct Run {
    claimed: Arc<Claimed>,
    next: Epoch,
    checkpoint: Option<DecisionRecord>,
}

impl Run {
    /// Claims the job by deciding ABORT for its next epoch, and completes the branches of earlier runs. Returns the
    /// last record of a finished job.
    pub(super) async fn open(
        manager: TransactionManager,
        job_spec: JobSpec,
        job: JobId,
        (number, run): (JobNumber, Uuid),
        key: String,
    ) -> Result<Opened> {
        let phases = Phases::of(&job_spec.subject.table);
        let mut claimed = Claimed {
            manager,
            job_spec,
            job,
            number,
            run,
            key,
            announced: OnceCell::new(),
            may_be_announced: AtomicBool::new(false),
            phases,
        };
        if claimed.job_spec.job.is_none() {
            // Epoch 1 is the claim of a write without a job, as the epoch before the first one is for others.
            return Ok(Opened::Run(Self { claimed: Arc::new(claimed), next: Epoch(2), checkpoint: None }));
        }
        let log = Arc::clone(&claimed.job_spec.log);
        loop {
            let state = log.read(&claimed.job).await?;
            if let Some(number) = state.number() {
                claimed.number = number;
            }
            let epoch = match next_epoch(&state, &claimed.job, &claimed.job_spec.subject)? {
                NextEpoch::Finished(record) => {
                    claimed.recover(&state).await?;
                    return Ok(Opened::Finished(record));
                }
                NextEpoch::Claim(epoch) => epoch,
            };
            let claim = claimed.abort(epoch);
            if log.decide(claim.clone()).await? == claim {
                failpoint("open.claimed");
                let records = state.records().iter().cloned().chain([claim]).collect();
                claimed.recover(&JobState::new(records)).await?;
                failpoint("open.recovered");
                let checkpoint = state.checkpoint().cloned();
                return Ok(Opened::Run(Self { claimed: Arc::new(claimed), next: epoch.next(), checkpoint }));
            }
        }
    }

    /// The position that earlier runs of the job reached.
    pub fn checkpoint(&self) -> Option<&DecisionRecord> {
        self.checkpoint.as_ref()
    }

    /// Starts the transaction of the next epoch. It can be written while the previous one commits, and must be committed
    /// after it.
    pub fn begin(&mut self) -> Transaction {
        let epoch = self.next;
        self.next = epoch.next();
        Transaction::new(Arc::clone(&self.claimed), epoch)
    }

    /// Ends the run, if none of its branches is left.
    pub async fn abandon(&self) {
        self.claimed.clean(None, Mentioned::No).await;
    }
}
