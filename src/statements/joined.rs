//! `UPDATE … FROM` and `DELETE … USING`, as a MERGE. PostgreSQL updates a row that matches several rows of the other table
//! once, with one of them; a MERGE fails before it changes anything.

use datafusion::common::Result as DfResult;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParser, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    Delete, Expr, FromTable, Join, JoinConstraint, JoinOperator, Merge, MergeAction, Statement as Sql, TableFactor,
    TableWithJoins, Update, UpdateTableFromKind, Value,
};

use crate::error::{Error, ErrorKind, Result};
use crate::provider::{LandfallTable, table_reference};

/// Replaces a statement that changes rows of a table of a database by a MERGE, if it joins other tables.
pub(super) async fn merge(context: &SessionContext, statement: &mut Sql) -> DfResult<()> {
    let Some(parts) = (match &*statement {
        Sql::Update(update) => of_update(update),
        Sql::Delete(delete) => of_delete(delete),
        _ => None,
    }) else {
        return Ok(());
    };
    let TableFactor::Table { name, .. } = &parts.target else { return Ok(()) };
    // The planner names a table that does not exist.
    let Ok(provider) = context.table_provider(table_reference(context, name)?).await else { return Ok(()) };
    if provider.is::<LandfallTable>() {
        *statement = parts.merge()?;
    }
    Ok(())
}

/// The parts of such a statement.
struct Parts<'s> {
    /// `UPDATE … FROM` or `DELETE … USING`.
    verb: &'static str,
    target: &'s TableFactor,
    others: &'s [TableWithJoins],
    condition: &'s Option<Expr>,
    /// The action for matching rows, as a template, and in the end.
    template: &'static str,
    action: Option<MergeAction>,
    /// Whether it has a clause that a MERGE has not.
    has_more: bool,
}

fn of_update(update: &Update) -> Option<Parts<'_>> {
    let Some(UpdateTableFromKind::AfterSet(others) | UpdateTableFromKind::BeforeSet(others)) = &update.from else {
        return None;
    };
    let has_more = update.returning.is_some() || update.output.is_some() || update.or.is_some();
    let mut parts = Parts {
        verb: "UPDATE … FROM",
        target: &update.table.relation,
        others,
        condition: &update.selection,
        template: "UPDATE SET a = 1",
        action: None,
        has_more: has_more || !update.table.joins.is_empty() || !update.order_by.is_empty() || update.limit.is_some(),
    };
    let Ok(Some(mut merge)) = template(parts.template) else { return Some(parts) };
    if let Some(MergeAction::Update(set)) = merge.clauses.first_mut().map(|clause| &mut clause.action) {
        set.assignments = update.assignments.clone();
        parts.action = Some(MergeAction::Update(set.clone()));
    }
    Some(parts)
}

fn of_delete(delete: &Delete) -> Option<Parts<'_>> {
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
    let (Some(others), [target]) = (&delete.using, tables.as_slice()) else { return None };
    Some(Parts {
        verb: "DELETE … USING",
        target: &target.relation,
        others,
        condition: &delete.selection,
        template: "DELETE",
        action: None,
        has_more: delete.returning.is_some()
            || delete.output.is_some()
            || !delete.tables.is_empty()
            || !target.joins.is_empty()
            || !delete.order_by.is_empty()
            || delete.limit.is_some(),
    })
}

/// A MERGE with this action.
fn template(action: &str) -> DfResult<Option<Merge>> {
    let sql = format!("MERGE INTO t USING s ON true WHEN MATCHED THEN {action}");
    Ok(match DFParser::parse_sql(&sql)?.pop_front() {
        Some(DfStatement::Statement(statement)) => match *statement {
            Sql::Merge(merge) => Some(merge),
            _ => None,
        },
        _ => None,
    })
}

impl Parts<'_> {
    fn merge(self) -> DfResult<Sql> {
        if self.has_more {
            let text = format!(
                "{} supports only the clauses SET, FROM, USING and WHERE: use MERGE INTO … USING (query) … instead",
                self.verb
            );
            return Err(Error::new(ErrorKind::Unsupported, text).into());
        }
        let Some(mut merge) = template(self.template)? else {
            return Err(Error::internal("a MERGE is a statement").into());
        };
        merge.table = self.target.clone();
        merge.source = joined(self.others)?;
        merge.on = Box::new(self.condition.clone().unwrap_or_else(|| Expr::value(Value::Boolean(true))));
        if let (Some(clause), Some(action)) = (merge.clauses.first_mut(), self.action) {
            clause.action = action;
        }
        Ok(Sql::Merge(merge))
    }
}

/// All rows of the product of the tables.
fn joined(tables: &[TableWithJoins]) -> Result<TableFactor> {
    let nested = |table: &TableWithJoins| match table.joins.as_slice() {
        [] => table.relation.clone(),
        _ => TableFactor::NestedJoin { table_with_joins: Box::new(table.clone()), alias: None },
    };
    let [first, others @ ..] = tables else { return Err(Error::internal("FROM names a table")) };
    if others.is_empty() {
        return Ok(nested(first));
    }
    let cross = |table: &TableWithJoins| Join {
        relation: nested(table),
        global: false,
        join_operator: JoinOperator::CrossJoin(JoinConstraint::None),
    };
    let all = TableWithJoins { relation: nested(first), joins: others.iter().map(cross).collect() };
    Ok(TableFactor::NestedJoin { table_with_joins: Box::new(all), alias: None })
}
