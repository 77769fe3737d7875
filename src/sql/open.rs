//! An open transaction between two statements: the shared part of the servers' transactions.

use std::fmt;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::time::timeout;

use super::sender::{ServerTransaction, commit};
use crate::backend::{Branch, Outcome, Vote};
use crate::error::{Error, Result};
use crate::txn::{DecisionRecord, Xid};

/// How long a server may take to roll back before its connection is dropped.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(30);

/// A transaction as a branch.
pub struct OpenBranch<T> {
    /// Its name.
    pub xid: Xid,
    /// The transaction.
    pub transaction: T,
}

impl<T> fmt::Debug for OpenBranch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenBranch({})", self.xid)
    }
}

#[async_trait]
impl<T: ServerTransaction> Branch for OpenBranch<T> {
    async fn write(&mut self, _: RecordBatch) -> Result<()> {
        Err(Error::internal("rows were written to a transaction without a statement"))
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        self.transaction.prepare(&self.xid).await
    }

    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        commit(self.transaction, record).await
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        // The server rolls back when the connection is closed.
        let _ = timeout(ROLLBACK_TIMEOUT, self.transaction.rollback()).await;
        Ok(())
    }
}
