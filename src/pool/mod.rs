//! Connections that are kept, lent and bounded: what all backends connect by.
//!
//! A [`Lease`] is a connection that somebody has. It goes back by [`Lease::give_back`] only, which says that nothing is
//! open in it; one that is dropped is closed: a transaction that broke, or that nobody drove to its end, never comes back
//! to another. Idle connections stand in a queue without locks, all of them in a list with the branch that they serve, and a
//! fair semaphore bounds them.

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

/// How long a check of an idle connection may take: one that does not answer is not better than a new one.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a goodbye may take before the connection is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens, checks and closes connections.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// What is lent.
    type Connection: Send + 'static;

    /// A new connection, with its session set up.
    async fn connect(&self) -> Result<Self::Connection>;

    /// Whether a connection that was idle can be used.
    async fn is_usable(&self, connection: &mut Self::Connection) -> bool;

    /// Ends a connection that has nothing open.
    async fn close(&self, connection: Self::Connection);

    /// The server, without a password.
    fn location(&self) -> String;
}

/// Connections of one server; clones share them. What nobody uses is closed with the last clone.
pub struct Pool<C: Connect>(Arc<Shared<C>>);

struct Shared<C: Connect> {
    connect: C,
    options: PoolOptions,
    idle: SegQueue<Idle<C::Connection>>,
    /// All connections, idle ones too: lending one changes its entry, and not the map.
    entries: DashMap<u64, Arc<Entry>, foldhash::fast::RandomState>,
    /// One for each connection that is lent, or about to be.
    permits: Semaphore,
    /// One more for each of those that write.
    writing: Semaphore,
    next_number: AtomicU64,
    /// What the times of entries are counted from.
    began: Instant,
    is_closed: AtomicBool,
    /// Whether a task looks after idle connections.
    is_kept: AtomicBool,
    /// Told when a lease ends after the pool was closed.
    drained: Notify,
    metrics: PoolMetrics,
}

/// A connection that nobody has.
struct Idle<T> {
    connection: T,
    facts: Facts,
    since: Instant,
}

/// What is known of a connection.
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
    /// A pool without a connection.
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

    /// What opens its connections.
    pub fn connector(&self) -> &C {
        &self.0.connect
    }

    /// How many connections wait to be used.
    pub fn idle(&self) -> usize {
        self.0.idle.len()
    }

    /// How many are lent, or about to be.
    pub fn busy(&self) -> usize {
        self.0.options.max.saturating_sub(self.0.permits.available_permits())
    }

    /// Who has connections, the longest first.
    pub fn loans(&self) -> Vec<Loan> {
        let mut loans: Vec<_> = self.0.entries.iter().filter_map(|entry| entry.loan(self.0.began)).collect();
        loans.sort_by_key(|loan| loan.since);
        loans
    }

    /// A connection: one that is idle, or a new one where there are fewer than the options say. Whoever asked first gets
    /// the next one that is free.
    ///
    /// # Errors
    /// `Unavailable` when none becomes free, or the server does not answer, within `acquire_timeout`, and when the pool
    /// is closed; what connecting says.
    /// Cancel safety: dropping the future takes nothing.
    pub async fn acquire(&self) -> Result<Lease<C>> {
        let permit = self.permit(&self.0.permits, "").await?;
        self.take(Permits { one: Some(permit), writing: None }).await
    }

    /// A connection to write by, which is held until the write is over. Of these there are two fewer, so that a write can
    /// read as well.
    ///
    /// # Errors
    /// As [`Pool::acquire`].
    pub async fn acquire_to_write(&self) -> Result<Lease<C>> {
        let writing = self.permit(&self.0.writing, " that may write").await?;
        let permit = self.permit(&self.0.permits, "").await?;
        self.take(Permits { one: Some(permit), writing: Some(writing) }).await
    }

    /// A connection to end what others wait for, as a transaction whose branches are prepared: it does not wait for one.
    /// Where all are lent it is one more, and closed when it is given back.
    ///
    /// # Errors
    /// As [`Pool::acquire`], but that none is waited for.
    pub async fn acquire_to_end(&self) -> Result<Lease<C>> {
        let one = match self.0.permits.try_acquire() {
            Ok(permit) => Some(permit),
            Err(TryAcquireError::Closed) => return Err(self.0.closed()),
            Err(TryAcquireError::NoPermits) => None,
        };
        self.take(Permits { one, writing: None }).await
    }

    /// One of the permits, when it is there; all of them are for connections `which`.
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

    /// A connection beside the pool, that it does not count: for what cannot wait, as telling the server to cancel what a
    /// lease does.
    ///
    /// # Errors
    /// As [`Pool::acquire`].
    pub async fn beside(&self) -> Result<C::Connection> {
        self.connect(Instant::now()).await
    }

    async fn connect(&self, began: Instant) -> Result<C::Connection> {
        let Shared { connect, options, metrics, .. } = &*self.0;
        let connected = connect.connect().instrument(debug_span!("connect", database = %connect.location()));
        let connected = timeout_at(began + options.acquire_timeout, connected).await;
        let connected = connected.map_err(|_| {
            let (location, waited) = (connect.location(), options.acquire_timeout);
            let text = format!("{location} does not answer, after {waited:?}: check host and port");
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

    /// Closes the connections that nobody uses. Those that are lent go on.
    pub async fn clear(&self) {
        let over: Vec<_> = std::iter::from_fn(|| self.0.take_idle()).collect();
        let close = over.into_iter().map(|Idle { connection, facts, .. }| {
            self.0.forget(&facts);
            timeout(CLOSE_TIMEOUT, self.0.connect.close(connection))
        });
        futures::future::join_all(close).await;
    }

    /// Lends no more, and waits until all are back and closed.
    pub async fn close(&self) {
        let shared = &self.0;
        shared.is_closed.store(true, Relaxed);
        shared.permits.close();
        shared.writing.close();
        while self.busy() > 0 {
            // Who gives up while he waits for a connection tells nobody.
            let _ = timeout(Duration::from_millis(50), shared.drained.notified()).await;
        }
        self.clear().await;
    }

    fn exhausted(&self, which: &str) -> Error {
        let Shared { connect, options, metrics, .. } = &*self.0;
        metrics.timeouts.increment(1);
        let longest = match self.loans().first() {
            Some(Loan { since, xid: Some(xid) }) => {
                format!(" (the longest by branch {xid}, for {:?})", since.elapsed())
            }
            Some(Loan { since, xid: None }) => format!(" (the longest for {:?})", since.elapsed()),
            None => String::new(),
        };
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "all {} connections to {}{which} were in use for {:?}{longest}: let fewer statements run at once, or \
                 raise the option 'pool.max'",
                if which.is_empty() { options.max } else { options.most_writing() },
                connect.location(),
                options.acquire_timeout
            ),
        )
    }
}

/// What a connection is lent for.
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

    /// Closes a connection that has nothing open, while others go on.
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
