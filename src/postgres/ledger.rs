//! The ledger in a PostgreSQL database.

use async_trait::async_trait;

use super::connection::Statements;
use super::connector::PostgresConnection;
use super::database::{BEGIN, Postgres};
use crate::backend::{DecisionLog, failpoint::failpoint};
use crate::error::{ErrorKind, Result};
use crate::sql::ledger::WRITING;
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

const DDL: &str = include_str!("../../sql/ledger/postgres.sql");

/// If two sessions create the same table at once, one fails; this lock makes the second one wait.
const CREATE_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('landfall_ledger', 0))";

/// A decision must be durable when it is returned, regardless of the role's settings.
const DURABLE: &str =
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

#[async_trait]
impl DecisionLog for Postgres {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        let mut connection = self.begin(self.pool.acquire_to_end().await?, BEGIN).await?;
        let stands = self.decide_in(&mut connection, &proposal).await?;
        failpoint("ledger.decide.before");
        self.execute(&mut connection, "COMMIT".into()).await.map_err(|error| error.with_context(WRITING))?;
        failpoint("ledger.decide.after");
        connection.give_back();
        Ok(stands)
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        let mut connection = self.connect().await?;
        let state = self.ledger.read(&mut self.statements(&mut connection), job).await?;
        connection.give_back();
        Ok(state)
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        let mut connection = self.connect().await?;
        let jobs = self.ledger.jobs(&mut self.statements(&mut connection)).await?;
        connection.give_back();
        Ok(jobs)
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        self.clean_ledger(job, Some(before)).await
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        self.clean_ledger(job, None).await
    }

    fn url(&self) -> String {
        // Complete, so that the command in a message works unchanged.
        self.options().url()
    }

    fn ledger_table(&self) -> Option<String> {
        self.ledger.argument()
    }
}

/// A cleanup does not wait for the disk, because no decision depends on it.
const RELAXED: &str = "BEGIN; SET LOCAL synchronous_commit = off";

impl Postgres {
    /// Proposes a record inside an open transaction and returns the one that stands.
    pub(super) async fn decide_in(
        &self,
        connection: &mut PostgresConnection,
        proposal: &DecisionRecord,
    ) -> Result<DecisionRecord> {
        self.execute(connection, DURABLE.into()).await?;
        if !self.has_ledger(connection).await? {
            // In a transaction of its own: other jobs would wait for this one.
            let mut other = self.pool.acquire_to_end().await?;
            self.create_ledger(&mut other).await?;
            other.give_back();
        }
        self.ledger.decide(&mut self.statements(connection), proposal).await
    }

    /// Runs statements in a connection.
    pub(super) fn statements<'a>(&'a self, connection: &'a mut PostgresConnection) -> Statements<'a> {
        Statements { database: self, connection }
    }

    async fn clean_ledger(&self, job: &JobId, before: Option<Epoch>) -> Result<()> {
        let mut connection = self.begin(self.connect().await?, RELAXED).await?;
        self.ledger.clean(&mut self.statements(&mut connection), job, before).await?;
        self.execute(&mut connection, "COMMIT".into()).await?;
        connection.give_back();
        Ok(())
    }

    async fn create_ledger(&self, connection: &mut PostgresConnection) -> Result<()> {
        let ddl = self.ledger.sql(DDL);
        let created = self.execute(connection, format!("{BEGIN}; {CREATE_LOCK}; {ddl}; COMMIT")).await;
        created.map(drop).map_err(|error| match error.kind() {
            // 3F000: there is no schema to create it in.
            ErrorKind::Access | ErrorKind::Database => error.with_context(format!(
                "creating the ledger table {name}, which stores jobs and commit decisions; name an existing ledger \
                 table with the option 'ledger_table', or ask a user with sufficient privileges to run:\n{ddl};\nGRANT \
                 SELECT, INSERT, DELETE ON {name} TO {user};\nThe server reported",
                name = self.ledger.quoted(),
                ddl = ddl.trim_end(),
                user = crate::sql::quote(self.options().connect.get_username()),
            )),
            _ => error.with_context(format!("creating table {}", self.ledger.quoted())),
        })
    }

    pub(super) async fn has_ledger(&self, connection: &mut PostgresConnection) -> Result<bool> {
        let found = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(self.ledger.quoted());
        let (pid, conn) = connection.parts();
        let found = self.answer(pid, "SELECT", found.fetch_one(conn)).await;
        found.map_err(|error| error.with_context("looking up the ledger table"))
    }
}
