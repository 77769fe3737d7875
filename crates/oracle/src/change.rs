//! UPDATE, DELETE, MERGE and TRUNCATE: the rows that the query has found are collected, and then changed by their keys, each
//! action in batches. There is no staging table: temporary tables do not take part in distributed transactions (SQL Language
//! Reference, "CREATE TABLE", restrictions on temporary tables).

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion_landfall::backend::{
    Assignment, Change, Changed, Column, ColumnDefault, Condition, Detail, Operation, Parameter, Repeats, RowChange,
    Staged, Table, WriteSpec,
};
use datafusion_landfall::buffer::{Memory, Reservation};
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::sql::{Targets, duplicate_in_change, quote, repeated, shown_names, stage_table};

use crate::catalog::{Relation, Stored};
use crate::connector::Opened;
use crate::database::Oracle;
use crate::encode::Encoder;
use crate::ledger::binds;
use crate::types::Kind;

/// The column of a staged number.
fn number_column() -> Column {
    let kind = Kind::Number(Some((19, 0)));
    let detail = Detail::new(Stored { name: "N".to_owned(), kind: kind.clone(), is_unicode: true });
    Column { detail, ..Column::new("n", kind.to_string(), kind.data_type()) }
}

/// The encoders of the staged columns.
pub(crate) fn targets(database: &Oracle, table: &Table, spec: &WriteSpec, change: &Change) -> Result<Targets<Encoder>> {
    let names: Vec<_> = spec.columns.fields().iter().map(|field| field.name().clone()).collect();
    let staged = stage_table(table, change, &names, "the stage".to_owned(), &number_column(), Detail::default())?;
    Ok(database.targets(&staged, spec)?.named(shown_names(change)))
}

/// The statement after which no other transaction changes the table. Others read it.
pub(crate) fn lock(table: &Table) -> Result<String> {
    Ok(format!("LOCK TABLE {} IN EXCLUSIVE MODE", Relation::of(table)?.name.quoted()))
}

/// A change, and its rows.
#[derive(Debug)]
pub(crate) struct Plan {
    table: Table,
    change: Arc<Change>,
    rows: Vec<RecordBatch>,
    memory: Memory,
    reserved: Vec<Reservation>,
}

/// A statement for each row of a batch, and the columns that it binds.
struct Action {
    sql: String,
    binds: Vec<usize>,
}

impl Plan {
    pub(crate) fn new(table: Table, change: Arc<Change>, spec: &WriteSpec) -> Self {
        Self { table, change, rows: Vec::new(), memory: spec.stats.memory().clone(), reserved: Vec::new() }
    }

    /// Keeps rows until all of them are there.
    pub(crate) fn stage(&mut self, rows: RecordBatch) {
        self.reserved.push(self.memory.reserve_now(rows.get_array_memory_size()));
        self.rows.push(rows);
    }

    /// Changes the rows of the table.
    pub(crate) async fn apply(self, opened: &mut Opened) -> Result<()> {
        let done = match &self.change.operation {
            Operation::Truncate => self.whole("DELETE FROM", "", &Condition::default(), opened).await.map(deleted),
            Operation::Delete(condition) => self.whole("DELETE FROM", "", condition, opened).await.map(deleted),
            Operation::Update(set, condition) if set.is_empty() => {
                let set = format!(" SET {}", self.to_itself()?);
                self.whole("UPDATE", &set, condition, opened).await.map(updated)
            }
            Operation::Update(set, condition) => self.update(set, condition, opened).await.map(updated),
            Operation::ByKey { actions, repeats, .. } => self.by_key(actions, *repeats, opened).await,
        };
        let changed = done.map_err(|error| duplicate_in_change(error, self.change.verb))?;
        self.change.done.set(changed);
        Ok(())
    }

    fn target(&self) -> Result<String> {
        Ok(Relation::of(&self.table)?.name.quoted())
    }

    /// A statement for all rows of the table that a condition selects.
    async fn whole(&self, verb: &str, set: &str, condition: &Condition, opened: &mut Opened) -> Result<u64> {
        let sql = format!("{verb} {}{set}{}", self.target()?, condition.text);
        opened.execute(sql, binds(&condition.parameters)).await
    }

    /// Sets the values of the only staged row in the rows that a condition selects.
    async fn update(&self, set: &[Assignment], condition: &Condition, opened: &mut Opened) -> Result<u64> {
        let [row] = &self.rows[..] else { return Ok(0) };
        let mut columns: Vec<ArrayRef> = set.iter().map(|(_, staged)| Arc::clone(row.column(*staged))).collect();
        columns.extend(condition.parameters.iter().map(array));
        // The placeholders of the condition count from 1, and come behind those of the values.
        let set = self.set(set, "v")?;
        let sql = format!("UPDATE {} SET {set}{}", self.target()?, condition.text);
        let fields = columns.iter().enumerate();
        let fields = fields.map(|(index, column)| Field::new(index.to_string(), column.data_type().clone(), true));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns);
        let batch = batch.map_err(internal)?;
        opened.run(move |session| session.execute_batch(&sql, &batch)).await
    }

    /// Deletes first and inserts last, so that keys become free.
    async fn by_key(&self, actions: &[RowChange], repeats: Repeats, opened: &mut Opened) -> Result<Changed> {
        if repeats == Repeats::Refused {
            self.check_repeats(actions)?;
        }
        let rank = |action: &RowChange| match action {
            RowChange::Delete => 0,
            RowChange::Update(_) => 1,
            RowChange::Insert(_) => 2,
        };
        let mut numbered: Vec<_> = (1_i64..).zip(actions).collect();
        numbered.sort_by_key(|(_, action)| rank(action));
        let mut changed = Changed::default();
        for (number, action) in numbered {
            let Action { sql, binds } = self.action(action)?;
            let sql: Arc<str> = sql.into();
            for rows in &self.rows {
                let rows = self.rows_of(rows, number)?.project(&binds).map_err(internal)?;
                let (expected, sql) = (rows.num_rows() as u64, Arc::clone(&sql));
                if expected == 0 {
                    continue;
                }
                let affected = opened.run(move |session| session.execute_batch(&sql, &rows)).await?;
                if affected != expected {
                    return Err(self.lost(affected, expected));
                }
                match action {
                    RowChange::Delete => changed.deleted += affected,
                    RowChange::Update(_) => changed.updated += affected,
                    RowChange::Insert(_) => changed.inserted += affected,
                }
            }
        }
        Ok(changed)
    }

    fn lost(&self, affected: u64, expected: u64) -> Error {
        Error::new(
            ErrorKind::Constraint,
            format!(
                "{} changed {affected} rows of table {} by their keys, and the query had found {expected}: a trigger or a policy of \
                 the table keeps the others; nothing was changed",
                self.change.verb, self.table.name
            ),
        )
    }

    /// The statement of an action: SQL Language Reference, "DELETE", "UPDATE" and "INSERT".
    fn action(&self, action: &RowChange) -> Result<Action> {
        let target = self.target()?;
        let key: Vec<(usize, &str)> = self.change.key().collect();
        let keys = key.iter().map(|(index, _)| *index);
        Ok(match action {
            RowChange::Delete => {
                Action { sql: format!("DELETE FROM {target} WHERE {}", self.same_key(&key)?), binds: keys.collect() }
            }
            RowChange::Update(set) => {
                let new = if set.is_empty() { self.to_itself()? } else { self.set(set, "v")? };
                let binds = set.iter().map(|(_, staged)| *staged).chain(keys);
                Action {
                    sql: format!("UPDATE {target} SET {new} WHERE {}", self.same_key(&key)?),
                    binds: binds.collect(),
                }
            }
            RowChange::Insert(values) => {
                let names = values.iter().map(|(name, _)| Ok(quote(&self.stored(name)?.name)));
                let bound = values
                    .iter()
                    .zip(1..)
                    .map(|((name, _), number)| Ok(self.stored(name)?.kind.bound(&format!(":{number}"))));
                let (names, bound) = (names.collect::<Result<Vec<_>>>()?, bound.collect::<Result<Vec<_>>>()?);
                let sql = format!("INSERT INTO {target} ({}) VALUES ({})", names.join(", "), bound.join(", "));
                Action { sql, binds: values.iter().map(|(_, staged)| *staged).collect() }
            }
        })
    }

    fn stored(&self, name: &str) -> Result<&Stored> {
        let column = self.table.column(name).ok_or_else(|| {
            Error::new(ErrorKind::Schema, format!("table {} has no column \"{name}\"", self.table.name))
        })?;
        Stored::of(column)
    }

    /// `a = :v1, b = :v2`
    fn set(&self, set: &[Assignment], prefix: &str) -> Result<String> {
        let one = |((name, _), number): (&Assignment, u32)| {
            let stored = self.stored(name)?;
            Ok(format!("{} = {}", quote(&stored.name), stored.kind.bound(&format!(":{prefix}{number}"))))
        };
        Ok(set.iter().zip(1..).map(one).collect::<Result<Vec<_>>>()?.join(", "))
    }

    /// `a = a`, for a column that can be set.
    fn to_itself(&self) -> Result<String> {
        let fixed = |column: &&Column| matches!(column.default, ColumnDefault::Generated | ColumnDefault::Numbered);
        let column = self.table.columns.iter().find(|column| !fixed(column)).or_else(|| self.table.columns.first());
        let name = match column {
            Some(column) => quote(&Stored::of(column)?.name),
            None => String::new(),
        };
        Ok(format!("{name} = {name}"))
    }

    fn same_key(&self, key: &[(usize, &str)]) -> Result<String> {
        let one = |((_, name), number): (&(usize, &str), u32)| {
            let stored = self.stored(name)?;
            Ok(format!("{} = {}", quote(&stored.name), stored.kind.bound(&format!(":k{number}"))))
        };
        Ok(key.iter().zip(1..).map(one).collect::<Result<Vec<_>>>()?.join(" AND "))
    }

    /// The staged numbers of the actions; `None` if there is only one action.
    fn numbers(&self, rows: &RecordBatch) -> Result<Option<ArrayRef>> {
        let index = self.change.staged.iter().position(|staged| *staged == Staged::Action);
        index.map(|index| cast(rows.column(index), &DataType::Int64).map_err(internal)).transpose()
    }

    /// The rows with the number of an action.
    fn rows_of(&self, rows: &RecordBatch, number: i64) -> Result<RecordBatch> {
        let Some(numbers) = self.numbers(rows)? else { return Ok(rows.clone()) };
        let is_of: BooleanArray =
            numbers.as_primitive::<Int64Type>().iter().map(|found| Some(found == Some(number))).collect();
        filter_record_batch(rows, &is_of).map_err(internal)
    }

    /// Refuses two rows that change the same row of the table.
    fn check_repeats(&self, actions: &[RowChange]) -> Result<()> {
        let key: Vec<usize> = self.change.key().map(|(index, _)| index).collect();
        let mut seen = HashSet::new();
        for rows in &self.rows {
            for (number, _) in (1_i64..).zip(actions).filter(|(_, action)| !matches!(action, RowChange::Insert(_))) {
                let rows = self.rows_of(rows, number)?.project(&key).map_err(internal)?;
                let fields = rows.columns().iter().map(|column| SortField::new(column.data_type().clone())).collect();
                let keys = RowConverter::new(fields).and_then(|converter| converter.convert_columns(rows.columns()));
                for row in &keys.map_err(internal)? {
                    if !seen.insert(row.data().to_vec()) {
                        return Err(Error::new(ErrorKind::Constraint, repeated(&self.change, &self.table.name)));
                    }
                }
            }
        }
        Ok(())
    }
}

fn deleted(rows: u64) -> Changed {
    Changed { deleted: rows, ..Changed::default() }
}

fn updated(rows: u64) -> Changed {
    Changed { updated: rows, ..Changed::default() }
}

/// A parameter as a column of one row.
fn array(parameter: &Parameter) -> ArrayRef {
    match parameter {
        Parameter::Integer(value) => Arc::new(Int64Array::from(vec![*value])),
        Parameter::Real(value) => Arc::new(Float64Array::from(vec![*value])),
        Parameter::Text(text) => Arc::new(StringArray::from(vec![text.clone()])),
    }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}
