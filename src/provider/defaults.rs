//! Columns that an INSERT omits and the server fills in.
//!
//! DataFusion asks the table for an expression for such a column. It gets a call of a function that users cannot call.
//! The sink finds the call in the plan and leaves the column out of its own statement, so that the server's default
//! applies: a literal, a function, or the next number.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

/// The name of the function.
pub(super) const SERVER_DEFAULT: &str = "server_default";

#[derive(Debug, PartialEq, Eq, Hash)]
struct ServerDefault {
    signature: Signature,
    data_type: DataType,
}

impl ScalarUDFImpl for ServerDefault {
    fn name(&self) -> &str {
        SERVER_DEFAULT
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        exec_err!(
            "a column with a default value in the database cannot be omitted in this statement: add the column to the \
             column list"
        )
    }
}

/// The expression for a column of that type that the server fills in.
pub(super) fn server_default(data_type: &DataType) -> Expr {
    function(data_type).call(Vec::new())
}

/// The function of such an expression.
pub(super) fn function(data_type: &DataType) -> ScalarUDF {
    // Volatile, so that the optimizer does not move it.
    let signature = Signature::nullary(Volatility::Volatile);
    ScalarUDF::new_from_impl(ServerDefault { signature, data_type: data_type.clone() })
}

/// The type of the column, if it is such a function.
pub(super) fn type_of(function: &ScalarUDF) -> Option<&DataType> {
    function.inner().downcast_ref::<ServerDefault>().map(|default| &default.data_type)
}

fn is_server_default(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<ScalarFunctionExpr>().is_some_and(|call| call.fun().inner().is::<ServerDefault>())
}

/// The plan without the columns that the server fills in.
pub(super) fn without_server_defaults(plan: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else { return Ok(plan) };
    let kept: Vec<_> = projection.expr().iter().filter(|item| !is_server_default(&item.expr)).cloned().collect();
    if kept.len() == projection.expr().len() {
        return Ok(plan);
    }
    Ok(Arc::new(ProjectionExec::try_new(kept, Arc::clone(projection.input()))?))
}
