//! What the databases of SQL have in common: how a table is described, created, written and asked for.

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod bulk;
mod change;
mod database;
mod diff;
mod ident;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod insert;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod location;
mod secrets;
mod stage;
mod table;
mod tally;
mod targets;

pub use crate::xa::Parameter;
#[cfg(feature = "mysql")]
pub(crate) use bulk::Buffer;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use bulk::{
    BulkBranch, EncodedRows, Found, Piece, Question, RowEncoder, RowSender, Session, Spare, lost_commit,
    lost_connection,
};
pub(crate) use change::{Native, script};
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(crate) use database::check_not_truncated;
pub use database::{BatchStream, Database, Dialect, Dispatch, Listed, OrderKey, Query};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use database::{Batches, read_ahead};
pub(crate) use diff::{diff, in_range};
pub(crate) use ident::{TableName, quote};
#[cfg(feature = "sqlite")]
pub(crate) use insert::insert_into;
#[cfg(feature = "postgres")]
pub(crate) use insert::upsert;
#[cfg(feature = "mysql")]
pub(crate) use location::decoded;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use location::{check_host, encoded, host_in_url, parse_location, without_brackets};
pub use secrets::without_passwords;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use secrets::without_user;
pub(crate) use stage::{Stage, check_change, shown_names, stage_columns, stage_spec, stage_table};
pub use table::{Characters, Column, Comparison, Detail, Filled, Holds, NewTable, Table};
pub(crate) use tally::{Step, Tally, Tells};
pub(crate) use targets::Targets;
