//! `DEFAULT` as a value: a column that an INSERT omits gets its default value from the database.

use std::collections::HashSet;

use datafusion::common::Result as DfResult;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Expr, Ident, Insert, MergeAction, MergeInsertKind, ObjectName, OnConflictAction,
    OnInsert, SetExpr, Statement as Sql, TableFactor, TableObject, Value, Values,
};

use super::names::named;
use crate::backend::{ColumnDefault, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::provider::{LandfallTable, table_reference};

/// Replaces DEFAULT in a statement that writes a table of a database.
pub(super) async fn replace(context: &SessionContext, statement: &mut Sql) -> DfResult<()> {
    if !has_default(statement) {
        return Ok(());
    }
    let name = match &*statement {
        Sql::Insert(Insert { table: TableObject::TableName(name), .. }) => name,
        Sql::Update(update) => match &update.table.relation {
            TableFactor::Table { name, .. } => name,
            _ => return Ok(()),
        },
        Sql::Merge(merge) => match &merge.table {
            TableFactor::Table { name, .. } => name,
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    // The planner names a table that does not exist.
    let Ok(provider) = context.table_provider(table_reference(context, name)?).await else { return Ok(()) };
    let Some(table) = provider.downcast_ref::<LandfallTable>() else { return Ok(()) };
    match statement {
        Sql::Insert(insert) => of_insert(insert, table)?,
        Sql::Update(update) => set(&mut update.assignments, table.table())?,
        Sql::Merge(merge) => {
            for clause in &mut merge.clauses {
                match &mut clause.action {
                    MergeAction::Update(update) => set(&mut update.assignments, table.table())?,
                    MergeAction::Insert(insert) => {
                        if let MergeInsertKind::Values(values) = &mut insert.kind {
                            omit(&mut insert.columns, values, table.table())?;
                        }
                    }
                    MergeAction::Delete { .. } => {}
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_default(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(Ident { value, quote_style: None, .. }) if value.eq_ignore_ascii_case("default"))
}

fn sets_default(assignments: &[Assignment]) -> bool {
    assignments.iter().any(|assignment| is_default(&assignment.value))
}

/// The assignments of ON CONFLICT DO UPDATE and ON DUPLICATE KEY UPDATE.
fn set_on_conflict(on: &mut Option<OnInsert>) -> Option<&mut Vec<Assignment>> {
    match on {
        Some(OnInsert::DuplicateKeyUpdate(assignments)) => Some(assignments),
        Some(OnInsert::OnConflict(on)) => match &mut on.action {
            OnConflictAction::DoUpdate(update) => Some(&mut update.assignments),
            OnConflictAction::DoNothing => None,
        },
        _ => None,
    }
}

fn has_default(statement: &mut Sql) -> bool {
    let of_values = |values: &Values| values.rows.iter().any(|row| row.content.iter().any(is_default));
    match statement {
        Sql::Insert(insert) => {
            let values = insert.source.as_ref().is_some_and(|source| match source.body.as_ref() {
                SetExpr::Values(values) => of_values(values),
                _ => false,
            });
            values || set_on_conflict(&mut insert.on).is_some_and(|set| sets_default(set))
        }
        Sql::Update(update) => sets_default(&update.assignments),
        Sql::Merge(merge) => merge.clauses.iter().any(|clause| match &clause.action {
            MergeAction::Update(update) => sets_default(&update.assignments),
            MergeAction::Insert(insert) => {
                matches!(&insert.kind, MergeInsertKind::Values(values) if of_values(values))
            }
            MergeAction::Delete { .. } => false,
        }),
        _ => false,
    }
}

fn of_insert(insert: &mut Insert, table: &LandfallTable) -> Result<()> {
    let assignments = set_on_conflict(&mut insert.on);
    let updates = assignments.is_some() || table.on_conflict() == OnConflict::Update && !insert.replace_into;
    if let Some(assignments) = assignments {
        set(assignments, table.table())?;
    }
    let Some(SetExpr::Values(values)) = insert.source.as_mut().map(|source| source.body.as_mut()) else {
        return Ok(());
    };
    if updates && values.rows.iter().any(|row| row.content.iter().any(is_default)) {
        return Err(unsupported(
            "DEFAULT in VALUES is not supported in an INSERT that updates existing rows, because the database would \
             leave the column unchanged in these rows: write the default value itself, or use REPLACE INTO",
        ));
    }
    omit(&mut insert.columns, values, table.table())
}

/// Omits the columns whose value is DEFAULT in all rows.
fn omit(columns: &mut Vec<ObjectName>, values: &mut Values, table: &Table) -> Result<()> {
    let rows = &mut values.rows;
    let has_default = |at: &usize| rows.iter().any(|row| row.content.get(*at).is_some_and(is_default));
    let width = rows.first().map_or(0, |row| row.content.len());
    if rows.iter().any(|row| row.content.len() != width) {
        // The planner says so.
        return Ok(());
    }
    let omitted: HashSet<usize> = (0..width).filter(has_default).collect();
    if omitted.is_empty() {
        return Ok(());
    }
    if columns.is_empty() {
        let name = |name: &String| ObjectName::from(vec![Ident::with_quote('"', name)]);
        *columns = table.columns.iter().map(|column| name(&column.name)).collect();
    }
    if columns.len() != width {
        return Ok(());
    }
    for at in &omitted {
        if let Some(row) = rows.iter().position(|row| !row.content.get(*at).is_some_and(is_default)) {
            return Err(unsupported(&format!(
                "column {} has DEFAULT in some rows of VALUES, but not in row {}: use one INSERT for the rows with \
                 DEFAULT, and another INSERT for the other rows",
                columns[*at],
                row + 1
            )));
        }
    }
    if omitted.len() == width {
        return Err(unsupported(
            "an INSERT in which every value is DEFAULT is not supported: write the value of at least one column",
        ));
    }
    let kept = |at: usize| !omitted.contains(&at);
    for row in rows {
        row.content = std::mem::take(&mut row.content).into_iter().enumerate().filter_map(only(&kept)).collect();
    }
    *columns = std::mem::take(columns).into_iter().enumerate().filter_map(only(&kept)).collect();
    Ok(())
}

/// The values at some places.
fn only<T>(kept: &impl Fn(usize) -> bool) -> impl FnMut((usize, T)) -> Option<T> {
    |(at, value)| kept(at).then_some(value)
}

/// SET to the default value is possible where that is NULL.
fn set(assignments: &mut [Assignment], table: &Table) -> Result<()> {
    for assignment in assignments.iter_mut().filter(|assignment| is_default(&assignment.value)) {
        let AssignmentTarget::ColumnName(name) = &assignment.target else { continue };
        let ident = name.0.last().and_then(|part| part.as_ident().cloned());
        let column = ident.and_then(|ident| table.column(&named(ident)));
        match column.map(|column| column.default) {
            Some(ColumnDefault::Null) => assignment.value = Expr::value(Value::Null),
            // The planner says that it does not exist.
            None => {}
            Some(_) => {
                return Err(unsupported(&format!(
                    "SET {name} = DEFAULT is not supported: write the default value of the column itself"
                )));
            }
        }
    }
    Ok(())
}

fn unsupported(text: &str) -> Error {
    Error::new(ErrorKind::Unsupported, text)
}
