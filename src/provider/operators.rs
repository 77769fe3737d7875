//! Refuses operators that DataFusion groups or interprets differently from standard SQL, in plans that
//! [`sql`](fn@crate::sql) did not create.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as DfResult, plan_err};
use datafusion::logical_expr::expr::{InList, InSubquery};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, LogicalPlan, Operator};

/// Refuses SIMILAR TO, and a statement in which IS DISTINCT FROM may have taken for its operand what belongs to the
/// condition around it: see [`grouping`](super::grouping). A plan has no parentheses, so expressions with correct
/// parentheses are refused, too.
pub(super) fn check_plan(plan: &LogicalPlan) -> DfResult<()> {
    let check = |expr: &Expr| match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::IsDistinctFrom | Operator::IsNotDistinctFrom, right, .. })
            if may_have_taken(right) =>
        {
            plan_err!(
                "{expr}: DataFusion reads 'a IS DISTINCT FROM b OR c' as 'a IS DISTINCT FROM (b OR c)'; put 'a IS \
                 DISTINCT FROM b' in parentheses, or run the statement with datafusion_landfall::sql, which reads it as \
                 PostgreSQL does; if DataFusion's reading is intended, write '(b OR c) IS DISTINCT FROM a'"
            )
        }
        Expr::SimilarTo(_) => plan_err!(
            "{expr}: DataFusion reads the pattern of SIMILAR TO as a regular expression in DataFusion's own syntax, \
             not in SQL's; use ~ with a regular expression, or LIKE"
        ),
        _ => Ok(TreeNodeRecursion::Continue),
    };
    plan.apply_with_subqueries(|node| node.apply_expressions(|expr| expr.apply(check))).map(drop)
}

/// Whether an operand begins with the operand that belongs to IS DISTINCT FROM alone.
fn may_have_taken(operand: &Expr) -> bool {
    matches!(operand, Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. })) || begins_with_is(operand)
}

/// Whether an operand begins with `b IS …`.
fn begins_with_is(operand: &Expr) -> bool {
    match operand {
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::BinaryExpr(BinaryExpr { op: Operator::IsDistinctFrom | Operator::IsNotDistinctFrom, .. }) => true,
        Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }) => false,
        Expr::BinaryExpr(BinaryExpr { left, .. }) => begins_with_is(left),
        Expr::Like(like) | Expr::SimilarTo(like) => begins_with_is(&like.expr),
        Expr::Between(Between { expr, .. })
        | Expr::InList(InList { expr, .. })
        | Expr::InSubquery(InSubquery { expr, .. }) => begins_with_is(expr),
        // The front end marks an expression in parentheses with a cast to boolean.
        Expr::Cast(cast) if *cast.field.data_type() != DataType::Boolean => begins_with_is(&cast.expr),
        _ => false,
    }
}
