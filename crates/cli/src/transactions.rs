//! `landfall status` and `landfall recover`: report and complete transactions as the decision log and the database say.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use serde_json::{Map, Value, json};

use crate::arguments::{Place, RecoverArguments, Report, StatusArguments};
use crate::message::Failure;
use datafusion_landfall::backend::{Backend, DecisionLog, OpenSession, Resolution};
use datafusion_landfall::error::{Error, Result};
use datafusion_landfall::log::ObjectStoreLog;
use datafusion_landfall::manager::{Mode, Recovered, RecoveryOutcome, Selection, recover};
use datafusion_landfall::options::SinkOptions;
use datafusion_landfall::pipeline::Position;
use datafusion_landfall::sql::without_passwords;
use datafusion_landfall::txn::{JobEntry, JobId};
use datafusion_landfall::{database, decision_log, without_ledger};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        datafusion::common::DataFusionError::from(error).into()
    }
}

/// The database and the log of a command.
struct Subject {
    /// The database, if the URL is one.
    resource: Option<Arc<dyn Backend>>,
    /// The decision log.
    log: Arc<dyn DecisionLog>,
}

fn subject(place: &Place) -> Result<Subject> {
    let mut options = SinkOptions::new();
    for (key, value) in [("ledger_table", &place.ledger_table), ("password_env", &place.password_env)] {
        if let Some(value) = value {
            options.set(key, value)?;
        }
    }
    let resource = match ObjectStoreLog::knows(&place.url) {
        true => None,
        false => Some(database(&place.url, &options)?),
    };
    let log = match (&place.log, &resource) {
        (Some(log), _) => decision_log(log, &options)?,
        (None, Some(resource)) => resource.decision_log().ok_or_else(|| without_ledger(resource.as_ref()))?,
        (None, None) => decision_log(&place.url, &options)?,
    };
    Ok(Subject { resource, log })
}

/// Prints jobs, their last checkpoints, the branches that are in doubt, and open transactions.
pub(crate) async fn status(arguments: StatusArguments) -> Result<(), Failure> {
    let Subject { resource, log } = subject(&arguments.place)?;
    let jobs = log.jobs().await?;
    let (mut branches, mut open) = (Vec::new(), Vec::new());
    if let Some(resource) = &resource {
        let all = Selection { mode: Mode::DryRun, ..Selection::default() };
        branches = recover(resource.as_ref(), log.as_ref(), &all).await?;
        open = resource.open_sessions().await?;
    }
    let jobs: Vec<_> = jobs.iter().map(job_row).collect();
    let branches: Vec<_> = branches.iter().map(|found| branch_row(found, would(&found.fate))).collect();
    let open: Vec<_> = open.iter().map(session_row).collect();
    match arguments.report {
        Report::Json => {
            print(&json!({ "log": log.url(), "jobs": jobs, "in_doubt": branches, "open": open }).to_string())
        }
        Report::Table => {
            let mut text = format!("decision log {}\n", log.url());
            text += &table("no jobs", &jobs)?;
            text += &table("no branches are in doubt", &branches)?;
            if !open.is_empty() {
                text += &format!("open transactions\n{}", table("", &open)?);
            }
            print(text.trim_end())
        }
    }
}

/// Completes branches that are in doubt, and prints the outcome of each.
pub(crate) async fn end_branches(arguments: RecoverArguments) -> Result<(), Failure> {
    let Subject { resource, log } = subject(&arguments.place)?;
    let Some(resource) = resource else {
        let url = &arguments.place.url;
        return Err(Failure::new(format!(
            "{url} is a decision log and has no branches: specify the URL of the database that has the branches, and \
             --log '{url}'"
        )));
    };
    let selection = Selection {
        job: arguments.job.as_deref().map(JobId::try_new).transpose()?,
        older_than: arguments.older_than,
        mode: if arguments.dry_run { Mode::DryRun } else { Mode::Act },
    };
    let mut found = recover(resource.as_ref(), log.as_ref(), &selection).await?;
    if arguments.roll_back_unknown {
        roll_back_unknown(resource.as_ref(), log.as_ref(), &mut found, arguments.yes).await?;
    }
    let says = |found: &Recovered| match selection.mode {
        Mode::Act => did(&found.fate),
        Mode::DryRun => would(&found.fate),
    };
    let rows: Vec<_> = found.iter().map(|found| branch_row(found, says(found))).collect();
    match arguments.report {
        Report::Json => print(&json!({ "log": log.url(), "branches": rows }).to_string())?,
        Report::Table => print(table("no branches are in doubt", &rows)?.trim_end())?,
    }
    note_left(&found, arguments.older_than, log.as_ref());
    let is_left = |found: &&Recovered| {
        matches!(
            found.fate,
            RecoveryOutcome::StillInDoubt | RecoveryOutcome::DecidedElsewhere | RecoveryOutcome::Failed(_)
        )
    };
    match found.iter().filter(is_left).count() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} of {} branches remain in doubt", found.len()))),
    }
}

/// Rolls back branches that the log does not contain, if the user agrees.
async fn roll_back_unknown(
    resource: &dyn Backend,
    log: &dyn DecisionLog,
    found: &mut [Recovered],
    yes: bool,
) -> Result<(), Failure> {
    let is_unknown = |found: &&mut Recovered| found.fate == RecoveryOutcome::DecidedElsewhere;
    let unknown: Vec<_> = found.iter_mut().filter(is_unknown).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    eprintln!(
        "The decision log {} does not contain the decision for {} of the branches. If another log contains the \
         decision to commit a branch, its rows are lost when the branch is rolled back. Roll back these branches? \
         [y/N]",
        log.url(),
        unknown.len()
    );
    let mut answer = String::new();
    if !yes {
        let read = io::stdin().read_line(&mut answer);
        read.map_err(|error| Failure::new(format!("could not read the answer: {error}")))?;
    }
    if !yes && !matches!(answer.trim(), "y" | "yes") {
        return Ok(());
    }
    for Recovered { branch, fate, .. } in unknown {
        *fate = match resource.rollback(&branch.xid).await {
            Ok(Resolution::Done) => RecoveryOutcome::RolledBack,
            Ok(Resolution::Unknown) => RecoveryOutcome::EndedMeanwhile,
            Err(error) => RecoveryOutcome::Failed(error.to_string()),
        };
    }
    Ok(())
}

/// Says what to do for branches that are left.
fn note_left(found: &[Recovered], older_than: Duration, log: &dyn DecisionLog) {
    let branches = |count: usize| if count == 1 { "1 branch".to_owned() } else { format!("{count} branches") };
    let left = |fate| found.iter().filter(|found| found.fate == fate).count();
    for Recovered { branch, fate, .. } in found {
        if let RecoveryOutcome::Failed(why) = fate {
            eprintln!("note: branch {}: {}", branch.xid, without_passwords(why));
        }
    }
    if left(RecoveryOutcome::TooYoung) > 0 {
        eprintln!(
            "note: the log has no decision for {} younger than {:?}, whose run may still be active; to roll back \
             branches of any age, use --older-than 0s",
            branches(left(RecoveryOutcome::TooYoung)),
            older_than
        );
    }
    if left(RecoveryOutcome::DecidedElsewhere) > 0 {
        eprintln!(
            "note: the decision for {} was not found in the decision log {}: if another log was used, specify its URL \
             with --log, or its table with --ledger-table; if that log no longer exists, use --roll-back-unknown",
            branches(left(RecoveryOutcome::DecidedElsewhere)),
            log.url()
        );
    }
}

fn job_row(entry: &JobEntry) -> Value {
    let last = entry.state.last();
    let checkpoint = entry.state.checkpoint();
    json!({
        "job": entry.job.as_str(),
        "state": entry.state_in_words(),
        "table": last.map(|last| last.positions.subject.table.as_str()),
        "last_epoch": last.map(|last| last.epoch.0),
        "checkpoint": checkpoint.map(|record| record.epoch.0),
        "rows": checkpoint.map(|record| record.total()),
        "rejected": checkpoint.map(|record| record.positions.rejected),
        "positions": checkpoint.and_then(|record| record.positions.input.as_ref()).map(Position::shown),
        "decided_at": entry.decided_at.last(),
    })
}

fn branch_row(found: &Recovered, fate: &str) -> Value {
    json!({
        "branch": found.branch.xid.to_string(),
        "job": found.job.as_ref().map(JobId::as_str),
        "age": format!("{:?}", Duration::from_secs(found.branch.age.as_secs())),
        "fate": fate,
    })
}

fn session_row(open: &OpenSession) -> Value {
    json!({ "session": open.session, "age": format!("{:?}", Duration::from_secs(open.age.as_secs())), "state": open.state })
}

fn did(fate: &RecoveryOutcome) -> &'static str {
    match fate {
        RecoveryOutcome::Committed => "committed",
        RecoveryOutcome::RolledBack => "rolled back",
        RecoveryOutcome::TooYoung => "skipped: not decided yet",
        RecoveryOutcome::DecidedElsewhere => "skipped: decided in another log",
        RecoveryOutcome::EndedMeanwhile => "already ended by another process",
        RecoveryOutcome::StillInDoubt => "skipped: the log could not be read",
        RecoveryOutcome::Failed(_) => "failed",
    }
}

fn would(fate: &RecoveryOutcome) -> &'static str {
    match fate {
        RecoveryOutcome::Committed => "to be committed",
        RecoveryOutcome::RolledBack => "to be rolled back",
        left => did(left),
    }
}

/// Prints objects with the same members as a table.
fn table(none: &str, rows: &[Value]) -> Result<String, Failure> {
    let Some(first) = rows.first().and_then(Value::as_object) else { return Ok(format!("{none}\n")) };
    let text = |row: &Value, name: &str| match &row[name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let column =
        |name: &String| -> ArrayRef { Arc::new(rows.iter().map(|row| text(row, name)).collect::<StringArray>()) };
    let columns = keys(first).map(|name| (name.clone(), column(name)));
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
    let table = batch.and_then(|batch| pretty_format_batches(&[batch]).map(|table| format!("{table}\n")));
    table.map_err(|error| Failure::new(format!("could not print the table: {error}")))
}

/// The members in the order of the columns.
fn keys(row: &Map<String, Value>) -> impl Iterator<Item = &String> {
    const ORDER: [&str; 12] = [
        "branch",
        "job",
        "state",
        "age",
        "fate",
        "table",
        "last_epoch",
        "checkpoint",
        "rows",
        "rejected",
        "positions",
        "decided_at",
    ];
    let mut keys: Vec<_> = row.keys().collect();
    keys.sort_by_key(|key| ORDER.iter().position(|known| known == key));
    keys.into_iter()
}

fn print(text: &str) -> Result<(), Failure> {
    crate::output::written(writeln!(io::stdout().lock(), "{text}"))
}
