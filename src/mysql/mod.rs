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
//! * Tables must be transactional: MyISAM, Aria and MEMORY are refused. Views are read, and not written, because
//!   MySQL does not tell whether the tables of a view are transactional.
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
mod ledger;
mod load;
mod location;
mod row;
mod run;
mod scan;
mod statements;
pub mod types;
mod writer;

pub use database::MySql;
pub use factory::MySqlFactory;
#[cfg(feature = "testing")]
pub use file::FileEncoder;
