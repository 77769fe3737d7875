//! Tasks that wait for something to change, in a queue without locks.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU8, fence};
use std::task::{Context, Poll};

use crossbeam_queue::SegQueue;
use futures::task::AtomicWaker;

/// No task needs to be woken.
const IDLE: u8 = 0;
/// The waker must be called once.
const WAITING: u8 = 1;
/// It was woken, and its task has not run yet.
const WOKEN: u8 = 2;

/// A task that can wait.
pub(super) struct Waiter {
    state: AtomicU8,
    /// Whether it is in the queue, possibly since a cancelled wait. A task that waits repeatedly is in the queue once.
    is_queued: AtomicBool,
    waker: AtomicWaker,
}

/// The waiting tasks in their order. Some of them may have stopped waiting.
#[derive(Default)]
pub(super) struct Waiters {
    queue: SegQueue<Arc<Waiter>>,
    /// The number of tasks in the queue. It can be too low for a moment.
    count: AtomicIsize,
    /// The number of tasks that were woken and have not run yet. Each of them wakes another if there is more than it
    /// takes.
    woken: AtomicIsize,
}

impl Waiter {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: AtomicU8::new(IDLE), is_queued: AtomicBool::new(false), waker: AtomicWaker::new() })
    }
}

impl Waiters {
    /// Wakes the first waiting task, unless a woken task has not run yet.
    pub(super) fn wake_one(&self, has_reason: impl Fn() -> bool) {
        // Tasks that start to wait later see the change themselves.
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
        // Cleared before its state is checked: a task that waits again is then in the queue again, or is found waiting.
        next.is_queued.store(false, SeqCst);
        Some(next)
    }

    /// Tries each time it is woken, until it succeeds. `is_more` returns whether another task could succeed after it.
    pub(super) async fn until<T>(
        &self,
        waiter: &Arc<Waiter>,
        mut attempt: impl FnMut() -> Option<T>,
        is_more: impl Fn() -> bool,
    ) -> T {
        let mut waiting = Waiting { waiters: self, waiter, was_woken: false };
        let done = poll_fn(|context| waiting.poll(context, &mut attempt)).await;
        if waiting.end() {
            // It may have been woken for another item than the one it took, and no other task was woken in the
            // meantime.
            self.wake_one(is_more);
        }
        done
    }
}

/// A pending wait. If it is cancelled after it was woken, it wakes the next one.
struct Waiting<'a> {
    waiters: &'a Waiters,
    waiter: &'a Arc<Waiter>,
    /// Whether it was woken, found nothing, and has not waited again since.
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
        // A change before this task was in the queue has not woken it.
        fence(SeqCst);
        if let Some(done) = attempt() {
            return Poll::Ready(done);
        }
        self.was_woken = false;
        Poll::Pending
    }

    /// Ends the wait. Returns whether it was woken, in which case no other task was.
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

    /// A task that waits for several events cancels all but one of its waits each time.
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

    /// An item that arrives while a woken task has not run wakes no task. The woken task does so after it has taken its
    /// item.
    #[tokio::test]
    async fn who_was_woken_and_finds_more_wakes_the_next() {
        let (waiters, [first, second]) = (Waiters::default(), [(); 2].map(|()| Waiter::new()));
        let items = std::cell::Cell::new(0_u32);
        let attempts = std::cell::Cell::new(0);
        let take = || {
            attempts.set(attempts.get() + 1);
            // Another task took the item that it was woken for, and two more arrive before it waits again.
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
