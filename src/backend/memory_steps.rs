//! The steps of a transaction of the [resource manager in memory](super::memory).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use crate::backend::conformance::columns;
use crate::backend::{Change, Changed, Operation, RowChange, Staged};
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;

/// A step of a transaction.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Deletes all rows.
    Clear,
    /// Writes rows.
    Write(RecordBatch, OnConflict),
    /// Changes rows as the staged rows say.
    Change(Arc<Change>, Vec<RecordBatch>),
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    id: i64,
    name: Option<String>,
}

/// Applies the steps to a table.
pub(super) fn apply(steps: &[Step], table: &mut Vec<RecordBatch>) -> Result<()> {
    for step in steps {
        match step {
            Step::Clear => table.clear(),
            Step::Write(batch, OnConflict::Error) => table.push(with_columns(batch)?),
            Step::Write(batch, on_conflict) => {
                let mut rows = rows_of(table)?;
                for row in rows_of(&[with_columns(batch)?])? {
                    match rows.iter_mut().find(|known| known.id == row.id) {
                        Some(known) if on_conflict.updates() => *known = row,
                        Some(_) => {}
                        None => rows.push(row),
                    }
                }
                *table = vec![batch_of(&rows)?];
            }
            Step::Change(change, staged) => {
                let mut rows = rows_of(table)?;
                change_rows(change, staged, &mut rows)?;
                *table = vec![batch_of(&rows)?];
            }
        }
    }
    Ok(())
}

/// The counts of a change of a table.
pub(super) fn changed(change: &Change, staged: &[RecordBatch], table: &[RecordBatch]) -> Result<Changed> {
    change_rows(change, staged, &mut rows_of(table)?)
}

/// Refuses a change with a condition, which needs SQL.
pub(super) fn check(change: &Change) -> Result<()> {
    match &change.operation {
        Operation::Delete(condition) | Operation::Update(_, condition) if !condition.text.is_empty() => {
            Err(Error::new(ErrorKind::Unsupported, "conditions are not supported"))
        }
        _ => Ok(()),
    }
}

fn change_rows(change: &Change, staged: &[RecordBatch], rows: &mut Vec<Row>) -> Result<Changed> {
    let mut done = Changed::default();
    match &change.operation {
        Operation::Delete(_) | Operation::Truncate => {
            done.deleted = rows.len() as u64;
            rows.clear();
        }
        Operation::Update(assignments, _) => {
            done.updated = rows.len() as u64;
            let Some(staged) = staged.first() else { return Ok(done) };
            for row in rows {
                assign(row, assignments, staged, 0)?;
            }
        }
        Operation::ByKey { actions, .. } => {
            for batch in staged {
                for at in 0..batch.num_rows() {
                    change_row(change, actions, (batch, at), rows, &mut done)?;
                }
            }
        }
    }
    Ok(done)
}

/// Applies the action of a staged row.
fn change_row(
    change: &Change,
    actions: &[RowChange],
    (staged, at): (&RecordBatch, usize),
    rows: &mut Vec<Row>,
    done: &mut Changed,
) -> Result<()> {
    let column = |meaning: &Staged| change.staged.iter().position(|staged| staged == meaning);
    let key = change.key().next().map(|(index, _)| integer(staged, index, at)).transpose()?.flatten();
    let found = rows.iter().position(|row| Some(row.id) == key);
    let is_insert = |action: &&RowChange| matches!(action, RowChange::Insert(_));
    let (numbered, only) = match (found, change.is_joined_at_server()) {
        (None, true) => (column(&Staged::ActionOfMissing), actions.iter().find(is_insert)),
        (Some(_), true) => (column(&Staged::Action), actions.iter().find(|action| !is_insert(action))),
        (_, false) => (column(&Staged::Action), actions.first()),
    };
    let action = match numbered {
        Some(index) => integer(staged, index, at)?.and_then(|number| actions.get(usize::try_from(number).ok()? - 1)),
        None => only,
    };
    match (action, found) {
        (Some(RowChange::Update(assignments)), Some(found)) => {
            assign(&mut rows[found], assignments, staged, at)?;
            done.updated += 1;
        }
        (Some(RowChange::Delete), Some(found)) => {
            rows.remove(found);
            done.deleted += 1;
        }
        (Some(RowChange::Insert(assignments)), None) => {
            let mut row = Row { id: key.unwrap_or_default(), name: None };
            assign(&mut row, assignments, staged, at)?;
            rows.push(row);
            done.inserted += 1;
        }
        _ => {}
    }
    Ok(())
}

/// Sets columns of a row to staged values.
fn assign(row: &mut Row, assignments: &[(String, usize)], staged: &RecordBatch, at: usize) -> Result<()> {
    for (name, index) in assignments {
        match name.as_str() {
            "id" => row.id = integer(staged, *index, at)?.unwrap_or_default(),
            _ => {
                let texts = converted(staged.column(*index), &DataType::Utf8)?;
                let texts = texts.as_string::<i32>();
                row.name = texts.is_valid(at).then(|| texts.value(at).to_owned());
            }
        }
    }
    Ok(())
}

fn integer(batch: &RecordBatch, column: usize, at: usize) -> Result<Option<i64>> {
    let numbers = converted(batch.column(column), &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    Ok(numbers.is_valid(at).then(|| numbers.value(at)))
}

fn converted(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    cast(column, to).map_err(|error| Error::internal(error.to_string()))
}

fn rows_of(batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in batches {
        let names = converted(batch.column(1), &DataType::Utf8)?;
        let names = names.as_string::<i32>();
        for at in 0..batch.num_rows() {
            let name = names.is_valid(at).then(|| names.value(at).to_owned());
            rows.push(Row { id: integer(batch, 0, at)?.unwrap_or_default(), name });
        }
    }
    Ok(rows)
}

fn batch_of(rows: &[Row]) -> Result<RecordBatch> {
    let ids: ArrayRef = Arc::new(rows.iter().map(|row| row.id).collect::<Int64Array>());
    let names: ArrayRef = Arc::new(rows.iter().map(|row| row.name.as_deref()).collect::<StringArray>());
    RecordBatch::try_new(columns(), vec![ids, names]).map_err(|error| Error::internal(error.to_string()))
}

/// Written rows, with all columns of the table.
fn with_columns(batch: &RecordBatch) -> Result<RecordBatch> {
    let of = |name: &str, data_type: &DataType| match batch.column_by_name(name) {
        Some(column) => converted(column, data_type),
        None => Ok(arrow::array::new_null_array(data_type, batch.num_rows())),
    };
    let columns = [of("id", &DataType::Int64)?, of("name", &DataType::Utf8)?];
    RecordBatch::try_new(self::columns(), columns.to_vec()).map_err(|error| Error::internal(error.to_string()))
}
