//! The commit protocol and the decision log of a statement, chosen when it is planned.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, Capability, DecisionLog, NoLedger, Protocol};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Checkpoints, Commit, Retry, SinkOptions, Upsert};
use crate::pipeline::{RejectSpec, Target, Write};
use crate::registry::decision_log;
use crate::txn::{JobId, StatementId};

/// The user's transaction options.
#[derive(Debug, Clone)]
pub(super) struct TxnSettings {
    pub(super) job: Option<JobId>,
    pub(super) commit: Commit,
    /// The option `log`.
    pub(super) log: Option<Arc<dyn DecisionLog>>,
    pub(super) checkpoints: Checkpoints,
    pub(super) flush_interval: Duration,
    pub(super) retry: Retry,
    pub(super) rejects: Option<RejectSpec>,
}

impl TxnSettings {
    pub(super) fn try_new(options: &SinkOptions) -> Result<Self> {
        let log = options.log.as_deref().map(|url| decision_log(url, options)).transpose()?;
        Ok(Self {
            job: options.job.clone(),
            commit: options.commit,
            log,
            checkpoints: options.checkpoints(),
            flush_interval: options.flush_interval,
            retry: options.retry(),
            rejects: rejects(options)?,
        })
    }

    /// Chooses the settings of one transaction that writes these tables.
    ///
    /// # Errors
    /// `Config` if the databases do not support the requested options.
    pub(super) fn plan_commit(self, name: String, statement: StatementId, mut targets: Vec<Target>) -> Result<Write> {
        check_distinct(&targets)?;
        let rejects = self.rejects.clone().filter(|_| targets.iter().all(|target| target.change.is_none()));
        if rejects.is_some() {
            plan_rejects(&mut targets)?;
        }
        let agent = last_agent(&targets)?;
        let fixed = decides(targets.iter().map(|target| (&target.resource, target.capability)));
        let fixed = fixed.ok_or_else(|| Error::internal("a write has no target"))?;
        if let Some(agent) = agent
            && !Arc::ptr_eq(agent, fixed)
        {
            return Err(Error::config(format!(
                "{agent} cannot prepare transactions{}, so the decision record would be stored in that database instead \
                 of in {}: enable prepared transactions in {agent}, or name the table of {agent} first",
                how_to_prepare([agent]),
                fixed.location(),
                agent = agent.location()
            )));
        }
        let protocol = self.protocol(&targets, agent)?;
        check_branches(&targets)?;
        let log = self.decided_in(&targets, agent, fixed, protocol)?;
        let Self { job, checkpoints, flush_interval, retry, .. } = self;
        let counts = Arc::default();
        Ok(Write { targets, name, statement, job, log, protocol, checkpoints, flush_interval, retry, rejects, counts })
    }

    /// The commit protocol of a single branch.
    fn protocol(&self, targets: &[Target], agent: Option<&Arc<dyn Backend>>) -> Result<Protocol> {
        let branches: u32 = targets.iter().map(|target| u32::from(target.writers.most())).sum();
        match (self.commit, agent) {
            (Commit::TwoPhase, Some(agent)) if targets.len() == 1 => Err(Error::config(format!(
                "{} cannot prepare transactions{}, but the option 'commit' is 'two_phase': remove the option",
                agent.location(),
                how_to_prepare([agent])
            ))),
            (Commit::TwoPhase, _) => Ok(Protocol::TwoPhase),
            (Commit::OnePhase, _) if self.log.is_some() => Err(Error::config(
                "the option 'log' requires two-phase commit, but the option 'commit' is 'one_phase': remove one of the \
                 two options",
            )),
            (Commit::OnePhase, _) if branches > 1 => Err(Error::config(
                "the option 'commit' is 'one_phase', which requires a single table and a single writer: remove the \
                 option",
            )),
            (Commit::Auto, None) if self.log.is_some() => Ok(Protocol::TwoPhase),
            (Commit::Auto | Commit::OnePhase, _) => Ok(Protocol::OnePhase),
        }
    }

    /// The log that decides a write.
    fn decided_in(
        &self,
        targets: &[Target],
        agent: Option<&Arc<dyn Backend>>,
        fixed: &Arc<dyn Backend>,
        protocol: Protocol,
    ) -> Result<Arc<dyn DecisionLog>> {
        match (agent, &self.log) {
            (Some(agent), Some(_)) => {
                return Err(Error::config(format!(
                    "{} cannot prepare transactions{}, so the decision to commit is stored in the same transaction as \
                     the rows, and cannot be stored in a separate log: remove the option 'log'",
                    agent.location(),
                    how_to_prepare([agent])
                )));
            }
            (None, Some(log)) => return Ok(Arc::clone(log)),
            (_, None) => {}
        }
        if let Some(ledger) = fixed.decision_log() {
            return Ok(ledger);
        }
        let why = match (&self.job, protocol) {
            (Some(_), _) => "a job needs one",
            (None, Protocol::TwoPhase) => "two-phase commit needs one",
            (None, Protocol::OnePhase) if targets.len() > 1 => "a transaction that writes several tables needs one",
            (None, Protocol::OnePhase) => return Ok(Arc::new(NoLedger { location: fixed.location() })),
        };
        let next = match agent {
            Some(agent) => format!(" for one-phase commit{}", how_to_prepare([agent])),
            None => ": set the option 'log'".to_owned(),
        };
        Err(NoLedger::error(&fixed.location(), &format!("{why}{next}")))
    }
}

/// How rows are rejected.
///
/// # Errors
/// `Config` for one of the options without the other.
fn rejects(options: &SinkOptions) -> Result<Option<RejectSpec>> {
    match (options.reject_max, &options.reject_table) {
        (None, None) => Ok(None),
        (Some(limit), Some(table)) => Ok(Some(RejectSpec { limit, table: table.clone() })),
        (Some(_), None) => Err(Error::config(
            "the option 'reject.max' requires the option 'reject.table': name the table that stores the rejected rows",
        )),
        (None, Some(_)) => Err(Error::config(
            "the option 'reject.table' requires the option 'reject.max': set 'reject.max' to the number of rows that \
             may be rejected",
        )),
    }
}

/// Plans the rejects of these tables.
///
/// # Errors
/// `Config` or `Unsupported` if it is not possible.
fn plan_rejects(targets: &mut [Target]) -> Result<()> {
    for Target { resource, spec, .. } in targets {
        if !resource.can_reject() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{} does not support the option 'reject.max': remove the option", resource.location()),
            ));
        }
        // Rows that are compared first are counted as written, also if they are rejected later.
        match spec.upsert {
            Upsert::Diff if spec.on_conflict.updates() => {
                return Err(Error::config(
                    "the option 'upsert' is 'diff', which is not supported with the option 'reject.max': remove one of \
                     the two options",
                ));
            }
            _ => spec.upsert = Upsert::Blind,
        }
    }
    Ok(())
}

/// Refuses a table that is written twice.
fn check_distinct(targets: &[Target]) -> Result<()> {
    let place = |target: &Target| (target.resource.location(), target.spec.table.clone());
    for (index, target) in targets.iter().enumerate() {
        if targets[..index].iter().any(|other| place(other) == place(target)) {
            let (location, table) = place(target);
            return Err(Error::config(format!(
                "table {table} in {location} is specified more than once: specify it once"
            )));
        }
    }
    Ok(())
}

/// The only database that uses one-phase commit. A transaction can contain one such database.
fn last_agent(targets: &[Target]) -> Result<Option<&Arc<dyn Backend>>> {
    let mut one_phase = targets.iter().filter(|target| !target.capability.prepares()).map(|target| &target.resource);
    match (one_phase.next(), one_phase.next()) {
        (Some(first), Some(second)) => Err(Error::config(format!(
            "{} and {} cannot prepare transactions{}, but a transaction can contain only one such database: write to \
             one of them in a separate statement",
            first.location(),
            second.location(),
            how_to_prepare([first, second])
        ))),
        (agent, _) => Ok(agent),
    }
}

/// Refuses more branches than a database can prepare at once.
fn check_branches(targets: &[Target]) -> Result<()> {
    for target in targets {
        let location = target.resource.location();
        let same = |other: &&Target| other.resource.location() == location;
        let needed: u32 = targets.iter().filter(same).map(|target| u32::from(target.writers.most())).sum();
        if let Capability::TwoPhase { branches: branches @ 1.. } = target.capability
            && needed > branches
        {
            return Err(Error::config(format!(
                "the statement needs {needed} prepared transactions in {location}, which allows {branches} at the same time: \
                 set the option 'writers' to a smaller number, or increase the limit of the server{}",
                how_to_prepare([&target.resource])
            )));
        }
    }
    Ok(())
}

/// The database whose ledger decides, unless the option `log` names another log: the database that can never prepare,
/// otherwise the first one. The choice does not depend on a server's configuration, because the next run of a job must
/// find the same log.
pub(super) fn decides<T>(databases: impl Iterator<Item = (T, Capability)> + Clone) -> Option<T> {
    let mut never = databases.clone().filter(|(_, capability)| *capability == Capability::OnePhase);
    never.next().or_else(|| databases.into_iter().next()).map(|(database, _)| database)
}

/// The steps that enable two-phase commit in these databases, as a suffix of a message.
pub(super) fn how_to_prepare<'a>(databases: impl IntoIterator<Item = &'a Arc<dyn Backend>>) -> String {
    let mut hints: Vec<_> = databases.into_iter().filter_map(|database| database.how_to_prepare()).collect();
    hints.dedup();
    if hints.is_empty() { String::new() } else { format!(" ({})", hints.join("; ")) }
}
