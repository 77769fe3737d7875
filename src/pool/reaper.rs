//! The task that maintains idle connections.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Weak};
use std::time::Duration;

use log::debug;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::{Connect, Idle, Shared};

/// Maintains the idle connections, in a task that ends when there are none and `pool.min_idle` is 0.
pub(super) fn keep<C: Connect>(shared: &Arc<Shared<C>>) {
    if shared.is_kept.load(Acquire) || shared.is_kept.swap(true, AcqRel) {
        return;
    }
    let keeping = Keeping(Arc::downgrade(shared));
    let Ok(runtime) = Handle::try_current() else { return };
    // No connection stays longer than one and a half times the configured time.
    let pause = shared.options.idle_timeout.min(shared.options.max_lifetime) / 2;
    let pause = pause.clamp(Duration::from_millis(10), Duration::from_secs(30));
    runtime.spawn(async move {
        loop {
            match keeping.0.upgrade() {
                Some(shared) if shared.look_after().await => {}
                _ => break,
            }
            sleep(pause).await;
        }
        let shared = keeping.0.upgrade();
        drop(keeping);
        // One that came back before this ended.
        if let Some(shared) = shared.filter(|shared| !shared.idle.is_empty()) {
            keep(&shared);
        }
    });
}

/// Marks the task as stopped, also when the runtime ends.
struct Keeping<C: Connect>(Weak<Shared<C>>);

impl<C: Connect> Drop for Keeping<C> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.is_kept.store(false, Release);
        }
    }
}

impl<C: Connect> Shared<C> {
    /// Closes expired idle connections and opens missing ones. Returns whether any idle connections remain.
    async fn look_after(self: &Arc<Self>) -> bool {
        let min_idle = self.options.min_idle;
        // Each connection is checked once. It keeps its slot in the meantime.
        for _ in 0..self.idle.len() {
            let Ok(_permit) = self.permits.try_acquire() else { break };
            let Some(idle) = self.take_idle() else { break };
            let now = Instant::now();
            let is_too_old = now - idle.facts.opened >= self.options.max_lifetime;
            match is_too_old || (self.is_over(&idle, now) && self.idle.len() >= min_idle) {
                true => self.retire(idle),
                false => self.put_idle(idle),
            }
        }
        while self.idle.len() < min_idle {
            let Ok(_permit) = self.permits.try_acquire() else { break };
            if self.idle.len() > self.permits.available_permits() {
                // The other places are for those that are lent and those that are idle.
                break;
            }
            match timeout(self.options.acquire_timeout, self.connect.connect()).await {
                Ok(Ok(connection)) => {
                    self.metrics.opened.increment(1);
                    let now = Instant::now();
                    self.put_idle(Idle { connection, facts: self.enter(now), since: now });
                }
                failed => {
                    // A caller that needs a connection gets the error. Otherwise the next round tries again.
                    let failed = failed.map(|failed| failed.err());
                    debug!("could not open an idle connection to {}: {failed:?}", self.connect.location());
                    break;
                }
            }
        }
        min_idle > 0 || !self.idle.is_empty()
    }
}
