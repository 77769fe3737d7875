//! Filters that the database evaluates as DataFusion does.
//!
//! Comparisons of columns with literals, also combined by AND, OR, NOT, IN, BETWEEN and IS NULL, are pushed down if the
//! column's stored form compares as its Arrow type does. Everything else stays in DataFusion: LIKE (SQLite ignores
//! case), arithmetic (it overflows differently), functions. Literals are passed as parameters if the database supports
//! them. Otherwise they are quoted here, because sqlparser treats some quotes in a value as already escaped.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as ColumnName, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{InList, Placeholder};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::CustomDialectBuilder;

use crate::backend::{Column, Comparison, Constant, Parameter, QueryDialect, Spelled, Table};
use crate::columnar::{IsoText, to_text};
use crate::provider::classes::{compared_columns, has_alternatives, null_for_others};

/// A filter that can be pushed down to the database.
#[derive(Debug)]
pub(super) enum Pushed {
    /// The database evaluates it completely.
    Exact(Expr),
    /// The database returns additional rows; DataFusion filters again.
    Superset(Expr),
}

/// The part of a filter that can be pushed down.
pub(super) fn push(filter: &Expr, table: &Table, dialect: &dyn QueryDialect) -> Option<Pushed> {
    let scope = Scope { table, dialect };
    exact(filter, scope).map(Pushed::Exact).or_else(|| superset(filter, scope).map(Pushed::Superset))
}

/// The meaning of names and literals.
#[derive(Clone, Copy)]
struct Scope<'t> {
    table: &'t Table,
    dialect: &'t dyn QueryDialect,
}

/// ` WHERE …` for the filters that can be pushed down, its parameters, and the limit if it can be pushed down, too.
pub(super) fn condition(
    filters: &[Expr],
    table: &Table,
    limit: Option<usize>,
    dialect: &dyn QueryDialect,
) -> DfResult<(String, Vec<Parameter>, Option<usize>)> {
    let mut parameters = Vec::new();
    let unparser_dialect = CustomDialectBuilder::new().with_identifier_quote_style(dialect.quote()).build();
    let unparser = Unparser::new(&unparser_dialect);
    let (mut conditions, mut compared) = (Vec::new(), Vec::new());
    let mut all_exact = true;
    for filter in filters {
        let pushed = match push(filter, table, dialect) {
            Some(Pushed::Exact(pushed)) => pushed,
            Some(Pushed::Superset(pushed)) => {
                all_exact = false;
                pushed
            }
            None => {
                all_exact = false;
                continue;
            }
        };
        let pushed = match has_alternatives(&pushed) {
            true => null_for_others(pushed, table, dialect, placeholder)?,
            false => {
                compared_columns(&pushed, table, &mut compared);
                pushed
            }
        };
        let pushed = stored_names(parameterized(pushed, &mut parameters, dialect)?, dialect)?;
        conditions.push(format!("({})", unparser.expr_to_sql(&pushed)?));
    }
    conditions.extend(compared.into_iter().filter_map(|column| dialect.is_of_its_type(column)));
    let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    Ok((condition, parameters, limit.filter(|_| all_exact)))
}

/// Names the columns as the database does.
fn stored_names(pushed: Expr, dialect: &dyn QueryDialect) -> DfResult<Expr> {
    let stored = pushed.transform(|expr| {
        let stored = match &expr {
            Expr::Column(name) => dialect.stored_name(&name.name),
            _ => None,
        };
        Ok(match stored {
            Some(stored) => Transformed::yes(Expr::Column(ColumnName::new_unqualified(stored))),
            None => Transformed::no(expr),
        })
    });
    Ok(stored?.data)
}

fn exact(expr: &Expr, scope: Scope<'_>) -> Option<Expr> {
    let again = |expr: &Expr| exact(expr, scope);
    Some(match expr {
        Expr::Column(name) => bare(scope.comparable(name, Operator::Eq).filter(|c| c.data_type == DataType::Boolean)?),
        Expr::Literal(ScalarValue::Boolean(None), _) => placeholder("NULL".into()),
        Expr::Not(inner) => Expr::Not(Box::new(again(inner)?)),
        Expr::IsNull(inner) => Expr::IsNull(Box::new(scope.any_column(inner)?)),
        Expr::IsNotNull(inner) => Expr::IsNotNull(Box::new(scope.any_column(inner)?)),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            binary(again(left)?, *op, again(right)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => match (&**left, &**right) {
            (Expr::Column(name), Expr::Literal(value, _)) => {
                let column = scope.comparable(name, *op)?;
                binary(bare(column), *op, scope.literal(value, column)?)
            }
            (Expr::Literal(value, _), Expr::Column(name)) => {
                let column = scope.comparable(name, *op)?;
                binary(scope.literal(value, column)?, *op, bare(column))
            }
            (Expr::Column(a), Expr::Column(b)) => {
                let (a, b) = (scope.comparable(a, *op)?, scope.comparable(b, *op)?);
                // Of texts, the collations would have to be the same too.
                let exact = |column: &Column| {
                    column.comparison == Comparison::Exact
                        && (scope.dialect.compares_texts() || !column.data_type.is_string())
                };
                (a.data_type == b.data_type && exact(a) && exact(b)).then(|| binary(bare(a), *op, bare(b)))?
            }
            _ => return None,
        },
        Expr::InList(InList { expr, list, negated }) => {
            let Expr::Column(name) = &**expr else { return None };
            let column = scope.comparable(name, Operator::Eq)?;
            let values = list.iter().map(|value| match value {
                Expr::Literal(value, _) => scope.literal(value, column),
                _ => None,
            });
            let values: Vec<Expr> = values.collect::<Option<_>>()?;
            Expr::InList(InList { expr: Box::new(bare(column)), list: values, negated: *negated })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let (Expr::Column(name), Expr::Literal(low, _), Expr::Literal(high, _)) = (&**expr, &**low, &**high) else {
                return None;
            };
            let column = scope.comparable(name, Operator::Lt)?;
            Expr::Between(Between {
                expr: Box::new(bare(column)),
                negated: *negated,
                low: Box::new(scope.literal(low, column)?),
                high: Box::new(scope.literal(high, column)?),
            })
        }
        _ => return None,
    })
}

/// A filter that lets every row through that `expr` does, and perhaps more.
fn superset(expr: &Expr, scope: Scope<'_>) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return exact(expr, scope) };
    match (op, &**left, &**right) {
        (Operator::And, left, right) => match (superset(left, scope), superset(right, scope)) {
            (Some(left), Some(right)) => Some(binary(left, Operator::And, right)),
            (one, other) => one.or(other),
        },
        (Operator::Or, left, right) => Some(binary(superset(left, scope)?, Operator::Or, superset(right, scope)?)),
        (op, Expr::Column(name), Expr::Literal(value, _)) => around(scope.find(name)?, *op, value, scope),
        (op, Expr::Literal(value, _), Expr::Column(name)) => around(scope.find(name)?, op.swap()?, value, scope),
        _ => exact(expr, scope),
    }
    .or_else(|| exact(expr, scope))
}

/// The column compared with a literal, if the server does not compare them exactly.
fn around(column: &Column, op: Operator, value: &ScalarValue, scope: Scope<'_>) -> Option<Expr> {
    match column.comparison {
        Comparison::IsoText => days_around(column, op, value, scope),
        Comparison::Float | Comparison::SignedZero => float_around(column, op, value, scope),
        Comparison::Folded if op == Operator::Eq => Some(binary(bare(column), op, scope.literal(value, column)?)),
        _ => None,
    }
}

/// Zeros of either sign, and every NaN: one with a sign is the smallest number in DataFusion.
fn float_around(column: &Column, op: Operator, value: &ScalarValue, scope: Scope<'_>) -> Option<Expr> {
    let ScalarValue::Float64(Some(bound)) = value else { return None };
    let literal = |value: f64| scope.spelled(Constant::Float(value), column);
    let op = match op {
        Operator::Gt | Operator::GtEq => Operator::GtEq,
        Operator::Lt | Operator::LtEq => Operator::LtEq,
        _ => return None,
    };
    let within = binary(bare(column), op, literal(*bound).filter(|_| bound.is_finite())?);
    match column.comparison {
        Comparison::Float => Some(binary(within, Operator::Or, binary(bare(column), Operator::Eq, literal(f64::NAN)?))),
        _ => Some(within),
    }
}

/// ISO 8601 text of any writer and precision begins with the date. One additional day on either side covers time zones.
fn days_around(column: &Column, op: Operator, value: &ScalarValue, scope: Scope<'_>) -> Option<Expr> {
    let day = match value {
        ScalarValue::Date32(Some(days)) => i64::from(*days),
        ScalarValue::Date64(Some(millis)) => millis.div_euclid(86_400_000),
        ScalarValue::TimestampSecond(Some(value), _) => value.div_euclid(86_400),
        ScalarValue::TimestampMillisecond(Some(value), _) => value.div_euclid(86_400_000),
        ScalarValue::TimestampMicrosecond(Some(value), _) => value.div_euclid(86_400_000_000),
        ScalarValue::TimestampNanosecond(Some(value), _) => value.div_euclid(86_400_000_000_000),
        _ => return None,
    };
    let bound = |op: Operator, day: i64| {
        let mut text = IsoText::new();
        Some(binary(bare(column), op, scope.spelled(Constant::Text(text.date(day)?), column)?))
    };
    let from = || bound(Operator::GtEq, day - 1);
    let to = || bound(Operator::Lt, day + 2);
    match op {
        Operator::Gt | Operator::GtEq => from(),
        Operator::Lt | Operator::LtEq => to(),
        Operator::Eq => Some(binary(from()?, Operator::And, to()?)),
        _ => None,
    }
}

fn is_comparison(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}

fn bare(column: &Column) -> Expr {
    Expr::Column(ColumnName::new_unqualified(&column.name))
}

impl<'t> Scope<'t> {
    fn find(self, name: &ColumnName) -> Option<&'t Column> {
        // The unparser treats two of its quotes in a name as one escaped quote.
        let quote = self.dialect.quote();
        self.table.column(&name.name).filter(|column| !column.name.contains(quote))
    }

    /// The column, if the database evaluates `op` on it as DataFusion does.
    fn comparable(self, name: &ColumnName, op: Operator) -> Option<&'t Column> {
        self.find(name).filter(|column| match column.comparison {
            // A literal zero is not pushed.
            Comparison::Exact | Comparison::SignedZero => true,
            Comparison::Equality | Comparison::Float => matches!(op, Operator::Eq | Operator::NotEq),
            Comparison::IsoText | Comparison::Folded | Comparison::Differs | Comparison::Nothing => false,
        })
    }

    fn any_column(self, expr: &Expr) -> Option<Expr> {
        match expr {
            Expr::Column(name) => {
                let column = self.find(name).filter(|column| column.comparison != Comparison::Nothing)?;
                self.dialect.finds_null(column).then(|| bare(column))
            }
            _ => None,
        }
    }

    /// The literal, if it is of the column's kind and the database supports it.
    fn literal(self, value: &ScalarValue, column: &Column) -> Option<Expr> {
        let data_type = &column.data_type;
        match value {
            // A database that stores no -0.0 finds it equal to 0.0.
            ScalarValue::Float64(Some(value)) if *value == 0.0 => {
                let differs = matches!(column.comparison, Comparison::Float | Comparison::SignedZero);
                let is_pushed = data_type.is_floating() && !differs && value.is_sign_positive();
                is_pushed.then(|| self.spelled(Constant::Float(*value), column))?
            }
            ScalarValue::Float64(Some(value)) if data_type.is_floating() && value.is_finite() => {
                self.spelled(Constant::Float(*value), column)
            }
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text))
                if data_type.is_string() =>
            {
                column.characters.have(text).then(|| self.spelled(Constant::Text(text), column))?
            }
            integer if integer.data_type().is_integer() && data_type.is_integer() && !integer.is_null() => {
                match integer.cast_to(&DataType::Int64).ok()? {
                    ScalarValue::Int64(Some(value)) => self.spelled(Constant::Integer(value), column),
                    _ => None,
                }
            }
            ScalarValue::Boolean(Some(value)) if *data_type == DataType::Boolean => {
                self.spelled(Constant::Boolean(*value), column)
            }
            other if is_of_kind(&other.data_type(), data_type) && !other.is_null() => {
                let texts = to_text(&other.to_array().ok()?).ok()?;
                self.spelled(Constant::Other(&other.data_type(), texts.value(0)), column)
            }
            _ => None,
        }
    }

    /// The constant as the database spells it.
    fn spelled(self, constant: Constant<'_>, column: &Column) -> Option<Expr> {
        let literal = |value| Some(Expr::Literal(value, None));
        match self.dialect.constant(constant, column)? {
            Spelled::Sql(text) => Some(placeholder(text)),
            Spelled::Parameter(Parameter::Integer(value)) => literal(ScalarValue::Int64(Some(value))),
            Spelled::Parameter(Parameter::Real(value)) => literal(ScalarValue::Float64(Some(value))),
            Spelled::Parameter(Parameter::Text(value)) => literal(ScalarValue::Utf8(Some(value))),
        }
    }
}

/// Whether a literal of that type compares with the column without a conversion that could lose something.
fn is_of_kind(literal: &DataType, column: &DataType) -> bool {
    use DataType::*;
    match (literal, column) {
        (Timestamp(_, a), Timestamp(_, b)) => a.is_some() == b.is_some(),
        (Date32, Date32) => true,
        (a, b) => a.is_decimal() && b.is_decimal(),
    }
}

/// A text that appears unchanged in the query, because the unparser does not change placeholders.
fn placeholder(text: String) -> Expr {
    Expr::Placeholder(Placeholder::new_with_field(text, None))
}

/// Puts parameters in the place of literals.
fn parameterized(expr: Expr, parameters: &mut Vec<Parameter>, dialect: &dyn QueryDialect) -> DfResult<Expr> {
    let replaced = expr.transform(|expr| {
        let Expr::Literal(value, _) = &expr else { return Ok(Transformed::no(expr)) };
        let data_type = value.data_type();
        parameters.push(match value {
            ScalarValue::Int64(Some(value)) => Parameter::Integer(*value),
            ScalarValue::Float64(Some(value)) => Parameter::Real(*value),
            ScalarValue::Utf8(Some(value)) => Parameter::Text(value.clone()),
            other => return datafusion::common::internal_err!("{other:?} cannot be a parameter"),
        });
        Ok(Transformed::yes(placeholder(dialect.parameter(parameters.len(), &data_type))))
    })?;
    Ok(replaced.data)
}
