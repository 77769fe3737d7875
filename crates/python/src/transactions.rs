//! `landfall.status` and `landfall.recover`: what a decision log and a database say of jobs and prepared branches.

use std::sync::Arc;
use std::time::Duration;

use datafusion_landfall::backend::{Backend, DecisionLog};
use datafusion_landfall::log::ObjectStoreLog;
use datafusion_landfall::manager::{self, Mode, Recovered, RecoveryOutcome, Selection};
use datafusion_landfall::options::SinkOptions;
use datafusion_landfall::sql::without_passwords;
use datafusion_landfall::txn::{JobEntry, JobId};
use datafusion_landfall::{database, decision_log, without_ledger};
use pyo3::prelude::*;

use crate::errors::{Failure, config};
use crate::process::Process;
use crate::statement::Watch;
use crate::wait::wait;

/// A job in a decision log.
#[pyclass(frozen, get_all, module = "landfall")]
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The name.
    name: String,
    /// `finished`, `under way`, `not finished` or `rolled back`.
    state: &'static str,
    /// The table that it writes.
    table: Option<String>,
    /// The number of rows up to the last checkpoint.
    rows: Option<u64>,
    /// How many of these rows could not be stored, and were written to the reject table.
    rejected: Option<u64>,
    /// The number of the last checkpoint.
    checkpoint: Option<u64>,
    /// The time of the last record of the job in the log.
    decided_at: Option<String>,
}

/// A prepared branch of a transaction.
#[pyclass(frozen, get_all, module = "landfall")]
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    /// The identifier of the prepared transaction.
    name: String,
    /// The job of the branch, if the log contains the job.
    job: Option<String>,
    /// The age in seconds.
    age: f64,
    /// What happened to the branch, or would happen.
    fate: &'static str,
    /// Whether the branch is still prepared, and must still be committed or rolled back.
    is_left: bool,
    /// Why the branch could not be committed or rolled back.
    error: Option<String>,
}

/// The jobs of a decision log, and the prepared branches of a database.
#[pyclass(frozen, get_all, module = "landfall")]
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The URL of the decision log, without a password.
    log: String,
    /// Its jobs.
    jobs: Vec<Job>,
    /// The prepared branches, with what `recover` would do with them.
    in_doubt: Vec<Branch>,
}

#[pymethods]
impl Job {
    fn __repr__(&self) -> String {
        let rows = self.rows.map_or_else(|| "None".to_owned(), |rows| rows.to_string());
        format!("Job(name={:?}, state={:?}, rows={rows})", self.name, self.state)
    }
}

#[pymethods]
impl Branch {
    fn __repr__(&self) -> String {
        format!("Branch(name={:?}, age={}, fate={:?})", self.name, self.age, self.fate)
    }
}

#[pymethods]
impl Status {
    fn __repr__(&self) -> String {
        format!("Status(log={:?}, {} jobs, {} branches in doubt)", self.log, self.jobs.len(), self.in_doubt.len())
    }
}

/// A database, where the URL is one, and the log that decides there.
struct Place {
    database: Option<Arc<dyn Backend>>,
    log: Arc<dyn DecisionLog>,
}

fn place(url: &str, log: Option<&str>, options: &[(String, String)]) -> Result<Place, Failure> {
    let pairs = options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let options = SinkOptions::try_from_pairs(pairs)?;
    let database = match ObjectStoreLog::knows(url) {
        true => None,
        false => Some(database(url, &options)?),
    };
    let log = match (log, &database) {
        (Some(log), _) => decision_log(log, &options)?,
        (None, Some(database)) => database.decision_log().ok_or_else(|| without_ledger(database.as_ref()))?,
        (None, None) => decision_log(url, &options)?,
    };
    Ok(Place { database, log })
}

/// Reads the jobs and the prepared branches.
#[pyfunction]
pub(crate) fn status(
    py: Python<'_>,
    url: String,
    log: Option<String>,
    options: Vec<(String, String)>,
) -> PyResult<Status> {
    wait(py, Process::current()?, &Watch::new(None, None), async move {
        let Place { database, log } = place(&url, log.as_deref(), &options)?;
        let jobs = log.jobs().await?;
        let all = Selection { mode: Mode::DryRun, ..Selection::default() };
        let in_doubt = match &database {
            Some(database) => manager::recover(database.as_ref(), log.as_ref(), &all).await?,
            None => Vec::new(),
        };
        Ok(Status {
            log: without_passwords(&log.url()),
            jobs: jobs.iter().map(job).collect(),
            in_doubt: in_doubt.iter().map(|found| branch(found, Mode::DryRun)).collect(),
        })
    })
}

/// Commits or rolls back the prepared branches, as the decision log says.
#[pyfunction]
#[pyo3(signature = (url, log, job, older_than, dry_run, options))]
pub(crate) fn recover(
    py: Python<'_>,
    url: String,
    log: Option<String>,
    job: Option<String>,
    older_than: f64,
    dry_run: bool,
    options: Vec<(String, String)>,
) -> PyResult<Vec<Branch>> {
    let mode = if dry_run { Mode::DryRun } else { Mode::Act };
    wait(py, Process::current()?, &Watch::new(None, None), async move {
        let older_than = Duration::try_from_secs_f64(older_than);
        let older_than = older_than.map_err(|_| config("older_than must be a number of seconds, 0 or more"))?;
        let Place { database, log } = place(&url, log.as_deref(), &options)?;
        let Some(database) = database else {
            let message =
                format!("{url} is a decision log and has no branches: pass the URL of the database, and log='{url}'");
            return Err(config(message));
        };
        let job = job.as_deref().map(JobId::try_new).transpose()?;
        let selection = Selection { job, older_than, mode };
        let found = manager::recover(database.as_ref(), log.as_ref(), &selection).await?;
        Ok(found.iter().map(|found| branch(found, mode)).collect())
    })
}

fn job(entry: &JobEntry) -> Job {
    let last = entry.state.last();
    let checkpoint = entry.state.checkpoint();
    Job {
        name: entry.job.as_str().to_owned(),
        state: entry.state_in_words(),
        table: last.map(|last| last.positions.subject.table.as_str().to_owned()),
        rows: checkpoint.map(|record| record.total()),
        rejected: checkpoint.map(|record| record.positions.rejected),
        checkpoint: checkpoint.map(|record| record.epoch.0),
        decided_at: entry.decided_at.last().cloned(),
    }
}

fn branch(found: &Recovered, mode: Mode) -> Branch {
    let (fate, is_left) = match (&found.fate, mode) {
        (RecoveryOutcome::Committed, Mode::Act) => ("committed", false),
        (RecoveryOutcome::Committed, Mode::DryRun) => ("to be committed", true),
        (RecoveryOutcome::RolledBack, Mode::Act) => ("rolled back", false),
        (RecoveryOutcome::RolledBack, Mode::DryRun) => ("to be rolled back", true),
        (RecoveryOutcome::TooYoung, _) => ("skipped: not decided yet", true),
        (RecoveryOutcome::DecidedElsewhere, _) => ("skipped: decided in another log", true),
        (RecoveryOutcome::EndedMeanwhile, _) => ("already ended by another process", false),
        (RecoveryOutcome::StillInDoubt, _) => ("skipped: the log could not be read", true),
        (RecoveryOutcome::Failed(_), _) => ("failed", true),
    };
    let error = match &found.fate {
        RecoveryOutcome::Failed(why) => Some(without_passwords(why)),
        _ => None,
    };
    Branch {
        name: found.branch.xid.to_string(),
        job: found.job.as_ref().map(|job| job.as_str().to_owned()),
        age: found.branch.age.as_secs_f64(),
        fate,
        is_left,
        error,
    }
}
