//! A bounded, lock-free queue between tasks, in which batches and encoded rows wait.
//!
//! Items wait in crossbeam's [`ArrayQueue`]. A task that finds it full or empty stores a waker in a second queue of the
//! same kind. The queue is bounded in items, rows and bytes. An item larger than a bound is accepted when the queue is
//! empty. Any number of tasks can send and receive; each task has its own handle.
//!
//! A batch passes at most three queues on its way from the stream to the socket: the read-ahead queue, its writer's,
//! and, as encoded bytes, the sender's. On this way it takes no lock of Landfall or tokio unless a task waits, and a
//! waiting task uses only a waker. Other code still takes locks: the allocator, DataFusion's memory pool (atomic
//! counters, unless it is a fair pool), and tokio for a socket that is not ready or a timer.

mod memory;
mod waiters;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, AtomicUsize};

use crossbeam_queue::ArrayQueue;

pub use memory::{Account, Memory, Reservation};
use waiters::{Waiter, Waiters};

/// The limits of a queue.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Items.
    pub items: usize,
    /// The total weight.
    pub weight: Weight,
}

/// The weight of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// Its rows.
    pub rows: usize,
    /// Its bytes.
    pub bytes: usize,
}

impl Limits {
    /// Limits the number of items only.
    pub const fn items(items: usize) -> Self {
        Self { items, weight: Weight { rows: usize::MAX, bytes: usize::MAX } }
    }
}

/// Creates a queue with these limits.
pub fn buffer<T>(limits: Limits) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        items: ArrayQueue::new(limits.items.max(1)),
        level: AtomicU64::new(0),
        most: Packed::of(limits.weight),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
        not_full: Waiters::default(),
        not_empty: Waiters::default(),
    });
    (Sender { shared: Arc::clone(&shared), waiter: Waiter::new() }, Receiver { shared, waiter: Waiter::new() })
}

struct Shared<T> {
    items: ArrayQueue<(T, Packed)>,
    /// Their total weight, packed.
    level: AtomicU64,
    most: Packed,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    not_full: Waiters,
    not_empty: Waiters,
}

/// Rows and bytes in one word, so that both are changed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed(u64);

impl Packed {
    const BYTES_BITS: u32 = 40;
    /// Sums of two stay in their bits.
    const MOST_ROWS: u64 = (1 << (63 - Self::BYTES_BITS)) - 1;
    const MOST_BYTES: u64 = (1 << (Self::BYTES_BITS - 1)) - 1;

    /// Beyond 8 million rows and half a terabyte all are alike.
    fn of(weight: Weight) -> Self {
        let (rows, bytes) = (weight.rows as u64, weight.bytes as u64);
        Self((rows.min(Self::MOST_ROWS) << Self::BYTES_BITS) | bytes.min(Self::MOST_BYTES))
    }

    fn rows(self) -> u64 {
        self.0 >> Self::BYTES_BITS
    }

    fn bytes(self) -> u64 {
        self.0 & ((1 << Self::BYTES_BITS) - 1)
    }

    /// Adds a weight if the sum is within `most`, or if nothing is queued.
    fn plus(self, more: Self, most: Self) -> Option<Self> {
        let sum = Self(self.0 + more.0);
        (self.0 == 0 || (sum.rows() <= most.rows() && sum.bytes() <= most.bytes())).then_some(sum)
    }
}

impl<T> Shared<T> {
    /// Adds an item, or returns it if there is no space.
    fn put(&self, item: T, weight: Packed) -> Result<(), T> {
        let plus = |level| Packed(level).plus(weight, self.most).map(|sum| sum.0);
        if self.level.fetch_update(AcqRel, Acquire, plus).is_err() {
            return Err(item);
        }
        match self.items.push((item, weight)) {
            Ok(()) => {
                self.not_empty.wake_one(|| true);
                Ok(())
            }
            Err((item, _)) => {
                self.level.fetch_sub(weight.0, AcqRel);
                // Another sender may have found no space because of this item. While the queue is full, receivers wake
                // that sender.
                self.not_full.wake_one(|| self.is_half_empty());
                Err(item)
            }
        }
    }

    fn take(&self) -> Option<T> {
        let (item, weight) = self.items.pop()?;
        self.level.fetch_sub(weight.0, AcqRel);
        // A woken sender then finds space for several items.
        self.not_full.wake_one(|| self.is_half_empty());
        Some(item)
    }

    fn is_half_empty(&self) -> bool {
        self.items.len() * 2 <= self.items.capacity()
    }
}

/// Sends items. The queue closes when the last sender is dropped.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    waiter: Arc<Waiter>,
}

/// Receives items. Senders fail when the last receiver is dropped.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    waiter: Arc<Waiter>,
}

/// The error of a queue without receivers. It returns the item.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> Sender<T> {
    /// Sends an item, waiting for room.
    ///
    /// # Errors
    /// `Closed` if all receivers are dropped. Cancel safety: dropping the future drops an item that was not sent.
    pub async fn send(&mut self, item: T, weight: Weight) -> Result<(), Closed<T>> {
        let (mut item, weight) = (Some(item), Packed::of(weight));
        let Self { shared, waiter } = self;
        let put = || match item.take() {
            Some(left) if shared.receivers.load(Acquire) == 0 => Some(Err(Closed(left))),
            Some(left) => match shared.put(left, weight) {
                Ok(()) => Some(Ok(())),
                Err(left) => {
                    item = Some(left);
                    None
                }
            },
            None => Some(Ok(())),
        };
        shared.not_full.until(waiter, put, || !shared.items.is_full()).await
    }

    /// Whether an item would have room at this moment.
    pub fn has_room(&self) -> bool {
        let Shared { items, level, most, .. } = &*self.shared;
        !items.is_full() && Packed(level.load(Relaxed)).plus(Packed(0), *most).is_some()
    }
}

impl<T> Receiver<T> {
    /// Receives the next item; `None` if the queue is empty and all senders are dropped. Cancel safe.
    pub async fn recv(&mut self) -> Option<T> {
        let Self { shared, waiter } = self;
        let take = || match shared.take() {
            Some(item) => Some(Some(item)),
            // Items that were sent before the last sender was dropped are still received.
            None if shared.senders.load(Acquire) == 0 => Some(shared.take()),
            None => None,
        };
        shared.not_empty.until(waiter, take, || !shared.items.is_empty()).await
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Relaxed);
        Self { shared: Arc::clone(&self.shared), waiter: Waiter::new() }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Relaxed);
        Self { shared: Arc::clone(&self.shared), waiter: Waiter::new() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.not_empty.wake_all();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.shared.receivers.fetch_sub(1, AcqRel) == 1 {
            self.shared.not_full.wake_all();
            // Items that no receiver will take are dropped now.
            while self.shared.items.pop().is_some() {}
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({} items)", self.shared.items.len())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({} items)", self.shared.items.len())
    }
}

#[cfg(test)]
mod tests;
