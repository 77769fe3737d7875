//! Values in SQLite's storage classes.

use arrow::array::{Array, BinaryViewArray, Float64Array, Int64Array, StringViewArray};
use arrow::buffer::NullBuffer;
use rusqlite::types::ValueRef;

use crate::error::{Error, Result};

/// A storage class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sqlite) enum Class {
    Null,
    Integer,
    Real,
    Text,
    Blob,
}

/// A column of values in one of SQLite's storage classes, or NULL.
#[derive(Debug)]
pub(in crate::sqlite) enum Stored {
    Null,
    Integer(Int64Array),
    Real(Float64Array),
    Text(StringViewArray),
    Blob(BinaryViewArray),
}

impl Stored {
    /// The value of a row, borrowed.
    #[inline]
    pub(in crate::sqlite) fn value(&self, row: usize) -> ValueRef<'_> {
        match self {
            Self::Integer(array) if array.is_valid(row) => ValueRef::Integer(array.value(row)),
            Self::Real(array) if array.is_valid(row) => ValueRef::Real(array.value(row)),
            Self::Text(array) if array.is_valid(row) => ValueRef::Text(array.value(row).as_bytes()),
            Self::Blob(array) if array.is_valid(row) => ValueRef::Blob(array.value(row)),
            _ => ValueRef::Null,
        }
    }

    /// The exact bytes of the values: 8 for a number, the length of a text or blob.
    pub(in crate::sqlite) fn bytes(&self) -> u64 {
        fn lengths(views: &[u128], nulls: Option<&NullBuffer>) -> u64 {
            let length = |view: &u128| u64::from(*view as u32);
            match nulls {
                None => views.iter().map(length).sum(),
                Some(nulls) => nulls.valid_indices().map(|row| length(&views[row])).sum(),
            }
        }
        let numbers = |array: &dyn Array| 8 * (array.len() - array.null_count()) as u64;
        match self {
            Self::Null => 0,
            Self::Integer(array) => numbers(array),
            Self::Real(array) => numbers(array),
            Self::Text(array) => lengths(array.views(), array.nulls()),
            Self::Blob(array) => lengths(array.views(), array.nulls()),
        }
    }

    pub(super) fn integers(&self) -> Result<&Int64Array> {
        if let Self::Integer(array) = self { Ok(array) } else { Err(self.is_not("integers")) }
    }

    pub(super) fn reals(&self) -> Result<&Float64Array> {
        if let Self::Real(array) = self { Ok(array) } else { Err(self.is_not("reals")) }
    }

    pub(super) fn texts(&self) -> Result<&StringViewArray> {
        if let Self::Text(array) = self { Ok(array) } else { Err(self.is_not("texts")) }
    }

    pub(super) fn blobs(&self) -> Result<&BinaryViewArray> {
        if let Self::Blob(array) = self { Ok(array) } else { Err(self.is_not("blobs")) }
    }

    fn is_not(&self, class: &str) -> Error {
        Error::internal(format!("the stored values {self:?} are not {class}"))
    }
}
