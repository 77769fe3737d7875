//! How a write commits and where that is decided, found out when the plan is made.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::log::ObjectStoreLog;
use crate::options::{Checkpoints, Commit, Retry, SinkOptions};
use crate::pipeline::{Target, Write, WriterCount};
use crate::provider::factory::database;
use crate::xa::{Capability, DecisionLog, JobId, Protocol, StatementId};

/// What the user asks of a transaction.
#[derive(Debug, Clone)]
pub(super) struct Wishes {
    pub(super) job: Option<JobId>,
    pub(super) commit: Commit,
    /// The option `log`.
    pub(super) log: Option<Arc<dyn DecisionLog>>,
    pub(super) checkpoints: Checkpoints,
    pub(super) flush_interval: Duration,
    pub(super) retry: Retry,
}

impl Wishes {
    pub(super) fn try_new(options: &SinkOptions) -> Result<Self> {
        let log = options.log.as_deref().map(|url| decision_log(url, options)).transpose()?;
        Ok(Self {
            job: options.job.clone(),
            commit: options.commit,
            log,
            checkpoints: options.checkpoints(),
            flush_interval: options.flush_interval,
            retry: options.retry(),
        })
    }

    /// A write to these tables, one transaction.
    ///
    /// # Errors
    /// `Config` where the databases cannot do what is asked.
    pub(super) fn agree(self, name: String, statement: StatementId, targets: Vec<Target>) -> Result<Write> {
        let Self { job, commit, log, checkpoints, flush_interval, retry } = self;
        for (index, target) in targets.iter().enumerate() {
            let place = |target: &Target| (target.resource.location(), target.spec.table.clone());
            if targets[..index].iter().any(|other| place(other) == place(target)) {
                let (location, table) = place(target);
                return Err(Error::config(format!("table {table} in {location} is written twice: name it once")));
            }
        }
        let one_phase: Vec<_> = targets.iter().filter(|target| !target.capability.prepares()).collect();
        if let [first, second, ..] = one_phase.as_slice() {
            return Err(Error::config(format!(
                "{} and {} both commit in one phase, and only one such database can be in a transaction, as its last \
                 agent{}",
                first.resource.location(),
                second.resource.location(),
                PREPARES
            )));
        }
        let agent = one_phase.first().map(|target| &target.resource);
        let fixed = decides(targets.iter().map(|target| (&target.resource, target.capability)));
        let fixed = fixed.ok_or_else(|| Error::internal("a write has no target"))?;
        if let Some(agent) = agent
            && !Arc::ptr_eq(agent, fixed)
        {
            return Err(Error::config(format!(
                "{} cannot prepare, so that the transaction would be decided there, and elsewhere when it can: see that \
                 it can{PREPARES}, or name it first",
                agent.location()
            )));
        }
        let branches: u32 = targets.iter().map(|target| u32::from(most(target.writers))).sum();
        let is_alone = targets.len() == 1;
        let protocol = match (commit, agent) {
            (Commit::TwoPhase, Some(agent)) if is_alone => {
                return Err(Error::config(format!(
                    "{} commits in one phase, and the option 'commit' says two_phase: leave it out{PREPARES}",
                    agent.location()
                )));
            }
            (Commit::TwoPhase, _) => Protocol::TwoPhase,
            (Commit::OnePhase, _) if log.is_some() => {
                return Err(Error::config(
                    "the option 'log' is for commits in two phases, and the option 'commit' says one_phase: leave one \
                     of them out",
                ));
            }
            (Commit::OnePhase, _) if branches > 1 => {
                return Err(Error::config(
                    "the option 'commit' says one_phase, which only one writer of one table can do: leave it out",
                ));
            }
            (Commit::Auto, None) if log.is_some() => Protocol::TwoPhase,
            (Commit::Auto | Commit::OnePhase, _) => Protocol::OnePhase,
        };
        for target in &targets {
            let location = target.resource.location();
            let same = |other: &&Target| other.resource.location() == location;
            let needed: u32 = targets.iter().filter(same).map(|target| u32::from(most(target.writers))).sum();
            if let Capability::TwoPhase { branches: branches @ 1.. } = target.capability
                && needed > branches
            {
                return Err(Error::config(format!(
                    "{needed} branches are needed in {location}, and its max_prepared_transactions is {branches}: raise \
                     it, or ask for fewer 'writers'"
                )));
            }
        }
        let log = match (agent, log) {
            (Some(agent), Some(_)) => {
                return Err(Error::config(format!(
                    "{} commits in one phase, with the decision in its own transaction: leave the option 'log' out\
                     {PREPARES}",
                    agent.location()
                )));
            }
            (None, Some(log)) => log,
            (_, None) => fixed.decision_log(),
        };
        let counts = Arc::default();
        Ok(Write { targets, name, statement, job, log, protocol, checkpoints, flush_interval, retry, counts })
    }
}

/// The database whose ledger decides, unless the option `log` names another log: the one that can never prepare, else
/// the first. It must not change with how a server is set up: the next run of a job would not find it.
pub(super) fn decides<T>(databases: impl Iterator<Item = (T, Capability)> + Clone) -> Option<T> {
    let mut never = databases.clone().filter(|(_, capability)| *capability == Capability::OnePhase);
    never.next().or_else(|| databases.into_iter().next()).map(|(database, _)| database)
}

/// What a server needs for two phases.
pub(super) const PREPARES: &str = " (PostgreSQL prepares transactions where max_prepared_transactions is not 0, MySQL \
     for users with the privilege XA_RECOVER_ADMIN, MariaDB from 10.5 on)";

fn most(writers: WriterCount) -> u16 {
    match writers {
        WriterCount::Exactly(writers) | WriterCount::UpTo(writers) => writers,
    }
}

/// The decision log that a URL means: an object store, or the ledger of a database.
///
/// # Errors
/// `Config` for a URL that is neither, or whose parts are wrong.
pub fn decision_log(url: &str, options: &SinkOptions) -> Result<Arc<dyn DecisionLog>> {
    if ObjectStoreLog::knows(url) {
        return Ok(Arc::new(ObjectStoreLog::try_new(url)?));
    }
    let of_log = |error: Error| error.with_context("the decision log");
    Ok(database(url, options).map_err(of_log)?.decision_log())
}
