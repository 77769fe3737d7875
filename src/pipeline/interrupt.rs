//! How a user says stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

use crate::error::{Error, ErrorKind};

use tokio_util::sync::CancellationToken;

/// A request to stop a write, which then rolls back and fails with `Interrupted`. Once the commit has begun it is
/// too late, and the write succeeds: the caller always learns which of the two it was.
///
/// A write with checkpoints commits what it has read instead. A stream that never ends has then succeeded; a write that
/// has not come to its end fails with `Interrupted` all the same.
///
/// A session that has one as an extension of its configuration hands it to all its writes:
/// `SessionConfig::new().with_extension(Arc::new(Interrupt::new()))`.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    token: CancellationToken,
    /// The same, to be looked at for every batch: the token would take a lock for it.
    is_asked: AtomicBool,
}

impl Interrupt {
    /// One that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every write that has it to stop. Cannot be taken back.
    pub fn stop(&self) {
        self.0.is_asked.store(true, Release);
        self.0.token.cancel();
    }

    /// Waits until somebody asks.
    pub(crate) async fn asked(&self) {
        self.0.token.cancelled().await;
    }

    /// Whether somebody has asked.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.is_asked.load(Acquire)
    }
}

/// The error of a write that was asked to stop.
pub(super) fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted: it was rolled back, nothing was written")
}
