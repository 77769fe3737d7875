//! The connection pool of all backends.
//!
//! A [`Lease`] is a borrowed connection. [`Lease::give_back`] returns it to the pool, and asserts that no transaction
//! is open in it. Dropping a lease closes the connection, so that another caller never receives an unfinished
//! transaction. Idle connections wait in a lock-free queue. A list holds all connections with the branches that they
//! serve, and a fair semaphore limits their number.

mod lease;
mod reaper;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use crossbeam_queue::SegQueue;
use dashmap::DashMap;
use tokio::runtime::{self, Handle};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, debug_span};

use lease::{Entry, Held};
pub use lease::{Lease, Loan};

pub use crate::options::PoolOptions;

use crate::error::{Error, ErrorKind, Result};
use crate::metrics::PoolMetrics;

/// The timeout of testing an idle connection. A connection that does not respond in time is replaced.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The timeout of closing a connection in an orderly way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens, tests and closes connections.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// The connection type.
    type Connection: Send + 'static;

    /// Opens a connection and sets up its session.
    async fn connect(&self) -> Result<Self::Connection>;

    /// Tests whether an idle connection can be used.
    async fn is_usable(&self, connection: &mut Self::Connection) -> bool;

    /// Closes a connection without an open transaction.
    async fn close(&self, connection: Self::Connection);

    /// The server's location, without a password.
    fn location(&self) -> String;
}

/// A pool of connections to one server. Clones share it. Idle connections close when the last clone is dropped.
pub struct Pool<C: Connect>(Arc<Shared<C>>);

struct Shared<C: Connect> {
    connect: C,
    options: PoolOptions,
    idle: SegQueue<Idle<C::Connection>>,
    /// All connections, idle ones too: lending one changes its entry, and not the map.
    entries: DashMap<u64, Arc<Entry>, foldhash::fast::RandomState>,
    /// One for each connection that is lent, or about to be.
    permits: Semaphore,
    /// One permit for each writing connection.
    writing: Semaphore,
    next_number: AtomicU64,
    /// The time from which the times of entries are counted.
    began: Instant,
    is_closed: AtomicBool,
    /// Whether a task maintains idle connections.
    is_kept: AtomicBool,
    /// Notified when a lease ends after the pool was closed.
    drained: Notify,
    metrics: PoolMetrics,
}

/// An idle connection.
struct Idle<T> {
    connection: T,
    facts: Facts,
    since: Instant,
}

/// The state of a connection.
struct Facts {
    entry: Arc<Entry>,
    opened: Instant,
    /// A connection cannot be used when the runtime that opened it is gone.
    runtime: Option<runtime::Id>,
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connect> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (idle, busy) = (self.idle(), self.busy());
        write!(f, "Pool({}, {idle} idle and {busy} busy of {})", self.0.connect.location(), self.0.options.max)
    }
}

impl<C: Connect> Pool<C> {
    /// Creates an empty pool.
    pub fn new(connect: C, options: PoolOptions) -> Self {
        let metrics = PoolMetrics::of(&connect.location());
        metrics.max.increment(options.max as f64);
        Self(Arc::new(Shared {
            connect,
            options,
            idle: SegQueue::new(),
            entries: DashMap::default(),
            permits: Semaphore::new(options.max),
            writing: Semaphore::new(options.most_writing()),
            next_number: AtomicU64::new(0),
            began: Instant::now(),
            is_closed: AtomicBool::new(false),
            is_kept: AtomicBool::new(false),
            drained: Notify::new(),
            metrics,
        }))
    }

    /// The connector.
    pub fn connector(&self) -> &C {
        &self.0.connect
    }

    /// The number of idle connections.
    pub fn idle(&self) -> usize {
        self.0.idle.len()
    }

    /// The number of connections in use, including those being opened.
    pub fn busy(&self) -> usize {
        self.0.options.max.saturating_sub(self.0.permits.available_permits())
    }

    /// The users of connections, the longest-held first.
    pub fn loans(&self) -> Vec<Loan> {
        let mut loans: Vec<_> = self.0.entries.iter().filter_map(|entry| entry.loan(self.0.began)).collect();
        loans.sort_by_key(|loan| loan.since);
        loans
    }

    /// Borrows an idle connection, or opens one if fewer than the maximum are open. Callers queue in the order in which
    /// they asked.
    ///
    /// # Errors
    /// `Unavailable` if no connection becomes free or the server does not respond within `acquire_timeout`, and if the
    /// pool is closed. Errors of connecting. Cancel safe: a dropped future borrows nothing.
    pub async fn acquire(&self) -> Result<Lease<C>> {
        let permit = self.permit(&self.0.permits, "").await?;
        self.take(Permits { one: Some(permit), writing: None }).await
    }

    /// Borrows a connection for writing, which is held until the end of the statement. Two connections are reserved for
    /// reading, so that a statement can also read.
    ///
    /// # Errors
    /// Like [`Pool::acquire`].
    pub async fn acquire_to_write(&self) -> Result<Lease<C>> {
        let writing = self.permit(&self.0.writing, " for writing").await?;
        let permit = self.permit(&self.0.permits, "").await?;
        self.take(Permits { one: Some(permit), writing: Some(writing) }).await
    }

    /// Borrows a connection to complete a prepared transaction, for which others may wait. It does not queue: if all
    /// connections are in use, it opens one more, which closes when it is returned.
    ///
    /// # Errors
    /// Like [`Pool::acquire`], except that it does not wait.
    pub async fn acquire_to_end(&self) -> Result<Lease<C>> {
        let one = match self.0.permits.try_acquire() {
            Ok(permit) => Some(permit),
            Err(TryAcquireError::Closed) => return Err(self.0.closed()),
            Err(TryAcquireError::NoPermits) => None,
        };
        self.take(Permits { one, writing: None }).await
    }

    /// Waits for one of the permits. `which` describes the connections in messages.
    async fn permit<'s>(&'s self, permits: &'s Semaphore, which: &str) -> Result<SemaphorePermit<'s>> {
        let shared = &self.0;
        match permits.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(TryAcquireError::Closed) => Err(shared.closed()),
            Err(TryAcquireError::NoPermits) => {
                shared.metrics.waits.increment(1);
                let began = Instant::now();
                let free = timeout(shared.options.acquire_timeout, permits.acquire()).await;
                shared.metrics.acquire.record(began.elapsed());
                free.map_err(|_| self.exhausted(which))?.map_err(|_| shared.closed())
            }
        }
    }

    async fn take(&self, permits: Permits<'_>) -> Result<Lease<C>> {
        let shared = &self.0;
        let runtime = Handle::try_current().ok().map(|handle| handle.id());
        while let Some(mut idle) = shared.take_idle() {
            let now = Instant::now();
            if idle.facts.runtime != runtime {
                shared.forget(&idle.facts);
                continue;
            }
            if shared.is_over(&idle, now) {
                shared.retire(idle);
                continue;
            }
            if now - idle.since >= shared.options.idle_check {
                let entry = shared.listed(&idle.facts);
                let check = timeout(CHECK_TIMEOUT, shared.connect.is_usable(&mut idle.connection));
                if !matches!(check.await, Ok(true)) {
                    continue;
                }
                entry.stays();
            }
            return self.lend(permits, idle.connection, idle.facts, now);
        }
        let began = Instant::now();
        let connection = self.connect(began).await?;
        let now = Instant::now();
        shared.metrics.acquire.record(now - began);
        self.lend(permits, connection, shared.enter(now), now)
    }

    /// Opens a connection outside the pool, for requests that cannot wait, such as cancelling another connection's
    /// statement.
    ///
    /// # Errors
    /// Like [`Pool::acquire`].
    pub async fn beside(&self) -> Result<C::Connection> {
        self.connect(Instant::now()).await
    }

    async fn connect(&self, began: Instant) -> Result<C::Connection> {
        let Shared { connect, options, metrics, .. } = &*self.0;
        let connected = connect.connect().instrument(debug_span!("connect", database = %connect.location()));
        let connected = timeout_at(began + options.acquire_timeout, connected).await;
        let connected = connected.map_err(|_| {
            let (location, waited) = (connect.location(), options.acquire_timeout);
            let text = format!("{location} did not respond within {waited:?}: check the host and the port");
            Error::new(ErrorKind::Unavailable, text)
        })??;
        metrics.opened.increment(1);
        Ok(connected)
    }

    fn lend(&self, permits: Permits<'_>, connection: C::Connection, facts: Facts, now: Instant) -> Result<Lease<C>> {
        let shared = &self.0;
        if shared.is_closed.load(Relaxed) {
            shared.forget(&facts);
            return Err(shared.closed());
        }
        let held = permits.hold();
        facts.entry.lend(now - shared.began);
        shared.metrics.busy.increment(1);
        if shared.options.min_idle > 0 {
            reaper::keep(shared);
        }
        Ok(Lease::new(connection, facts, held, Arc::clone(shared)))
    }

    /// Closes the idle connections. Connections in use stay open.
    pub async fn clear(&self) {
        let over: Vec<_> = std::iter::from_fn(|| self.0.take_idle()).collect();
        let close = over.into_iter().map(|Idle { connection, facts, .. }| {
            self.0.forget(&facts);
            timeout(CLOSE_TIMEOUT, self.0.connect.close(connection))
        });
        futures::future::join_all(close).await;
    }

    /// Closes the pool, and waits until all connections are returned and closed.
    pub async fn close(&self) {
        let shared = &self.0;
        shared.is_closed.store(true, Relaxed);
        shared.permits.close();
        shared.writing.close();
        while self.busy() > 0 {
            // A caller that stops waiting for a connection sends no notification.
            let _ = timeout(Duration::from_millis(50), shared.drained.notified()).await;
        }
        self.clear().await;
    }

    fn exhausted(&self, which: &str) -> Error {
        let Shared { connect, options, metrics, .. } = &*self.0;
        metrics.timeouts.increment(1);
        let longest = match self.loans().first() {
            Some(Loan { since, xid: Some(xid) }) => {
                format!("; branch {xid} has held a connection for {:?}", since.elapsed())
            }
            Some(Loan { since, xid: None }) => format!("; one connection has been in use for {:?}", since.elapsed()),
            None => String::new(),
        };
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "no connection{which} to {} became free within {:?} (maximum: {}{longest}): run fewer statements at the same time, \
                 or increase the option 'pool.max'",
                connect.location(),
                options.acquire_timeout,
                if which.is_empty() { options.max } else { options.most_writing() }
            ),
        )
    }
}

/// The permits of a lent connection.
struct Permits<'s> {
    one: Option<SemaphorePermit<'s>>,
    writing: Option<SemaphorePermit<'s>>,
}

impl Permits<'_> {
    /// The lease has them from now on, and gives them back.
    fn hold(self) -> Held {
        let held = Held { one: self.one.is_some(), writing: self.writing.is_some() };
        self.one.into_iter().chain(self.writing).for_each(SemaphorePermit::forget);
        held
    }
}

impl<C: Connect> Shared<C> {
    fn take_idle(&self) -> Option<Idle<C::Connection>> {
        let idle = self.idle.pop()?;
        self.metrics.idle.decrement(1);
        Some(idle)
    }

    fn put_idle(&self, idle: Idle<C::Connection>) {
        self.metrics.idle.increment(1);
        self.idle.push(idle);
    }

    /// Whether a connection is too old, or was idle for too long.
    fn is_over(&self, idle: &Idle<C::Connection>, now: Instant) -> bool {
        now - idle.facts.opened >= self.options.max_lifetime || now - idle.since >= self.options.idle_timeout
    }

    /// Lists a new connection.
    fn enter(&self, now: Instant) -> Facts {
        let number = self.next_number.fetch_add(1, Relaxed);
        let entry = Arc::new(Entry::new(number));
        self.entries.insert(number, Arc::clone(&entry));
        Facts { entry, opened: now, runtime: Handle::try_current().ok().map(|handle| handle.id()) }
    }

    /// Takes a connection off the list.
    fn forget(&self, facts: &Facts) {
        self.entries.remove(&facts.entry.number);
    }

    /// Takes a connection off the list when this is dropped, unless it stays.
    fn listed(&self, facts: &Facts) -> Listed<'_, C> {
        Listed { shared: self, number: Some(facts.entry.number) }
    }

    /// Closes an idle connection in the background.
    fn retire(self: &Arc<Self>, idle: Idle<C::Connection>) {
        self.forget(&idle.facts);
        let shared = Arc::clone(self);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                // Whether the server hears it does not matter.
                let _ = timeout(CLOSE_TIMEOUT, shared.connect.close(idle.connection)).await;
            })),
            // Without a goodbye.
            Err(_) => drop(idle),
        }
    }

    fn closed(&self) -> Error {
        Error::new(ErrorKind::Unavailable, format!("the pool of connections to {} is closed", self.connect.location()))
    }
}

impl<C: Connect> Drop for Shared<C> {
    fn drop(&mut self) {
        self.metrics.max.decrement(self.options.max as f64);
        self.metrics.idle.decrement(self.idle.len() as f64);
    }
}

/// A connection whose check may be given up.
struct Listed<'a, C: Connect> {
    shared: &'a Shared<C>,
    number: Option<u64>,
}

impl<C: Connect> Listed<'_, C> {
    fn stays(mut self) {
        self.number = None;
    }
}

impl<C: Connect> Drop for Listed<'_, C> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.entries.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests;
