//! The transaction manager: opens a job's next epoch and brings it to its decision.

use std::sync::Arc;

use log::warn;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::xa::{Branch, Decision, DecisionLog, DecisionRecord, Epoch, JobId, JobState, Outcome, Positions, Xid};

/// What opening a job found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The job was finished before; this is its last record.
    Finished(DecisionRecord),
    /// The job is this run's to write, in this epoch.
    Epoch(Epoch),
}

/// One run of a write. It holds no state beside its name: what was decided is in the log.
#[derive(Debug)]
pub struct TransactionManager {
    log: Arc<dyn DecisionLog>,
    job: Option<JobId>,
    table: String,
    run: Uuid,
}

/// What to do with a job whose log says `state`: a pure function, so that each case can be tested.
fn next_step(state: JobState, job: &JobId, table: &str) -> Result<Opened> {
    if let Some(checkpoint) = state.checkpoint {
        let other = &checkpoint.positions.table;
        if other != table {
            return Err(Error::config(format!(
                "job '{job}' wrote table \"{other}\" before and cannot write \"{table}\": a job is one write; \
                 give this one a name of its own"
            )));
        }
        if checkpoint.positions.end {
            return Ok(Opened::Finished(checkpoint));
        }
    }
    Ok(Opened::Epoch(state.last_epoch.map_or(Epoch(1), Epoch::next)))
}

impl TransactionManager {
    /// A new run of `job`, or of a write that is not remembered.
    pub fn new(log: Arc<dyn DecisionLog>, job: Option<JobId>, table: String) -> Self {
        Self { log, job, table, run: Uuid::new_v4() }
    }

    /// The name of this run's transaction for `epoch`.
    pub fn xid(&self, epoch: Epoch) -> Xid {
        Xid::new(self.job.as_ref(), epoch, self.run)
    }

    /// Opens the job: says that it is finished, or claims it by deciding ABORT for its next epoch, which fences
    /// every other run of it, and returns the epoch to write. The latest run to claim wins.
    ///
    /// # Errors
    /// `Config` when the job wrote another table before; any error of the log.
    pub async fn open(&self) -> Result<Opened> {
        let Some(job) = &self.job else { return Ok(Opened::Epoch(Epoch(1))) };
        loop {
            let epoch = match next_step(self.log.read(job).await?, job, &self.table)? {
                Opened::Epoch(epoch) => epoch,
                finished => return Ok(finished),
            };
            let claim = self.record(job, epoch, Decision::Abort, 0, false);
            if self.log.decide(claim.clone()).await? == claim {
                return Ok(Opened::Epoch(epoch.next()));
            }
        }
    }

    /// Commits the only branch of `epoch`, whose `rows` end the job's input.
    ///
    /// # Errors
    /// `Fenced` when another run took the job over; what the branch says otherwise. Nothing was written then.
    pub async fn commit_one_phase(&self, branch: Box<dyn Branch>, epoch: Epoch, rows: u64) -> Result<()> {
        let record = self.job.as_ref().map(|job| self.record(job, epoch, Decision::Commit, rows, true));
        match branch.commit_one_phase(record).await? {
            Outcome::Committed => {}
            Outcome::Fenced(by) => {
                return Err(Error::new(
                    ErrorKind::Fenced,
                    format!(
                        "another run of job '{}' took over ({} decided epoch {}); nothing was written by this one: \
                         see what the other one does, or run this again when it has ended",
                        by.job, by.gtrid, by.epoch
                    ),
                ));
            }
        }
        if let Some(job) = &self.job {
            // The epoch is committed whatever comes of this.
            if let Err(error) = self.log.forget(job, epoch).await {
                warn!("old records of job '{job}' stay in the ledger: {error}");
            }
        }
        Ok(())
    }

    fn record(&self, job: &JobId, epoch: Epoch, decision: Decision, rows: u64, end: bool) -> DecisionRecord {
        DecisionRecord {
            job: job.clone(),
            epoch,
            gtrid: self.xid(epoch).to_string(),
            decision,
            rows,
            positions: Positions { table: self.table.clone(), end },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::xa::memory::MemoryResource;
    use crate::xa::{ResourceManager, WriteSpec};

    fn job() -> JobId {
        JobId::try_new("j").unwrap()
    }

    fn run(rm: &MemoryResource) -> TransactionManager {
        TransactionManager::new(rm.decision_log(), Some(job()), "t".into())
    }

    async fn branch(rm: &MemoryResource, tm: &TransactionManager, epoch: Epoch) -> Box<dyn Branch> {
        let columns = Arc::new(arrow::datatypes::Schema::empty());
        let spec = WriteSpec {
            table: "t".into(),
            columns,
            existing: crate::xa::Existing::Keep,
            on_conflict: crate::xa::OnConflict::Error,
            key: vec![],
            stats: Arc::default(),
        };
        rm.start(&tm.xid(epoch), &spec).await.unwrap()
    }

    #[tokio::test]
    async fn a_job_is_claimed_before_it_writes_and_finished_once() {
        let rm = MemoryResource::default();
        let first = run(&rm);
        let Opened::Epoch(epoch) = first.open().await.unwrap() else { panic!("finished before it began") };
        assert_eq!(epoch, Epoch(2), "epoch 1 is the claim");
        let open = branch(&rm, &first, epoch).await;
        first.commit_one_phase(open, epoch, 7).await.unwrap();
        let Opened::Finished(record) = run(&rm).open().await.unwrap() else { panic!("not finished") };
        assert_eq!((record.rows, record.epoch), (7, epoch));
    }

    #[tokio::test]
    async fn a_zombie_run_cannot_commit() {
        let rm = MemoryResource::default();
        let zombie = run(&rm);
        let Opened::Epoch(old) = zombie.open().await.unwrap() else { panic!() };
        let zombie_branch = branch(&rm, &zombie, old).await;
        let next = run(&rm);
        let Opened::Epoch(new) = next.open().await.unwrap() else { panic!() };
        assert!(new > old);
        let error = zombie.commit_one_phase(zombie_branch, old, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced);
        let next_branch = branch(&rm, &next, new).await;
        next.commit_one_phase(next_branch, new, 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_job_keeps_to_its_table() {
        let rm = MemoryResource::default();
        let tm = run(&rm);
        let Opened::Epoch(epoch) = tm.open().await.unwrap() else { panic!() };
        let open = branch(&rm, &tm, epoch).await;
        tm.commit_one_phase(open, epoch, 0).await.unwrap();
        let other = TransactionManager::new(rm.decision_log(), Some(job()), "u".into());
        assert_eq!(other.open().await.unwrap_err().kind(), ErrorKind::Config);
    }
}
