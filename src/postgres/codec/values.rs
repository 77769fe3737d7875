//! Decoding that several families share.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, NullBufferBuilder, PrimitiveArray, StringViewArray, StringViewBuilder,
};
use arrow::datatypes::DataType;

use super::super::rows::Values;
use crate::error::{Error, ErrorKind, Result};

pub(super) fn wrong_length(to: &DataType) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!(
            "the server sent a value of the wrong length for {to}: if the type of the column was changed, register the table again"
        ),
    )
}

pub(super) fn undecodable(what: &str, to: &DataType) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!(
            "{what} cannot be read as {to}: read the table through a view that converts the value or leaves out its row"
        ),
    )
}

pub(super) fn too_large(to: &DataType) -> Error {
    undecodable("a value beyond Arrow's range", to)
}

/// Values of `N` bytes each.
pub(super) fn fixed<T: ArrowPrimitiveType, const N: usize>(
    values: Values<'_>,
    to: &DataType,
    native: impl Fn([u8; N]) -> Result<T::Native>,
) -> Result<ArrayRef> {
    let mut natives = Vec::with_capacity(values.len());
    let mut nulls = NullBufferBuilder::new(values.len());
    for (row, value) in values.iter().enumerate() {
        match value {
            None => {
                natives.push(T::Native::default());
                nulls.append_null();
            }
            Some(bytes) => {
                let value = bytes.try_into().map_err(|_| wrong_length(to)).and_then(&native);
                natives.push(value.map_err(|error| error.at_row(row))?);
                nulls.append_non_null();
            }
        }
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(natives.into(), nulls.finish()).with_data_type(to.clone())))
}

/// Text values, each after `skip` bytes that do not belong to the text.
pub(super) fn texts(values: Values<'_>, skip: usize) -> Result<StringViewArray> {
    let mut texts = StringViewBuilder::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        match value {
            None => texts.append_null(),
            Some(bytes) => {
                let text = bytes.get(skip..).and_then(|bytes| std::str::from_utf8(bytes).ok());
                texts.append_value(text.ok_or_else(|| {
                    let text = "the server sent text that is not valid UTF-8: check the encoding of the database (the \
                                server does not convert text if the encoding is SQL_ASCII)";
                    Error::new(ErrorKind::Decode, text).at_row(row)
                })?);
            }
        }
    }
    Ok(texts.finish())
}

/// Values as text, appended by `push`.
pub(super) fn texts_by(
    values: Values<'_>,
    to: &DataType,
    push: impl Fn(&[u8], &mut String) -> Option<()>,
) -> Result<ArrayRef> {
    let mut texts = StringViewBuilder::with_capacity(values.len());
    let mut text = String::new();
    for (row, value) in values.iter().enumerate() {
        match value {
            None => texts.append_null(),
            Some(bytes) => {
                text.clear();
                push(bytes, &mut text).ok_or_else(|| wrong_length(to).at_row(row))?;
                texts.append_value(&text);
            }
        }
    }
    Ok(Arc::new(texts.finish()))
}
