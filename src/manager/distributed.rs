//! A global transaction whose branches are written by several processes.
//!
//! ```text
//!  writer, for each part of the rows          decision log
//!    │  decide(n+1, ABORT)                         │   join: every process of the run proposes the same
//!    ├────────────────────────────────────────────▶│   claim; who comes second finds it
//!    │  start, write, prepare a branch, whose      │
//!    │  name is drawn                              │
//!    │  read                                       │   a branch that the decision did not wait for is
//!    ├────────────────────────────────────────────▶│   rolled back by the writer that prepared it
//!    ▼
//!  coordinator: one branch for each part
//!    │  decide(n+2, COMMIT, branches)              │   the returned record is the decision
//!    ├────────────────────────────────────────────▶│
//!    │  commits these branches, and rolls back all others of the transaction
//! ```
//!
//! A part can be written by several attempts: a scheduler repeats the work of a process that it believes dead. The COMMIT
//! record lists the branches that are committed, one for each part. Every other branch is rolled back: by its writer, by the
//! coordinator, or by recovery. No prepared branch is rolled back before an ABORT, or a COMMIT that does not list it, stands
//! in the log.

use uuid::Uuid;

use super::recovery::recover_job;
use super::retry::RetryPolicy;
use super::spec::JobSpec;
use super::transaction::{Member, fenced, recover_commands};
use crate::backend::Vote;
use crate::error::{Error, ErrorKind, Result};
use crate::txn::{
    CommittedBranches, Decision, DecisionRecord, Gtrid, JobId, JobNumber, JobState, NextEpoch, Positions, Xid,
    next_epoch,
};

/// A run of a statement that several processes write. Each of them has the same.
#[derive(Debug, Clone)]
pub struct DistributedRun {
    job_spec: JobSpec,
    job: JobId,
    run: Uuid,
    retry: RetryPolicy,
}

/// The result of joining a run.
#[derive(Debug)]
pub enum Joined {
    /// The job is finished, by this run or an earlier one. This is its last record.
    Finished(DecisionRecord),
    /// The transaction of the run is open.
    Open(DistributedTransaction),
}

impl DistributedRun {
    /// Creates the run of a statement. `run` is drawn once for each execution of the statement, and is the same in all of its
    /// processes.
    pub fn new(job_spec: JobSpec, run: Uuid) -> Self {
        let job = job_spec.job.clone().unwrap_or_else(|| JobId::of_statement(run));
        Self { job_spec, job, run, retry: RetryPolicy::default() }
    }

    /// Joins the run. The first process claims the job, which fences every other run of it. Completes branches that earlier
    /// runs left prepared.
    ///
    /// # Errors
    /// `Config` if the job wrote another table or ran another statement before. `Fenced` if the run has ended. Any error of
    /// the log, or of a database with prepared branches.
    pub async fn join(&self) -> Result<Joined> {
        loop {
            let state = self.read().await?;
            let epoch = match next_epoch(&state, &self.job, &self.job_spec.subject)? {
                NextEpoch::Finished(record) => return Ok(Joined::Finished(record)),
                NextEpoch::Claim(epoch) => epoch,
            };
            let own = state.records().iter().find(|record| record.gtrid.is_of(self.run));
            let claim = match own {
                Some(claim) => claim.clone(),
                None => {
                    let number = state.number().unwrap_or_else(|| JobNumber::of_run(self.run));
                    let claim = self.record(Gtrid::new(number, epoch, self.run), Decision::Abort);
                    if self.decide(&claim).await? != claim {
                        continue;
                    }
                    claim
                }
            };
            let transaction = DistributedTransaction {
                gtrid: Gtrid::new(claim.gtrid.job(), claim.epoch.next(), self.run),
                run: self.clone(),
            };
            if let Some(ended) = state.last().filter(|last| last.epoch > claim.epoch) {
                return Err(transaction.ended_by(ended));
            }
            let records = state.records().iter().cloned().chain(own.is_none().then(|| claim.clone())).collect();
            let state = JobState::new(records);
            for resource in &self.job_spec.resources {
                let log = self.job_spec.log.as_ref();
                // Branches of this transaction may be prepared already.
                recover_job(resource.as_ref(), log, &self.job, &state, Some(claim.epoch), self.retry).await?;
            }
            return Ok(Joined::Open(transaction));
        }
    }

    /// Whether a record was proposed by this run.
    pub fn is_of(&self, record: &DecisionRecord) -> bool {
        record.gtrid.is_of(self.run)
    }

    /// Completes a job that this run has finished, if `record` is its COMMIT: when the statement is decided a second time.
    ///
    /// # Errors
    /// `InDoubt` if a branch could not be completed.
    pub async fn complete(&self, record: &DecisionRecord) -> Result<()> {
        if !self.is_of(record) {
            return Ok(());
        }
        DistributedTransaction { run: self.clone(), gtrid: record.gtrid }.complete(record).await
    }

    async fn read(&self) -> Result<JobState> {
        self.retry.with(|| self.job_spec.log.read(&self.job)).await
    }

    async fn decide(&self, proposal: &DecisionRecord) -> Result<DecisionRecord> {
        self.retry.with(|| self.job_spec.log.decide(proposal.clone())).await
    }

    fn record(&self, gtrid: Gtrid, decision: Decision) -> DecisionRecord {
        let positions = Positions::new(self.job_spec.subject.clone(), decision == Decision::Commit);
        DecisionRecord { job: self.job.clone(), epoch: gtrid.epoch(), gtrid, decision, rows: 0, positions }
    }
}

/// The open transaction of a run, as one of its processes knows it.
#[derive(Debug, Clone)]
pub struct DistributedTransaction {
    run: DistributedRun,
    gtrid: Gtrid,
}

impl DistributedTransaction {
    /// The name of a new branch.
    pub fn draw_xid(&self) -> Xid {
        Xid { gtrid: self.gtrid, bqual: Uuid::new_v4().as_u64_pair().0 }
    }

    /// Prepares a branch. Returns whether it takes part in the transaction: not if it wrote nothing, and not if the
    /// transaction was committed without it.
    ///
    /// # Errors
    /// `Fenced` if the transaction was aborted; the branch is rolled back. The error of the branch, which may be prepared if
    /// its answer was lost: the coordinator rolls it back.
    pub async fn prepare(&self, member: Member) -> Result<bool> {
        let Member { resource, xid, branch, .. } = member;
        if branch.prepare().await? == Vote::ReadOnly {
            return Ok(false);
        }
        // Another process, or another pool of this one, completes it.
        resource.leave(&xid);
        let state = self.run.read().await?;
        let Some(stands) = state.standing(self.gtrid.epoch()) else { return Ok(true) };
        match (stands.verdict(&xid), stands.decision_for(&self.gtrid)) {
            (Decision::Commit, _) => Ok(true),
            (Decision::Abort, decision) => {
                self.run.retry.with(|| resource.rollback(&xid)).await?;
                match decision {
                    Decision::Commit => Ok(false),
                    Decision::Abort => Err(self.ended_by(stands)),
                }
            }
        }
    }

    /// Decides to commit these branches, commits them, and rolls back all others of the transaction. Returns the record that
    /// stands. If the transaction was committed before, it is that record, and its branches are completed.
    ///
    /// # Errors
    /// `Fenced` if the transaction was aborted: nothing was written. `InDoubt` if the log is unavailable, or the database of
    /// a branch after the decision: the message says what to do.
    pub async fn commit(&self, branches: &[Xid], rows: u64) -> Result<DecisionRecord> {
        if let Some(other) = branches.iter().find(|xid| xid.gtrid != self.gtrid) {
            return Err(Error::internal(format!("branch {other} is not of transaction {}", self.gtrid)));
        }
        let branches = CommittedBranches::new(branches.iter().map(|xid| xid.bqual).collect());
        let mut record = self.run.record(self.gtrid, Decision::Commit);
        (record.rows, record.positions.branches) = (rows, Some(Box::new(branches)));
        let stands = self.run.decide(&record).await;
        let stands = stands.map_err(|error| {
            let text = format!(
                "the decision is unknown, because the decision log {} could not be read; when the log is available \
                 again, run: {}",
                self.run.job_spec.log.url(),
                self.commands(" --older-than 0s")
            );
            Error::new(ErrorKind::InDoubt, text).with_source(error)
        })?;
        self.complete(&stands).await?;
        match stands.decision_for(&self.gtrid) {
            Decision::Commit => Ok(stands),
            Decision::Abort => Err(self.ended_by(&stands)),
        }
    }

    /// Decides to abort, and rolls back all branches that are prepared. Returns the COMMIT record if the transaction was
    /// committed before.
    ///
    /// # Errors
    /// `InDoubt` if the log is unavailable, or a database: recovery rolls the branches back.
    pub async fn abort(&self) -> Result<Option<DecisionRecord>> {
        let stands = self.run.decide(&self.run.record(self.gtrid, Decision::Abort)).await?;
        self.complete(&stands).await?;
        Ok((stands.decision_for(&self.gtrid) == Decision::Commit).then_some(stands))
    }

    /// Completes the branches that are prepared.
    async fn complete(&self, stands: &DecisionRecord) -> Result<()> {
        let retry = self.run.retry;
        for resource in &self.run.job_spec.resources {
            let complete = async {
                for branch in retry.with(|| resource.in_doubt(Some(self.gtrid.job()))).await? {
                    let xid = branch.xid;
                    match stands.verdict(&xid) {
                        _ if xid.gtrid != self.gtrid => continue,
                        Decision::Commit => retry.with(|| resource.commit(&xid)).await?,
                        Decision::Abort => retry.with(|| resource.rollback(&xid)).await?,
                    };
                }
                Ok::<_, Error>(())
            };
            if let Err(error) = complete.await {
                let decision = stands.decision_for(&self.gtrid).as_str();
                let text = format!(
                    "the decision is to {decision} the transaction, but not every branch could be completed yet; do \
                     not write the rows again, but run: {}",
                    self.commands("")
                );
                return Err(Error::new(ErrorKind::InDoubt, text).with_source(error));
            }
        }
        Ok(())
    }

    /// The error of a process whose transaction has ended without it.
    fn ended_by(&self, stands: &DecisionRecord) -> Error {
        fenced(stands, &self.gtrid)
    }

    fn commands(&self, more: &str) -> String {
        recover_commands(self.run.job_spec.log.as_ref(), self.run.job_spec.resources.iter(), more)
    }
}
