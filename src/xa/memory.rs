//! A resource manager in memory: the reference that the [`conformance`](crate::xa::conformance) suite is read by,
//! and a fast partner for tests of the protocol.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::error::Result;
use crate::xa::{
    Branch, Capability, Decision, DecisionLog, DecisionRecord, Epoch, Existing, InDoubt, JobId, JobState, Outcome,
    Resolution, ResourceManager, Vote, WriteSpec, Xid,
};

/// A table and a ledger in memory. It appends and overwrites; it knows no keys.
#[derive(Debug, Clone, Default)]
pub struct MemoryResource(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    rows: Vec<RecordBatch>,
    prepared: HashMap<Xid, Pending>,
    records: Vec<DecisionRecord>,
}

#[derive(Debug)]
struct Pending {
    batches: Vec<RecordBatch>,
    existing: Existing,
}

impl State {
    fn apply(&mut self, pending: Pending) {
        if pending.existing != Existing::Keep {
            self.rows.clear();
        }
        self.rows.extend(pending.batches);
    }

    fn decide(&mut self, proposal: DecisionRecord) -> DecisionRecord {
        let decided = |record: &&DecisionRecord| record.job == proposal.job && record.epoch >= proposal.epoch;
        if let Some(stands) = self.records.iter().filter(decided).min_by_key(|record| record.epoch) {
            return stands.clone();
        }
        self.records.push(proposal.clone());
        proposal
    }
}

impl MemoryResource {
    /// Rows that are committed.
    pub fn row_count(&self) -> usize {
        self.state().rows.iter().map(RecordBatch::num_rows).sum()
    }

    // A panic in a test while the lock was held leaves the state whole: every change is one call.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ResourceManager for MemoryResource {
    fn capability(&self) -> Capability {
        Capability::TwoPhase
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        let pending = Pending { batches: Vec::new(), existing: spec.existing };
        Ok(Box::new(MemoryBranch { resource: self.clone(), xid: xid.clone(), pending }))
    }

    async fn commit(&self, xid: &Xid) -> Result<Resolution> {
        let mut state = self.state();
        Ok(match state.prepared.remove(xid) {
            Some(pending) => {
                state.apply(pending);
                Resolution::Done
            }
            None => Resolution::Unknown,
        })
    }

    async fn rollback(&self, xid: &Xid) -> Result<Resolution> {
        Ok(match self.state().prepared.remove(xid) {
            Some(_) => Resolution::Done,
            None => Resolution::Unknown,
        })
    }

    async fn in_doubt(&self, job: Option<&JobId>) -> Result<Vec<InDoubt>> {
        let of_job = |xid: &&Xid| job.is_none_or(|job| xid.is_of(job));
        Ok(self.state().prepared.keys().filter(of_job).map(|xid| InDoubt { xid: xid.clone() }).collect())
    }

    fn decision_log(&self) -> Arc<dyn DecisionLog> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl DecisionLog for MemoryResource {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        Ok(self.state().decide(proposal))
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        let state = self.state();
        let of_job = || state.records.iter().filter(|record| &record.job == job);
        Ok(JobState {
            last_epoch: of_job().map(|record| record.epoch).max(),
            checkpoint: of_job()
                .filter(|record| record.decision == Decision::Commit)
                .max_by_key(|record| record.epoch)
                .cloned(),
        })
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        let known = self.read(job).await?;
        let kept = [known.last_epoch, known.checkpoint.map(|record| record.epoch)];
        self.state()
            .records
            .retain(|record| &record.job != job || record.epoch >= before || kept.contains(&Some(record.epoch)));
        Ok(())
    }
}

struct MemoryBranch {
    resource: MemoryResource,
    xid: Xid,
    pending: Pending,
}

#[async_trait]
impl Branch for MemoryBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.pending.batches.push(batch);
        Ok(())
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        if self.pending.batches.is_empty() && self.pending.existing == Existing::Keep {
            return Ok(Vote::ReadOnly);
        }
        self.resource.state().prepared.insert(self.xid, self.pending);
        Ok(Vote::Prepared)
    }

    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        let mut state = self.resource.state();
        if let Some(proposal) = record {
            let stands = state.decide(proposal.clone());
            if stands != proposal {
                return Ok(Outcome::Fenced(stands));
            }
        }
        state.apply(self.pending);
        Ok(Outcome::Committed)
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
