//! Opens connections and sets up their sessions.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError};

use super::flavor::Flavor;
use super::location::Options;
use super::row::text;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::Connect;

/// How connections are opened.
#[derive(Debug)]
pub(super) struct Connector {
    options: Options,
    pub(super) lock_timeout: Duration,
}

/// An open connection.
pub(super) struct MySqlConnection {
    pub(super) conn: Conn,
    pub(super) server: Server,
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
    pub(super) fn new(options: Options, lock_timeout: Duration) -> Self {
        Self { options, lock_timeout }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }
}

#[async_trait]
impl Connect for Connector {
    type Connection = MySqlConnection;

    async fn connect(&self) -> Result<MySqlConnection> {
        let options = &self.options;
        let connected = match Conn::new(options.builder.clone()).await {
            Err(mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)) if options.tls_is_preferred => {
                Conn::new(options.builder.clone().ssl_opts(None)).await
            }
            connected => connected,
        };
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
        let lock_timeout = self.lock_timeout.as_millis().div_ceil(1_000).clamp(1, 31_536_000);
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
        Ok(MySqlConnection { conn, server })
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

const ABOUT: &str = "SELECT @@version, CAST(@@max_allowed_packet AS CHAR), CAST(@@local_infile + 0 AS CHAR)";

/// Double quotes around names, doubled quotes in texts, as in standard SQL; and no value is truncated or changed to fit.
const SQL_MODE: &str = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,\
     NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION";

/// A session waits for its query without a time limit: the maximum that a server accepts, in seconds.
const YEAR: u32 = 31_536_000;
