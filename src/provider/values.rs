//! VALUES as a separate relation.

use datafusion::common::{DFSchema, Result as DfResult, plan_err};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::{Expr, Query, SetExpr, TableFactor};

/// Plans `FROM (VALUES …)` with the types of its values. DataFusion's planner casts them to the types of the table that
/// the statement writes (apache/datafusion#12864).
#[derive(Debug)]
pub(super) struct ValuesPlanner;

impl RelationPlanner for ValuesPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DfResult<RelationPlanning> {
        let is_plain = |query: &Query| {
            query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none()
        };
        let values = match &relation {
            TableFactor::Derived { lateral: false, subquery, .. } if is_plain(subquery) => match subquery.body.as_ref()
            {
                SetExpr::Values(values) if !values.value_keyword => values.rows.clone(),
                _ => return Ok(RelationPlanning::Original(Box::new(relation))),
            },
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let TableFactor::Derived { alias, .. } = relation else { return plan_err!("VALUES is not a subquery") };
        let schema = DFSchema::empty();
        let row =
            |row: Vec<Expr>| row.into_iter().map(|cell| context.sql_to_expr(cell, &schema)).collect::<DfResult<_>>();
        let rows = values.into_iter().map(|values| values.content).map(row).collect::<DfResult<Vec<Vec<_>>>>()?;
        let plan = LogicalPlanBuilder::values(rows)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}
