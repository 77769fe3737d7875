//! The maximum length of the values of a column.

use arrow::array::Array;

use super::{first_row_where, misfit};
use crate::error::Result;

/// The maximum length of a text or binary column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// This many characters.
    Characters(usize),
    /// This many bytes.
    Bytes(usize),
}

impl Limit {
    /// Refuses values of `array` that are longer. `bytes` returns the bytes of a row.
    ///
    /// # Errors
    /// `Encode`, at the first row that is too long.
    pub fn check<'a>(self, array: &dyn Array, bytes: impl Fn(usize) -> &'a [u8]) -> Result<()> {
        let (limit, what) = match self {
            Self::Characters(limit) => (limit, "characters"),
            Self::Bytes(limit) => (limit, "bytes"),
        };
        let is_too_long = |row: usize| {
            let bytes = bytes(row);
            // The first bytes of the characters of a text.
            let begins = |byte: &&u8| (**byte as i8) >= -0x40;
            let counted = matches!(self, Self::Characters(_));
            bytes.len() > limit && !(counted && bytes.iter().filter(begins).count() <= limit)
        };
        match first_row_where(array, is_too_long) {
            Some(row) => Err(misfit(array, row, &format!("is longer than the {limit} {what} that the column stores"))),
            None => Ok(()),
        }
    }
}
