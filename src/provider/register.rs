//! Registering Landfall in a session.

use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::prelude::SessionContext;

use super::aggregates::{COMPUTE_AGGREGATES, ComputeAggregates};
use super::checkpoints;
use super::cluster::OnCluster;
use super::factory::{Factory, Missing};
use crate::backend::BackendFactory;
use crate::error::Result;
use crate::manager::TransactionManager;
use crate::provider::comparisons::Comparisons;
use crate::provider::dml::DmlRewrite;
use crate::provider::fanout::FanoutFactory;
use crate::provider::functions::{WRITTEN, local_time, nested, written};
use crate::provider::values::ValuesPlanner;
use crate::registry;

/// Registers Landfall in a session. The session then supports `CREATE EXTERNAL TABLE … STORED AS SQLITE LOCATION '…'
/// OPTIONS (…)` (and each other enabled database), DELETE, UPDATE and MERGE INTO such a table, and the table function
/// `landfall_checkpoints('t')`, which shows the jobs that write a table.
///
/// Without a column list, the columns are those of the table in the database. With a column list, a missing table is
/// created, and an existing table must have these columns.
pub fn register(context: &SessionContext) {
    let state = context.state_ref();
    // A plan for a cluster has no aggregates that a database computes.
    let has_no_rule = {
        let state = state.read();
        !OnCluster::has(state.config()) && !state.optimizers().iter().any(|rule| rule.name() == COMPUTE_AGGREGATES)
    };
    if has_no_rule {
        context.add_optimizer_rule(Arc::new(ComputeAggregates));
    }
    let mut state = state.write();
    state.config_mut().set_extension(Arc::new(TransactionManager::default()));
    state.table_factories_mut().insert("FANOUT".into(), Arc::new(FanoutFactory));
    if !state.analyzer().rules.iter().any(|rule| rule.name() == DmlRewrite::NAME) {
        state.add_analyzer_rule(Arc::new(DmlRewrite));
    }
    if !state.analyzer().function_rewrites().iter().any(|rewrite| rewrite.name() == Comparisons::NAME) {
        let _ = state.register_function_rewrite(Arc::new(Comparisons));
    }
    if !state.scalar_functions().contains_key(WRITTEN) {
        let _ = state.register_udf(Arc::new(written()));
        let _ = state.register_udf(Arc::new(nested()));
        let _ = state.register_udf(Arc::new(local_time()));
        let _ = state.register_relation_planner(Arc::new(ValuesPlanner));
    }
    state.register_udtf(checkpoints::NAME, Arc::new(checkpoints::Checkpoints));
    // The backends of this crate, and those that other crates have registered in this process.
    for (name, factory) in registry::all() {
        state.table_factories_mut().insert(name.to_uppercase(), Arc::new(Factory(factory)));
    }
    for name in registry::FEATURES.iter().flat_map(|(_, names)| *names) {
        // It only reports a missing feature and must not replace a backend of another crate.
        state.table_factories_mut().entry(name.to_uppercase()).or_insert_with(|| Arc::new(Missing(name)));
    }
}

/// Registers a backend. The session supports `STORED AS` with the names of the factory. The whole process uses the
/// factory for URLs that begin with these names: table locations, the option `log`, and arguments of the program.
/// Sessions that call [`register`] later also know the names. A name that is already registered, including those of the
/// databases in this crate, is replaced. [`backend`](crate::backend) describes how to write one.
///
/// # Errors
/// `Config` for a name that is not a valid URL scheme.
pub fn register_backend(context: &SessionContext, factory: Arc<dyn BackendFactory>) -> Result<()> {
    registry::add(&factory)?;
    let state = context.state_ref();
    let mut state = state.write();
    for name in factory.names() {
        let tables = Arc::new(Factory(Arc::clone(&factory)));
        state.table_factories_mut().insert(name.to_uppercase(), tables);
    }
    Ok(())
}
