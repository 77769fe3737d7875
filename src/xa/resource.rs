//! A database as an XA resource manager.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::xa::{Change, DecisionLog, DecisionRecord, JobNumber, WriteStats, Xid};

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
