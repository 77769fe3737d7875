//! The ledger in a SQLite database.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Missing, Sqlite, blocking};
use crate::error::Result;
use crate::log::ledger::{CHECKPOINT, DECIDE, FORGET, LAST_EPOCH, Row, STANDING, TABLE, signed, unsigned};
use crate::xa::{DecisionLog, DecisionRecord, Epoch, JobId, JobState};

const DDL: &str = include_str!("../../sql/ledger/sqlite.sql");

#[async_trait]
impl DecisionLog for Sqlite {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        let database = self.clone();
        blocking(move || {
            let mut connection = database.open(Missing::Refuse)?;
            let error = |error| database.error(error).with_context("writing the ledger");
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
            let stands = database.decide_in(&transaction, &proposal)?;
            transaction.commit().map_err(error)?;
            Ok(stands)
        })
        .await
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        let (database, job) = (self.clone(), job.clone());
        blocking(move || {
            let connection = database.open(Missing::Refuse)?;
            database.read_ledger(&connection, &job)
        })
        .await
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        let (database, job) = (self.clone(), job.clone());
        blocking(move || {
            let connection = database.open(Missing::Refuse)?;
            connection
                .execute(FORGET, params![job.as_str(), signed(before.0)?])
                .map_err(|error| database.error(error).with_context("cleaning the ledger"))?;
            Ok(())
        })
        .await
    }
}

impl Sqlite {
    /// Proposes a record inside an open transaction and returns the one that stands.
    pub(super) fn decide_in(&self, connection: &Connection, proposal: &DecisionRecord) -> Result<DecisionRecord> {
        let (job, epoch) = (proposal.job.as_str(), signed(proposal.epoch.0)?);
        let rows = signed(proposal.rows)?;
        let decide = || {
            connection.execute_batch(DDL)?;
            let (decision, positions) = (proposal.decision.as_str(), proposal.positions.to_token());
            connection.execute(DECIDE, params![job, epoch, proposal.gtrid, decision, rows, positions])?;
            connection.query_row(STANDING, params![job, epoch], read_row)
        };
        decide().map_err(|error| self.error(error).with_context("writing the ledger"))?.into_record(&proposal.job)
    }

    fn read_ledger(&self, connection: &Connection, job: &JobId) -> Result<JobState> {
        let read = || -> rusqlite::Result<_> {
            if !connection.table_exists(None, TABLE)? {
                return Ok((None, None));
            }
            let last: Option<i64> = connection.query_row(LAST_EPOCH, [job.as_str()], |row| row.get(0))?;
            Ok((last, connection.query_row(CHECKPOINT, [job.as_str()], read_row).optional()?))
        };
        let (last, checkpoint) = read().map_err(|error| self.error(error).with_context("reading the ledger"))?;
        Ok(JobState {
            last_epoch: last.map(unsigned).transpose()?.map(Epoch),
            checkpoint: checkpoint.map(|row| row.into_record(job)).transpose()?,
        })
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row { epoch: row.get(0)?, gtrid: row.get(1)?, decision: row.get(2)?, rows: row.get(3)?, positions: row.get(4)? })
}
