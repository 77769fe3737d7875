//! Brings the partitions of a query together in the order of its source.
//!
//! DataFusion cuts a scan into ranges, or deals its batches out to several cores, and would merge them as they come.
//! Where the plan is a scan below filters and projections, its partitions are read here one after the other instead,
//! and nothing is dealt out: rows then keep the order of their source, so that "the last row of a key wins" and the
//! row number of an error mean something, and a database that is loaded in key order appends to its tree. Partitions
//! that depend on each other (joins, aggregates) are merged as they come: reading one while the others wait would
//! make DataFusion buffer the others. A query with ORDER BY has no need of this node.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt, stream};

/// All partitions of its input as one, in order where they have one.
#[derive(Debug)]
pub(super) struct InOrderExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl InOrderExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let input = not_dealt_out(&input).unwrap_or(input);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, properties: Arc::new(properties) }
    }
}

/// Whether each partition of the plan comes from one of a leaf, on its own and in the leaf's order.
fn is_independent(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.children().as_slice() {
        [] => true,
        [child] => {
            let partitions = |plan: &Arc<dyn ExecutionPlan>| plan.output_partitioning().partition_count();
            plan.maintains_input_order() == [true] && partitions(plan) == partitions(child) && is_independent(child)
        }
        _ => false,
    }
}

/// The plan without the round-robin repartitions that DataFusion put between a leaf and what is computed from it;
/// `None` where something else than an order-keeping chain is above the leaf.
fn not_dealt_out(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    match plan.children().as_slice() {
        [] => Some(Arc::clone(plan)),
        [child] => {
            let child = not_dealt_out(child)?;
            match plan.downcast_ref::<RepartitionExec>() {
                Some(dealt) if matches!(dealt.partitioning(), Partitioning::RoundRobinBatch(_)) => Some(child),
                None if plan.maintains_input_order() == [true] => Arc::clone(plan)
                    .replace_children(vec![child], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
                    .ok(),
                _ => None,
            }
        }
        _ => None,
    }
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if is_independent(&self.input) { "InOrderExec: one by one" } else { "InOrderExec: as they come" })
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &str {
        "InOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => Ok(Arc::new(Self::new(input))),
            _ => internal_err!("InOrderExec has one child"),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("InOrderExec has one partition, not {partition}");
        }
        let partitions = self.input.output_partitioning().partition_count();
        if partitions == 1 {
            return self.input.execute(0, context);
        }
        if !is_independent(&self.input) {
            return CoalescePartitionsExec::new(Arc::clone(&self.input)).execute(0, context);
        }
        let (input, schema): (_, SchemaRef) = (Arc::clone(&self.input), self.schema());
        let batches = stream::iter(0..partitions)
            .map(move |partition| input.execute(partition, Arc::clone(&context)))
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}
