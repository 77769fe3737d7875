//! Interrupting a statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::time::Duration;

use crate::error::{Error, ErrorKind};

use tokio_util::sync::CancellationToken;

/// A request to stop a statement. The statement rolls back and fails with `Interrupted`. After its commit has begun, it
/// completes and succeeds. The result always tells which of the two happened.
///
/// A statement with checkpoints commits the rows read so far. A statement that reads an unbounded stream then succeeds;
/// any other unfinished statement fails with `Interrupted`.
///
/// A session passes an interrupt to all its statements if it is an extension of the session's configuration:
/// `SessionConfig::new().with_extension(Arc::new(Interrupt::new()))`.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    token: CancellationToken,
    /// The same as a flag that is checked for every batch: checking the token takes a lock.
    is_asked: AtomicBool,
}

impl Interrupt {
    /// Creates an interrupt.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops every statement that has this interrupt. This cannot be undone.
    pub fn stop(&self) {
        self.0.is_asked.store(true, Release);
        self.0.token.cancel();
    }

    /// Waits for [`Interrupt::stop`].
    pub async fn asked(&self) {
        self.0.token.cancelled().await;
    }

    /// Does work that does no harm if it is left undone; without waiting for it for long if [`Interrupt::stop`] was called.
    pub(super) async fn at_most_briefly(&self, work: impl Future<Output = ()>) {
        let limit = if self.is_asked() { CLEANUP_TIMEOUT } else { Duration::MAX };
        let _ = tokio::time::timeout(limit, work).await;
    }

    /// Whether [`Interrupt::stop`] was called.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.is_asked.load(Acquire)
    }
}

/// How long an interrupted statement may take for work that does no harm if it is left undone.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(500);

/// The error of a write that was asked to stop.
pub(crate) fn interrupted(committed: u64) -> Error {
    let text = match committed {
        0 => "interrupted: the statement was rolled back, and nothing was written",
        _ => "interrupted: the rows after the last checkpoint were rolled back",
    };
    Error::new(ErrorKind::Interrupted, text)
}
