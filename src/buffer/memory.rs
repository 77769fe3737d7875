//! How much memory a write may hold, and holds.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Arc, OnceLock};

use ::metrics::Gauge;

use super::waiters::{Waiter, Waiters};
use crate::error::{Error, ErrorKind, Result};

/// The memory of one write; clones share it. By default there is no limit.
///
/// A stream waits for a [reservation](Memory::reserve) of its rows. Memory that is needed to process reserved rows is
/// [reserved immediately](Memory::reserve_now), and leaves less for others.
#[derive(Clone)]
pub struct Memory(Arc<Inner>);

struct Inner {
    limit: usize,
    held: AtomicUsize,
    /// The admitted part of it, which is released when it has been processed.
    admitted: AtomicUsize,
    most: AtomicUsize,
    gauge: Gauge,
    account: OnceLock<Box<dyn Account>>,
    waiters: Waiters,
}

/// An account that several memories share, such as the memory pool of a session.
pub trait Account: Send + Sync {
    /// Adds bytes, or returns why it cannot.
    fn try_grow(&self, bytes: usize) -> Result<(), String>;
    /// Adds bytes that are already allocated.
    fn grow(&self, bytes: usize);
    /// Gives some back.
    fn shrink(&self, bytes: usize);
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(usize::MAX, Gauge::noop())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} of {} bytes)", self.held(), self.0.limit)
    }
}

impl Memory {
    /// Creates a memory of this many bytes. The gauge shows the bytes in use.
    pub fn new(limit: usize, gauge: Gauge) -> Self {
        let [held, admitted, most] = Default::default();
        let (account, waiters) = (OnceLock::new(), Waiters::default());
        Self(Arc::new(Inner { limit, held, admitted, most, gauge, account, waiters }))
    }

    /// Also counts in another account. Only the first account is used.
    pub fn count_with(&self, account: impl FnOnce() -> Box<dyn Account>) {
        self.0.account.get_or_init(account);
    }

    /// The bytes that may be held.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// The bytes that are held.
    pub fn held(&self) -> usize {
        self.0.held.load(Relaxed)
    }

    /// The most that were held at once.
    pub fn most(&self) -> usize {
        self.0.most.load(Relaxed)
    }

    /// Waits for space and reserves it. A reservation larger than the limit waits until it is the only one.
    ///
    /// # Errors
    /// `Full` when the account has no room, and nothing that was admitted could make some.
    /// Cancel safety: dropping the future takes nothing.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation> {
        if let Some(admitted) = self.try_admit(bytes) {
            return admitted;
        }
        let waiter = Waiter::new();
        self.0.waiters.until(&waiter, || self.try_admit(bytes), || true).await
    }

    fn try_admit(&self, bytes: usize) -> Option<Result<Reservation>> {
        let inner = &self.0;
        let is_alone = inner.admitted.load(Acquire) == 0;
        let take = |held: usize| Some(held.saturating_add(bytes)).filter(|sum| *sum <= inner.limit || is_alone);
        inner.held.fetch_update(AcqRel, Acquire, take).ok()?;
        if let Some(Err(why)) = inner.account.get().map(|account| account.try_grow(bytes)) {
            inner.held.fetch_sub(bytes, AcqRel);
            return is_alone.then(|| {
                Err(Error::new(
                    ErrorKind::Full,
                    format!(
                        "the session's memory pool has no space for a batch of {bytes} bytes: increase the limit of \
                         the pool, or reduce the batch size (datafusion.execution.batch_size)"
                    ),
                )
                .with_source(why))
            });
        }
        inner.admitted.fetch_add(bytes, AcqRel);
        Some(Ok(self.reservation(bytes, true)))
    }

    /// Reserves memory that is already allocated.
    pub fn reserve_now(&self, bytes: usize) -> Reservation {
        self.0.held.fetch_add(bytes, AcqRel);
        if let Some(account) = self.0.account.get() {
            account.grow(bytes);
        }
        self.reservation(bytes, false)
    }

    fn reservation(&self, bytes: usize, is_admitted: bool) -> Reservation {
        self.0.gauge.increment(bytes as f64);
        self.0.most.fetch_max(self.held(), Relaxed);
        Reservation { memory: self.clone(), bytes, is_admitted }
    }
}

/// Bytes that are held until it is dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: Memory,
    bytes: usize,
    is_admitted: bool,
}

impl Reservation {
    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The memory that it belongs to.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Inner { held, admitted, gauge, account, waiters, .. } = &*self.memory.0;
        if self.is_admitted {
            admitted.fetch_sub(self.bytes, AcqRel);
        }
        held.fetch_sub(self.bytes, AcqRel);
        gauge.decrement(self.bytes as f64);
        if let Some(account) = account.get() {
            account.shrink(self.bytes);
        }
        waiters.wake_one(|| true);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// An account with so much left.
    struct Pool(Arc<AtomicUsize>);

    impl Account for Pool {
        fn try_grow(&self, bytes: usize) -> Result<(), String> {
            let take = |left: usize| left.checked_sub(bytes);
            self.0.fetch_update(AcqRel, Acquire, take).map(drop).map_err(|left| format!("{left} bytes are left"))
        }

        fn grow(&self, bytes: usize) {
            self.0.fetch_sub(bytes, AcqRel);
        }

        fn shrink(&self, bytes: usize) {
            self.0.fetch_add(bytes, AcqRel);
        }
    }

    #[tokio::test]
    async fn who_brings_more_than_there_is_room_for_waits_and_one_always_goes() {
        let memory = Memory::new(100, Gauge::noop());
        let first = memory.reserve(60).await.unwrap();
        let buffer = memory.reserve_now(30);
        assert!(tokio::time::timeout(Duration::from_millis(5), memory.reserve(20)).await.is_err());
        let waiting = tokio::spawn({
            let memory = memory.clone();
            async move { memory.reserve(20).await.unwrap() }
        });
        tokio::task::yield_now().await;
        drop(buffer);
        let second = waiting.await.unwrap();
        assert_eq!((memory.held(), second.bytes()), (80, 20));
        drop((first, second));
        let buffer = memory.reserve_now(90);
        // Waiting for the buffer could be for ever: it may wait for more rows.
        assert_eq!(memory.reserve(1_000).await.unwrap().bytes(), 1_000);
        drop(buffer);
        assert_eq!((memory.held(), memory.most()), (0, 1_090));
    }

    #[tokio::test]
    async fn the_session_has_a_say() {
        let (memory, left) = (Memory::new(100, Gauge::noop()), Arc::new(AtomicUsize::new(50)));
        memory.count_with(|| Box::new(Pool(Arc::clone(&left))));
        let first = memory.reserve(40).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(5), memory.reserve(20)).await.is_err());
        drop(first);
        drop(memory.reserve(20).await.unwrap());
        let error = memory.reserve(60).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.to_string().ends_with("(datafusion.execution.batch_size): 50 bytes are left"), "{error}");
        assert_eq!((memory.held(), left.load(Relaxed)), (0, 50));
    }
}
