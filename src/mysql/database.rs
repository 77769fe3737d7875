//! A MySQL or MariaDB database.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::Schema;
use dashmap::DashMap;
use mysql_async::prelude::Queryable;
use mysql_async::{Params, Row, Value};

use super::connector::{Connector, MySqlConnection};
use super::dialect::LEDGER;
use super::location::Options;
use super::{encode, fields};
use crate::backend::{Capability, Table, WriteSpec};
use crate::error::{Error, Result};
use crate::options::{Nanoseconds, SinkOptions};
use crate::pool::{Lease, Pool};
use crate::sql::ledger::Ledger;
use crate::sql::{Targets, step};
use crate::txn::Xid;

/// A MySQL or MariaDB database.
#[derive(Debug, Clone)]
pub struct MySql {
    pub(super) pool: Pool<Connector>,
    pub(super) nanoseconds: Nanoseconds,
    pub(super) ledger: Ledger,
    /// The server's capability, once it was read.
    pub(super) capability: Arc<OnceLock<Capability>>,
    /// The connections of branches that are prepared and not completed: until then, a branch belongs to its session.
    pub(super) prepared: Arc<DashMap<Xid, Prepared>>,
    /// Whether the warning was logged that the server does not allow LOAD DATA.
    pub(super) said_slow: Arc<AtomicBool>,
}

/// A prepared branch with its session.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) connection: Connection,
    /// Its name in the server.
    pub(super) name: String,
}

/// A connection that is in use by one caller.
pub(super) type Connection = Lease<Connector>;

impl MySql {
    /// The database at `location`, a URL as in the [module's documentation](super). This does not connect yet.
    ///
    /// # Errors
    /// `Config` if the location is invalid, or the environment variable named by `password_env` is not set.
    pub fn try_new(location: &str, options: &SinkOptions) -> Result<Self> {
        let connector = Connector::new(Options::try_new(location, options.password()?)?, options);
        Ok(Self {
            pool: Pool::new(connector, options.pool()?),
            nanoseconds: options.nanoseconds,
            ledger: Ledger::try_new(options.ledger_table.as_deref(), &LEDGER)?,
            capability: Arc::default(),
            prepared: Arc::default(),
            said_slow: Arc::default(),
        })
    }

    /// A connection without an open transaction.
    pub(super) async fn connect(&self) -> Result<Connection> {
        self.pool.acquire().await
    }

    /// Runs a statement that returns no rows.
    pub(super) async fn execute(&self, connection: &mut MySqlConnection, sql: &str) -> Result<u64> {
        self.answer(connection.conn.id(), step(sql), connection.conn.query_drop(sql)).await?;
        Ok(connection.conn.affected_rows())
    }

    /// Waits for the server's answer to a step of the connection with this number.
    pub(super) async fn answer<T>(
        &self,
        id: u32,
        step: &str,
        act: impl Future<Output = mysql_async::Result<T>> + Send,
    ) -> Result<T> {
        self.pool.connector().answer(id, step, act).await
    }

    /// The encoders of a write.
    pub(super) fn targets(
        &self,
        table: &Table,
        spec: &WriteSpec,
        style: fields::Style,
    ) -> Result<Targets<encode::Encoder>> {
        Targets::try_new(table, spec, |from, column| encode::Encoder::try_new(from, column, self.nanoseconds, style))
    }

    /// The encoders of a write's key, as literals.
    pub(super) fn key_targets(&self, table: &Table, spec: &WriteSpec) -> Result<Targets<encode::Encoder>> {
        let key = spec.key.iter().filter_map(|name| spec.columns.field_with_name(name).ok().cloned());
        let columns = Arc::new(Schema::new(key.collect::<Vec<_>>()));
        self.targets(table, &WriteSpec { columns, ..spec.clone() }, fields::Style::Literal)
    }

    /// The rows of a query.
    pub(super) async fn rows(
        &self,
        connection: &mut MySqlConnection,
        sql: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let parameters = if parameters.is_empty() { Params::Empty } else { Params::Positional(parameters) };
        self.answer(connection.conn.id(), step(sql), connection.conn.exec(sql, parameters)).await
    }

    pub(super) fn location_text(&self) -> String {
        self.options().location()
    }

    /// An error of this database.
    pub(super) fn error(&self, error: mysql_async::Error) -> Error {
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
    use crate::error::ErrorKind;

    #[test]
    fn a_password_is_never_shown() {
        let options = SinkOptions::new();
        let database = MySql::try_new("mysql://me:s3cr%40et@db.example:6543/sales?ssl-mode=REQUIRED", &options);
        let database = database.unwrap();
        assert_eq!(database.location_text(), "mysql://me@db.example:6543/sales");
        assert_eq!(mysql_async::Opts::from(database.options().builder.clone()).pass(), Some("s3cr@et"));
        assert!(!format!("{database:?}").contains("s3cr"));
        assert_eq!(database.options().url(), "mysql://me@db.example:6543/sales?ssl-mode=REQUIRED");
        for (given, shown) in [
            ("mysql://me@h/a%20b?socket=/run/x.sock", "mysql://me@%2Frun%2Fx.sock:3306/a%20b"),
            ("mysql://m%40e@[::1]:1/db?ssl-mode=disabled", "mysql://m%40e@[::1]:1/db?ssl-mode=disabled"),
        ] {
            let read = |url| MySql::try_new(url, &options).unwrap();
            assert_eq!(read(given).options().url(), shown);
            assert_eq!(read(shown).options().url(), shown);
            assert_eq!(read(shown).options().socket, read(given).options().socket);
            assert!(!read(shown).options().host.contains('['));
        }
        for bad in [
            "mysql://me:s3cret@host:99999/db",
            "mysql://me:s3cret@host",
            "mysql://me:s3cret@host/db?ssl-mode=sure",
            "mysql://me:s3cret@host/db?sslmode=required",
            "mysql://me:s3cret@host/db?ssl-cert=x",
            "mysql://me:s3cret@[::1/db",
            "postgres://me:s3cret@host/db",
            "mysql://me:p@ss/s3cret@host:1/db",
            "mysql://me:12#s3cret@host/db",
            "mysql://me:s3cret@one:3306,two:3306/db",
            "mysql://me:s3cret%FF@host/db",
        ] {
            let error = MySql::try_new(bad, &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
