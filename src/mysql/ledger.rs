//! The ledger in a MySQL database.

use async_trait::async_trait;

use super::connection::Statements;
use super::connector::MySqlConnection;
use super::database::MySql;
use super::row::text;
use crate::backend::{DecisionLog, failpoint::failpoint};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::TableName;
use crate::sql::ledger::WRITING;
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

const DDL: &str = include_str!("../../sql/ledger/mysql.sql");

#[async_trait]
impl DecisionLog for MySql {
    async fn decide(&self, proposal: DecisionRecord) -> Result<DecisionRecord> {
        let mut connection = self.pool.acquire_to_end().await?;
        self.execute(&mut connection, "START TRANSACTION READ WRITE").await?;
        let stands = self.decide_in(&mut connection, &proposal).await?;
        failpoint("ledger.decide.before");
        self.execute(&mut connection, "COMMIT").await.map_err(|error| error.with_context(WRITING))?;
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

impl MySql {
    /// Proposes a record inside an open transaction and returns the one that stands.
    pub(super) async fn decide_in(
        &self,
        connection: &mut MySqlConnection,
        proposal: &DecisionRecord,
    ) -> Result<DecisionRecord> {
        if !self.has_ledger(connection).await? {
            // DDL would commit the open transaction.
            let mut other = self.pool.acquire_to_end().await?;
            self.create_ledger(&mut other).await?;
            other.give_back();
        }
        self.ledger.decide(&mut self.statements(connection), proposal).await
    }

    /// Runs statements in a connection.
    pub(super) fn statements<'a>(&'a self, session: &'a mut MySqlConnection) -> Statements<'a> {
        Statements { database: self, session }
    }

    async fn clean_ledger(&self, job: &JobId, before: Option<Epoch>) -> Result<()> {
        let mut connection = self.connect().await?;
        self.ledger.clean(&mut self.statements(&mut connection), job, before).await?;
        connection.give_back();
        Ok(())
    }

    async fn create_ledger(&self, connection: &mut MySqlConnection) -> Result<()> {
        let ddl = self.ledger.sql(DDL);
        let created = self.execute(connection, &ddl).await;
        created.map(drop).map_err(|error| match error.kind() {
            ErrorKind::Access | ErrorKind::Database => error.with_context(format!(
                "creating the ledger table {name}, which stores jobs and commit decisions; name an existing ledger \
                 table with the option 'ledger_table', or ask a user with sufficient privileges to run:\nSET sql_mode \
                 = 'ANSI_QUOTES';\n{ddl};\nGRANT SELECT, INSERT, DELETE ON {name} TO {user};\nThe server reported",
                name = self.ledger.quoted(),
                ddl = ddl.trim_end(),
                user = self.options().user,
            )),
            _ => error.with_context(format!("creating table {}", self.ledger.quoted())),
        })
    }

    pub(super) async fn has_ledger(&self, connection: &mut MySqlConnection) -> Result<bool> {
        const FIND: &str = "SELECT t.ENGINE, e.TRANSACTIONS FROM information_schema.TABLES t \
             LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
             WHERE t.TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND t.TABLE_NAME = ?";
        let TableName { schema, table } = self.ledger.name();
        let place = vec![schema.as_deref().unwrap_or_default().into(), table.as_str().into()];
        let found = self.rows(connection, FIND, place).await;
        let found = found.map_err(|error| error.with_context("looking up the ledger table"))?;
        let Some(found) = found.first() else { return Ok(false) };
        if text(found, 1)? != "YES" {
            let (name, engine) = (self.ledger.quoted(), text(found, 0)?);
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the ledger table {name} uses the storage engine {engine}, which is not transactional, so a record \
                     could be stored without its rows: run ALTER TABLE {name} ENGINE = InnoDB"
                ),
            ));
        }
        Ok(true)
    }
}
