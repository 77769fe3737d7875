//! A scan as data, and the leaf that executes it in another process.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::recipe::{TableRecipe, add, invalid, list, schema_at, text};
use super::scan::{ScanExec, Slot, properties};
use crate::backend::{BatchStream, Condition, OrderKey, Parameter, Query, Table};
use crate::error::{Error, Result};

/// A query for one table, for another process.
#[derive(Debug, Clone)]
pub(super) struct ScanRecipe {
    table: TableRecipe,
    /// The columns that it reads, by name.
    columns: Vec<String>,
    condition: Condition,
    /// The sort order: columns by name.
    order: Vec<(String, bool, bool)>,
    limit: Option<usize>,
    batch_size: usize,
    /// The columns that it returns.
    schema: SchemaRef,
}

impl ScanRecipe {
    pub(super) fn try_new(scan: &ScanExec) -> Result<Self> {
        let (origin, query) = scan.parts();
        if query.aggregates.is_some() {
            return Err(Error::internal("a scan of aggregates was planned for a cluster"));
        }
        let name = |index: usize| query.table.columns[index].name.clone();
        let key = |key: &OrderKey| (name(key.column), key.descending, key.nulls_first);
        Ok(Self {
            table: TableRecipe::try_new(origin, &query.table.name)?,
            columns: query.projection.iter().map(|index| name(*index)).collect(),
            condition: scan.condition(),
            order: query.order.iter().map(key).collect(),
            limit: query.limit,
            batch_size: query.batch_size,
            schema: Arc::clone(&query.schema),
        })
    }

    pub(super) fn to_json(&self, schemas: &mut Vec<SchemaRef>) -> Value {
        json!({
            "table": self.table.to_json(schemas),
            "columns": self.columns,
            "condition": condition_to_json(&self.condition),
            "order": self.order,
            "limit": self.limit,
            "batch_size": self.batch_size,
            "schema": add(&self.schema, schemas),
        })
    }

    pub(super) fn of_json(recipe: &Value, schemas: &[SchemaRef]) -> Result<Self> {
        let number = |value: &Value| value.as_u64().and_then(|value| usize::try_from(value).ok()).ok_or_else(invalid);
        let key = |key: &Value| match (key[0].as_str(), key[1].as_bool(), key[2].as_bool()) {
            (Some(name), Some(descending), Some(nulls_first)) => Ok((name.to_owned(), descending, nulls_first)),
            _ => Err(invalid()),
        };
        Ok(Self {
            table: TableRecipe::of_json(&recipe["table"], schemas)?,
            columns: list(&recipe["columns"])?.iter().map(text).collect::<Result<_>>()?,
            condition: condition_of_json(&recipe["condition"])?,
            order: list(&recipe["order"])?.iter().map(key).collect::<Result<_>>()?,
            limit: match &recipe["limit"] {
                Value::Null => None,
                limit => Some(number(limit)?),
            },
            batch_size: number(&recipe["batch_size"])?,
            schema: schema_at(&recipe["schema"], schemas)?,
        })
    }

    /// Opens the table, and starts the query.
    async fn rows(self) -> Result<BatchStream> {
        let table = self.table.open().await?;
        let column = |name: &str| index_of(table.table(), name);
        let order = self.order.iter().map(|(name, descending, nulls_first)| {
            Ok(OrderKey { column: column(name)?, descending: *descending, nulls_first: *nulls_first })
        });
        let query = Query {
            table: Arc::clone(table.table()),
            projection: self.columns.iter().map(|name| column(name)).collect::<Result<_>>()?,
            aggregates: None,
            order: order.collect::<Result<_>>()?,
            condition: self.condition.text,
            parameters: self.condition.parameters,
            limit: self.limit,
            schema: self.schema,
            batch_size: self.batch_size,
        };
        let scan = table.database.scan().ok_or_else(|| Error::internal("a table that cannot be read was scanned"))?;
        scan.query(query)
    }
}

fn index_of(table: &Table, name: &str) -> Result<usize> {
    table.columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let table = &table.name;
        Error::schema(format!(
            "table {table} no longer has the column \"{name}\", which existed when the statement was planned: run the \
             statement again"
        ))
    })
}

pub(super) fn condition_to_json(condition: &Condition) -> Value {
    json!({
        "text": condition.text,
        "parameters": condition.parameters.iter().map(parameter_to_json).collect::<Vec<_>>(),
    })
}

pub(super) fn condition_of_json(condition: &Value) -> Result<Condition> {
    let parameters = list(&condition["parameters"])?.iter().map(parameter_of_json).collect::<Result<_>>()?;
    Ok(Condition { text: text(&condition["text"])?, parameters })
}

/// A number as its bits, because its digits may be read as a neighbor of it.
fn parameter_to_json(parameter: &Parameter) -> Value {
    match parameter {
        Parameter::Integer(value) => json!({ "integer": value }),
        Parameter::Real(value) => json!({ "real": value.to_bits() }),
        Parameter::Text(value) => json!({ "text": value }),
    }
}

fn parameter_of_json(parameter: &Value) -> Result<Parameter> {
    let integer = parameter["integer"].as_i64().map(Parameter::Integer);
    let real = || parameter["real"].as_u64().map(|bits| Parameter::Real(f64::from_bits(bits)));
    let text = || parameter["text"].as_str().map(|text| Parameter::Text(text.to_owned()));
    integer.or_else(real).or_else(text).ok_or_else(invalid)
}

/// The leaf that executes a scan in another process than the one that planned it.
#[derive(Debug)]
pub(super) struct OpenedScanExec {
    scan: ScanRecipe,
    slot: Slot,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl OpenedScanExec {
    pub(super) fn new(scan: ScanRecipe, slot: Slot) -> Self {
        let properties = properties(&scan.schema, None, &slot);
        Self { scan, slot, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    pub(super) fn recipe(&self) -> &ScanRecipe {
        &self.scan
    }
}

impl DisplayAs for OpenedScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LandfallScan: columns=[{}]{}", self.scan.columns.join(", "), self.scan.condition.text)
    }
}

impl ExecutionPlan for OpenedScanExec {
    fn name(&self) -> &str {
        "LandfallScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.slot.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.scan.clone(), children.pop())))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("LandfallScan has only partition 0, not {partition}");
        }
        let (scan, schema) = (self.scan.clone(), Arc::clone(&self.scan.schema));
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = stream::once(scan.rows()).try_flatten();
        let rows = rows.map(move |batch| batch.map_err(DataFusionError::from).record_output(&metrics));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The number of scans in a plan.
pub(super) fn scans(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = usize::from(plan.is::<ScanExec>() || plan.is::<OpenedScanExec>());
    own + plan.children().into_iter().map(scans).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_as_it_was() {
        for parameter in [
            Parameter::Integer(i64::MIN),
            Parameter::Real(0.1 + 0.2),
            Parameter::Real(-0.0),
            Parameter::Text("a \"text\" with '\u{1F600}".into()),
        ] {
            let text = parameter_to_json(&parameter).to_string();
            let read = serde_json::from_str(&text).ok().and_then(|json| parameter_of_json(&json).ok());
            assert_eq!(read, Some(parameter), "{text}");
        }
    }
}
