//! The tasks that write, one for each branch.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::task::Poll;

use arrow::array::RecordBatch;
use futures::future::join_all;
use futures::task::AtomicWaker;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span};

use super::diff::Differ;
use super::dispatch::Dealt;
use crate::backend::Branch;
use crate::buffer::{Limits, Memory, Receiver, Reservation, Sender, Weight, buffer};
use crate::columnar::batch_bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::manager::Member;

/// The length of a writer's queue. While it encodes one batch, the next ones are queued.
const QUEUED: Limits = Limits { items: 4, weight: Weight { rows: 65_536, bytes: 4 * 1024 * 1024 } };

/// The rows of the stream, counted from 0, of one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) first: u64,
    pub(super) rows: u64,
}

/// The batches of a writer, to find the number of its rows in the stream.
#[derive(Debug, Default)]
struct Handed {
    rows: u64,
    /// The writer's number of the first row of a batch, and the batch's rows of the stream.
    batches: Vec<(u64, u64, Origin)>,
}

impl Handed {
    fn add(&mut self, rows: u64, origin: Origin) {
        self.batches.push((self.rows, rows, origin));
        self.rows += rows;
    }

    /// The rows of the stream, counted from 1, that contain a row of the writer.
    fn place(&self, row: u64) -> (u64, u64) {
        let at = self.batches.partition_point(|(first, ..)| *first < row);
        match at.checked_sub(1).map(|at| self.batches[at]) {
            // The writer received the whole batch.
            Some((first, rows, origin)) if rows == origin.rows => {
                let row = origin.first + row - first;
                (row, row)
            }
            Some((_, _, origin)) => (origin.first + 1, origin.first + origin.rows),
            None => (row, row),
        }
    }
}

/// The writers of one write, in groups. Each group receives the whole input. Dropping them rolls everything back.
#[derive(Debug)]
pub(super) struct Writers {
    groups: Vec<Group>,
    running: Running,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Group {
    writers: Vec<Sender<Queued>>,
    memory: Memory,
    next: usize,
    /// The number of its first writer.
    first: usize,
}

/// A batch in the queue of a writer.
#[derive(Debug)]
struct Queued {
    batch: RecordBatch,
    reservation: Reservation,
    since: Instant,
}

/// The tasks of the writers.
#[derive(Debug)]
struct Running {
    tasks: JoinSet<(usize, Result<Member>)>,
    ended: Arc<Ended>,
    finished: Vec<(usize, Member)>,
    handed: Vec<Handed>,
}

/// The number of tasks that have ended and were not joined, without a lock, because it is checked for every batch.
#[derive(Debug, Default)]
struct Ended {
    count: AtomicUsize,
    waker: AtomicWaker,
}

/// Dropped when a task ends in any way.
struct Ending(Arc<Ended>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.count.fetch_add(1, AcqRel);
        self.0.waker.wake();
    }
}

impl Writers {
    /// Creates writers for these branches, each with its group. They start when `after` is cancelled.
    pub(super) fn new(members: Vec<(usize, Member, Differ)>, after: &CancellationToken) -> Self {
        let (mut tasks, ended, stop) = (JoinSet::new(), Arc::new(Ended::default()), CancellationToken::new());
        let mut groups: Vec<Group> = Vec::new();
        let handed = members.iter().map(|_| Handed::default()).collect();
        for (index, (group, member, differ)) in members.into_iter().enumerate() {
            let (sender, batches) = buffer(QUEUED);
            if groups.len() <= group {
                let memory = differ.stats().memory().clone();
                groups.resize_with(group + 1, || Group { first: index, memory: memory.clone(), ..Group::default() });
            }
            groups[group].writers.push(sender);
            let (after, stop, ending) = (after.clone(), stop.clone(), Ending(Arc::clone(&ended)));
            let span = debug_span!("branch", xid = %member.xid);
            let writing = async move {
                let _ending = ending;
                let Member { resource, xid, protocol, branch } = member;
                let written = write_all(branch, differ, batches, after, stop).await;
                (index, written.map(|branch| Member { resource, xid, protocol, branch }))
            };
            tasks.spawn(writing.instrument(span));
        }
        Self { groups, running: Running { tasks, ended, finished: Vec::new(), handed }, stop }
    }

    /// Sends a batch to a group: to its writer, or to the first writer with space. Waits for space and memory.
    ///
    /// # Errors
    /// The error of a failed writer.
    pub(super) async fn send(&mut self, group: usize, dealt: Dealt, origin: Origin) -> Result<()> {
        let Group { writers, memory, next, first } = &mut self.groups[group];
        let (to, batch) = match dealt {
            Dealt::To(writer, batch) => (writer, batch),
            Dealt::ToAny(batch) => {
                let count = writers.len();
                let mut turn = (0..count).map(|step| (*next + step) % count);
                let to = turn.find(|writer| writers[*writer].has_room()).unwrap_or(*next);
                *next = (to + 1) % count;
                (to, batch)
            }
        };
        self.running.handed[*first + to].add(batch.num_rows() as u64, origin);
        let weight =
            Weight { rows: batch.num_rows(), bytes: usize::try_from(batch_bytes(&batch)).unwrap_or(usize::MAX) };
        let since = Instant::now();
        let sent = async {
            let reservation = memory.reserve(weight.bytes).await?;
            Ok(writers[to].send(Queued { batch, reservation, since }, weight).await.is_ok())
        };
        let sent = tokio::select! {
            biased;
            sent = sent => sent?,
            error = self.running.failure() => return Err(error),
        };
        match sent {
            true => Ok(()),
            false => Err(self.failure().await),
        }
    }

    /// Waits until a writer fails, possibly before the input ends.
    pub(super) async fn failure(&mut self) -> Error {
        self.running.failure().await
    }

    /// Accepts no more batches. Queued batches are written while the caller continues.
    pub(super) fn close(&mut self) {
        self.groups.clear();
    }

    /// Waits until everything is written, and returns the branches in their order.
    pub(super) async fn finish(&mut self) -> Result<Vec<Member>> {
        self.close();
        self.running.finish().await
    }

    /// Rolls back all unfinished branches.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.running.end().await;
    }
}

impl Running {
    /// Waits until a writer fails. Cancel safe.
    async fn failure(&mut self) -> Error {
        loop {
            let any = poll_fn(|context| {
                self.ended.waker.register(context.waker());
                if self.ended.count.load(Acquire) > 0 { Poll::Ready(()) } else { Poll::Pending }
            });
            any.await;
            // A task that reports this ends immediately afterwards.
            let ended = self.tasks.join_next().await;
            self.ended.count.fetch_sub(1, AcqRel);
            match ended.map(|ended| self.ended(ended)) {
                Some(Ok(member)) => self.finished.push(member),
                Some(Err(error)) => return error,
                None => {}
            }
        }
    }

    /// The result of a task. An error names the rows of the stream.
    fn ended(&self, ended: Result<(usize, Result<Member>), JoinError>) -> Result<(usize, Member)> {
        let (index, member) = ended.map_err(|error| Error::internal(format!("a writer task failed: {error}")))?;
        match member {
            Ok(member) => Ok((index, member)),
            Err(error) => Err(error.map_rows(|row| self.handed[index].place(row))),
        }
    }

    async fn finish(&mut self) -> Result<Vec<Member>> {
        while let Some(ended) = self.tasks.join_next().await {
            let member = self.ended(ended)?;
            self.finished.push(member);
        }
        self.finished.sort_by_key(|(index, _)| *index);
        Ok(self.finished.drain(..).map(|(_, member)| member).collect())
    }

    /// Waits until all tasks have ended, and rolls back their branches.
    async fn end(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            self.finished.extend(self.ended(ended).ok());
        }
        // An error is already being reported; a failed rollback adds nothing to it.
        join_all(self.finished.into_iter().map(|(_, member)| member.branch.rollback())).await;
    }
}

/// Writes batches. Rolls back on failure or when stopped.
async fn write_all(
    mut branch: Box<dyn Branch>,
    mut differ: Differ,
    mut batches: Receiver<Queued>,
    after: CancellationToken,
    stop: CancellationToken,
) -> Result<Box<dyn Branch>> {
    let work = async {
        after.cancelled().await;
        while let Some(Queued { batch, reservation, since }) = batches.recv().await {
            differ.stats().add_batch(since.elapsed());
            differ.write(branch.as_mut(), batch).await?;
            drop(reservation);
            crate::backend::failpoint::failpoint("branch.written");
        }
        differ.flush(branch.as_mut()).await?;
        branch.flush().await
    };
    let written = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Error::new(ErrorKind::Interrupted, "stopped")),
        written = work => written,
    };
    match written {
        Ok(()) => Ok(branch),
        Err(error) => {
            // The first error is reported; a failed rollback adds nothing to it.
            let _ = branch.rollback().await;
            Err(error.map_rows(|row| (differ.place(row), differ.place(row))))
        }
    }
}
