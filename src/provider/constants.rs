//! Statements that write constants. The optimizer finds nothing to do in them, and takes longer than all else that a statement
//! of one row needs.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::DefaultTableSource;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, WriteOp};

use super::{FanoutTable, LandfallTable};

/// Lets the optimizer make no pass over the plan of a statement that writes only constants.
pub(super) fn without_passes(state: &mut SessionState, plan: &LogicalPlan) {
    if writes_constants(plan) {
        state.config_mut().options_mut().optimizer.max_passes = 0;
    }
}

fn writes_constants(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Dml(DmlStatement { target, op: WriteOp::Insert(_), input, .. }) = plan else { return false };
    let Some(source) = target.downcast_ref::<DefaultTableSource>() else { return false };
    let is_ours = source.table_provider.is::<LandfallTable>() || source.table_provider.is::<FanoutTable>();
    is_ours && are_constants(input)
}

fn are_constants(plan: &LogicalPlan) -> bool {
    let mut are_plain = true;
    let looked = plan.apply_expressions(|expr| {
        are_plain &= is_plain(expr);
        Ok(TreeNodeRecursion::Continue)
    });
    let is_known = match plan {
        LogicalPlan::Values(_) => true,
        LogicalPlan::Projection(projection) => are_constants(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => are_constants(&alias.input),
        _ => false,
    };
    looked.is_ok() && are_plain && is_known
}

/// Whether an expression can be executed as it is. A function such as `now()` is computed by the optimizer.
fn is_plain(expr: &Expr) -> bool {
    let known = expr.exists(|part| {
        let is_plain = matches!(
            part,
            Expr::Literal(..) | Expr::Column(_) | Expr::Alias(_) | Expr::Cast(_) | Expr::TryCast(_) | Expr::Negative(_)
        );
        Ok(!is_plain)
    });
    known.is_ok_and(|has_other| !has_other)
}
