//! Brings the partitions of a query together for a sink, and reads them again from a checkpoint on.
//!
//! DataFusion cuts a scan into ranges, or deals its batches out to several cores, and would merge them as they come.
//! Where the plan is a scan below filters and projections, nothing is dealt out here. A sink with one writer reads one
//! partition after the other: rows then keep the order of their source, so that "the last row of a key wins" and the
//! row number of an error mean something, and a database that is loaded in key order appends to its tree. For several
//! writers all partitions are read at once. Partitions that depend on each other (joins, aggregates) are merged as they
//! come: reading one while the others wait would make DataFusion buffer the others. A query with ORDER BY stays sorted.
//!
//! A write that may be gone on with reads the plan's [pieces](super::pieces) instead.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
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
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Boundary, Fingerprint, Input, Position, Progress, Read};
use crate::provider::pieces::{Kind, Piece, Pieces, can_execute_again, is_row_by_row, on_top};
use crate::provider::source::{ReplayableExec, ReplayableSource};

/// All partitions of its input as one.
#[derive(Debug)]
pub(super) struct ReplayExec {
    input: Arc<dyn ExecutionPlan>,
    order: Option<LexOrdering>,
    reading: Reading,
    source: Source,
    properties: Arc<PlanProperties>,
}

/// How partitions are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// At once, where they do not depend on each other; else one after the other.
    pub(super) at_once: bool,
    /// Whether it may be gone on with from a checkpoint.
    pub(super) resumes: bool,
}

/// The plan that is executed at last, for the sink that is over it: an optimizer makes others of the node.
#[derive(Debug, Clone, Default)]
pub(super) struct Source(Arc<Mutex<Option<Replay>>>);

impl Source {
    /// What the sink is to read, once its input was executed.
    pub(super) fn take(&self) -> Option<Replay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ReplayExec {
    /// The node over a plan; its rows keep the order that a query has asked for.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, reading: Reading, source: Source) -> Self {
        let order = sort_order(&input).cloned();
        Self::over(input, order, reading, source)
    }

    fn over(input: Arc<dyn ExecutionPlan>, order: Option<LexOrdering>, reading: Reading, source: Source) -> Self {
        let input = match order {
            Some(_) => input,
            None => not_dealt_out(&input).unwrap_or(input),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(input.schema(), order.clone()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, order, reading, source, properties: Arc::new(properties) }
    }

    /// The order that its rows keep.
    pub(super) fn order(&self) -> Option<&LexOrdering> {
        self.order.as_ref()
    }
}

/// The order that a query has asked for, and that its columns show; not one that its source happens to have.
pub(super) fn sort_order(plan: &Arc<dyn ExecutionPlan>) -> Option<&LexOrdering> {
    fn sorts(plan: &Arc<dyn ExecutionPlan>) -> bool {
        plan.is::<SortExec>() || plan.children().into_iter().any(sorts)
    }
    plan.output_ordering().filter(|_| sorts(plan))
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

impl DisplayAs for ReplayExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (&self.order, self.reading, is_independent(&self.input)) {
            (Some(_), ..) => "sorted",
            (None, Reading { at_once: true, .. }, _) => "at once",
            (None, Reading { resumes: true, .. }, _) | (None, _, true) => "one by one",
            (None, ..) => "as they come",
        };
        write!(f, "ReplayExec: {how}{}", if self.reading.resumes { ", resumes" } else { "" })
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
        vec![self.order.is_some()]
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
                Ok(Arc::new(Self::over(input, self.order.clone(), self.reading, self.source.clone())))
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

    /// The sink does not read this stream, but the plan as often as it must.
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("ReplayExec has one partition, not {partition}");
        }
        let replay = Replay {
            plan: Arc::clone(&self.input),
            order: self.order.clone(),
            reading: self.reading,
            context,
            was_read: Arc::default(),
        };
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
    fn pieces(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Pieces> {
        let options = self.context.session_config().options();
        let cuts = options.optimizer.repartition_file_scans && options.execution.target_partitions > 1;
        Pieces::of(plan, self.order.as_ref(), cuts)
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
        Ok(self.pieces(&self.plan)?.fingerprint)
    }

    fn read(&self, from: &Position) -> Result<BoxStream<'static, Result<Read>>> {
        // A node can remember that it was executed; a new one has no metrics that EXPLAIN ANALYZE would find.
        let plan = match self.was_read.swap(true, Relaxed) {
            false => Arc::clone(&self.plan),
            true => reset_plan_states(Arc::clone(&self.plan)).map_err(failed)?,
        };
        let partition = |plan: &Arc<dyn ExecutionPlan>, partition| Piece {
            plan: Arc::clone(plan),
            partition,
            kind: Kind::Counted,
            file: None,
        };
        let partitions = plan.output_partitioning().partition_count();
        let is_taken_apart = self.reading.resumes || !from.is_start() || self.is_unbounded();
        let pieces = match is_taken_apart.then(|| self.pieces(&plan)) {
            Some(Err(_)) if self.is_unbounded() && from.is_start() => {
                let stream = |leaf: Arc<dyn ExecutionPlan>| {
                    let piece = |partition| Piece {
                        plan: Arc::clone(&plan),
                        partition,
                        kind: Kind::Stream(Arc::clone(&leaf)),
                        file: None,
                    };
                    (0..leaf.output_partitioning().partition_count()).map(piece).collect()
                };
                match leaf_of(&plan) {
                    Some(leaf) => stream(leaf),
                    None => (0..partitions).map(|index| partition(&plan, index)).collect(),
                }
            }
            Some(Ok(pieces)) => pieces.pieces,
            Some(Err(error)) if !from.is_start() => return Err(error),
            _ if partitions == 1 || is_independent(&plan) => {
                (0..partitions).map(|index| partition(&plan, index)).collect()
            }
            _ => vec![partition(&(Arc::new(CoalescePartitionsExec::new(plan)) as _), 0)],
        };
        let left = pieces.into_iter().enumerate().filter_map(|(index, piece)| {
            let progress = from.of(index);
            (progress != Progress::Done).then_some((index, piece, progress))
        });
        let left: Vec<_> = left.collect();
        // A stream that never ends would let the others wait for ever.
        let readers = match (self.is_unbounded(), self.reading.at_once) {
            (true, _) => left.len(),
            (false, true) => left.len().min(self.context.session_config().target_partitions()),
            (false, false) => 1,
        };
        let context = Arc::clone(&self.context);
        Ok(match readers {
            0 | 1 => {
                let read = move |(index, piece, progress)| read_piece(index, &piece, progress, &context);
                stream::iter(left).map(read).flatten().boxed()
            }
            _ => at_once(left, readers, context),
        })
    }
}

/// Reads pieces in tasks of their own, so many at once; in any order, each in its own.
fn at_once(
    pieces: Vec<(usize, Piece, Progress)>,
    readers: usize,
    context: Arc<TaskContext>,
) -> BoxStream<'static, Result<Read>> {
    let (sender, receiver) = mpsc::channel(readers);
    let (pieces, next) = (Arc::new(pieces), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let (pieces, next, sender, context) =
            (Arc::clone(&pieces), Arc::clone(&next), sender.clone(), Arc::clone(&context));
        tasks.spawn(async move {
            while let Some((index, piece, progress)) = pieces.get(next.fetch_add(1, Relaxed)) {
                let mut reads = read_piece(*index, piece, progress.clone(), &context);
                while let Some(read) = reads.next().await {
                    let is_over = read.is_err();
                    if sender.send(read).await.is_err() || is_over {
                        return;
                    }
                }
            }
        });
    }
    let read = async |(mut receiver, mut tasks): (mpsc::Receiver<_>, JoinSet<()>)| {
        if let Some(read) = receiver.recv().await {
            return Some((read, (receiver, tasks)));
        }
        while let Some(ended) = tasks.join_next().await {
            // It has not read all of its rows.
            if let Err(error) = ended {
                let error = Error::internal(format!("a task that reads ended: {error}"));
                return Some((Err(error), (receiver, tasks)));
            }
        }
        None
    };
    drop(sender);
    stream::unfold((receiver, tasks), read).boxed()
}

/// Reads a piece from behind what is consumed of it.
fn read_piece(
    piece: usize,
    of: &Piece,
    progress: Progress,
    context: &Arc<TaskContext>,
) -> BoxStream<'static, Result<Read>> {
    let place = match &progress {
        Progress::Done => return stream::empty().boxed(),
        Progress::Rows(0) => None,
        Progress::Rows(rows) => Some(rows.to_string()),
        Progress::At(place) => Some(place.clone()),
    };
    let rows = || of.plan.execute(of.partition, Arc::clone(context)).map_err(failed);
    let reads = match (&of.kind, progress) {
        (Kind::Counted, Progress::Rows(skipped)) => rows().map(|rows| counted(piece, rows, skipped)),
        (Kind::Sorted(order), _) => rows().and_then(|rows| sorted(piece, rows, order, place.as_deref())),
        (Kind::Source(source), _) => positioned(piece, &of.plan, source, place.as_deref(), context),
        (Kind::Stream(leaf), _) => streamed(piece, &of.plan, leaf, of.partition, context),
        (Kind::Counted, other) => {
            Err(Error::new(ErrorKind::Decode, format!("the ledger has {other:?} of an input that is counted by rows")))
        }
    };
    let reads = match reads {
        Ok(reads) => reads.chain(stream::once(async move { Ok(Read::End { piece }) })).boxed(),
        Err(error) => stream::once(async move { Err(error) }).boxed(),
    };
    match of.file.clone() {
        None => reads,
        Some(file) => {
            let context = Arc::clone(context);
            stream::once(async move { file.check(&context).await.map(|()| reads) }).try_flatten().boxed()
        }
    }
}

/// The error of a query, which may be Landfall's own.
fn failed(error: DataFusionError) -> Error {
    let kind = match error.find_root() {
        DataFusionError::External(cause) => cause.downcast_ref::<Error>().map(Error::kind),
        _ => None,
    };
    let kind = kind.filter(|kind| kind.is_transient()).unwrap_or(ErrorKind::Input);
    Error::new(kind, "the query failed").with_source(error)
}

fn shorter(rows: u64, place: u64) -> Error {
    Error::new(
        ErrorKind::Input,
        format!("the input is not the one that the job began with: it has {rows} rows where {place} were consumed"),
    )
}

/// Rows behind the first `skipped` of them.
fn counted(piece: usize, rows: SendableRecordBatchStream, skipped: u64) -> BoxStream<'static, Result<Read>> {
    let mut before = 0;
    let reads = rows.map(Some).chain(stream::once(async { None })).filter_map(move |batch| {
        let read = match batch {
            Some(Ok(batch)) => {
                let rows = batch.num_rows() as u64;
                let skip = skipped.saturating_sub(before).min(rows);
                before += rows;
                let batch = if skip > 0 { batch.slice(skip as usize, (rows - skip) as usize) } else { batch };
                (batch.num_rows() > 0).then_some(Ok(Read::Rows { piece, batch, boundary: Boundary::EveryRow }))
            }
            Some(Err(error)) => Some(Err(failed(error))),
            None => (before < skipped).then(|| Err(shorter(before, skipped))),
        };
        std::future::ready(read)
    });
    reads.boxed()
}

/// Rows of a source, and what the plan above it makes of each batch.
fn positioned(
    piece: usize,
    plan: &Arc<dyn ExecutionPlan>,
    source: &Arc<dyn ReplayableSource>,
    place: Option<&str>,
    context: &Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<Read>>> {
    let (plan, context) = (Arc::clone(plan), Arc::clone(context));
    let batches = source.read(place, Arc::clone(&context)).map_err(failed)?;
    let reads = batches.then(move |read| {
        let (plan, context) = (Arc::clone(&plan), Arc::clone(&context));
        async move {
            let (batch, place) = read.map_err(failed)?;
            let batches = match batch.num_rows() {
                0 => vec![],
                _ => compute(&plan, project(&plan, batch).map_err(failed)?, context).await.map_err(failed)?,
            };
            let batch = match batches.as_slice() {
                [one] => one.clone(),
                several => concat_batches(&plan.schema(), several).map_err(|error| failed(error.into()))?,
            };
            Ok(Read::Rows { piece, batch, boundary: Boundary::At(place) })
        }
    });
    Ok(reads.boxed())
}

/// The columns that the plan asks its source for.
fn project(plan: &Arc<dyn ExecutionPlan>, batch: RecordBatch) -> DfResult<RecordBatch> {
    match (plan.downcast_ref::<ReplayableExec>(), plan.children().first()) {
        (Some(leaf), _) => leaf.project(batch),
        (None, Some(child)) => project(child, batch),
        (None, None) => internal_err!("{} is no replayable source", plan.name()),
    }
}

/// What the plan above a stream makes of each of its batches: no row waits in it for others.
fn streamed(
    piece: usize,
    plan: &Arc<dyn ExecutionPlan>,
    leaf: &Arc<dyn ExecutionPlan>,
    partition: usize,
    context: &Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<Read>>> {
    let (plan, context) = (Arc::clone(plan), Arc::clone(context));
    let batches = leaf.execute(partition, Arc::clone(&context)).map_err(failed)?;
    let reads = batches.then(move |batch| {
        let (plan, context) = (Arc::clone(&plan), Arc::clone(&context));
        async move {
            let computed = async { compute(&plan, batch?, context).await };
            let batches = computed.await.map_err(failed)?;
            let rows = move |batch| Ok(Read::Rows { piece, batch, boundary: Boundary::EveryRow });
            Ok(stream::iter(batches).map(rows))
        }
    });
    Ok(reads.try_flatten().boxed())
}

/// The stream below filters and projections.
fn leaf_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    match plan.children().as_slice() {
        [] => Some(Arc::clone(plan)),
        [child] if is_row_by_row(plan) => leaf_of(child),
        _ => None,
    }
}

/// What a plan makes of one batch of its leaf.
async fn compute(
    plan: &Arc<dyn ExecutionPlan>,
    batch: RecordBatch,
    context: Arc<TaskContext>,
) -> DfResult<Vec<RecordBatch>> {
    if plan.children().is_empty() {
        return Ok(vec![batch]);
    }
    fn over(plan: &Arc<dyn ExecutionPlan>, batch: RecordBatch) -> DfResult<Arc<dyn ExecutionPlan>> {
        match plan.children().first() {
            None => Ok(MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None)?),
            Some(child) => on_top(plan, over(child, batch)?).map_err(|(why, _)| DataFusionError::Internal(why)),
        }
    }
    over(plan, batch)?.execute(0, context)?.try_collect().await
}

/// Rows that are sorted, cut where their key changes, from behind a place on.
fn sorted(
    piece: usize,
    rows: SendableRecordBatchStream,
    order: &LexOrdering,
    place: Option<&str>,
) -> Result<BoxStream<'static, Result<Read>>> {
    let mut keys = Keys::try_new(order, rows.schema().as_ref())?;
    let bad = || Error::new(ErrorKind::Decode, "the ledger has a place of a sorted input that cannot be read");
    let (skipped, digest) = match place {
        None => (0, String::new()),
        Some(place) => {
            let (rows, digest) = place.split_once(':').ok_or_else(bad)?;
            (rows.parse::<u64>().map_err(|_| bad())?, digest.to_owned())
        }
    };
    let mut before = 0;
    let mut last: Option<Vec<u8>> = None;
    let reads = rows.map(Some).chain(stream::once(async { None })).map(move |batch| -> Result<Option<Read>> {
        let Some(batch) = batch else {
            return if before < skipped { Err(shorter(before, skipped)) } else { Ok(None) };
        };
        let mut batch = batch.map_err(failed)?;
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        if before < skipped {
            let skip = (skipped - before).min(batch.num_rows() as u64) as usize;
            before += skip as u64;
            if before == skipped {
                let key = keys.of(&batch, skip - 1)?;
                if self::digest(&key) != digest {
                    return Err(moved(skipped));
                }
                last = Some(key);
            }
            batch = batch.slice(skip, batch.num_rows() - skip);
            if batch.num_rows() == 0 {
                return Ok(None);
            }
        }
        if before == skipped && skipped > 0 && last.as_ref() == Some(&keys.of(&batch, 0)?) {
            return Err(moved(skipped));
        }
        let (count, first) = (batch.num_rows(), before);
        before += count as u64;
        let boundary = match keys.last_change(&batch)? {
            None => Boundary::None,
            Some(row) => {
                Boundary::Inside(row, format!("{}:{}", first + row as u64, self::digest(&keys.of(&batch, row - 1)?)))
            }
        };
        Ok(Some(Read::Rows { piece, batch, boundary }))
    });
    Ok(reads.filter_map(async |read| read.transpose()).boxed())
}

fn moved(row: u64) -> Error {
    let text = format!(
        "the input is not the one that the job began with: its sort key at row {row} is another now. Make it as it was, \
         or start a new job; what is committed stays"
    );
    Error::new(ErrorKind::Input, text)
}

fn digest(key: &[u8]) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, key).simple().to_string()[..12].to_owned()
}

/// The sort keys of rows.
struct Keys {
    order: LexOrdering,
    converter: RowConverter,
}

impl Keys {
    fn try_new(order: &LexOrdering, schema: &arrow::datatypes::Schema) -> Result<Self> {
        let fields = order.iter().map(|key| Ok(SortField::new(key.expr.data_type(schema)?)));
        let fields: DfResult<Vec<_>> = fields.collect();
        let converter = fields.and_then(|fields| Ok(RowConverter::new(fields)?)).map_err(failed)?;
        Ok(Self { order: order.clone(), converter })
    }

    fn rows(&mut self, batch: &RecordBatch) -> DfResult<arrow::row::Rows> {
        let columns = self.order.iter().map(|key| key.expr.evaluate(batch)?.into_array(batch.num_rows()));
        Ok(self.converter.convert_columns(&columns.collect::<DfResult<Vec<_>>>()?)?)
    }

    fn of(&mut self, batch: &RecordBatch, row: usize) -> Result<Vec<u8>> {
        Ok(self.rows(&batch.slice(row, 1)).map_err(failed)?.row(0).as_ref().to_vec())
    }

    /// The last row whose key is another than that of the row before it.
    fn last_change(&mut self, batch: &RecordBatch) -> Result<Option<usize>> {
        // Keys are unique as a rule: the last rows tell.
        for last in [2, 64, batch.num_rows()] {
            let count = batch.num_rows().min(last);
            let first = batch.num_rows() - count;
            let rows = self.rows(&batch.slice(first, count)).map_err(failed)?;
            if let Some(row) = (1..count).rev().find(|row| rows.row(*row) != rows.row(row - 1)) {
                return Ok(Some(first + row));
            }
        }
        Ok(None)
    }
}
