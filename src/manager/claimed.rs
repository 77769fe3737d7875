//! A job that a run has claimed: its names, and its records in the log.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures::future::try_join_all;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::live::TransactionManager;
use super::recovery::recover_job;
use super::spec::JobSpec;
use crate::backend::failpoint::failpoint;
use crate::error::{Error, Result};
use crate::metrics::Phases;
use crate::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobId, JobNumber, JobState, Positions};

/// What all epochs of a run have in common.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) manager: TransactionManager,
    pub(super) job_spec: JobSpec,
    pub(super) job: JobId,
    pub(super) number: JobNumber,
    pub(super) run: Uuid,
    pub(super) key: String,
    pub(super) announced: OnceCell<()>,
    /// Whether the log may contain a write without a job.
    pub(super) may_be_announced: AtomicBool,
    pub(super) phases: Phases,
}

/// Whether a note mentions that old records could not be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mentioned {
    Yes,
    No,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.manager.ended(&self.key);
    }
}

impl Claimed {
    /// Stores a write without a job in the log, once. The log already contains a job.
    pub(super) async fn announce(&self) -> Result<()> {
        if self.job_spec.job.is_some() {
            return Ok(());
        }
        let announce = async || {
            let claim = self.abort(Epoch(1));
            self.may_be_announced.store(true, Relaxed);
            let stands = self.job_spec.log.decide(claim.clone()).await?;
            if stands != claim {
                return Err(Error::internal(format!("the decision log already has a record of {}", self.job)));
            }
            failpoint("announce.after");
            Ok(())
        };
        self.announced.get_or_try_init(announce).await.copied()
    }

    /// Removes records that are no longer needed: those before `before`, or all records of a write without a job. If this
    /// fails, the decisions remain valid; a statement that fails has a more important error.
    pub(super) async fn clean(&self, before: Option<Epoch>, failure: Mentioned) {
        let log = &self.job_spec.log;
        let cleaned = match (&self.job_spec.job, before) {
            (None, _) if !self.may_be_announced.load(Relaxed) => Ok(()),
            (_, Some(before)) => log.forget(&self.job, before).await,
            (Some(_), None) => Ok(()),
            (None, None) => log.remove(&self.job).await,
        };
        failpoint("forget.after");
        if let (Err(error), Mentioned::Yes) = (cleaned, failure) {
            log::warn!("could not remove old records of {} from the decision log {}: {error}", self.job, log.url());
        }
    }

    pub(super) async fn recover(&self, state: &JobState) -> Result<()> {
        let JobSpec { log, resources, .. } = &self.job_spec;
        let recover = resources
            .iter()
            .map(|resource| recover_job(resource.as_ref(), log.as_ref(), &self.job, state, None, self.manager.retry()));
        try_join_all(recover).await.map(drop)
    }

    pub(super) fn gtrid(&self, epoch: Epoch) -> Gtrid {
        Gtrid::new(self.number, epoch, self.run)
    }

    /// The record that aborts an epoch.
    pub(super) fn abort(&self, epoch: Epoch) -> DecisionRecord {
        DecisionRecord {
            job: self.job.clone(),
            epoch,
            gtrid: self.gtrid(epoch),
            decision: Decision::Abort,
            rows: 0,
            positions: Positions::new(self.job_spec.subject.clone(), false),
        }
    }
}
