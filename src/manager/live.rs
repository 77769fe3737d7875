//! The runs of this process.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::late::{Late, LateTransaction};
use super::retry::RetryPolicy;
use crate::backend::{EpochEvent, WriteStats};
use crate::txn::{Gtrid, JobId, State};

/// The transaction manager of one process. Clones share the running jobs.
#[derive(Debug, Clone, Default)]
pub struct TransactionManager {
    pub(super) live: Arc<DashMap<String, State>>,
    /// Jobs whose last commit has an unknown outcome, and the counters that include them.
    doubts: Arc<DashMap<JobId, Vec<Arc<WriteStats>>>>,
    /// Transactions of one statement with a branch whose PREPARE was not answered.
    pub(super) late: Arc<DashMap<Gtrid, Arc<LateTransaction>>>,
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

    /// The manager of one statement.
    pub(crate) fn of_statement(&self) -> Self {
        Self { late: Arc::default(), ..self.clone() }
    }

    /// Completes branches that appeared after their connection was lost.
    pub(crate) async fn complete_late(&self, late: Late) {
        let transactions: Vec<_> = self.late.iter().map(|entry| Arc::clone(entry.value())).collect();
        for transaction in transactions {
            transaction.complete(late).await;
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
