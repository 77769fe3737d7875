//! The ledger in a SQLite database.

use async_trait::async_trait;
use rusqlite::Connection;

use super::connection::{Statements, at_once};
use super::connector::Missing;
use super::database::Sqlite;
use super::thread::blocking;
use crate::backend::{DecisionLog, failpoint::failpoint};
use crate::error::{Error, Result};
use crate::sql::ledger::WRITING;
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

const DDL: &str = include_str!("../../sql/ledger/sqlite.sql");

#[async_trait]
impl DecisionLog for Sqlite {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        let (database, mut lease) = (self.clone(), self.pool.acquire_to_end().await?);
        blocking(move || {
            let connection = &mut lease.connection;
            let of_ledger = |error| database.error(error).with_context(WRITING);
            connection.execute_batch("BEGIN IMMEDIATE").map_err(of_ledger)?;
            // A connection that is not given back is closed, which rolls back.
            let stands = database.decide_in(connection, &proposal)?;
            failpoint("ledger.decide.before");
            connection.execute_batch("COMMIT").map_err(of_ledger)?;
            failpoint("ledger.decide.after");
            lease.give_back();
            Ok(stands)
        })
        .await
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        let (database, job) = (self.clone(), job.clone());
        blocking(move || {
            let mut connection = database.open(Missing::Refuse)?;
            at_once(database.ledger.read(&mut database.statements(&mut connection), &job))
        })
        .await
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        let database = self.clone();
        blocking(move || {
            let mut connection = database.open(Missing::Refuse)?;
            at_once(database.ledger.jobs(&mut database.statements(&mut connection)))
        })
        .await
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        self.clean_ledger(job, Some(before)).await
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        self.clean_ledger(job, None).await
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
    pub(super) fn decide_in(&self, connection: &mut Connection, proposal: &DecisionRecord) -> Result<DecisionRecord> {
        let created = connection.execute_batch(&self.ledger.sql(DDL));
        created.map_err(|error| self.error(error).with_context(WRITING))?;
        at_once(self.ledger.decide(&mut self.statements(connection), proposal))
    }

    /// Runs statements on a connection.
    pub(super) fn statements<'a>(&'a self, connection: &'a mut Connection) -> Statements<'a> {
        Statements { database: self, connection }
    }

    async fn clean_ledger(&self, job: &JobId, before: Option<Epoch>) -> Result<()> {
        let (database, mut lease, job) = (self.clone(), self.pool.acquire().await?, job.clone());
        blocking(move || {
            at_once(database.ledger.clean(&mut database.statements(&mut lease.connection), &job, before))?;
            lease.give_back();
            Ok(())
        })
        .await
    }

    pub(super) fn has_ledger(&self, connection: &Connection) -> Result<bool> {
        let found = connection.table_exists(None, self.ledger.name().table.as_str());
        found.map_err(|error: rusqlite::Error| -> Error {
            self.error(error).with_context("looking up the ledger table")
        })
    }
}
