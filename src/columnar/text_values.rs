//! Texts of a file as values of a column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

use super::{Assign, ValueFormats};
use crate::error::Result;
use crate::options::Nanoseconds;

/// Converts texts to values of a type, by the rules of an INSERT: each value is what the text says, or an error.
#[derive(Debug, Clone)]
pub struct FromText {
    assign: Assign,
    formats: ValueFormats,
}

impl FromText {
    /// The conversion to a type; `None` if its values stay texts, or are read from text by the database alone.
    pub fn try_new(to: &DataType, nanoseconds: Nanoseconds, formats: &ValueFormats) -> Option<Self> {
        let assign = Assign::try_new(&DataType::Utf8View, to, nanoseconds).ok()?;
        (!to.is_string()).then(|| Self { assign, formats: formats.clone() })
    }

    /// The type of the values.
    pub fn data_type(&self) -> &DataType {
        self.assign.to()
    }

    /// Converts an array of texts.
    ///
    /// # Errors
    /// `Encode` for a text that is no value of the type. [`Error::row`](crate::Error::row) is its place in the array.
    pub fn apply(&self, texts: &ArrayRef) -> Result<ArrayRef> {
        let standard = self.formats.standard(texts, self.data_type())?;
        self.assign.apply(&standard).map_err(|error| match error.row() {
            Some(row) if !Arc::ptr_eq(texts, &standard) && shown(texts, row) != shown(&standard, row) => {
                let original = shown(texts, row).unwrap_or_default().replace(char::is_control, "\u{fffd}");
                error.with_context(format!("text '{original}'"))
            }
            _ => error,
        })
    }
}

fn shown(texts: &ArrayRef, row: usize) -> Option<&str> {
    let texts = texts.as_string_view_opt()?;
    (row < texts.len() && texts.is_valid(row)).then(|| texts.value(row))
}
