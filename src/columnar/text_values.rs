//! Texts of a file as values of a column.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::Assign;
use crate::error::Result;
use crate::options::Nanoseconds;

/// Converts texts to values of a type, by the rules of an INSERT: each value is what the text says, or an error.
#[derive(Debug, Clone)]
pub struct FromText(Assign);

impl FromText {
    /// The conversion to a type; `None` if its values stay texts, or are read from text by the database alone.
    pub fn try_new(to: &DataType, nanoseconds: Nanoseconds) -> Option<Self> {
        let assign = Assign::try_new(&DataType::Utf8View, to, nanoseconds).ok()?;
        (!to.is_string()).then_some(Self(assign))
    }

    /// The type of the values.
    pub fn data_type(&self) -> &DataType {
        self.0.to()
    }

    /// Converts an array of texts.
    ///
    /// # Errors
    /// `Encode` for a text that is no value of the type. [`Error::row`](crate::Error::row) is its place in the array.
    pub fn apply(&self, texts: &ArrayRef) -> Result<ArrayRef> {
        self.0.apply(texts)
    }
}
