//! Writes a part of the rows of a distributed transaction.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::future::join_all;
use futures::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::diff::{Differ, Policy};
use super::dispatch::Dealt;
use super::job::job_spec;
use super::write::Write;
use super::writer::{Origin, Writers};
use crate::backend::{Protocol, WriteSpec, WriteStats};
use crate::error::{Error, Result};
use crate::manager::{DistributedRun, DistributedTransaction, Member};
use crate::txn::Xid;

/// What an attempt at a part has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its prepared branches, one for each table that received rows.
    pub branches: Vec<Xid>,
    /// The number of rows that it stored or changed.
    pub rows: u64,
}

/// The run of a write that several processes execute.
///
/// # Errors
/// Errors of a database whose identity a job records.
pub async fn distributed_run(write: &Write, run: Uuid) -> Result<DistributedRun> {
    Ok(DistributedRun::new(job_spec(write).await?, run))
}

/// Writes the rows of a part with one branch for each table, and prepares the branches.
///
/// # Errors
/// The first error of the input or of a database. Branches that are not prepared are rolled back.
///
/// # Cancel safety
/// Dropping the future rolls back the branches that are not prepared. The coordinator rolls back the others.
pub async fn write_part(
    write: &Write,
    transaction: &DistributedTransaction,
    input: impl Stream<Item = Result<RecordBatch>> + Send,
) -> Result<Part> {
    let (mut members, mut counted) = (Vec::new(), Vec::new());
    for (group, target) in write.targets.iter().enumerate() {
        let (xid, protocol) = (transaction.draw_xid(), Protocol::TwoPhase);
        // The counters are those of the part: several parts of a write may be written in this process.
        let stats = Arc::new(WriteStats::of(&target.spec.table, target.spec.stats.memory().limit()));
        let spec = WriteSpec { protocol, stats, ..target.spec.clone() };
        let differ = Differ::new(Policy::of(&spec).map(Arc::new), Arc::clone(&spec.stats));
        let branch = match &target.change {
            Some(change) => target.resource.start_change(&xid, &spec, change).await?,
            None => target.resource.start(&xid, &spec).await?,
        };
        counted.push(spec.stats);
        members.push((group, Member { resource: Arc::clone(&target.resource), xid, protocol, branch }, differ));
    }
    let (members, rows) = write_all(write, members, input).await?;
    let preparing = members.into_iter().map(|member| {
        let (xid, transaction) = (member.xid, transaction.clone());
        // It continues if its caller stops waiting. After an abort, only this task finds a branch that it has just prepared.
        let preparing = tokio::spawn(async move { transaction.prepare(member).await });
        async move {
            let takes_part = preparing.await.map_err(|error| Error::internal(format!("preparing failed: {error}")))?;
            Ok(takes_part?.then_some(xid))
        }
    });
    let prepared = join_all(preparing).await.into_iter().collect::<Result<Vec<_>>>()?;
    let changed =
        write.targets.first().and_then(|target| target.change.as_ref()).map(|change| change.done.get().rows());
    let not_stored = counted.first().map_or(0, |stats| stats.not_stored());
    let rows = changed.unwrap_or_else(|| rows.saturating_sub(not_stored));
    Ok(Part { branches: prepared.into_iter().flatten().collect(), rows })
}

/// Writes all rows to the branches, each with its table's number; returns the branches and the number of rows.
///
/// # Errors
/// The first error of the input or of a database. All branches were rolled back.
pub(super) async fn write_all(
    write: &Write,
    members: Vec<(usize, Member, Differ)>,
    input: impl Stream<Item = Result<RecordBatch>> + Send,
) -> Result<(Vec<Member>, u64)> {
    let now = CancellationToken::new();
    now.cancel();
    let mut writers = Writers::new(members, &now);
    match written(write, &mut writers, input).await {
        Ok(written) => Ok(written),
        Err(error) => {
            writers.stop().await;
            Err(error)
        }
    }
}

/// Sends all rows to the writers, and waits until they are written.
async fn written(
    write: &Write,
    writers: &mut Writers,
    input: impl Stream<Item = Result<RecordBatch>> + Send,
) -> Result<(Vec<Member>, u64)> {
    let mut input = std::pin::pin!(input);
    let mut first = 0;
    loop {
        let batch = tokio::select! {
            biased;
            error = writers.failure() => return Err(error),
            batch = input.next() => batch,
        };
        let Some(batch) = batch.transpose()? else { break };
        let origin = Origin { first, rows: batch.num_rows() as u64 };
        for (group, target) in write.targets.iter().enumerate() {
            let batch = target.assignments.apply(batch.clone(), first)?;
            writers.send(group, Dealt::ToAny(batch), origin).await?;
        }
        first += origin.rows;
    }
    Ok((writers.finish().await?, first))
}
