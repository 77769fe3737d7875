//! Rows of query results.

use mysql_async::{Row, Value};

use crate::error::{Error, Result};

/// A column of a row as text; an empty text for NULL.
///
/// # Errors
/// `Internal` if the row has no such column, or it is not text.
pub(super) fn text(row: &Row, index: usize) -> Result<String> {
    match row.as_ref(index) {
        Some(Value::NULL) => Ok(String::new()),
        Some(Value::Bytes(bytes)) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Some(Value::Int(value)) => Ok(value.to_string()),
        Some(Value::UInt(value)) => Ok(value.to_string()),
        other => Err(Error::internal(format!("the server sent {other:?} instead of text"))),
    }
}
