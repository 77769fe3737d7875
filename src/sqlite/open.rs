//! An open transaction of a connection, in which several statements can run.

use std::time::Duration;

use super::database::{Connection, Sqlite};
use crate::backend::{Outcome, Rescue, failpoint::failpoint};
use crate::error::Result;
use crate::txn::DecisionRecord;

/// An open transaction. Dropping it rolls it back.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) database: Sqlite,
    pub(super) lease: Connection,
    /// Whether the connection can be used again.
    is_reusable: bool,
    /// What receives it if its statement fails.
    pub(super) rescue: Option<Rescue>,
}

impl Open {
    pub(super) fn begin(database: Sqlite, lease: Connection) -> Result<Self> {
        let connection = &lease.connection;
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|error| database.error(error).with_context("beginning the transaction"))?;
        // From here on, the connection could only wait for readers of the same file, when the cache spills. One of them may
        // be the query whose rows are written, which waits for this writer. Without waiting, SQLite keeps the pages in memory.
        connection.busy_timeout(Duration::ZERO).map_err(|error| database.error(error))?;
        Ok(Self { database, lease, is_reusable: true, rescue: None })
    }

    /// Begins a transaction of several statements. Other connections read the descriptions of its tables, which a cache that is
    /// written to the file would lock, unless the file has a write-ahead log: it stays in memory.
    pub(super) fn begin_several(database: Sqlite, lease: Connection) -> Result<Self> {
        let mode = lease.connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
        if mode.map_err(|error| database.error(error))? != "wal" {
            let kept = lease.connection.execute_batch("PRAGMA cache_spill = OFF");
            kept.map_err(|error| database.error(error))?;
        }
        Ok(Self { is_reusable: false, ..Self::begin(database, lease)? })
    }

    /// Commits the rows, and the record if there is one.
    pub(super) fn commit(self, record: Option<DecisionRecord>) -> Result<Outcome> {
        let Self { database, mut lease, is_reusable, .. } = self;
        let connection = &mut lease.connection;
        let error = |error| database.error(error).with_context("committing");
        connection.busy_timeout(database.pool.connector().lock_timeout).map_err(error)?;
        if let Some(proposal) = record {
            let stands = database.decide_in(connection, &proposal)?;
            if stands != proposal {
                // Dropping the connection rolls the rows back.
                return Ok(Outcome::Fenced(Box::new(stands)));
            }
        }
        failpoint("sqlite.commit.before");
        connection.execute_batch("COMMIT").map_err(error)?;
        failpoint("sqlite.commit.after");
        // Its cache is no longer needed.
        if is_reusable && connection.release_memory().is_ok() {
            lease.give_back();
        }
        Ok(Outcome::Committed)
    }
}
