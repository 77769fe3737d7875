//! How much of the files has been read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes of files, as they are stored, while they are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// The bytes of all files; `None` if they are not known.
    pub(crate) total: Option<u64>,
    read: Arc<AtomicU64>,
}

impl Reading {
    /// Files of known sizes, which are added one by one.
    pub(super) fn of_files() -> Self {
        Self { total: Some(0), ..Self::default() }
    }

    pub(super) fn add_file(&mut self, bytes: u64) {
        self.total = self.total.map(|total| total + bytes);
    }

    pub(super) fn add(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The bytes that were read. The scan of a Parquet file counts them itself.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}
