//! The options of a transaction of several statements.

use std::time::Duration;

use super::values::duration;
use crate::error::{Error, Result};
use crate::txn::JobId;

/// An isolation level of SQL. A database can use a stronger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// `READ COMMITTED`
    ReadCommitted,
    /// `REPEATABLE READ`
    RepeatableRead,
    /// `SERIALIZABLE`
    Serializable,
}

impl Isolation {
    /// Its name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

/// The options of a transaction of several statements: those of `BEGIN`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionOptions {
    /// `BEGIN ISOLATION LEVEL …`
    pub isolation: Option<Isolation>,
    /// `BEGIN JOB '…'`: the transaction is committed once.
    pub job: Option<JobId>,
    /// The URL of the decision log. By default the ledger of one of the databases.
    pub log: Option<String>,
    /// The time without a statement after which the transaction is rolled back.
    pub idle_timeout: Option<Duration>,
}

impl TransactionOptions {
    /// Sets an option of `BEGIN … OPTIONS (…)`.
    ///
    /// # Errors
    /// `Config` for an unknown option, or a value that it does not have.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "log" => self.log = Some(value.to_owned()),
            "idle_timeout" => {
                let timeout = duration(value).filter(|timeout| !timeout.is_zero());
                let wrong = || {
                    Error::config(format!("option 'idle_timeout' cannot be '{value}': use a time such as 30s or 10min"))
                };
                self.idle_timeout = Some(timeout.ok_or_else(wrong)?);
            }
            _ => {
                return Err(Error::config(format!("BEGIN has no option '{key}': use 'log' or 'idle_timeout'")));
            }
        }
        Ok(())
    }
}
