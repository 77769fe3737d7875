//! A database as an XA resource manager.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::buffer::Memory;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Phase, SinkMetrics};
use crate::xa::{Change, DecisionLog, DecisionRecord, JobNumber, Xid};

/// What a resource manager can promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Prepares, and commits later from any session.
    TwoPhase {
        /// As many branches at once, at most; none where it is set up so.
        branches: u32,
    },
    /// Commits at once or not at all, however it is set up.
    OnePhase,
}

impl Capability {
    /// Whether it can prepare now.
    pub fn prepares(self) -> bool {
        matches!(self, Self::TwoPhase { branches: 1.. })
    }
}

/// How a branch is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Its rows, and the decision with them, are committed in one local transaction.
    #[default]
    OnePhase,
    /// It is prepared, and committed when that is decided.
    TwoPhase,
}

/// What happens to the rows that are in the table before the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They stay, but for conflicts.
    Keep,
    /// They are deleted in the same transaction.
    Delete,
    /// The table is truncated in the same transaction, which readers notice.
    Truncate,
}

/// What happens to a row whose key is in the table already. A key that comes twice in one stream counts as well:
/// under `Update` and `Replace` its last row stays, under `Ignore` its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnConflict {
    /// The write fails.
    #[default]
    Error,
    /// The row that is there keeps its values.
    Ignore,
    /// The columns that are written are set; the others keep their values.
    Update,
    /// The whole row is replaced: columns that are not written get their defaults.
    Replace,
}

impl OnConflict {
    /// Whether a row whose key is there gets new values.
    pub(crate) fn updates(self) -> bool {
        matches!(self, Self::Update | Self::Replace)
    }

    /// The word in options and plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Ignore => "ignore",
            Self::Update => "update",
            Self::Replace => "replace",
        }
    }
}

/// How a row whose key is in the table already is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Upsert {
    /// By difference where few rows change, else blindly.
    #[default]
    Auto,
    /// Whatever is there.
    Blind,
    /// By difference: the rows that are there are read, and those that are equal are left alone.
    Diff,
}

impl Upsert {
    /// The word in options and plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Blind => "blind",
            Self::Diff => "diff",
        }
    }
}

/// What is written, where and how.
#[derive(Debug, Clone)]
pub struct WriteSpec {
    /// The table, spelled as the database spells it.
    pub table: String,
    /// The schema of the batches; its fields are named as the columns that they go to.
    pub columns: SchemaRef,
    /// What happens to rows that are there.
    pub existing: Existing,
    /// What happens to a row whose key is there.
    pub on_conflict: OnConflict,
    /// The columns of that key; empty under [`OnConflict::Error`].
    pub key: Vec<String>,
    /// How rows that are there are updated.
    pub upsert: Upsert,
    /// Whether rows that are compared are locked until the end of the transaction.
    pub diff_lock: bool,
    /// How the branch is to end.
    pub protocol: Protocol,
    /// Where the branch counts what it does.
    pub stats: Arc<WriteStats>,
}

impl WriteSpec {
    /// A plain append of these columns, in one phase: what the other fields change is said behind it, by `..`.
    pub fn new(table: impl Into<String>, columns: SchemaRef) -> Self {
        Self {
            table: table.into(),
            columns,
            existing: Existing::Keep,
            on_conflict: OnConflict::Error,
            key: Vec::new(),
            upsert: Upsert::Blind,
            diff_lock: false,
            protocol: Protocol::OnePhase,
            stats: Arc::default(),
        }
    }
}

/// Counters of one write; every branch of it adds to them.
#[derive(Debug, Default)]
pub struct WriteStats {
    metrics: SinkMetrics,
    memory: Memory,
    rows: AtomicU64,
    not_stored: AtomicU64,
    bytes: AtomicU64,
    encode_nanos: AtomicU64,
    send_nanos: AtomicU64,
    commit_nanos: AtomicU64,
    compare_nanos: AtomicU64,
    inserted: AtomicU64,
    updated: AtomicU64,
    unchanged: AtomicU64,
    superseded: AtomicU64,
    counts_again: AtomicBool,
    /// What the counts of [`WriteStats::counters`] were at the last commit.
    committed: [AtomicU64; 5],
}

/// What becomes of an epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told {
    Begun,
    /// So long after its first row.
    Committed(Duration),
    Aborted,
    Retried,
    /// Whether it is committed is not known.
    InDoubt,
    /// It is known now.
    Settled,
}

/// How many keys an upsert by difference inserted, updated or left unchanged. An epoch counts each key once, even if
/// several of its rows have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Keys that were not there.
    pub inserted: u64,
    /// Keys that were there with other values.
    pub updated: u64,
    /// Keys that were there with these values.
    pub unchanged: u64,
    /// Rows beside the one that counts for its key.
    pub superseded: u64,
    /// Whether keys that are updated or unchanged may count more than once: where more than a million keys came in no
    /// ascending order, which ones came before is no longer known.
    pub counts_again: bool,
}

impl Compared {
    /// How many rows were compared.
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.superseded
    }
}

impl WriteStats {
    /// Those of a table, which are metrics too; of its rows so many bytes are held at most.
    pub fn of(table: &str, memory_limit: usize) -> Self {
        let metrics = SinkMetrics::of(table);
        let memory = Memory::new(memory_limit, metrics.memory.clone());
        metrics.memory_limit.set(memory_limit as f64);
        Self { metrics, memory, ..Self::default() }
    }

    /// The memory that its rows are held in.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Counts a batch that a writer took, after it waited so long.
    pub(crate) fn add_batch(&self, waited: Duration) {
        self.metrics.batches.increment(1);
        self.metrics.spent(Phase::Buffer, waited);
    }

    /// Counts time spent waiting for rows that are there, and comparing them.
    pub fn add_compare(&self, time: Duration) {
        self.compare_nanos.fetch_add(nanos(time), Relaxed);
        self.metrics.spent(Phase::Compare, time);
    }

    /// Counts rows that were compared with those that are there.
    pub fn add_compared(&self, compared: Compared) {
        self.inserted.fetch_add(compared.inserted, Relaxed);
        self.updated.fetch_add(compared.updated, Relaxed);
        self.unchanged.fetch_add(compared.unchanged, Relaxed);
        self.superseded.fetch_add(compared.superseded, Relaxed);
        self.counts_again.fetch_or(compared.counts_again, Relaxed);
    }

    /// Counts keys as updated that were counted as unchanged before.
    pub(crate) fn add_changed_later(&self, keys: u64) {
        self.unchanged.fetch_sub(keys, Relaxed);
        self.updated.fetch_add(keys, Relaxed);
    }

    /// Counts of rows that an attempt which is rolled back takes with it.
    fn counters(&self) -> [&AtomicU64; 5] {
        [&self.not_stored, &self.inserted, &self.updated, &self.unchanged, &self.superseded]
    }

    /// What comparing has found, without attempts that were rolled back.
    pub fn compared(&self) -> Compared {
        Compared {
            inserted: self.inserted.load(Relaxed),
            updated: self.updated.load(Relaxed),
            unchanged: self.unchanged.load(Relaxed),
            superseded: self.superseded.load(Relaxed),
            counts_again: self.counts_again.load(Relaxed),
        }
    }

    /// Time spent waiting for rows that are there, and comparing them.
    pub fn compare_time(&self) -> Duration {
        Duration::from_nanos(self.compare_nanos.load(Relaxed))
    }

    /// Counts rows, and bytes of their values, that were handed to the database.
    pub fn add_sent(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.metrics.rows.increment(rows);
        self.metrics.bytes.increment(bytes);
    }

    /// Counts rows that the database took and did not store, by its own count.
    pub fn add_not_stored(&self, rows: u64) {
        self.not_stored.fetch_add(rows, Relaxed);
    }

    /// Counts time spent turning Arrow arrays into the database's values.
    pub fn add_encode(&self, time: Duration) {
        self.encode_nanos.fetch_add(nanos(time), Relaxed);
        self.metrics.spent(Phase::Encode, time);
    }

    /// Counts time spent handing values to the database.
    pub fn add_send(&self, time: Duration) {
        self.send_nanos.fetch_add(nanos(time), Relaxed);
        self.metrics.spent(Phase::Send, time);
    }

    /// Counts time spent committing.
    pub fn add_commit(&self, time: Duration) {
        self.commit_nanos.fetch_add(nanos(time), Relaxed);
    }

    /// Says what became of an epoch to whoever watches.
    pub(crate) fn tell(&self, event: Told) {
        let metrics = &self.metrics;
        match event {
            Told::Begun => metrics.epochs.increment(1),
            Told::Committed(time) => {
                self.committed
                    .iter()
                    .zip(self.counters())
                    .for_each(|(kept, now)| kept.store(now.load(Relaxed), Relaxed));
                metrics.commits.increment(1);
                metrics.epoch.record(time);
            }
            Told::Aborted => metrics.aborts.increment(1),
            Told::Retried => {
                // What was rolled back comes again.
                self.committed
                    .iter()
                    .zip(self.counters())
                    .for_each(|(kept, now)| now.store(kept.load(Relaxed), Relaxed));
                metrics.retries.increment(1);
            }
            Told::InDoubt => metrics.in_doubt.increment(1),
            Told::Settled => metrics.in_doubt.decrement(1),
        }
    }

    /// Rows handed to the database.
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// Of these, the rows that the database did not store, by its own count: under [`OnConflict::Ignore`] those whose key
    /// is there, and those that a trigger or a rule of the table leaves out.
    pub fn not_stored(&self) -> u64 {
        self.not_stored.load(Relaxed)
    }

    /// Bytes of the values handed to the database, without its own overhead.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Time spent turning Arrow arrays into the database's values.
    pub fn encode_time(&self) -> Duration {
        Duration::from_nanos(self.encode_nanos.load(Relaxed))
    }

    /// Time spent handing values to the database.
    pub fn send_time(&self) -> Duration {
        Duration::from_nanos(self.send_nanos.load(Relaxed))
    }

    /// Time spent committing.
    pub fn commit_time(&self) -> Duration {
        Duration::from_nanos(self.commit_nanos.load(Relaxed))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A branch's answer to prepare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    /// It can be committed and rolled back from any session, also after a crash.
    Prepared,
    /// It wrote nothing and is over.
    ReadOnly,
}

/// How a one-phase commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Rows and record are durable.
    Committed,
    /// The epoch was decided by another run, whose record this is; nothing was written.
    Fenced(DecisionRecord),
}

/// How the completion of a branch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It is done now.
    Done,
    /// The resource manager has no such branch (`XAER_NOTA`): it was done before, or never prepared.
    Unknown,
}

/// A prepared branch whose outcome the resource manager does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InDoubt {
    /// Its name.
    pub xid: Xid,
    /// How long ago it was prepared, by the database's clock.
    pub age: Duration,
}

/// A database seen as an XA resource manager. All methods can be called from any session.
#[async_trait]
pub trait ResourceManager: Debug + Send + Sync {
    /// Where it is, without secrets: for plans, messages and logs.
    fn location(&self) -> String;

    /// What tells it from all other databases, whoever connects to it: the server's own identifier with the name of the
    /// database, where it has one, else where it is. May ask the server.
    async fn identity(&self) -> Result<String> {
        Ok(self.location())
    }

    /// What it can promise. May ask the server.
    async fn capability(&self) -> Result<Capability>;

    /// Begins a branch that writes as `spec` says.
    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>>;

    /// Begins a branch that changes rows that are there. The batches that it takes have the columns of `spec`, and are
    /// what `change` says; what is to be done is done at [`Branch::flush`].
    async fn start_change(&self, _: &Xid, _: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        let text = format!("{} is not known in {}: use INSERT INTO", change.verb, self.location());
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// Commits a prepared branch; idempotent.
    async fn commit(&self, xid: &Xid) -> Result<Resolution>;

    /// Rolls a prepared branch back; idempotent.
    async fn rollback(&self, xid: &Xid) -> Result<Resolution>;

    /// The prepared branches of a job, or of all jobs. Only Landfall's own, only this database's.
    async fn in_doubt(&self, job: Option<JobNumber>) -> Result<Vec<InDoubt>>;

    /// Gives up what this process holds of a prepared branch whose end it does not know: somebody else is to end it.
    fn leave(&self, _: &Xid) {}

    /// Closes the connections that nobody uses: after a failure that can have taken them all.
    async fn release(&self) {}

    /// The ledger in this database.
    fn decision_log(&self) -> Arc<dyn DecisionLog>;
}

/// Rows as they are to be, and as they are: in columns that are equal only where the database would store the same.
#[derive(Debug)]
pub struct Versions {
    /// The rows that are to be written, in their order.
    pub new: RecordBatch,
    /// Rows of the table, in any order: those with one of their keys that could be read, and perhaps others.
    pub old: RecordBatch,
    /// The columns of the key; keys that are equal to the database are equal in them.
    pub key: Vec<usize>,
}

/// Rows on their way; `None` where they hold what cannot be read, and all are to be written.
pub type Answer = Pin<Box<dyn Future<Output = Result<Option<Versions>>> + Send>>;

/// One connection's open transaction. Every terminal step consumes it; dropping it rolls back.
#[async_trait]
pub trait Branch: Send {
    /// Takes a batch of `spec.columns`. It may be written later than this returns; a failure then shows at a later
    /// step. After an error only [`Branch::rollback`] is left.
    ///
    /// Cancel safety: a cancelled call has taken the batch or has not; roll back.
    async fn write(&mut self, batch: RecordBatch) -> Result<()>;

    /// Asks for the rows that are in the table with the keys of these, after everything that was taken and asked for
    /// before; `None` where they cannot be compared, and all are to be written. The answer comes while others are asked
    /// for; what is taken waits for it.
    ///
    /// Cancel safety: roll back after a cancelled call.
    async fn ask(&mut self, _: &RecordBatch) -> Result<Option<Answer>> {
        Ok(None)
    }

    /// Waits until what was taken is in the database, as far as it can be before the commit: what takes long is done
    /// where it can still be stopped. No batch can be taken after it.
    ///
    /// Cancel safety: roll back after a cancelled call.
    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// First phase.
    ///
    /// # Errors
    /// The branch was rolled back; where the answer was lost, it may be prepared all the same, and is to be rolled
    /// back as one that is.
    async fn prepare(self: Box<Self>) -> Result<Vote>;

    /// Commits the rows, and with them the record where there is one, in one local transaction.
    ///
    /// # Errors
    /// Everything was rolled back, but under `InDoubt`.
    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome>;

    /// Undoes it. Returns when the database has no trace of it left.
    async fn rollback(self: Box<Self>) -> Result<()>;
}
