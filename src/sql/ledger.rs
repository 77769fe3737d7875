//! The ledger: a decision log that is a table of the database itself. Its statements, with `$n` for parameters; the
//! table is in `sql/ledger/`.

use crate::error::{Error, ErrorKind, Result};
use crate::sql::TableName;
use crate::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobEntry, JobId, JobState, Positions};

/// The ledger's table, unless the option `ledger_table` names another.
const TABLE: &str = "landfall_ledger";

/// Job, epoch, gtrid, decision, rows, positions: takes the record unless the job has one for this epoch or a later;
/// one that another transaction is about to commit is waited for.
pub const DECIDE: &str = "INSERT INTO landfall_ledger (job, epoch, gtrid, decision, \"rows\", positions) \
     SELECT $1, $2, $3, $4, $5, $6 \
     WHERE NOT EXISTS (SELECT 1 FROM landfall_ledger WHERE job = $1 AND epoch >= $2) ON CONFLICT DO NOTHING";

/// Job, epoch: whether the job has a later record.
pub const LATER: &str = "SELECT EXISTS (SELECT 1 FROM landfall_ledger WHERE job = $1 AND epoch > $2)";

/// Job, epoch: takes back what the same transaction has put there.
pub const UNDO: &str = "DELETE FROM landfall_ledger WHERE job = $1 AND epoch = $2";

/// Job, epoch: the record that stands in the way of, or for, this epoch.
pub const STANDING: &str = "SELECT job, epoch, gtrid, decision, \"rows\", positions, '' FROM landfall_ledger \
     WHERE job = $1 AND epoch >= $2 ORDER BY epoch LIMIT 1";

/// Job: its records.
pub const READ: &str =
    "SELECT job, epoch, gtrid, decision, \"rows\", positions, '' FROM landfall_ledger WHERE job = $1 ORDER BY epoch";

/// The records of all jobs.
pub const JOBS: &str = "SELECT job, epoch, gtrid, decision, \"rows\", positions, CAST(decided_at AS text) \
     FROM landfall_ledger ORDER BY job, epoch";

/// Job, epoch: removes what is older than that epoch, but for the last record and the last commit.
pub const FORGET: &str = "DELETE FROM landfall_ledger WHERE job = $1 AND epoch < $2 \
     AND epoch < (SELECT max(epoch) FROM landfall_ledger WHERE job = $1) \
     AND epoch NOT IN (SELECT max(epoch) FROM landfall_ledger WHERE job = $1 AND decision = 'commit')";

/// Job: removes all its records.
pub const REMOVE: &str = "DELETE FROM landfall_ledger WHERE job = $1";

/// Which table the ledger is.
#[derive(Debug, Clone)]
pub struct Ledger {
    name: TableName,
    is_default: bool,
}

impl Ledger {
    /// The table that the option `ledger_table` names.
    pub fn try_new(option: Option<&str>) -> Result<Self> {
        Ok(Self { name: TableName::try_parse(option.unwrap_or(TABLE))?, is_default: option.is_none() })
    }

    /// A statement of this module, or DDL, for this table.
    pub fn sql(&self, statement: &str) -> String {
        if self.is_default { statement.to_owned() } else { statement.replace(TABLE, &self.name.quoted()) }
    }

    /// Its name, as SQL has it.
    pub fn quoted(&self) -> String {
        if self.is_default { TABLE.to_owned() } else { self.name.quoted() }
    }

    /// Its name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// What `landfall recover` needs to be told of it.
    pub fn argument(&self) -> Option<String> {
        (!self.is_default).then(|| self.name.to_string())
    }
}

/// A record as the ledger has it.
#[derive(Debug)]
pub struct Row {
    /// The job.
    pub job: String,
    /// The epoch.
    pub epoch: i64,
    /// The global transaction.
    pub gtrid: String,
    /// `commit` or `abort`.
    pub decision: String,
    /// Rows of the epoch.
    pub rows: i64,
    /// What it wrote, and how far it reaches: a JSON object.
    pub positions: String,
    /// When it was decided, where that was asked for.
    pub decided_at: String,
}

impl Row {
    /// The record.
    ///
    /// # Errors
    /// `Decode` where the row is none that Landfall wrote.
    pub fn into_record(self) -> Result<DecisionRecord> {
        let gtrid = Gtrid::parse(&self.gtrid);
        Ok(DecisionRecord {
            job: JobId::try_new(&self.job)?,
            epoch: Epoch(unsigned(self.epoch)?),
            gtrid: gtrid
                .ok_or_else(|| Error::new(ErrorKind::Decode, format!("the ledger has the gtrid '{}'", self.gtrid)))?,
            decision: Decision::try_parse(&self.decision)?,
            rows: unsigned(self.rows)?,
            positions: Positions::try_parse(&self.positions)?,
        })
    }
}

/// The state that the rows of one job make.
pub fn state(rows: Vec<Row>) -> Result<JobState> {
    Ok(JobState::new(rows.into_iter().map(Row::into_record).collect::<Result<_>>()?))
}

/// The jobs that rows make, which are sorted by job.
pub fn jobs(rows: Vec<Row>) -> Result<Vec<JobEntry>> {
    let mut jobs: Vec<(String, Vec<Row>)> = Vec::new();
    for row in rows {
        match jobs.last_mut() {
            Some((job, of_job)) if *job == row.job => of_job.push(row),
            _ => jobs.push((row.job.clone(), vec![row])),
        }
    }
    let entry = |(job, rows): (String, Vec<Row>)| {
        let decided_at = rows.iter().map(|row| row.decided_at.clone()).collect();
        Ok(JobEntry { job: JobId::try_new(&job)?, state: state(rows)?, decided_at })
    };
    jobs.into_iter().map(entry).collect()
}

/// A count of the ledger.
fn unsigned(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| Error::new(ErrorKind::Decode, format!("the ledger has the number {value}")))
}

/// A count for the ledger.
pub fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::internal(format!("{value} does not fit the ledger")))
}
