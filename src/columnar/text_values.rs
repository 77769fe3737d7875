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
    /// `None` if the values stay texts, in the standard form of numbers.
    assign: Option<Assign>,
    formats: ValueFormats,
}

impl FromText {
    /// The conversion to a type; `None` if its values stay texts, or are read from text by the database alone.
    pub fn try_new(to: &DataType, nanoseconds: Nanoseconds, formats: &ValueFormats) -> Option<Self> {
        let assign = Assign::try_new(&DataType::Utf8View, to, nanoseconds).ok()?;
        (!to.is_string()).then(|| Self { assign: Some(assign), formats: formats.clone() })
    }

    /// The conversion to texts of numbers in standard form, for a column of numbers of any size; `None` if they have it.
    pub fn number_texts(formats: &ValueFormats) -> Option<Self> {
        (!formats.has_standard_numbers()).then(|| Self { assign: None, formats: formats.clone() })
    }

    /// The type of the values.
    pub fn data_type(&self) -> &DataType {
        self.assign.as_ref().map_or(&DataType::Utf8View, Assign::to)
    }

    /// Whether the texts are numbers in another form than the standard one.
    pub fn reads_numbers(&self) -> bool {
        !self.formats.has_standard_numbers() && (self.assign.is_none() || self.data_type().is_numeric())
    }

    /// Converts an array of texts.
    ///
    /// # Errors
    /// `Encode` for a text that is no value of the type. [`Error::row`](crate::Error::row) is its place in the array.
    pub fn apply(&self, texts: &ArrayRef) -> Result<ArrayRef> {
        let Some(assign) = &self.assign else { return self.formats.standard(texts, &DataType::Float64) };
        let standard = self.formats.standard(texts, assign.to())?;
        assign.apply(&standard).map_err(|error| match error.row() {
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
