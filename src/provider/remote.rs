//! Tables, functions and nodes of plans as data, for a statement that several processes plan and execute.
//!
//! An engine such as Apache Ballista asks a codec to encode what DataFusion does not know. The codec passes it to
//! [`encode_table`], [`encode_plan`] and [`encode_function`], writes the [`Recipe`] in its own format, and gives it back to
//! the function that decodes it. Nothing connects to a database while a plan is encoded or decoded: a process opens a table
//! when it plans a statement, or executes a node.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_plan::ExecutionPlan;
use serde_json::{Value, json};
use uuid::Uuid;

pub use super::cluster::OnCluster;
pub use super::recipe::Recipe;
pub use super::remote_run::{RemoteRun, start};

use super::change_recipe::{request_of_json, request_to_json};
use super::destination::{Destination, DestinationRecipe};
use super::dml::Changes;
use super::each::AllMembers;
use super::fingerprint::Inserted;
use super::opening::OpeningTable;
use super::recipe::{add, invalid, schema_at, text};
use super::scan::ScanExec;
use super::scan_recipe::{OpenedScanExec, ScanRecipe};
use super::source::ReplayableTable;
use super::{checked, defaults, distributed, functions};
use crate::error::{Error, ErrorKind, Result};
use crate::txn::StatementId;

/// A table as data; `None` for a table of another kind. A table that is written gets a run of its own, unless it has one
/// (see [`LandfallTable::distributed`](super::LandfallTable::distributed)).
///
/// # Errors
/// `Config` for a password in a URL, and for a decision log in a folder. `Unsupported` for a database that the processes of
/// other machines cannot open, and for a source that only this process can read.
pub fn encode_table(provider: &dyn TableProvider) -> Result<Option<Recipe>> {
    let (table, statement, request) = if let Some(inserted) = provider.downcast_ref::<Inserted>() {
        let (table, statement) = inserted.parts();
        (table.as_ref(), Some(statement), None)
    } else if let Some(changes) = provider.downcast_ref::<Changes>() {
        let (table, request, statement) = changes.parts();
        (table.as_ref(), Some(statement), Some(request))
    } else if provider.is::<ReplayableTable>() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "only this process can read the source of the query: on a cluster, read files by CREATE EXTERNAL TABLE with STORED \
             AS PARQUET, CSV or JSON, from a location that every executor can read",
        ));
    } else if provider.is::<AllMembers>() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "UPDATE, DELETE and MERGE of a FANOUT table are not supported on a cluster: run the statement in one process",
        ));
    } else {
        (provider, None, None)
    };
    let Some(table) = Destination::of(table) else { return Ok(None) };
    let mut schemas = Vec::new();
    let json = json!({
        "node": "table",
        "table": table.recipe()?.to_json(&mut schemas),
        "run": table.run().unwrap_or_else(Uuid::new_v4).to_string(),
        "statement": statement.map(StatementId::to_json),
        "request": request.map(request_to_json),
        "columns": add(&provider.schema(), &mut schemas),
    });
    Ok(Some(Recipe::new(json, schemas)))
}

/// The table that a recipe describes. It is opened when a statement is planned.
///
/// # Errors
/// `Decode` if the recipe is of another version of this crate.
pub fn decode_table(recipe: &Recipe) -> Result<Arc<dyn TableProvider>> {
    let json = recipe.parse()?;
    let table = DestinationRecipe::of_json(&json["table"], &recipe.schemas)?;
    let run = text(&json["run"])?.parse().map_err(|_| invalid())?;
    let statement = match &json["statement"] {
        Value::Null => None,
        statement => Some(StatementId::of_json(statement).ok_or_else(invalid)?),
    };
    let table = OpeningTable::try_new(table, run, statement)?;
    Ok(Arc::new(match &json["request"] {
        Value::Null => table,
        request => table.changed(request_of_json(request)?, schema_at(&json["columns"], &recipe.schemas)?),
    }))
}

/// A node of a plan as data, without the nodes below it; `None` for a node of another kind.
///
/// # Errors
/// As [`encode_table`].
pub fn encode_plan(plan: &dyn ExecutionPlan) -> Result<Option<Recipe>> {
    let scan = match (plan.downcast_ref::<ScanExec>(), plan.downcast_ref::<OpenedScanExec>()) {
        (Some(scan), _) => ScanRecipe::try_new(scan)?,
        (_, Some(scan)) => scan.recipe().clone(),
        (None, None) => return distributed::encode(plan),
    };
    let mut schemas = Vec::new();
    let json = json!({ "node": "scan", "scan": scan.to_json(&mut schemas) });
    Ok(Some(Recipe::new(json, schemas)))
}

/// The node that a recipe describes, above the nodes `inputs`.
///
/// # Errors
/// `Decode` if the recipe is of another version of this crate.
pub fn decode_plan(recipe: &Recipe, inputs: &[Arc<dyn ExecutionPlan>]) -> DfResult<Arc<dyn ExecutionPlan>> {
    let json = recipe.parse()?;
    if let Some(node) = distributed::decode(&json, &recipe.schemas, inputs)? {
        return Ok(node);
    }
    if json["node"] != "scan" {
        return Err(invalid().into());
    }
    let scan = ScanRecipe::of_json(&json["scan"], &recipe.schemas)?;
    Ok(Arc::new(OpenedScanExec::new(scan, inputs.first().cloned())))
}

/// A function of this crate as data; `None` for another function.
pub fn encode_function(function: &ScalarUDF) -> Option<Recipe> {
    let (json, types) = match defaults::type_of(function) {
        Some(of) => (json!({}), vec![of.clone()]),
        None if checked::named(function.name()).is_some_and(|named| named == *function) => (json!({}), Vec::new()),
        None => functions::to_json(function)?,
    };
    let field = |of: DataType| Field::new("type", of, true);
    let schema = Arc::new(Schema::new(types.into_iter().map(field).collect::<Vec<_>>()));
    Some(Recipe::new(json, vec![schema]))
}

/// The function with a name that a recipe describes.
///
/// # Errors
/// `Decode` if the recipe is of another version of this crate.
pub fn decode_function(name: &str, recipe: &Recipe) -> Result<ScalarUDF> {
    let json = recipe.parse()?;
    let [schema] = recipe.schemas.as_slice() else { return Err(invalid()) };
    let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    let function = match types.as_slice() {
        [of] if name == defaults::SERVER_DEFAULT => Some(defaults::function(of)),
        _ => checked::named(name).or_else(|| functions::of_json(name, &json, &types)),
    };
    function.ok_or_else(invalid)
}
