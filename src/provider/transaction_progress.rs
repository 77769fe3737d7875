//! How far a transaction of several statements is.

use std::time::Instant;

use crate::error::{Error, Result};

/// How far a transaction is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Why it has failed.
    pub(super) failed: Option<String>,
    /// Whether it can return to a savepoint after it has failed.
    pub(super) can_return: bool,
    pub(super) has_ended: bool,
    /// Whether its job was committed before.
    pub(super) is_finished: bool,
    pub(super) savepoints: Vec<NamedSavepoint>,
    /// When it was used last.
    pub(super) used: Option<Instant>,
}

/// A savepoint of the user.
#[derive(Debug, Clone)]
pub(super) struct NamedSavepoint {
    pub(super) name: String,
    /// Its number in the databases.
    pub(super) number: u64,
    /// The number of rows that the transaction had written.
    pub(super) rows: u64,
}

impl Progress {
    /// # Errors
    /// If a statement has failed, or the transaction has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.used = Some(Instant::now());
        match &self.failed {
            Some(why) if self.can_return => Err(Error::config(format!(
                "the transaction has failed ({why}): return to a savepoint with ROLLBACK TO, or end the transaction \
                 with ROLLBACK"
            ))),
            Some(why) => Err(Error::config(format!(
                "the transaction has failed and was rolled back ({why}): end the transaction with ROLLBACK, then run \
                 it again"
            ))),
            None if self.has_ended => Err(Error::config("the transaction has ended: begin another transaction")),
            None => Ok(()),
        }
    }
}
