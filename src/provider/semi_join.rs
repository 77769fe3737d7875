//! `UPDATE` and `DELETE … WHERE key IN (SELECT …)`, or with EXISTS, as a join at the server.
//!
//! If the condition compares a unique key of integers with the rows of a subquery, and the new values do not depend on the
//! row of the table, the keys of the subquery are staged, and the database finds the rows. Otherwise, the query reads the
//! whole table.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result as DfResult, TableReference};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use crate::backend::{Join, Repeats, RowChange, Staged, Table};
use crate::provider::request::{Request, numbered};
use crate::provider::server_join::{Equation, Values, before_its_casts, equation, is_total, key_column, unique_key};

/// The request and the query of such a statement, which sets these values or deletes the rows; `None` if the database cannot
/// find the rows.
pub(super) fn at_server(
    table: &Table,
    verb: &'static str,
    target: &TableReference,
    rows: &LogicalPlan,
    set: Option<&[(String, Expr)]>,
) -> DfResult<Option<(Request, LogicalPlan)>> {
    let is_constant = |value: &Expr| {
        let value = before_its_casts(value);
        value.column_refs().is_empty() && is_total(value, &DFSchema::empty())
    };
    // An UPDATE without new values sets columns to themselves.
    if set.is_some_and(|set| set.is_empty() || !set.iter().all(|(_, value)| is_constant(value))) {
        return Ok(None);
    }
    let Some((key, keys)) = keys(table, target, rows)? else { return Ok(None) };
    let columns = key.iter().map(|name| Expr::Column(Column::new_unqualified(name)));
    let values = set.unwrap_or_default();
    let query = keys.project(numbered(columns.chain(values.iter().map(|(_, value)| value.clone()))))?.build()?;
    let action = match set {
        Some(set) => {
            RowChange::Update(set.iter().zip(key.len()..).map(|((name, _), index)| (name.clone(), index)).collect())
        }
        None => RowChange::Delete,
    };
    let staged_values = values.iter().map(|(name, _)| Staged::Value(name.clone()));
    let staged = key.into_iter().map(Staged::Key).chain(staged_values).collect();
    let request = Request { verb, staged, actions: vec![action], join: Join::AtServer, repeats: Repeats::Never };
    Ok(Some((request, query)))
}

/// The columns of the key, and a query of the distinct keys of the affected rows.
fn keys(
    table: &Table,
    target: &TableReference,
    rows: &LogicalPlan,
) -> DfResult<Option<(Vec<String>, LogicalPlanBuilder)>> {
    let LogicalPlan::Filter(filter) = rows else { return Ok(None) };
    let is_whole = match filter.input.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => is_whole_table(&alias.input),
        input => is_whole_table(input),
    };
    let found = match &filter.predicate {
        _ if !is_whole => None,
        Expr::InSubquery(membership) => of_in(table, target, membership),
        Expr::Exists(exists) => of_exists(table, target, exists)?,
        _ => None,
    };
    let Some((equations, source)) = found else { return Ok(None) };
    if !source.all_out_ref_exprs().is_empty() {
        return Ok(None);
    }
    let Some(keys) = unique_key(table, equations, source.schema(), Values::Any)? else { return Ok(None) };
    let (names, values): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
    let columns = values.into_iter().zip(&names).map(|(value, name)| value.alias(name));
    let keys = LogicalPlanBuilder::from(source).project(columns.collect::<Vec<_>>())?.distinct()?;
    Ok(Some((names, keys)))
}

fn is_whole_table(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none())
}

/// `key IN (SELECT …)`.
fn of_in(table: &Table, target: &TableReference, membership: &InSubquery) -> Option<(Vec<Equation>, LogicalPlan)> {
    let InSubquery { expr, subquery, negated: false } = membership else { return None };
    let source = subquery.subquery.as_ref();
    let value = Expr::Column(Column::from(source.schema().qualified_field(0)));
    Some((vec![(key_column(table, target, expr)?, value)], source.clone()))
}

/// `EXISTS (SELECT … WHERE other.key = table.key AND …)`.
fn of_exists(
    table: &Table,
    target: &TableReference,
    exists: &Exists,
) -> DfResult<Option<(Vec<Equation>, LogicalPlan)>> {
    let mut source = exists.subquery.subquery.as_ref();
    // EXISTS ignores what is selected.
    while let LogicalPlan::Projection(selected) = source {
        source = &selected.input;
    }
    let LogicalPlan::Filter(filter) = source else { return Ok(None) };
    if exists.negated {
        return Ok(None);
    }
    let (mut equations, mut rest) = (Vec::new(), Vec::new());
    for condition in split_conjunction(&filter.predicate) {
        if !condition.contains_outer() {
            rest.push(condition.clone());
            continue;
        }
        let found = equation(table, target, &as_columns(condition.clone())?);
        let Some((name, value)) = found.filter(|(_, value)| is_of(value, &filter.input)) else { return Ok(None) };
        equations.push((name, value));
    }
    let source = LogicalPlanBuilder::from(Arc::clone(&filter.input));
    let source = match conjunction(rest) {
        Some(rest) => source.filter(rest)?,
        None => source,
    };
    Ok(Some((equations, source.build()?)))
}

/// An expression with columns in place of the references to the outer query.
fn as_columns(expr: Expr) -> DfResult<Expr> {
    let named = expr.transform_up(|expr| match expr {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    });
    Ok(named?.data)
}

/// Whether an expression needs only the rows of a plan.
fn is_of(expr: &Expr, rows: &LogicalPlan) -> bool {
    !expr.is_volatile() && expr.column_refs().into_iter().all(|column| rows.schema().has_column(column))
}
