//! The databases of a transaction of several statements of a session.

#![expect(
    clippy::disallowed_types,
    reason = "a connection belongs to one statement of the transaction at a time, and statements are few"
)]

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use datafusion::common::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::{TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Capability, DecisionLog, Protocol, Query, Savepoint};
use crate::error::{Error, Result};
use crate::manager::{GroupName, Run, Transaction as GroupTransaction, TransactionManager};
use crate::options::{Isolation, SinkOptions, TransactionOptions};
use crate::pipeline::{OpenMember, Target};
use crate::provider::cluster::OnCluster;
use crate::provider::settings::how_to_prepare;
use crate::provider::spool::Spool;
use crate::provider::transaction_job::TransactionJob;
use crate::provider::transaction_progress::Progress;
use crate::registry::decision_log;
use crate::txn::{JobId, StatementId};

/// A database with its branch; `None` if a statement uses it, or has failed.
pub(super) type Slot = Arc<Mutex<Option<OpenMember>>>;

#[derive(Clone)]
pub(super) struct Database {
    pub(super) resource: Arc<dyn Backend>,
    number: u64,
    pub(super) protocol: Protocol,
    pub(super) capability: Capability,
    pub(super) table: String,
    pub(super) slot: Slot,
}

/// Whether a session is that of a transaction.
pub(crate) fn is_in_transaction(context: &SessionContext) -> bool {
    context.state_ref().read().config().get_extension::<OpenDatabases>().is_some()
}

/// How a transaction begins.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    pub(super) known: Known,
    pub(super) isolation: Option<Isolation>,
    /// The name of its job.
    pub(super) job: Option<JobId>,
    /// The decision log, if it is not a ledger of its databases.
    pub(super) log: Option<Arc<dyn DecisionLog>>,
}

/// The databases that can take part.
#[derive(Clone)]
pub(super) enum Known {
    /// Those of a session.
    Session(Box<SessionContext>),
    /// Those at these locations.
    Locations(HashSet<String>),
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(_) => f.write_str("Session"),
            Self::Locations(locations) => locations.fmt(f),
        }
    }
}

/// The databases of a transaction, by their locations. An extension of the configuration of its session.
pub(crate) struct OpenDatabases {
    pub(super) name: GroupName,
    pub(super) manager: TransactionManager,
    pub(super) beginning: Beginning,
    /// Stops the queries that are still running when the transaction is rolled back.
    stop: CancellationToken,
    databases: DashMap<String, Database>,
    /// Of a job from its first statement on, and of the database that cannot prepare.
    pub(super) claim: Mutex<Option<Claim>>,
    /// The job, from its first statement on.
    pub(super) job: Mutex<Option<TransactionJob>>,
    next: AtomicU64,
    savepoint_count: AtomicU64,
    pub(super) rows: AtomicU64,
    progress: StdMutex<Progress>,
}

impl fmt::Debug for OpenDatabases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenDatabases({}, {} databases)", self.name.xid(0).gtrid, self.databases.len())
    }
}

impl OpenDatabases {
    /// A session like this one, whose statements are those of a transaction.
    ///
    /// # Errors
    /// `Config` in the session of a transaction, and for a log that cannot be used. `Unsupported` in a session of a cluster.
    pub(crate) fn begin(context: &SessionContext, options: TransactionOptions) -> Result<(SessionContext, Arc<Self>)> {
        if is_in_transaction(context) {
            return Err(Error::config("a transaction is open: end it with COMMIT or ROLLBACK first"));
        }
        let mut state = context.state();
        OnCluster::check_begin(state.config())?;
        let manager = state.config().get_extension::<TransactionManager>().unwrap_or_default();
        let TransactionOptions { isolation, job, log, idle_timeout } = options;
        let log = log.map(|url| decision_log(&url, &SinkOptions::new())).transpose()?;
        let known = Known::Session(Box::new(context.clone()));
        let open = Self::open(&manager, Beginning { known, isolation, job, log });
        if let Some(timeout) = idle_timeout {
            tokio::spawn(end_if_idle(Arc::downgrade(&open), timeout));
        }
        state.config_mut().set_extension(Arc::clone(&open));
        Ok((SessionContext::new_with_state(state), open))
    }

    /// Begins a transaction.
    pub(super) fn open(manager: &TransactionManager, beginning: Beginning) -> Arc<Self> {
        Arc::new(Self {
            name: GroupName::draw(),
            manager: manager.of_statement(),
            beginning,
            stop: CancellationToken::new(),
            databases: DashMap::new(),
            claim: Mutex::default(),
            job: Mutex::default(),
            next: AtomicU64::new(0),
            savepoint_count: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            progress: StdMutex::default(),
        })
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was committed or rolled back.
    pub(crate) fn has_ended(&self) -> bool {
        self.progress().has_ended
    }

    /// No more statements may run.
    pub(crate) fn end(&self) {
        self.progress().has_ended = true;
    }

    /// Whether its job was committed before, so that its statements write nothing.
    pub(crate) fn is_finished(&self) -> bool {
        self.progress().is_finished
    }

    /// Why it has failed.
    pub(crate) fn failure(&self) -> Option<String> {
        self.progress().failed.clone()
    }

    pub(super) fn is_job(&self) -> bool {
        self.beginning.job.is_some()
    }

    /// # Errors
    /// If a statement has failed, or the transaction has ended.
    pub(crate) fn check(&self) -> Result<()> {
        self.progress().check()
    }

    /// The number of a new savepoint.
    pub(super) fn next_savepoint(&self) -> u64 {
        self.savepoint_count.fetch_add(1, Relaxed)
    }

    /// The time since it was used; zero if a statement uses one of its databases.
    fn idle_time(&self) -> Duration {
        if self.databases.iter().any(|database| database.slot.try_lock().is_err()) {
            self.progress().used = Some(Instant::now());
        }
        self.progress().used.get_or_insert_with(Instant::now).elapsed()
    }

    /// The databases in the order of their first use.
    pub(super) fn in_order(&self) -> Vec<Database> {
        let mut databases: Vec<_> = self.databases.iter().map(|entry| entry.value().clone()).collect();
        databases.sort_by_key(|database| database.number);
        databases
    }

    /// Adds a statement to the job, if the transaction is one. Returns whether the statement must be run.
    pub(super) async fn add_to_job(
        &self,
        table: &str,
        statement: StatementId,
        databases: &[&Arc<dyn Backend>],
    ) -> Result<bool> {
        let (Some(name), [first, ..]) = (&self.beginning.job, databases) else { return Ok(true) };
        let mut job = self.job.lock().await;
        let job = match job.as_mut() {
            Some(job) => job,
            None => {
                let (opened, run) =
                    TransactionJob::open(name.clone(), self.beginning.log.clone(), first, &self.manager).await?;
                self.progress().is_finished = opened.is_finished();
                *self.claim.lock().await = run.map(|mut run| Claim { transaction: run.begin(), run });
                job.insert(opened)
            }
        };
        for database in databases {
            job.join(database, &self.manager).await?;
        }
        job.add(table, statement)?;
        Ok(!job.is_finished())
    }

    /// The branch of a target, which is begun at its first use.
    pub(super) async fn member(&self, target: &Target) -> Result<OwnedMutexGuard<Option<OpenMember>>> {
        let location = target.resource.location();
        if let Some(database) = self.databases.get(&location).map(|entry| entry.value().clone()) {
            return Ok(database.slot.lock_owned().await);
        }
        let protocol = match target.capability.prepares() {
            true => Protocol::TwoPhase,
            false => Protocol::OnePhase,
        };
        self.check_new(target).await?;
        if protocol == Protocol::OnePhase {
            self.check_agent(target).await?;
        }
        let number = self.next.fetch_add(1, Relaxed);
        let (resource, table) = (Arc::clone(&target.resource), target.spec.table.clone());
        let slot = Slot::default();
        let capability = target.capability;
        let database = Database { resource, number, protocol, capability, table, slot: Arc::clone(&slot) };
        let mut guard = slot.lock_owned().await;
        if !self.is_job() {
            self.claim_early(&database).await?;
        }
        let xid = match self.claim.lock().await.as_ref() {
            Some(claim) => claim.transaction.xid(number),
            None => self.name.xid(number),
        };
        let mut branch = target.resource.begin(&xid, protocol, self.beginning.isolation).await?;
        let savepoints: Vec<_> = self.progress().savepoints.iter().map(|savepoint| savepoint.number).collect();
        for number in savepoints {
            branch.savepoint(Savepoint::Set(number)).await?;
        }
        *guard = Some(OpenMember { xid, protocol, branch });
        self.databases.insert(location, database);
        Ok(guard)
    }

    /// Refuses a database that cannot prepare, if the decision cannot be stored with its rows.
    async fn check_agent(&self, target: &Target) -> Result<()> {
        let (resource, location) = (&target.resource, target.resource.location());
        if let Some(first) = self.in_order().into_iter().find(is_agent) {
            let how = how_to_prepare([&first.resource, resource]);
            return Err(Error::config(format!(
                "{} and {location} cannot prepare transactions{how}, but a transaction can contain only one such \
                 database: write to one of them in a separate transaction",
                first.resource.location()
            )));
        }
        let how = how_to_prepare([resource]);
        match self.job.lock().await.as_ref() {
            _ if self.beginning.log.is_some() => Err(Error::config(format!(
                "{location} cannot prepare transactions{how}, so the decision to commit is stored in the same \
                 transaction as the rows, and cannot be stored in a separate log: remove the option 'log'"
            ))),
            Some(job) if !job.is_recorded_in(resource.as_ref()) => Err(Error::config(format!(
                "{location} cannot prepare transactions{how}, so it must contain the decision log of job '{}'; the log \
                 is in the database to which the transaction writes first: write to {location} first",
                job.job
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a database that takes part under another name: each would wait for the other's locks.
    async fn check_new(&self, target: &Target) -> Result<()> {
        let databases = self.in_order();
        if databases.is_empty() {
            return Ok(());
        }
        let identity = target.resource.identity().await?;
        for database in databases {
            if database.resource.identity().await? == identity {
                return Err(Error::config(format!(
                    "{} and {} are the same database: use only one of the two names in the transaction",
                    database.resource.location(),
                    target.resource.location()
                )));
            }
        }
        Ok(())
    }

    pub(super) fn slot(&self, location: &str) -> Option<Slot> {
        self.databases.get(location).map(|entry| Arc::clone(&entry.value().slot))
    }

    /// Reads a query in the branch of a database that takes part; `None` for any other.
    pub(super) fn read(
        self: Arc<Self>,
        location: &str,
        query: Query,
        context: Arc<TaskContext>,
        metrics: ExecutionPlanMetricsSet,
    ) -> DfResult<Option<SendableRecordBatchStream>> {
        self.check()?;
        let Some(slot) = self.slot(location) else { return Ok(None) };
        let schema = Arc::clone(&query.schema);
        let rows = async move {
            let open = Arc::clone(&self);
            // It continues if its reader needs no more rows: the connection can be used again when all rows are read.
            let reading = tokio::spawn(async move {
                let mut member = slot.lock().await;
                let mut used = member.take().ok_or_else(lost)?;
                let read = tokio::select! {
                    biased;
                    () = open.stop.cancelled() => Err(lost()),
                    read = Spool::read(used.branch.as_mut(), &query, &context, &metrics) => read,
                };
                if read.is_ok() || open.has_savepoints() && !open.stop.is_cancelled() {
                    *member = Some(used);
                }
                read
            });
            let read = reading.await.map_err(|error| Error::internal(format!("reading failed: {error}")));
            match read.flatten() {
                Ok(spool) => Arc::new(spool).stream(),
                Err(error) => {
                    let databases = self.in_order().len();
                    self.fail(&error).await;
                    Err(error.of_transaction(databases).into())
                }
            }
        };
        Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(rows).try_flatten()))))
    }

    /// Rolls back after an error: to the last savepoint, or everything.
    pub(super) async fn fail(&self, error: &Error) {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().to_owned();
        if self.progress().failed.is_some() {
            return;
        }
        self.progress().failed = Some(first);
        let can_return = self.return_to_last_savepoint().await;
        self.progress().can_return = can_return;
        if !can_return {
            self.roll_back().await;
        }
    }

    /// Rolls all statements back, in a task of the runtime. Without a runtime, the connections are closed, which does the same.
    pub(crate) fn give_up(self: &Arc<Self>) {
        if let Ok(runtime) = Handle::try_current() {
            let open = Arc::clone(self);
            open.end();
            runtime.spawn(async move { open.roll_back().await });
        }
    }

    /// Rolls all statements back.
    pub(crate) async fn roll_back(&self) {
        self.end();
        self.stop.cancel();
        for database in self.in_order() {
            if let Some(member) = database.slot.lock().await.take() {
                let _ = member.branch.rollback().await;
            }
        }
        self.databases.clear();
        self.job.lock().await.take();
        if let Some(Claim { run, .. }) = self.claim.lock().await.take() {
            run.abandon().await;
        }
    }
}

/// Whether a database cannot prepare.
pub(super) fn is_agent(database: &Database) -> bool {
    database.protocol == Protocol::OnePhase
}

/// A transaction that is in its decision log, if several databases take part.
pub(super) struct Claim {
    pub(super) run: Run,
    pub(super) transaction: GroupTransaction,
}

/// The error after a statement that was canceled.
pub(super) fn lost() -> Error {
    Error::config(
        "a statement of the transaction was canceled, so the transaction was rolled back: run the transaction again",
    )
}

/// Rolls a transaction back that is not used for some time.
async fn end_if_idle(open: Weak<OpenDatabases>, timeout: Duration) {
    loop {
        let Some(open) = open.upgrade() else { return };
        if open.has_ended() {
            return;
        }
        let left = timeout.saturating_sub(open.idle_time());
        if left.is_zero() {
            let why = format!("no statement was run for {timeout:?}, the value of the option 'idle_timeout'");
            open.progress().failed.get_or_insert(why);
            open.progress().can_return = false;
            open.roll_back().await;
            return;
        }
        drop(open);
        tokio::time::sleep(left).await;
    }
}
