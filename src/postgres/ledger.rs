//! The ledger in a PostgreSQL database.

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::database::{BEGIN, Postgres};
use crate::backend::{DecisionLog, failpoint::failpoint};
use crate::error::{ErrorKind, Result};
use crate::sql::ledger::{self, DECIDE, FORGET, JOBS, LATER, READ, REMOVE, Row, STANDING, UNDO, signed};
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

const DDL: &str = include_str!("../../sql/ledger/postgres.sql");

/// Two sessions that create the same table at once would fail; the second waits for the first.
const CREATE_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('landfall_ledger', 0))";

/// A decision that others act on must be durable when it is answered, whatever the role's settings are.
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
        ledger::state(self.read_ledger(READ, Some(job)).await?)
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        ledger::jobs(self.read_ledger(JOBS, None).await?)
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        self.clean_ledger(FORGET, job, Some(before)).await
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        self.clean_ledger(REMOVE, job, None).await
    }

    fn url(&self) -> String {
        // With what finds the ledger: the command that a message has must work as it is.
        self.options().url()
    }

    fn ledger_table(&self) -> Option<String> {
        self.ledger.argument()
    }
}

const WRITING: &str = "writing the ledger (the option 'ledger_table' names another one)";

impl Postgres {
    /// Proposes a record inside an open transaction and returns the one that stands.
    pub(super) async fn decide_in(
        &self,
        connection: &mut PgConnection,
        proposal: &DecisionRecord,
    ) -> Result<DecisionRecord> {
        self.execute(connection, DURABLE.into()).await?;
        if !self.has_ledger(connection).await? {
            self.create_ledger(connection).await?;
        }
        let (job, epoch, rows) = (proposal.job.as_str(), signed(proposal.epoch.0)?, signed(proposal.rows)?);
        let decide = async {
            let [decide, later, undo, standing] = [DECIDE, LATER, UNDO, STANDING].map(|sql| self.ledger.sql(sql));
            let decide = sqlx::query(sqlx::AssertSqlSafe(decide))
                .bind(job)
                .bind(epoch)
                .bind(proposal.gtrid.to_string())
                .bind(proposal.decision.as_str())
                .bind(rows)
                .bind(proposal.positions.to_token());
            if decide.execute(&mut *connection).await?.rows_affected() > 0 {
                // It may have waited for one that was forgotten meanwhile: a later one shows only to a new statement.
                let later = sqlx::query_scalar(sqlx::AssertSqlSafe(later)).bind(job).bind(epoch);
                if later.fetch_one(&mut *connection).await? {
                    sqlx::query(sqlx::AssertSqlSafe(undo)).bind(job).bind(epoch).execute(&mut *connection).await?;
                }
            }
            let standing = sqlx::query(sqlx::AssertSqlSafe(standing)).bind(job).bind(epoch);
            read_row(&standing.fetch_one(&mut *connection).await?)
        };
        decide.await.map_err(|error| self.error(error).with_context(WRITING))?.into_record()
    }

    async fn create_ledger(&self, connection: &mut PgConnection) -> Result<()> {
        let ddl = self.ledger.sql(DDL);
        let created = self.execute(connection, format!("{CREATE_LOCK}; {ddl}")).await;
        created.map(drop).map_err(|error| match error.kind() {
            // 3F000: there is no schema to create it in.
            ErrorKind::Access | ErrorKind::Database => error.with_context(format!(
                "creating the table {name}, which remembers jobs and decisions; name one that is there with the option \
                 'ledger_table', or ask who may create it to run:\n{ddl};\nGRANT SELECT, INSERT, DELETE ON {name} TO \
                 {user};\nThe server says",
                name = self.ledger.quoted(),
                ddl = ddl.trim_end(),
                user = crate::sql::quote(self.options().connect.get_username()),
            )),
            _ => error.with_context(format!("creating the table {}", self.ledger.quoted())),
        })
    }

    async fn has_ledger(&self, connection: &mut PgConnection) -> Result<bool> {
        let found = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(self.ledger.quoted());
        let found = found.fetch_one(connection).await;
        found.map_err(|error| self.error(error).with_context("looking for the ledger"))
    }

    async fn read_ledger(&self, sql: &str, job: Option<&JobId>) -> Result<Vec<Row>> {
        let mut connection = self.connect().await?;
        let mut rows = Vec::new();
        if self.has_ledger(&mut connection).await? {
            let mut read = sqlx::query(sqlx::AssertSqlSafe(self.ledger.sql(sql)));
            if let Some(job) = job {
                read = read.bind(job.as_str());
            }
            let read = read.fetch_all(&mut *connection).await;
            let read = read.and_then(|rows| rows.iter().map(read_row).collect());
            rows = read.map_err(|error| self.error(error).with_context("reading the ledger"))?;
        }
        connection.give_back();
        Ok(rows)
    }

    async fn clean_ledger(&self, sql: &str, job: &JobId, before: Option<Epoch>) -> Result<()> {
        // Nobody acts on what is not there any more: this one need not wait for the disk.
        let mut connection = self.begin(self.connect().await?, "BEGIN; SET LOCAL synchronous_commit = off").await?;
        if self.has_ledger(&mut connection).await? {
            let mut clean = sqlx::query(sqlx::AssertSqlSafe(self.ledger.sql(sql))).bind(job.as_str());
            if let Some(before) = before {
                clean = clean.bind(signed(before.0)?);
            }
            let cleaned = clean.execute(&mut *connection).await;
            cleaned.map_err(|error| self.error(error).with_context("cleaning the ledger"))?;
        }
        self.execute(&mut connection, "COMMIT".into()).await?;
        connection.give_back();
        Ok(())
    }
}

fn read_row(row: &PgRow) -> sqlx::Result<Row> {
    Ok(Row {
        job: row.try_get(0)?,
        epoch: row.try_get(1)?,
        gtrid: row.try_get(2)?,
        decision: row.try_get(3)?,
        rows: row.try_get(4)?,
        positions: row.try_get(5)?,
        decided_at: row.try_get(6)?,
    })
}
