//! PostgreSQL 12 and newer: reading and writing with COPY in the binary format, one-phase and two-phase commit.
//!
//! A branch is a connection with an open transaction. `COPY … FROM STDIN` writes the rows directly to the table. A
//! staging table is used to resolve conflicts, and where COPY cannot write: views, row security, and types that only
//! the server can convert. In a one-phase commit, the decision record is a row of the ledger table in the same
//! transaction. In a two-phase commit, a branch ends with `PREPARE TRANSACTION`, and any session of the same role runs
//! `COMMIT PREPARED` or `ROLLBACK PREPARED`. The transaction identifier (gid) begins with `landfall-`; Landfall never
//! touches any other prepared transaction. Queries run as `COPY (SELECT …) TO STDOUT`. [`types`] describes the types.
//!
//! # Location
//!
//! `postgres://user@host:port/database?sslmode=…`, with these parameters of libpq: `sslmode` (disable, prefer, require,
//! verify-ca, verify-full), `sslrootcert`, `sslcert`, `sslkey`, `application_name`, `options`. The host is a name, an
//! address (IPv6: `[::1]`), or the directory of a Unix socket: `postgres:///database?host=/var/run/postgresql&user=me`.
//! Several hosts are an error, because a transaction must end on the server where it began. A connection pooler in
//! transaction mode (PgBouncer's `pool_mode = transaction`) is an error, too; a pooler in session mode works. Omitted
//! parts of the URL come from libpq's environment variables (`PGHOST`, `PGUSER`, …). The password comes from the option
//! `password_env`, the URL, `PGPASSWORD` or `~/.pgpass`, and is never shown. In a URL, percent-encode the reserved
//! characters of the password (`@` as `%40`).
//!
//! With a root certificate (`sslrootcert`, `PGSSLROOTCERT`), the client verifies the server: if `sslmode` is not set or
//! is require, the mode becomes verify-ca; disable and prefer, which ignore the root certificate, are errors. The
//! client also trusts the system's root certificates: verify-ca accepts any server with a certificate from one of these
//! roots, and verify-full accepts it only if the host name also matches. A Unix socket does not use TLS.
//!
//! # Writing
//!
//! * INSERT OVERWRITE deletes the rows: other sessions read the old rows until the commit. With the option `overwrite`
//!   = `truncate`, the statement truncates the table, which is fast and leaves nothing to vacuum. The statement first
//!   waits for transactions that have read the table, up to `lock_timeout`. Later readers wait for the commit, and a
//!   transaction with an older snapshot then sees an empty table. `truncate` is an error for views, for tables that a
//!   foreign key references or that have row security, rules or a trigger on DELETE, and for a query that reads the
//!   table.
//! * With the option `indexes`, the transaction drops the indexes of an empty table before it writes rows, and builds
//!   them again after the rows: see [the guide](crate::guide::speed).
//! * A value for a column that is GENERATED ALWAYS AS IDENTITY is an error, as in PostgreSQL's own INSERT. The option
//!   `identity` = `override` stores the value (OVERRIDING SYSTEM VALUE). The server does not advance a sequence for
//!   explicit values: if the sequence of an identity or serial column is behind the written values, Landfall logs a
//!   warning. With `identity` = `advance`, INSERT, MERGE and UPDATE advance the sequence past the written values at the
//!   end of the transaction; a rollback does not move the sequence back.
//! * Jobs and transactions with several branches create the table `landfall_ledger` in the first schema of the search
//!   path if the table does not exist, in a separate transaction. The option `ledger_table` names another table.
//! * Several writers (the option `writers`) are several branches of one transaction, and each branch needs one of the
//!   server's `max_prepared_transactions`. Landfall uses several writers automatically for an ordinary table without
//!   triggers and with at most one unique key. If several writers have to stage rows, each uses an unlogged table in
//!   the first schema of the search path (or, if the search path is empty, in the schema of the table), because a
//!   session that has used a temporary table cannot prepare a transaction. The same transaction drops the unlogged
//!   table.
//! * Sessions use the time zone UTC.

mod alter;
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
mod indexes;
mod ledger;
mod location;
mod open;
mod options;
mod pooler;
mod queries;
mod rows;
mod run;
mod scan;
mod sequences;
mod statements;
mod texts;
pub mod types;
mod version;
mod writer;

#[cfg(feature = "testing")]
pub use copy::CopyEncoder;
pub use database::Postgres;
pub use factory::PostgresFactory;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const POSTGRES_EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
const POSTGRES_EPOCH_MICROS: i64 = POSTGRES_EPOCH_DAYS as i64 * 86_400_000_000;
