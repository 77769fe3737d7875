//! A PostgreSQL database.

use std::sync::{Arc, OnceLock};

use dashmap::{DashMap, DashSet};
use tokio::sync::Semaphore;

use super::connector::{Connector, PostgresConnection};
use super::encode;
use super::identity::check_identity;
use super::location::Options;
use super::options::Identity;
use crate::backend::{Protocol, Table, WriteSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Nanoseconds, SinkOptions};
use crate::pool::{Lease, Pool};
use crate::sql::ledger::{Ledger, STANDARD};
use crate::sql::{Targets, quote};

/// Begins a transaction, regardless of the role's settings.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// A PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Postgres {
    pub(super) pool: Pool<Connector>,
    pub(super) nanoseconds: Nanoseconds,
    pub(super) identity: Identity,
    /// The sequences for which a warning was logged.
    pub(super) said_behind: Arc<DashSet<String>>,
    /// Lets one writer at a time read and advance sequences.
    pub(super) moves_sequences: Arc<Semaphore>,
    pub(super) ledger: Ledger,
    /// The server's `max_prepared_transactions`, once it was read.
    pub(super) max_prepared: Arc<OnceLock<u32>>,
    /// The descriptions of tables, by their names.
    pub(super) known: Arc<DashMap<String, Arc<Table>>>,
}

/// A connection without an open transaction.
pub(super) type Connection = Lease<Connector>;

impl Postgres {
    /// The database at `location`, a URL as in the [module's documentation](super). This does not connect yet.
    ///
    /// # Errors
    /// `Config` if the location is invalid, or the environment variable named by `password_env` is not set.
    pub fn try_new(location: &str, options: &SinkOptions) -> Result<Self> {
        let connector = Connector::new(Options::try_new(location, options.password()?)?, options);
        Ok(Self {
            pool: Pool::new(connector, options.pool()?),
            nanoseconds: options.nanoseconds,
            identity: Identity::of(options),
            said_behind: Arc::default(),
            moves_sequences: Arc::new(Semaphore::new(1)),
            ledger: Ledger::try_new(options.ledger_table.as_deref(), &STANDARD)?,
            max_prepared: Arc::default(),
            known: Arc::default(),
        })
    }

    /// A connection without an open transaction.
    pub(super) async fn connect(&self) -> Result<Connection> {
        self.pool.acquire().await
    }

    /// The connection after running `begin`.
    pub(super) async fn begin(&self, mut connection: Connection, begin: &str) -> Result<Connection> {
        self.execute(&mut connection, begin.into()).await?;
        Ok(connection)
    }

    /// Runs statements that return no rows.
    pub(super) async fn execute(&self, connection: &mut PostgresConnection, sql: String) -> Result<u64> {
        self.pool.connector().execute(connection, sql).await
    }

    /// Waits for the server's answer to a step of the connection that this process serves.
    pub(super) async fn answer<T>(
        &self,
        pid: i32,
        step: &str,
        act: impl Future<Output = sqlx::Result<T>> + Send,
    ) -> Result<T> {
        self.pool.connector().answer(pid, step, act).await
    }

    /// Waits for the server to accept data of a COPY.
    pub(super) async fn accepted<T>(&self, sent: impl Future<Output = sqlx::Result<T>> + Send) -> Result<()> {
        let sent = self.pool.connector().timeouts.within("COPY", sent).await?;
        sent.map(drop).map_err(|error| self.error(error))
    }

    /// The encoders of a write.
    pub(super) fn targets(&self, table: &Table, spec: &WriteSpec) -> Result<Targets<encode::Encoder>> {
        check_identity(table, spec.columns.fields().iter().map(|field| field.name().as_str()), self.identity)?;
        Targets::try_new(table, spec, |from, column| encode::Encoder::try_new(from, column, self.nanoseconds))
    }

    /// The error if a staging table could not be created.
    pub(super) fn no_stage(&self, error: Error, protocol: Protocol) -> Error {
        const DOING: &str = "creating the staging table";
        if error.kind() != ErrorKind::Access {
            return error.with_context(DOING);
        }
        let options = &self.options().connect;
        let user = options.get_username();
        let right = match protocol {
            Protocol::OnePhase => {
                format!("TEMPORARY ON DATABASE {}", quote(options.get_database().unwrap_or(user)))
            }
            Protocol::TwoPhase => "CREATE ON SCHEMA … (the first schema of the search path)".to_owned(),
        };
        error.with_context(format!("{DOING} (requires GRANT {right} TO {})", quote(user)))
    }

    pub(super) fn location_text(&self) -> String {
        self.pool.connector().location_text()
    }

    /// An error of this database.
    pub(super) fn error(&self, error: sqlx::Error) -> Error {
        self.pool.connector().error(error)
    }

    /// The parameters of its connections.
    pub(super) fn options(&self) -> &Options {
        self.pool.connector().options()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_password_comes_from_the_variable_that_is_named() {
        let options = SinkOptions::try_from_pairs([("password_env", "LANDFALL_NO_SUCH_VARIABLE")]).unwrap();
        let error = Postgres::try_new("postgres://me@host/db", &options).unwrap_err();
        assert!(error.to_string().contains("LANDFALL_NO_SUCH_VARIABLE, which is not set"), "{error}");
    }
}
