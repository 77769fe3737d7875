//! Tasks that wait for something to change, in a queue without locks.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicIsize, AtomicU8, fence};
use std::task::{Context, Poll};

use crossbeam_queue::SegQueue;
use futures::task::AtomicWaker;

/// Nobody is to be woken.
const IDLE: u8 = 0;
/// The waker is to be called once.
const WAITING: u8 = 1;
/// It was called, and its task has not run yet.
const WOKEN: u8 = 2;

/// One that can wait.
pub(super) struct Waiter {
    state: AtomicU8,
    waker: AtomicWaker,
}

/// Those that wait, the first first. Among them can be some that wait no more.
#[derive(Default)]
pub(super) struct Waiters {
    queue: SegQueue<Arc<Waiter>>,
    /// How many stand in it; fewer than there are for an instant.
    count: AtomicIsize,
    /// How many were woken and have not run yet. Each of them wakes another when there is more than it takes.
    woken: AtomicIsize,
}

impl Waiter {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: AtomicU8::new(IDLE), waker: AtomicWaker::new() })
    }
}

impl Waiters {
    /// Wakes the first that waits, where there is a reason to, and none is on its way.
    pub(super) fn wake_one(&self, has_reason: impl Fn() -> bool) {
        // What changed is seen by whoever comes after those that are looked for here.
        fence(SeqCst);
        if self.count.load(Relaxed) > 0 && self.woken.load(Relaxed) <= 0 && has_reason() {
            while self.next().is_some_and(|waiter| !self.wake(&waiter)) {}
        }
    }

    pub(super) fn wake_all(&self) {
        fence(SeqCst);
        while let Some(waiter) = self.next() {
            self.wake(&waiter);
        }
    }

    /// Whether it was waiting.
    fn wake(&self, waiter: &Waiter) -> bool {
        let waits = waiter.state.compare_exchange(WAITING, WOKEN, AcqRel, Acquire).is_ok();
        if waits {
            self.woken.fetch_add(1, AcqRel);
            waiter.waker.wake();
        }
        waits
    }

    fn next(&self) -> Option<Arc<Waiter>> {
        let next = self.queue.pop()?;
        self.count.fetch_sub(1, AcqRel);
        Some(next)
    }

    /// Tries until it succeeds, each time that it is woken. `is_more` says whether another one could succeed after it.
    pub(super) async fn until<T>(
        &self,
        waiter: &Arc<Waiter>,
        mut attempt: impl FnMut() -> Option<T>,
        is_more: impl Fn() -> bool,
    ) -> T {
        let mut waiting = Waiting { waiters: self, waiter };
        let done = poll_fn(|context| waiting.poll(context, &mut attempt)).await;
        if waiting.end() {
            // It may have been woken for something else than what it took.
            self.wake_one(is_more);
        }
        done
    }
}

/// A wait that goes on. Whoever gives it up wakes the next one, if he was woken himself.
struct Waiting<'a> {
    waiters: &'a Waiters,
    waiter: &'a Arc<Waiter>,
}

impl Waiting<'_> {
    fn poll<T>(&mut self, context: &Context<'_>, attempt: &mut impl FnMut() -> Option<T>) -> Poll<T> {
        let state = &self.waiter.state;
        if let Some(done) = attempt() {
            return Poll::Ready(done);
        }
        self.waiter.waker.register(context.waker());
        let before = state.swap(WAITING, AcqRel);
        if before == WOKEN {
            self.waiters.woken.fetch_sub(1, AcqRel);
        }
        if before != WAITING {
            self.waiters.queue.push(Arc::clone(self.waiter));
            self.waiters.count.fetch_add(1, AcqRel);
        }
        // Whoever changed something before this one stood in the queue has not woken it.
        fence(SeqCst);
        attempt().map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits no more; whether it was woken.
    fn end(&self) -> bool {
        let state = &self.waiter.state;
        let was_woken = state.load(Acquire) != IDLE && state.swap(IDLE, SeqCst) == WOKEN;
        if was_woken {
            self.waiters.woken.fetch_sub(1, AcqRel);
        }
        was_woken
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.end() {
            self.waiters.wake_one(|| true);
        }
    }
}
