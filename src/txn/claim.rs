//! The first step of a run of a job.

use super::subject::JobProgress;
use crate::error::{Error, Result};
use crate::txn::{DecisionRecord, Epoch, JobId, JobState, Subject};

/// What a run of a job must do.
pub(crate) enum NextEpoch {
    /// Nothing: this is its last record.
    Finished(DecisionRecord),
    /// Claim this epoch.
    Claim(Epoch),
}

/// What to do with a job whose state in the log is `state`. A pure function.
pub(crate) fn next_epoch(state: &JobState, job: &JobId, subject: &Subject) -> Result<NextEpoch> {
    if let Some(checkpoint) = state.checkpoint() {
        let progress = if checkpoint.positions.end { JobProgress::Finished } else { JobProgress::UnderWay };
        if let Some(difference) = subject.differs_from(&checkpoint.positions.subject, progress) {
            return Err(Error::config(format!("job '{job}' {difference}")));
        }
        if checkpoint.positions.end {
            return Ok(NextEpoch::Finished(checkpoint.clone()));
        }
    }
    Ok(NextEpoch::Claim(state.last().map_or(Epoch(1), |last| last.epoch.next())))
}
