//! Encodes Arrow arrays as the fields of rows. A value that a column cannot store unchanged is an error with its row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::codec::Codec;
use super::described::codec_of;
use super::fields::{Fields, Nulls, Style};
use crate::backend::Column;
use crate::columnar::{LosslessCast, plain, truncate_nanoseconds, without_nanoseconds};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;

/// How one column is encoded.
#[derive(Debug)]
pub(super) struct Encoder {
    nanoseconds: Nanoseconds,
    conform: LosslessCast,
    codec: Arc<dyn Codec>,
    style: Style,
}

impl Encoder {
    /// The encoder from an Arrow type to a column.
    ///
    /// # Errors
    /// `Schema`, naming both types, if there is none.
    pub(super) fn try_new(from: &DataType, column: &Column, nanoseconds: Nanoseconds, style: Style) -> Result<Self> {
        let codec = Arc::clone(codec_of(column)?);
        let cut = match nanoseconds {
            Nanoseconds::Error => None,
            Nanoseconds::Truncate => without_nanoseconds(from),
        };
        let source = cut.as_ref().unwrap_or(from);
        let to = match plain(source) {
            DataType::Null => Some(DataType::Null),
            plain => codec.accepts(plain),
        };
        let Some(conform) = to.and_then(|to| LosslessCast::try_new(source, &to)) else {
            return Err(Error::schema(match codec.is_written() {
                false => format!(
                    "cannot write column \"{}\", because its type {} is not supported: omit the column from the INSERT",
                    column.name, column.sql_type
                ),
                true => format!(
                    "column \"{}\" (type {}, read as {}) cannot store values of Arrow type {from}: CAST them to {} in \
                     the query",
                    column.name, column.sql_type, column.data_type, column.data_type
                ),
            }));
        };
        if let Some(plain) = codec.rounds() {
            return Err(Error::schema(format!(
                "column \"{}\" has the type {}, which rounds values silently: alter the column to type {plain} or \
                 decimal",
                column.name, column.sql_type
            )));
        }
        Ok(Self { nanoseconds, conform, codec, style })
    }

    /// Checks an array, and encodes its fields.
    ///
    /// # Errors
    /// `Encode`, with the row whose value cannot be stored unchanged.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Fields>> {
        let array = match self.nanoseconds {
            Nanoseconds::Error => self.conform.apply(array)?,
            Nanoseconds::Truncate => self.conform.apply(&truncate_nanoseconds(array))?,
        };
        match array.data_type() {
            DataType::Null => Ok(Box::new(Nulls(self.style))),
            _ => self.codec.encode(&array, self.style),
        }
    }
}
