//! Rewrites the expressions of a statement.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, WriteOp};

/// Rewrites each part of each expression, from the innermost one, with the columns that it can name. Columns keep their
/// names; those of a MERGE's own clauses have none.
pub(super) fn rewrite_expressions(
    statement: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> DfResult<Transformed<Expr>>,
) -> DfResult<LogicalPlan> {
    let rewritten = statement.transform_up_with_subqueries(|node| {
        if matches!(node, LogicalPlan::TableScan(_)) {
            return Ok(Transformed::no(node));
        }
        let schema = schema_of(&node)?;
        let is_statement = matches!(node, LogicalPlan::Dml(_));
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let made = expr.transform_up(|expr| rewrite(expr, &schema))?;
            Ok(made.update_data(|expr| if is_statement { expr } else { name.restore(expr) }))
        })?;
        if node.transformed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
    });
    Ok(rewritten?.data)
}

/// The columns that expressions of a node can name.
fn schema_of(node: &LogicalPlan) -> DfResult<DFSchema> {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::Dml(DmlStatement { op: WriteOp::MergeInto(_), table_name, target, .. }) = node {
        schema.merge(&DFSchema::try_from_qualified_schema(table_name.clone(), &target.schema())?);
    }
    Ok(schema)
}
