//! A connection that somebody has.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::runtime;
use tokio::time::Instant;

use super::keeper::keep;
use super::{Connect, Idle, Shared};
use crate::xa::Xid;

/// A connection that somebody has. Dropping it closes it.
pub struct Lease<C: Connect> {
    // Before the place, so that it is closed before the next one may be opened.
    connection: C::Connection,
    opened: Instant,
    runtime: Option<runtime::Id>,
    place: Place<C>,
}

/// Since when a connection is lent, and for which branch.
#[derive(Debug, Clone, Copy)]
pub struct Loan {
    /// When it was lent.
    pub since: Instant,
    /// The branch that is written by it.
    pub xid: Option<Xid>,
}

/// A lease's place among those that there can be at once.
struct Place<C: Connect> {
    shared: Arc<Shared<C>>,
    id: u64,
}

impl<C: Connect> Drop for Place<C> {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.borrowed.remove(&self.id);
        shared.metrics.busy.decrement(1);
        shared.permits.add_permits(1);
        if shared.is_closed.load(Relaxed) {
            shared.drained.notify_waiters();
        }
    }
}

impl<C: Connect> Lease<C> {
    pub(super) fn new(
        connection: C::Connection,
        opened: Instant,
        runtime: Option<runtime::Id>,
        shared: Arc<Shared<C>>,
        id: u64,
    ) -> Self {
        Self { connection, opened, runtime, place: Place { shared, id } }
    }

    /// Notes the branch that it serves from now on.
    pub fn serve(&self, xid: &Xid) {
        if let Some(mut loan) = self.place.shared.borrowed.get_mut(&self.place.id) {
            loan.xid = Some(*xid);
        }
    }

    /// Gives the connection back, for others to use: nothing is open in it, and its session is as it was.
    pub fn give_back(self) {
        let Self { connection, opened, runtime, place } = self;
        let (shared, now) = (&place.shared, Instant::now());
        let idle = Idle { connection, opened, since: now, runtime };
        if shared.is_closed.load(Relaxed) || shared.is_over(&idle, now) {
            shared.retire(idle.connection);
        } else {
            shared.put_idle(idle);
            keep(shared);
        }
        drop(place);
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
        write!(f, "Lease({} of {})", self.place.id, self.place.shared.connect.location())
    }
}
