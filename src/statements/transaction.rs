//! A transaction of several statements.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::prelude::{DataFrame, SessionContext};

use super::sql;
use crate::error::{Error, Result};
use crate::options::TransactionOptions;
use crate::provider::OpenDatabases;

/// A transaction of several statements, in one or several databases: all of them take effect, or none. [`begin`] begins it.
///
/// Its statements run one after the other. A statement that fails rolls the transaction back, and the next ones fail.
/// Dropping the transaction rolls it back.
pub struct Transaction {
    context: SessionContext,
    open: Arc<OpenDatabases>,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transaction").field(&self.open).finish()
    }
}

/// Begins a transaction. Its statements see the tables and the settings that the session has now, and what the
/// transaction has written.
///
/// A database becomes a part of the transaction when a statement writes to it. Queries of other databases are not a part
/// of it. [The guide](crate::guide::transactions) has an example.
///
/// # Errors
/// `Config` in the session of another transaction.
pub async fn begin(context: &SessionContext) -> Result<Transaction> {
    begin_with(context, TransactionOptions::default()).await
}

/// Begins a transaction with options.
///
/// # Errors
/// `Config` in the session of another transaction, and for a log that cannot be used. `Unsupported` in a session of a cluster.
pub async fn begin_with(context: &SessionContext, options: TransactionOptions) -> Result<Transaction> {
    let (context, open) = OpenDatabases::begin(context, options)?;
    Ok(Transaction { context, open })
}

impl Transaction {
    /// Runs a statement like [`sql`](fn@crate::sql). A statement that writes runs when its result is collected.
    ///
    /// # Errors
    /// The errors of [`sql`](fn@crate::sql). `Config` if an earlier statement has failed.
    pub async fn sql(&self, text: &str) -> DfResult<DataFrame> {
        self.open.check()?;
        sql(&self.context, text).await
    }

    /// The session of the transaction, for example for [`DataFrame::write_table`].
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Sets a savepoint, in all databases.
    ///
    /// # Errors
    /// `Config` if a statement has failed. The errors of the databases, which roll the transaction back.
    pub async fn savepoint(&self, name: &str) -> Result<()> {
        self.open.set_savepoint(name).await
    }

    /// Undoes all statements after the last savepoint of this name. The savepoint stays. A transaction that has failed after
    /// the savepoint goes on.
    ///
    /// # Errors
    /// `Config` if there is no such savepoint. The errors of the databases, which roll the transaction back.
    pub async fn rollback_to(&self, name: &str) -> Result<()> {
        self.open.roll_back_to(name).await
    }

    /// Removes a savepoint and all later ones, and keeps what was written after it.
    ///
    /// # Errors
    /// As for [`savepoint`](Self::savepoint). `Config` if there is no such savepoint.
    pub async fn release(&self, name: &str) -> Result<()> {
        self.open.release(name).await
    }

    /// Whether the job of the transaction was committed by an earlier run: then its statements write nothing. Known after the
    /// first statement that writes.
    pub fn is_finished(&self) -> bool {
        self.open.is_finished()
    }

    /// Commits all statements.
    ///
    /// # Errors
    /// `Config` if a statement has failed: everything is rolled back. Otherwise the errors of a statement that commits:
    /// everything is rolled back, except with `InDoubt`.
    pub async fn commit(self) -> Result<()> {
        if let Err(error) = self.open.check() {
            self.open.roll_back().await;
            return Err(match self.open.failure() {
                Some(why) => Error::config(format!(
                    "COMMIT: the transaction has failed ({why}), and was rolled back: run the transaction again"
                )),
                None => error.with_context("COMMIT"),
            });
        }
        self.open.commit().await
    }

    /// Rolls all statements back.
    pub async fn rollback(self) {
        self.open.roll_back().await;
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.open.has_ended() {
            self.open.give_up();
        }
    }
}
