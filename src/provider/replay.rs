//! Merges the partitions of a query for a sink, and reads them again from a checkpoint.
//!
//! DataFusion divides a scan into ranges, or distributes its batches to several cores, and would merge them in the
//! order of arrival. If the plan is a scan below filters and projections, batches are not distributed. A sink with one
//! writer reads one partition after the other. Rows then keep the order of their source, so that "the last row of a key
//! wins" and the row number of an error are well defined, and a database that is loaded in key order appends to its
//! tree. For several writers, all partitions are read in parallel. Partitions that depend on each other (joins,
//! aggregates) are merged in the order of arrival: reading one while the others wait would make DataFusion buffer the
//! others. A query with ORDER BY stays sorted.
//!
//! A job that can resume reads the plan's [splits](super::splits) instead.

#![expect(clippy::disallowed_types, reason = "locked when a statement is planned, and when it starts")]

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::Result;
use crate::pipeline::{Fingerprint, Input, Position, Progress, Read};
use crate::provider::readers::{at_once, read_piece};
use crate::provider::scan::ScanExec;
use crate::provider::sorted::failed;
use crate::provider::splits::{Kind, Split, Splits, can_execute_again, is_row_by_row, on_top};

/// All partitions of its input as one.
#[derive(Debug)]
pub(super) struct ReplayExec {
    input: Arc<dyn ExecutionPlan>,
    /// The nodes above the sort, from the top down, if the columns of their result no longer contain the sort key:
    /// DataFusion would remove a sort that no node above it requires.
    above: Vec<Arc<dyn ExecutionPlan>>,
    order: Option<LexOrdering>,
    reading: Reading,
    source: Source,
    properties: Arc<PlanProperties>,
}

/// How partitions are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// In parallel if the splits are independent, otherwise one after the other.
    pub(super) at_once: bool,
    /// Whether the job can resume from a checkpoint.
    pub(super) resumes: bool,
}

/// The plan that is finally executed, for the sink above it. Optimizers create other instances of the node.
#[derive(Debug, Clone, Default)]
pub(super) struct Source(Arc<Mutex<Option<Replay>>>);

impl Source {
    /// The input of the sink, available after the plan was executed.
    pub(super) fn take(&self) -> Option<Replay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ReplayExec {
    /// The node over a plan; its rows keep the order that a query has asked for.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, reading: Reading, source: Source) -> Self {
        let (input, above) = match sort_order(&input) {
            Some(_) => (input, Vec::new()),
            None => down_to_sort(input),
        };
        let order = sort_order(&input).cloned();
        Self::over(input, above, order, reading, source)
    }

    fn over(
        input: Arc<dyn ExecutionPlan>,
        above: Vec<Arc<dyn ExecutionPlan>>,
        order: Option<LexOrdering>,
        reading: Reading,
        source: Source,
    ) -> Self {
        let input = match order {
            Some(_) => input,
            None => not_dealt_out(&input).unwrap_or(input),
        };
        let schema = above.first().map_or_else(|| input.schema(), |top| top.schema());
        let shown = order.clone().filter(|_| above.is_empty());
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, shown),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, above, order, reading, source, properties: Arc::new(properties) }
    }

    /// The order of its rows, if its columns contain it.
    pub(super) fn order(&self) -> Option<&LexOrdering> {
        self.order.as_ref().filter(|_| self.above.is_empty())
    }
}

/// A plan down to its sort and the nodes above it, if these compute each row independently; otherwise the whole plan.
fn down_to_sort(plan: Arc<dyn ExecutionPlan>) -> (Arc<dyn ExecutionPlan>, Vec<Arc<dyn ExecutionPlan>>) {
    let (mut below, mut above) = (Arc::clone(&plan), Vec::new());
    while sort_order(&below).is_none() {
        let children = below.children();
        let [child] = children.as_slice() else { return (plan, Vec::new()) };
        if !is_row_by_row(&below) {
            return (plan, Vec::new());
        }
        let child = Arc::clone(child);
        above.push(below);
        below = child;
    }
    (below, above)
}

/// The order that a query has asked for, and that its columns show; not one that its source happens to have.
pub(super) fn sort_order(plan: &Arc<dyn ExecutionPlan>) -> Option<&LexOrdering> {
    fn sorts(plan: &Arc<dyn ExecutionPlan>) -> bool {
        plan.is::<SortExec>() || plan.children().into_iter().any(sorts)
    }
    plan.output_ordering().filter(|_| sorts(plan))
}

/// Whether each partition of the plan is computed from one partition of a leaf, in the leaf's order.
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

/// The plan without the round-robin repartitions that DataFusion inserted above a leaf; `None` if the nodes above the
/// leaf do not keep its order.
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

impl DisplayAs for ReplayExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (&self.order, self.reading, is_independent(&self.input)) {
            (Some(_), ..) => "sorted",
            (None, Reading { at_once: true, .. }, _) => "in parallel",
            (None, Reading { resumes: true, .. }, _) | (None, _, true) => "sequential",
            (None, ..) => "unordered",
        };
        write!(f, "ReplayExec: {how}{}", if self.reading.resumes { ", resumes" } else { "" })?;
        for node in self.above.iter().rev() {
            f.write_str(", then ")?;
            node.fmt_as(DisplayFormatType::Default, f)?;
        }
        Ok(())
    }
}

impl ExecutionPlan for ReplayExec {
    fn name(&self) -> &str {
        "ReplayExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![self.order().is_some()]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        match self.order {
            Some(_) => vec![Distribution::SinglePartition],
            None => vec![Distribution::UnspecifiedDistribution],
        }
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => {
                let (above, order) = (self.above.clone(), self.order.clone());
                Ok(Arc::new(Self::over(input, above, order, self.reading, self.source.clone())))
            }
            _ => internal_err!("ReplayExec has one child"),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    /// The sink does not read this stream. It executes the plan as often as necessary.
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("ReplayExec has only partition 0, not {partition}");
        }
        let mut plan = Arc::clone(&self.input);
        for node in self.above.iter().rev() {
            plan = on_top(node, plan).or_else(|(why, _)| internal_err!("{why}"))?;
        }
        let replay =
            Replay { plan, order: self.order().cloned(), reading: self.reading, context, was_read: Arc::default() };
        *self.source.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(replay.clone());
        let rows = stream::once(async move { replay.read(&Position::default()) }).try_flatten();
        let rows = rows.try_filter_map(async |read| match read {
            Read::Rows { batch, .. } => Ok(Some(batch)),
            Read::End { .. } => Ok(None),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.map_err(DataFusionError::from))))
    }
}

/// A plan that is read for a write.
#[derive(Debug, Clone)]
pub(super) struct Replay {
    plan: Arc<dyn ExecutionPlan>,
    order: Option<LexOrdering>,
    reading: Reading,
    context: Arc<TaskContext>,
    was_read: Arc<AtomicBool>,
}

impl Replay {
    pub(super) fn context(&self) -> &Arc<TaskContext> {
        &self.context
    }

    /// The scans of databases in the plan.
    pub(super) fn scans(&self) -> Vec<Arc<dyn ExecutionPlan>> {
        fn add(plan: &Arc<dyn ExecutionPlan>, scans: &mut Vec<Arc<dyn ExecutionPlan>>) {
            if plan.is::<ScanExec>() {
                scans.push(Arc::clone(plan));
            }
            plan.children().into_iter().for_each(|child| add(child, scans));
        }
        let mut scans = Vec::new();
        add(&self.plan, &mut scans);
        scans
    }

    /// The same with other leaves.
    pub(super) fn with_leaves(&self, leaves: Vec<(Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>)>) -> Result<Self> {
        let plan = Arc::clone(&self.plan).transform_up(|node| {
            match leaves.iter().find(|(leaf, _)| Arc::ptr_eq(leaf, &node)) {
                Some((_, with)) => Ok(Transformed::yes(Arc::clone(with))),
                None => Ok(Transformed::no(node)),
            }
        });
        Ok(Self { plan: plan.map_err(failed)?.data, ..self.clone() })
    }

    fn splits(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Splits> {
        // Independent of the number of cores, which can differ in another run.
        let cuts = self.context.session_config().options().optimizer.repartition_file_scans;
        Splits::of(plan, self.order.as_ref(), cuts)
    }
}

impl Input for Replay {
    fn is_unbounded(&self) -> bool {
        self.plan.boundedness().is_unbounded()
    }

    fn can_restart(&self) -> bool {
        can_execute_again(&self.plan) && !self.is_unbounded() || self.fingerprint().is_ok()
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        Ok(self.splits(&self.plan)?.fingerprint)
    }

    fn read(&self, from: &Position) -> Result<BoxStream<'static, Result<Read>>> {
        // A node can remember that it was executed; a new one has no metrics that EXPLAIN ANALYZE would find.
        let plan = match self.was_read.swap(true, Relaxed) {
            false => Arc::clone(&self.plan),
            true => reset_plan_states(Arc::clone(&self.plan)).map_err(failed)?,
        };
        let partition = |plan: &Arc<dyn ExecutionPlan>, partition| Split {
            plan: Arc::clone(plan),
            partition,
            kind: Kind::Counted,
            file: None,
        };
        let partitions = plan.output_partitioning().partition_count();
        let is_taken_apart = self.reading.resumes || !from.is_start() || self.is_unbounded();
        let splits = match is_taken_apart.then(|| self.splits(&plan)) {
            Some(Err(_)) if self.is_unbounded() && from.is_start() => {
                let stream = |leaf: Arc<dyn ExecutionPlan>| {
                    let split = |partition| Split {
                        plan: Arc::clone(&plan),
                        partition,
                        kind: Kind::Stream(Arc::clone(&leaf)),
                        file: None,
                    };
                    (0..leaf.output_partitioning().partition_count()).map(split).collect()
                };
                match leaf_of(&plan) {
                    Some(leaf) => stream(leaf),
                    None => (0..partitions).map(|index| partition(&plan, index)).collect(),
                }
            }
            Some(Ok(splits)) => splits.splits,
            Some(Err(error)) if !from.is_start() => return Err(error),
            _ if partitions == 1 || is_independent(&plan) => {
                (0..partitions).map(|index| partition(&plan, index)).collect()
            }
            _ => vec![partition(&(Arc::new(CoalescePartitionsExec::new(plan)) as _), 0)],
        };
        let left = splits.into_iter().enumerate().filter_map(|(index, split)| {
            let progress = from.of(index);
            (progress != Progress::Done).then_some((index, split, progress))
        });
        let left: Vec<_> = left.collect();
        // An unbounded stream would make the others wait forever.
        let readers = match (self.is_unbounded(), self.reading.at_once) {
            (true, _) => left.len(),
            (false, true) => left.len().min(self.context.session_config().target_partitions()),
            (false, false) => 1,
        };
        let context = Arc::clone(&self.context);
        Ok(match readers {
            0 | 1 => {
                let read = move |(index, split, progress)| read_piece(index, &split, progress, &context);
                stream::iter(left).map(read).flatten().boxed()
            }
            _ => at_once(left, readers, context),
        })
    }
}

/// The stream below filters and projections.
fn leaf_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    match plan.children().as_slice() {
        [] => Some(Arc::clone(plan)),
        [child] if is_row_by_row(plan) => leaf_of(child),
        _ => None,
    }
}
