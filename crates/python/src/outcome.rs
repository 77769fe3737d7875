//! What a write did.

use pyo3::prelude::*;

use crate::statement::{Written, counted, sink};

/// The result of a statement that writes. A count that Landfall does not know is None.
#[pyclass(frozen, get_all, module = "landfall")]
#[derive(Debug)]
pub(crate) struct WriteResult {
    /// Rows that were written. An upsert that compares its rows with the existing ones counts the rows of its query.
    /// For a job that was already finished, the count is 0.
    rows: u64,
    /// Rows that were inserted, because they did not exist.
    inserted: Option<u64>,
    /// Existing rows that were changed.
    updated: Option<u64>,
    /// Existing rows that already had the new values, and were not written.
    unchanged: Option<u64>,
    /// Rows that were deleted.
    deleted: Option<u64>,
    /// Rows that could not be stored, and were written to the reject table.
    rejected: u64,
    /// Rows that earlier runs of the job committed: all rows, if the job was already finished.
    resumed: u64,
    /// The number of times that the statement was retried after a failure.
    retries: u64,
    /// How long the statement took, in seconds.
    seconds: f64,
}

impl WriteResult {
    /// `only_inserts` says that every row which was written was new.
    pub(crate) fn new(written: &Written, only_inserts: bool) -> Self {
        let Written { plan, rows, seconds } = written;
        let (mut inserted, mut updated, mut unchanged, mut deleted) = (None, None, None, None);
        if let Some(sink) = sink(plan) {
            let compared = sink.compared();
            match sink.changed() {
                Some(changed) if changed.other == 0 => {
                    inserted = Some(changed.inserted);
                    updated = Some(changed.updated);
                    deleted = Some(changed.deleted);
                }
                Some(_) => {}
                None if *rows > 0 && compared.rows() >= *rows => {
                    inserted = Some(compared.inserted);
                    updated = Some(compared.updated);
                    unchanged = Some(compared.unchanged);
                }
                None if only_inserts => {
                    inserted = Some(*rows);
                    updated = Some(0);
                    unchanged = Some(0);
                }
                None => {}
            }
        }
        Self {
            rows: *rows,
            inserted,
            updated,
            unchanged,
            deleted,
            rejected: counted(plan, "rejected"),
            resumed: counted(plan, "resumed"),
            retries: counted(plan, "retries"),
            seconds: *seconds,
        }
    }
}

#[pymethods]
impl WriteResult {
    fn __repr__(&self) -> String {
        let counts = [
            ("inserted", self.inserted),
            ("updated", self.updated),
            ("unchanged", self.unchanged),
            ("deleted", self.deleted),
            ("rejected", Some(self.rejected).filter(|rows| *rows > 0)),
            ("resumed", Some(self.resumed).filter(|rows| *rows > 0)),
            ("retries", Some(self.retries).filter(|retries| *retries > 0)),
        ];
        let counts = counts.into_iter().filter_map(|(name, count)| Some(format!(", {name}={}", count?)));
        format!("WriteResult(rows={}{}, seconds={:.3})", self.rows, counts.collect::<String>(), self.seconds)
    }
}
