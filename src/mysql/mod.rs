//! MySQL, 8.0.19 and newer, and MariaDB, 10.2 and newer: LOAD DATA and XA branches.
//!
//! A branch is a connection with an open transaction. Rows go straight into the table by `LOAD DATA LOCAL INFILE`, fed
//! from memory; where the server forbids that (`local_infile`), and where there are conflicts to look after, by INSERT
//! statements of many rows, as large as `max_allowed_packet` lets them be. In one phase the decision record is a row of
//! the ledger table in the same transaction. In two, a branch is `XA START` … `XA PREPARE`, and any session completes
//! it; its gtrid begins with `landfall-`, and no other one is ever touched. A query is a prepared statement. How types
//! go is in [`types`], and what differs between the two servers in [`flavor`].
//!
//! # Location
//!
//! `mysql://user@host:port/database` (or `mariadb://…`), with these parameters: `ssl-mode` (disabled, preferred,
//! required, verify_ca, verify_identity; preferred by default), `ssl-ca`, `ssl-cert`, `ssl-key`, `socket`. The host is a
//! name, an address (`[::1]` of IPv6), or a unix socket: `mysql://user@localhost/database?socket=/run/mysqld/mysqld.sock`.
//! There is one, as a transaction is ended by the server that it was begun at. What is left out comes from the client's
//! environment (`MYSQL_HOST`, `MYSQL_TCP_PORT`, `USER`). The password is taken from the option `password_env`, the URL
//! or `MYSQL_PWD`, and is never shown; in a URL its reserved characters are percent-encoded (`@` as `%40`).
//!
//! A root certificate, `ssl-ca`, verifies the server, and no other root does: `ssl-mode` is then verify_ca, where it is not
//! given or is required, and disabled and preferred, which would not look at the root, are refused. The client
//! (mysql_async 0.37) wants the host's name in the certificate under verify_ca, too. A socket has no TLS.
//!
//! # Writing
//!
//! * A session is strict, whatever the server's `sql_mode` is, and a warning is an error: LOAD DATA LOCAL turns errors
//!   into warnings. It writes in UTC, in utf8mb4, and at READ COMMITTED.
//! * Tables must be transactional: MyISAM, Aria and MEMORY are refused. Views are read, and not written, as nobody says
//!   whether the tables behind them are.
//! * INSERT OVERWRITE deletes the rows one by one: TRUNCATE would commit.
//! * Upserts are `INSERT … ON DUPLICATE KEY UPDATE`. Where a table has several unique keys, a row that conflicts by
//!   another one than the key that was asked for is an error, not an update of a row that nobody meant.
//! * Under a job, and for several branches, the table `landfall_ledger` is made in the database, if it is not there, by a
//!   connection of its own, as DDL commits; the option `ledger_table` names another one.
//! * Several writers (the option `writers`) are several XA branches. They are used by themselves where there are four
//!   cores or more, for a plain table without triggers, and with at most one unique key.
//! * Branches are prepared in the whole server, not in one database of it. A branch keeps what it has prepared after its
//!   session is gone from MariaDB 10.5 on; older ones write in one phase.
//! * A decision is as durable as `innodb_flush_log_at_trx_commit` says; the default, 1, is durable.

mod branch;
mod catalog;
mod change;
mod connector;
mod decode;
mod encode;
mod error;
mod fields;
#[cfg(feature = "testing")]
mod file;
pub mod flavor;
mod ledger;
mod present;
mod resource;
mod run;
mod scan;
mod statements;
pub mod types;
mod writer;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::datatypes::Schema;
use dashmap::DashMap;
use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, OptsBuilder, SslOpts};

#[cfg(feature = "testing")]
pub use file::FileEncoder;

use self::connector::{Connector, Session};
use crate::error::{Error, Result};
use crate::log::ledger::Ledger;
use crate::options::{Nanoseconds, SinkOptions};
use crate::pool::{Lease, Pool};
use crate::sql::{Table, Targets, check_host, decoded, encoded, host_in_url, parse_location, without_brackets};
use crate::xa::{Capability, WriteSpec, Xid};

/// A MySQL or MariaDB database.
#[derive(Debug, Clone)]
pub struct MySql {
    pool: Pool<Connector>,
    nanoseconds: Nanoseconds,
    ledger: Ledger,
    /// What the server can promise, once it was asked.
    capability: Arc<OnceLock<Capability>>,
    /// The connections of branches that are prepared and not completed: a branch is its session's until then.
    prepared: Arc<DashMap<Xid, Prepared>>,
    /// Whether it was said that LOAD DATA is forbidden.
    said_slow: Arc<AtomicBool>,
}

/// A prepared branch whose session is here.
#[derive(Debug)]
struct Prepared {
    connection: Connection,
    /// Its name, as the server has it.
    name: String,
}

/// A connection that is this one's alone.
type Connection = Lease<Connector>;

/// Where and how to connect.
#[derive(Clone)]
struct Options {
    builder: OptsBuilder,
    user: String,
    host: String,
    socket: Option<String>,
    port: u16,
    database: String,
    /// The parameters of the location.
    parameters: String,
    /// TLS where the server has it.
    tls_is_preferred: bool,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The builder has the password.
        f.write_str(&self.location())
    }
}

const FORM: &str = "give mysql://user@host:port/database";

/// The parameters that a location can have.
const PARAMETERS: &[&str] = &["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

impl Options {
    fn try_new(location: &str, password: Option<String>) -> Result<Self> {
        let url = parse_location(location, &["mysql", "mariadb"], FORM)?;
        let given = |text: &str| Ok::<_, Error>(Some(decoded(text)?).filter(|text| !text.is_empty()));
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());

        let database = given(url.path().trim_start_matches('/'))?.filter(|name| !name.contains('/'));
        let database = database.ok_or_else(|| Error::config(format!("LOCATION names no database: {FORM}")))?;
        let user = given(url.username())?.or_else(|| variable("USER"));
        let user = user.ok_or_else(|| Error::config(format!("LOCATION names no user: {FORM}")))?;
        let host = given(url.host_str().unwrap_or_default())?.or_else(|| variable("MYSQL_HOST"));
        let host = host.unwrap_or_else(|| "localhost".into());
        check_host(&host)?;
        let host = without_brackets(&host).map(str::to_owned).unwrap_or(host);
        let port = url.port().or_else(|| variable("MYSQL_TCP_PORT")?.parse().ok()).unwrap_or(3306);
        let password = password.or(url.password().map(decoded).transpose()?).or_else(|| variable("MYSQL_PWD"));

        let (mut tls, mut mode, mut has_root) = (SslOpts::default(), None, false);
        let (mut identity, mut socket) = ((None, None), Some(host.clone()).filter(|host| host.starts_with('/')));
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "ssl-mode" => mode = Some(value.to_ascii_lowercase()),
                "ssl-ca" => {
                    has_root = true;
                    tls = tls.with_root_certs(vec![std::path::PathBuf::from(value.as_ref()).into()]);
                    tls = tls.with_disable_built_in_roots(true);
                }
                "ssl-cert" => identity.0 = Some(std::path::PathBuf::from(value.as_ref())),
                "ssl-key" => identity.1 = Some(std::path::PathBuf::from(value.as_ref())),
                "socket" => socket = Some(value.into_owned()),
                other => {
                    return Err(Error::config(format!(
                        "LOCATION has the parameter '{other}', which is not known: known are {}",
                        PARAMETERS.join(", ")
                    )));
                }
            }
        }
        match identity {
            (None, None) => {}
            (Some(cert), Some(key)) => {
                tls = tls.with_client_identity(Some(ClientIdentity::new(cert.into(), key.into())))
            }
            _ => return Err(Error::config("LOCATION has one of ssl-cert and ssl-key: give both")),
        }
        // A root is there to verify the server.
        let mode = match (mode.as_deref(), has_root) {
            (None, false) => "preferred",
            (None | Some("required"), true) => "verify_ca",
            (Some(mode @ ("disabled" | "preferred")), true) => {
                return Err(Error::config(format!(
                    "ssl-mode={mode} would not verify the server by ssl-ca: use verify_identity or verify_ca, or leave \
                     ssl-ca out"
                )));
            }
            (Some(mode), _) => mode,
        };
        let tls = match mode {
            "disabled" => None,
            "preferred" | "required" => {
                Some(tls.with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true))
            }
            "verify_ca" => Some(tls.with_danger_skip_domain_validation(true)),
            "verify_identity" => Some(tls),
            other => {
                return Err(Error::config(format!(
                    "ssl-mode cannot be '{other}': it takes disabled, preferred, required, verify_ca or verify_identity"
                )));
            }
        };
        let builder = OptsBuilder::default()
            .ip_or_hostname(host.clone())
            .tcp_port(port)
            .user(Some(user.clone()))
            .pass(password)
            .db_name(Some(database.clone()))
            .ssl_opts(tls.filter(|_| socket.is_none()))
            .socket(socket.clone())
            .prefer_socket(false)
            // A row that an UPDATE finds counts, also where it has its values already.
            .client_found_rows(true)
            // A server that is gone without a word is noticed.
            .tcp_keepalive(Some(Duration::from_secs(30)))
            // What the server takes is asked by ourselves.
            .max_allowed_packet(Some(1 << 30))
            .wait_timeout(Some(28_800));
        // The socket stands for the host.
        let parameters = url.query().unwrap_or_default().split('&').filter(|part| !part.is_empty());
        let parameters: Vec<_> = parameters.filter(|part| !part.starts_with("socket=")).collect();
        let parameters = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
        let tls_is_preferred = mode == "preferred";
        Ok(Self { builder, user, host, socket, port, database, parameters, tls_is_preferred })
    }

    fn location(&self) -> String {
        let host = host_in_url(self.socket.as_ref().unwrap_or(&self.host));
        format!("mysql://{}@{host}:{}/{}", encoded(&self.user), self.port, encoded(&self.database))
    }

    /// The location as a URL that can be given again.
    fn url(&self) -> String {
        format!("{}{}", self.location(), self.parameters)
    }
}

impl MySql {
    /// The database at `location`, a URL as in the [module's documentation](self). Nothing is connected yet.
    ///
    /// # Errors
    /// `Config` when the location cannot be meant, or the variable that `password_env` names is not set.
    pub fn try_new(location: &str, options: &SinkOptions) -> Result<Self> {
        let connector = Connector::new(Options::try_new(location, options.password()?)?, options.lock_timeout);
        Ok(Self {
            pool: Pool::new(connector, options.pool()?),
            nanoseconds: options.nanoseconds,
            ledger: Ledger::try_new(options.ledger_table.as_deref())?,
            capability: Arc::default(),
            prepared: Arc::default(),
            said_slow: Arc::default(),
        })
    }

    /// A connection in which nothing is open.
    async fn connect(&self) -> Result<Connection> {
        self.pool.acquire().await
    }

    /// Runs a statement that brings no rows.
    async fn execute(&self, connection: &mut Session, sql: &str) -> Result<u64> {
        connection.conn.query_drop(sql).await.map_err(|error| self.error(error))?;
        Ok(connection.conn.affected_rows())
    }

    /// The encoders of a write.
    fn targets(&self, table: &Table, spec: &WriteSpec, style: fields::Style) -> Result<Targets<encode::Encoder>> {
        Targets::try_new(table, spec, |from, column| encode::Encoder::try_new(from, column, self.nanoseconds, style))
    }

    /// Encoders of a write's key, as literals.
    fn key_targets(&self, table: &Table, spec: &WriteSpec) -> Result<Targets<encode::Encoder>> {
        let key = spec.key.iter().filter_map(|name| spec.columns.field_with_name(name).ok().cloned());
        let columns = Arc::new(Schema::new(key.collect::<Vec<_>>()));
        self.targets(table, &WriteSpec { columns, ..spec.clone() }, fields::Style::Literal)
    }

    fn location_text(&self) -> String {
        self.options().location()
    }

    /// An error of this database.
    fn error(&self, error: mysql_async::Error) -> Error {
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
