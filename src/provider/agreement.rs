//! How a write commits and where that is decided, found out when the plan is made.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, Capability, DecisionLog, NoLedger, Protocol};
use crate::error::{Error, Result};
use crate::options::{Checkpoints, Commit, Retry, SinkOptions};
use crate::pipeline::{Target, Write, WriterCount};
use crate::registry::decision_log;
use crate::txn::{JobId, StatementId};

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
                how_to_prepare([&first.resource, &second.resource])
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
                 it can{}, or name it first",
                agent.location(),
                how_to_prepare([agent])
            )));
        }
        let branches: u32 = targets.iter().map(|target| u32::from(most(target.writers))).sum();
        let is_alone = targets.len() == 1;
        let protocol = match (commit, agent) {
            (Commit::TwoPhase, Some(agent)) if is_alone => {
                return Err(Error::config(format!(
                    "{} commits in one phase, and the option 'commit' says two_phase: leave it out{}",
                    agent.location(),
                    how_to_prepare([agent])
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
                    "{needed} branches are needed in {location}, which prepares {branches} at once{}: ask for fewer \
                     'writers', or let it prepare more",
                    how_to_prepare([&target.resource])
                )));
            }
        }
        let needs_ledger = match (&job, protocol) {
            (Some(_), _) => Some("a job needs one"),
            (None, Protocol::TwoPhase) => Some("a commit in two phases needs one"),
            (None, Protocol::OnePhase) if targets.len() > 1 => Some("a transaction of several tables needs one"),
            (None, Protocol::OnePhase) => None,
        };
        let log = match (agent, log) {
            (Some(agent), Some(_)) => {
                return Err(Error::config(format!(
                    "{} commits in one phase, with the decision in its own transaction: leave the option 'log' out\
                     {}",
                    agent.location(),
                    how_to_prepare([agent])
                )));
            }
            (None, Some(log)) => log,
            (_, None) => match (fixed.decision_log(), needs_ledger) {
                (Some(log), _) => log,
                (None, None) => Arc::new(NoLedger { location: fixed.location() }),
                (None, Some(why)) if agent.is_some() => {
                    return Err(NoLedger::error(&fixed.location(), &format!("{why} where it commits in one phase")));
                }
                (None, Some(why)) => {
                    return Err(NoLedger::error(&fixed.location(), &format!("{why}: set the option 'log'")));
                }
            },
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

/// What has to be done so that these databases prepare, as a remark behind a sentence.
pub(super) fn how_to_prepare<'a>(databases: impl IntoIterator<Item = &'a Arc<dyn Backend>>) -> String {
    let mut told: Vec<_> = databases.into_iter().filter_map(|database| database.how_to_prepare()).collect();
    told.dedup();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) }
}

fn most(writers: WriterCount) -> u16 {
    match writers {
        WriterCount::Exactly(writers) | WriterCount::UpTo(writers) => writers,
    }
}
