//! A resource manager in memory: the reference of the [`conformance`](crate::backend::conformance) suite, and a fast
//! backend for tests of the protocol.

#![expect(clippy::disallowed_types, reason = "a resource manager for tests")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::Field;
use async_trait::async_trait;
use futures::stream;

use crate::backend::conformance::columns;
use crate::backend::memory_steps::{self as steps, Step};
use crate::backend::{
    Backend, BatchStream, Batches, Branch, Capability, Change, Column, DecisionLog, Existing, InDoubt, LookupAnswer,
    OpenTransaction, Outcome, Protocol, Query, Rescue, Resolution, Savepoint, Scan, Table, Versions, Vote, WriteSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Isolation, OnConflict};
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobNumber, JobState, Xid};

/// A table and a ledger in memory. It supports every statement, but does not check its key.
#[derive(Debug, Clone)]
pub struct MemoryBackend {
    capability: Capability,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<RecordBatch>,
    prepared: HashMap<Xid, Steps>,
    records: Vec<DecisionRecord>,
    restarts: u64,
    commits: usize,
}

/// The steps of an open or prepared branch.
type Steps = Vec<Step>;

impl State {
    fn apply(&mut self, steps: &[Step]) -> Result<()> {
        steps::apply(steps, &mut self.rows)?;
        self.commits += 1;
        Ok(())
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
        let table = Table::new(name, columns.fields().iter().map(column).collect());
        Ok(Some(Table { primary_key: vec!["id".to_owned()], ..table }))
    }

    async fn capability(&self) -> Result<Capability> {
        Ok(self.capability)
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        let open = MemoryTransaction::begin(self, xid);
        Ok(Box::new(open.statement(spec, None)))
    }

    async fn start_change(&self, xid: &Xid, spec: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        let open = MemoryTransaction::begin(self, xid);
        Ok(Box::new(open.statement(spec, Some(change))))
    }

    async fn begin(&self, xid: &Xid, _: Protocol, _: Option<Isolation>) -> Result<Box<dyn OpenTransaction>> {
        Ok(Box::new(MemoryTransaction::begin(self, xid)))
    }

    fn check(&self, _: &Table, _: &WriteSpec) -> Result<()> {
        Ok(())
    }

    fn check_change(&self, _: &Table, _: &WriteSpec, change: &Change) -> Result<()> {
        steps::check(change)
    }

    fn scan(&self) -> Option<&dyn Scan> {
        Some(self)
    }

    async fn commit(&self, xid: &Xid) -> Result<Resolution> {
        let mut state = self.state();
        Ok(match state.prepared.remove(xid) {
            Some(steps) => {
                state.apply(&steps)?;
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

impl Scan for MemoryBackend {
    fn query(&self, query: Query) -> Result<BatchStream> {
        let batch = selected(&query, &self.batches())?;
        Ok(Box::pin(stream::iter([Ok(batch)])))
    }
}

/// The rows of a query. Conditions and orders are not pushed down.
fn selected(query: &Query, rows: &[RecordBatch]) -> Result<RecordBatch> {
    let internal = |error: arrow::error::ArrowError| Error::internal(error.to_string());
    let all = concat_batches(&columns(), rows).and_then(|all| all.project(&query.projection)).map_err(internal)?;
    let all = all.slice(0, query.limit.unwrap_or(usize::MAX).min(all.num_rows()));
    let cast = all.columns().iter().zip(query.schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    query.batch(cast.collect::<Result<_, _>>().map_err(internal)?, all.num_rows())
}

/// An open transaction.
struct MemoryTransaction {
    resource: MemoryBackend,
    xid: Xid,
    steps: Steps,
    /// The savepoints, and the number of steps before each.
    savepoints: Vec<(u64, usize)>,
    restarts: u64,
}

impl MemoryTransaction {
    fn begin(resource: &MemoryBackend, xid: &Xid) -> Self {
        let restarts = resource.state().restarts;
        Self { resource: resource.clone(), xid: *xid, steps: Steps::new(), savepoints: Vec::new(), restarts }
    }

    fn statement(mut self, spec: &WriteSpec, change: Option<&Arc<Change>>) -> MemoryBranch {
        if spec.existing != Existing::Keep {
            self.steps.push(Step::Clear);
        }
        MemoryBranch {
            open: self,
            on_conflict: spec.on_conflict,
            staged: change.cloned().map(Staging::new),
            rescue: None,
        }
    }

    fn check(&self) -> Result<()> {
        if self.resource.state().restarts == self.restarts {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("{} was restarted: run the statement again", self.resource.location()),
        ))
    }

    /// The table as this transaction sees it.
    fn rows(&self) -> Result<Vec<RecordBatch>> {
        let mut rows = self.resource.batches();
        steps::apply(&self.steps, &mut rows)?;
        Ok(rows)
    }

    fn prepare(self) -> Result<Vote> {
        self.check()?;
        if self.resource.capability == Capability::OnePhase {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the database cannot prepare transactions and supports only one-phase commit",
            ));
        }
        if self.steps.is_empty() {
            return Ok(Vote::ReadOnly);
        }
        self.resource.state().prepared.insert(self.xid, self.steps);
        Ok(Vote::Prepared)
    }

    fn commit(self, record: Option<DecisionRecord>) -> Result<Outcome> {
        self.check()?;
        let mut state = self.resource.state();
        if let Some(proposal) = record {
            let stands = state.decide(proposal.clone());
            if stands != proposal {
                return Ok(Outcome::Fenced(Box::new(stands)));
            }
        }
        state.apply(&self.steps)?;
        Ok(Outcome::Committed)
    }
}

#[async_trait]
impl Branch for MemoryTransaction {
    async fn write(&mut self, _: RecordBatch) -> Result<()> {
        Err(Error::internal("rows were written to a transaction without a statement"))
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        Self::prepare(*self)
    }

    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        self.commit(record)
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl OpenTransaction for MemoryTransaction {
    async fn lock(&mut self, _: &WriteSpec, _: &Arc<Change>) -> Result<()> {
        self.check()
    }

    async fn start(
        self: Box<Self>,
        spec: &WriteSpec,
        change: Option<&Arc<Change>>,
        rescue: Option<Rescue>,
    ) -> Result<Box<dyn Branch>> {
        self.check()?;
        Ok(Box::new(MemoryBranch { rescue, ..self.statement(spec, change) }))
    }

    async fn savepoint(&mut self, step: Savepoint) -> Result<()> {
        self.check()?;
        let find = |savepoints: &[(u64, usize)], number| {
            let found = savepoints.iter().position(|(of, _)| *of == number);
            found.ok_or_else(|| Error::internal(format!("there is no savepoint {number}")))
        };
        match step {
            Savepoint::Set(number) => self.savepoints.push((number, self.steps.len())),
            Savepoint::RollBackTo(number) => {
                let index = find(&self.savepoints, number)?;
                self.steps.truncate(self.savepoints[index].1);
                self.savepoints.truncate(index + 1);
            }
            Savepoint::Release(number) => {
                let index = find(&self.savepoints, number)?;
                self.savepoints.truncate(index);
            }
        }
        Ok(())
    }

    async fn query(&mut self, query: &Query, batches: &Batches) -> Result<()> {
        self.check()?;
        // The reader may have stopped.
        let _ = batches.send(selected(query, &self.rows()?)).await;
        Ok(())
    }
}

/// The staged rows of a change.
struct Staging {
    change: Arc<Change>,
    rows: Vec<RecordBatch>,
    is_applied: bool,
}

impl Staging {
    fn new(change: Arc<Change>) -> Self {
        Self { change, rows: Vec::new(), is_applied: false }
    }
}

/// A statement of an open transaction.
struct MemoryBranch {
    open: MemoryTransaction,
    on_conflict: OnConflict,
    staged: Option<Staging>,
    rescue: Option<Rescue>,
}

#[async_trait]
impl Branch for MemoryBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.open.check()?;
        match &mut self.staged {
            Some(staging) => staging.rows.push(batch),
            None => self.open.steps.push(Step::Write(batch, self.on_conflict)),
        }
        Ok(())
    }

    async fn lookup(&mut self, rows: &RecordBatch) -> Result<Option<LookupAnswer>> {
        self.open.check()?;
        let new = rows.clone();
        let old = concat_batches(&columns(), &self.open.rows()?);
        let old = old.and_then(|old| cast_batch(&old, &new)).map_err(|error| Error::internal(error.to_string()))?;
        let key = new.schema().fields().iter().position(|field| field.name() == "id").into_iter().collect();
        Ok(Some(Box::pin(async move { Ok(Some(Versions { new, old, key })) })))
    }

    async fn flush(&mut self) -> Result<()> {
        self.open.check()?;
        if let Some(Staging { change, rows, is_applied }) = &mut self.staged
            && !*is_applied
        {
            *is_applied = true;
            let changed = steps::changed(change, rows, &self.open.rows()?)?;
            change.done.set(changed);
            self.open.steps.push(Step::Change(Arc::clone(change), std::mem::take(rows)));
        }
        Ok(())
    }

    async fn end_statement(mut self: Box<Self>) -> Result<Box<dyn OpenTransaction>> {
        self.flush().await?;
        Ok(Box::new(self.open))
    }

    async fn prepare(mut self: Box<Self>) -> Result<Vote> {
        self.flush().await?;
        self.open.prepare()
    }

    async fn commit_one_phase(mut self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        self.flush().await?;
        self.open.commit(record)
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        if let Some(rescue) = self.rescue {
            rescue.rescue(Box::new(self.open));
        }
        Ok(())
    }
}

/// Rows with the columns of other rows.
fn cast_batch(rows: &RecordBatch, like: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
    let schema = like.schema();
    let columns = schema.fields().iter().map(|field| {
        let column = rows.column_by_name(field.name()).cloned();
        cast(&column.unwrap_or_else(|| new_null_array(field.data_type(), rows.num_rows())), field.data_type())
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_, _>>()?)
}
