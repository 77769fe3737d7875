//! Tasks that wait for something to change, in a queue without locks.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU8, fence};
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
    /// It stands in the queue, maybe since a wait that was given up: who waits again and again stands there once.
    is_queued: AtomicBool,
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
        Arc::new(Self { state: AtomicU8::new(IDLE), is_queued: AtomicBool::new(false), waker: AtomicWaker::new() })
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
        let waits = waiter.state.compare_exchange(WAITING, WOKEN, SeqCst, Acquire).is_ok();
        if waits {
            self.woken.fetch_add(1, AcqRel);
            waiter.waker.wake();
        }
        waits
    }

    fn next(&self) -> Option<Arc<Waiter>> {
        let next = self.queue.pop()?;
        self.count.fetch_sub(1, AcqRel);
        // Before its state is looked at: who waits anew then stands in the queue again, or is found waiting.
        next.is_queued.store(false, SeqCst);
        Some(next)
    }

    /// Tries until it succeeds, each time that it is woken. `is_more` says whether another one could succeed after it.
    pub(super) async fn until<T>(
        &self,
        waiter: &Arc<Waiter>,
        mut attempt: impl FnMut() -> Option<T>,
        is_more: impl Fn() -> bool,
    ) -> T {
        let mut waiting = Waiting { waiters: self, waiter, was_woken: false };
        let done = poll_fn(|context| waiting.poll(context, &mut attempt)).await;
        if waiting.end() {
            // It may have been woken for something else than what it took, and while it was on its way nobody else was.
            self.wake_one(is_more);
        }
        done
    }
}

/// A wait that goes on. Whoever gives it up wakes the next one, if he was woken himself.
struct Waiting<'a> {
    waiters: &'a Waiters,
    waiter: &'a Arc<Waiter>,
    /// It was woken, found nothing, and has not waited again since.
    was_woken: bool,
}

impl Waiting<'_> {
    fn poll<T>(&mut self, context: &Context<'_>, attempt: &mut impl FnMut() -> Option<T>) -> Poll<T> {
        let state = &self.waiter.state;
        if let Some(done) = attempt() {
            return Poll::Ready(done);
        }
        self.waiter.waker.register(context.waker());
        self.was_woken = state.swap(WAITING, SeqCst) == WOKEN;
        if self.was_woken {
            self.waiters.woken.fetch_sub(1, AcqRel);
        }
        if !self.waiter.is_queued.swap(true, SeqCst) {
            self.waiters.queue.push(Arc::clone(self.waiter));
            self.waiters.count.fetch_add(1, AcqRel);
        }
        // Whoever changed something before this one stood in the queue has not woken it.
        fence(SeqCst);
        if let Some(done) = attempt() {
            return Poll::Ready(done);
        }
        self.was_woken = false;
        Poll::Pending
    }

    /// Waits no more; whether somebody woke it who then woke nobody else.
    fn end(&mut self) -> bool {
        let state = &self.waiter.state;
        let is_woken = state.load(Acquire) != IDLE && state.swap(IDLE, SeqCst) == WOKEN;
        if is_woken {
            self.waiters.woken.fetch_sub(1, AcqRel);
        }
        std::mem::take(&mut self.was_woken) || is_woken
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.end() {
            self.waiters.wake_one(|| true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that looks at several things at once gives up waiting for all but one of them, each time.
    #[tokio::test]
    async fn who_gives_up_again_and_again_stands_in_the_queue_once() {
        let (waiters, waiter) = (Waiters::default(), Waiter::new());
        for _ in 0..1_000 {
            let mut wait = Box::pin(waiters.until(&waiter, || None::<()>, || true));
            assert!(futures::poll!(wait.as_mut()).is_pending());
        }
        assert_eq!((waiters.queue.len(), waiters.count.load(Relaxed)), (1, 1));
        let mut wait = Box::pin(waiters.until(&waiter, || None::<()>, || true));
        assert!(futures::poll!(wait.as_mut()).is_pending());
        waiters.wake_one(|| true);
        assert_eq!((waiter.state.load(Relaxed), waiters.woken.load(Relaxed)), (WOKEN, 1));
        drop(wait);
        assert_eq!((waiter.state.load(Relaxed), waiters.woken.load(Relaxed), waiters.queue.len()), (IDLE, 0, 0));
    }

    /// What comes while somebody who was woken is on his way wakes nobody: he does, when he has taken his.
    #[tokio::test]
    async fn who_was_woken_and_finds_more_wakes_the_next() {
        let (waiters, [first, second]) = (Waiters::default(), [(); 2].map(|()| Waiter::new()));
        let items = std::cell::Cell::new(0_u32);
        let attempts = std::cell::Cell::new(0);
        let take = || {
            attempts.set(attempts.get() + 1);
            // Somebody else took what it was woken for, and two more come before it waits again.
            if attempts.get() == 3 {
                items.set(2);
                return None;
            }
            items.get().checked_sub(1).map(|left| items.set(left))
        };
        let mut one = Box::pin(waiters.until(&first, take, || items.get() > 0));
        assert!(futures::poll!(one.as_mut()).is_pending());
        let mut other = Box::pin(waiters.until(&second, || items.get().checked_sub(1), || items.get() > 0));
        assert!(futures::poll!(other.as_mut()).is_pending());
        waiters.wake_one(|| true);
        assert!(futures::poll!(one.as_mut()).is_ready());
        assert_eq!(second.state.load(Relaxed), WOKEN);
    }
}
