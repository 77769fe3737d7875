//! Jobs whose rows a statement has deleted. Their next runs would not write these rows again.

use std::time::Duration;

use log::warn;

use crate::backend::{Change, Existing, Operation};
use crate::pipeline::Write;
use crate::txn::JobEntry;

/// How long to look for them: the statement is complete.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of jobs that are named.
const NAMED: usize = 3;

/// The rows that a statement deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deletes {
    All,
    Some,
}

fn deletes(write: &Write) -> Option<Deletes> {
    let of_change = |change: &Change| match (&change.operation, change.verb) {
        (Operation::Truncate, _) => Some(Deletes::All),
        (Operation::Delete(condition), _) if condition.text.is_empty() => Some(Deletes::All),
        (_, "DELETE") if change.done.get().deleted > 0 => Some(Deletes::Some),
        _ => None,
    };
    let target = write.targets.first()?;
    match (&target.change, target.spec.existing) {
        (Some(change), _) => of_change(change),
        (None, Existing::Keep) => None,
        (None, _) => Some(Deletes::All),
    }
}

/// Warns of the jobs with a checkpoint in a table from which a statement has deleted rows.
pub(super) async fn warn_of_jobs(write: &Write) {
    let Some(deletes) = deletes(write) else { return };
    // If the log cannot be read, the next run of the job still says what it skips.
    let Ok(Ok(jobs)) = tokio::time::timeout(LOOK_TIMEOUT, write.log.jobs()).await else { return };
    let of_table = |entry: &&JobEntry| {
        Some(&entry.job) != write.job.as_ref()
            && !entry.job.is_of_statement()
            && entry.state.checkpoint().is_some_and(|checkpoint| {
                // A finished job has nothing left to write, unless the table is to be filled again.
                checkpoint.positions.subject.table == write.name
                    && (deletes == Deletes::All || !checkpoint.positions.end)
            })
    };
    let (finished, unfinished): (Vec<_>, Vec<_>) =
        jobs.iter().filter(of_table).partition(|entry| entry.state.checkpoint().is_some_and(|last| last.positions.end));
    for (jobs, state) in [(unfinished, "resume after their last checkpoint"), (finished, "are finished")] {
        if !jobs.is_empty() {
            warn!(
                "rows of table {} were deleted, but these jobs {state} and do not write their earlier rows again: {}; \
                 to write these rows again, use a different job name",
                write.name,
                named(&jobs)
            );
        }
    }
}

/// The first names, and the number of others.
fn named(jobs: &[&JobEntry]) -> String {
    let names: Vec<_> = jobs.iter().take(NAMED).map(|entry| format!("'{}'", entry.job)).collect();
    match jobs.len() - names.len() {
        0 => names.join(", "),
        others => format!("{} and {others} more", names.join(", ")),
    }
}
