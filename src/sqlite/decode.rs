//! Converts SQLite's values to Arrow arrays. Any column can store any value; a value of another type than its column's is
//! an error.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewBuilder, Float64Builder, Int64Builder, NullArray, StringViewBuilder};
use rusqlite::types::ValueRef;

use super::affinity::Affinity;
use super::codec::{Class, Codec, Stored};
use super::types::codec;
use crate::backend::Column;
use crate::error::{Error, ErrorKind, Result};

/// Collects the values of one column into an array.
#[derive(Debug)]
pub(super) struct Decoder {
    column: Column,
    codec: Arc<dyn Codec>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Null(usize),
    Integer(Int64Builder),
    Real(Float64Builder),
    Text(StringViewBuilder),
    Blob(BinaryViewBuilder),
}

impl Decoder {
    pub(super) fn try_new(column: &Column) -> Result<Self> {
        let codec = codec(&column.data_type, Affinity::of_column(column)).ok_or_else(|| {
            Error::schema(format!(
                "column \"{}\" cannot be read as {}: register the table with another type for this column",
                column.name, column.data_type
            ))
        })?;
        let values = match codec.class() {
            Class::Null => Values::Null(0),
            Class::Integer => Values::Integer(Int64Builder::new()),
            Class::Real => Values::Real(Float64Builder::new()),
            Class::Text => Values::Text(StringViewBuilder::new()),
            Class::Blob => Values::Blob(BinaryViewBuilder::new()),
        };
        Ok(Self { column: column.clone(), codec, values })
    }

    /// Appends the value of the next row.
    ///
    /// # Errors
    /// `Decode` if it does not have the storage class of the column's type.
    pub(super) fn push(&mut self, value: ValueRef<'_>) -> Result<()> {
        match (&mut self.values, value) {
            (Values::Null(rows), ValueRef::Null) => *rows += 1,
            (Values::Integer(values), ValueRef::Null) => values.append_null(),
            (Values::Integer(values), ValueRef::Integer(value)) => values.append_value(value),
            (Values::Real(values), ValueRef::Null) => values.append_null(),
            (Values::Real(values), ValueRef::Real(value)) => values.append_value(value),
            // A NUMERIC column stores 2.0 as 2.
            (Values::Real(values), ValueRef::Integer(value)) if value as f64 as i128 == i128::from(value) => {
                values.append_value(value as f64);
            }
            (Values::Text(values), ValueRef::Null) => values.append_null(),
            (Values::Text(values), ValueRef::Text(value)) => match std::str::from_utf8(value) {
                Ok(text) => values.append_value(text),
                Err(_) => return Err(self.unexpected("text that is not UTF-8")),
            },
            (Values::Text(values), ValueRef::Integer(value)) if self.codec.takes_numbers() => {
                values.append_value(value.to_string());
            }
            (Values::Text(values), ValueRef::Real(value)) if self.codec.takes_numbers() => {
                values.append_value(value.to_string());
            }
            (Values::Blob(values), ValueRef::Null) => values.append_null(),
            (Values::Blob(values), ValueRef::Blob(value) | ValueRef::Text(value)) => values.append_value(value),
            (_, other) => return Err(self.unexpected(&described(other))),
        }
        Ok(())
    }

    /// The array of the values appended since the last call.
    ///
    /// # Errors
    /// `Decode` if a value does not have the column's type.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let stored = match &mut self.values {
            Values::Null(rows) => return Ok(Arc::new(NullArray::new(std::mem::take(rows)))),
            Values::Integer(values) => Stored::Integer(values.finish()),
            Values::Real(values) => Stored::Real(values.finish()),
            Values::Text(values) => Stored::Text(values.finish()),
            Values::Blob(values) => Stored::Blob(values.finish()),
        };
        self.codec.load(&stored, &self.column.data_type).map_err(|error| error.with_context(self.place()))
    }

    fn place(&self) -> String {
        format!("reading column \"{}\" (declared {})", self.column.name, self.column.sql_type)
    }

    fn unexpected(&self, found: &str) -> Error {
        Error::new(
            ErrorKind::Decode,
            format!(
                "found {found}, which is not a valid {}: find such rows with SELECT rowid, typeof({}) in sqlite3",
                self.column.data_type,
                crate::sql::quote(&self.column.name)
            ),
        )
        .with_context(self.place())
    }
}

fn described(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(value) => format!("the integer {value}"),
        ValueRef::Real(value) => format!("the number {value}"),
        ValueRef::Text(value) => {
            let text = String::from_utf8_lossy(value);
            format!("the text '{}'", text.chars().take(60).collect::<String>())
        }
        ValueRef::Blob(value) => format!("a blob of {} bytes", value.len()),
    }
}
