//! EXECUTE of a prepared statement, whose values are those of its parameters.

use datafusion::common::{Result as DfResult, plan_err};
use datafusion::datasource::DefaultTableSource;
use datafusion::logical_expr::{Execute, LogicalPlan, Statement as Plan};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Statement as Sql, VisitMut};

use super::assign::Columns;
use super::numbers::AllExact;

/// Plans a statement that does not write a Landfall table itself; EXECUTE may do so.
pub(super) async fn planned(context: &SessionContext, statement: Statement) -> DfResult<LogicalPlan> {
    let exact = exact_parameters(&statement);
    let plan = context.state().statement_to_plan(statement).await?;
    let LogicalPlan::Statement(Plan::Execute(execute)) = &plan else { return Ok(plan) };
    check_parameters(context, execute).await?;
    match exact {
        Some(exact) if writes_ours(context, execute).await => context.state().statement_to_plan(exact).await,
        _ => Ok(plan),
    }
}

/// An EXECUTE whose numbers have all their digits; `None` if DataFusion reads them so, and for any other statement.
fn exact_parameters(statement: &Statement) -> Option<Statement> {
    let Statement::Statement(executing) = statement else { return None };
    let Sql::Execute { .. } = executing.as_ref() else { return None };
    let mut exact = executing.clone();
    let _ = exact.visit(&mut AllExact);
    (exact != *executing).then_some(Statement::Statement(exact))
}

/// Whether a prepared statement writes a Landfall table, to whose columns its values are assigned.
async fn writes_ours(context: &SessionContext, execute: &Execute) -> bool {
    let statement = LogicalPlan::Statement(Plan::Execute(execute.clone()));
    let Ok(frame) = context.execute_logical_plan(statement).await else { return false };
    let LogicalPlan::Dml(statement) = frame.logical_plan() else { return false };
    let source = statement.target.downcast_ref::<DefaultTableSource>();
    source.and_then(|source| Columns::of(source.table_provider.as_ref())).is_some_and(|columns| columns.are_exact())
}

/// Refuses values that a prepared statement has no parameter for. DataFusion counts them only if PREPARE lists types.
async fn check_parameters(context: &SessionContext, execute: &Execute) -> DfResult<()> {
    let given = execute.parameters.len();
    let mut needed = given;
    while needed > 0 {
        let fewer = Execute { name: execute.name.clone(), parameters: execute.parameters[..needed - 1].to_vec() };
        if context.execute_logical_plan(LogicalPlan::Statement(Plan::Execute(fewer))).await.is_err() {
            break;
        }
        needed -= 1;
    }
    match needed == given {
        true => Ok(()),
        false => {
            plan_err!("prepared statement \"{}\" expects {needed} parameters, but {given} were given", execute.name)
        }
    }
}
