//! Reads splits from their consumed position, one after the other or in parallel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::common::{DataFusionError, Result as DfResult, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;

use crate::buffer::{Limits, Receiver, Weight, buffer};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Boundary, Progress, Read};
use crate::provider::sorted::{failed, shorter, sorted};
use crate::provider::source::{ReplayableExec, ReplayableSource};
use crate::provider::splits::{Kind, Split, on_top};

/// Reads several splits in parallel, each in a separate task. The order between splits is arbitrary.
pub(super) fn at_once(
    splits: Vec<(usize, Split, Progress)>,
    readers: usize,
    context: Arc<TaskContext>,
) -> BoxStream<'static, Result<Read>> {
    let (sender, receiver) = buffer(Limits::items(readers));
    let (splits, next) = (Arc::new(splits), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let (splits, next, mut sender, context) =
            (Arc::clone(&splits), Arc::clone(&next), sender.clone(), Arc::clone(&context));
        tasks.spawn(async move {
            while let Some((index, split, progress)) = splits.get(next.fetch_add(1, Relaxed)) {
                let mut reads = read_piece(*index, split, progress.clone(), &context);
                while let Some(read) = reads.next().await {
                    let is_over = read.is_err();
                    if sender.send(read, Weight::default()).await.is_err() || is_over {
                        return;
                    }
                }
            }
        });
    }
    let read = async |(mut receiver, mut tasks): (Receiver<_>, JoinSet<()>)| {
        if let Some(read) = receiver.recv().await {
            return Some((read, (receiver, tasks)));
        }
        while let Some(ended) = tasks.join_next().await {
            // The task has not read all of its rows.
            if let Err(error) = ended {
                let error = Error::internal(format!("a reader task failed: {error}"));
                return Some((Err(error), (receiver, tasks)));
            }
        }
        None
    };
    drop(sender);
    stream::unfold((receiver, tasks), read).boxed()
}

/// Reads a split after the rows that were already read.
pub(super) fn read_piece(
    split: usize,
    of: &Split,
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
        (Kind::Counted, Progress::Rows(skipped)) => rows().map(|rows| counted(split, rows, skipped)),
        (Kind::Sorted(order), _) => rows().and_then(|rows| sorted(split, rows, order, place.as_deref())),
        (Kind::Source(source), _) => positioned(split, &of.plan, source, place.as_deref(), context),
        (Kind::Stream(leaf), _) => streamed(split, &of.plan, leaf, of.partition, context),
        (Kind::Counted, other) => {
            let text = format!("the ledger contains {other:?} for an input whose position is a number of rows");
            Err(Error::new(ErrorKind::Decode, text))
        }
    };
    let reads = match reads {
        Ok(reads) => reads.chain(stream::once(async move { Ok(Read::End { split }) })).boxed(),
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
/// Rows behind the first `skipped` of them.
fn counted(split: usize, rows: SendableRecordBatchStream, skipped: u64) -> BoxStream<'static, Result<Read>> {
    let mut before = 0;
    let reads = rows.map(Some).chain(stream::once(async { None })).filter_map(move |batch| {
        let read = match batch {
            Some(Ok(batch)) => {
                let rows = batch.num_rows() as u64;
                let skip = skipped.saturating_sub(before).min(rows);
                before += rows;
                let batch = if skip > 0 { batch.slice(skip as usize, (rows - skip) as usize) } else { batch };
                (batch.num_rows() > 0).then_some(Ok(Read::Rows { split, batch, boundary: Boundary::EveryRow }))
            }
            Some(Err(error)) => Some(Err(failed(error))),
            None => (before < skipped).then(|| Err(shorter(before, skipped))),
        };
        std::future::ready(read)
    });
    reads.boxed()
}

/// The rows of a source, with the plan above it applied to each batch.
fn positioned(
    split: usize,
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
            Ok(Read::Rows { split, batch, boundary: Boundary::At(place) })
        }
    });
    Ok(reads.boxed())
}

/// The columns that the plan reads from its source.
fn project(plan: &Arc<dyn ExecutionPlan>, batch: RecordBatch) -> DfResult<RecordBatch> {
    match (plan.downcast_ref::<ReplayableExec>(), plan.children().first()) {
        (Some(leaf), _) => leaf.project(batch),
        (None, Some(child)) => project(child, batch),
        (None, None) => internal_err!("{} is not a replayable source", plan.name()),
    }
}

/// Applies the plan above a stream to each of its batches. No row waits in it for other rows.
fn streamed(
    split: usize,
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
            let rows = move |batch| Ok(Read::Rows { split, batch, boundary: Boundary::EveryRow });
            Ok(stream::iter(batches).map(rows))
        }
    });
    Ok(reads.try_flatten().boxed())
}

/// Applies a plan to one batch of its leaf.
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
