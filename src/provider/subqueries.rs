//! IN and NOT IN with a subquery in statements that write, with the result unknown if a NULL makes it so.
//!
//! DataFusion rewrites them to joins. The join of `x NOT IN (SELECT …)` handles NULL only if the subquery references no
//! column of the outer query and the condition is not part of an OR (apache/datafusion#8241, #25336, #25347, #25473,
//! #25480). With EXISTS, which is never unknown, `x IN (SELECT y …)` is
//!
//! * true where EXISTS (y = x),
//! * else unknown where EXISTS (y IS NULL), or where x IS NULL and EXISTS (…),
//! * else false.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, Result as DfResult, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{Case, Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{
    BinaryExpr, DmlStatement, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, WriteOp, lit,
    not,
};

/// A statement with the conditions of its query rewritten so that DataFusion evaluates them with NULL.
pub(super) fn with_unknown(statement: LogicalPlan) -> DfResult<LogicalPlan> {
    let mut names = Names(0);
    let rewritten = statement.transform_up_with_subqueries(|node| {
        let schema = match &node {
            LogicalPlan::Filter(filter) => filter.input.schema().as_ref().clone(),
            LogicalPlan::Join(join) => join.left.schema().join(join.right.schema())?,
            LogicalPlan::Dml(DmlStatement { op: WriteOp::MergeInto(_), table_name, .. }) => {
                node.apply_expressions(|expr| match has_subquery(expr)? {
                    true => plan_err!(
                        "MERGE INTO {table_name}: DataFusion does not support IN or EXISTS with a subquery in ON and \
                         WHEN; compute the condition in the source, with USING (SELECT …)"
                    ),
                    false => Ok(TreeNodeRecursion::Continue),
                })?;
                return Ok(Transformed::no(node));
            }
            _ => return Ok(Transformed::no(node)),
        };
        node.map_expressions(|expr| match has_subquery(&expr)? {
            true => Ok(Transformed::yes(names.condition(expr, &schema)?)),
            false => Ok(Transformed::no(expr)),
        })
    });
    Ok(rewritten?.data)
}

fn has_subquery(expr: &Expr) -> DfResult<bool> {
    expr.exists(|expr| Ok(matches!(expr, Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::Exists(_))))
}

/// Numbers the subqueries of a statement. A unique name distinguishes the column of a subquery from the columns around
/// it.
struct Names(usize);

impl Names {
    /// A condition of which it only counts whether it is true.
    fn condition(&mut self, expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                let (left, right) = (self.condition(*left, schema)?, self.condition(*right, schema)?);
                Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
            }
            Expr::Not(inner) => match *inner {
                Expr::InSubquery(membership) => self.true_or_not(toggled(membership), schema),
                inner => self.value(not(inner), schema),
            },
            Expr::InSubquery(membership) => self.true_or_not(membership, schema),
            expr => self.value(expr, schema),
        }
    }

    /// A condition whose NULL counts.
    fn value(&mut self, expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
        let rewritten = expr.transform_up(|expr| match expr {
            Expr::InSubquery(membership) => {
                let parts = self.parts(&membership, schema)?;
                let (found, missing) = (lit(!membership.negated), lit(membership.negated));
                let unknown = lit(ScalarValue::Boolean(None));
                let mut arms = vec![(Box::new(parts.equal), Box::new(found))];
                if let Some(is_unknown) = parts.unknown {
                    arms.push((Box::new(is_unknown), Box::new(unknown)));
                }
                Ok(Transformed::yes(Expr::Case(Case::new(None, arms, Some(Box::new(missing))))))
            }
            // DataFusion rewrites it to EXISTS.
            Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                check(&expr, &subquery)?;
                let subquery = self.named(&subquery, |rows, _| Ok(rows))?;
                Ok(Transformed::yes(Expr::SetComparison(SetComparison::new(expr, subquery, op, quantifier))))
            }
            Expr::Exists(exists) => {
                check_groups(&without_limit(&exists.subquery))?;
                Ok(Transformed::no(Expr::Exists(exists)))
            }
            other => Ok(Transformed::no(other)),
        });
        Ok(rewritten?.data)
    }

    /// IN or NOT IN where unknown and false are equivalent.
    fn true_or_not(&mut self, membership: InSubquery, schema: &DFSchema) -> DfResult<Expr> {
        if !membership.negated {
            check_groups(&membership.subquery)?;
            let subquery = self.named(&membership.subquery, |rows, _| Ok(rows))?;
            return Ok(Expr::InSubquery(InSubquery { subquery, ..membership }));
        }
        let parts = self.parts(&membership, schema)?;
        Ok(parts.unknown.into_iter().fold(not(parts.equal), |all, is_unknown| all.and(not(is_unknown))))
    }

    fn parts(&mut self, membership: &InSubquery, schema: &DFSchema) -> DfResult<Parts> {
        let InSubquery { expr, subquery, .. } = membership;
        check(expr, subquery)?;
        let outer = outer_reference(expr.as_ref().clone(), schema)?;
        let equal = self.exists(subquery, |rows, value| rows.filter(value.eq(outer)))?;
        let mut unknown = Vec::new();
        if subquery.subquery.schema().field(0).is_nullable() {
            unknown.push(self.exists(subquery, |rows, value| rows.filter(value.is_null()))?);
        }
        if expr.nullable(schema)? {
            let any = self.exists(subquery, |rows, _| Ok(rows))?;
            unknown.push(expr.as_ref().clone().is_null().and(any));
        }
        Ok(Parts { equal, unknown: unknown.into_iter().reduce(Expr::or) })
    }

    fn exists(
        &mut self,
        subquery: &Subquery,
        rows: impl FnOnce(LogicalPlanBuilder, Expr) -> DfResult<LogicalPlanBuilder>,
    ) -> DfResult<Expr> {
        let is_alone = subquery.subquery.all_out_ref_exprs().is_empty();
        let mut subquery = self.named(subquery, rows)?;
        // One row is enough if the result is the same for all outer rows.
        if is_alone && subquery.outer_ref_columns.is_empty() {
            let one = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).limit(0, Some(1))?.build()?;
            subquery.subquery = Arc::new(one);
        }
        Ok(Expr::Exists(Exists { subquery, negated: false }))
    }

    /// A subquery whose column has a unique name, and its replacement.
    fn named(
        &mut self,
        subquery: &Subquery,
        make: impl FnOnce(LogicalPlanBuilder, Expr) -> DfResult<LogicalPlanBuilder>,
    ) -> DfResult<Subquery> {
        self.0 += 1;
        let name = format!("landfall_subquery_{}", self.0);
        // Not by an alias of the table: DataFusion adds columns below one and does not tell it. And in the place of the
        // column's own name, which a cast of a column shares with that column.
        let rows = match subquery.subquery.as_ref() {
            LogicalPlan::Projection(selected) if selected.expr.len() == 1 => {
                let value = selected.expr[0].clone().unalias().alias(&name);
                LogicalPlanBuilder::from(selected.input.as_ref().clone()).project([value])?
            }
            plan => {
                let value = Expr::Column(Column::from(plan.schema().qualified_field(0))).alias(&name);
                LogicalPlanBuilder::from(plan.clone()).project([value])?
            }
        };
        let plan = make(rows, Expr::Column(Column::new_unqualified(name)))?.build()?;
        let outer_ref_columns = plan.all_out_ref_exprs();
        Ok(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans.clone() })
    }
}

/// The conditions that make IN true, and otherwise unknown; `None` if nothing can.
struct Parts {
    equal: Expr,
    unknown: Option<Expr>,
}

fn toggled(membership: InSubquery) -> InSubquery {
    InSubquery { negated: !membership.negated, ..membership }
}

/// An expression as a subquery names it.
fn outer_reference(expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
    let named = expr.transform_up(|expr| match expr {
        Expr::Column(column) => {
            let field = Arc::clone(schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    });
    Ok(named?.data)
}

/// Refuses expressions that cannot be evaluated several times.
fn check(expr: &Expr, subquery: &Subquery) -> DfResult<()> {
    check_groups(subquery)?;
    if has_subquery(expr)? || expr.exists(|expr| Ok(matches!(expr, Expr::ScalarSubquery(_))))? {
        return plan_err!(
            "{expr} IN (SELECT …): a subquery cannot be compared with another subquery; join the subqueries in FROM, \
             or use EXISTS"
        );
    }
    let mut is_volatile = expr.is_volatile();
    subquery.subquery.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            is_volatile |= expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    match is_volatile {
        true => plan_err!(
            "{expr} IN (SELECT …) calls a volatile function, which would be evaluated several times: use EXISTS, or \
             compute its value in a subquery in FROM"
        ),
        false => Ok(()),
    }
}

/// A subquery without a top-level LIMIT that allows at least one row. It returns a row if and only if the original
/// does.
fn without_limit(subquery: &Subquery) -> Subquery {
    let is_row = |fetch: Option<&Expr>| match fetch {
        Some(Expr::Literal(ScalarValue::Int64(Some(rows)), _)) => *rows > 0,
        _ => false,
    };
    match subquery.subquery.as_ref() {
        LogicalPlan::Limit(limit) if limit.skip.is_none() && is_row(limit.fetch.as_deref()) => {
            Subquery { subquery: Arc::clone(&limit.input), ..subquery.clone() }
        }
        _ => subquery.clone(),
    }
}

/// Refuses a subquery that always returns a row and references a column of the outer query, because DataFusion's join
/// returns no row if nothing matches. Also refuses LIMIT in such a subquery, which DataFusion ignores.
fn check_groups(subquery: &Subquery) -> DfResult<()> {
    let plan = subquery.subquery.as_ref();
    if plan.all_out_ref_exprs().is_empty() {
        return Ok(());
    }
    let mut refused = None;
    plan.apply(|node| {
        match node {
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => refused = Some("an aggregate"),
            LogicalPlan::Limit(_) => refused = Some("LIMIT"),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match refused {
        Some(what) => plan_err!(
            "DataFusion evaluates IN and EXISTS differently from standard SQL if the subquery has {what} and \
             references a column of the outer query: use a comparison such as x = (SELECT …), or join the subquery in \
             FROM"
        ),
        None => Ok(()),
    }
}
