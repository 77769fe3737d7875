//! The description of a table.

use std::sync::Arc;

use super::codec::{Codec, Declared};
use super::connector::Server;
use super::types::codec;
use crate::backend::{Column, Detail, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::TableName;

/// The properties of a table that a write needs, except its columns.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) name: TableName,
    pub(super) server: Server,
    /// Why it cannot be written.
    pub(super) read_only: Option<String>,
    /// Why its rows cannot be distributed to several transactions, apart from its keys.
    pub(super) one_writer: Option<&'static str>,
    /// Why an update that changes nothing has an effect.
    pub(super) watched: Option<&'static str>,
    /// Whether there is a unique key on expressions or column prefixes.
    pub(super) has_other_keys: bool,
}

impl Relation {
    /// Refuses a table that cannot be written.
    ///
    /// # Errors
    /// `Unsupported`, with the next step.
    pub(super) fn check_writable(&self) -> Result<()> {
        match &self.read_only {
            Some(why) => Err(Error::new(ErrorKind::Unsupported, format!("table {} {why}", self.name.table))),
            None => Ok(()),
        }
    }
}

/// The codec of a column.
///
/// # Errors
/// `Internal` for a column of another database.
pub(super) fn codec_of(column: &Column) -> Result<&Arc<dyn Codec>> {
    column.detail.get().ok_or_else(|| Error::internal(format!("column \"{}\" was not described by MySQL", column.name)))
}

/// A column of numbers that belongs to no table.
pub(super) fn number_column() -> Column {
    let codec = codec(&Declared::parse("bigint"));
    let data_type = codec.arrow_type();
    Column { detail: Detail::new(codec), ..Column::new("number", "bigint", data_type) }
}

/// The properties of a table.
pub(super) fn relation(table: &Table) -> Result<&Relation> {
    table.detail.get().ok_or_else(|| Error::internal(format!("table {} was not described by MySQL", table.name)))
}
