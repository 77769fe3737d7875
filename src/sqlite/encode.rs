//! Converts Arrow arrays to SQLite's storage classes, column by column.
//!
//! The Arrow type *and* the column's declared type determine the encoder when the statement is planned. It works in two
//! steps: it converts the array to the column's Arrow type without changing a value, then to the form that
//! [`types`](super::types) defines.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::affinity::Affinity;
use super::codec::{Codec, Stored};
use super::types::codec;
use crate::backend::Column;
use crate::columnar::LosslessCast;
use crate::error::{Error, Result};

/// Rows in SQLite's storage classes, column by column.
#[derive(Debug)]
pub(super) struct BoundRows {
    pub(super) columns: Vec<Stored>,
    pub(super) count: usize,
}

impl BoundRows {
    /// The bytes of all values.
    pub(super) fn bytes(&self) -> usize {
        let bytes: u64 = self.columns.iter().map(Stored::bytes).sum();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// The encoder of one column.
#[derive(Debug)]
pub(super) struct Encoder {
    conform: LosslessCast,
    codec: Arc<dyn Codec>,
}

impl Encoder {
    /// The encoder from an Arrow type to a column.
    ///
    /// # Errors
    /// `Schema`, naming both types, if there is no encoder.
    pub(super) fn try_new(from: &DataType, column: &Column) -> Result<Self> {
        let codec = codec(&column.data_type, Affinity::of_column(column)).filter(|codec| codec.is_written());
        let Some((conform, codec)) = LosslessCast::try_new(from, &column.data_type).zip(codec) else {
            return Err(Error::schema(format!(
                "column \"{}\" (declared {}, read as {}) cannot store values of Arrow type {from}: CAST them to {} in the \
                 query",
                column.name, column.sql_type, column.data_type, column.data_type
            )));
        };
        Ok(Self { conform, codec })
    }

    /// Encodes an array.
    ///
    /// # Errors
    /// `Encode`, with the row whose value cannot be stored unchanged.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<Stored> {
        self.codec.store(&self.conform.apply(array)?)
    }
}
