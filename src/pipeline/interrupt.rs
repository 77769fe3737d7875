//! How a user says stop.

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
pub struct Interrupt(CancellationToken);

impl Interrupt {
    /// One that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every write that has it to stop. Cannot be taken back.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Waits until somebody asks.
    pub(crate) async fn asked(&self) {
        self.0.cancelled().await;
    }
}
