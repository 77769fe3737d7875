//! The description of a table.

use super::codec::ServerType;
use super::codec::number::int8;
use crate::backend::{Column, Detail, Table};
use crate::error::{Error, Result};
use crate::sql::TableName;

/// The properties of a table that a write needs, except its columns.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) name: TableName,
    /// Whether it is a table, partitioned or not.
    pub(super) is_table: bool,
    /// Whether it is a table that is not partitioned; other tables can inherit from it.
    pub(super) has_own_rows: bool,
    /// Whether COPY can write it.
    pub(super) takes_copy: bool,
    /// Whether TRUNCATE can empty it without bypassing triggers, rules or row security.
    pub(super) can_be_truncated: bool,
    /// Why its rows cannot be distributed to several transactions, apart from its keys.
    pub(super) one_writer: Option<&'static str>,
    /// Why an update that changes nothing has an effect.
    pub(super) watched: Option<&'static str>,
    /// Its [version](super::version).
    pub(super) version: Option<String>,
}

/// The sequence of a column's default value.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    /// The quoted name.
    pub(super) name: String,
    /// Whether its increment is negative.
    pub(super) descends: bool,
}

/// The description of a column.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) server: ServerType,
    pub(super) staging: Staging,
    pub(super) sequence: Option<Sequence>,
}

/// The properties of a column in a staging table.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    /// ` COLLATE …`, or empty. Rows with the same key are found by this collation.
    pub(super) collate: String,
    /// The type that a text is cast to: the base type of domains, without a length. The assignment to the column then
    /// refuses values that an explicit cast would truncate.
    pub(super) cast: String,
}

/// The server type of a column.
///
/// # Errors
/// `Internal` for a column of another database.
pub(super) fn server_type(column: &Column) -> Result<&ServerType> {
    described(column).map(|described| &described.server)
}

/// The properties of a column in a staging table.
pub(super) fn staging(column: &Column) -> Result<&Staging> {
    described(column).map(|described| &described.staging)
}

/// The sequence of a column's default value, if it has one.
pub(super) fn sequence(column: &Column) -> Result<Option<&Sequence>> {
    described(column).map(|described| described.sequence.as_ref())
}

/// A column of numbers that belongs to no table.
pub(super) fn number_column() -> Column {
    const INT8: u32 = 20;
    let server = ServerType { oid: INT8, codec: int8() };
    let staging = Staging { collate: String::new(), cast: "bigint".into() };
    let data_type = server.codec.arrow_type();
    let detail = Detail::new(Described { server, staging, sequence: None });
    Column { detail, ..Column::new("number", "bigint", data_type) }
}

impl Relation {
    /// The description of a staging table that a branch has created.
    pub(super) fn of_stage(name: TableName) -> Self {
        Self {
            name,
            is_table: true,
            has_own_rows: true,
            takes_copy: true,
            can_be_truncated: false,
            one_writer: None,
            watched: None,
            version: None,
        }
    }
}

fn described(column: &Column) -> Result<&Described> {
    column
        .detail
        .get()
        .ok_or_else(|| Error::internal(format!("column \"{}\" was not described by PostgreSQL", column.name)))
}

/// The properties of a table.
pub(super) fn relation(table: &Table) -> Result<&Relation> {
    table.detail.get().ok_or_else(|| Error::internal(format!("table {} was not described by PostgreSQL", table.name)))
}
