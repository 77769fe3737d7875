//! One write: what it goes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::assignments::Assignments;
use super::input::Position;
use crate::backend::{Backend, Capability, Change, DecisionLog, Dispatch, Protocol, WriteSpec};
use crate::buffer::Memory;
use crate::options::{Checkpoints, Retry};
use crate::txn::{DecisionRecord, JobId, StatementId};

/// How many writers a table gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterCount {
    /// So many.
    Exactly(u16),
    /// One for a few rows, else so many.
    UpTo(u16),
}

/// One table that a stream is written to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its database.
    pub resource: Arc<dyn Backend>,
    /// What that can promise.
    pub capability: Capability,
    /// How the columns of the stream become those that are written.
    pub assignments: Arc<Assignments>,
    /// What is written.
    pub spec: WriteSpec,
    /// What is done to rows that are there, in place of inserting those of the stream.
    pub change: Option<Arc<Change>>,
    /// How rows are dealt out to its writers.
    pub dispatch: Dispatch,
    /// How many these are.
    pub writers: WriterCount,
}

/// What a stream is written to: as one transaction, or as one for each epoch.
#[derive(Debug, Clone)]
pub struct Write {
    /// The tables.
    pub targets: Vec<Target>,
    /// What they are called together.
    pub name: String,
    /// The statement that writes, which the records of its job name.
    pub statement: StatementId,
    /// The job, where the write is to happen once.
    pub job: Option<JobId>,
    /// Where it is decided.
    pub log: Arc<dyn DecisionLog>,
    /// How a single branch ends; several always need two phases.
    pub protocol: Protocol,
    /// When an epoch ends; without them the whole write is one.
    pub checkpoints: Checkpoints,
    /// How long a few rows wait for more, that they are written together.
    pub flush_interval: Duration,
    /// What is done after a failure that passes.
    pub retry: Retry,
    /// What was done.
    pub counts: Arc<Counts>,
}

impl Write {
    /// What its rows are reserved in before they are dealt out.
    pub(super) fn memory(&self) -> Memory {
        self.targets.first().map(|target| target.spec.stats.memory().clone()).unwrap_or_default()
    }
}

/// Counters of one write.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) resumed: AtomicU64,
    pub(super) epochs: AtomicU64,
    pub(super) retries: AtomicU64,
}

impl Counts {
    /// Rows that earlier runs of the job had written.
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Relaxed)
    }

    /// Epochs that were committed.
    pub fn epochs(&self) -> u64 {
        self.epochs.load(Relaxed)
    }

    /// Times that it was tried again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }
}

/// How a write ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// This many rows of the input were consumed by this run and are committed.
    Rows(u64),
    /// The job was finished before, as this record says; the input was not read.
    AlreadyFinished(DecisionRecord),
}

/// What is committed of a write.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteProgress {
    /// Rows that this run committed.
    pub(super) landed: u64,
    /// Rows of the input that earlier runs of the job had committed.
    pub(super) before: u64,
    /// Whether an attempt began to write.
    pub(super) began: bool,
    /// Whether this one did: what became of those before it is known then.
    pub(super) is_opened: bool,
    /// Rows of the input up to here, those of earlier runs among them.
    pub(super) covered: u64,
    /// How far the input is consumed.
    pub(super) position: Position,
}
