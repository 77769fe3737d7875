//! Recovery: completes prepared branches as the decision log says.

use std::time::Duration;

use super::retry::RetryPolicy;
use crate::backend::{Backend, DecisionLog, InDoubt, Resolution};
use crate::error::{Error, ErrorKind, Result};
use crate::txn::{Action, Decision, DecisionRecord, Epoch, Event, Gtrid, JobEntry, JobId, JobState, Positions, State};

/// Whether recovery acts or only reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Recovery completes the branches.
    #[default]
    Act,
    /// Recovery only reports what it would do.
    DryRun,
}

/// Which branches recovery completes.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only the branches of this job; `None` for all.
    pub job: Option<JobId>,
    /// The minimum age of a branch without a decision, because its run may be alive. A decided branch is completed at
    /// once.
    pub older_than: Duration,
    /// Whether recovery acts or only reports.
    pub mode: Mode,
}

/// The outcome for a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// Committed, as decided.
    Committed,
    /// Rolled back.
    RolledBack,
    /// Skipped: not decided, and younger than the minimum age.
    TooYoung,
    /// Skipped: this log does not contain the job. The decision is stored in another log.
    DecidedElsewhere,
    /// Another process completed it in the meantime.
    EndedMeanwhile,
    /// Skipped: the log is unavailable.
    StillInDoubt,
    /// Completing the branch failed for this reason, for example because it belongs to another role.
    Failed(String),
}

/// A branch that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The branch.
    pub branch: InDoubt,
    /// Its job, if the log contains it.
    pub job: Option<JobId>,
    /// The outcome; with [`Mode::DryRun`] the outcome that recovery would have.
    pub fate: RecoveryOutcome,
}

/// Commits or rolls back the prepared branches of a database as a decision log says. For a branch without a decision,
/// stores ABORT in the log first. Any number of processes can run it at any time.
pub async fn recover(resource: &dyn Backend, log: &dyn DecisionLog, selection: &Selection) -> Result<Vec<Recovered>> {
    // Branches first: a branch that a live run prepares later is not listed.
    let branches = resource.in_doubt(None).await?;
    if branches.is_empty() {
        return Ok(Vec::new());
    }
    let jobs = log.jobs().await?;
    let entry = |branch: &InDoubt| jobs.iter().find(|entry| entry.state.number() == Some(branch.xid.gtrid.job()));
    // A statement without a job removes its records when all of its branches are complete.
    let left = match selection.job.is_none() && branches.iter().any(|branch| entry(branch).is_none()) {
        true => resource.in_doubt(None).await?,
        false => Vec::new(),
    };
    let mut recovered = Vec::new();
    for branch in branches {
        match (entry(&branch), &selection.job) {
            (None, None) if left.iter().all(|left| left.xid != branch.xid) => {}
            (None, None) => recovered.push(Recovered { branch, job: None, fate: RecoveryOutcome::DecidedElsewhere }),
            (None, Some(_)) => {}
            (Some(entry), Some(job)) if entry.job != *job => {}
            (Some(JobEntry { job, state, .. }), _) => {
                let fate = resolve(resource, log, job, state, &branch, selection, RetryPolicy::default()).await;
                // An error does not stop the recovery of the other branches.
                let fate = fate.unwrap_or_else(|error| RecoveryOutcome::Failed(error.to_string()));
                recovered.push(Recovered { branch, job: Some(job.clone()), fate });
            }
        }
    }
    Ok(recovered)
}

/// Completes all branches of a job whose state in the log is `state`; with an epoch, those of this epoch and earlier ones.
///
/// # Errors
/// Errors of the database. `InDoubt` if a branch could not be completed.
pub(super) async fn recover_job(
    resource: &dyn Backend,
    log: &dyn DecisionLog,
    job: &JobId,
    state: &JobState,
    up_to: Option<Epoch>,
    retry: RetryPolicy,
) -> Result<()> {
    let Some(number) = state.number() else { return Ok(()) };
    let mut branches = retry.with(|| resource.in_doubt(Some(number))).await?;
    branches.retain(|branch| up_to.is_none_or(|last| branch.xid.gtrid.epoch() <= last));
    complete(resource, log, job, state, retry, branches).await
}

/// Completes the branches of one transaction of a job, whose other transactions may be active.
///
/// # Errors
/// As for [`recover_job`].
pub(super) async fn recover_transaction(
    resource: &dyn Backend,
    log: &dyn DecisionLog,
    job: &JobId,
    gtrid: Gtrid,
    retry: RetryPolicy,
) -> Result<()> {
    let mut branches = resource.in_doubt(Some(gtrid.job())).await?;
    branches.retain(|branch| branch.xid.gtrid == gtrid);
    if branches.is_empty() {
        return Ok(());
    }
    let state = log.read(job).await?;
    complete(resource, log, job, &state, retry, branches).await
}

async fn complete(
    resource: &dyn Backend,
    log: &dyn DecisionLog,
    job: &JobId,
    state: &JobState,
    retry: RetryPolicy,
    branches: Vec<InDoubt>,
) -> Result<()> {
    for branch in branches {
        let selection = Selection::default();
        let fate = resolve(resource, log, job, state, &branch, &selection, retry).await?;
        if fate == RecoveryOutcome::StillInDoubt {
            return Err(Error::new(
                ErrorKind::InDoubt,
                format!(
                    "branch {} of an earlier run is in doubt, because the decision log {} could not be read: make the \
                     log available, and run the statement again",
                    branch.xid,
                    log.url()
                ),
            ));
        }
        log::warn!(
            "an earlier run of job '{job}' left branch {} in {} prepared: the branch is now {}",
            branch.xid,
            resource.location(),
            match fate {
                RecoveryOutcome::Committed => "committed",
                RecoveryOutcome::RolledBack => "rolled back",
                _ => "ended",
            }
        );
    }
    Ok(())
}

/// Follows [`State::next`] from a branch that was found.
async fn resolve(
    resource: &dyn Backend,
    log: &dyn DecisionLog,
    job: &JobId,
    known: &JobState,
    branch: &InDoubt,
    selection: &Selection,
    retry: RetryPolicy,
) -> Result<RecoveryOutcome> {
    let (xid, gtrid) = (branch.xid, branch.xid.gtrid);
    let (mut state, mut resolution) = (State::Found, Resolution::Done);
    let mut event = match known.standing(gtrid.epoch()) {
        Some(stands) => Event::Stands(stands.verdict(&xid)),
        None if branch.age < selection.older_than => return Ok(RecoveryOutcome::TooYoung),
        None => Event::Undecided,
    };
    loop {
        let Some((next, action)) = state.next(event) else {
            return Err(Error::internal(format!("the protocol has no step for {event:?} in {state:?}")));
        };
        state = next;
        let acts = selection.mode == Mode::Act;
        event = match action {
            Action::Decide(decision) if acts => {
                let subject = known.last().map(|last| last.positions.subject.clone()).unwrap_or_default();
                let positions = Positions::new(subject, false);
                let job = job.clone();
                let proposal = DecisionRecord { job, epoch: gtrid.epoch(), gtrid, decision, rows: 0, positions };
                match retry.with(|| log.decide(proposal.clone())).await {
                    Ok(stands) => Event::Stands(stands.verdict(&xid)),
                    Err(_) => Event::Silent,
                }
            }
            Action::Decide(decision) => Event::Stands(decision),
            Action::Complete(decision) if acts => {
                resolution = match decision {
                    Decision::Commit => retry.with(|| resource.commit(&xid)).await?,
                    Decision::Abort => retry.with(|| resource.rollback(&xid)).await?,
                };
                Event::Completed
            }
            Action::Complete(_) => Event::Completed,
            Action::Leave => return Ok(RecoveryOutcome::StillInDoubt),
            Action::End => {
                return Ok(match (resolution, state) {
                    (Resolution::Unknown, _) => RecoveryOutcome::EndedMeanwhile,
                    (Resolution::Done, State::Ended(Decision::Commit)) => RecoveryOutcome::Committed,
                    (Resolution::Done, _) => RecoveryOutcome::RolledBack,
                });
            }
            Action::CommitLastAgent => return Err(Error::internal("recovery has no last agent")),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use async_trait::async_trait;
    use uuid::Uuid;

    use super::*;
    use crate::backend::conformance::{columns, rows};
    use crate::backend::memory::MemoryBackend;
    use crate::backend::{Protocol, WriteSpec};
    use crate::txn::{Epoch, JobNumber, Xid};

    /// The log of a statement that commits, and removes its records, before the log is read.
    #[derive(Debug)]
    struct EndsFirst(MemoryBackend, Option<Xid>);

    #[async_trait]
    impl DecisionLog for EndsFirst {
        async fn jobs(&self) -> Result<Vec<JobEntry>> {
            if let Some(xid) = &self.1 {
                self.0.commit(xid).await?;
            }
            Ok(Vec::new())
        }

        async fn decide(&self, _: DecisionRecord) -> Result<DecisionRecord> {
            Err(Error::internal("there is nothing to decide"))
        }

        async fn read(&self, _: &JobId) -> Result<JobState> {
            Ok(JobState::default())
        }

        async fn forget(&self, _: &JobId, _: Epoch) -> Result<()> {
            Ok(())
        }

        async fn remove(&self, _: &JobId) -> Result<()> {
            Ok(())
        }

        fn url(&self) -> String {
            "memory".into()
        }
    }

    #[tokio::test]
    async fn a_statement_that_ends_meanwhile_is_not_decided_elsewhere() {
        let rm = MemoryBackend::default();
        let xid = Xid { gtrid: Gtrid::new(JobNumber::draw(), Epoch(2), Uuid::new_v4()), bqual: 0 };
        let spec = WriteSpec { protocol: Protocol::TwoPhase, ..WriteSpec::new("t", columns()) };
        let mut branch = rm.start(&xid, &spec).await.unwrap();
        branch.write(rows(0..3)).await.unwrap();
        branch.prepare().await.unwrap();
        let elsewhere = recover(&rm, &EndsFirst(rm.clone(), None), &Selection::default()).await.unwrap();
        assert_eq!(elsewhere[0].fate, RecoveryOutcome::DecidedElsewhere);
        let ended = recover(&rm, &EndsFirst(rm.clone(), Some(xid)), &Selection::default()).await.unwrap();
        assert_eq!((ended, rm.row_count()), (Vec::new(), 3));
    }
}
