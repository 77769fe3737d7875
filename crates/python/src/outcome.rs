//! What a write did.

use pyo3::prelude::*;

use crate::statement::{Written, counted, sink};

/// What a statement that writes did. Counts that Landfall did not make are None.
#[pyclass(frozen, get_all, module = "landfall")]
#[derive(Debug)]
pub(crate) struct WriteResult {
    /// Rows that were written; of an upsert by difference, rows that were read. 0 for a job that was finished before.
    rows: u64,
    /// Rows that were new.
    inserted: Option<u64>,
    /// Rows that existed and changed.
    updated: Option<u64>,
    /// Rows that existed and were equal: they were not written.
    unchanged: Option<u64>,
    /// Rows that were deleted.
    deleted: Option<u64>,
    /// Rows that were set aside, because they cannot be stored.
    rejected: u64,
    /// Rows that earlier runs of the job had committed: all of them, if it was finished before.
    resumed: u64,
    /// How often the statement was retried after a failure.
    retries: u64,
    /// How long it took, in seconds.
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
