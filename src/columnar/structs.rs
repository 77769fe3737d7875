//! The fields of structs.

use arrow::array::{Array, AsArray, BooleanArray, StructArray};
use arrow::compute::filter;

use crate::error::{Error, Result};

/// The structs that are not NULL. The fields of a NULL struct may contain any value.
#[derive(Debug)]
pub struct ValidStructs {
    /// Without NULLs.
    pub structs: StructArray,
    /// The row of each struct, if some are NULL.
    rows: Option<Vec<usize>>,
}

impl ValidStructs {
    /// The non-NULL structs of an array.
    ///
    /// # Errors
    /// `Internal` if Arrow cannot filter the rows of a field.
    pub fn of(structs: &StructArray) -> Result<Self> {
        let Some(nulls) = structs.nulls().filter(|nulls| nulls.null_count() > 0) else {
            return Ok(Self { structs: structs.clone(), rows: None });
        };
        let valid = filter(structs, &BooleanArray::new(nulls.inner().clone(), None));
        let valid = valid.map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self { structs: valid.as_struct().clone(), rows: Some(nulls.valid_indices().collect()) })
    }

    /// The row of each struct; `None` if no struct is NULL.
    pub fn rows(&self) -> Option<&[usize]> {
        self.rows.as_deref()
    }

    /// Moves an error about a struct to its row.
    pub fn at(&self, error: Error, field: &str) -> Error {
        let row = error.row();
        let error = error.with_context(format!("field \"{field}\""));
        match (row, &self.rows) {
            (Some(row), Some(rows)) => error.at_row(rows.get(row).copied().unwrap_or(row)),
            _ => error,
        }
    }
}
