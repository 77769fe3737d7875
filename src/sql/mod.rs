//! What the databases of SQL have in common: how a table is described, created, written and asked for.

mod database;
mod ident;
mod insert;
mod table;

pub use database::{BatchStream, Database, Parameter, Query};
pub(crate) use ident::quote;
#[cfg(feature = "sqlite")]
pub(crate) use insert::insert_into;
pub use table::{Column, Comparison, Filled, NewTable, Table};
