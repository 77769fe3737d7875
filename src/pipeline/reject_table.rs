//! The table in which rejected rows are stored.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use super::assignments::{Assignments, ColumnAssignment};
use super::write::{RejectSpec, Write};
use crate::backend::{Backend, NewTable, Table, WriteSpec};
use crate::buffer::Reservation;
use crate::error::{Error, Result};
use crate::manager::Member;
use crate::options::{Nanoseconds, RejectLimit};
use crate::txn::JobId;

/// The maximum number of rejected rows in a batch.
const BATCH_ROWS: usize = 8_192;

/// A rejected row.
#[derive(Debug)]
pub(super) struct Reject {
    /// The row as JSON.
    pub(super) row: String,
    pub(super) column: Option<String>,
    /// The code of the database's error.
    pub(super) class: String,
    pub(super) message: String,
    /// When it was rejected, in microseconds since 1970.
    pub(super) at: i64,
    #[expect(dead_code, reason = "held until the row is stored")]
    pub(super) memory: Reservation,
}

/// The table in which rejected rows are stored.
#[derive(Debug)]
pub(super) struct RejectTable {
    limit: RejectLimit,
    spec: WriteSpec,
    /// The columns of a batch, before they are assigned to those of the table.
    source: SchemaRef,
    /// The microseconds of the last digit of the time.
    time_step: i64,
    assignments: Assignments,
}

/// The column of the time.
const REJECTED_AT: &str = "rejected_at";

/// The columns of the table. A table that the user has created may have others.
fn columns() -> SchemaRef {
    let text = |name: &str, is_nullable: bool| Field::new(name, DataType::Utf8, is_nullable);
    Arc::new(Schema::new(vec![
        text("statement", false),
        text("table_name", false),
        text("job", true),
        Field::new("epoch", DataType::Int64, false),
        Field::new(REJECTED_AT, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        text("source_row", false),
        text("column_name", true),
        text("error_class", false),
        text("message", false),
    ]))
}

impl RejectTable {
    /// Opens the table of a write that rejects rows. Creates it if it does not exist.
    ///
    /// # Errors
    /// `Schema` if it does not have the columns. Errors of the database.
    pub(super) async fn open(write: &Write) -> Result<Option<Arc<Self>>> {
        let (Some(spec), Some(target)) = (&write.rejects, write.targets.first()) else { return Ok(None) };
        let doing = |error: Error| error.with_context(format!("the reject table {}", spec.table));
        let table = found_or_created(target.resource.as_ref(), &spec.table).await.map_err(doing)?;
        if table.name == target.spec.table {
            return Err(doing(Error::config(
                "it is also the table to which the statement writes: name another table in the option 'reject.table'",
            )));
        }
        Ok(Some(Arc::new(Self::of(spec, &table, target.resource.as_ref()).map_err(doing)?)))
    }

    fn of(spec: &RejectSpec, table: &Table, database: &dyn Backend) -> Result<Self> {
        let assigned = |field: &FieldRef| match table.column(field.name()) {
            Some(column) => {
                let field = in_zone_of(field, &column.data_type);
                ColumnAssignment::try_new(&field, column, Nanoseconds::Truncate, database)
            }
            None => Err(Error::schema(format!(
                "it has no column \"{}\": add the column, or name another table in the option 'reject.table' (the \
                 table has {table})",
                field.name()
            ))),
        };
        let assignments = columns().fields().iter().map(assigned).collect::<Result<Vec<_>>>()?;
        let source = assignments.iter().map(|column| Arc::clone(&column.source)).collect::<Vec<_>>();
        let (source, assignments) = (Arc::new(Schema::new(source)), Assignments::new(assignments));
        let digits = table.column(REJECTED_AT).and_then(|column| database.second_digits(column));
        let time_step = 10i64.pow(6u32.saturating_sub(digits.unwrap_or(6)));
        let (limit, spec) = (spec.limit, WriteSpec::new(&table.name, Arc::clone(assignments.schema())));
        database.check(table, &spec)?;
        Ok(Self { limit, spec, source, time_step, assignments })
    }

    /// One of a test.
    #[cfg(test)]
    pub(super) fn empty() -> Self {
        let source = columns();
        let (limit, assignments) = (RejectLimit::Rows(0), Assignments::none(Arc::clone(&source)));
        Self { limit, spec: WriteSpec::new("rejects", Arc::clone(&source)), source, time_step: 1, assignments }
    }

    /// How many rows may be rejected.
    pub(super) fn limit(&self) -> RejectLimit {
        self.limit
    }

    /// Stores rows in the transaction of a branch, which has written its rows.
    ///
    /// # Errors
    /// Errors of the database. The branch was rolled back.
    pub(super) async fn store(&self, to: Member, of: &str, job: Option<&JobId>, rows: Vec<Reject>) -> Result<Member> {
        let doing = |error: Error| error.with_context(format!("storing rows in the reject table {}", self.spec.table));
        let Member { resource, xid, protocol, branch } = to;
        let open = branch.end_statement().await?;
        let mut branch = open.start(&WriteSpec { protocol, ..self.spec.clone() }, None, None).await.map_err(doing)?;
        let written = async {
            for rows in rows.chunks(BATCH_ROWS) {
                branch.write(self.batch(rows, &xid.gtrid.to_string(), xid.gtrid.epoch().0, of, job)?).await?;
            }
            branch.flush().await
        };
        match written.await {
            Ok(()) => Ok(Member { resource, xid, protocol, branch }),
            Err(error) => {
                // The first error is reported; a failed rollback adds nothing to it.
                let _ = branch.rollback().await;
                Err(doing(error))
            }
        }
    }

    /// The zone of the time.
    fn zone(&self) -> Option<Arc<str>> {
        self.source.fields().iter().find_map(|field| match field.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        })
    }

    fn batch(
        &self,
        rows: &[Reject],
        statement: &str,
        epoch: u64,
        of: &str,
        job: Option<&JobId>,
    ) -> Result<RecordBatch> {
        let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(|_| text))) };
        let texts =
            |text: fn(&Reject) -> Option<&str>| -> ArrayRef { Arc::new(StringArray::from_iter(rows.iter().map(text))) };
        let job = job.map(JobId::as_str);
        let at = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at - row.at % self.time_step))
            .with_timezone_opt(self.zone());
        let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
        let arrays: Vec<ArrayRef> = vec![
            same(statement),
            same(of),
            Arc::new(StringArray::from_iter(rows.iter().map(|_| job))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|_| epoch))),
            Arc::new(at),
            texts(|row| Some(&row.row)),
            texts(|row| row.column.as_deref()),
            texts(|row| Some(&row.class)),
            texts(|row| Some(&row.message)),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.source), arrays)
            .map_err(|error| Error::internal(error.to_string()))?;
        self.assignments.apply(batch, 0)
    }
}

/// A time without a zone, if the column has none: it is in UTC.
fn in_zone_of(field: &FieldRef, column: &DataType) -> FieldRef {
    match (field.data_type(), column) {
        (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, None)) => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Timestamp(*unit, None)))
        }
        _ => Arc::clone(field),
    }
}

async fn found_or_created(database: &dyn Backend, name: &str) -> Result<Table> {
    if let Some(table) = database.table(name).await? {
        return Ok(table);
    }
    let new = NewTable {
        name: name.to_owned(),
        schema: columns(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        defaults: HashMap::new(),
    };
    let created = database.create_table(&new).await;
    // Another statement may have created it meanwhile.
    match (database.table(name).await?, created) {
        (Some(table), _) => Ok(table),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(Error::schema("it was dropped: run the statement again")),
    }
}
