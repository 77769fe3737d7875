//! The ledger in a MySQL database.

use async_trait::async_trait;
use mysql_async::Value;
use mysql_async::prelude::Queryable;

use super::connector::Session;
use super::database::MySql;
use super::error::DUP_ENTRY;
use super::row::text;
use crate::backend::{DecisionLog, failpoint::failpoint};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::TableName;
use crate::sql::ledger::{self, LATER, READ, REMOVE, Row, STANDING, UNDO, signed};
use crate::txn::{DecisionRecord, Epoch, JobEntry, JobId, JobState};

const DDL: &str = include_str!("../../sql/ledger/mysql.sql");

/// As [`ledger::DECIDE`]; a record of this very epoch is an error instead.
const DECIDE: &str = "INSERT INTO landfall_ledger (job, epoch, gtrid, decision, \"rows\", positions) \
     SELECT ?, ?, ?, ?, ?, ? FROM DUAL \
     WHERE NOT EXISTS (SELECT 1 FROM landfall_ledger WHERE job = ? AND epoch >= ?)";

/// As [`ledger::JOBS`].
const JOBS: &str = "SELECT job, epoch, gtrid, decision, \"rows\", positions, CAST(decided_at AS char) \
     FROM landfall_ledger ORDER BY job, epoch";

/// As [`ledger::FORGET`]; MySQL lets no statement read the table that it deletes from, unless through another one.
const FORGET: &str = "DELETE FROM landfall_ledger WHERE job = ? AND epoch < ? \
     AND epoch < (SELECT epoch FROM (SELECT max(epoch) AS epoch FROM landfall_ledger WHERE job = ?) AS last) \
     AND epoch NOT IN (SELECT epoch FROM (SELECT max(epoch) AS epoch FROM landfall_ledger \
         WHERE job = ? AND decision = 'commit') AS checkpoint)";

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
        ledger::state(self.read_ledger(READ, vec![job.as_str().into()]).await?)
    }

    async fn jobs(&self) -> Result<Vec<JobEntry>> {
        ledger::jobs(self.read_ledger(JOBS, Vec::new()).await?)
    }

    async fn forget(&self, job: &JobId, before: Epoch) -> Result<()> {
        let name = || Value::from(job.as_str());
        self.clean_ledger(FORGET, vec![name(), signed(before.0)?.into(), name(), name()]).await
    }

    async fn remove(&self, job: &JobId) -> Result<()> {
        self.clean_ledger(REMOVE, vec![job.as_str().into()]).await
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

impl MySql {
    /// A statement for this ledger, its parameters in the order in which they come.
    fn ledger_sql(&self, statement: &str) -> String {
        let statement = (1..=2).fold(statement.to_owned(), |sql, number| sql.replace(&format!("${number}"), "?"));
        self.ledger.sql(&statement)
    }

    /// Proposes a record inside an open transaction and returns the one that stands.
    pub(super) async fn decide_in(
        &self,
        connection: &mut Session,
        proposal: &DecisionRecord,
    ) -> Result<DecisionRecord> {
        let of_ledger = |error: Error| error.with_context(WRITING);
        if !self.has_ledger(connection).await? {
            // DDL would commit what is open.
            let mut other = self.pool.acquire_to_end().await?;
            self.create_ledger(&mut other).await?;
            other.give_back();
        }
        let (epoch, rows) = (signed(proposal.epoch.0)?, signed(proposal.rows)?);
        let job = || Value::from(proposal.job.as_str());
        let parameters = vec![
            job(),
            epoch.into(),
            proposal.gtrid.to_string().into(),
            proposal.decision.as_str().into(),
            rows.into(),
            proposal.positions.to_token().into(),
            job(),
            epoch.into(),
        ];
        let decided = connection.conn.exec_drop(self.ledger_sql(DECIDE), parameters).await;
        let is_new = match decided {
            Ok(()) => connection.conn.affected_rows() > 0,
            // Another transaction committed it while this one waited.
            Err(mysql_async::Error::Server(error)) if error.code == DUP_ENTRY => false,
            Err(error) => return Err(of_ledger(self.error(error))),
        };
        if is_new {
            // It may have waited for one that was forgotten meanwhile: a later one shows only to a new statement.
            let later = self.rows(connection, &self.ledger_sql(LATER), vec![job(), epoch.into()]).await;
            if text(later.map_err(of_ledger)?.first().ok_or_else(no_row)?, 0)? == "1" {
                let undone = self.rows(connection, &self.ledger_sql(UNDO), vec![job(), epoch.into()]).await;
                undone.map_err(of_ledger)?;
            }
        }
        let standing = self.rows(connection, &self.ledger_sql(STANDING), vec![job(), epoch.into()]).await;
        read_row(standing.map_err(of_ledger)?.first().ok_or_else(no_row)?)?.into_record()
    }

    async fn create_ledger(&self, connection: &mut Session) -> Result<()> {
        let ddl = self.ledger.sql(DDL);
        let created = self.execute(connection, &ddl).await;
        created.map(drop).map_err(|error| match error.kind() {
            ErrorKind::Access | ErrorKind::Database => error.with_context(format!(
                "creating the table {name}, which remembers jobs and decisions; name one that is there with the option \
                 'ledger_table', or ask who may create it to run:\nSET sql_mode = 'ANSI_QUOTES';\n{ddl};\nGRANT SELECT, \
                 INSERT, DELETE ON {name} TO {user};\nThe server says",
                name = self.ledger.quoted(),
                ddl = ddl.trim_end(),
                user = self.options().user,
            )),
            _ => error.with_context(format!("creating the table {}", self.ledger.quoted())),
        })
    }

    async fn has_ledger(&self, connection: &mut Session) -> Result<bool> {
        const FIND: &str = "SELECT t.ENGINE, e.TRANSACTIONS FROM information_schema.TABLES t \
             LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
             WHERE t.TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND t.TABLE_NAME = ?";
        let TableName { schema, table } = self.ledger.name();
        let place = vec![schema.as_deref().unwrap_or_default().into(), table.as_str().into()];
        let found = self.rows(connection, FIND, place).await;
        let found = found.map_err(|error| error.with_context("looking for the ledger"))?;
        let Some(found) = found.first() else { return Ok(false) };
        if text(found, 1)? != "YES" {
            let (name, engine) = (self.ledger.quoted(), text(found, 0)?);
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the ledger {name} is of the engine {engine}, which is not transactional, so that a record could \
                     stand without its rows: ALTER TABLE {name} ENGINE = InnoDB"
                ),
            ));
        }
        Ok(true)
    }

    async fn read_ledger(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>> {
        let mut connection = self.connect().await?;
        let mut rows = Vec::new();
        if self.has_ledger(&mut connection).await? {
            let read = self.rows(&mut connection, &self.ledger_sql(sql), parameters).await;
            let read = read.and_then(|rows| rows.iter().map(read_row).collect());
            rows = read.map_err(|error| error.with_context("reading the ledger"))?;
        }
        connection.give_back();
        Ok(rows)
    }

    async fn clean_ledger(&self, sql: &str, parameters: Vec<Value>) -> Result<()> {
        let mut connection = self.connect().await?;
        if self.has_ledger(&mut connection).await? {
            let cleaned = self.rows(&mut connection, &self.ledger_sql(sql), parameters).await;
            cleaned.map_err(|error| error.with_context("cleaning the ledger"))?;
        }
        connection.give_back();
        Ok(())
    }
}

fn no_row() -> Error {
    Error::new(ErrorKind::Database, "the ledger does not show what was written to it")
}

fn read_row(row: &mysql_async::Row) -> Result<Row> {
    let number = |index| {
        let text = text(row, index)?;
        text.parse::<i64>().map_err(|_| Error::new(ErrorKind::Decode, format!("the ledger has the number '{text}'")))
    };
    Ok(Row {
        job: text(row, 0)?,
        epoch: number(1)?,
        gtrid: text(row, 2)?,
        decision: text(row, 3)?,
        rows: number(4)?,
        positions: text(row, 5)?,
        decided_at: text(row, 6)?,
    })
}
