//! The ledger in a SQLite database.

use async_trait::async_trait;
use rusqlite::{Connection, Params, TransactionBehavior, params};

use super::connector::Missing;
use super::database::Sqlite;
use super::thread::blocking;
use crate::backend::{DecisionLog, failpoint::failpoint};
use crate::error::Result;
use crate::sql::ledger::{self, DECIDE, FORGET, JOBS, READ, REMOVE, Row, STANDING, signed};
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

const DDL: &str = include_str!("../../sql/ledger/sqlite.sql");

#[async_trait]
impl DecisionLog for Sqlite {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        let (database, mut lease) = (self.clone(), self.pool.acquire_to_end().await?);
        blocking(move || {
            let error = |error| database.error(error).with_context("writing the ledger");
            let transaction =
                lease.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
            let stands = database.decide_in(&transaction, &proposal)?;
            failpoint("ledger.decide.before");
            transaction.commit().map_err(error)?;
            failpoint("ledger.decide.after");
            lease.give_back();
            Ok(stands)
        })
        .await
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        let (database, job) = (self.clone(), job.clone());
        blocking(move || ledger::state(database.read_ledger(READ, [job.as_str()])?)).await
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        let database = self.clone();
        blocking(move || ledger::jobs(database.read_ledger(JOBS, [])?)).await
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        let (database, lease, job) = (self.clone(), self.pool.acquire().await?, job.clone());
        blocking(move || database.clean_ledger(lease, FORGET, params![job.as_str(), signed(before.0)?])).await
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        let (database, lease, job) = (self.clone(), self.pool.acquire().await?, job.clone());
        blocking(move || database.clean_ledger(lease, REMOVE, [job.as_str()])).await
    }

    fn url(&self) -> String {
        self.location_text()
    }

    fn ledger_table(&self) -> Option<String> {
        self.ledger.argument()
    }
}

impl Sqlite {
    /// Proposes a record inside an open transaction and returns the one that stands.
    pub(super) fn decide_in(&self, connection: &Connection, proposal: &DecisionRecord) -> Result<DecisionRecord> {
        let (job, epoch) = (proposal.job.as_str(), signed(proposal.epoch.0)?);
        let rows = signed(proposal.rows)?;
        let decide = || {
            connection.execute_batch(&self.ledger.sql(DDL))?;
            let (decision, positions) = (proposal.decision.as_str(), proposal.positions.to_token());
            let gtrid = proposal.gtrid.to_string();
            connection.execute(&self.ledger.sql(DECIDE), params![job, epoch, gtrid, decision, rows, positions])?;
            connection.query_row(&self.ledger.sql(STANDING), params![job, epoch], read_row)
        };
        decide().map_err(|error| self.error(error).with_context("writing the ledger"))?.into_record()
    }

    fn read_ledger(&self, sql: &str, parameters: impl Params) -> Result<Vec<Row>> {
        let connection = self.open(Missing::Refuse)?;
        let read = || -> rusqlite::Result<_> {
            if !connection.table_exists(None, self.ledger.name().table.as_str())? {
                return Ok(Vec::new());
            }
            connection.prepare(&self.ledger.sql(sql))?.query_map(parameters, read_row)?.collect()
        };
        read().map_err(|error| self.error(error).with_context("reading the ledger"))
    }

    fn clean_ledger(&self, lease: super::database::Connection, sql: &str, parameters: impl Params) -> Result<()> {
        let connection = &lease.connection;
        let clean = || match connection.table_exists(None, self.ledger.name().table.as_str())? {
            true => connection.execute(&self.ledger.sql(sql), parameters).map(drop),
            false => Ok(()),
        };
        clean().map_err(|error| self.error(error).with_context("cleaning the ledger"))?;
        lease.give_back();
        Ok(())
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        job: row.get(0)?,
        epoch: row.get(1)?,
        gtrid: row.get(2)?,
        decision: row.get(3)?,
        rows: row.get(4)?,
        positions: row.get(5)?,
        decided_at: row.get(6)?,
    })
}
