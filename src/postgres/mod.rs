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
//! verify-ca, verify-full), `sslrootcert`, `sslcert`, `sslkey`, `application_name`, `options`; a unix socket as
//! `postgres:///database?host=/var/run/postgresql&user=me`. What is left out comes from libpq's environment (`PGHOST`,
//! `PGUSER`, …). The password is taken from the option `password_env`, the URL, `PGPASSWORD` or `~/.pgpass`, and is
//! never shown.
//!
//! # Writing
//!
//! * INSERT OVERWRITE truncates the table where it may, and where nobody reads it or has a trigger on DELETE; else it
//!   deletes the rows. A transaction that began to read before, and looks at the table only after, sees it empty then.
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
mod network;
mod nodelay;
mod numeric;
mod present;
mod resource;
mod rows;
mod run;
mod scan;
mod statements;
mod temporal;
mod text;
pub mod types;
mod writer;

use std::sync::{Arc, OnceLock};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

#[cfg(feature = "testing")]
pub use copy::CopyEncoder;

use self::connector::Connector;

use crate::error::{Error, Result};
use crate::log::ledger::Ledger;
use crate::options::{Nanoseconds, SinkOptions};
use crate::pool::{Lease, Pool};
use crate::sql::{Table, Targets, check_password};
use crate::xa::WriteSpec;

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
    /// The parameters of the location, without the password.
    parameters: String,
    nanoseconds: Nanoseconds,
    ledger: Ledger,
    /// The server's `max_prepared_transactions`, once it was asked.
    max_prepared: Arc<OnceLock<u32>>,
}

/// A connection that nothing is open in.
type Connection = Lease<Connector>;

/// Where and how to connect.
#[derive(Clone)]
struct Options(PgConnectOptions);

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password is among them.
        f.write_str(&location(&self.0))
    }
}

fn location(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("postgres://{}@{host}:{}/{database}", options.get_username(), options.get_port())
}

impl Postgres {
    /// The database at `location`, a URL as in the [module's documentation](self). Nothing is connected yet.
    ///
    /// # Errors
    /// `Config` when the location cannot be meant, or the variable that `password_env` names is not set.
    pub fn try_new(location: &str, options: &SinkOptions) -> Result<Self> {
        const FORM: &str = "give postgres://user@host:port/database";
        if !["postgres://", "postgresql://"].iter().any(|scheme| location.starts_with(scheme)) {
            return Err(Error::config(format!("LOCATION is no URL of a PostgreSQL server: {FORM}")));
        }
        check_location(location)?;
        // The cause could have the password in it.
        let mut connect: PgConnectOptions = location
            .parse()
            .map_err(|error| Error::config(format!("LOCATION cannot be understood, {}: {FORM}", cause(&error))))?;
        if let Some(password) = options.password()? {
            connect = connect.password(&password);
        }
        if matches!(connect.get_ssl_mode(), PgSslMode::Allow) {
            return Err(Error::config("sslmode=allow is not supported: use prefer, or disable"));
        }
        if connect.get_application_name().is_none() {
            connect = connect.application_name("landfall");
        }
        let connector = Connector::new(Options(connect.disable_statement_logging()), options.lock_timeout);
        Ok(Self {
            pool: Pool::new(connector, options.pool()?),
            parameters: parameters(location),
            nanoseconds: options.nanoseconds,
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
        Targets::try_new(table, spec, |from, column| encode::Encoder::try_new(from, column, self.nanoseconds))
    }

    fn location_text(&self) -> String {
        self.pool.connector().location_text()
    }

    /// An error of this database.
    fn error(&self, error: sqlx::Error) -> Error {
        self.pool.connector().error(error)
    }

    /// Where and how it is connected to.
    fn options(&self) -> &PgConnectOptions {
        &self.pool.connector().options().0
    }
}

/// The parameters that a location can have; any other would be ignored silently.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

fn check_location(location: &str) -> Result<()> {
    check_password(location)?;
    let Some((_, query)) = location.split_once('?') else { return Ok(()) };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        if !PARAMETERS.contains(&name) && !name.starts_with("options[") && !name.starts_with("options%5B") {
            return Err(Error::config(format!(
                "LOCATION has the parameter '{name}', which is not known: known are {}",
                PARAMETERS.join(", ")
            )));
        }
    }
    Ok(())
}

/// What follows `?` in a location, without the password and what [`location`] has.
fn parameters(location: &str) -> String {
    let (_, query) = location.split_once('?').unwrap_or_default();
    let known = ["password=", "host=", "hostaddr=", "port=", "dbname=", "user="];
    let is_kept = |part: &&str| !part.is_empty() && !known.iter().any(|known| part.starts_with(known));
    let kept: Vec<_> = query.split('&').filter(is_kept).collect();
    if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) }
}

/// Why a URL was not understood, without the URL.
fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(cause) => cause.to_string(),
        _ => "it is malformed".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_password_is_never_shown() {
        let options = SinkOptions::new();
        let database = Postgres::try_new("postgres://me:s3cret@db.example:6543/sales?password=s3cret", &options);
        let database = database.unwrap();
        assert_eq!(database.location_text(), "postgres://me@db.example:6543/sales");
        assert_eq!(database.parameters, "");
        assert!(!format!("{database:?}").contains("s3cret"));
        for bad in [
            "postgres://me:s3cret@host:99999/db",
            "postgres://me:s3cret@host/db?sslmode=s3cret2",
            "postgres://me:s3cret@[::1/db",
            "mysql://me:s3cret@host/db",
            "postgres://me:s3cret@host/db?sslmod=require",
            "postgres://me:p@ss/s3cret@host:1/db",
            "postgres://me:12#s3cret@host/db",
        ] {
            let error = Postgres::try_new(bad, &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
            assert!(!error.to_string().contains("s3cret@"), "{error}");
        }
    }

    #[test]
    fn a_password_comes_from_the_variable_that_is_named() {
        let options = SinkOptions::try_from_pairs([("password_env", "LANDFALL_NO_SUCH_VARIABLE")]).unwrap();
        let error = Postgres::try_new("postgres://me@host/db", &options).unwrap_err();
        assert!(error.to_string().contains("LANDFALL_NO_SUCH_VARIABLE, which is not set"), "{error}");
    }
}
