//! Runs blocking work.

use crate::error::{Error, Result};

/// Runs blocking work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal(format!("the SQLite thread failed: {error}"))),
    }
}
