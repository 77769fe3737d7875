//! IN of a list whose items are computed from columns, in statements that write.
//!
//! DataFusion treats some list items as constants although they depend on columns: a CASE of columns, also the CASE
//! into which it rewrites a correlated `count(*)`. As comparisons connected by OR, the items are computed for each row.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DfResult, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::InList;

/// An expression that is no such list.
pub(super) fn spelled_out(expr: Expr) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::InList(list) => comparisons(list),
        other => Ok(Transformed::no(other)),
    }
}

fn comparisons(InList { expr, list, negated }: InList) -> DfResult<Transformed<Expr>> {
    let (computed, constant): (Vec<_>, Vec<_>) = list.into_iter().partition(is_computed);
    if !computed.is_empty() && expr.is_volatile() {
        return plan_err!(
            "{expr} IN (…) calls a volatile function, which would be evaluated again for each item: compute its value \
             in a subquery in FROM"
        );
    }
    if computed.is_empty() {
        let list = constant.into_iter().chain(computed).collect();
        return Ok(Transformed::no(Expr::InList(InList { expr, list, negated })));
    }
    let listed =
        (!constant.is_empty()).then(|| Expr::InList(InList { expr: expr.clone(), list: constant, negated: false }));
    let equal = computed.into_iter().map(|item| expr.as_ref().clone().eq(item));
    let any = listed.into_iter().chain(equal).reduce(Expr::or);
    Ok(match any {
        Some(any) => Transformed::yes(if negated { Expr::Not(Box::new(any)) } else { any }),
        None => Transformed::no(Expr::InList(InList { expr, list: Vec::new(), negated })),
    })
}

fn is_computed(item: &Expr) -> bool {
    let depends = |part: &Expr| {
        use Expr::{Column, Exists, InSubquery, OuterReferenceColumn, ScalarSubquery, SetComparison};
        Ok(matches!(
            part,
            Column(_) | OuterReferenceColumn(..) | ScalarSubquery(_) | InSubquery(_) | Exists(_) | SetComparison(_)
        ))
    };
    item.exists(depends).unwrap_or(true)
}
