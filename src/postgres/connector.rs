//! Opens connections, sets up their sessions, and waits for the server's answers.

use std::error::Error as _;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row as _};

use super::location::Options;
use crate::error::Result;
use crate::options::SinkOptions;
use crate::pool::Connect;
use crate::sql::{AnswerTimeouts, PROBES, SocketsBefore, keepalive_seconds, step};

/// How connections are opened.
#[derive(Debug)]
pub(super) struct Connector {
    options: Options,
    pub(super) timeouts: AnswerTimeouts,
    /// Whether connections are known to keep their sessions.
    keeps_sessions: AtomicBool,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct PostgresConnection {
    connection: PgConnection,
    /// The server process.
    pub(super) pid: i32,
    /// When it was started. The system gives the number to other processes later.
    pub(super) started: Arc<str>,
    /// Whether the session has prepared the statement that reads versions of tables.
    pub(super) has_prepared_version: bool,
}

impl PostgresConnection {
    /// The server process, and the connection.
    pub(super) fn parts(&mut self) -> (i32, &mut PgConnection) {
        (self.pid, &mut self.connection)
    }
}

impl Deref for PostgresConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for PostgresConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Connector {
    pub(super) fn new(options: Options, sink: &SinkOptions) -> Self {
        let (location, socket, lock) = (options.location(), sink.socket_timeout, sink.lock_timeout);
        Self { options, timeouts: AnswerTimeouts { location, socket, lock }, keeps_sessions: AtomicBool::new(false) }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn location_text(&self) -> String {
        self.options.location()
    }

    /// Runs statements that return no rows.
    pub(super) async fn execute(&self, connection: &mut PostgresConnection, sql: String) -> Result<u64> {
        let (step, (pid, conn)) = (step(&sql).to_owned(), connection.parts());
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn);
        Ok(self.answer(pid, &step, done).await?.rows_affected())
    }

    /// Waits for the server's answer to a step of the connection that this process serves.
    pub(super) async fn answer<T>(
        &self,
        pid: i32,
        step: &str,
        act: impl Future<Output = sqlx::Result<T>> + Send,
    ) -> Result<T> {
        let answered = self.timeouts.while_working(step, || self.works(pid), act).await?;
        answered.map_err(|error| self.error(error))
    }

    /// Whether a server process works on a statement, as another connection sees it.
    pub(super) async fn works(&self, pid: i32) -> bool {
        let works = async {
            let mut other = self.connect().await?;
            // A process that reads from its client, or writes to it, does not work. Without track_activities, its state is unknown.
            let works = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 \
                 AND state NOT LIKE 'idle%' AND coalesce(wait_event, '') NOT IN ('ClientRead', 'ClientWrite'))",
            );
            let works: bool = works.bind(pid).fetch_one(&mut *other).await.map_err(|error| self.error(error))?;
            self.close(other).await;
            Ok::<_, crate::error::Error>(works)
        };
        // A server that refuses the connection is alive, unlike one that cannot be reached.
        works.await.unwrap_or_else(|error| error.source().is_some_and(|source| !source.is::<io::Error>()))
    }

    /// The settings of a session.
    fn settings(&self, version: u32) -> String {
        // A write waits for its query without a time limit, regardless of the role's settings.
        let mut settings = format!(
            "SET lock_timeout = {}; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
             SET standard_conforming_strings = on; SET extra_float_digits = 1; SET TimeZone = 'UTC'",
            milliseconds(self.timeouts.lock)
        );
        if version >= 140_000 {
            // The server cancels the statements of a client that has disconnected.
            settings += "; SET client_connection_check_interval = '2s'; SET idle_session_timeout = 0";
        }
        if version >= 170_000 {
            settings += "; SET transaction_timeout = 0";
        }
        // A client that has lost its power holds no locks for longer. Where the operating system has no such setting, the
        // server ignores it.
        let [idle, interval] = keepalive_seconds(self.timeouts.limit());
        settings += &format!(
            "; SET tcp_keepalives_idle = {idle}; SET tcp_keepalives_interval = {interval}; \
             SET tcp_keepalives_count = {PROBES}; \
             SELECT pid, backend_start::text FROM pg_stat_get_activity(pg_backend_pid())"
        );
        settings
    }

    /// Ends a transaction whose client does not acknowledge answers any more. Not for reading: a client that waits for its
    /// query does not acknowledge rows either.
    pub(super) fn user_timeout(&self) -> String {
        format!("SET LOCAL tcp_user_timeout = {}", milliseconds(self.timeouts.limit()))
    }
}

/// For a setting of the server: 0 would disable it.
fn milliseconds(time: Duration) -> u128 {
    time.as_millis().clamp(1, i32::MAX as u128)
}

#[async_trait]
impl Connect for Connector {
    type Connection = PostgresConnection;

    async fn connect(&self) -> Result<PostgresConnection> {
        let port = self.options.connect.get_port();
        let connect = PgConnection::connect_with(&self.options.connect);
        let (connected, ports) = SocketsBefore::now(port).during(port, self.timeouts.limit(), connect).await;
        let mut connection = connected.map_err(|error| self.connect_error(error))?;
        if !self.keeps_sessions.load(Relaxed) {
            self.check_pooler(&mut connection, &ports).await?;
            self.keeps_sessions.store(true, Relaxed);
        }
        let settings = self.settings(connection.server_version_num().unwrap_or_default());
        let set = sqlx::raw_sql(AssertSqlSafe(settings)).fetch_one(&mut connection).await;
        let process = set.and_then(|row| Ok((row.try_get(0)?, row.try_get::<String, _>(1)?)));
        let (pid, started) = process.map_err(|error| self.error(error))?;
        Ok(PostgresConnection { connection, pid, started: started.into(), has_prepared_version: false })
    }

    async fn is_usable(&self, connection: &mut PostgresConnection) -> bool {
        connection.ping().await.is_ok()
    }

    async fn close(&self, connection: PostgresConnection) {
        // All work is done: an error here does not matter.
        let _ = connection.connection.close().await;
    }

    fn location(&self) -> String {
        self.location_text()
    }
}
