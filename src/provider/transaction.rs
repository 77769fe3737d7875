//! The databases of a transaction of several statements of a session.

#![expect(clippy::disallowed_types, reason = "a connection belongs to one statement of the transaction at a time")]

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use datafusion::common::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::{TryStreamExt, stream};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Capability, NoLedger, Protocol, Query};
use crate::error::{Error, Result};
use crate::manager::{
    EpochExtent, GroupName, JobSpec, Late, Member, Run, Transaction as GroupTransaction, TransactionManager,
};
use crate::pipeline::{OpenMember, Target};
use crate::provider::settings::how_to_prepare;
use crate::provider::spool::Spool;
use crate::txn::Subject;

/// A database with its branch; `None` if a statement uses it, or has failed.
type Slot = Arc<Mutex<Option<OpenMember>>>;

#[derive(Clone)]
struct Database {
    resource: Arc<dyn Backend>,
    number: u64,
    protocol: Protocol,
    capability: Capability,
    table: String,
    slot: Slot,
}

/// Whether a session is that of a transaction.
pub(crate) fn is_in_transaction(context: &SessionContext) -> bool {
    context.state_ref().read().config().get_extension::<OpenDatabases>().is_some()
}

/// The databases of a transaction, by their locations. An extension of the configuration of its session.
pub(crate) struct OpenDatabases {
    name: GroupName,
    manager: TransactionManager,
    /// The locations of the session's databases.
    known: HashSet<String>,
    /// Stops the queries that are still running when the transaction is rolled back.
    stop: CancellationToken,
    databases: DashMap<String, Database>,
    /// Of the database that cannot prepare.
    claim: Mutex<Option<Claim>>,
    next: AtomicU64,
    pub(super) rows: AtomicU64,
    failed: OnceLock<String>,
    has_ended: AtomicBool,
}

impl fmt::Debug for OpenDatabases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenDatabases({}, {} databases)", self.name.xid(0).gtrid, self.databases.len())
    }
}

impl OpenDatabases {
    /// A session like this one, whose statements are those of a transaction. `known` are the locations of its databases.
    ///
    /// # Errors
    /// `Config` in the session of a transaction.
    pub(crate) fn begin(context: &SessionContext, known: HashSet<String>) -> Result<(SessionContext, Arc<Self>)> {
        if is_in_transaction(context) {
            return Err(Error::config("a transaction is open: end it with COMMIT or ROLLBACK first"));
        }
        let mut state = context.state();
        let manager = state.config().get_extension::<TransactionManager>().unwrap_or_default();
        let open = Arc::new(Self {
            name: GroupName::draw(),
            manager: manager.of_statement(),
            known,
            stop: CancellationToken::new(),
            databases: DashMap::new(),
            claim: Mutex::default(),
            next: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            failed: OnceLock::new(),
            has_ended: AtomicBool::new(false),
        });
        state.config_mut().set_extension(Arc::clone(&open));
        Ok((SessionContext::new_with_state(state), open))
    }

    /// Whether it was committed or rolled back.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Relaxed)
    }

    /// No more statements may run.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Relaxed);
    }

    /// # Errors
    /// If a statement has failed, or the transaction has ended.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(why) = self.failed.get() {
            return Err(Error::config(format!(
                "the transaction has failed and was rolled back ({why}): end it with ROLLBACK, then run it again"
            )));
        }
        match self.has_ended.load(Relaxed) {
            true => Err(Error::config("the transaction has ended: begin another one")),
            false => Ok(()),
        }
    }

    /// The databases in the order of their first use.
    fn in_order(&self) -> Vec<Database> {
        let mut databases: Vec<_> = self.databases.iter().map(|entry| entry.value().clone()).collect();
        databases.sort_by_key(|database| database.number);
        databases
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
        let number = self.next.fetch_add(1, Relaxed);
        let first = self.in_order().into_iter().find(is_agent).filter(|_| protocol == Protocol::OnePhase);
        if let Some(first) = first {
            let how = how_to_prepare([&first.resource, &target.resource]);
            return Err(Error::config(format!(
                "{} and {location} cannot prepare transactions{how}, but a transaction can contain only one such \
                 database: write to one of them in a separate transaction",
                first.resource.location()
            )));
        }
        let (resource, table) = (Arc::clone(&target.resource), target.spec.table.clone());
        let slot = Slot::default();
        let capability = target.capability;
        let database = Database { resource, number, protocol, capability, table, slot: Arc::clone(&slot) };
        let mut guard = slot.lock_owned().await;
        self.claim_early(&database).await?;
        let xid = self.name.xid(number);
        let branch = target.resource.begin(&xid, protocol).await?;
        *guard = Some(OpenMember { xid, protocol, branch });
        self.databases.insert(location, database);
        Ok(guard)
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
                    "{} and {} are the same database: use one of the two names in the transaction",
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
                if read.is_ok() {
                    *member = Some(used);
                }
                read
            });
            let read = reading.await.map_err(|error| Error::internal(format!("reading failed: {error}")));
            match read.flatten() {
                Ok(spool) => Arc::new(spool).stream(),
                Err(error) => {
                    self.fail(&error).await;
                    Err(error.into())
                }
            }
        };
        Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(rows).try_flatten()))))
    }

    /// Rolls back after an error.
    pub(super) async fn fail(&self, error: &Error) {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().to_owned();
        if self.failed.set(first).is_ok() {
            self.roll_back().await;
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
        if let Some(Claim { run, .. }) = self.claim.lock().await.take() {
            run.abandon().await;
        }
    }

    /// Commits all statements.
    pub(crate) async fn commit(&self) -> Result<()> {
        self.end();
        let databases = self.in_order();
        let mut members = Vec::new();
        for database in &databases {
            let Some(OpenMember { xid, protocol, branch }) = database.slot.lock().await.take() else {
                self.roll_back().await;
                return Err(lost());
            };
            members.push(Member { resource: Arc::clone(&database.resource), xid, protocol, branch });
        }
        let is_alone = match members.as_mut_slice() {
            [] => return Ok(()),
            [only] => {
                only.protocol = Protocol::OnePhase;
                true
            }
            _ => false,
        };
        let claim = match self.claim.lock().await.take() {
            Some(claim) => claim,
            None => {
                let decides = databases.iter().find(|database| is_agent(database)).unwrap_or(&databases[0]);
                let claim = self.claim_in(decides).await?;
                if !is_alone {
                    claim.transaction.announce().await?;
                }
                claim
            }
        };
        let extent = EpochExtent { rows: self.rows.load(Relaxed), end: true, ..EpochExtent::default() };
        let committing = async move {
            let Claim { run, transaction } = claim;
            let committed = transaction.commit(members, extent).await;
            if is_alone {
                run.abandon().await;
            }
            committed
        };
        // The commit continues if its caller stops waiting.
        let committed = tokio::spawn(committing).await;
        self.manager.complete_late(Late::Over).await;
        committed.map_err(|error| Error::internal(format!("the commit task failed: {error}")))?
    }

    /// The log must contain the transaction before the other branches prepare. That of a database which always commits in
    /// one phase is locked as soon as the transaction writes to the database.
    async fn claim_early(&self, database: &Database) -> Result<()> {
        let mut claim = self.claim.lock().await;
        let location = database.resource.location();
        let never_prepares = |database: &Database| database.capability == Capability::OnePhase;
        if let Some(agent) = self.in_order().into_iter().find(never_prepares)
            && claim.is_none()
        {
            return Err(Error::config(format!(
                "{location} was not known at BEGIN, and {} has been written to: attach all databases before BEGIN",
                agent.resource.location()
            )));
        }
        if !never_prepares(database) || database.resource.decision_log().is_none() {
            return Ok(());
        }
        if self.known.iter().any(|known| *known != location) {
            database.resource.check_decides()?;
            let opened = self.claim_in(database).await?;
            opened.transaction.announce().await?;
            *claim = Some(opened);
        }
        Ok(())
    }

    /// Opens the transaction with its decision log, the ledger of a database.
    async fn claim_in(&self, database: &Database) -> Result<Claim> {
        let Database { resource, table, .. } = database;
        let log = resource.decision_log().unwrap_or_else(|| Arc::new(NoLedger { location: resource.location() }));
        let subject = Subject::from(table.as_str());
        let job_spec = JobSpec { log, job: None, subject, resources: vec![Arc::clone(resource)] };
        let mut run = self.manager.open_group(self.name, job_spec).await?;
        let transaction = run.begin();
        Ok(Claim { run, transaction })
    }
}

/// Whether a database cannot prepare.
fn is_agent(database: &Database) -> bool {
    database.protocol == Protocol::OnePhase
}

/// A transaction that is in its decision log, if several databases take part.
struct Claim {
    run: Run,
    transaction: GroupTransaction,
}

/// The error after a statement that was canceled.
pub(super) fn lost() -> Error {
    Error::config("a statement of the transaction was canceled, so the transaction was rolled back: run it again")
}
