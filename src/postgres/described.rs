//! What is kept of a table that was described.

use super::codec::ServerType;
use super::codec::number::int8;
use crate::backend::{Column, Detail, Table};
use crate::error::{Error, Result};
use crate::sql::TableName;

/// What a write has to know of a table beside its columns.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) name: TableName,
    /// It is a table, partitioned or not.
    pub(super) is_table: bool,
    /// It is a table that is not partitioned; others can inherit from it.
    pub(super) has_own_rows: bool,
    /// COPY writes it.
    pub(super) takes_copy: bool,
    /// TRUNCATE can empty it, and nobody misses a DELETE.
    pub(super) can_be_truncated: bool,
    /// Why its rows cannot be dealt out to several transactions, beside its keys.
    pub(super) one_writer: Option<&'static str>,
    /// What sees an update that changes nothing.
    pub(super) watched: Option<&'static str>,
}

/// A sequence that a column takes its default from.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    /// As it stands in a statement.
    pub(super) name: String,
    /// From the largest number to the smallest.
    pub(super) descends: bool,
}

/// What is kept of a column.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) server: ServerType,
    pub(super) staging: Staging,
    pub(super) sequence: Option<Sequence>,
}

/// What a column is in a table for staging.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    /// ` COLLATE …`, or nothing: rows of one key are found by it.
    pub(super) collate: String,
    /// What a text is cast to: the type below domains and without its length. The assignment to the column then
    /// refuses what an explicit cast to it would cut.
    pub(super) cast: String,
}

/// The type that a column was described with.
///
/// # Errors
/// `Internal` for a column of another database.
pub(super) fn server_type(column: &Column) -> Result<&ServerType> {
    described(column).map(|described| &described.server)
}

/// What a column is in a table for staging.
pub(super) fn staging(column: &Column) -> Result<&Staging> {
    described(column).map(|described| &described.staging)
}

/// What a column takes its default from, where that is a sequence.
pub(super) fn sequence(column: &Column) -> Result<Option<&Sequence>> {
    described(column).map(|described| described.sequence.as_ref())
}

/// A column of numbers that is not of a table.
pub(super) fn number_column() -> Column {
    const INT8: u32 = 20;
    let server = ServerType { oid: INT8, codec: int8() };
    let staging = Staging { collate: String::new(), cast: "bigint".into() };
    let data_type = server.codec.arrow_type();
    let detail = Detail::new(Described { server, staging, sequence: None });
    Column { detail, ..Column::new("number", "bigint", data_type) }
}

impl Relation {
    /// That of a table that a branch has made to stage rows in.
    pub(super) fn of_stage(name: TableName) -> Self {
        Self {
            name,
            is_table: true,
            has_own_rows: true,
            takes_copy: true,
            can_be_truncated: false,
            one_writer: None,
            watched: None,
        }
    }
}

fn described(column: &Column) -> Result<&Described> {
    column
        .detail
        .get()
        .ok_or_else(|| Error::internal(format!("column \"{}\" was not described by PostgreSQL", column.name)))
}

/// What a table was described with.
pub(super) fn relation(table: &Table) -> Result<&Relation> {
    table.detail.get().ok_or_else(|| Error::internal(format!("table {} was not described by PostgreSQL", table.name)))
}
