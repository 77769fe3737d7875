//! SQLite: one file, one writer at a time, one phase.
//!
//! A branch is a connection with `BEGIN IMMEDIATE`, on a thread of its own. It cannot prepare; the decision record
//! is a row of the ledger table in the same transaction. How types are stored is in [`types`].
//!
//! Options of its own: `uint64` = `text` creates columns for UInt64 as texts, where values beyond 9223372036854775807 are errors
//! otherwise; `pragma.<name>` sets a pragma of the connection that writes, such as `pragma.synchronous`.

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
mod ledger;
mod options;
mod run;
mod scan;
mod statement;
mod thread;
pub mod types;
mod writer;

pub use database::Sqlite;
pub use factory::SqliteFactory;
