//! The epoch that is being written, and when it ends.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::assignments::Assignments;
use super::dispatch::Partitioner;
use super::rejects::Rejects;
use super::writer::{Origin, Writers};
use crate::backend::{EpochEvent, WriteStats};
use crate::columnar::batch_bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::manager::Transaction;
use crate::options::Checkpoints;

/// The number of rows that an epoch with `rows` rows still accepts.
pub(super) fn room(checkpoints: &Checkpoints, rows: u64) -> usize {
    let room = checkpoints.rows.map_or(u64::MAX, |limit| limit.saturating_sub(rows));
    usize::try_from(room).unwrap_or(usize::MAX)
}

/// The minimum number of rows of a batch that is written immediately. Smaller batches are collected.
const SMALL_ROWS: usize = 1_024;

/// The maximum size in bytes of the collected rows.
const WAITING_BYTES: u64 = 1024 * 1024;

/// Reports the outcome of an epoch to its observer. Without another report it counts as rolled back.
#[derive(Debug)]
pub(super) struct Watch {
    stats: Vec<Arc<WriteStats>>,
    first_row: Instant,
}

impl Watch {
    pub(super) fn new(stats: Vec<Arc<WriteStats>>) -> Self {
        stats.iter().for_each(|stats| stats.note(EpochEvent::Begun));
        Self { stats, first_row: Instant::now() }
    }

    /// Reports how its commit ended.
    pub(super) fn ended(mut self, ended: &Result<()>) {
        let event = match ended {
            Ok(()) => EpochEvent::Committed(self.first_row.elapsed()),
            // This is reported when the outcome is known.
            Err(error) if error.kind() == ErrorKind::InDoubt => return self.stats.clear(),
            Err(_) => EpochEvent::Aborted,
        };
        self.stats.drain(..).for_each(|stats| stats.note(event));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stats.iter().for_each(|stats| stats.note(EpochEvent::Aborted));
    }
}

/// The epoch that is being written.
#[derive(Debug)]
pub(super) struct Epoch {
    pub(super) watch: Watch,
    pub(super) transaction: Transaction,
    pub(super) writers: Writers,
    /// Cancelled when all of its rows have been sent to the database, committed or not.
    pub(super) written: CancellationToken,
    partitioners: Vec<(Arc<Assignments>, Partitioner)>,
    pub(super) rejects: Option<Arc<Rejects>>,
    began: Instant,
    pub(super) rows: u64,
    bytes: u64,
    /// The number of rows of the input before it.
    before: u64,
    /// Whether a checkpoint is possible after its last row.
    pub(super) at_boundary: bool,
    waiting: Option<Waiting>,
}

/// Small batches that are collected into a larger one.
#[derive(Debug)]
struct Waiting {
    batches: BatchCoalescer,
    bytes: u64,
    since: Instant,
}

impl Epoch {
    pub(super) fn new(
        watch: Watch,
        transaction: Transaction,
        writers: Writers,
        partitioners: Vec<(Arc<Assignments>, Partitioner)>,
        rejects: Option<Arc<Rejects>>,
        before: u64,
    ) -> Self {
        Self {
            watch,
            transaction,
            writers,
            written: CancellationToken::new(),
            partitioners,
            rejects,
            began: Instant::now(),
            rows: 0,
            bytes: 0,
            before,
            at_boundary: true,
            waiting: None,
        }
    }

    /// Whether it must end.
    pub(super) fn is_due(&self, checkpoints: &Checkpoints) -> bool {
        checkpoints.rows.is_some_and(|rows| self.rows >= rows)
            || checkpoints.bytes.is_some_and(|bytes| self.bytes >= bytes)
            || self.deadline(checkpoints).is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Whether it must end with these rows.
    pub(super) fn is_due_with(&self, checkpoints: &Checkpoints, batch: &RecordBatch) -> bool {
        self.is_due(checkpoints)
            || checkpoints.rows.is_some_and(|rows| self.rows + batch.num_rows() as u64 >= rows)
            || checkpoints.bytes.is_some_and(|bytes| self.bytes + batch_bytes(batch) >= bytes)
    }

    /// The latest time at which it ends.
    pub(super) fn deadline(&self, checkpoints: &Checkpoints) -> Option<Instant> {
        checkpoints.interval.filter(|_| self.rows > 0).map(|interval| self.began + interval)
    }

    /// The time at which the collected rows are written.
    pub(super) fn flush_at(&self, interval: Duration) -> Option<Instant> {
        self.waiting.as_ref().map(|waiting| waiting.since + interval)
    }

    /// Accepts rows.
    pub(super) async fn take(&mut self, batch: RecordBatch, counts_bytes: bool) -> Result<()> {
        if self.rows == 0 {
            self.began = Instant::now();
            self.watch.first_row = self.began;
        }
        self.rows += batch.num_rows() as u64;
        if counts_bytes {
            self.bytes += batch_bytes(&batch);
        }
        if batch.num_rows() >= SMALL_ROWS {
            let after = self.rows;
            self.flush_before(batch.num_rows()).await?;
            return self.deal(batch, after).await;
        }
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            batches: BatchCoalescer::new(batch.schema(), SMALL_ROWS).with_biggest_coalesce_batch_size(Some(SMALL_ROWS)),
            bytes: 0,
            since: Instant::now(),
        });
        waiting.bytes += batch_bytes(&batch);
        waiting
            .batches
            .push_batch(batch)
            .map_err(|error| Error::internal(format!("could not concatenate rows: {error}")))?;
        if waiting.bytes >= WAITING_BYTES {
            return self.flush().await;
        }
        let mut ready = Vec::new();
        while let Some(batch) = waiting.batches.next_completed_batch() {
            ready.push(batch);
        }
        if !ready.is_empty() {
            (waiting.bytes, waiting.since) = (0, Instant::now());
        }
        let left = waiting.batches.get_buffered_rows();
        if left == 0 {
            self.waiting = None;
        }
        self.deal_all(ready, left).await
    }

    /// Writes the collected rows.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.flush_before(0).await
    }

    /// Writes the collected rows before the last rows, which are written directly.
    async fn flush_before(&mut self, last: usize) -> Result<()> {
        let Some(mut waiting) = self.waiting.take() else { return Ok(()) };
        let finished = waiting.batches.finish_buffered_batch();
        finished.map_err(|error| Error::internal(format!("could not concatenate rows: {error}")))?;
        let batches = std::iter::from_fn(|| waiting.batches.next_completed_batch()).collect();
        self.deal_all(batches, last).await
    }

    /// Distributes batches; `left` rows follow them.
    async fn deal_all(&mut self, batches: Vec<RecordBatch>, left: usize) -> Result<()> {
        let all: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let mut after = self.rows - (all + left) as u64;
        for batch in batches {
            after += batch.num_rows() as u64;
            self.deal(batch, after).await?;
        }
        Ok(())
    }

    async fn deal(&mut self, mut batch: RecordBatch, after: u64) -> Result<()> {
        let rows = batch.num_rows() as u64;
        let origin = Origin { first: self.before + after - rows, rows };
        if let Some(rejects) = &self.rejects {
            for (assignments, _) in &self.partitioners {
                batch = assignments.sift(batch, |row, error| rejects.add(row, error))?;
            }
        }
        // Rows that one of several databases refuses are errors.
        let rejects_refused = self.rejects.is_some() && self.partitioners.len() == 1;
        for (group, (assignments, partitioner)) in self.partitioners.iter_mut().enumerate() {
            let assigned = match rejects_refused {
                true => assignments.apply_with_source(batch.clone(), origin.first)?,
                false => assignments.apply(batch.clone(), origin.first)?,
            };
            for dealt in partitioner.deal(assigned)? {
                self.writers.send(group, dealt, origin).await?;
            }
        }
        Ok(())
    }
}
