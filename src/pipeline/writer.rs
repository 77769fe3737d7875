//! Tasks that write, one for each branch.

use arrow::array::RecordBatch;
use futures::future::join_all;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::diff::Differ;
use super::dispatch::Dealt;
use crate::error::{Error, ErrorKind, Result};
use crate::xa::{Branch, Member};

/// Batches that wait for a writer.
const QUEUED_BATCHES: usize = 2;

/// Rows of the stream, counted from 0, that one batch brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) first: u64,
    pub(super) rows: u64,
}

/// What a writer was handed, so that its rows can be named as the stream counts them.
#[derive(Debug, Default)]
struct Handed {
    rows: u64,
    /// The writer's row that a batch begins with, and where the batch comes from.
    batches: Vec<(u64, u64, Origin)>,
}

impl Handed {
    fn add(&mut self, rows: u64, origin: Origin) {
        self.batches.push((self.rows, rows, origin));
        self.rows += rows;
    }

    /// The rows of the stream, counted from 1, that a writer's row is, or is among.
    fn place(&self, row: u64) -> (u64, u64) {
        let at = self.batches.partition_point(|(first, ..)| *first < row);
        match at.checked_sub(1).map(|at| self.batches[at]) {
            // The whole batch came here.
            Some((first, rows, origin)) if rows == origin.rows => {
                let row = origin.first + row - first;
                (row, row)
            }
            Some((_, _, origin)) => (origin.first + 1, origin.first + origin.rows),
            None => (row, row),
        }
    }
}

/// The writers of one write, in groups: the rows of each group together are the whole input. Dropping them rolls
/// everything back.
#[derive(Debug)]
pub(super) struct Writers {
    tasks: JoinSet<(usize, Result<Member>)>,
    groups: Vec<Group>,
    finished: Vec<(usize, Member)>,
    handed: Vec<Handed>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Group {
    writers: Vec<Sender<RecordBatch>>,
    next: usize,
    /// The number of its first writer.
    first: usize,
}

impl Writers {
    /// Writers for these branches, each with its group; they begin when `after` is cancelled.
    pub(super) fn new(members: Vec<(usize, Member, Differ)>, after: &CancellationToken) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let mut groups: Vec<Group> = Vec::new();
        let handed = members.iter().map(|_| Handed::default()).collect();
        for (index, (group, member, differ)) in members.into_iter().enumerate() {
            let (sender, batches) = mpsc::channel(QUEUED_BATCHES);
            if groups.len() <= group {
                groups.resize_with(group + 1, || Group { first: index, ..Group::default() });
            }
            groups[group].writers.push(sender);
            let (after, stop) = (after.clone(), stop.clone());
            tasks.spawn(async move {
                let Member { resource, xid, protocol, branch } = member;
                let written = write_all(branch, differ, batches, after, stop).await;
                (index, written.map(|branch| Member { resource, xid, protocol, branch }))
            });
        }
        Self { tasks, groups, finished: Vec::new(), handed, stop }
    }

    /// Hands a batch to a group: to the writer that it is for, or to the first that has room.
    ///
    /// # Errors
    /// What a writer failed with.
    pub(super) async fn send(&mut self, group: usize, dealt: Dealt, origin: Origin) -> Result<()> {
        let Group { writers, next, first } = &mut self.groups[group];
        let (to, batch) = match dealt {
            Dealt::To(writer, batch) => (writer, batch),
            Dealt::ToAny(batch) => {
                let count = writers.len();
                let turn = (0..count).map(|step| (*next + step) % count);
                let to = turn.clone().find(|writer| writers[*writer].capacity() > 0).unwrap_or(*next);
                *next = (to + 1) % count;
                (to, batch)
            }
        };
        self.handed[*first + to].add(batch.num_rows() as u64, origin);
        let writer = writers[to].clone();
        tokio::select! {
            biased;
            sent = writer.send(batch) => match sent {
                Ok(()) => Ok(()),
                Err(_) => Err(self.failure().await),
            },
            error = self.failure() => Err(error),
        }
    }

    /// Waits until a writer fails, which it can before the input ends.
    pub(super) async fn failure(&mut self) -> Error {
        loop {
            match self.tasks.join_next().await {
                None => std::future::pending().await,
                Some(ended) => match self.ended(ended) {
                    Ok(member) => self.finished.push(member),
                    Err(error) => return error,
                },
            }
        }
    }

    /// What a task ended with; an error names the rows of the stream.
    fn ended(&self, ended: Result<(usize, Result<Member>), JoinError>) -> Result<(usize, Member)> {
        let (index, member) = ended.map_err(|error| Error::internal(format!("a writer ended: {error}")))?;
        match member {
            Ok(member) => Ok((index, member)),
            Err(error) => Err(error.map_rows(|row| self.handed[index].place(row))),
        }
    }

    /// Takes no more: what is queued is written, beside what the caller does.
    pub(super) fn close(&mut self) {
        self.groups.clear();
    }

    /// Waits until everything is written; gives the branches in their order.
    pub(super) async fn finish(&mut self) -> Result<Vec<Member>> {
        self.close();
        while let Some(ended) = self.tasks.join_next().await {
            let member = self.ended(ended)?;
            self.finished.push(member);
        }
        self.finished.sort_by_key(|(index, _)| *index);
        Ok(self.finished.drain(..).map(|(_, member)| member).collect())
    }

    /// Rolls everything back that is not finished.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            self.finished.extend(self.ended(ended).ok());
        }
        // There is an error to tell already; a failing rollback cannot make more of it.
        join_all(self.finished.into_iter().map(|(_, member)| member.branch.rollback())).await;
    }
}

/// Writes what comes; what fails or is stopped is rolled back.
async fn write_all(
    mut branch: Box<dyn Branch>,
    mut differ: Differ,
    mut batches: Receiver<RecordBatch>,
    after: CancellationToken,
    stop: CancellationToken,
) -> Result<Box<dyn Branch>> {
    let work = async {
        after.cancelled().await;
        while let Some(batch) = batches.recv().await {
            differ.write(branch.as_mut(), batch).await?;
            crate::xa::failpoint::failpoint("branch.written");
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
            // The first error is the one to tell; a failing rollback cannot make more of it.
            let _ = branch.rollback().await;
            Err(error.map_rows(|row| (differ.place(row), differ.place(row))))
        }
    }
}
