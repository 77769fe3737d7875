//! SQLite: one file, one writer at a time, one-phase commit.
//!
//! A branch is a connection with `BEGIN IMMEDIATE` on a separate thread. SQLite cannot prepare a transaction; the
//! decision record is a row of the ledger table in the same transaction. [`types`] describes how types are stored.
//!
//! Additional options: `uint64` = `text` creates UInt64 columns as text; without this option, a value greater than
//! 9223372036854775807 is an error. `pragma.<name>`, such as `pragma.synchronous`, sets a PRAGMA of the connection that
//! writes.

mod affinity;
mod backend;
mod branch;
mod catalog;
mod change;
mod codec;
mod connection;
mod connector;
mod create;
mod database;
mod decode;
mod dialect;
mod encode;
mod error;
mod existing;
mod factory;
mod indexes;
mod ledger;
mod open;
mod options;
mod run;
mod scan;
mod statement;
mod thread;
pub mod types;
mod writer;

pub use database::Sqlite;
pub use factory::SqliteFactory;
