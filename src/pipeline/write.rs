//! The target of a write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::assignments::Assignments;
use super::evolved::Evolved;
use super::input::Position;
use crate::backend::{Backend, Capability, Change, DecisionLog, Dispatch, Protocol, WriteSpec};
use crate::buffer::Memory;
use crate::options::{Checkpoints, RejectLimit, Retry};
use crate::txn::{DecisionRecord, JobId, StatementId};

/// The number of writers of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterCount {
    /// This many.
    Exactly(u16),
    /// One for a few rows, otherwise up to this many.
    UpTo(u16),
}

impl WriterCount {
    /// The maximum number.
    pub fn most(self) -> u16 {
        let (Self::Exactly(most) | Self::UpTo(most)) = self;
        most
    }
}

/// A table that a stream is written to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its database.
    pub resource: Arc<dyn Backend>,
    /// The capability of the database.
    pub capability: Capability,
    /// The assignment of the stream's columns to the written columns.
    pub assignments: Arc<Assignments>,
    /// The specification of the write.
    pub spec: WriteSpec,
    /// The change of existing rows; `None` for an INSERT.
    pub change: Option<Arc<Change>>,
    /// How rows are distributed to its writers.
    pub dispatch: Dispatch,
    /// The number of its writers.
    pub writers: WriterCount,
    /// Whether the table was created for this write: it is dropped if the write fails.
    pub is_created: bool,
    /// How the table is altered before rows are written to it.
    pub evolved: Option<Arc<Evolved>>,
}

/// How rows are rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectSpec {
    /// How many rows of the statement or job may be rejected.
    pub limit: RejectLimit,
    /// The table that stores them, in the database of the first target.
    pub table: String,
}

/// The targets of a stream, written in one transaction or in one for each epoch.
#[derive(Debug, Clone)]
pub struct Write {
    /// The tables.
    pub targets: Vec<Target>,
    /// Their names in one text.
    pub name: String,
    /// The statement, which the records of its job contain.
    pub statement: StatementId,
    /// The job, if the write must happen once.
    pub job: Option<JobId>,
    /// The decision log.
    pub log: Arc<dyn DecisionLog>,
    /// The commit protocol of a single branch. Several branches always need two-phase commit.
    pub protocol: Protocol,
    /// When an epoch ends. Without checkpoints the whole write is one epoch.
    pub checkpoints: Checkpoints,
    /// How long a few rows wait for more rows to be written together.
    pub flush_interval: Duration,
    /// The retries after a transient failure.
    pub retry: Retry,
    /// How rows that cannot be stored are rejected; `None` if they are errors.
    pub rejects: Option<RejectSpec>,
    /// The counters.
    pub counts: Arc<Counts>,
}

impl Write {
    /// The memory in which its rows are reserved before they are distributed.
    pub(super) fn memory(&self) -> Memory {
        self.targets.first().map(|target| target.spec.stats.memory().clone()).unwrap_or_default()
    }
}

/// The counters of a write.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) resumed: AtomicU64,
    pub(super) epochs: AtomicU64,
    pub(super) retries: AtomicU64,
}

impl Counts {
    /// The number of rows that earlier runs of the job committed.
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Relaxed)
    }

    /// The number of committed epochs.
    pub fn epochs(&self) -> u64 {
        self.epochs.load(Relaxed)
    }

    /// The number of retries.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }
}

/// The outcome of a successful write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// This run read and committed this many rows of the input.
    Rows(u64),
    /// The job was already finished, as this record says. The input was not read.
    AlreadyFinished(DecisionRecord),
}

/// The committed part of a write.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteProgress {
    /// The number of rows that this run committed.
    pub(super) landed: u64,
    /// The number of rows of the input that earlier runs of the job committed.
    pub(super) before: u64,
    /// Whether an attempt started to write.
    pub(super) began: bool,
    /// Whether this attempt opened the job. The outcome of earlier attempts is known then.
    pub(super) is_opened: bool,
    /// The number of rows of the input so far, including earlier runs.
    pub(super) covered: u64,
    /// The number of rejected rows of the committed epochs, including earlier runs.
    pub(super) rejected: u64,
    /// How far the input was read.
    pub(super) position: Position,
}
