//! Filters that the database can answer as DataFusion would.
//!
//! Comparisons of columns with literals, and what AND, OR, NOT, IN, BETWEEN and IS NULL make of them, are pushed
//! where the column's stored form compares as its Arrow type does. Everything else stays in DataFusion: LIKE (SQLite
//! folds case), arithmetic (it overflows otherwise), functions. Literals go as parameters, never as text.

use arrow::datatypes::DataType;
use datafusion::common::{Column as ColumnName, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{InList, Placeholder};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::SqliteDialect;

use crate::columnar::IsoText;
use crate::sql::{Column, Comparison, Parameter, Table};

/// A filter that the database can take over.
#[derive(Debug)]
pub(super) enum Pushed {
    /// The database answers it alone.
    Exact(Expr),
    /// The database lets too many rows through; DataFusion asks again.
    Superset(Expr),
}

/// What of a filter can be pushed.
pub(super) fn push(filter: &Expr, table: &Table) -> Option<Pushed> {
    exact(filter, table).map(Pushed::Exact).or_else(|| superset(filter, table).map(Pushed::Superset))
}

/// ` WHERE … LIMIT …` for the filters that can be pushed, and the parameters in it.
pub(super) fn suffix(filters: &[Expr], table: &Table, limit: Option<usize>) -> DfResult<(String, Vec<Parameter>)> {
    let mut parameters = Vec::new();
    let dialect = SqliteDialect {};
    let unparser = Unparser::new(&dialect);
    let mut conditions = Vec::new();
    let mut all_exact = true;
    for filter in filters {
        let pushed = match push(filter, table) {
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
        let pushed = parameterized(pushed, &mut parameters)?;
        conditions.push(format!("({})", unparser.expr_to_sql(&pushed)?));
    }
    let mut suffix = String::new();
    if !conditions.is_empty() {
        suffix += &format!(" WHERE {}", conditions.join(" AND "));
    }
    if let Some(limit) = limit.filter(|_| all_exact) {
        suffix += &format!(" LIMIT {limit}");
    }
    Ok((suffix, parameters))
}

fn exact(expr: &Expr, table: &Table) -> Option<Expr> {
    let again = |expr: &Expr| exact(expr, table);
    Some(match expr {
        Expr::Column(name) => bare(comparable(name, table).filter(|column| column.data_type == DataType::Boolean)?),
        Expr::Not(inner) => Expr::Not(Box::new(again(inner)?)),
        Expr::IsNull(inner) => Expr::IsNull(Box::new(any_column(inner, table)?)),
        Expr::IsNotNull(inner) => Expr::IsNotNull(Box::new(any_column(inner, table)?)),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            binary(again(left)?, *op, again(right)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => match (&**left, &**right) {
            (Expr::Column(name), Expr::Literal(value, _)) => {
                let column = comparable(name, table)?;
                binary(bare(column), *op, literal(value, column)?)
            }
            (Expr::Literal(value, _), Expr::Column(name)) => {
                let column = comparable(name, table)?;
                binary(literal(value, column)?, *op, bare(column))
            }
            (Expr::Column(a), Expr::Column(b)) => {
                let (a, b) = (comparable(a, table)?, comparable(b, table)?);
                (a.data_type == b.data_type).then(|| binary(bare(a), *op, bare(b)))?
            }
            _ => return None,
        },
        Expr::InList(InList { expr, list, negated }) => {
            let Expr::Column(name) = &**expr else { return None };
            let column = comparable(name, table)?;
            let values = list.iter().map(|value| match value {
                Expr::Literal(value, _) => literal(value, column),
                _ => None,
            });
            let values: Vec<Expr> = values.collect::<Option<_>>()?;
            Expr::InList(InList { expr: Box::new(bare(column)), list: values, negated: *negated })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let (Expr::Column(name), Expr::Literal(low, _), Expr::Literal(high, _)) = (&**expr, &**low, &**high) else {
                return None;
            };
            let column = comparable(name, table)?;
            Expr::Between(Between {
                expr: Box::new(bare(column)),
                negated: *negated,
                low: Box::new(literal(low, column)?),
                high: Box::new(literal(high, column)?),
            })
        }
        _ => return None,
    })
}

/// A filter that lets every row through that `expr` does, and perhaps more.
fn superset(expr: &Expr, table: &Table) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return exact(expr, table) };
    match (op, &**left, &**right) {
        (Operator::And, left, right) => match (superset(left, table), superset(right, table)) {
            (Some(left), Some(right)) => Some(binary(left, Operator::And, right)),
            (one, other) => one.or(other),
        },
        (Operator::Or, left, right) => Some(binary(superset(left, table)?, Operator::Or, superset(right, table)?)),
        (op, Expr::Column(name), Expr::Literal(value, _)) => days_around(find(name, table)?, *op, value),
        (op, Expr::Literal(value, _), Expr::Column(name)) => days_around(find(name, table)?, op.swap()?, value),
        _ => exact(expr, table),
    }
    .or_else(|| exact(expr, table))
}

/// ISO 8601 text, whoever wrote it and with however many digits, begins with the date. One day more on either side
/// makes up for zones.
fn days_around(column: &Column, op: Operator, value: &ScalarValue) -> Option<Expr> {
    if column.comparison != Comparison::IsoText {
        return None;
    }
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
        let text = IsoText::new().date(day)?.to_owned();
        Some(binary(bare(column), op, Expr::Literal(ScalarValue::Utf8(Some(text)), None)))
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

fn find<'t>(name: &ColumnName, table: &'t Table) -> Option<&'t Column> {
    // The unparser quotes with backticks, and takes two of them in a name for one that is escaped already.
    table.column(&name.name).filter(|column| !column.name.contains('`'))
}

fn comparable<'t>(name: &ColumnName, table: &'t Table) -> Option<&'t Column> {
    find(name, table).filter(|column| column.comparison == Comparison::Exact)
}

fn any_column(expr: &Expr, table: &Table) -> Option<Expr> {
    match expr {
        Expr::Column(name) => find(name, table).map(bare),
        _ => None,
    }
}

/// The literal as one of the types that a parameter has, where it is of the column's kind.
fn literal(value: &ScalarValue, column: &Column) -> Option<Expr> {
    let data_type = &column.data_type;
    let plain = match value {
        ScalarValue::Boolean(Some(value)) if *data_type == DataType::Boolean => {
            ScalarValue::Int64(Some((*value).into()))
        }
        ScalarValue::Float64(Some(value)) if data_type.is_floating() && value.is_finite() => {
            ScalarValue::Float64(Some(*value))
        }
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text))
            if data_type.is_string() =>
        {
            ScalarValue::Utf8(Some(text.clone()))
        }
        integer if integer.data_type().is_integer() && data_type.is_integer() && !integer.is_null() => {
            match integer.cast_to(&DataType::Int64).ok()? {
                ScalarValue::Int64(Some(value)) => ScalarValue::Int64(Some(value)),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Expr::Literal(plain, None))
}

/// Puts parameters in the place of literals.
fn parameterized(expr: Expr, parameters: &mut Vec<Parameter>) -> DfResult<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let replaced = expr.transform(|expr| {
        let Expr::Literal(value, _) = &expr else { return Ok(Transformed::no(expr)) };
        parameters.push(match value {
            ScalarValue::Int64(Some(value)) => Parameter::Integer(*value),
            ScalarValue::Float64(Some(value)) => Parameter::Real(*value),
            ScalarValue::Utf8(Some(value)) => Parameter::Text(value.clone()),
            other => return datafusion::common::internal_err!("{other:?} was to be a parameter"),
        });
        Ok(Transformed::yes(Expr::Placeholder(Placeholder::new_with_field(format!("?{}", parameters.len()), None))))
    })?;
    Ok(replaced.data)
}
