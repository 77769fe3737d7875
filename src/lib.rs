//! Landfall is the transactional write path of [Apache DataFusion](datafusion): a query's Arrow stream lands in a
//! database, all of its rows or none, and, as a named *job*, exactly once.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! use datafusion::prelude::SessionContext;
//!
//! let context = SessionContext::new();
//! datafusion_landfall::register(&context);
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("people.db").display().to_string();
//! # let sql = |text: &str| text.replace("people.db", &file);
//! context
//!     .sql(&sql("CREATE EXTERNAL TABLE people (id BIGINT PRIMARY KEY, name VARCHAR NOT NULL)
//!                STORED AS SQLITE LOCATION 'people.db' OPTIONS ('on_conflict' 'update')"))
//!     .await?;
//! context.sql("INSERT INTO people VALUES (1, 'Ada'), (2, 'Grace')").await?.collect().await?;
//! let people = context.sql("SELECT name FROM people WHERE id = 2").await?.collect().await?;
//! assert_eq!(people[0].num_rows(), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! # Tables
//!
//! [`register`] teaches a session `CREATE EXTERNAL TABLE t [(columns)] STORED AS … LOCATION '…' [OPTIONS (…)]`:
//!
//! | `STORED AS` | `LOCATION` | more |
//! | --- | --- | --- |
//! | `SQLITE` | a path, or `sqlite:path` | `sqlite` |
//! | `POSTGRES` | `postgres://user@host:port/database?sslmode=…`; what is left out is taken from libpq's environment | `postgres` |
//!
//! Columns that are left out are taken from the table in the database. Where they are given and the table is not
//! there, it is created, with its PRIMARY KEY, UNIQUE, NOT NULL and DEFAULT; where it is there, it must have these
//! columns. From code the same is [`LandfallTable::connect`] and [`LandfallTable::connect_or_create`].
//!
//! * `INSERT INTO t` appends. `INSERT OVERWRITE t` deletes the old rows in the same transaction. `REPLACE INTO t`
//!   replaces, by the key, whole rows: columns that are not written get their defaults.
//!   Deleting obeys foreign keys: `ON DELETE CASCADE` takes the referring rows with it. PostgreSQL truncates the table
//!   instead where nothing refers to it, reads it or has a trigger on DELETE.
//! * Of rows with one key the last one wins; where `on_conflict` is `ignore`, the first. Rows arrive in the order of ORDER BY, else of the scan that they are from;
//!   what joins and aggregates produce has none.
//! * Columns that an INSERT leaves out are filled in by the database itself, whatever their default is.
//! * `DataFrame::write_table` writes by column names, in any order.
//! * A value is stored unchanged or not at all: what does not fit is an error that names row and column, and the
//!   statement is rolled back. In SQL, DataFusion
//!   casts the query's columns to the table's types first, as EXPLAIN shows; `write_table` does not. How each type is stored: `sqlite::types`, `postgres::types`.
//!
//! # Options
//!
//! | option | values | default | meaning |
//! | --- | --- | --- | --- |
//! | `table` | a table's name | the external table's name | the table in the database, spelled as the database spells it; in PostgreSQL also schema.table |
//! | `job` | a name | none | makes the write happen once: a second run of a finished job writes nothing and says so |
//! | `on_conflict` | error, update, ignore | error | what INSERT INTO does with a row whose key is in the table already: fail, set the inserted columns, or leave the row that is there |
//! | `conflict_key` | column names, comma-separated | the primary key | the key that on_conflict and REPLACE INTO go by; a unique index must cover exactly these columns |
//! | `lock_timeout` | a time: 500ms, 5s, 1m | 5s | how long to wait for another writer's lock |
//! | `uint64` | error, text | error | SQLite: a UInt64 beyond 9223372036854775807: fail, or create the column as text |
//! | `nanoseconds` | error, truncate | error | PostgreSQL: a time with nanoseconds that its microseconds cannot hold: fail, or cut them off |
//! | `password_env` | a variable's name | none | PostgreSQL: the environment variable that has the password |
//! | `writers` | 1 to 64 | as many as pay | PostgreSQL: connections that write at once, as branches of one transaction; by itself up to 4, for more than 65536 rows |
//! | `commit` | auto, one_phase, two_phase | auto | whether a write prepares before it commits: auto does with several branches; one_phase has one writer |
//! | `log` | a URL: file:///…, s3://…, gs://…, az://… | the database's ledger table | where two-phase commits are decided: a folder, or a prefix of an object store |
//! | `ledger_table` | a table's name | landfall_ledger | the ledger table in the database; in PostgreSQL also schema.table |
//!
//! `pragma.<name>` sets a SQLite pragma for the writing connection; the names are [`options::PRAGMAS`].
//!
//! # Exactly once
//!
//! Without the option `job` a statement is atomic, and nothing is remembered. With it, the commit leaves a record in
//! the table `landfall_ledger` of the same database, in the same transaction. Whoever runs the job again, after
//! `kill -9` or after success, finds in the ledger whether it is done. A job is one write to one table: give every
//! statement a name of its own. Two runs at once cannot both commit; the later one to start takes over, the other
//! fails with [`ErrorKind::Fenced`]. The protocol is drawn in [`xa`].
//!
//! To stop a write in an orderly way, give the session an [`Interrupt`]. Dropping the future of a statement rolls it
//! back too, unless its commit has begun.
//!
//! # Features
//!
//! `sqlite` and `postgres` are databases; `cli` is the program `landfall`, and DataFusion's functions and file formats
//! for it. All are on by default. `mysql` is a reserved name and turns on nothing yet.
//!
//! # Layout
//!
//! Dependencies point down only, and a test keeps it so.
//!
//! ```text
//! cli                     the program
//! provider                the DataFusion face: factory, table, sink, scan, pushdown, defaults
//! pipeline    sqlite      from a stream to a commit │ databases: types, encode, decode, branch, resource, …
//!             postgres
//! sql         log         tables and statements of SQL databases │ decision logs
//! columnar                work on arrays that needs no database
//! options
//! xa                      the protocol: names, decision records, traits, manager, conformance suite
//! error
//! ```

// What one database alone needs has nobody to call it where that is left out.
#![cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code, unused_imports, unused_variables))]

#[cfg(feature = "cli")]
pub mod cli;
mod columnar;
pub mod error;
pub mod log;
pub mod options;
pub mod pipeline;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod provider;
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod xa;

pub use error::{Error, ErrorKind, Result};
pub use options::SinkOptions;
pub use pipeline::Interrupt;
pub use provider::{LandfallTable, register};
pub use xa::OnConflict;
