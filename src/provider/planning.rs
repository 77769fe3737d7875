//! Futures of plans, made so that the compiler is quick with them.

use std::future::ready;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;

/// The future of a plan, as `async_trait` makes the methods of a `TableProvider`.
///
/// Methods that take an `Expr`, or a reference to a type that contains one, are written without `async_trait`. A
/// coroutine that captures an `Expr` is `Send` only if every type of an expression and of a plan is. Under the lifetime
/// bounds of such a method, the compiler proves this again each time, which takes seconds. A function without such
/// bounds that boxes the future is proved once. (DataFusion does the same since apache/datafusion#24325.)
pub(super) type Planning<'a> = BoxFuture<'a, DfResult<Arc<dyn ExecutionPlan>>>;

/// The future of a table that a statement creates; the statement has an `Expr` too.
pub(super) type Creating<'a> = BoxFuture<'a, DfResult<Arc<dyn TableProvider>>>;

/// A plan that is already complete.
pub(super) fn planned<'a>(plan: DfResult<Arc<dyn ExecutionPlan>>) -> Planning<'a> {
    Box::pin(ready(plan))
}

/// Writes a method of a trait of `async_trait` out: as it is given, with the bounds that `async_trait` puts on the lifetimes of
/// its arguments, which must all be named.
macro_rules! boxed {
    ($(#[$attribute:meta])* fn $name:ident<$($life:lifetime),+>($($arguments:tt)*) -> $future:ident $body:block) => {
        $(#[$attribute])*
        fn $name<$($life,)+ 'async_trait>($($arguments)*) -> $future<'async_trait>
        where
            $($life: 'async_trait,)+
            Self: 'async_trait,
        $body
    };
}
pub(super) use boxed;

/// The name of an INSERT.
pub(super) fn inserting(op: InsertOp) -> &'static str {
    match op {
        InsertOp::Append => "INSERT",
        InsertOp::Overwrite => "INSERT OVERWRITE",
        InsertOp::Replace => "REPLACE",
    }
}
