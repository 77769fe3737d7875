//! The shared parts of SQL databases: describing, creating, writing and querying tables.

mod answer;
mod bulk;
mod change;
mod connection;
mod create;
mod dialect;
mod diff;
mod duplicate;
mod encoded;
mod ident;
mod indexes;
mod insert;
pub mod ledger;
mod location;
mod lost;
mod open;
mod overwrite;
mod row_counts;
mod savepoint;
mod secrets;
mod sender;
#[cfg(feature = "_socket")]
mod socket;
mod stage;
mod targets;
mod writer;

pub use answer::{AnswerTimeouts, step};
pub use bulk::BulkBranch;
#[cfg(test)]
pub(crate) use change::tests as change_tests;
pub use change::{Native, repeated, script};
pub use connection::{SqlConnection, TextRow, apply, execute_many};
pub use create::{NewColumn, check_identifiers, column_declarations, create_table, has_more_numbers, scratch_table};
pub use dialect::SqlDialect;
pub use diff::{diff, in_range};
pub use duplicate::{DUPLICATE_KEY, duplicate_in_change, other_key};
pub use encoded::{Buffer, Chunks, EncodedChunk, EncodedRows, FreeList, LookupRequest, LookupResult, RowEncoder};
pub use ident::{TableName, quote};
pub use indexes::{cannot_rebuild, indexes_stay};
pub use insert::{insert_into, upsert};
pub use location::{check_host, decoded, encoded, host_in_url, parse_location, password_in, without_brackets};
pub use lost::lost_connection;
pub use open::OpenBranch;
pub use overwrite::check_not_truncated;
pub use row_counts::{RowCount, RowCounts, Step, suppressed};
pub use savepoint::{Savepoint, SentRows};
pub use secrets::{without_passwords, without_user};
pub use sender::{RowSender, ServerSession, ServerTransaction, undone};
#[cfg(feature = "_socket")]
pub use socket::{PROBES, SocketsBefore, keepalive_seconds};
pub use stage::{Stage, check_change, shown_names, stage_columns, stage_spec, stage_table};
pub use targets::Targets;
pub use writer::Writer;
