//! Which upserts can be done by difference, and how the rows that are there are asked for.

use arrow::array::RecordBatch;

use crate::backend::{Column, ColumnDefault, Comparison, Table};
use crate::backend::{Existing, WriteSpec};
use crate::columnar::dense_range;
use crate::error::{Error, Result};
use crate::options::{OnConflict, Upsert};
use crate::sql::quote;

/// Why rows of a write are not compared with existing ones, as far as the description of the table says.
/// `against` is what speaks against it where nobody asked for it.
///
/// # Errors
/// `Schema` where it was asked for and cannot be done.
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
            "the option 'upsert' = 'diff' cannot be had for table {}: {why}; leave it out, or use 'blind'",
            table.name
        ))),
    }
}

fn obstacle(table: &Table, spec: &WriteSpec) -> Option<String> {
    if spec.existing != Existing::Keep {
        return Some("the rows that are there are deleted".into());
    }
    // Two rows of the stream that are one to the server would be compared one by one.
    let is_exact = |column: &Column| {
        matches!(column.comparison, Comparison::Exact | Comparison::Equality) && !column.data_type.is_floating()
    };
    if let Some(name) = spec.key.iter().find(|name| !table.column(name).is_some_and(is_exact)) {
        return Some(format!("the server may find values of column \"{name}\" equal that are not spelled alike"));
    }
    let is_left_out = |column: &&Column| {
        !matches!(column.default, ColumnDefault::Generated | ColumnDefault::Numbered)
            && spec.columns.field_with_name(&column.name).is_err()
    };
    let left_out = table.columns.iter().find(is_left_out).filter(|_| spec.on_conflict == OnConflict::Replace)?;
    Some(format!("column \"{}\" is not written, and REPLACE INTO gives it its default", left_out.name))
}

/// The condition for the rows between the keys of these, where there are so many of them that to read them all is
/// quicker than to look for each.
pub fn in_range(rows: &RecordBatch, key: &[String]) -> Option<String> {
    let [name] = key else { return None };
    let (first, last) = dense_range(rows.column_by_name(name)?)?;
    Some(format!("{} BETWEEN {first} AND {last}", quote(name)))
}
