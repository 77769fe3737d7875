//! The existing rows of a table and the new ones, both in SQLite's storage classes, for upserts by difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::{
    ArrayRef, BinaryViewArray, BinaryViewBuilder, Float64Builder, Int64Builder, RecordBatch, StringViewArray,
    StringViewBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};

use super::affinity::Affinity;
use super::codec::{Class, Codec, Stored};
use super::encode::{BoundRows, Encoder};
use super::types::codec;
use crate::backend::Table;
use crate::backend::WriteSpec;
use crate::error::{Error, Result};
use crate::sql::{Targets, diff, in_range, quote};

/// The maximum number of bytes of texts and blobs that are read for one comparison. Rows beyond it are written without a
/// comparison.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// How existing rows are read.
#[derive(Debug)]
pub(super) struct ExistingRows {
    shapes: Vec<Shape>,
    schema: SchemaRef,
    select: String,
    key: Vec<(usize, String)>,
}

/// The type in which a column is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Integer,
    Real {
        /// Whether the column stores a whole number as an integer.
        or_integer: bool,
    },
    Text,
    /// Digits in a column that converts them to numbers.
    Digits,
    Blob,
}

/// The rows to read.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Rows that satisfy this condition.
    Range(String),
    /// Rows with these keys.
    Keys(BoundRows),
}

impl ExistingRows {
    /// How a write reads existing rows; `None` if it is blind, which is the default in SQLite.
    ///
    /// # Errors
    /// `Schema` if the options require a comparison that is not possible.
    pub(super) fn of(table: &Table, spec: &WriteSpec) -> Result<Option<Self>> {
        // Comparing writes fewer pages, but is slower: reading a row takes as long as updating it.
        let slower = Some("SQLite is faster without reading the existing rows");
        diff(table, spec, slower, || {
            let (mut shapes, mut names, mut fields) = (Vec::new(), Vec::new(), Vec::new());
            for field in spec.columns.fields() {
                let name = field.name();
                let column = table.column(name).ok_or_else(|| format!("column \"{name}\" does not exist"))?;
                let affinity = Affinity::of_column(column);
                let codec = codec(&column.data_type, affinity);
                let shape = codec.and_then(|codec| Shape::of(&*codec, affinity));
                let shape = shape.ok_or_else(|| {
                    format!("values of column \"{name}\", whose type is {}, cannot be compared", column.data_type)
                })?;
                shapes.push(shape);
                names.push(quote(name));
                fields.push(Field::new(name, shape.data_type(), true));
            }
            let position = |name: &String| spec.columns.index_of(name).map_err(|error| error.to_string());
            let key = spec.key.iter().map(|name| Ok((position(name)?, name.clone())));
            let key = key.collect::<Result<_, String>>()?;
            let select = format!("SELECT {} FROM {}", names.join(", "), quote(&table.name));
            Ok(Self { shapes, schema: Arc::new(Schema::new(fields)), select, key })
        })
    }

    /// The positions of the key's columns.
    pub(super) fn key(&self) -> Vec<usize> {
        self.key.iter().map(|(position, _)| *position).collect()
    }

    /// The new rows as they would be read, and the existing rows to read.
    pub(super) fn lookup_request(
        &self,
        targets: &Targets<Encoder>,
        rows: &RecordBatch,
    ) -> Option<(RecordBatch, Wanted)> {
        let stored = targets.try_encode(rows, Encoder::encode)?;
        let columns = self.shapes.iter().zip(&stored).map(|(shape, stored)| shape.array(stored));
        let new = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Option<_>>()?).ok()?;
        let names: Vec<String> = self.key.iter().map(|(_, name)| name.clone()).collect();
        let is_integer = self.key.iter().all(|(position, _)| self.shapes[*position] == Shape::Integer);
        let wanted = match is_integer.then(|| in_range(rows, &names)).flatten() {
            Some(range) => Wanted::Range(range),
            None => {
                let mut stored: Vec<_> = stored.into_iter().map(Some).collect();
                let key = self.key.iter().map(|(position, _)| stored[*position].take());
                Wanted::Keys(BoundRows { columns: key.collect::<Option<_>>()?, count: rows.num_rows() })
            }
        };
        Some((new, wanted))
    }

    /// Reads rows, until the branch is abandoned.
    pub(super) fn read(
        &self,
        connection: &Connection,
        wanted: &Wanted,
        abandoned: &AtomicBool,
    ) -> rusqlite::Result<Vec<ArrayRef>> {
        let mut found = Found::new(&self.shapes);
        match wanted {
            Wanted::Range(range) => {
                let mut statement = connection.prepare(&format!("{} WHERE {range}", self.select))?;
                let mut rows = statement.query([])?;
                while let (Some(row), false) = (rows.next()?, abandoned.load(Relaxed)) {
                    found.push(row)?;
                }
            }
            Wanted::Keys(keys) => {
                let same = self.key.iter().map(|(_, name)| format!("{} = ?", quote(name)));
                let condition = same.collect::<Vec<_>>().join(" AND ");
                let mut statement = connection.prepare(&format!("{} WHERE {condition}", self.select))?;
                for row in 0..keys.count {
                    let values = keys.columns.iter().map(|column| ToSqlOutput::Borrowed(column.value(row)));
                    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                    while let Some(row) = rows.next()? {
                        found.push(row)?;
                    }
                    if abandoned.load(Relaxed) {
                        break;
                    }
                }
            }
        }
        Ok(found.finish())
    }

    /// A batch of the read columns.
    pub(super) fn batch(&self, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| Error::internal(error.to_string()))
    }
}

impl Shape {
    fn of(codec: &dyn Codec, affinity: Affinity) -> Option<Self> {
        Some(match codec.class() {
            Class::Null => return None,
            Class::Integer => Self::Integer,
            Class::Real => Self::Real { or_integer: affinity.makes_numbers() },
            Class::Text if codec.is_made_number() => Self::Digits,
            Class::Text => Self::Text,
            Class::Blob => Self::Blob,
        })
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Real { .. } => DataType::Float64,
            Self::Text | Self::Digits => DataType::Utf8View,
            Self::Blob => DataType::BinaryView,
        }
    }

    fn array(self, stored: &Stored) -> Option<ArrayRef> {
        Some(match (self, stored) {
            (Self::Integer, Stored::Integer(values)) => Arc::new(values.clone()),
            (Self::Real { .. }, Stored::Real(values)) => Arc::new(values.clone()),
            (Self::Text, Stored::Text(values)) => Arc::new(values.clone()),
            (Self::Digits, Stored::Text(values)) => {
                let fewest = |text: &str| match text.contains('.') {
                    true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                    false => text.to_owned(),
                };
                Arc::new(StringViewArray::from_iter(values.iter().map(|text| text.map(fewest))))
            }
            (Self::Blob, Stored::Blob(values)) => Arc::new(BinaryViewArray::clone(values)),
            _ => return None,
        })
    }
}

/// The values that were read, column by column.
struct Found {
    columns: Vec<Values>,
    bytes: usize,
}

enum Values {
    Integer(Int64Builder),
    Real(Float64Builder, bool),
    Text(StringViewBuilder),
    Digits(StringViewBuilder),
    Blob(BinaryViewBuilder),
}

impl Found {
    fn new(shapes: &[Shape]) -> Self {
        let columns = shapes.iter().map(|shape| match *shape {
            Shape::Integer => Values::Integer(Int64Builder::new()),
            Shape::Real { or_integer } => Values::Real(Float64Builder::new(), or_integer),
            Shape::Text => Values::Text(StringViewBuilder::new()),
            Shape::Digits => Values::Digits(StringViewBuilder::new()),
            Shape::Blob => Values::Blob(BinaryViewBuilder::new()),
        });
        Self { columns: columns.collect(), bytes: 0 }
    }

    /// Adds a row, unless it has a value of a storage class that is never written to the column. Such a row counts as not
    /// found.
    fn push(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        for (index, column) in self.columns.iter().enumerate() {
            let value = row.get_ref(index)?;
            if self.bytes > MAX_BYTES || !column.takes(value) {
                return Ok(());
            }
        }
        for (index, column) in self.columns.iter_mut().enumerate() {
            self.bytes += column.push(row.get_ref(index)?);
        }
        Ok(())
    }

    fn finish(self) -> Vec<ArrayRef> {
        let columns = self.columns.into_iter().map(|column| -> ArrayRef {
            match column {
                Values::Integer(mut values) => Arc::new(values.finish()),
                Values::Real(mut values, _) => Arc::new(values.finish()),
                Values::Text(mut values) | Values::Digits(mut values) => Arc::new(values.finish()),
                Values::Blob(mut values) => Arc::new(values.finish()),
            }
        });
        columns.collect()
    }
}

impl Values {
    fn takes(&self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (_, ValueRef::Null)
            | (Self::Integer(_), ValueRef::Integer(_))
            | (Self::Real(..), ValueRef::Real(_))
            | (Self::Digits(_), ValueRef::Integer(_) | ValueRef::Real(_))
            | (Self::Blob(_), ValueRef::Blob(_)) => true,
            (Self::Real(_, or_integer), ValueRef::Integer(value)) => {
                *or_integer && value as f64 as i128 == i128::from(value)
            }
            (Self::Text(_), ValueRef::Text(text)) => std::str::from_utf8(text).is_ok(),
            _ => false,
        }
    }

    /// Adds a value of an accepted class. Returns its bytes if its length varies.
    fn push(&mut self, value: ValueRef<'_>) -> usize {
        match (self, value) {
            (Self::Integer(values), value) => values.append_option(value.as_i64().ok()),
            (Self::Real(values, _), ValueRef::Integer(value)) => values.append_value(value as f64),
            (Self::Real(values, _), value) => values.append_option(value.as_f64().ok()),
            (Self::Digits(values), ValueRef::Integer(value)) => values.append_value(value.to_string()),
            // The shortest digits that identify it, without an exponent.
            (Self::Digits(values), ValueRef::Real(value)) => values.append_value(value.to_string()),
            (Self::Digits(values) | Self::Text(values), value) => {
                values.append_option(value.as_str().ok());
                return value.as_bytes().map_or(0, <[u8]>::len);
            }
            (Self::Blob(values), value) => {
                values.append_option(value.as_blob().ok());
                return value.as_blob().map_or(0, <[u8]>::len);
            }
        }
        0
    }
}
