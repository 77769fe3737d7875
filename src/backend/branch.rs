//! An open transaction of one connection.

use std::pin::Pin;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::txn::DecisionRecord;

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
pub type LookupAnswer = Pin<Box<dyn Future<Output = Result<Option<Versions>>> + Send>>;

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
    async fn lookup(&mut self, _: &RecordBatch) -> Result<Option<LookupAnswer>> {
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
    async fn prepare(self: Box<Self>) -> Result<Vote> {
        self.rollback().await?;
        Err(Error::new(ErrorKind::Unsupported, "the database cannot prepare a transaction: it commits in one phase"))
    }

    /// Commits the rows, and with them the record where there is one, in one local transaction.
    ///
    /// # Errors
    /// Everything was rolled back, but under `InDoubt`.
    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome>;

    /// Undoes it. Returns when the database has no trace of it left.
    async fn rollback(self: Box<Self>) -> Result<()>;
}
