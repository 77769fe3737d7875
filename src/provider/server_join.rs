//! A join of a table with the rows of a query that the database can make instead of DataFusion, with the same result: by a
//! unique key that both compare in the same way.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult, TableReference};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, try_cast};

use crate::backend::{Column, Comparison, Table};
use crate::columnar::widens;
use crate::provider::functions::is_assignment;

/// A column of the table, and the value of the query that it is compared with.
pub(super) type Equation = (String, Expr);

/// The values that a key is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// The column must be able to store them, because they are inserted.
    Storable,
    /// Any value. It must be staged even if the column cannot store it, and then equals none of its values.
    Any,
}

/// Whether a column of integers stores all integers of its Arrow type.
fn stores_all(column: &Column) -> bool {
    const NARROWER: [&str; 3] = ["mediumint", "year", "bit"];
    column.data_type.is_integer() && !NARROWER.iter().any(|narrower| column.sql_type.starts_with(narrower))
}

/// The equation that an expression is; `None` if it has any other form, or the database compares the column differently.
pub(super) fn equation(table: &Table, target: &TableReference, expr: &Expr) -> Option<Equation> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return None };
    match (key_column(table, target, left), key_column(table, target, right)) {
        (Some(name), None) => Some((name, right.as_ref().clone())),
        (None, Some(name)) => Some((name, left.as_ref().clone())),
        _ => None,
    }
}

/// The values of a unique key, in the types of its columns; `None` if the columns are no such key, or the types are compared
/// differently.
pub(super) fn unique_key(
    table: &Table,
    equations: Vec<Equation>,
    schema: &DFSchema,
    values: Values,
) -> DfResult<Option<Vec<Equation>>> {
    let mut keys: Vec<Equation> = Vec::new();
    for (name, value) in equations {
        let Some(column) = table.column(&name) else { return Ok(None) };
        let (from, to) = (value.get_type(schema)?, column.data_type.clone());
        if values == Values::Any && !(from.is_integer() && stores_all(column)) {
            return Ok(None);
        }
        let value =
            if from == to || from.is_string() && to.is_string() || both_integers(&from, &to) && widens(&from, &to) {
                cast(value, to)
            } else if both_integers(&from, &to) {
                // A value that the column cannot store equals none of its values, as NULL.
                try_cast(value, to)
            } else {
                return Ok(None);
            };
        if keys.iter().any(|(of, _)| *of == name) {
            return Ok(None);
        }
        keys.push((name, value));
    }
    let is_unique =
        table.keys().any(|key| key.len() == keys.len() && key.iter().all(|name| keys.iter().any(|(of, _)| of == name)));
    Ok(is_unique.then_some(keys))
}

fn both_integers(one: &DataType, other: &DataType) -> bool {
    one.is_integer() && other.is_integer()
}

/// The column of the table that an expression is, if the database compares it as DataFusion does. Texts are compared as such,
/// whatever layout DataFusion gives them.
pub(super) fn key_column(table: &Table, target: &TableReference, expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(column) if column.relation.as_ref().is_some_and(|of| of.resolved_eq(target)) => {
            let known = table.column(&column.name)?;
            let is_exact = matches!(known.comparison, Comparison::Exact | Comparison::Equality);
            (is_exact && !known.data_type.is_floating()).then(|| column.name.clone())
        }
        Expr::Cast(cast) => {
            let name = key_column(table, target, &cast.expr)?;
            let (from, to) = (&table.column(&name)?.data_type, cast.field.data_type());
            let is_same = from.is_string() && to.is_string() || both_integers(from, to) && widens(from, to);
            is_same.then_some(name)
        }
        _ => None,
    }
}

/// A value before its assignment to the column, which may refuse any row of the query, as in an INSERT.
pub(super) fn before_its_casts(value: &Expr) -> &Expr {
    match value {
        Expr::Cast(cast) => before_its_casts(&cast.expr),
        Expr::ScalarFunction(call) if is_assignment(call.name()) => call.args.first().map_or(value, before_its_casts),
        value => value,
    }
}

/// Whether an expression has a value for every row, and always the same one, because it is also evaluated for rows of
/// other clauses. A division, a narrowing cast, `random()` or a subquery does not.
pub(super) fn is_total(expr: &Expr, schema: &DFSchema) -> bool {
    let is_total = |expr: &Expr| is_total(expr, schema);
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Alias(alias) => is_total(&alias.expr),
        Expr::Not(of) | Expr::IsNull(of) | Expr::IsNotNull(of) | Expr::IsTrue(of) | Expr::IsFalse(of) => is_total(of),
        Expr::Cast(cast) => {
            let to = cast.field.data_type();
            matches!(&*cast.expr, Expr::Literal(..))
                || is_total(&cast.expr) && cast.expr.get_type(schema).is_ok_and(|from| cannot_fail(&from, to))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let types = || Ok::<_, DataFusionError>((left.get_type(schema)?, right.get_type(schema)?));
            let is_literal = || [left, right].into_iter().any(|side| matches!(**side, Expr::Literal(..)));
            let is_known = match op {
                Operator::And | Operator::Or => true,
                Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                    is_literal()
                        || types().is_ok_and(|(left, right)| cannot_fail(&left, &right) || cannot_fail(&right, &left))
                }
                // Integers wrap.
                Operator::Plus | Operator::Minus | Operator::Multiply => types()
                    .is_ok_and(|(left, right)| [left, right].iter().all(|of| of.is_integer() || of.is_floating())),
                _ => false,
            };
            is_known && is_total(left) && is_total(right)
        }
        Expr::Case(case) => {
            let arms = case.when_then_expr.iter().flat_map(|(when, then)| [when, then]);
            case.expr.iter().chain(arms).chain(&case.else_expr).all(|expr| is_total(expr))
        }
        // `coalesce(…)`, `now()`.
        Expr::ScalarFunction(function) => {
            let is_known = function.args.is_empty() || function.name() == "coalesce";
            is_known && !expr.is_volatile() && function.args.iter().all(is_total)
        }
        _ => false,
    }
}

/// Whether a cast from one type to another cannot fail.
fn cannot_fail(from: &DataType, to: &DataType) -> bool {
    widens(from, to) || to.is_string() || to.is_floating() && (from.is_integer() || from.is_floating())
}
