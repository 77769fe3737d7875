//! What a write records of itself.

use std::sync::Arc;

use super::write::Write;
use crate::backend::{Backend, DecisionLog};
use crate::error::Result;
use crate::manager::JobSpec;
use crate::txn::{JobId, StatementId, Subject};

/// The job of a write.
pub(super) async fn job_spec(write: &Write) -> Result<JobSpec> {
    let resources = write.targets.iter().map(|target| Arc::clone(&target.resource)).collect();
    job_spec_of(&write.name, &write.statement, write.job.clone(), &write.log, resources).await
}

/// The same, of a write that is not planned.
///
/// # Errors
/// Errors of a database whose identity a job records.
pub(crate) async fn job_spec_of(
    table: &str,
    statement: &StatementId,
    job: Option<JobId>,
    log: &Arc<dyn DecisionLog>,
    resources: Vec<Arc<dyn Backend>>,
) -> Result<JobSpec> {
    let mut databases = Vec::new();
    // The ledger of a database moves with it, so its records are about this database.
    let is_elsewhere = |resource: &&Arc<dyn Backend>| resource.decision_log().is_none_or(|own| own.url() != log.url());
    if job.is_some() {
        for resource in resources.iter().filter(is_elsewhere) {
            databases.push(resource.identity().await?);
        }
    }
    let subject = Subject { table: table.to_owned(), databases, statements: vec![statement.clone()] };
    Ok(JobSpec { log: Arc::clone(log), job, subject, resources })
}
