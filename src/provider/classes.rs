//! In some databases, a column stores values of any type and compares them: a text is larger than every number. A
//! comparison in DataFusion never finds a value of another type than the column's.

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::backend::{Column, Holds, QueryDialect, Table};

/// The columns of a condition that may store any type, and that it does not only test for NULL.
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

/// Whether a condition can be true although a comparison in it is not. Then the comparison itself must be unknown for a
/// value of another type than the column's.
pub(super) fn has_alternatives(expr: &Expr) -> bool {
    let is_one = |expr: &Expr| Ok(matches!(expr, Expr::Not(_) | Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. })));
    expr.exists(is_one).unwrap_or(true)
}

/// The condition, with NULL in place of values of another type than the column's.
pub(super) fn null_for_others(
    expr: Expr,
    table: &Table,
    dialect: &dyn QueryDialect,
    write: impl Fn(String) -> Expr,
) -> DfResult<Expr> {
    let replaced = expr.transform_down(|expr| {
        let name = match &expr {
            Expr::IsNull(_) | Expr::IsNotNull(_) => {
                return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
            }
            Expr::Column(name) => name,
            _ => return Ok(Transformed::no(expr)),
        };
        let column = table.column(&name.name).filter(|column| column.holds == Holds::OfAnyType);
        let guarded = column.and_then(|column| Some((column, dialect.is_of_its_type(column)?)));
        Ok(match guarded {
            Some((column, is_of_its_type)) => Transformed::yes(write(format!(
                "CASE WHEN {is_of_its_type} THEN {} END",
                dialect.identifier(&column.name)
            ))),
            None => Transformed::no(expr),
        })
    });
    Ok(replaced?.data)
}
