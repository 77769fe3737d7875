//! MySQL 8.0.19 and newer, and MariaDB 10.2 and newer: writing with LOAD DATA, one-phase commit, and two-phase
//! commit with XA.
//!
//! A branch is a connection with an open transaction. `LOAD DATA LOCAL INFILE` writes the rows directly to the table
//! from memory. If the server does not allow LOAD DATA LOCAL (`local_infile`), or if conflicts must be resolved,
//! multi-row INSERT statements of up to `max_allowed_packet` bytes write the rows. In a one-phase commit, the decision
//! record is a row of the ledger table in the same transaction. In a two-phase commit, a branch is `XA START` …
//! `XA PREPARE`, and any session can complete the branch. The gtrid of a branch begins with `landfall-`; Landfall never
//! touches any other XA transaction. Queries are prepared statements. [`types`] describes the types, and [`flavor`]
//! describes the differences between the two servers.
//!
//! # Location
//!
//! `mysql://user@host:port/database` (or `mariadb://…`), with these parameters: `ssl-mode` (disabled, preferred,
//! required, verify_ca, verify_identity; preferred by default), `ssl-ca`, `ssl-cert`, `ssl-key`, `socket`. The host is
//! a name, an address (IPv6: `[::1]`), or a Unix socket:
//! `mysql://user@localhost/database?socket=/run/mysqld/mysqld.sock`. Several hosts are an error, because a transaction
//! must end on the server where it began. Omitted parts come from the environment variables `MYSQL_HOST`,
//! `MYSQL_TCP_PORT` and `USER`. The password comes from the option `password_env`, the URL or `MYSQL_PWD`, and is never
//! shown. In a URL, percent-encode the reserved characters of the password (`@` as `%40`).
//!
//! With a root certificate (`ssl-ca`), the client verifies the server with this root only: if `ssl-mode` is not set or
//! is required, the mode becomes verify_ca; disabled and preferred, which ignore the root certificate, are errors. The
//! client (mysql_async 0.37) requires a matching host name for verify_ca, too. A Unix socket does not use TLS.
//!
//! # Writing
//!
//! * Sessions are strict regardless of the server's `sql_mode`, and a warning is an error, because LOAD DATA LOCAL
//!   turns errors into warnings. Sessions use the time zone UTC, the character set utf8mb4 and the isolation level READ
//!   COMMITTED.
//! * Tables must be transactional: writing to MyISAM, Aria and MEMORY tables is an error. Views can be read, but not
//!   written, because MySQL does not report whether the tables of a view are transactional.
//! * INSERT OVERWRITE deletes the rows with DELETE, because TRUNCATE would commit.
//! * Upserts are `INSERT … ON DUPLICATE KEY UPDATE`. If a table has several unique keys, a row that conflicts on a key
//!   other than the conflict key is an error; it does not update the existing row.
//! * Jobs and transactions with several branches create the table `landfall_ledger` in the database if the table does
//!   not exist, on a separate connection, because MySQL commits at DDL. The option `ledger_table` names another table.
//! * Several writers (the option `writers`) are several XA branches. Landfall uses several writers automatically on
//!   machines with four or more cores, for a base table without triggers and with at most one unique key.
//! * Branches are prepared in the server, not in one of its databases. In MariaDB 10.5 and newer, a prepared branch
//!   outlives its session; on older versions, Landfall uses one-phase commit.
//! * A decision is as durable as `innodb_flush_log_at_trx_commit` specifies; the default, 1, is durable.

mod alter;
mod answer;
mod backend;
mod branch;
mod catalog;
mod change;
mod codec;
mod connection;
mod connector;
mod create;
mod database;
mod described;
mod dialect;
mod encode;
mod error;
mod existing;
mod factory;
mod fields;
#[cfg(feature = "testing")]
mod file;
pub mod flavor;
mod large;
mod ledger;
mod load;
mod location;
mod open;
mod row;
mod run;
mod scan;
mod statements;
pub mod types;
mod unpublished;
mod writer;

pub use database::MySql;
pub use factory::MySqlFactory;
#[cfg(feature = "testing")]
pub use file::FileEncoder;
