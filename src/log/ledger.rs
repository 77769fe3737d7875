//! The ledger: a decision log that is a table of the database itself. Its statements, with `$n` for parameters; the
//! table is in `sql/ledger/`.

use crate::error::{Error, ErrorKind, Result};
use crate::xa::{Decision, DecisionRecord, Epoch, JobId, Positions};

/// The ledger's table.
pub(crate) const TABLE: &str = "landfall_ledger";

/// Job, epoch, gtrid, decision, rows, positions: takes the record unless the job has one for this epoch or a later;
/// one that another transaction is about to commit is waited for.
pub(crate) const DECIDE: &str = "INSERT INTO landfall_ledger (job, epoch, gtrid, decision, rows, positions) \
     SELECT $1, $2, $3, $4, $5, $6 \
     WHERE NOT EXISTS (SELECT 1 FROM landfall_ledger WHERE job = $1 AND epoch >= $2) ON CONFLICT DO NOTHING";

/// Job, epoch: the record that stands in the way of, or for, this epoch.
pub(crate) const STANDING: &str = "SELECT epoch, gtrid, decision, rows, positions FROM landfall_ledger \
     WHERE job = $1 AND epoch >= $2 ORDER BY epoch LIMIT 1";

/// Job: its last epoch; one row, NULL where there is none.
pub(crate) const LAST_EPOCH: &str = "SELECT max(epoch) FROM landfall_ledger WHERE job = $1";

/// Job: the record of its last committed epoch.
pub(crate) const CHECKPOINT: &str = "SELECT epoch, gtrid, decision, rows, positions FROM landfall_ledger \
     WHERE job = $1 AND decision = 'commit' ORDER BY epoch DESC LIMIT 1";

/// Job, epoch: removes what is older than that epoch, but for the last record and the last commit.
pub(crate) const FORGET: &str = "DELETE FROM landfall_ledger WHERE job = $1 AND epoch < $2 \
     AND epoch < (SELECT max(epoch) FROM landfall_ledger WHERE job = $1) \
     AND epoch NOT IN (SELECT max(epoch) FROM landfall_ledger WHERE job = $1 AND decision = 'commit')";

/// A record as the ledger has it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) epoch: i64,
    pub(crate) gtrid: String,
    pub(crate) decision: String,
    pub(crate) rows: i64,
    pub(crate) positions: String,
}

impl Row {
    pub(crate) fn into_record(self, job: &JobId) -> Result<DecisionRecord> {
        Ok(DecisionRecord {
            job: job.clone(),
            epoch: Epoch(unsigned(self.epoch)?),
            gtrid: self.gtrid,
            decision: Decision::try_parse(&self.decision)?,
            rows: unsigned(self.rows)?,
            positions: Positions::try_parse(&self.positions)?,
        })
    }
}

/// A count of the ledger.
pub(crate) fn unsigned(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| Error::new(ErrorKind::Decode, format!("the ledger has the number {value}")))
}

/// A count for the ledger.
pub(crate) fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::internal(format!("{value} does not fit the ledger")))
}
