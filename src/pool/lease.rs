//! A borrowed connection.

#![expect(clippy::disallowed_types, reason = "locked once for each branch, and to list the connections in use")]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::reaper::keep;
use super::{Connect, Facts, Idle, Shared};
use crate::txn::Xid;

/// A borrowed connection. Dropping it closes the connection.
pub struct Lease<C: Connect> {
    // Before the place, so that it is closed before the next one may be opened.
    connection: C::Connection,
    place: Place<C>,
}

/// When a connection was borrowed, and for which branch.
#[derive(Debug, Clone, Copy)]
pub struct Loan {
    /// When it was borrowed.
    pub since: Instant,
    /// The branch that it serves.
    pub xid: Option<Xid>,
}

/// A connection in the list of all.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    /// Nanoseconds of the pool's life when it was lent, and 1; 0 when it is idle.
    lent: AtomicU64,
    has_xid: AtomicBool,
    /// The branch of this lease or of an earlier one. Locked once for each branch, and to list users.
    xid: Mutex<Option<Xid>>,
}

impl Entry {
    pub(super) fn new(number: u64) -> Self {
        Self { number, lent: AtomicU64::new(0), has_xid: AtomicBool::new(false), xid: Mutex::new(None) }
    }

    pub(super) fn lend(&self, at: Duration) {
        self.has_xid.store(false, Relaxed);
        self.lent.store(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX - 1) + 1, Relaxed);
    }

    /// The current loan, if the connection is lent. `began` is the start time of the pool.
    pub(super) fn loan(&self, began: Instant) -> Option<Loan> {
        let since = began + Duration::from_nanos(self.lent.load(Relaxed).checked_sub(1)?);
        let xid = self.has_xid.load(Relaxed).then(|| *self.xid.lock().unwrap_or_else(PoisonError::into_inner));
        Some(Loan { since, xid: xid.flatten() })
    }
}

/// A permit of the pool's semaphore.
struct Place<C: Connect> {
    shared: Arc<Shared<C>>,
    /// Of a connection that is not given back.
    facts: Option<Facts>,
    held: Held,
}

/// The permits that a lease has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Among all; without it, the connection is one more than there should be.
    pub(super) one: bool,
    /// The permit for writing.
    pub(super) writing: bool,
}

impl<C: Connect> Drop for Place<C> {
    fn drop(&mut self) {
        let shared = &self.shared;
        if let Some(facts) = &self.facts {
            shared.forget(facts);
        }
        shared.metrics.busy.decrement(1);
        shared.permits.add_permits(self.held.one.into());
        shared.writing.add_permits(self.held.writing.into());
        if shared.is_closed.load(Relaxed) {
            shared.drained.notify_waiters();
        }
    }
}

impl<C: Connect> Lease<C> {
    pub(super) fn new(connection: C::Connection, facts: Facts, held: Held, shared: Arc<Shared<C>>) -> Self {
        Self { connection, place: Place { shared, facts: Some(facts), held } }
    }

    /// Notes the branch that the connection serves.
    pub fn serve(&self, xid: &Xid) {
        if let Some(Facts { entry, .. }) = &self.place.facts {
            *entry.xid.lock().unwrap_or_else(PoisonError::into_inner) = Some(*xid);
            entry.has_xid.store(true, Relaxed);
        }
    }

    /// Returns the connection to the pool. No transaction may be open in it, and its session must be in the initial
    /// state.
    pub fn give_back(self) {
        let Self { connection, mut place } = self;
        let Some(facts) = place.facts.take() else { return };
        let (shared, now) = (&place.shared, Instant::now());
        facts.entry.lent.store(0, Relaxed);
        let idle = Idle { connection, facts, since: now };
        if !place.held.one || shared.is_closed.load(Relaxed) || shared.is_over(&idle, now) {
            shared.retire(idle);
        } else {
            shared.put_idle(idle);
            keep(shared);
        }
    }
}

impl<C: Connect> Deref for Lease<C> {
    type Target = C::Connection;

    fn deref(&self) -> &C::Connection {
        &self.connection
    }
}

impl<C: Connect> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C::Connection {
        &mut self.connection
    }
}

impl<C: Connect> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A connection may remember its password.
        write!(f, "Lease({})", self.place.shared.connect.location())
    }
}
