//! What an INSERT does with rows whose key exists: PostgreSQL's and SQLite's ON CONFLICT, MySQL's ON DUPLICATE KEY UPDATE,
//! SQLite's OR REPLACE and OR IGNORE, MySQL's IGNORE.
//!
//! If the statement updates all inserted columns but the key to the new values, or none, it is an INSERT with the option
//! `on_conflict`. Otherwise it is a MERGE.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParser, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, DoUpdate, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    Ident, Insert, ObjectName, OnConflict as OnConflictClause, OnConflictAction, OnInsert, SqliteOnConflict,
    Statement as Sql, TableObject, VisitMut, VisitorMut,
};

use super::names::named;
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::provider::{LandfallTable, Registered, SessionSchema, table_reference};

/// The name of the new row in ON CONFLICT, and of the source of the MERGE.
const EXCLUDED: &str = "excluded";

/// The name of the table with the options of the statement.
const TARGET: &str = "landfall_conflict_target";

/// What is done with a row whose key exists.
#[derive(Debug, PartialEq)]
enum Action {
    Ignore,
    Replace,
    /// Sets columns, if a condition holds.
    Update(Vec<(String, Expr)>, Option<Box<Expr>>),
}

/// Replaces an INSERT by one that DataFusion plans; it may write a table that is registered for this statement.
pub(super) async fn rewrite<'c>(context: &'c SessionContext, statement: &mut Sql) -> DfResult<Option<Registered<'c>>> {
    let Sql::Insert(insert) = statement else { return Ok(None) };
    let TableObject::TableName(name) = insert.table.clone() else {
        return Err(Error::config("an INSERT needs the name of a table").into());
    };
    let provider = context.table_provider(table_reference(context, &name)?).await?;
    let Some(table) = provider.downcast_ref::<LandfallTable>() else {
        let text = format!(
            "table {name} does not support the clauses ON CONFLICT, ON DUPLICATE KEY, OR and IGNORE: only tables of a \
             database support these clauses"
        );
        return Err(Error::new(ErrorKind::Unsupported, text).into());
    };
    let (action, key) = action(insert)?;
    let written: Vec<String> = match insert.columns.as_slice() {
        [] => table.table().columns.iter().map(|column| column.name.clone()).collect(),
        columns => columns.iter().map(last).collect::<Result<_>>()?,
    };
    let (on_conflict, key) = match action {
        Action::Ignore => (OnConflict::Ignore, key),
        Action::Replace => {
            insert.replace_into = true;
            (table.on_conflict(), key)
        }
        Action::Update(set, condition) => {
            let key = table.table().conflict_key(&key, OnConflict::Update)?;
            let others = written.iter().filter(|column| !key.contains(column));
            let is_new = |column: &String| set.iter().any(|(name, value)| name == column && *value == excluded(column));
            if condition.is_some() || set.len() != others.clone().count() || !others.clone().all(is_new) {
                *statement = merge(insert, &name, &written, &key, &set, condition.map(|condition| *condition))?;
                return Ok(None);
            }
            (OnConflict::Update, key)
        }
    };
    let registered = Registered::new(context, TARGET, Arc::new(table.with_conflict(on_conflict, key)?))?;
    let own = SessionSchema::own(context);
    let name = [own.catalog.as_str(), own.schema.as_str(), TARGET].map(|part| Ident::with_quote('"', part));
    insert.table = TableObject::TableName(ObjectName::from(name.to_vec()));
    Ok(Some(registered))
}

/// The action that an INSERT names, and the columns of the key; the INSERT is without them then.
fn action(insert: &mut Insert) -> Result<(Action, Vec<String>)> {
    let or = insert.or.take();
    let ignore = std::mem::take(&mut insert.ignore);
    match (insert.on.take(), or, ignore) {
        (None, Some(SqliteOnConflict::Replace), false) => Ok((Action::Replace, Vec::new())),
        (None, Some(SqliteOnConflict::Ignore), false) | (None, None, true) => Ok((Action::Ignore, Vec::new())),
        (None, Some(other), _) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("INSERT {other} is not supported: use INSERT OR REPLACE, INSERT OR IGNORE or INSERT INTO"),
        )),
        (Some(OnInsert::OnConflict(OnConflictClause { conflict_target, action })), None, false) => {
            let key = match conflict_target {
                None => Vec::new(),
                Some(ConflictTarget::Columns(columns)) => columns.into_iter().map(named).collect(),
                Some(ConflictTarget::OnConstraint(name)) => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        format!(
                            "ON CONFLICT ON CONSTRAINT {name} is not supported: name the columns of the key, as in ON \
                             CONFLICT (a, b)"
                        ),
                    ));
                }
            };
            match action {
                OnConflictAction::DoNothing => Ok((Action::Ignore, key)),
                OnConflictAction::DoUpdate(DoUpdate { assignments, selection }) => {
                    Ok((Action::Update(set(assignments)?, selection.map(Box::new)), key))
                }
            }
        }
        (Some(OnInsert::DuplicateKeyUpdate(assignments)), None, false) => {
            let mut set = set(assignments)?;
            let alias = insert.insert_alias.take().and_then(|alias| alias.row_alias.0.into_iter().next_back());
            let alias = alias.and_then(|part| part.as_ident().cloned()).map(named);
            for (_, value) in &mut set {
                let _ = value.visit(&mut NewValues(alias.as_deref()));
            }
            Ok((Action::Update(set, None), Vec::new()))
        }
        _ => Err(Error::config(
            "an INSERT can specify only one action for existing keys: use only one of the clauses OR, IGNORE and ON",
        )),
    }
}

/// The columns and values of SET.
fn set(assignments: Vec<Assignment>) -> Result<Vec<(String, Expr)>> {
    let column = |assignment: Assignment| match assignment.target {
        AssignmentTarget::ColumnName(name) => {
            let mut value = assignment.value;
            // `EXCLUDED` in any case is the same name.
            let _ = value.visit(&mut NewValues(Some(EXCLUDED)));
            Ok((last(&name)?, value))
        }
        AssignmentTarget::Tuple(_) => Err(Error::new(
            ErrorKind::Unsupported,
            "SET (a, b) = … is not supported: set each column separately, as in SET a = …, b = …",
        )),
    };
    assignments.into_iter().map(column).collect()
}

fn last(name: &ObjectName) -> Result<String> {
    let ident = name.0.last().and_then(|part| part.as_ident().cloned());
    ident.map(named).ok_or_else(|| Error::config(format!("{name} is not the name of a column")))
}

/// The value of a column in the new row.
fn excluded(column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![Ident::new(EXCLUDED), Ident::with_quote('"', column)])
}

/// Names the new row as ON CONFLICT does: MySQL has VALUES(column), and an alias of its own choice.
struct NewValues<'a>(Option<&'a str>);

impl VisitorMut for NewValues<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let column = match expr {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [row, column] if Some(named(row.clone()).as_str()) == self.0 => Some(named(column.clone())),
                _ => None,
            },
            Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("values") => match &call.args {
                FunctionArguments::List(list) => match list.args.as_slice() {
                    [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(column)))] => {
                        Some(named(column.clone()))
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        if let Some(column) = column {
            *expr = excluded(&column);
        }
        ControlFlow::Continue(())
    }
}

/// The INSERT as a MERGE, whose SET can compute values.
fn merge(
    insert: &Insert,
    table: &ObjectName,
    written: &[String],
    key: &[String],
    set: &[(String, Expr)],
    condition: Option<Expr>,
) -> DfResult<Sql> {
    if let Some(missing) = key.iter().find(|column| !written.contains(column)) {
        return Err(Error::config(format!(
            "ON CONFLICT needs all columns of the key: add column \"{missing}\" to the INSERT"
        ))
        .into());
    }
    let Some(source) = &insert.source else {
        return Err(Error::config("an INSERT with ON CONFLICT needs VALUES or a query").into());
    };
    let quote = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    let list = |names: &[String], prefix: &str| {
        names.iter().map(|name| format!("{prefix}{}", quote(name))).collect::<Vec<_>>().join(", ")
    };
    // Unqualified columns are those of the table.
    let target = "landfall_row";
    let mut of_table = OfTable { table: last(table)?, target };
    let mut in_table = |expr: &Expr| {
        let mut expr = expr.clone();
        let _ = expr.visit(&mut of_table);
        expr
    };
    let set: Vec<_> = set.iter().map(|(column, value)| format!("{} = {}", quote(column), in_table(value))).collect();
    let condition = condition.map(|condition| {
        let mut condition = in_table(&condition);
        let _ = condition.visit(&mut NewValues(Some(EXCLUDED)));
        format!(" AND ({condition})")
    });
    let on: Vec<_> = key.iter().map(|name| format!("{target}.{0} = {EXCLUDED}.{0}", quote(name))).collect();
    let sql = format!(
        "MERGE INTO {table} AS {target} USING ({source}) AS {EXCLUDED} ({columns}) ON {on} \
         WHEN MATCHED{condition} THEN UPDATE SET {set} \
         WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})",
        columns = list(written, ""),
        on = on.join(" AND "),
        condition = condition.unwrap_or_default(),
        set = set.join(", "),
        values = list(written, "excluded."),
    );
    match DFParser::parse_sql(&sql)?.pop_front() {
        Some(DfStatement::Statement(merge)) => Ok(*merge),
        _ => Err(Error::internal("a MERGE is a statement").into()),
    }
}

/// Names the columns of the existing row by the alias of the MERGE.
struct OfTable {
    table: String,
    target: &'static str,
}

impl VisitorMut for OfTable {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(column) => *expr = Expr::CompoundIdentifier(vec![Ident::new(self.target), column.clone()]),
            Expr::CompoundIdentifier(parts) => {
                if let [.., table, column] = parts.as_slice()
                    && named(table.clone()) == self.table
                {
                    *expr = Expr::CompoundIdentifier(vec![Ident::new(self.target), column.clone()]);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
