//! Which upserts can be written by difference, and how existing rows are requested.

use arrow::array::RecordBatch;

use crate::backend::{Column, ColumnDefault, Comparison, Table};
use crate::backend::{Existing, WriteSpec};
use crate::columnar::dense_range;
use crate::error::{Error, Result};
use crate::options::{OnConflict, Upsert};
use crate::sql::quote;

/// Plans a comparison with existing rows; `None` if the write is blind. `against` is a reason against comparing with
/// `upsert` = `auto`.
///
/// # Errors
/// `Schema` if the options require a comparison that is not possible.
pub fn diff<T>(
    table: &Table,
    spec: &WriteSpec,
    against: Option<&str>,
    plan: impl FnOnce() -> Result<T, String>,
) -> Result<Option<T>> {
    if !matches!(spec.on_conflict, OnConflict::Update | OnConflict::Replace) || spec.upsert == Upsert::Blind {
        return Ok(None);
    }
    let planned = match (obstacle(table, spec), against) {
        (Some(why), _) => Err(why),
        (None, Some(against)) if spec.upsert == Upsert::Auto => Err(against.to_owned()),
        (None, _) => plan(),
    };
    match planned {
        Ok(planned) => Ok(Some(planned)),
        Err(_) if spec.upsert == Upsert::Auto => Ok(None),
        Err(why) => Err(Error::schema(format!(
            "the option 'upsert' = 'diff' is not supported for table {}: {why}; remove the option, or set the option \
             to 'blind'",
            table.name
        ))),
    }
}

fn obstacle(table: &Table, spec: &WriteSpec) -> Option<String> {
    if spec.existing != Existing::Keep {
        return Some("the statement deletes the existing rows".into());
    }
    // Otherwise, two rows of the stream with the same key at the server would be compared separately.
    let is_exact = |column: &Column| {
        matches!(column.comparison, Comparison::Exact | Comparison::Equality) && !column.data_type.is_floating()
    };
    if let Some(name) = spec.key.iter().find(|name| !table.column(name).is_some_and(is_exact)) {
        return Some(format!("the server may consider different spellings of a value in column \"{name}\" equal"));
    }
    let is_left_out = |column: &&Column| {
        !matches!(column.default, ColumnDefault::Generated | ColumnDefault::Numbered)
            && spec.columns.field_with_name(&column.name).is_err()
    };
    let left_out = table.columns.iter().find(is_left_out).filter(|_| spec.on_conflict == OnConflict::Replace)?;
    Some(format!(
        "REPLACE INTO sets column \"{}\", which the statement does not write, to the default value",
        left_out.name
    ))
}

/// The condition for all rows between the least and the greatest key of these rows, if the keys are so dense that reading
/// the range is faster than looking up each key.
pub fn in_range(rows: &RecordBatch, key: &[String]) -> Option<String> {
    let [name] = key else { return None };
    let (first, last) = dense_range(rows.column_by_name(name)?)?;
    Some(format!("{} BETWEEN {first} AND {last}", quote(name)))
}
