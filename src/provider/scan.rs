//! Reads a table.

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput, Time,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    SortOrderPushdownResult,
};
use futures::{Stream, StreamExt, stream};

use crate::backend::Condition;
use crate::backend::{Comparison, OpenTransaction, OrderKey, Query, QueryDialect, Scan, Table};
use crate::error::{Error, Result};
use crate::provider::recipe::Origin;
use crate::provider::spool::Spool;
use crate::provider::transaction::OpenDatabases;

/// A leaf that streams a query's rows out of a database, in one partition.
#[derive(Debug)]
pub(super) struct ScanExec {
    origin: Origin,
    query: Query,
    slot: Slot,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// Its rows, if they were read before.
    spool: Option<Arc<Spool>>,
}

/// On a cluster, a node below a scan: a leaf of DataFusion, from which an engine can take the only partition away in tasks
/// that must not read. A leaf that the engine does not know would be read by each task of a UNION.
pub(super) type Slot = Option<Arc<dyn ExecutionPlan>>;

/// The properties of a scan.
pub(super) fn properties(schema: &SchemaRef, order: Option<LexOrdering>, slot: &Slot) -> Arc<PlanProperties> {
    let partitions = slot.as_ref().map_or(1, |slot| slot.output_partitioning().partition_count());
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new_with_orderings(Arc::clone(schema), order),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl ScanExec {
    pub(super) fn new(origin: Origin, query: Query) -> Self {
        Self::in_order(origin, query, None, None)
    }

    fn in_order(origin: Origin, query: Query, order: Option<LexOrdering>, slot: Slot) -> Self {
        let properties = properties(&query.schema, order, &slot);
        let metrics = ExecutionPlanMetricsSet::new();
        Self { origin, query, slot, properties, metrics, spool: None }
    }

    /// The same scan, for a cluster.
    pub(super) fn with_slot(&self) -> DfResult<Self> {
        // It stays the same node without its partition: Ballista compares the metrics of all tasks of a stage.
        let slot = MemorySourceConfig::try_new(&[Vec::new()], Arc::new(Schema::empty()), None)?;
        Ok(self.above(Some(DataSourceExec::from_data_source(slot))))
    }

    /// The same with its rows, which are read now in a transaction.
    pub(super) async fn spooled(&self, branch: &mut dyn OpenTransaction, context: &TaskContext) -> Result<Self> {
        let spool = Spool::read(branch, &self.query, context, &self.metrics).await?;
        Ok(Self {
            origin: self.origin.clone(),
            query: self.query.clone(),
            slot: self.slot.clone(),
            properties: Arc::clone(&self.properties),
            metrics: self.metrics.clone(),
            spool: Some(Arc::new(spool)),
        })
    }

    fn above(&self, slot: Slot) -> Self {
        let order = self.properties.output_ordering().cloned();
        Self::in_order(self.origin.clone(), self.query.clone(), order, slot)
    }

    fn dialect(&self) -> Option<&dyn QueryDialect> {
        self.origin.database.scan().and_then(Scan::dialect)
    }

    /// The condition, order and limit of the query, for EXPLAIN.
    fn suffix(&self) -> String {
        match (self.dialect(), self.query.limit) {
            (Some(dialect), _) => self.query.suffix(dialect),
            (None, Some(limit)) => format!(" LIMIT {limit}"),
            (None, None) => String::new(),
        }
    }

    /// The column of a key, if the database sorts it as DataFusion does.
    fn order_key(&self, key: &PhysicalSortExpr) -> Option<OrderKey> {
        let projected = key.expr.downcast_ref::<Column>()?.index();
        let column = *self.query.projection.get(projected)?;
        let is_exact = self.query.table.columns[column].comparison == Comparison::Exact;
        let SortOptions { descending, nulls_first } = key.options;
        is_exact.then_some(OrderKey { column, descending, nulls_first })
    }

    /// Whether it reads this table. Another process has opened it once more.
    pub(super) fn is_of(&self, table: &Arc<Table>, location: &str) -> bool {
        let is_same = || self.query.table.name == table.name && self.location() == location;
        self.query.aggregates.is_none() && (Arc::ptr_eq(&self.query.table, table) || is_same())
    }

    /// What it was opened with, and what it reads.
    pub(super) fn parts(&self) -> (&Origin, &Query) {
        (&self.origin, &self.query)
    }

    /// The name of its table.
    pub(super) fn table(&self) -> &str {
        &self.query.table.name
    }

    /// Whether it may omit rows that satisfy its condition.
    pub(super) fn is_limited(&self) -> bool {
        self.query.limit.is_some()
    }

    /// The rows that it reads.
    pub(super) fn condition(&self) -> Condition {
        Condition { text: self.query.condition.clone(), parameters: self.query.parameters.clone() }
    }

    /// The location that it reads.
    pub(super) fn location(&self) -> String {
        self.origin.database.location()
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.query.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "LandfallScan: {}, table={}", self.origin.database.location(), self.query.table.name)?;
        match &self.query.aggregates {
            None => write!(f, ", columns=[{}]", columns.join(", "))?,
            Some(aggregates) => write!(f, ", aggregates=[{}]{}", aggregates.select, aggregates.group_by)?,
        }
        f.write_str(&self.suffix())?;
        if !self.query.parameters.is_empty() {
            write!(f, " {:?}", self.query.parameters)?;
        }
        Ok(())
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "LandfallScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.slot.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.slot.iter().map(|_| false).collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.above(children.pop())))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("LandfallScan has only partition 0, not {partition}");
        }
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let waited = MetricBuilder::new(&self.metrics).subset_time("time_waiting", partition);
        let in_transaction = match (&self.spool, context.session_config().get_extension::<OpenDatabases>()) {
            (Some(spool), _) => Some(Arc::clone(spool).stream()?),
            (None, Some(open)) => {
                open.read(&self.location(), self.query.clone(), Arc::clone(&context), self.metrics.clone())?
            }
            (None, None) => None,
        };
        if let Some(batches) = in_transaction {
            let batches = timed(batches, waited).map(move |batch| batch.record_output(&metrics));
            return Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.query.schema), batches)));
        }
        let scan =
            self.origin.database.scan().ok_or_else(|| Error::internal("a table that cannot be read was scanned"))?;
        let batches = timed(scan.query(self.query.clone())?, waited)
            .map(move |batch| batch.map_err(DataFusionError::from).record_output(&metrics));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.query.schema), batches)))
    }

    fn fetch(&self) -> Option<usize> {
        self.query.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let order = self.properties.output_ordering().cloned();
        let query = Query { limit, ..self.query.clone() };
        Some(Arc::new(Self::in_order(self.origin.clone(), query, order, self.slot.clone())))
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> DfResult<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let keys = self.dialect().and_then(|_| order.iter().map(|key| self.order_key(key)).collect::<Option<Vec<_>>>());
        // Which rows a limit lets through would change.
        let (Some(keys), None) = (keys, self.query.limit) else { return Ok(SortOrderPushdownResult::Unsupported) };
        let query = Query { order: keys, ..self.query.clone() };
        let ordering = LexOrdering::new(order.to_vec());
        let inner = Arc::new(Self::in_order(self.origin.clone(), query, ordering, self.slot.clone()));
        Ok(SortOrderPushdownResult::Exact { inner })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Adds up the time in which the next item is not there yet.
fn timed<S: Stream + Send + Unpin>(items: S, waited: Time) -> impl Stream<Item = S::Item> + Send {
    stream::unfold((items, waited), async |(mut items, waited)| {
        let timer = waited.timer();
        let item = items.next().await;
        timer.done();
        Some((item?, (items, waited)))
    })
}

/// Whether a plan reads from a database; a view there can show any table.
pub(super) fn reads(plan: &Arc<dyn ExecutionPlan>, location: &str) -> bool {
    plan.downcast_ref::<ScanExec>().is_some_and(|scan| scan.location() == location)
        || plan.children().into_iter().any(|child| reads(child, location))
}
