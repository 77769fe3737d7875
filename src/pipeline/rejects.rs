//! The rows of an epoch that are set aside because they cannot be stored.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use crossbeam_queue::SegQueue;

use super::reject_table::{Reject, RejectTable};
use super::write::Write;
use crate::backend::WriteStats;
use crate::buffer::Memory;
use crate::columnar::json;
use crate::error::{Error, ErrorKind, Result};
use crate::manager::{EpochExtent, Member};
use crate::options::RejectLimit;
use crate::txn::JobId;

/// The class of a row that was not sent to the database.
const NOT_ENCODED: &str = "encode";

/// The number of reasons in an error.
const REASONS: usize = 3;

/// The maximum number of characters of a row in an error.
const SHOWN: usize = 200;

/// The rejected rows of an epoch. All of its writers add to them.
pub(super) struct Rejects {
    limit: RejectLimit,
    /// The table that the rows were written to.
    of: String,
    job: Option<JobId>,
    table: Arc<RejectTable>,
    stats: Arc<WriteStats>,
    /// The number of rejected rows of committed epochs, of earlier runs, too.
    before: Arc<AtomicU64>,
    rows: SegQueue<Reject>,
    count: AtomicU64,
    /// The first reasons.
    reasons: [OnceLock<String>; REASONS],
}

impl fmt::Debug for Rejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rejects({} rows of table {})", self.count.load(Relaxed), self.of)
    }
}

impl Rejects {
    /// Those of an epoch of a write. `before` is the number of rejected rows of committed epochs.
    pub(super) fn of(write: &Write, table: &Arc<RejectTable>, before: &Arc<AtomicU64>) -> Self {
        Self {
            limit: table.limit(),
            of: write.name.clone(),
            job: write.job.clone(),
            table: Arc::clone(table),
            stats: write.targets.first().map(|target| Arc::clone(&target.spec.stats)).unwrap_or_default(),
            before: Arc::clone(before),
            rows: SegQueue::new(),
            count: AtomicU64::new(0),
            reasons: Default::default(),
        }
    }

    /// Those of a test, which are not stored.
    #[cfg(test)]
    pub(super) fn unlimited() -> Self {
        Self {
            limit: RejectLimit::Rows(u64::MAX),
            of: "t".into(),
            job: None,
            table: Arc::new(RejectTable::empty()),
            stats: Arc::default(),
            before: Arc::default(),
            rows: SegQueue::new(),
            count: AtomicU64::new(0),
            reasons: Default::default(),
        }
    }

    /// The number of rejected rows.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// The memory of the rows.
    pub(super) fn memory(&self) -> &Memory {
        self.stats.memory()
    }

    /// Sets a row aside, the only one of its batch.
    ///
    /// # Errors
    /// The first reasons, if too many rows are rejected.
    pub(super) fn add(&self, row: &RecordBatch, error: Error) -> Result<()> {
        let column = error.column().or_else(|| error.value()?.0);
        let (kind, column) = (error.kind(), column.map(str::to_owned));
        let class = error.code().unwrap_or(NOT_ENCODED).to_owned();
        let (row, message) = (json::object(row, 0), error.without_rows().to_string());
        let count = self.count.fetch_add(1, Relaxed);
        if let Some(reason) = usize::try_from(count).ok().and_then(|count| self.reasons.get(count)) {
            // Another row cannot have the same number.
            let _ = reason.set(format!("{}: {message}", shortened(&row)));
        }
        let memory = self.stats.memory().reserve_now(size_of::<Reject>() + row.len() + message.len());
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        self.rows.push(Reject { row, column, class, message, at, memory });
        let rejected = self.before.load(Relaxed) + count + 1;
        // A share is of all rows of the epoch.
        match self.limit {
            RejectLimit::Rows(_) if self.limit.is_exceeded(rejected, rejected) => Err(self.exceeded(kind, rejected)),
            _ => Ok(()),
        }
    }

    /// Stores the rejected rows of a written epoch in the transaction of its first branch. Returns the branches, and the number
    /// of rejected rows up to the end of the epoch.
    ///
    /// # Errors
    /// If too many rows are rejected, or they cannot be stored. All branches were rolled back.
    pub(super) async fn store(&self, mut members: Vec<Member>, extent: &EpochExtent) -> Result<(Vec<Member>, u64)> {
        let count = self.count.load(Relaxed);
        let rejected = self.before.load(Relaxed) + count;
        let stored = async {
            if self.limit.is_exceeded(rejected, extent.before + extent.rows) {
                return Err(self.exceeded(ErrorKind::Constraint, rejected));
            }
            if count == 0 {
                return Ok(None);
            }
            if members.is_empty() {
                return Err(Error::internal("rows were rejected without a branch"));
            }
            let first = members.remove(0);
            let rows = std::iter::from_fn(|| self.rows.pop()).collect();
            self.table.store(first, &self.of, self.job.as_ref(), rows).await.map(Some)
        };
        match stored.await {
            Ok(first) => {
                self.stats.add_rejected(count);
                members.splice(0..0, first);
                Ok((members, rejected))
            }
            Err(error) => {
                let rolled_back = members.into_iter().map(|member| member.branch.rollback());
                futures::future::join_all(rolled_back).await;
                Err(error)
            }
        }
    }

    fn exceeded(&self, kind: ErrorKind, rejected: u64) -> Error {
        let reasons: Vec<_> = self.reasons.iter().filter_map(OnceLock::get).map(String::as_str).collect();
        let text = format!(
            "table {}: {rejected} rejected {} more than the option 'reject.max' allows ({}): correct the rows, or increase \
             the limit. The first reasons: {}",
            self.of,
            if rejected == 1 { "row is" } else { "rows are" },
            self.limit,
            reasons.join("; ")
        );
        Error::new(kind, text)
    }
}

/// The first characters of a row.
fn shortened(row: &str) -> String {
    match row.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &row[..end]),
        None => row.to_owned(),
    }
}
