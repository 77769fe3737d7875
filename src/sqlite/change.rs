//! A change in SQLite: a temporary staging table, and the statements that apply its rows.

use std::sync::Arc;

use rusqlite::Connection;

use super::affinity::Affinity;
use super::connection::at_once;
use super::database::Sqlite;
use super::dialect::SqliteDialect;
use super::encode::Encoder;
use crate::backend::{Assignment, Change, Join, Operation, RowChange, Staged, WriteSpec};
use crate::backend::{Characters, Column, ColumnDefault, Comparison, Detail, Holds, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{self, Native, RowCount, Stage, Step, quote, script, stage_columns};

/// The staging table, a temporary table of the connection.
const STAGE: &str = "landfall_stage";

/// How a branch changes rows.
#[derive(Debug)]
pub(super) struct Plan {
    change: Arc<Change>,
    /// The statements to run before rows are staged.
    pub(super) first: Option<String>,
    /// The statements to run when all rows are staged.
    steps: Vec<Step>,
    native: Native,
    /// The name of the table in messages.
    target: String,
}

impl Plan {
    /// The plan of a change of a table's rows, the staging table, and the specification of the write to it.
    pub(super) fn of(
        table: &Table,
        spec: &WriteSpec,
        change: &Arc<Change>,
        upserts: Upserts,
    ) -> Result<(Self, Table, WriteSpec)> {
        let target = format!("main.{}", quote(&table.name));
        let (columns, done) = stage_columns(table, change);
        let mut staged = sql::stage_table(table, change, &columns, STAGE.into(), &number_column(), Detail::default())?;
        let native = Native(upserts == Upserts::Plain && is_upsert(table, change));
        // Only the affinity of a declared type matters; the type itself can be any text.
        let declare = |column: &Column| format!("{} {}", quote(&column.name), Affinity::of_column(column).word());
        let mut declared: Vec<_> = staged.columns.iter().map(declare).collect();
        let mut suffix = "";
        if native == Native(true) {
            // A primary key detects repeated keys at once, and applies the rows in key order.
            let key: Vec<_> = change.key().map(|(index, _)| index).collect();
            let names: Vec<_> = key.iter().map(|index| quote(&columns[*index])).collect();
            declared.push(format!("PRIMARY KEY ({})", names.join(", ")));
            let is_rowid = |index: &usize| staged.columns[*index].sql_type.eq_ignore_ascii_case("INTEGER");
            suffix = if key.len() == 1 && key.iter().all(is_rowid) { "" } else { " WITHOUT ROWID" };
            // SQLite would replace a NULL by a number.
            key.into_iter().for_each(|index| staged.columns[index].nullable = false);
        }
        let is_joined = change.is_joined_at_server();
        if is_joined && native == Native(false) {
            declared.push(format!("{} INTEGER", quote(&done)));
        }
        let has_stage = !change.staged.is_empty();
        let first = has_stage.then(|| {
            format!(
                "DROP TABLE IF EXISTS temp.{STAGE}; CREATE TEMPORARY TABLE {STAGE} ({}){suffix}",
                declared.join(", ")
            )
        });
        let casts = columns.iter().map(|_| None).collect();
        let stage = Stage { name: format!("temp.{STAGE}"), columns, casts, done };
        let mut steps = script(&SqliteDialect, native, &target, table, change, &stage)?;
        if has_stage {
            let sql = format!("DROP TABLE temp.{STAGE}");
            steps.push(Step { sql, parameters: Vec::new(), counts: RowCount::Nothing });
        }
        let spec = sql::stage_spec(spec, &staged);
        let target = table.name.clone();
        Ok((Self { change: Arc::clone(change), target, first, steps, native }, staged, spec))
    }

    /// Whether the staging table refuses a row because its key repeats.
    pub(super) fn has_key(&self) -> bool {
        self.native == Native(true)
    }

    /// The error of a row whose key repeats in the staging table.
    pub(super) fn refused(&self, error: rusqlite::Error) -> Error {
        Error::new(ErrorKind::Constraint, sql::repeated(&self.change, &self.target)).with_source(error)
    }

    /// Applies the staged rows.
    pub(super) fn apply(&self, database: &Sqlite, connection: &mut Connection) -> Result<()> {
        at_once(sql::apply(&mut database.statements(connection), &self.steps, &self.change))
    }
}

/// What an upsert into a table does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upserts {
    /// It only finds a row by the only key.
    Plain,
    /// SQLite checks CHECK constraints and other keys, and fires INSERT triggers, for existing rows, too.
    Watched,
}

/// Whether every staged row is inserted, or updates the existing row with the same values, and an update cannot be refused
/// because of values that only an insert would have.
fn is_upsert(table: &Table, change: &Change) -> bool {
    let Operation::ByKey { actions, join: Join::AtServer, .. } = &change.operation else { return false };
    let says = |staged: &Staged| change.staged.contains(staged);
    let (set, values) = match actions.as_slice() {
        [RowChange::Update(set), RowChange::Insert(values)] | [RowChange::Insert(values), RowChange::Update(set)] => {
            (set, values)
        }
        _ => return false,
    };
    // The action depends only on whether the row exists.
    !says(&Staged::Action)
        && !says(&Staged::ActionOfMissing)
        && set.iter().all(|assignment| values.contains(assignment))
        && change.key().all(|(index, name)| values.iter().any(|(of, staged)| of == name && *staged == index))
        && table.columns.iter().all(|column| {
            let is_key = change.key().any(|(_, name)| name == column.name);
            let is_of = |values: &[Assignment]| values.iter().any(|(of, _)| *of == column.name);
            match (is_key, is_of(set), is_of(values)) {
                (true, ..) => !column.nullable,
                (false, true, _) => true,
                (false, false, true) => column.nullable,
                (false, false, false) => column.nullable || column.default != ColumnDefault::Null,
            }
        })
}

/// A column of numbers that belongs to no table.
fn number_column() -> Column {
    Column {
        name: "number".into(),
        sql_type: "INTEGER".into(),
        data_type: super::types::arrow_type("INTEGER"),
        nullable: true,
        default: ColumnDefault::Null,
        comparison: Comparison::Exact,
        holds: Holds::OfItsType,
        characters: Characters::All,
        detail: Detail::default(),
    }
}

/// Checks that a change is possible. Called when the statement is planned.
pub(super) fn check(table: &Table, spec: &WriteSpec, change: &Change) -> Result<()> {
    sql::check_change(table, change)?;
    for (index, field) in spec.columns.fields().iter().enumerate() {
        match change.column_of(index).and_then(|name| table.column(name)) {
            Some(column) => Encoder::try_new(field.data_type(), column)?,
            None => Encoder::try_new(field.data_type(), &number_column())?,
        };
    }
    Ok(())
}
