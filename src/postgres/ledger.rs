//! The ledger in a PostgreSQL database.

use async_trait::async_trait;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row as _};

use super::Postgres;
use crate::error::Result;
use crate::log::ledger::{CHECKPOINT, DECIDE, FORGET, LAST_EPOCH, Row, STANDING, TABLE, signed, unsigned};
use crate::xa::{DecisionLog, DecisionRecord, Epoch, JobId, JobState};

const DDL: &str = include_str!("../../sql/ledger/postgres.sql");

/// Two sessions that create the same table at once would fail; the second waits for the first.
const CREATE_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('landfall_ledger', 0))";

#[async_trait]
impl DecisionLog for Postgres {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        let mut connection = self.connect().await?;
        self.execute(&mut connection, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE".into()).await?;
        let stands = self.decide_in(&mut connection, &proposal).await?;
        self.execute(&mut connection, "COMMIT".into()).await.map_err(|error| error.with_context(WRITING))?;
        self.close(connection).await;
        Ok(stands)
    }

    async fn read(&self, job: &JobId) -> Result<JobState> {
        let mut connection = self.connect().await?;
        let mut state = JobState { last_epoch: None, checkpoint: None };
        if self.has_ledger(&mut connection).await? {
            let error = |error| self.error(error).with_context("reading the ledger");
            let last = sqlx::query_scalar::<_, Option<i64>>(LAST_EPOCH).bind(job.as_str());
            let last = last.fetch_one(&mut connection).await.map_err(error)?;
            let found = sqlx::query(CHECKPOINT).bind(job.as_str()).fetch_optional(&mut connection).await;
            let checkpoint = found.and_then(|row| row.as_ref().map(read_row).transpose()).map_err(error)?;
            state.last_epoch = last.map(unsigned).transpose()?.map(Epoch);
            state.checkpoint = checkpoint.map(|row| row.into_record(job)).transpose()?;
        }
        self.close(connection).await;
        Ok(state)
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        let mut connection = self.connect().await?;
        let forget = sqlx::query(FORGET).bind(job.as_str()).bind(signed(before.0)?);
        forget.execute(&mut connection).await.map_err(|error| self.error(error).with_context("cleaning the ledger"))?;
        self.close(connection).await;
        Ok(())
    }
}

const WRITING: &str = "writing the ledger";

impl Postgres {
    /// Proposes a record inside an open transaction and returns the one that stands.
    pub(super) async fn decide_in(
        &self,
        connection: &mut PgConnection,
        proposal: &DecisionRecord,
    ) -> Result<DecisionRecord> {
        if !self.has_ledger(connection).await? {
            let creating = "creating the table landfall_ledger, which remembers jobs (who may create it can run \
                            sql/ledger/postgres.sql once, and GRANT SELECT, INSERT, DELETE on it)";
            let created = self.execute(connection, format!("{CREATE_LOCK}; {DDL}")).await;
            created.map_err(|error| error.with_context(creating))?;
        }
        let (job, epoch, rows) = (proposal.job.as_str(), signed(proposal.epoch.0)?, signed(proposal.rows)?);
        let decide = async {
            let decide = sqlx::query(DECIDE)
                .bind(job)
                .bind(epoch)
                .bind(&proposal.gtrid)
                .bind(proposal.decision.as_str())
                .bind(rows)
                .bind(proposal.positions.to_token());
            decide.execute(&mut *connection).await?;
            read_row(&sqlx::query(STANDING).bind(job).bind(epoch).fetch_one(&mut *connection).await?)
        };
        decide.await.map_err(|error| self.error(error).with_context(WRITING))?.into_record(&proposal.job)
    }

    async fn has_ledger(&self, connection: &mut PgConnection) -> Result<bool> {
        let found = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(TABLE).fetch_one(connection).await;
        found.map_err(|error| self.error(error).with_context("looking for the ledger"))
    }

    /// Ends a connection that has nothing open.
    pub(super) async fn close(&self, connection: PgConnection) {
        // What was to be done is done; how the goodbye goes does not matter.
        let _ = connection.close().await;
    }
}

fn read_row(row: &PgRow) -> sqlx::Result<Row> {
    Ok(Row {
        epoch: row.try_get(0)?,
        gtrid: row.try_get(1)?,
        decision: row.try_get(2)?,
        rows: row.try_get(3)?,
        positions: row.try_get(4)?,
    })
}
