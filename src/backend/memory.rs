//! A resource manager in memory: the reference of the [`conformance`](crate::backend::conformance) suite, and a fast
//! backend for tests of the protocol.

#![expect(clippy::disallowed_types, reason = "a resource manager for tests")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;
use async_trait::async_trait;

use crate::backend::conformance::columns;
use crate::backend::{
    Backend, Branch, Capability, Column, DecisionLog, Existing, InDoubt, Outcome, Resolution, Table, Vote, WriteSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobNumber, JobState, Xid};

/// A table and a ledger in memory. It supports appending and overwriting, without keys.
#[derive(Debug, Clone)]
pub struct MemoryBackend {
    capability: Capability,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<RecordBatch>,
    prepared: HashMap<Xid, Pending>,
    records: Vec<DecisionRecord>,
    restarts: u64,
    commits: usize,
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
        self.commits += 1;
    }

    fn job(&self, job: &JobId) -> JobState {
        JobState::new(self.records.iter().filter(|record| record.job == *job).cloned().collect())
    }

    fn decide(&mut self, proposal: DecisionRecord) -> DecisionRecord {
        if let Some(stands) = self.job(&proposal.job).standing(proposal.epoch) {
            return stands.clone();
        }
        self.records.push(proposal.clone());
        proposal
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self { capability: Capability::TwoPhase { branches: u32::MAX }, state: Arc::default() }
    }
}

impl MemoryBackend {
    /// Creates one that cannot prepare.
    pub fn one_phase() -> Self {
        Self { capability: Capability::OnePhase, ..Self::default() }
    }

    /// The committed rows.
    pub fn row_count(&self) -> usize {
        self.batches().iter().map(RecordBatch::num_rows).sum()
    }

    /// What is committed.
    pub fn batches(&self) -> Vec<RecordBatch> {
        self.state().rows.clone()
    }

    /// Branches that were committed.
    pub fn commits(&self) -> usize {
        self.state().commits
    }

    /// Simulates a crash: drops every open branch, and keeps prepared branches, rows and records.
    pub fn restart(&self) {
        self.state().restarts += 1;
    }

    // A panic in a test while the lock was held leaves the state whole: every change is one call.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn location(&self) -> String {
        format!("memory:{:p}", Arc::as_ptr(&self.state))
    }

    /// Every name refers to the only table, which has the columns of the suite.
    async fn table(&self, name: &str) -> Result<Option<Table>> {
        let columns = columns();
        let column =
            |field: &Arc<Field>| Column::new(field.name(), field.data_type().to_string(), field.data_type().clone());
        Ok(Some(Table::new(name, columns.fields().iter().map(column).collect())))
    }

    async fn capability(&self) -> Result<Capability> {
        Ok(self.capability)
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        let pending = Pending { batches: Vec::new(), existing: spec.existing };
        let restarts = self.state().restarts;
        Ok(Box::new(MemoryBranch { resource: self.clone(), xid: *xid, pending, restarts }))
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

    async fn in_doubt(&self, job: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        let state = self.state();
        let mut found: Vec<_> =
            state.prepared.keys().filter(|xid| job.is_none_or(|job| xid.gtrid.job() == job)).collect();
        found.sort();
        Ok(found.into_iter().map(|xid| InDoubt { xid: *xid, age: Duration::ZERO }).collect())
    }

    fn decision_log(&self) -> Option<Arc<dyn DecisionLog>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl DecisionLog for MemoryBackend {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        Ok(self.state().decide(proposal))
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        Ok(self.state().job(job))
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        let state = self.state();
        let mut names: Vec<_> = state.records.iter().map(|record| &record.job).collect();
        names.sort();
        names.dedup();
        let entry = |job: &JobId| {
            let state = state.job(job);
            JobEntry { job: job.clone(), decided_at: vec![String::new(); state.records().len()], state }
        };
        Ok(names.into_iter().map(entry).collect())
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        let mut state = self.state();
        let kept: Vec<_> = state.job(job).kept(before).cloned().collect();
        state.records.retain(|record| record.job != *job);
        state.records.extend(kept);
        Ok(())
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        self.state().records.retain(|record| record.job != *job);
        Ok(())
    }

    fn url(&self) -> String {
        self.location()
    }
}

struct MemoryBranch {
    resource: MemoryBackend,
    xid: Xid,
    pending: Pending,
    restarts: u64,
}

impl MemoryBranch {
    fn check(&self) -> Result<()> {
        if self.resource.state().restarts == self.restarts {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("{} was restarted: run the statement again", self.resource.location()),
        ))
    }
}

#[async_trait]
impl Branch for MemoryBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.check()?;
        self.pending.batches.push(batch);
        Ok(())
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        self.check()?;
        if self.resource.capability == Capability::OnePhase {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the database cannot prepare transactions and supports only one-phase commit",
            ));
        }
        if self.pending.batches.is_empty() && self.pending.existing == Existing::Keep {
            return Ok(Vote::ReadOnly);
        }
        self.resource.state().prepared.insert(self.xid, self.pending);
        Ok(Vote::Prepared)
    }

    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        self.check()?;
        let mut state = self.resource.state();
        if let Some(proposal) = record {
            let stands = state.decide(proposal.clone());
            if stands != proposal {
                return Ok(Outcome::Fenced(Box::new(stands)));
            }
        }
        state.apply(self.pending);
        Ok(Outcome::Committed)
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
