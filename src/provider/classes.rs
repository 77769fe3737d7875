//! SQLite's columns hold values of every storage class, which it compares: a text is larger than every number. What is none of
//! its column's type is not what a comparison in DataFusion could find.

use arrow::datatypes::DataType;
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::sql::{Column, Holds, Table, quote};

/// The columns of a condition that may hold anything, and that it asks more of than whether they are NULL.
pub(super) fn compared_columns<'t>(expr: &Expr, table: &'t Table, compared: &mut Vec<&'t Column>) {
    // It looks at an expression that was made here: nothing fails.
    let _ = expr.apply(|expr| {
        Ok(match expr {
            Expr::IsNull(_) | Expr::IsNotNull(_) => TreeNodeRecursion::Jump,
            Expr::Column(name) => {
                let is_new = |column: &&Column| compared.iter().all(|before| before.name != column.name);
                let holds_any = |column: &&Column| column.holds == Holds::OfAnyType;
                compared.extend(table.column(&name.name).filter(holds_any).filter(is_new));
                TreeNodeRecursion::Continue
            }
            _ => TreeNodeRecursion::Continue,
        })
    });
}

/// Whether a condition can be true beside a comparison that is not: then the comparison itself has to be unknown where a
/// value is none of its column's type.
pub(super) fn has_alternatives(expr: &Expr) -> bool {
    let is_one = |expr: &Expr| Ok(matches!(expr, Expr::Not(_) | Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. })));
    expr.exists(is_one).unwrap_or(true)
}

/// The condition with NULL in the place of values that are none of their column's type.
pub(super) fn null_for_others(expr: Expr, table: &Table, write: impl Fn(String) -> Expr) -> DfResult<Expr> {
    let replaced = expr.transform_down(|expr| {
        let name = match &expr {
            Expr::IsNull(_) | Expr::IsNotNull(_) => {
                return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
            }
            Expr::Column(name) => name,
            _ => return Ok(Transformed::no(expr)),
        };
        let column = table.column(&name.name).filter(|column| column.holds == Holds::OfAnyType);
        let guarded = column.and_then(|column| Some((column, is_of_its_type(column)?)));
        Ok(match guarded {
            Some((column, is_of_its_type)) => {
                Transformed::yes(write(format!("CASE WHEN {is_of_its_type} THEN {} END", quote(&column.name))))
            }
            None => Transformed::no(expr),
        })
    });
    Ok(replaced?.data)
}

/// That a value of SQLite's is one of its column's type, or NULL. Put beside a whole condition, as in a comparison NOT would
/// turn it around.
pub(super) fn is_of_its_type(column: &Column) -> Option<String> {
    let name = quote(&column.name);
    let of_classes = |classes: &str| format!("(typeof({name}) IN ({classes}, 'null'))");
    let in_range = |low: i64, high: i64| {
        Some(format!("({name} IS NULL OR typeof({name}) = 'integer' AND {name} BETWEEN {low} AND {high})"))
    };
    match &column.data_type {
        DataType::Boolean => in_range(0, 1),
        DataType::Int8 => in_range(i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => in_range(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => in_range(i32::MIN.into(), i32::MAX.into()),
        DataType::UInt8 => in_range(0, u8::MAX.into()),
        DataType::UInt16 => in_range(0, u16::MAX.into()),
        DataType::UInt32 => in_range(0, u32::MAX.into()),
        DataType::UInt64 => in_range(0, i64::MAX),
        DataType::Int64 => Some(of_classes("'integer'")),
        // A NUMERIC column holds 2.0 as 2.
        DataType::Float64 => Some(format!(
            "(typeof({name}) IN ('real', 'null') OR typeof({name}) = 'integer' AND CAST(CAST({name} AS REAL) AS INTEGER) = {name})"
        )),
        t if t.is_string() => Some(of_classes("'text'")),
        // Texts of times, of which the database only finds the days: what it lets through is read.
        _ => None,
    }
}
