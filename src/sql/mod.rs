//! What the databases of SQL have in common: how a table is described, created, written and asked for.

mod database;
mod ident;
mod insert;
mod secrets;
mod table;
mod targets;

pub use database::{BatchStream, Database, Dialect, Dispatch, OrderKey, Parameter, Query};
pub(crate) use ident::{TableName, quote};
#[cfg(feature = "sqlite")]
pub(crate) use insert::insert_into;
pub(crate) use insert::upsert;
pub(crate) use secrets::without_passwords;
pub use table::{Column, Comparison, Detail, Filled, NewTable, Table};
pub(crate) use targets::Targets;
