//! One run of a job, which has claimed it: gives out its epochs.

use std::sync::Arc;

use futures::future::try_join_all;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::metrics::Phases;
use crate::xa::failpoint::failpoint;
use crate::xa::recovery::recover_job;
use crate::xa::subject::Progress;
use crate::xa::{
    Decision, DecisionRecord, Epoch, Gtrid, JobId, JobNumber, JobState, Opened, Positions, Subject, Transaction,
    TransactionManager, Undertaking,
};

/// One run of a job, which has claimed it.
#[derive(Debug)]
pub struct Run {
    claimed: Arc<Claimed>,
    next: Epoch,
    checkpoint: Option<DecisionRecord>,
}

/// What all epochs of a run have in common.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) manager: TransactionManager,
    pub(super) undertaking: Undertaking,
    pub(super) job: JobId,
    number: JobNumber,
    run: Uuid,
    pub(super) key: String,
    announced: OnceCell<()>,
    pub(super) phases: Phases,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.manager.ended(&self.key);
    }
}

/// What a run of a job has to do.
enum Next {
    /// Nothing: this is its last record.
    Finished(DecisionRecord),
    /// Claim this epoch.
    Epoch(Epoch),
}

/// What to do with a job whose log says `state`: a pure function.
fn next_epoch(state: &JobState, job: &JobId, subject: &Subject) -> Result<Next> {
    if let Some(checkpoint) = state.checkpoint() {
        let progress = if checkpoint.positions.end { Progress::Finished } else { Progress::UnderWay };
        if let Some(difference) = subject.differs_from(&checkpoint.positions.subject, progress) {
            return Err(Error::config(format!("job '{job}' {difference}")));
        }
        if checkpoint.positions.end {
            return Ok(Next::Finished(checkpoint.clone()));
        }
    }
    Ok(Next::Epoch(state.last().map_or(Epoch(1), |last| last.epoch.next())))
}

impl Run {
    /// Claims the job by deciding ABORT for its next epoch, and ends what earlier runs left; or gives its last record
    /// where it is finished.
    pub(super) async fn open(
        manager: TransactionManager,
        undertaking: Undertaking,
        job: JobId,
        run: Uuid,
        key: String,
    ) -> Result<Opened> {
        let number = JobNumber::draw();
        let phases = Phases::of(&undertaking.subject.table);
        let mut claimed = Claimed { manager, undertaking, job, number, run, key, announced: OnceCell::new(), phases };
        if claimed.undertaking.job.is_none() {
            // A write without a job has epoch 1 for its claim, as others have the one before theirs.
            return Ok(Opened::Run(Self { claimed: Arc::new(claimed), next: Epoch(2), checkpoint: None }));
        }
        let log = Arc::clone(&claimed.undertaking.log);
        loop {
            let state = log.read(&claimed.job).await?;
            if let Some(number) = state.number() {
                claimed.number = number;
            }
            let epoch = match next_epoch(&state, &claimed.job, &claimed.undertaking.subject)? {
                Next::Finished(record) => {
                    claimed.recover(&state).await?;
                    return Ok(Opened::Finished(record));
                }
                Next::Epoch(epoch) => epoch,
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

    /// How far earlier runs of the job came.
    pub fn checkpoint(&self) -> Option<&DecisionRecord> {
        self.checkpoint.as_ref()
    }

    /// The transaction of the next epoch. It can be written while the one before commits, and is committed after it.
    pub fn begin(&mut self) -> Transaction {
        let epoch = self.next;
        self.next = epoch.next();
        Transaction::new(Arc::clone(&self.claimed), epoch)
    }

    /// Gives the run up, where no branch of it is left.
    pub async fn abandon(&self) {
        self.claimed.clean(None).await;
    }
}

impl Claimed {
    /// Makes a write without a job known to the log, once. A job is known already.
    pub(super) async fn announce(&self) -> Result<()> {
        if self.undertaking.job.is_some() {
            return Ok(());
        }
        let announce = async || {
            let claim = self.abort(Epoch(1));
            let stands = self.undertaking.log.decide(claim.clone()).await?;
            if stands != claim {
                return Err(Error::internal(format!("the log knows {} already", self.job)));
            }
            failpoint("announce.after");
            Ok(())
        };
        self.announced.get_or_try_init(announce).await.copied()
    }

    /// Removes what nobody will ask for: records before `before`, or all of a write without a job.
    pub(super) async fn clean(&self, before: Option<Epoch>) {
        let log = &self.undertaking.log;
        let cleaned = match (&self.undertaking.job, before) {
            (None, Some(_)) if !self.announced.initialized() => Ok(()),
            (_, Some(before)) => log.forget(&self.job, before).await,
            (Some(_), None) => Ok(()),
            (None, None) => log.remove(&self.job).await,
        };
        failpoint("forget.after");
        if let Err(error) = cleaned {
            // What was decided stays so.
            log::warn!("old records of {} stay in the log {}: {error}", self.job, log.url());
        }
    }

    async fn recover(&self, state: &JobState) -> Result<()> {
        let Undertaking { log, resources, .. } = &self.undertaking;
        let recover = resources
            .iter()
            .map(|resource| recover_job(resource.as_ref(), log.as_ref(), &self.job, state, self.manager.patience()));
        try_join_all(recover).await.map(drop)
    }

    pub(super) fn gtrid(&self, epoch: Epoch) -> Gtrid {
        Gtrid::new(self.number, epoch, self.run)
    }

    /// The record that says that nothing of an epoch is written.
    pub(super) fn abort(&self, epoch: Epoch) -> DecisionRecord {
        DecisionRecord {
            job: self.job.clone(),
            epoch,
            gtrid: self.gtrid(epoch),
            decision: Decision::Abort,
            rows: 0,
            positions: Positions::new(self.undertaking.subject.clone(), false),
        }
    }
}
