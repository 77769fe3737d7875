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

mod backend;
mod branch;
mod bytes;
mod catalog;
mod cells;
mod change;
mod codec;
mod connection;
mod connector;
#[cfg(feature = "testing")]
mod copy;
mod create;
mod cursor;
mod database;
mod described;
mod dialect;
mod encode;
mod error;
mod existing;
mod factory;
mod identity;
mod ledger;
mod location;
mod nodelay;
mod options;
mod rows;
mod run;
mod scan;
mod sequences;
mod statements;
mod texts;
pub mod types;
mod writer;

#[cfg(feature = "testing")]
pub use copy::CopyEncoder;
pub use database::Postgres;
pub use factory::PostgresFactory;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const POSTGRES_EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
const POSTGRES_EPOCH_MICROS: i64 = POSTGRES_EPOCH_DAYS as i64 * 86_400_000_000;
