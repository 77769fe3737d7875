//! An open transaction of a server's connection, and how encoded rows are sent in it.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use tokio::time::timeout;

use super::encoded::{EncodedChunk, FreeList, LookupResult};
use super::lost::{cause, lost_commit};
use crate::backend::{OpenTransaction, Outcome, Vote};
use crate::buffer::Receiver;
use crate::error::{Error, ErrorKind, Result};
use crate::txn::{DecisionRecord, Xid};

/// An open transaction of a connection. Dropping it closes the connection, and the server rolls back.
#[async_trait]
pub trait ServerTransaction: Send + Sized + 'static {
    /// The server's session of the connection, which other connections can refer to.
    type Session: ServerSession;

    /// The server's session of the connection.
    fn session(&self) -> Self::Session;

    /// Prepares the transaction under this name. Its connection waits for the outcome.
    async fn prepare(self, xid: &Xid) -> Result<Vote>;

    /// Runs the last statements of the transaction before its commit.
    async fn before_commit(&mut self) -> Result<()> {
        Ok(())
    }

    /// Stores a record in the ledger, in this transaction. Returns the record that stands for its epoch.
    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord>;

    /// Commits. The error `Unavailable` means that the server did not answer and the outcome is unknown. After any other
    /// error the server has rolled back.
    async fn commit(self) -> Result<()>;

    /// Rolls back, also after an error. Returns whether the server confirmed it. The server rolls back a lost connection.
    async fn undo(&mut self) -> bool;

    /// Rolls back, and returns the connection to the pool. With a [`Rescue`](crate::backend::Rescue), hands the transaction over
    /// instead.
    async fn rollback(self);
}

/// Sends encoded rows in an open transaction.
#[async_trait]
pub trait RowSender: ServerTransaction {
    /// Sends all chunks, until `abandoned` is set. Sent buffers go to `free_list`.
    async fn send_all(
        &mut self,
        chunks: Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<()>;

    /// Sets a savepoint, in place of the previous one.
    async fn set_savepoint(&mut self) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "the database has no savepoints"))
    }

    /// Rolls back to the savepoint, which stays set.
    async fn rollback_to_savepoint(&mut self) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "the database has no savepoints"))
    }

    /// Reads the rows of these queries. They are decoded into columns of the schema while the next ones are read.
    async fn read(&mut self, statements: Vec<Vec<u8>>, schema: SchemaRef) -> Result<LookupResult>;

    /// Whether something must be done when all rows are sent, such as to apply a change from the staged rows.
    fn changes(&self) -> bool;

    /// Does it.
    async fn apply(&mut self) -> Result<()>;

    /// Ends the statement, after all its rows are sent.
    async fn end_statement(self) -> Result<Box<dyn OpenTransaction>>;
}

/// A session of the server that other connections can cancel and observe.
#[async_trait]
pub trait ServerSession: Clone + Send + Sync {
    /// Cancels its running statement, if any. Returns whether the server accepted the request.
    async fn cancel(&self) -> bool;

    /// Whether it runs a statement; `false` if the server does not respond.
    async fn works(&self) -> bool;

    /// Whether it still exists; `false` if this cannot be determined.
    async fn lives(&self) -> bool;

    /// Ends it, if the server allows this without the risk of ending another session.
    async fn end(&self) {}

    /// After its connection was lost, waits until it has ended, as far as this can be determined. Its last statement has then
    /// either taken effect or not, and it holds no locks.
    async fn ended(&self) {
        let ended = async {
            while self.lives().await {
                // It waits for a client that has gone. One that works may have committed, and wait for a standby.
                if !self.works().await {
                    self.end().await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        // Recovery finds a branch that appears later.
        let _ = timeout(Duration::from_secs(5), ended).await;
    }
}

/// Commits a transaction, and a record in it.
pub(super) async fn commit<S: ServerTransaction>(mut sender: S, record: Option<DecisionRecord>) -> Result<Outcome> {
    let session = sender.session();
    if let Err(error) = sender.before_commit().await {
        return Err(undone(sender, error).await);
    }
    if let Some(record) = &record {
        let stands = match sender.decide(record).await {
            Ok(stands) => stands,
            Err(error) => return Err(undone(sender, error).await),
        };
        if stands != *record {
            sender.rollback().await;
            return Ok(Outcome::Fenced(Box::new(stands)));
        }
    }
    match sender.commit().await {
        Ok(()) => Ok(Outcome::Committed),
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            session.ended().await;
            Err(lost_commit(record.as_ref()).with_source(cause(&error)))
        }
        Err(error) => Err(error.with_context("committing")),
    }
}

/// Rolls back after an error, and returns the error.
pub async fn undone<S: ServerTransaction>(sender: S, error: Error) -> Error {
    if error.kind() == ErrorKind::Unavailable {
        let session = sender.session();
        // A lost connection answers nothing more. The server rolls back when it is closed.
        drop(sender);
        session.ended().await;
    } else {
        sender.rollback().await;
    }
    error
}

/// Sends chunks after a savepoint. Returns the error of a row that the server refuses, after it rolled back to the savepoint.
pub(super) async fn attempt<S: RowSender>(
    sender: &mut S,
    chunks: Receiver<EncodedChunk>,
    free_list: &FreeList,
    abandoned: &AtomicBool,
) -> Result<Option<Error>> {
    sender.set_savepoint().await?;
    match sender.send_all(chunks, free_list, abandoned).await {
        Ok(()) => Ok(None),
        Err(refused) if refused.is_of_a_row() => match sender.rollback_to_savepoint().await {
            Ok(()) => Ok(Some(refused)),
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
            // The server has rolled the whole transaction back.
            Err(_) => Err(refused),
        },
        Err(error) => Err(error),
    }
}
