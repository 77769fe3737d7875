//! The global transaction of one epoch, and its branches.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use log::warn;
use serde_json::Value;
use tracing::{Instrument, debug_span};

use super::claimed::{Claimed, Mentioned};
use super::late::LateTransaction;
use crate::backend::failpoint::failpoint;
use crate::backend::{Backend, Branch, DecisionLog, Outcome, Protocol, Vote};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Phase;
use crate::txn::{Action, Decision, DecisionRecord, Epoch, Event, Gtrid, Positions, State, Subject, Xid};

/// A branch and its database.
pub struct Member {
    /// The database.
    pub resource: Arc<dyn Backend>,
    /// Its name in the database.
    pub xid: Xid,
    /// The protocol with which it was started. At most one branch of a transaction uses one-phase commit.
    pub protocol: Protocol,
    /// The open branch.
    pub branch: Box<dyn Branch>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({} in {})", self.xid, self.resource.location())
    }
}

/// The number of epochs after which old records are removed. Each removal costs a transaction of the log.
const CLEANED_EVERY: u64 = 4;

/// The part of a job's input that a committed epoch covers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EpochExtent {
    /// The number of rows of the epoch.
    pub rows: u64,
    /// The number of rows of earlier epochs.
    pub before: u64,
    /// Whether the input ends with this epoch.
    pub end: bool,
    /// The position after its last row; `None` if the input cannot resume.
    pub input: Option<Value>,
    /// What was written, if it was not known when the job was opened.
    pub subject: Option<Subject>,
    /// The number of rows up to its end that were set aside, because they cannot be stored.
    pub rejected: u64,
}

/// The transaction of one epoch.
#[derive(Debug)]
pub struct Transaction {
    claimed: Arc<Claimed>,
    epoch: Epoch,
}

impl Transaction {
    pub(super) fn new(claimed: Arc<Claimed>, epoch: Epoch) -> Self {
        Self { claimed, epoch }
    }

    /// The epoch that it writes.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The name of a branch.
    pub fn xid(&self, bqual: u64) -> Xid {
        Xid { gtrid: self.gtrid(), bqual }
    }

    /// Stores a statement without a job in the log, so that its branches can be recovered. Call it before the first
    /// branch is prepared. Does nothing for a job, which the log already contains.
    pub async fn announce(&self) -> Result<()> {
        self.claimed.announce().await
    }

    /// Commits all branches of the epoch, or none. Without branches, it only stores the record. Not cancel safe: if the
    /// future is dropped, prepared branches wait for recovery.
    ///
    /// # Errors
    /// `Fenced` if another run took the job over, or the error of the first branch that failed: nothing was written.
    /// `InDoubt` if the log is unavailable, or the database of a branch after the decision: the message says what to do.
    pub async fn commit(self, members: Vec<Member>, covered: EpochExtent) -> Result<()> {
        let one_phase = |member: &Member| member.protocol == Protocol::OnePhase;
        let (mut agents, members): (Vec<_>, Vec<_>) = members.into_iter().partition(one_phase);
        let agent = agents.pop();
        if let Some(second) = agents.first() {
            let text = format!("{} is a second database that uses one-phase commit", second.resource.location());
            let all = members.into_iter().chain(agents).chain(agent);
            join_all(all.map(|member| member.branch.rollback())).await;
            return Err(Error::internal(text));
        }
        match agent {
            // A single branch without a job needs no decision.
            Some(only) if members.is_empty() && self.claimed.job_spec.job.is_none() => {
                let committing =
                    only.branch.commit_one_phase(None).instrument(debug_span!("commit", branch = %only.xid));
                match self.timed(Phase::Commit, committing).await? {
                    Outcome::Committed => Ok(()),
                    Outcome::Fenced(by) => Err(fenced(&by, &self.gtrid())),
                }
            }
            agent => Driven::new(&self, &covered, &members).drive(members, agent).await,
        }
    }

    /// Commits the branch that cannot prepare. Returns the record that stands.
    async fn commit_last_agent(&self, agent: Member, covered: &EpochExtent) -> Result<DecisionRecord> {
        failpoint("last_agent.before");
        let record = self.record(covered);
        let committing = agent.branch.commit_one_phase(Some(record.clone()));
        let committing = committing.instrument(debug_span!("commit", branch = %agent.xid));
        let stands = match self.timed(Phase::Commit, committing).await? {
            Outcome::Committed => record,
            Outcome::Fenced(by) => *by,
        };
        failpoint("last_agent.after");
        Ok(stands)
    }

    /// Completes every branch. Returns whether all are complete. Recovery rolls back a branch whose database is unavailable.
    async fn complete(&self, decision: Decision, branches: &[(Arc<dyn Backend>, Xid)]) -> Result<bool> {
        let retry = self.claimed.manager.retry();
        let mut telling: FuturesUnordered<_> = branches
            .iter()
            .map(async |(resource, xid)| {
                let done = match decision {
                    Decision::Commit => retry.with(|| resource.commit(xid)).await,
                    // Only the error waits for it; recovery completes the other branches.
                    Decision::Abort => retry.short().with(|| resource.rollback(xid)).await,
                };
                done.map_err(|error| (Arc::clone(resource), error))
            })
            .collect();
        let mut untold: Vec<(Arc<dyn Backend>, Error)> = Vec::new();
        while let Some(done) = telling.next().await {
            failpoint("complete.one");
            untold.extend(done.err());
        }
        failpoint("complete.all");
        let Some((_, error)) = untold.first() else { return Ok(true) };
        let commands = self.commands(untold.iter().map(|(resource, _)| resource), "");
        if decision == Decision::Abort {
            warn!("could not roll back prepared branches ({error}); the branches hold locks until you run: {commands}");
            return Ok(false);
        }
        let text = format!(
            "the decision is to commit the transaction, but {} of {} branches could not be committed yet ({error}); do \
             not write the rows again, because the rows become visible after you run: {commands}",
            untold.len(),
            branches.len()
        );
        Err(Error::new(ErrorKind::InDoubt, text))
    }

    fn in_doubt(&self, branches: &[(Arc<dyn Backend>, Xid)], failed: Option<Error>) -> Error {
        // This run has ended, so recovery need not wait for it.
        let commands = self.commands(branches.iter().map(|(resource, _)| resource), " --older-than 0s");
        let job = match &self.claimed.job_spec.job {
            Some(job) => format!(", or run job '{job}' again"),
            None => String::new(),
        };
        let url = self.claimed.job_spec.log.url();
        let text = match branches.is_empty() {
            true => format!(
                "the outcome of the commit is unknown, because the decision log {url} could not be read: check \
                 whether the rows are stored in the table{job}"
            ),
            false => format!(
                "the decision is unknown, because the decision log {url} could not be read, so {} branches remain \
                 prepared. When the log is available again, run: {commands}{job}",
                branches.len()
            ),
        };
        let error = Error::new(ErrorKind::InDoubt, text);
        match failed {
            Some(failed) => error.with_source(failed),
            None => error,
        }
    }

    fn commands<'a>(&self, resources: impl Iterator<Item = &'a Arc<dyn Backend>>, more: &str) -> String {
        recover_commands(self.claimed.job_spec.log.as_ref(), resources, more)
    }

    /// Runs `act`, and records its duration.
    async fn timed<T>(&self, phase: Phase, act: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = act.await;
        self.claimed.phases.spent(phase, began.elapsed());
        done
    }

    fn gtrid(&self) -> Gtrid {
        self.claimed.gtrid(self.epoch)
    }

    /// The record that commits the epoch.
    fn record(&self, covered: &EpochExtent) -> DecisionRecord {
        let EpochExtent { rows, before, end, input, subject, rejected } = covered.clone();
        let subject = subject.unwrap_or_else(|| self.claimed.job_spec.subject.clone());
        DecisionRecord {
            decision: Decision::Commit,
            rows,
            positions: Positions { subject, end, before, rejected, input, branches: None },
            ..self.claimed.abort(self.epoch)
        }
    }
}

/// A transaction that is being completed.
struct Driven<'t> {
    transaction: &'t Transaction,
    covered: &'t EpochExtent,
    /// The branches to complete.
    branches: Vec<(Arc<dyn Backend>, Xid)>,
    /// The reason why it is not committed.
    failed: Option<Error>,
    /// Whether every branch is complete.
    all_told: bool,
    /// The databases of the branches, if one may appear later.
    late: Vec<Arc<dyn Backend>>,
}

impl<'t> Driven<'t> {
    fn new(transaction: &'t Transaction, covered: &'t EpochExtent, members: &[Member]) -> Self {
        let branches = members.iter().map(|member| (Arc::clone(&member.resource), member.xid)).collect();
        Self { transaction, covered, branches, failed: None, all_told: true, late: Vec::new() }
    }

    /// Follows [`State::next`].
    async fn drive(mut self, members: Vec<Member>, mut agent: Option<Member>) -> Result<()> {
        let mut state = State::Active;
        let mut event = self.prepare(members, agent.is_some()).await;
        loop {
            let Some((next, action)) = state.next(event) else {
                return Err(Error::internal(format!("the protocol has no step for {event:?} in {state:?}")));
            };
            state = next;
            let claimed = &self.transaction.claimed;
            claimed.manager.note(&claimed.key, state);
            event = match (action, agent.take()) {
                (Action::CommitLastAgent, Some(agent)) => self.commit_last_agent(agent).await,
                (Action::CommitLastAgent, None) => return Err(Error::internal("there is no last agent")),
                (Action::Decide(decision), agent) => {
                    if let Some(agent) = agent {
                        // The first error is reported; a failing rollback adds nothing to it.
                        let _ = agent.branch.rollback().await;
                    }
                    self.decide(decision, state).await
                }
                (Action::Complete(decision), _) => self.complete(decision).await?,
                (Action::Leave, _) => {
                    self.branches.iter().for_each(|(resource, xid)| resource.leave(xid));
                    return Err(self.transaction.in_doubt(&self.branches, self.failed));
                }
                (Action::End, _) => return self.end(state).await,
            };
        }
    }

    async fn prepare(&mut self, members: Vec<Member>, has_agent: bool) -> Event {
        let prepared = prepare_all(members).instrument(debug_span!("prepare", branches = self.branches.len()));
        match (self.transaction.timed(Phase::Prepare, prepared).await, has_agent) {
            (Ok(read_only), has_agent) => {
                self.branches.retain(|(_, xid)| !read_only.contains(xid));
                if has_agent { Event::ReadyForLastAgent } else { Event::Ready }
            }
            (Err((error, is_lost)), _) => {
                // A branch whose connection was lost can appear as prepared later, so the log keeps its record.
                if is_lost {
                    self.all_told = false;
                    self.late = self.branches.iter().map(|(resource, _)| Arc::clone(resource)).collect();
                }
                self.failed = Some(error);
                Event::Refused
            }
        }
    }

    async fn commit_last_agent(&mut self, agent: Member) -> Event {
        match self.transaction.commit_last_agent(agent, self.covered).await {
            Ok(stands) => self.stands(&stands),
            Err(error) if error.kind() == ErrorKind::InDoubt => {
                let text = "the connection was lost during the commit, and the rows of the transaction were not \
                            written: run the statement again";
                self.failed = Some(Error::new(ErrorKind::Unavailable, text).with_source(error));
                Event::Silent
            }
            Err(error) => {
                self.failed = Some(error);
                Event::Refused
            }
        }
    }

    /// Proposes a decision to the log.
    async fn decide(&mut self, decision: Decision, state: State) -> Event {
        let Transaction { claimed, epoch } = self.transaction;
        let proposal = match decision {
            Decision::Commit => self.transaction.record(self.covered),
            Decision::Abort => claimed.abort(*epoch),
        };
        let decide = || claimed.job_spec.log.decide(proposal.clone());
        let stands = async {
            match state {
                // A single attempt is enough, because nothing waits for it.
                State::Refusing => decide().await,
                _ => {
                    failpoint("decide.before");
                    claimed.manager.retry().with(decide).await
                }
            }
        };
        let stands = stands.instrument(debug_span!("decide", decision = decision.as_str()));
        match self.transaction.timed(Phase::Decide, stands).await {
            Ok(stands) => {
                failpoint("decide.after");
                self.stands(&stands)
            }
            Err(error) => {
                self.failed.get_or_insert(error);
                Event::Silent
            }
        }
    }

    /// The event for this transaction if this record stands.
    fn stands(&mut self, stands: &DecisionRecord) -> Event {
        let own = self.transaction.gtrid();
        let verdict = stands.decision_for(&own);
        if verdict == Decision::Abort {
            self.failed.get_or_insert_with(|| fenced(stands, &own));
        }
        Event::Stands(verdict)
    }

    async fn complete(&mut self, decision: Decision) -> Result<Event> {
        failpoint("complete.before");
        let telling = self.transaction.complete(decision, &self.branches);
        let telling = telling.instrument(debug_span!("complete", decision = decision.as_str()));
        self.all_told &= self.transaction.timed(Phase::Commit, telling).await?;
        Ok(Event::Completed)
    }

    /// Removes the records that are no longer needed.
    async fn end(self, state: State) -> Result<()> {
        let Transaction { claimed, epoch } = self.transaction;
        match (matches!(state, State::Ended(Decision::Commit)), self.failed) {
            (true, _) => {
                let before = (!self.covered.end || claimed.job_spec.job.is_some()).then_some(*epoch);
                match self.covered.end {
                    true => claimed.clean(before, Mentioned::Yes).await,
                    // The next epoch reports a lost log.
                    false if epoch.0.is_multiple_of(CLEANED_EVERY) => claimed.clean(before, Mentioned::No).await,
                    false => {}
                }
                Ok(())
            }
            (false, Some(error)) => {
                if !self.late.is_empty() {
                    let commands = self.transaction.commands(self.late.iter(), "");
                    let (job, job_spec) = (claimed.job.clone(), claimed.job_spec.clone());
                    let gtrid = self.transaction.gtrid();
                    let late = LateTransaction { job, gtrid, job_spec, commands };
                    claimed.manager.late.insert(gtrid, Arc::new(late));
                }
                if self.all_told {
                    claimed.clean(None, Mentioned::No).await;
                }
                Err(error)
            }
            (false, None) => Err(Error::internal("the epoch was aborted without an error")),
        }
    }
}

/// The commands that recover branches in these databases, each with `more` at its end.
pub(super) fn recover_commands<'a>(
    log: &dyn DecisionLog,
    resources: impl Iterator<Item = &'a Arc<dyn Backend>>,
    more: &str,
) -> String {
    let table = log.ledger_table().map(|table| format!(" --ledger-table {}", quoted(&table))).unwrap_or_default();
    let log = log.url();
    let mut commands: Vec<_> = resources
        .map(|resource| match resource.url() {
            url if url == log => format!("landfall recover {}{table}{more}", quoted(&url)),
            url => format!("landfall recover {} --log {}{table}{more}", quoted(&url), quoted(&log)),
        })
        .collect();
    commands.sort();
    commands.dedup();
    commands.join(" && ")
}

/// Quotes an argument of a shell command.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Prepares all branches in parallel. Returns the read-only branches, or the first error and whether a connection was
/// lost.
async fn prepare_all(members: Vec<Member>) -> Result<Vec<Xid>, (Error, bool)> {
    failpoint("prepare.before");
    let mut voting: FuturesUnordered<_> =
        members.into_iter().map(async |member| (member.xid, member.branch.prepare().await)).collect();
    let (mut read_only, mut failed, mut is_lost) = (Vec::new(), None, false);
    while let Some((xid, vote)) = voting.next().await {
        failpoint("prepare.one");
        match vote {
            Ok(Vote::Prepared) => {}
            Ok(Vote::ReadOnly) => read_only.push(xid),
            Err(error) => {
                is_lost |= error.kind() == ErrorKind::Unavailable;
                failed.get_or_insert(error);
            }
        }
    }
    failpoint("prepare.all");
    match failed {
        None => Ok(read_only),
        Some(error) => Err((error, is_lost)),
    }
}

/// The error of a run that must not commit.
pub(super) fn fenced(by: &DecisionRecord, own: &Gtrid) -> Error {
    let text = match by.gtrid == *own {
        true => {
            "recovery assumed that this run had crashed, and rolled back its transaction; the uncommitted rows of this \
             run were not written: run the statement again"
                .to_owned()
        }
        false => format!(
            "another run of job '{}' took over (transaction {} decided epoch {}); the uncommitted rows of this run \
             were not written: check the other run, or run the statement again when the other run has ended",
            by.job, by.gtrid, by.epoch
        ),
    };
    Error::new(ErrorKind::Fenced, text)
}
