//! When a write is tried again.

use std::time::Duration;

use backon::BackoffBuilder;

use super::input::Input;
use super::write::{Write, WriteProgress};
use crate::error::{Error, ErrorKind};
use crate::options::Retry;

/// The pauses before the retries, in whole milliseconds.
pub(super) fn pauses(retry: Retry) -> impl Iterator<Item = Duration> + Send {
    let longest = Duration::from_secs(60).max(retry.backoff);
    let pauses = backon::ExponentialBuilder::default().with_min_delay(retry.backoff).with_max_delay(longest);
    let whole = |pause: Duration| Duration::from_millis(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    pauses.with_max_times(retry.max as usize).build().map(whole)
}

/// What earlier attempts left at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Nothing,
    /// A session whose connection was lost. Until the server has noticed it and has rolled back, its locks remain.
    Attempt,
}

/// Whether another attempt can succeed, and can read the input again.
pub(super) fn can_retry(write: &Write, input: &dyn Input, progress: &WriteProgress, error: &Error, lost: Lost) -> bool {
    // If a commit was not acknowledged, the log of the job contains its outcome when the job is opened again.
    let passes = match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Deadlock => true,
        ErrorKind::Locked => lost == Lost::Attempt,
        kind => kind == ErrorKind::InDoubt && write.job.is_some(),
    };
    let again = match progress.position.is_start() {
        true => input.can_restart(),
        false => input.fingerprint().is_ok(),
    };
    passes && again
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_are_told_without_fractions() {
        let pauses = |max, backoff| pauses(Retry { max, backoff: Duration::from_millis(backoff) });
        let told: Vec<_> = pauses(4, 200).map(|pause| format!("{pause:?}")).collect();
        assert_eq!(told, ["200ms", "400ms", "800ms", "1.6s"]);
        assert_eq!(pauses(9, 20_000).last(), Some(Duration::from_secs(60)));
    }
}
