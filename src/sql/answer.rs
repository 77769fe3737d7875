//! Waits for the answers of a server: says so after ten seconds, and gives up on a server that has stalled.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use log::warn;
use tokio::time::{sleep, timeout};

use crate::error::{Error, ErrorKind, Result};

/// How long a wait lasts before it is mentioned.
const MENTIONED_AFTER: Duration = Duration::from_secs(10);

/// How long an answer may be under way.
const GRACE: Duration = Duration::from_secs(1);

/// How long another connection may take to report what a session does.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for the answers of a server.
#[derive(Debug, Clone)]
pub struct AnswerTimeouts {
    /// The server's location, without a password.
    pub location: String,
    /// The option `socket_timeout`.
    pub socket: Duration,
    /// The option `lock_timeout`.
    pub lock: Duration,
}

impl AnswerTimeouts {
    /// The maximum time in which a server that has not stalled accepts data: it may have to wait for a lock first.
    pub fn limit(&self) -> Duration {
        self.socket.saturating_add(self.lock)
    }

    /// Waits for a server to accept data.
    ///
    /// # Errors
    /// `Unavailable` if it accepts nothing within the time limit.
    pub async fn within<T>(&self, step: &str, act: impl Future<Output = T>) -> Result<T> {
        let mut act = pin!(act);
        // Timers cost more than most answers.
        if let Poll::Ready(done) = poll!(&mut act) {
            return Ok(done);
        }
        let done = timeout(self.limit(), self.mentioned(step, act)).await;
        done.map_err(|_| self.stalled(step, self.limit()))
    }

    /// Waits for the answer to a statement, for as long as the server works on it. `works` asks this from another
    /// connection, each time that `socket_timeout` has passed.
    ///
    /// # Errors
    /// `Unavailable` if the server does not work on it, or does not report that it does.
    pub async fn while_working<T, W: Future<Output = bool>>(
        &self,
        step: &str,
        works: impl Fn() -> W,
        act: impl Future<Output = T>,
    ) -> Result<T> {
        let mut act = pin!(act);
        if let Poll::Ready(done) = poll!(&mut act) {
            return Ok(done);
        }
        let mut act = pin!(self.mentioned(step, act));
        loop {
            if let Ok(done) = timeout(self.socket, &mut act).await {
                return Ok(done);
            }
            tokio::select! {
                biased;
                done = &mut act => return Ok(done),
                looked = timeout(LOOK_TIMEOUT, works()) => if looked.unwrap_or(false) {
                    continue;
                }
            }
            // It may have answered meanwhile.
            return timeout(GRACE, act).await.map_err(|_| self.stalled(step, self.socket));
        }
    }

    async fn mentioned<T>(&self, step: &str, mut act: Pin<&mut impl Future<Output = T>>) -> T {
        tokio::select! {
            biased;
            done = &mut act => return done,
            () = sleep(MENTIONED_AFTER) => {}
        }
        warn!("{} has not answered {step} for {MENTIONED_AFTER:?}: still waiting", self.location);
        act.await
    }

    fn stalled(&self, step: &str, limit: Duration) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "{} did not answer {step} within {limit:?}: check the server and the network, and run the statement again \
                 (the option 'socket_timeout' sets the limit)",
                self.location
            ),
        )
    }
}

/// The name of a statement in messages: its first word, or two if they belong together.
pub fn step(statement: &str) -> &str {
    const PAIRS: &[&str] =
        &["PREPARE TRANSACTION", "COMMIT PREPARED", "ROLLBACK PREPARED", "XA ", "START TRANSACTION", "CREATE TABLE"];
    let statement = statement.trim_start();
    let words = if PAIRS.iter().any(|pair| statement.starts_with(pair)) { 2 } else { 1 };
    let ends = statement.match_indices(|c: char| !c.is_ascii_uppercase()).map(|(at, _)| at);
    ends.take(words).last().map_or(statement, |end| &statement[..end])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    fn timeouts() -> AnswerTimeouts {
        let (socket, lock) = (Duration::from_secs(60), Duration::from_secs(5));
        AnswerTimeouts { location: "postgres://me@host/db".into(), socket, lock }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_nothing_is_given_up() {
        let began = tokio::time::Instant::now();
        let error = timeouts().within("COPY", std::future::pending::<()>()).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (ErrorKind::Unavailable, 65));
        assert!(error.to_string().contains("postgres://me@host/db did not answer COPY within 65s"), "{error}");
        let slow = timeouts().within("COPY", sleep(Duration::from_secs(64))).await;
        assert!(slow.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_is_waited_for_while_the_server_works_on_it() {
        let looks = AtomicU32::new(0);
        let works = |until| {
            let looks = &looks;
            async move { looks.fetch_add(1, Relaxed) < until }
        };
        let slow = sleep(Duration::from_secs(3_000));
        timeouts().while_working("INSERT", || works(u32::MAX), slow).await.unwrap();
        assert_eq!(looks.swap(0, Relaxed), 49);
        let began = tokio::time::Instant::now();
        let error = timeouts().while_working("INSERT", || works(2), std::future::pending::<()>()).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (ErrorKind::Unavailable, 181));
        // A server that does not even report is not working.
        let began = tokio::time::Instant::now();
        let silent = || std::future::pending::<bool>();
        let error = timeouts().while_working("COMMIT", silent, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (ErrorKind::Unavailable, 71));
    }

    #[test]
    fn a_step_has_the_name_of_its_statement() {
        for (statement, name) in [
            ("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", "BEGIN"),
            ("COMMIT", "COMMIT"),
            ("PREPARE TRANSACTION 'landfall-1'", "PREPARE TRANSACTION"),
            ("XA END 'a','b',1", "XA END"),
            ("INSERT INTO \"t\" SELECT", "INSERT"),
            ("SELECT set_config('a', 'b', true)", "SELECT"),
            ("\nCREATE TABLE t (a int)", "CREATE TABLE"),
        ] {
            assert_eq!(step(statement), name);
        }
    }
}
