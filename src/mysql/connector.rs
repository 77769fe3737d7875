//! Opens connections and sets up their sessions.

use std::error::Error as _;
use std::time::{Duration, Instant};
use std::{fmt, io};

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError};

use super::flavor::Flavor;
use super::location::Options;
use super::row::text;
use crate::error::{Error, ErrorKind, Result};
use crate::options::SinkOptions;
use crate::pool::Connect;
use crate::sql::{AnswerTimeouts, SocketsBefore};

/// How connections are opened.
#[derive(Debug)]
pub(super) struct Connector {
    options: Options,
    pub(super) timeouts: AnswerTimeouts,
}

/// An open connection.
pub(super) struct MySqlConnection {
    pub(super) conn: Conn,
    pub(super) server: Server,
    /// When it was opened.
    pub(super) since: Instant,
}

impl fmt::Debug for MySqlConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's options include the password.
        write!(f, "Session({})", self.conn.id())
    }
}

/// The properties of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) flavor: Flavor,
    pub(super) max_allowed_packet: usize,
    pub(super) local_infile: bool,
}

impl Connector {
    pub(super) fn new(options: Options, sink: &SinkOptions) -> Self {
        let (location, socket, lock) = (options.location(), sink.socket_timeout, sink.lock_timeout);
        Self { options, timeouts: AnswerTimeouts { location, socket, lock } }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Waits for the server's answer to a step of the connection with this number.
    pub(super) async fn answer<T>(
        &self,
        id: u32,
        step: &str,
        act: impl Future<Output = mysql_async::Result<T>> + Send,
    ) -> Result<T> {
        let answered = self.timeouts.while_working(step, || self.works(id), act).await?;
        match answered {
            Ok(answered) => Ok(answered),
            Err(error) => Err(self.with_holder(id, self.error(error)).await),
        }
    }

    /// The error of a connection; if it has waited for a lock, with the transaction that may hold it.
    pub(super) async fn with_holder(&self, id: u32, error: Error) -> Error {
        if error.kind() != ErrorKind::Locked {
            return error;
        }
        match self.oldest_transaction(id).await {
            Some(oldest) => error.with_context(oldest),
            None => error,
        }
    }

    /// The oldest transaction of another connection, which a statement may have waited for, and the statement that ends it.
    async fn oldest_transaction(&self, id: u32) -> Option<String> {
        let asked = async {
            let mut other = self.connect().await.ok()?;
            let oldest = "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) \
                          FROM information_schema.INNODB_TRX WHERE trx_rows_locked + trx_rows_modified > 0 \
                          AND trx_mysql_thread_id NOT IN (0, ?, CONNECTION_ID()) ORDER BY trx_started LIMIT 1";
            // This needs the privilege PROCESS.
            let oldest: Option<(u64, u64)> = other.conn.exec_first(oldest, (id,)).await.ok()?;
            self.close(other).await;
            oldest
        };
        let (holder, seconds) = tokio::time::timeout(LOOK_TIMEOUT, asked).await.ok()??;
        Some(format!(
            "connection {holder} has the oldest transaction with locks, for {seconds} s (KILL {holder} ends it)"
        ))
    }

    /// Whether the server works on a statement of a connection, as another connection sees it.
    pub(super) async fn works(&self, id: u32) -> bool {
        let works = async {
            let mut other = self.connect().await?;
            // A thread that reads from its client, or writes to it, does not work.
            let works = "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = ? AND COMMAND <> 'Sleep' \
                         AND COALESCE(STATE, '') NOT LIKE '% net'";
            let works: Option<u8> = other.conn.exec_first(works, (id,)).await.map_err(|error| self.error(error))?;
            self.close(other).await;
            Ok::<_, Error>(works.is_some())
        };
        // A server that refuses the connection is alive, unlike one that cannot be reached.
        works.await.unwrap_or_else(|error| error.source().is_some_and(|source| !source.is::<io::Error>()))
    }
}

#[async_trait]
impl Connect for Connector {
    type Connection = MySqlConnection;

    async fn connect(&self) -> Result<MySqlConnection> {
        let options = &self.options;
        let (before, since) = (SocketsBefore::now(options.port), Instant::now());
        let connected = match Conn::new(options.builder.clone()).await {
            Err(mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)) if options.tls_is_preferred => {
                Conn::new(options.builder.clone().ssl_opts(None)).await
            }
            connected => connected,
        };
        before.set_since(options.port, self.timeouts.limit());
        let mut conn = connected.map_err(|error| {
            let error = self.error(error);
            match error.kind() {
                ErrorKind::Unavailable => error,
                _ => error.with_context(format!("connecting to {}", self.location())),
            }
        })?;
        let said: Option<mysql_async::Row> = conn.query_first(ABOUT).await.map_err(|error| self.error(error))?;
        let said = said.ok_or_else(|| Error::internal("the server did not return its version"))?;
        let server = Server {
            flavor: Flavor::parse(&text(&said, 0)?)?,
            max_allowed_packet: text(&said, 1)?.parse().unwrap_or(1 << 20),
            local_infile: text(&said, 2)? == "1",
        };
        // In whole seconds, from 1 to a year.
        let lock_timeout = self.timeouts.lock.as_millis().div_ceil(1_000).clamp(1, 31_536_000);
        for settings in [
            "SET NAMES utf8mb4".to_owned(),
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE".to_owned(),
            format!(
                "SET SESSION sql_mode = '{SQL_MODE}', time_zone = '+00:00', autocommit = 1, completion_type = 0, \
                 unique_checks = 1, foreign_key_checks = 1, sql_notes = 1, max_error_count = 64, \
                 sql_safe_updates = 0, sql_auto_is_null = 0, sql_select_limit = 18446744073709551615, \
                 innodb_lock_wait_timeout = {lock_timeout}, lock_wait_timeout = {lock_timeout}, \
                 net_read_timeout = {YEAR}, net_write_timeout = {YEAR}, wait_timeout = {YEAR}, {}",
                server.flavor.session()
            ),
        ] {
            conn.query_drop(settings).await.map_err(|error| self.error(error).with_context("setting up a session"))?;
        }
        Ok(MySqlConnection { conn, server, since })
    }

    async fn is_usable(&self, session: &mut MySqlConnection) -> bool {
        session.conn.ping().await.is_ok()
    }

    async fn close(&self, session: MySqlConnection) {
        // All work is done: an error here does not matter.
        let _ = session.conn.disconnect().await;
    }

    fn location(&self) -> String {
        self.options.location()
    }
}

/// How long to look for the transaction that holds a lock.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// ER_LOCK_WAIT_TIMEOUT.
pub(super) const LOCK_WAIT_TIMEOUT: u16 = 1205;

const ABOUT: &str = "SELECT @@version, CAST(@@max_allowed_packet AS CHAR), CAST(@@local_infile + 0 AS CHAR)";

/// Double quotes around names, doubled quotes in texts, as in standard SQL; and no value is truncated or changed to fit.
const SQL_MODE: &str = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,\
     NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION";

/// A session waits for its query without a time limit: the maximum that a server accepts, in seconds.
const YEAR: u32 = 31_536_000;
