//! What a run writes.

use std::sync::Arc;

use crate::backend::{Backend, DecisionLog};
use crate::txn::{JobId, Subject};

/// A job, its decision log, and the databases of its branches.
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// The decision log.
    pub log: Arc<dyn DecisionLog>,
    /// The name. The log keeps the records of a statement without a job only until it is complete.
    pub job: Option<JobId>,
    /// The tables and the statement.
    pub subject: Subject,
    /// The databases.
    pub resources: Vec<Arc<dyn Backend>>,
}
