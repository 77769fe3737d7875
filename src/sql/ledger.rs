//! The ledger: a decision log that is a table of the database itself. This file contains its statements; the definitions of
//! the table are in `sql/ledger/`.

use crate::backend::Parameter;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::connection::{number, text};
use crate::sql::{SqlConnection, TableName, TextRow};
use crate::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobEntry, JobId, JobState, Positions};

/// The ledger's table, unless the option `ledger_table` names another.
const TABLE: &str = "landfall_ledger";

/// The statements of a database for its ledger, with `$n` for parameters.
#[derive(Debug)]
pub struct LedgerDialect {
    /// The placeholders of parameters.
    pub placeholders: Placeholders,
    /// Job, epoch, gtrid, decision, rows, positions: inserts the record unless the job has one for this epoch or a later
    /// one. It waits for a record that another transaction is about to commit. An existing record of the same epoch
    /// changes nothing, or is an error of the kind `Constraint`.
    pub decide: &'static str,
    /// Job, epoch: `1` if the job has a later record, otherwise `0` or no row.
    pub later: &'static str,
    /// Job, epoch: the record of this epoch, or of the next later one.
    pub standing: &'static str,
    /// The records of all jobs, ordered by job and epoch.
    pub jobs: &'static str,
    /// Job, epoch: removes the records before that epoch, except the last record and the last commit.
    pub forget: &'static str,
}

/// The placeholders of parameters in a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholders {
    /// `$1`, `$2` …, each possibly several times.
    Numbered,
    /// `?`, in order.
    Positional,
}

/// The statements of a database that supports `ON CONFLICT`, and DELETE with a subquery on the same table.
pub const STANDARD: LedgerDialect = LedgerDialect {
    placeholders: Placeholders::Numbered,
    decide: "INSERT INTO landfall_ledger (job, epoch, gtrid, decision, \"rows\", positions) SELECT $1, $2, $3, $4, $5, $6 \
             WHERE NOT EXISTS (SELECT 1 FROM landfall_ledger WHERE job = $1 AND epoch >= $2) ON CONFLICT DO NOTHING",
    later: LATER,
    standing: STANDING,
    jobs: "SELECT job, epoch, gtrid, decision, \"rows\", positions, CAST(decided_at AS text) FROM landfall_ledger \
           ORDER BY job, epoch",
    forget: "DELETE FROM landfall_ledger WHERE job = $1 AND epoch < $2 \
             AND epoch < (SELECT max(epoch) FROM landfall_ledger WHERE job = $1) \
             AND epoch NOT IN (SELECT max(epoch) FROM landfall_ledger WHERE job = $1 AND decision = 'commit')",
};

/// [`LedgerDialect::later`] of a database that selects without a table.
pub const LATER: &str = "SELECT EXISTS (SELECT 1 FROM landfall_ledger WHERE job = $1 AND epoch > $2)";

/// Job, epoch: removes the record that the same transaction has inserted.
const UNDO: &str = "DELETE FROM landfall_ledger WHERE job = $1 AND epoch = $2";

/// [`LedgerDialect::standing`] of a database that supports LIMIT.
pub const STANDING: &str = "SELECT job, epoch, gtrid, decision, \"rows\", positions, '' FROM landfall_ledger \
     WHERE job = $1 AND epoch >= $2 ORDER BY epoch LIMIT 1";

/// Job: its records.
const READ: &str =
    "SELECT job, epoch, gtrid, decision, \"rows\", positions, '' FROM landfall_ledger WHERE job = $1 ORDER BY epoch";

/// Job: removes all its records.
const REMOVE: &str = "DELETE FROM landfall_ledger WHERE job = $1";

/// The operation in errors of writing a decision.
pub const WRITING: &str = "writing the ledger table (the option 'ledger_table' selects another table)";

/// The ledger table, and its dialect.
#[derive(Debug, Clone)]
pub struct Ledger {
    name: TableName,
    is_default: bool,
    dialect: &'static LedgerDialect,
}

impl Ledger {
    /// The table that the option `ledger_table` names.
    ///
    /// # Errors
    /// `Config` for an invalid table name.
    pub fn try_new(option: Option<&str>, dialect: &'static LedgerDialect) -> Result<Self> {
        Ok(Self { name: TableName::try_parse(option.unwrap_or(TABLE))?, is_default: option.is_none(), dialect })
    }

    /// A statement for the default table, changed to this table.
    pub fn sql(&self, statement: &str) -> String {
        if self.is_default { statement.to_owned() } else { statement.replace(TABLE, &self.name.quoted()) }
    }

    /// Its name in SQL.
    pub fn quoted(&self) -> String {
        if self.is_default { TABLE.to_owned() } else { self.name.quoted() }
    }

    /// Its name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// The value of `--ledger-table` for `landfall recover`; `None` for the default table.
    pub fn argument(&self) -> Option<String> {
        (!self.is_default).then(|| self.name.to_string())
    }

    /// Proposes a record inside an open transaction and returns the one that stands.
    ///
    /// # Errors
    /// Errors of the database.
    pub async fn decide(
        &self,
        connection: &mut dyn SqlConnection,
        proposal: &DecisionRecord,
    ) -> Result<DecisionRecord> {
        let of_ledger = |error: Error| error.with_context(WRITING);
        let job = || Parameter::Text(proposal.job.as_str().to_owned());
        let epoch = Parameter::Integer(signed(proposal.epoch.0)?);
        let of_epoch = [job(), epoch.clone()];
        let values = [
            job(),
            epoch,
            Parameter::Text(proposal.gtrid.to_string()),
            Parameter::Text(proposal.decision.as_str().to_owned()),
            Parameter::Integer(signed(proposal.rows)?),
            Parameter::Text(proposal.positions.to_token()),
        ];
        let (is_new, refused) = match self.execute(connection, self.dialect.decide, &values).await {
            Ok(changed) => (changed > 0, None),
            // Another transaction committed a record while this one waited. The query below returns it.
            Err(error) if error.kind() == ErrorKind::Constraint => (false, Some(of_ledger(error))),
            Err(error) => return Err(of_ledger(error)),
        };
        if is_new {
            // It may have waited for a record that was removed in the meantime. Only a new statement sees a later record.
            let later = self.query(connection, self.dialect.later, &of_epoch).await.map_err(of_ledger)?;
            if later.first().is_some_and(|row| text(row, 0) == "1") {
                self.execute(connection, UNDO, &of_epoch).await.map_err(of_ledger)?;
            }
        }
        match (self.query(connection, self.dialect.standing, &of_epoch).await, refused) {
            (Ok(standing), refused) => match (standing.first(), refused) {
                (Some(row), _) => record(row),
                (None, Some(refused)) => Err(refused),
                (None, None) => Err(Error::new(
                    ErrorKind::Database,
                    "the ledger table does not return a record that was just written: check whether the table has \
                     triggers or row-level security",
                )),
            },
            (Err(_), Some(refused)) => Err(refused),
            (Err(error), None) => Err(of_ledger(error)),
        }
    }

    /// The state of a job.
    ///
    /// # Errors
    /// Errors of the database. `Decode` for a row that Landfall has not written.
    pub async fn read(&self, connection: &mut dyn SqlConnection, job: &JobId) -> Result<JobState> {
        if !connection.has_ledger().await? {
            return Ok(JobState::default());
        }
        let rows = self.query(connection, READ, &[Parameter::Text(job.as_str().to_owned())]).await;
        let rows = rows.map_err(|error| error.with_context(READING))?;
        Ok(JobState::new(rows.iter().map(record).collect::<Result<_>>()?))
    }

    /// The states of all jobs.
    ///
    /// # Errors
    /// As for `read`.
    pub async fn jobs(&self, connection: &mut dyn SqlConnection) -> Result<Vec<JobEntry>> {
        if !connection.has_ledger().await? {
            return Ok(Vec::new());
        }
        let rows = self.query(connection, self.dialect.jobs, &[]).await;
        let rows = rows.map_err(|error| error.with_context(READING))?;
        let of_jobs = rows.chunk_by(|a, b| text(a, 0) == text(b, 0));
        let entry = |rows: &[TextRow]| {
            let records = rows.iter().map(record).collect::<Result<Vec<_>>>()?;
            let job = records.first().map(|first| first.job.clone());
            let decided_at = rows.iter().map(|row| text(row, 6).to_owned()).collect();
            let job = job.ok_or_else(|| Error::internal("a job has no records"))?;
            Ok(JobEntry { job, state: JobState::new(records), decided_at })
        };
        of_jobs.map(entry).collect()
    }

    /// Removes records of a job: old ones, like [`DecisionLog::forget`](crate::backend::DecisionLog::forget), or all of them
    /// if `before` is `None`.
    ///
    /// # Errors
    /// Errors of the database.
    pub async fn clean(&self, connection: &mut dyn SqlConnection, job: &JobId, before: Option<Epoch>) -> Result<()> {
        if !connection.has_ledger().await? {
            return Ok(());
        }
        let job = Parameter::Text(job.as_str().to_owned());
        let cleaned = match before {
            Some(before) => {
                let values = [job, Parameter::Integer(signed(before.0)?)];
                self.execute(connection, self.dialect.forget, &values).await
            }
            None => self.execute(connection, REMOVE, &[job]).await,
        };
        cleaned.map(drop).map_err(|error| error.with_context("removing records from the ledger"))
    }

    async fn execute(&self, connection: &mut dyn SqlConnection, sql: &str, values: &[Parameter]) -> Result<u64> {
        let (sql, values) = self.statement(sql, values);
        connection.execute(&sql, &values).await
    }

    async fn query(&self, connection: &mut dyn SqlConnection, sql: &str, values: &[Parameter]) -> Result<Vec<TextRow>> {
        let (sql, values) = self.statement(sql, values);
        connection.query(&sql, &values).await
    }

    /// A statement for this table, and its parameters in the order of its placeholders.
    fn statement(&self, sql: &str, values: &[Parameter]) -> (String, Vec<Parameter>) {
        match self.dialect.placeholders {
            Placeholders::Numbered => (self.sql(sql), values.to_vec()),
            Placeholders::Positional => {
                let (mut written, mut placed, mut rest) = (String::new(), Vec::new(), sql);
                while let Some((before, behind)) = rest.split_once('$') {
                    let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
                    let value =
                        behind[..digits].parse::<usize>().ok().and_then(|number| values.get(number.checked_sub(1)?));
                    written += before;
                    written += if value.is_some() { "?" } else { "$" };
                    placed.extend(value.cloned());
                    rest = if value.is_some() { &behind[digits..] } else { behind };
                }
                written += rest;
                (self.sql(&written), placed)
            }
        }
    }
}

const READING: &str = "reading the ledger";

/// Parses the record of a row: job, epoch, gtrid, decision, rows, positions.
fn record(row: &TextRow) -> Result<DecisionRecord> {
    let gtrid = Gtrid::parse(text(row, 2));
    Ok(DecisionRecord {
        job: JobId::try_new(text(row, 0))?,
        epoch: Epoch(unsigned("epoch number", number(row, 1)?)?),
        gtrid: gtrid.ok_or_else(|| {
            Error::new(ErrorKind::Decode, format!("the ledger contains an invalid gtrid: '{}'", text(row, 2)))
        })?,
        decision: Decision::try_parse(text(row, 3))?,
        rows: unsigned("number of rows", number(row, 4)?)?,
        positions: Positions::try_parse(text(row, 5))?,
    })
}

/// A count from the ledger.
fn unsigned(what: &str, value: i64) -> Result<u64> {
    u64::try_from(value)
        .map_err(|_| Error::new(ErrorKind::Decode, format!("the ledger contains an invalid {what}: {value}")))
}

/// A count for the ledger.
fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::internal(format!("{value} is out of range for the ledger")))
}
