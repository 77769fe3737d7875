//! Opens connections and sets up their sessions.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::location::Options;
use super::nodelay::Before;
use crate::error::Result;
use crate::pool::Connect;

/// How connections are opened.
#[derive(Debug)]
pub(super) struct Connector {
    options: Options,
    pub(super) lock_timeout: Duration,
}

impl Connector {
    pub(super) fn new(options: Options, lock_timeout: Duration) -> Self {
        Self { options, lock_timeout }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn location_text(&self) -> String {
        self.options.location()
    }

    /// Runs statements that return no rows.
    pub(super) async fn execute(&self, connection: &mut PgConnection, sql: String) -> Result<u64> {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await;
        done.map(|done| done.rows_affected()).map_err(|error| self.error(error))
    }
}

#[async_trait]
impl Connect for Connector {
    type Connection = PgConnection;

    async fn connect(&self) -> Result<PgConnection> {
        let port = self.options.connect.get_port();
        let before = Before::now(port);
        let connected = PgConnection::connect_with(&self.options.connect).await;
        before.set_since(port);
        let mut connection = connected.map_err(|error| self.connect_error(error))?;
        // A write waits for its query without a time limit, regardless of the role's settings.
        let mut settings = format!(
            "SET lock_timeout = {}; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
             SET standard_conforming_strings = on; SET TimeZone = 'UTC'",
            // 0 would disable the timeout.
            self.lock_timeout.as_millis().max(1)
        );
        let version = connection.server_version_num().unwrap_or_default();
        if version >= 140_000 {
            // The server cancels the statements of a client that has disconnected.
            settings += "; SET client_connection_check_interval = '2s'; SET idle_session_timeout = 0";
        }
        if version >= 170_000 {
            settings += "; SET transaction_timeout = 0";
        }
        self.execute(&mut connection, settings).await?;
        Ok(connection)
    }

    async fn is_usable(&self, connection: &mut PgConnection) -> bool {
        connection.ping().await.is_ok()
    }

    async fn close(&self, connection: PgConnection) {
        // All work is done: an error here does not matter.
        let _ = connection.close().await;
    }

    fn location(&self) -> String {
        self.location_text()
    }
}
