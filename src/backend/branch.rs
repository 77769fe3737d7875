//! An open transaction of one connection.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::backend::{Batches, Change, Query, WriteSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::txn::DecisionRecord;

/// A branch's answer to prepare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    /// The branch can be committed or rolled back from any session, also after a crash.
    Prepared,
    /// The branch wrote nothing and has ended.
    ReadOnly,
}

/// How a one-phase commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The rows and the record are durable.
    Committed,
    /// Another run decided the epoch with this record. Nothing was written.
    Fenced(Box<DecisionRecord>),
}

/// New and existing rows, in columns that are equal only if the database would store the same value.
#[derive(Debug)]
pub struct Versions {
    /// The rows to write, in their order.
    pub new: RecordBatch,
    /// Rows of the table, in any order: all readable rows with one of these keys, and possibly others.
    pub old: RecordBatch,
    /// The columns of the key. Keys that the database considers equal are equal in them.
    pub key: Vec<usize>,
}

/// Rows that a branch has encoded, in its own form.
pub struct Encoded(Box<dyn Any + Send>);

impl Encoded {
    /// Wraps rows in the form of a branch.
    pub fn new(rows: impl Any + Send) -> Self {
        Self(Box::new(rows))
    }

    /// The rows in the form of the branch that has encoded them.
    ///
    /// # Errors
    /// `Internal` if they have another form.
    pub fn into_form<T: 'static>(self) -> Result<T> {
        let form = self.0.downcast::<T>().map_err(|_| Error::internal("another branch has encoded the rows"))?;
        Ok(*form)
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoded")
    }
}

/// How an attempt to write rows has ended.
#[derive(Debug)]
pub enum Attempt {
    /// The database has accepted all of them.
    Accepted,
    /// The database refused them because of a row, and is as before. The error, which is `Encode` or `Constraint`, may name the
    /// row, counted from 1 in the rows of the attempt; another one may be the cause.
    Refused(Error),
}

/// A pending answer; `None` if some rows cannot be read, and all rows must be written.
pub type LookupAnswer = Pin<Box<dyn Future<Output = Result<Option<Versions>>> + Send>>;

/// An open transaction of one connection. Every final step consumes it. Dropping it rolls back.
#[async_trait]
pub trait Branch: Send {
    /// Accepts a batch of `spec.columns`. The branch may write it after this method returns; a later step then reports
    /// a failure. After an error, only [`Branch::rollback`] may be called.
    ///
    /// Cancel safety: after a cancelled call, the batch may or may not be accepted. Roll back.
    async fn write(&mut self, batch: RecordBatch) -> Result<()>;

    /// Encodes rows, without writing them.
    ///
    /// # Errors
    /// `Encode` or `Constraint` if a column cannot store a value of a row.
    fn encode_rows(&mut self, _: &RecordBatch) -> Result<Encoded> {
        Err(no_attempts())
    }

    /// Starts to write encoded rows after all earlier ones, so that the transaction can continue if the database refuses one of
    /// them. [`Branch::attempted`] must be called next.
    ///
    /// Cancel safety: roll back after a cancelled call.
    async fn attempt(&mut self, _: Vec<Encoded>) -> Result<()> {
        Err(no_attempts())
    }

    /// Waits until the database has accepted or refused the rows of the last attempt.
    ///
    /// # Errors
    /// An error that is not about a row. Then, only [`Branch::rollback`] may be called.
    ///
    /// Cancel safety: roll back after a cancelled call.
    async fn attempted(&mut self) -> Result<Attempt> {
        Err(no_attempts())
    }

    /// Requests the existing rows with the keys of these rows, after all earlier batches and requests. `None` if they
    /// cannot be compared, and all rows must be written. Several requests may be pending at once; later batches wait
    /// for them.
    ///
    /// Cancel safety: roll back after a cancelled call.
    async fn lookup(&mut self, _: &RecordBatch) -> Result<Option<LookupAnswer>> {
        Ok(None)
    }

    /// Waits until the database has processed the accepted batches, as far as possible before the commit, so that the
    /// long part of the work can still be interrupted. No batch is accepted afterwards.
    ///
    /// Cancel safety: roll back after a cancelled call.
    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends the statement of a branch that [`OpenTransaction::start`] has started, after all its rows are written. The
    /// transaction stays open.
    ///
    /// # Errors
    /// Everything was rolled back, also earlier statements.
    async fn end_statement(self: Box<Self>) -> Result<Box<dyn OpenTransaction>> {
        self.rollback().await?;
        Err(Error::new(ErrorKind::Unsupported, "the database does not support transactions of several statements"))
    }

    /// Prepares the branch: the first phase of a two-phase commit.
    ///
    /// # Errors
    /// The branch was rolled back. If the answer was lost, the branch may be prepared, and the manager rolls it back as
    /// a prepared branch.
    async fn prepare(self: Box<Self>) -> Result<Vote> {
        self.rollback().await?;
        Err(Error::new(
            ErrorKind::Unsupported,
            "the database cannot prepare transactions and supports only one-phase commit",
        ))
    }

    /// Commits the rows, and the record if one is given, in one local transaction.
    ///
    /// # Errors
    /// Everything was rolled back, except with `InDoubt`.
    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome>;

    /// Rolls back. Returns when the database has removed all traces of the branch.
    async fn rollback(self: Box<Self>) -> Result<()>;
}

fn no_attempts() -> Error {
    Error::new(ErrorKind::Unsupported, "the database does not support the option 'reject.max'")
}

/// A step with a savepoint of a transaction. Savepoints have numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Savepoint {
    /// Sets it.
    Set(u64),
    /// Rolls back to it. It stays.
    RollBackTo(u64),
    /// Removes it and all later ones.
    Release(u64),
}

impl Savepoint {
    /// The statement of the step.
    pub fn sql(self) -> String {
        match self {
            Self::Set(number) => format!("SAVEPOINT landfall_{number}"),
            Self::RollBackTo(number) => format!("ROLLBACK TO SAVEPOINT landfall_{number}"),
            Self::Release(number) => format!("RELEASE SAVEPOINT landfall_{number}"),
        }
    }
}

/// Receives a transaction whose statement has failed, where it would otherwise be rolled back. It must return to a savepoint
/// next.
pub struct Rescue(oneshot::Sender<Box<dyn OpenTransaction>>);

impl fmt::Debug for Rescue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rescue")
    }
}

impl Rescue {
    /// Creates it with its receiver.
    pub fn new() -> (Self, oneshot::Receiver<Box<dyn OpenTransaction>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Hands the transaction over. If the receiver no longer exists, rolls the transaction back.
    pub fn rescue(self, transaction: Box<dyn OpenTransaction>) {
        drop(self.0.send(transaction));
    }
}

/// An open transaction between two statements. It is a branch that accepts no batches.
#[async_trait]
pub trait OpenTransaction: Branch {
    /// Locks the rows that a change depends on, before they are read.
    async fn lock(&mut self, spec: &WriteSpec, change: &Arc<Change>) -> Result<()>;

    /// Starts a statement that writes, as [`Backend::start`](crate::backend::Backend::start) and
    /// [`Backend::start_change`](crate::backend::Backend::start_change) do. With a rescue, this and every later step of the
    /// statement that would roll back hands the transaction over instead, as far as its connection can still be used.
    ///
    /// # Errors
    /// Everything was rolled back, also earlier statements, or the transaction was handed over.
    async fn start(
        self: Box<Self>,
        spec: &WriteSpec,
        change: Option<&Arc<Change>>,
        rescue: Option<Rescue>,
    ) -> Result<Box<dyn Branch>>;

    /// Sets a savepoint, rolls back to it, or releases it.
    async fn savepoint(&mut self, step: Savepoint) -> Result<()>;

    /// Reads the rows of a query, including those that the transaction wrote. Stops when the channel is closed.
    async fn query(&mut self, query: &Query, batches: &Batches) -> Result<()>;
}
