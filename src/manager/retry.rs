//! How long to try again what must not fail.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// No new try is made after this time.
const LONGEST: Duration = Duration::from_secs(30);

/// How long to try again what must not fail: the log's answer, and the completion of a decided branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryPolicy(ExponentialBuilder);

impl Default for RetryPolicy {
    /// From 50 ms to 2 s, for about 20 s beside what the tries themselves take.
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
    /// One for what can as well be done later: some two seconds.
    pub(super) fn short(self) -> Self {
        Self(self.0.with_max_times(5))
    }

    /// Does it again until it succeeds, or fails in a way that time does not heal.
    pub(super) async fn with<T, F: Future<Output = Result<T>>>(self, act: impl FnMut() -> F) -> Result<T> {
        // A single try can take long as well.
        let until = Instant::now() + LONGEST;
        let may_heal = |error: &Error| {
            (error.kind().is_transient() || error.kind() == ErrorKind::InDoubt) && Instant::now() < until
        };
        act.retry(self.0.build()).when(may_heal).await
    }
}
