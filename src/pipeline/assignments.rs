//! Converts the rows of a stream to the types of a table's columns, before they are distributed to its writers.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use crate::backend::{Backend, Column};
use crate::columnar::{Assign, Assigned, sift};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;

/// The assignment of each column of a stream to a column of a table.
#[derive(Debug, Clone)]
pub struct Assignments {
    schema: SchemaRef,
    columns: Vec<ColumnAssignment>,
}

/// The assignment of one column.
#[derive(Debug, Clone)]
pub(crate) struct ColumnAssignment {
    /// The column of the table.
    pub(crate) name: String,
    /// The column of the stream.
    pub(crate) source: FieldRef,
    /// The type of the table's column, for messages.
    pub(crate) to: String,
    /// The conversion before the writers; `None` if they convert the column themselves.
    pub(crate) assign: Option<Assign>,
    pub(crate) how: Assigned,
}

impl ColumnAssignment {
    /// The assignment of a column of the stream to a column of a table.
    ///
    /// # Errors
    /// `Schema`, naming both types, if no value of one is a value of the other.
    pub(crate) fn try_new(
        source: &FieldRef,
        column: &Column,
        nanoseconds: Nanoseconds,
        database: &dyn Backend,
    ) -> Result<Self> {
        let from = source.data_type();
        let assign = Assign::try_new(from, &column.data_type, nanoseconds);
        let how = assign.as_ref().map_or(Assigned::Checked, Assign::assigned);
        let (name, source, to) = (column.name.clone(), Arc::clone(source), column.sql_type.clone());
        let assign = match assign {
            Ok(assign) if assign.is_own_rule() => Some(assign),
            _ if database.takes(column, from) => None,
            Ok(assign) => Some(assign),
            Err(why) => {
                return Err(Error::schema(format!(
                    "column \"{name}\" (declared {to}): a value of type {from} cannot be assigned: {why}"
                )));
            }
        };
        Ok(Self { name, source, to, assign, how })
    }
}

impl Assignments {
    /// Columns that are written unchanged.
    pub fn none(schema: SchemaRef) -> Self {
        Self { schema, columns: Vec::new() }
    }

    pub(crate) fn new(columns: Vec<ColumnAssignment>) -> Self {
        let assigned = |column: &ColumnAssignment| match &column.assign {
            Some(assign) => Arc::new(Field::new(column.source.name(), assign.to().clone(), true)),
            None => Arc::clone(&column.source),
        };
        Self { schema: Arc::new(Schema::new(columns.iter().map(assigned).collect::<Vec<_>>())), columns }
    }

    /// The schema of the batches that the writers receive.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Notes that the statement contains a cast of a column.
    pub(crate) fn note_cast(&mut self, column: usize) {
        if let Some(column) = self.columns.get_mut(column) {
            column.how = Assigned::ByStatement;
        }
    }

    /// The rows that can be converted for the writers; `refuse` receives each of the others with its error.
    ///
    /// # Errors
    /// Errors of `refuse`.
    pub(super) fn sift(
        &self,
        batch: RecordBatch,
        refuse: impl FnMut(&RecordBatch, Error) -> Result<()>,
    ) -> Result<RecordBatch> {
        match self.converts() {
            true => sift(batch, |rows| self.apply(rows.clone(), 0).map(drop), refuse),
            false => Ok(batch),
        }
    }

    /// Converts rows for the writers, like [`Assignments::apply`]. If values change, the last column has the rows as they were.
    ///
    /// # Errors
    /// As for [`Assignments::apply`].
    pub(super) fn apply_with_source(&self, batch: RecordBatch, first: u64) -> Result<RecordBatch> {
        if !self.converts() {
            return Ok(batch);
        }
        let source: ArrayRef = Arc::new(StructArray::from(batch.clone()));
        let assigned = self.apply(batch, first)?;
        let mut fields = assigned.schema_ref().fields().to_vec();
        fields.push(Arc::new(Field::new("source", source.data_type().clone(), false)));
        let columns = assigned.columns().iter().cloned().chain([source]).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| Error::internal(error.to_string()))
    }

    /// The rows for a writer, and as they were: of [`Assignments::apply_with_source`].
    ///
    /// # Errors
    /// `Internal` for other rows.
    pub(super) fn split_source(&self, batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
        let columns = self.schema.fields().len();
        let Some(source) = batch.columns().get(columns) else { return Ok((batch.clone(), batch.clone())) };
        let assigned = batch.project(&(0..columns).collect::<Vec<_>>());
        let assigned = assigned.map_err(|error| Error::internal(error.to_string()))?;
        Ok((assigned, RecordBatch::from(source.as_struct())))
    }

    fn converts(&self) -> bool {
        self.columns.iter().any(|column| column.assign.is_some())
    }

    /// Converts rows for the writers. `first` is the number of the first row in the stream, counted from 0.
    ///
    /// # Errors
    /// `Encode`, with the row and the column, if a column of the table cannot store a value.
    pub(super) fn apply(&self, batch: RecordBatch, first: u64) -> Result<RecordBatch> {
        if !self.converts() {
            return Ok(batch);
        }
        let assigned = self.columns.iter().zip(batch.columns()).map(|(column, array)| match &column.assign {
            None => Ok(Arc::clone(array)),
            Some(assign) => assign.apply(array).map_err(|error| {
                let name = format!("column \"{}\" (declared {})", column.name, column.to);
                match error.row().map(|row| first + row as u64 + 1) {
                    Some(row) => error.in_rows(row, row, format!(", {name}")),
                    None => error.with_context(name),
                }
            }),
        });
        let assigned = assigned.collect::<Result<Vec<_>>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), assigned).map_err(|error| Error::internal(error.to_string()))
    }
}

impl fmt::Display for Assignments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ColumnAssignment { name, source, to, how, .. }) in self.columns.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}: {} -> {to} {}", source.data_type(), how.as_str())?;
        }
        Ok(())
    }
}
