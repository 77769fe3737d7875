//! One attempt at a write: from a stream to its commits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow::array::RecordBatch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span};

use super::diff::{Differ, Policy};
use super::dispatch::Partitioner;
use super::epoch::{Epoch, Watch, room};
use super::input::{Boundary, Fingerprint, Input, Read};
use super::interrupt::interrupted;
use super::prefetch::Reader;
use super::reject_table::RejectTable;
use super::rejecting::RejectingBranch;
use super::rejects::Rejects;
use super::start::{start, take_head};
use super::write::{Target, Write, WriteOutcome, WriteProgress};
use super::writer::Writers;
use super::written::{Failed, Written};
use crate::backend::Dispatch;
use crate::backend::{WriteStats, failpoint::failpoint};
use crate::buffer::Reservation;
use crate::error::{Error, ErrorKind, Result};
use crate::manager::{EpochExtent, Run};
use crate::pipeline::Interrupt;

/// One attempt at a write.
pub(super) struct WriteAttempt<'a> {
    write: &'a Write,
    interrupt: &'a Interrupt,
    run: Run,
    input: Reader,
    is_unbounded: bool,
    /// The fingerprint of an input that can be resumed, by another run of its job or by this one.
    fingerprint: Option<Fingerprint>,
    /// Rows that were read before the number of writers was chosen.
    head: VecDeque<(Read, Reservation)>,
    is_many: bool,
    /// The committed rows.
    progress: &'a mut WriteProgress,
    /// The rows read so far, up to the end of the open epoch.
    reached: WriteProgress,
    epoch: Option<Epoch>,
    /// The previous epoch, which commits while the stream is read.
    closing: Option<Closing>,
    opened: u64,
    /// For each target, whether its rows are compared with existing rows.
    policies: Vec<Option<Arc<Policy>>>,
    /// Where rejected rows are stored, and how many of them are committed.
    reject_table: Option<Arc<RejectTable>>,
    rejected: Arc<AtomicU64>,
    /// Whether the user asked to stop. Rows that were already read are still written.
    is_stopped: bool,
}

/// An epoch that accepts no more rows.
struct Closing {
    /// Returns the number of rejected rows so far.
    task: JoinHandle<Result<u64, Failed>>,
    /// Cancelled when all of its rows have been sent to the database.
    written: CancellationToken,
    /// The progress that it commits.
    progress: WriteProgress,
    began: Instant,
}

/// The next event.
enum Event {
    Read(Option<Read>),
    Flush,
    Due,
    Stop,
}

/// How reading ended.
enum Ended {
    /// At the end of the input. The last rows are written by these branches.
    Input(Option<Written>),
    /// The user asked to stop. The rows read so far are committed.
    Stopped,
}

impl<'a> WriteAttempt<'a> {
    pub(super) fn new(
        write: &'a Write,
        input: &dyn Input,
        interrupt: &'a Interrupt,
        run: Run,
        reject_table: Option<Arc<RejectTable>>,
        progress: &'a mut WriteProgress,
    ) -> Result<Self> {
        let goes_on = write.checkpoints.any() || !progress.position.is_start();
        let fingerprint = match &write.job {
            Some(_) if goes_on => Some(input.fingerprint()?),
            _ => input.fingerprint().ok().filter(|_| goes_on),
        };
        Ok(Self {
            write,
            interrupt,
            run,
            input: match write.checkpoints.any() {
                true => Reader::ahead(input.read(&progress.position)?, write.memory()),
                false => Reader::AsAsked(input.read(&progress.position)?),
            },
            is_unbounded: input.is_unbounded(),
            fingerprint,
            head: VecDeque::new(),
            is_many: false,
            reject_table,
            rejected: Arc::new(AtomicU64::new(progress.rejected)),
            reached: progress.clone(),
            progress,
            epoch: None,
            closing: None,
            opened: 0,
            policies: write.targets.iter().map(|target| Policy::of(&target.spec).map(Arc::new)).collect(),
            is_stopped: false,
        })
    }

    /// Writes the whole input.
    pub(super) async fn land(mut self) -> Result<WriteOutcome> {
        // A statement with checkpoints commits its rows instead of rolling them back.
        let ended = match self.write.checkpoints.any() {
            true => self.read_all().await,
            false => {
                let interrupt = self.interrupt;
                tokio::select! {
                    biased;
                    () = interrupt.asked() => Err(Failed::Writing(interrupted(0))),
                    ended = self.read_all() => ended,
                }
            }
        };
        let ended = match ended {
            Ok(Ended::Input(last)) => self.finish(last).await.map(|()| true),
            Ok(Ended::Stopped) => self.settle().await.map(|()| false),
            Err(failed) => Err(failed),
        };
        match ended {
            Ok(true) => Ok(WriteOutcome::Rows(self.progress.landed)),
            Ok(false) => {
                if self.write.job.is_none() {
                    self.run.abandon().await;
                }
                match self.is_unbounded {
                    true => Ok(WriteOutcome::Rows(self.progress.landed)),
                    false => Err(Error::new(
                        ErrorKind::Interrupted,
                        match &self.write.job {
                            Some(job) => format!("interrupted: run job '{job}' again to write the remaining rows"),
                            None => "interrupted: the remaining rows were not written".to_owned(),
                        },
                    )),
                }
            }
            Err(failed) => Err(self.give_up(failed).await),
        }
    }

    /// Reads and writes, epoch after epoch, to the end or until the user asks to stop.
    async fn read_all(&mut self) -> Result<Ended, Failed> {
        let is_many = tokio::select! {
            biased;
            () = self.interrupt.asked() => None,
            is_many = take_head(self.write, &mut self.input, &mut self.head) => Some(is_many?),
        };
        match is_many {
            Some(is_many) => self.is_many = is_many,
            None => self.stop_reading(),
        }
        if !self.write.checkpoints.any() {
            self.open().await?;
        }
        loop {
            match self.next().await? {
                Event::Read(Some(read)) => self.take(read).await?,
                Event::Read(None) if self.is_stopped => return self.stop().await,
                Event::Read(None) => break,
                Event::Flush => {
                    if let Some(epoch) = &mut self.epoch {
                        epoch.flush().await?;
                    }
                }
                Event::Due => self.cut().await?,
                Event::Stop => self.stop_reading(),
            }
        }
        // An empty input opens an epoch, too: INSERT OVERWRITE without rows empties the table.
        if self.epoch.is_none() && self.opened == 0 && self.progress.position.is_start() {
            self.open().await?;
        }
        let Some(epoch) = &mut self.epoch else { return Ok(Ended::Input(None)) };
        epoch.flush().await?;
        let members = epoch.writers.finish().await?;
        Ok(Ended::Input(self.epoch.take().map(|epoch| {
            let Epoch { watch, transaction, rejects, rows, .. } = epoch;
            Written { watch, transaction, rejects, rows, members }
        })))
    }

    /// Stops reading. Rows that were already read are still written.
    fn stop_reading(&mut self) {
        self.input.stop();
        self.is_stopped = true;
    }

    async fn next(&mut self) -> Result<Event, Failed> {
        if let Some((read, _)) = self.head.pop_front() {
            return Ok(Event::Read(Some(read)));
        }
        loop {
            let write = self.write;
            let can_stop = write.checkpoints.any() && !self.is_stopped;
            if can_stop && self.interrupt.is_asked() {
                return Ok(Event::Stop);
            }
            let flush_at = self.epoch.as_ref().and_then(|epoch| epoch.flush_at(write.flush_interval));
            let due =
                self.epoch.as_ref().filter(|_| self.can_end()).and_then(|epoch| epoch.deadline(&write.checkpoints));
            let is_past = |time: Option<Instant>| time.is_some_and(|time| time <= Instant::now());
            if is_past(due) {
                return Ok(Event::Due);
            }
            if is_past(flush_at) {
                return Ok(Event::Flush);
            }
            tokio::select! {
                biased;
                closed = closed(&mut self.closing) => self.note_closed(closed)?,
                error = failure(&mut self.epoch) => return Err(Failed::Writing(error)),
                read = self.input.next() => return Ok(Event::Read(read.transpose()?)),
                // Waiting for these takes locks, so they come after the input.
                () = reached(due) => return Ok(Event::Due),
                () = reached(flush_at) => return Ok(Event::Flush),
                () = self.interrupt.asked(), if can_stop => return Ok(Event::Stop),
            }
        }
    }

    async fn take(&mut self, read: Read) -> Result<(), Failed> {
        let (split, mut batch, boundary) = match read {
            Read::Rows { split, batch, boundary } => (split, batch, boundary),
            Read::End { split } => {
                self.reached.position.end(split);
                return Ok(());
            }
        };
        if batch.num_rows() == 0 {
            self.reached.position.advance(split, 0, &boundary);
        }
        if let Boundary::Inside(row, place) = boundary {
            // If an epoch can end here, it must: the next possible end is unknown.
            let checkpoints = &self.write.checkpoints;
            if self.epoch.as_ref().is_none_or(|epoch| epoch.is_due_with(checkpoints, &batch)) {
                self.put(split, batch.slice(0, row), &Boundary::At(place)).await?;
                if self.epoch.as_ref().is_some_and(|epoch| epoch.is_due_with(checkpoints, &batch)) {
                    self.cut().await?;
                }
                batch = batch.slice(row, batch.num_rows() - row);
            }
            return self.put(split, batch, &Boundary::None).await;
        }
        let is_divisible = boundary == Boundary::EveryRow || self.fingerprint.is_none();
        while batch.num_rows() > 0 {
            let room = room(&self.write.checkpoints, self.epoch.as_ref().map_or(0, |epoch| epoch.rows));
            let rows = if is_divisible { room.min(batch.num_rows()) } else { batch.num_rows() };
            self.put(split, batch.slice(0, rows), &boundary).await?;
            batch = batch.slice(rows, batch.num_rows() - rows);
            if self.can_end() && self.epoch.as_ref().is_some_and(|epoch| epoch.is_due(&self.write.checkpoints)) {
                self.cut().await?;
            }
        }
        Ok(())
    }

    /// Writes rows to the open epoch.
    async fn put(&mut self, split: usize, batch: RecordBatch, boundary: &Boundary) -> Result<(), Failed> {
        if self.epoch.is_none() {
            self.open().await?;
        }
        let Some(epoch) = &mut self.epoch else { return Err(Error::internal("no epoch is open").into()) };
        let rows = batch.num_rows();
        epoch.at_boundary = *boundary != Boundary::None;
        epoch.take(batch, self.write.checkpoints.bytes.is_some()).await?;
        self.reached.position.advance(split, rows, boundary);
        self.reached.covered += rows as u64;
        self.reached.landed += rows as u64;
        Ok(())
    }

    /// Whether a checkpoint is possible after the rows read so far. It always is if no run resumes from it.
    fn can_end(&self) -> bool {
        self.fingerprint.is_none() || self.epoch.as_ref().is_none_or(|epoch| epoch.at_boundary)
    }

    /// Starts an epoch.
    async fn open(&mut self) -> Result<(), Failed> {
        // Two transactions of a table with one writer would wait for each other, and comparing requires committed rows.
        let has_one_writer = |target: &Target| matches!(target.dispatch, Dispatch::OneWriter(_));
        if self.write.targets.iter().any(has_one_writer) || self.policies.iter().any(Option::is_some) {
            self.settle().await?;
        }
        let transaction = self.run.begin();
        let watch = Watch::new(self.stats());
        let starting = start(self.write, &transaction, self.is_many);
        let members = starting.instrument(debug_span!("start", epoch = transaction.epoch().0)).await?;
        self.opened += 1;
        failpoint("branch.started");
        let differ =
            |group: usize| Differ::new(self.policies[group].clone(), Arc::clone(&self.write.targets[group].spec.stats));
        let rejects = self.rejects();
        // If several databases are written, a row that one of them refuses is an error.
        let of_branch = rejects.as_ref().filter(|_| self.write.targets.len() == 1);
        let members = members.into_iter().map(|(group, member)| match of_branch {
            Some(rejects) => {
                (group, RejectingBranch::around(member, rejects, &self.write.targets[group].assignments), differ(group))
            }
            None => (group, member, differ(group)),
        });
        let members: Vec<_> = members.collect();
        let mut partitioners = Vec::new();
        for (group, target) in self.write.targets.iter().enumerate() {
            let writers = members.iter().filter(|(of, ..)| *of == group).count();
            let partitioner = Partitioner::try_new(&target.dispatch, &target.spec.columns, writers)?;
            partitioners.push((Arc::clone(&target.assignments), partitioner));
        }
        // Rows with the same key are written in their order: those of the previous epoch first.
        let has_key = |target: &Target| matches!(target.dispatch, Dispatch::ByKey(_));
        let before = self.closing.as_ref().filter(|_| self.write.targets.iter().any(has_key));
        let after = before.map_or_else(cancelled, |closing| closing.written.clone());
        let writers = Writers::new(members, &after);
        self.epoch = Some(Epoch::new(watch, transaction, writers, partitioners, rejects, self.reached.covered));
        Ok(())
    }

    /// The rejected rows of another epoch.
    fn rejects(&self) -> Option<Arc<Rejects>> {
        let table = self.reject_table.as_ref()?;
        Some(Arc::new(Rejects::of(self.write, table, &self.rejected)))
    }

    /// Ends the open epoch. It commits while the stream is read, after the previous epoch.
    async fn cut(&mut self) -> Result<(), Failed> {
        let Some(epoch) = &mut self.epoch else { return Ok(()) };
        epoch.flush().await?;
        epoch.writers.close();
        self.settle().await?;
        let Some(epoch) = self.epoch.take() else { return Ok(()) };
        let Epoch { watch, transaction, mut writers, rejects, written, rows, .. } = epoch;
        let covered = self.covered(rows, false);
        let is_written = written.clone().drop_guard();
        let task = async move {
            let finished = writers.finish().await;
            drop(is_written);
            let members = match finished {
                Ok(members) => members,
                Err(error) => {
                    writers.stop().await;
                    return Err(Failed::Writing(error));
                }
            };
            failpoint("epoch.written");
            Written { watch, transaction, rejects, rows, members }.commit(covered).await
        };
        let task = tokio::spawn(task.in_current_span());
        self.closing = Some(Closing { task, written, progress: self.reached.clone(), began: Instant::now() });
        Ok(())
    }

    /// Ends the stream because the user asked to stop.
    async fn stop(&mut self) -> Result<Ended, Failed> {
        match self.can_end() {
            true => self.cut().await?,
            // The next run reads its rows again.
            false => {
                if let Some(epoch) = self.epoch.take() {
                    epoch.writers.stop().await;
                }
            }
        }
        Ok(Ended::Stopped)
    }

    /// Commits the last epoch.
    async fn finish(&mut self, last: Option<Written>) -> Result<(), Failed> {
        if let Err(failed) = self.settle().await {
            if let Some(last) = last {
                futures::future::join_all(last.members.into_iter().map(|member| member.branch.rollback())).await;
            }
            return Err(failed);
        }
        let last = match last {
            Some(last) => last,
            // The end of the input is recorded, too.
            None if self.write.job.is_some() => {
                let (watch, transaction) = (Watch::new(self.stats()), self.run.begin());
                Written { watch, transaction, rejects: self.rejects(), rows: 0, members: Vec::new() }
            }
            None => {
                self.run.abandon().await;
                return Ok(());
            }
        };
        let covered = self.covered(last.rows, true);
        // The commit continues if its caller stops waiting.
        let task = tokio::spawn(last.commit(covered).in_current_span());
        let (written, progress) = (cancelled(), self.reached.clone());
        self.closing = Some(Closing { task, written, progress, began: Instant::now() });
        self.settle().await
    }

    fn stats(&self) -> Vec<Arc<WriteStats>> {
        self.write.targets.iter().map(|target| Arc::clone(&target.spec.stats)).collect()
    }

    /// The extent of an epoch that ends after the rows read so far.
    fn covered(&self, rows: u64, end: bool) -> EpochExtent {
        let fingerprint = self.fingerprint.as_ref().filter(|_| self.write.job.is_some());
        let input = fingerprint.map(|fingerprint| self.reached.position.to_json(fingerprint));
        let before = self.reached.covered - rows;
        EpochExtent { rows, before, end, input, subject: None, rejected: self.progress.rejected }
    }

    /// Waits until the previous epoch is committed.
    async fn settle(&mut self) -> Result<(), Failed> {
        if self.closing.is_none() {
            return Ok(());
        }
        let closed = closed(&mut self.closing).await;
        self.note_closed(closed)
    }

    fn note_closed(&mut self, ended: Result<Result<u64, Failed>, JoinError>) -> Result<(), Failed> {
        let closing = self.closing.take();
        let rejected = ended
            .map_err(|error| Failed::Committing(Error::internal(format!("the commit task failed: {error}"))))??;
        if let Some(closing) = closing {
            *self.progress = WriteProgress { rejected, ..closing.progress };
            self.rejected.store(rejected, Relaxed);
            self.write.counts.epochs.fetch_add(1, Relaxed);
            for target in &self.write.targets {
                target.spec.stats.add_commit(closing.began.elapsed());
            }
        }
        Ok(())
    }

    /// Rolls back the uncommitted epochs and returns the error to report.
    async fn give_up(mut self, failed: Failed) -> Error {
        if let Some(epoch) = self.epoch.take() {
            epoch.writers.stop().await;
        }
        let (error, is_clean) = match (failed, self.settle().await) {
            // The outcome of the previous commit matters more than the error of this epoch.
            (_, Err(Failed::Committing(error))) | (Failed::Committing(error), _) => (error, false),
            (Failed::Writing(_), Err(Failed::Writing(error))) | (Failed::Writing(error), Ok(())) => (error, true),
        };
        if is_clean && self.write.job.is_none() {
            self.interrupt.at_most_briefly(self.run.abandon()).await;
        }
        error
    }
}

/// Never completes without a time.
fn cancelled() -> CancellationToken {
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    cancelled
}

/// Waits for the commit of an epoch; never completes without one.
async fn closed(closing: &mut Option<Closing>) -> Result<Result<u64, Failed>, JoinError> {
    match closing {
        Some(closing) => (&mut closing.task).await,
        None => std::future::pending().await,
    }
}

/// Waits until a writer of the epoch fails.
async fn failure(epoch: &mut Option<Epoch>) -> Error {
    match epoch {
        Some(epoch) => epoch.writers.failure().await,
        None => std::future::pending().await,
    }
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
