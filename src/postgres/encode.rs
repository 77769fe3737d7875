//! Encodes Arrow arrays as the fields of a COPY. A value that a column cannot store unchanged is an error with its row.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::cells::Cells;
use super::codec::{Form, ServerType};
use crate::backend::Column;
use crate::columnar::{LosslessCast, plain, truncate_nanoseconds, without_nanoseconds};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;

/// How one column is encoded.
#[derive(Debug)]
pub(super) struct Encoder {
    nanoseconds: Nanoseconds,
    conform: LosslessCast,
    /// The type that the array is converted to before it is encoded.
    data_type: DataType,
    server: ServerType,
    form: Form,
}

impl Encoder {
    /// The encoder from an Arrow type to a column.
    ///
    /// # Errors
    /// `Schema`, naming both types, if there is none.
    pub(super) fn try_new(from: &DataType, column: &Column, nanoseconds: Nanoseconds) -> Result<Self> {
        let server = super::described::server_type(column)?;
        let cut = match nanoseconds {
            Nanoseconds::Error => None,
            Nanoseconds::Truncate => without_nanoseconds(from),
        };
        let source = cut.as_ref().unwrap_or(from);
        let chosen = server
            .accepts(plain(source))
            .and_then(|(data_type, form)| Some((LosslessCast::try_new(source, &data_type)?, data_type, form)));
        match chosen {
            Some((conform, data_type, form)) => {
                Ok(Self { nanoseconds, conform, data_type, server: server.clone(), form })
            }
            None => Err(Error::schema(format!(
                "column \"{}\" (type {}, read as {}) cannot store values of Arrow type {from}: CAST them to {} in the \
                 query",
                column.name, column.sql_type, column.data_type, column.data_type
            ))),
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Encodes an array. Only fields of variable length are encoded at once.
    ///
    /// # Errors
    /// `Encode`, with the row whose value cannot be stored unchanged.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let array = match self.nanoseconds {
            Nanoseconds::Error => self.conform.apply(array)?,
            Nanoseconds::Truncate => self.conform.apply(&truncate_nanoseconds(array))?,
        };
        debug_assert_eq!(array.data_type(), &self.data_type);
        self.server.encode(&array, self.form)
    }
}
