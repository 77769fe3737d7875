//! How long to retry operations that must not fail.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// No retry starts after this time.
const LONGEST: Duration = Duration::from_secs(30);

/// How long to retry operations that must not fail: a decision of the log, and the completion of a decided branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryPolicy(ExponentialBuilder);

impl Default for RetryPolicy {
    /// Pauses from 50 ms to 2 s, about 20 s in total, in addition to the time of the attempts.
    fn default() -> Self {
        let longest = Duration::from_secs(2);
        Self(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(50))
                .with_max_delay(longest)
                .with_max_times(14),
        )
    }
}

impl RetryPolicy {
    /// A policy for operations that can also be done later: about two seconds.
    pub(super) fn short(self) -> Self {
        Self(self.0.with_max_times(5))
    }

    /// Retries until the operation succeeds, or fails with an error that is not transient.
    pub(super) async fn with<T, F: Future<Output = Result<T>>>(self, act: impl FnMut() -> F) -> Result<T> {
        // A single attempt can also take long.
        let until = Instant::now() + LONGEST;
        let may_heal = |error: &Error| {
            (error.kind().is_transient() || error.kind() == ErrorKind::InDoubt) && Instant::now() < until
        };
        act.retry(self.0.build()).when(may_heal).await
    }
}
