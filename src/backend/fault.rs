//! A resource manager and a log with faults, for tests of the protocol and of code that uses it.
//!
//! A [`Script`] decides before each step which fault occurs.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use futures::future::pending;
use futures::stream;
use tokio::task::yield_now;

use crate::backend::{
    Backend, BatchStream, Batches, Branch, Capability, Change, Column, DecisionLog, Dispatch, InDoubt, LookupAnswer,
    OpenTransaction, Outcome, Protocol, Query, QueryDialect, Rescue, Resolution, Savepoint, Scan, Table, Vote,
    WriteSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Isolation;
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobNumber, JobState, Xid};

/// A step of a resource manager, a branch or a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Step {
    Begin,
    Start,
    Lock,
    Write,
    Lookup,
    Query,
    Savepoint,
    Flush,
    EndStatement,
    Prepare,
    CommitOnePhase,
    RollbackOpen,
    Commit,
    Rollback,
    InDoubt,
    Decide,
    Read,
    Jobs,
    Forget,
    Remove,
}

/// A fault of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing.
    None,
    /// The step is not executed and fails.
    Fail,
    /// The step is executed, and its answer is lost.
    Lose,
    /// The step is not executed, and there is no answer.
    Hang,
    /// The step is executed twice, if possible.
    Twice,
}

/// Decides the fault of the next step.
#[derive(Clone)]
pub struct Script(Arc<dyn Fn(Step) -> Fault + Send + Sync>);

impl Script {
    /// Asks `say` before each step.
    pub fn new(say: impl Fn(Step) -> Fault + Send + Sync + 'static) -> Self {
        Self(Arc::new(say))
    }

    /// The fault of a step.
    pub fn say(&self, step: Step) -> Fault {
        (self.0)(step)
    }

    /// Asks for the fault of a step that changes only an open transaction, so that losing its answer is its failure.
    async fn ask(&self, step: Step) -> Result<()> {
        yield_now().await;
        match (self.0)(step) {
            Fault::None | Fault::Twice => Ok(()),
            Fault::Hang => pending().await,
            Fault::Fail | Fault::Lose => Err(lost(step)),
        }
    }

    /// Does a step that can be repeated.
    async fn play<T, F: Future<Output = Result<T>>>(&self, step: Step, act: impl Fn() -> F) -> Result<T> {
        // Other steps can occur between the question and the answer.
        yield_now().await;
        let answer = match (self.0)(step) {
            Fault::None => act().await,
            Fault::Fail => Err(lost(step)),
            Fault::Lose => {
                act().await?;
                Err(lost(step))
            }
            Fault::Hang => pending().await,
            Fault::Twice => {
                act().await?;
                act().await
            }
        };
        yield_now().await;
        answer
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

fn lost(step: Step) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the connection was lost at {step:?}"))
}

/// A resource manager whose steps fail as a script says.
#[derive(Debug, Clone)]
pub struct Faulty {
    inner: Arc<dyn Backend>,
    script: Script,
}

impl Faulty {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Backend>, script: Script) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl Backend for Faulty {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn table(&self, name: &str) -> Result<Option<Table>> {
        self.inner.table(name).await
    }

    async fn identity(&self) -> Result<String> {
        self.inner.identity().await
    }

    async fn capability(&self) -> Result<Capability> {
        self.inner.capability().await
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        let inner = self.script.play(Step::Start, || self.inner.start(xid, spec)).await?;
        Ok(Box::new(FaultyBranch { inner, script: self.script.clone() }))
    }

    async fn start_change(&self, xid: &Xid, spec: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        let inner = self.script.play(Step::Start, || self.inner.start_change(xid, spec, change)).await?;
        Ok(Box::new(FaultyBranch { inner, script: self.script.clone() }))
    }

    async fn begin(
        &self,
        xid: &Xid,
        protocol: Protocol,
        isolation: Option<Isolation>,
    ) -> Result<Box<dyn OpenTransaction>> {
        let inner = self.script.play(Step::Begin, || self.inner.begin(xid, protocol, isolation)).await?;
        Ok(Box::new(FaultyBranch { inner, script: self.script.clone() }))
    }

    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()> {
        self.inner.check(table, spec)
    }

    fn joins_at_server(&self) -> bool {
        self.inner.joins_at_server()
    }

    fn check_change(&self, table: &Table, spec: &WriteSpec, change: &Change) -> Result<()> {
        self.inner.check_change(table, spec, change)
    }

    fn takes(&self, column: &Column, from: &DataType) -> bool {
        self.inner.takes(column, from)
    }

    fn dispatch(&self, table: &Table, spec: &WriteSpec) -> Dispatch {
        self.inner.dispatch(table, spec)
    }

    fn scan(&self) -> Option<&dyn Scan> {
        self.inner.scan().map(|_| self as &dyn Scan)
    }

    async fn commit(&self, xid: &Xid) -> Result<Resolution> {
        self.script.play(Step::Commit, || self.inner.commit(xid)).await
    }

    async fn rollback(&self, xid: &Xid) -> Result<Resolution> {
        self.script.play(Step::Rollback, || self.inner.rollback(xid)).await
    }

    async fn in_doubt(&self, job: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        self.script.play(Step::InDoubt, || self.inner.in_doubt(job)).await
    }

    fn decision_log(&self) -> Option<Arc<dyn DecisionLog>> {
        let inner = self.inner.decision_log()?;
        Some(Arc::new(FaultyLog { inner, script: self.script.clone() }))
    }
}

impl Scan for Faulty {
    fn query(&self, query: Query) -> Result<BatchStream> {
        let scan = self.inner.scan().ok_or_else(|| Error::internal("the database is not read"))?;
        match (self.script.0)(Step::Query) {
            Fault::None | Fault::Twice => scan.query(query),
            Fault::Hang => Ok(Box::pin(stream::pending())),
            Fault::Fail | Fault::Lose => Err(lost(Step::Query)),
        }
    }

    fn dialect(&self) -> Option<&dyn QueryDialect> {
        self.inner.scan()?.dialect()
    }

    fn read_as(&self, column: &Column, wanted: &DataType) -> Option<Column> {
        self.inner.scan()?.read_as(column, wanted)
    }
}

struct FaultyBranch<B: Branch + ?Sized> {
    inner: Box<B>,
    script: Script,
}

#[async_trait]
impl OpenTransaction for FaultyBranch<dyn OpenTransaction> {
    async fn lock(&mut self, spec: &WriteSpec, change: &Arc<Change>) -> Result<()> {
        self.script.ask(Step::Lock).await?;
        self.inner.lock(spec, change).await
    }

    async fn start(
        self: Box<Self>,
        spec: &WriteSpec,
        change: Option<&Arc<Change>>,
        rescue: Option<Rescue>,
    ) -> Result<Box<dyn Branch>> {
        self.script.ask(Step::Start).await?;
        let Self { inner, script } = *self;
        Ok(Box::new(FaultyBranch { inner: inner.start(spec, change, rescue).await?, script }))
    }

    async fn savepoint(&mut self, step: Savepoint) -> Result<()> {
        self.script.ask(Step::Savepoint).await?;
        self.inner.savepoint(step).await
    }

    async fn query(&mut self, query: &Query, batches: &Batches) -> Result<()> {
        self.script.ask(Step::Query).await?;
        self.inner.query(query, batches).await
    }
}

#[async_trait]
impl<B: Branch + ?Sized> Branch for FaultyBranch<B> {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.script.ask(Step::Write).await?;
        self.inner.write(batch).await
    }

    async fn lookup(&mut self, rows: &RecordBatch) -> Result<Option<LookupAnswer>> {
        self.script.ask(Step::Lookup).await?;
        self.inner.lookup(rows).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.script.ask(Step::Flush).await?;
        self.inner.flush().await
    }

    async fn end_statement(self: Box<Self>) -> Result<Box<dyn OpenTransaction>> {
        self.script.ask(Step::EndStatement).await?;
        let Self { inner, script } = *self;
        Ok(Box::new(FaultyBranch { inner: inner.end_statement().await?, script }))
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        yield_now().await;
        let vote = match (self.script.0)(Step::Prepare) {
            Fault::None | Fault::Twice => self.inner.prepare().await,
            Fault::Hang => pending().await,
            Fault::Fail => Err(lost(Step::Prepare)),
            Fault::Lose => {
                self.inner.prepare().await?;
                Err(lost(Step::Prepare))
            }
        };
        yield_now().await;
        vote
    }

    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        yield_now().await;
        let in_doubt = || Error::new(ErrorKind::InDoubt, "the connection was lost at CommitOnePhase");
        let outcome = match (self.script.0)(Step::CommitOnePhase) {
            Fault::None | Fault::Twice => self.inner.commit_one_phase(record).await,
            Fault::Hang => pending().await,
            // The outcome cannot be determined here.
            Fault::Fail => Err(in_doubt()),
            Fault::Lose => {
                self.inner.commit_one_phase(record).await?;
                Err(in_doubt())
            }
        };
        yield_now().await;
        outcome
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        yield_now().await;
        match (self.script.0)(Step::RollbackOpen) {
            Fault::None | Fault::Twice => self.inner.rollback().await,
            Fault::Hang => pending().await,
            Fault::Fail | Fault::Lose => Err(lost(Step::RollbackOpen)),
        }
    }
}

/// A log whose steps fail as a script says.
#[derive(Debug, Clone)]
pub struct FaultyLog {
    inner: Arc<dyn DecisionLog>,
    script: Script,
}

impl FaultyLog {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn DecisionLog>, script: Script) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl DecisionLog for FaultyLog {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        self.script.play(Step::Decide, || self.inner.decide(proposal.clone())).await
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        self.script.play(Step::Read, || self.inner.read(job)).await
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        self.script.play(Step::Jobs, || self.inner.jobs()).await
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        self.script.play(Step::Forget, || self.inner.forget(job, before)).await
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        self.script.play(Step::Remove, || self.inner.remove(job)).await
    }

    fn url(&self) -> String {
        self.inner.url()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::MemoryBackend;
    use crate::backend::{conformance::Subject, conformance::check_all};

    #[tokio::test]
    async fn without_faults_it_conforms() {
        check_all(|| {
            Box::pin(async {
                let memory = MemoryBackend::default();
                let counted = memory.clone();
                Subject {
                    rm: Arc::new(Faulty::new(Arc::new(memory), Script::new(|_| Fault::None))),
                    count: Box::new(move || {
                        let rows = counted.row_count();
                        Box::pin(async move { rows })
                    }),
                    guard: Box::new(()),
                }
            })
        })
        .await;
    }

    #[tokio::test]
    async fn a_fault_does_what_it_says() {
        use crate::txn::{Decision, Gtrid, Positions};
        let memory = MemoryBackend::default();
        for (fault, answers, decided) in
            [(Fault::Fail, false, false), (Fault::Lose, false, true), (Fault::Twice, true, true)]
        {
            let name = format!("{fault:?}");
            let job = JobId::try_new(&name).unwrap_or_else(|error| panic!("{error}"));
            let gtrid =
                Gtrid::parse("landfall-0000000000000001-1-0000000000000001").unwrap_or_else(|| panic!("no gtrid"));
            let positions = Positions::new("t", false);
            let record = DecisionRecord {
                job: job.clone(),
                epoch: Epoch(1),
                gtrid,
                decision: Decision::Abort,
                rows: 0,
                positions,
            };
            let log = FaultyLog::new(memory.decision_log().expect("it keeps a ledger"), Script::new(move |_| fault));
            assert_eq!(log.decide(record).await.is_ok(), answers, "{name}");
            let state = memory.read(&job).await;
            assert_eq!(state.is_ok_and(|state| state.last().is_some()), decided, "{name}");
        }
    }
}
