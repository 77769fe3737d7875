//! PostgreSQL, 12 and newer: COPY in the binary format both ways, one phase or two.
//!
//! A branch is a connection with an open transaction. Rows go straight into the table by `COPY … FROM STDIN`; by way
//! of a table for staging where there are conflicts to look after, or where COPY cannot write (views, row security,
//! types that only the server can make). In one phase the decision record is a row of the ledger table in the same
//! transaction. In two, a branch ends with `PREPARE TRANSACTION`, and `COMMIT PREPARED` or `ROLLBACK PREPARED` from
//! any session of the same role; its gid begins with `landfall-`, and no other one is ever touched. A query is
//! `COPY (SELECT …) TO STDOUT`. How types go is in [`types`].
//!
//! # Location
//!
//! `postgres://user@host:port/database?sslmode=…`, with these parameters of libpq: `sslmode` (disable, prefer, require,
//! verify-ca, verify-full), `sslrootcert`, `sslcert`, `sslkey`, `application_name`, `options`. The host is a name, an
//! address (`[::1]` of IPv6), or the folder of a unix socket: `postgres:///database?host=/var/run/postgresql&user=me`.
//! There is one, as a transaction is ended by the server that it was begun at. What is left out comes from libpq's
//! environment (`PGHOST`, `PGUSER`, …). The password is taken from the option `password_env`, the URL, `PGPASSWORD` or
//! `~/.pgpass`, and is never shown; in a URL its reserved characters are percent-encoded (`@` as `%40`).
//!
//! A root certificate (`sslrootcert`, `PGSSLROOTCERT`) verifies the server: `sslmode` is then verify-ca, where it is not
//! given or is require, and disable and prefer, which would not look at the root, are refused. The client trusts the
//! system's own roots beside it: with verify-ca a server with a certificate of one of these is let in, with verify-full only
//! under its name. A unix socket has no TLS.
//!
//! # Writing
//!
//! * INSERT OVERWRITE deletes the rows: other sessions read the old ones until the commit. With the option `overwrite` =
//!   `truncate` it truncates the table, which takes no time and leaves nothing to vacuum. It first waits for transactions
//!   that have read the table, up to `lock_timeout`; later readers wait for its commit, and a transaction with an older
//!   snapshot then sees an empty table. Landfall refuses it for views, for tables that a foreign key refers to or that have
//!   row security, rules or a trigger on DELETE, and for a query that reads the table.
//! * Values for a column that is GENERATED ALWAYS AS IDENTITY are an error, as in an INSERT of psql. With the option
//!   `identity` = `override` they are kept (OVERRIDING SYSTEM VALUE). The server never moves a sequence for a value that it
//!   did not draw: where one of an identity or a serial column is behind what was written, a warning says so. With
//!   `identity` = `advance` it is moved behind it, for INSERT, MERGE and UPDATE, at the end of the transaction; it stays
//!   there if that is rolled back.
//! * Under a job, and for several branches, the table `landfall_ledger` is made in the first schema of the search
//!   path, if it is not there; the option `ledger_table` names another one.
//! * Several writers (the option `writers`) are several branches of one transaction, which takes as many of the
//!   server's `max_prepared_transactions`. They are used by themselves for a plain table without triggers, and with
//!   at most one unique key. Where rows have to be staged they go through an unlogged table in the first schema of
//!   the search path, as a session that has used a temporary one cannot prepare; it is dropped in the same transaction.
//! * A session writes in UTC.

mod branch;
mod bytes;
mod catalog;
mod cells;
mod change;
mod connector;
#[cfg(feature = "testing")]
mod copy;
mod decode;
mod encode;
mod error;
mod ledger;
mod lists;
mod location;
mod network;
mod nodelay;
mod numeric;
mod present;
mod resource;
mod rows;
mod run;
mod scan;
mod sequences;
mod statements;
mod temporal;
mod text;
pub mod types;
mod writer;

use std::sync::{Arc, OnceLock};

use dashmap::DashSet;
use sqlx::postgres::PgConnection;
use tokio::sync::Semaphore;

#[cfg(feature = "testing")]
pub use copy::CopyEncoder;

use self::connector::Connector;
use self::location::Options;
use self::sequences::check_identity;

use crate::error::{Error, ErrorKind, Result};
use crate::log::ledger::Ledger;
use crate::options::{Identity, Nanoseconds, SinkOptions};
use crate::pool::{Lease, Pool};
use crate::sql::{Table, Targets, quote};
use crate::xa::{Protocol, WriteSpec};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const POSTGRES_EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
const POSTGRES_EPOCH_MICROS: i64 = POSTGRES_EPOCH_DAYS as i64 * 86_400_000_000;

/// Begins a transaction, whatever the role's settings are.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// Bytes of an identifier: a longer one the server would cut, and say so to nobody.
const MAX_IDENTIFIER: usize = 63;

/// A PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: Pool<Connector>,
    nanoseconds: Nanoseconds,
    identity: Identity,
    /// The sequences of which it was said that they are behind.
    said_behind: Arc<DashSet<String>>,
    /// Lets one writer at a time move sequences: another's look at one must not come between.
    moves_sequences: Arc<Semaphore>,
    ledger: Ledger,
    /// The server's `max_prepared_transactions`, once it was asked.
    max_prepared: Arc<OnceLock<u32>>,
}

/// A connection that nothing is open in.
type Connection = Lease<Connector>;

impl Postgres {
    /// The database at `location`, a URL as in the [module's documentation](self). Nothing is connected yet.
    ///
    /// # Errors
    /// `Config` when the location cannot be meant, or the variable that `password_env` names is not set.
    pub fn try_new(location: &str, options: &SinkOptions) -> Result<Self> {
        let connector = Connector::new(Options::try_new(location, options.password()?)?, options.lock_timeout);
        Ok(Self {
            pool: Pool::new(connector, options.pool()?),
            nanoseconds: options.nanoseconds,
            identity: options.identity,
            said_behind: Arc::default(),
            moves_sequences: Arc::new(Semaphore::new(1)),
            ledger: Ledger::try_new(options.ledger_table.as_deref())?,
            max_prepared: Arc::default(),
        })
    }

    /// A connection in which nothing is open.
    async fn connect(&self) -> Result<Connection> {
        self.pool.acquire().await
    }

    /// A connection with this open.
    async fn begin(&self, mut connection: Connection, begin: &str) -> Result<Connection> {
        self.execute(&mut connection, begin.into()).await?;
        Ok(connection)
    }

    /// Runs statements that bring no rows.
    async fn execute(&self, connection: &mut PgConnection, sql: String) -> Result<u64> {
        self.pool.connector().execute(connection, sql).await
    }

    /// The encoders of a write.
    fn targets(&self, table: &Table, spec: &WriteSpec) -> Result<Targets<encode::Encoder>> {
        check_identity(table, spec.columns.fields().iter().map(|field| field.name().as_str()), self.identity)?;
        Targets::try_new(table, spec, |from, column| encode::Encoder::try_new(from, column, self.nanoseconds))
    }

    /// The error of a table for staging that could not be created.
    fn no_stage(&self, error: Error, protocol: Protocol) -> Error {
        const DOING: &str = "creating a table to stage the new rows in";
        if error.kind() != ErrorKind::Access {
            return error.with_context(DOING);
        }
        let options = &self.options().connect;
        let user = options.get_username();
        let right = match protocol {
            Protocol::OnePhase => {
                format!("TEMPORARY ON DATABASE {}", quote(options.get_database().unwrap_or(user)))
            }
            Protocol::TwoPhase => "CREATE ON SCHEMA … (the first one of the search path)".to_owned(),
        };
        error.with_context(format!("{DOING}; who may is to run: GRANT {right} TO {}; the server says", quote(user)))
    }

    fn location_text(&self) -> String {
        self.pool.connector().location_text()
    }

    /// An error of this database.
    fn error(&self, error: sqlx::Error) -> Error {
        self.pool.connector().error(error)
    }

    /// Where and how it is connected to.
    fn options(&self) -> &Options {
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
