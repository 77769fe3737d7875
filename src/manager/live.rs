//! The runs of this process.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::retry::RetryPolicy;
use crate::backend::{EpochEvent, WriteStats};
use crate::txn::{JobId, State};

/// The transaction manager of one process. Clones share the running jobs.
#[derive(Debug, Clone, Default)]
pub struct TransactionManager {
    pub(super) live: Arc<DashMap<String, State>>,
    /// Jobs whose last commit has an unknown outcome, and the counters that include them.
    doubts: Arc<DashMap<JobId, Vec<Arc<WriteStats>>>>,
    retry: RetryPolicy,
}

impl TransactionManager {
    /// The running jobs: job and log, and the state of each.
    pub fn live(&self) -> Vec<(String, State)> {
        self.live.iter().map(|entry| (entry.key().clone(), *entry.value())).collect()
    }

    /// Notes that the outcome of a job's last commit is unknown.
    pub(crate) fn doubt(&self, job: &JobId, stats: Vec<Arc<WriteStats>>) {
        if let Entry::Vacant(free) = self.doubts.entry(job.clone()) {
            stats.iter().for_each(|stats| stats.note(EpochEvent::InDoubt));
            free.insert(stats);
        }
    }

    /// Notes that the outcome of a job is known.
    pub(crate) fn settle(&self, job: &JobId) {
        if let Some((_, stats)) = self.doubts.remove(job) {
            stats.iter().for_each(|stats| stats.note(EpochEvent::Settled));
        }
    }

    pub(super) fn note(&self, key: &str, state: State) {
        self.live.insert(key.to_owned(), state);
    }

    pub(super) fn ended(&self, key: &str) {
        self.live.remove(key);
    }

    pub(super) fn retry(&self) -> RetryPolicy {
        self.retry
    }
}
