//! Arrow arrays to SQLite's storage classes, column by column.
//!
//! An encoder is chosen from the Arrow type *and* the column's declared type when the plan is made. It works in two
//! steps: the array is brought to the column's own Arrow type without changing a value, then to the form that
//! [`types`](super::types) says.

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
pub(super) struct Rows {
    pub(super) columns: Vec<Stored>,
    pub(super) count: usize,
}

impl Rows {
    /// Bytes of all values.
    pub(super) fn bytes(&self) -> usize {
        let bytes: u64 = self.columns.iter().map(Stored::bytes).sum();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// How one column is encoded.
#[derive(Debug)]
pub(super) struct Encoder {
    conform: LosslessCast,
    codec: Arc<dyn Codec>,
}

impl Encoder {
    /// The encoder from an Arrow type to a column.
    ///
    /// # Errors
    /// `Schema`, naming both types, where there is none.
    pub(super) fn try_new(from: &DataType, column: &Column) -> Result<Self> {
        let codec = codec(&column.data_type, Affinity::of_column(column)).filter(|codec| codec.is_written());
        let Some((conform, codec)) = LosslessCast::try_new(from, &column.data_type).zip(codec) else {
            return Err(Error::schema(format!(
                "column \"{}\": no way from Arrow type {from} to a column declared {} (read as {}): CAST it in the \
                 query to {}",
                column.name, column.sql_type, column.data_type, column.data_type
            )));
        };
        Ok(Self { conform, codec })
    }

    /// Encodes an array.
    ///
    /// # Errors
    /// `Encode`, at the row whose value cannot be stored unchanged.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<Stored> {
        self.codec.store(&self.conform.apply(array)?)
    }
}
