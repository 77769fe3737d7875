//! A branch: the asynchronous interface of a [`Writer`] on a separate thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::database::Sqlite;
use super::encode::{BoundRows, Encoder};
use super::open::Open;
use super::scan;
use super::thread::blocking;
use super::writer::Writer;
use crate::backend::{
    Attempt, Batches, Branch, Change, Encoded, LookupAnswer, OpenTransaction, Outcome, Query, Rescue, Savepoint,
    Versions, Vote, WriteSpec,
};
use crate::buffer::{Limits, Memory, Receiver, Reservation, Sender, Weight, buffer};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Indexes;
use crate::sql::Targets;
use crate::txn::{DecisionRecord, Xid};

/// The maximum number of rows that are encoded at a time, which bounds the memory for a huge batch.
const SLICE_ROWS: usize = 8_192;

/// The number of encoded slices that can wait for the writer while the next ones are encoded.
const QUEUED_SLICES: usize = 2;

/// An open branch. Rows are encoded in the caller's task and inserted on a thread. When the channel closes, the thread
/// inserts the queued rows and returns the writer.
pub(super) struct SqliteBranch {
    targets: Targets<Encoder>,
    slices: Option<Sender<Slice>>,
    thread: Option<JoinHandle<Result<Writer>>>,
    /// The writer while no thread uses it.
    writer: Option<Writer>,
    memory: Memory,
    abandoned: Arc<AtomicBool>,
    /// The number of rows before the last attempt, and the error of a row.
    attempting: Option<(u64, oneshot::Receiver<Option<Error>>)>,
}

/// Encoded rows, and their memory reservation.
struct Slice {
    rows: BoundRows,
    reservation: Reservation,
}

impl SqliteBranch {
    pub(super) async fn start(
        database: Sqlite,
        xid: &Xid,
        spec: WriteSpec,
        change: Option<Arc<Change>>,
    ) -> Result<Self> {
        let lease = database.pool.acquire_to_write().await?;
        lease.serve(xid);
        let open = blocking(move || Open::begin(database, lease)).await?;
        Self::start_in(open, spec, change).await
    }

    /// Starts a statement of an open transaction.
    pub(super) async fn start_in(open: Open, spec: WriteSpec, change: Option<Arc<Change>>) -> Result<Self> {
        let memory = spec.stats.memory().clone();
        let begin = move || {
            let mut open = Some(open);
            let begun = Writer::begin(&mut open, spec, change.as_ref());
            if let Some(open) = open {
                fail(open);
            }
            begun
        };
        let (writer, targets) = blocking(begin).await?;
        let abandoned = Arc::new(AtomicBool::new(false));
        Ok(Self { targets, slices: None, thread: None, writer: Some(writer), memory, abandoned, attempting: None })
    }

    /// The channel to the inserting thread, which is started if none runs.
    fn slices(&mut self) -> Result<&mut Sender<Slice>> {
        if self.slices.is_none() {
            let writer = self.writer.take();
            let writer = writer.ok_or_else(|| Error::internal("the branch has failed and cannot continue"))?;
            let (sender, receiver) = buffer(Limits::items(QUEUED_SLICES));
            let seen = Arc::clone(&self.abandoned);
            self.thread = Some(tokio::task::spawn_blocking(move || insert_all(writer, receiver, &seen)));
            self.slices = Some(sender);
        }
        self.slices.as_mut().ok_or_else(|| Error::internal("the SQLite thread has not started"))
    }

    /// Waits until all rows are inserted. After an error, the transaction is rolled back.
    async fn finish(&mut self) -> Result<()> {
        self.slices = None;
        if let Some(thread) = &mut self.thread {
            let ended = thread.await;
            self.thread = None;
            let ended = ended.map_err(|error| Error::internal(format!("the SQLite thread failed: {error}")))?;
            self.writer = Some(ended?);
        }
        Ok(())
    }

    async fn take_writer(&mut self) -> Result<Writer> {
        self.finish().await?;
        self.writer.take().ok_or_else(|| Error::internal("the branch has failed and cannot continue"))
    }
}

impl SqliteBranch {
    /// Encodes rows, without inserting them.
    fn bound(&mut self, slice: &RecordBatch) -> Result<Slice> {
        let columns = self.targets.encode(slice, Encoder::encode)?;
        let rows = BoundRows { columns, count: slice.num_rows() };
        Ok(Slice { reservation: self.memory.reserve_now(rows.bytes()), rows })
    }

    /// The writer, if all rows were inserted.
    async fn take_whole_writer(&mut self) -> Result<Writer> {
        let writer = self.take_writer().await?;
        match self.abandoned.load(Relaxed) {
            true => Err(Error::internal("the branch has failed and cannot be committed")),
            false => Ok(writer),
        }
    }
}

/// The parts of a batch that are encoded at a time.
fn slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + use<'_> {
    let rows = batch.num_rows();
    (0..rows).step_by(SLICE_ROWS).map(move |first| batch.slice(first, SLICE_ROWS.min(rows - first)))
}

fn insert_all(mut writer: Writer, mut slices: Receiver<Slice>, abandoned: &AtomicBool) -> Result<Writer> {
    let (runtime, wanted) = (Handle::current(), |_: &Slice| !abandoned.load(Relaxed));
    // The reservation of a slice is held until the next slice is requested.
    let mut held = None;
    let slices = std::iter::from_fn(|| runtime.block_on(slices.recv())).take_while(wanted);
    let inserted = writer.insert_all(slices.map(|Slice { rows, reservation }| {
        held.replace(reservation);
        rows
    }));
    unless_failed(writer, inserted)
}

/// Rolls back after a statement that has failed, or hands the transaction over.
fn fail(mut open: Open) {
    if let Some(rescue) = open.rescue.take() {
        rescue.rescue(Box::new(SqliteTransaction::new(open)));
    }
}

/// The writer; after an error, its transaction is rolled back.
fn unless_failed(writer: Writer, done: Result<()>) -> Result<Writer> {
    match done {
        Ok(()) => Ok(writer),
        Err(error) => {
            fail(writer.end());
            Err(error)
        }
    }
}

#[async_trait]
impl Branch for SqliteBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if self.slices.is_none() {
            // Pending lookups are answered first.
            self.finish().await?;
        }
        for slice in slices(&batch) {
            // Earlier rows may already be inserted, so the branch can only be rolled back.
            let abandoned = Arc::clone(&self.abandoned);
            let bound = self.bound(&slice).inspect_err(|_| abandoned.store(true, Relaxed))?;
            if self.slices()?.send(bound, Weight::default()).await.is_err() {
                // The thread has failed; its result contains the reason.
                self.finish().await?;
                return Err(Error::internal("the SQLite thread ended unexpectedly"));
            }
        }
        Ok(())
    }

    fn encode_rows(&mut self, rows: &RecordBatch) -> Result<Encoded> {
        let bound = slices(rows).map(|slice| self.bound(&slice));
        Ok(Encoded::new(bound.collect::<Result<Vec<Slice>>>()?))
    }

    async fn attempt(&mut self, rows: Vec<Encoded>) -> Result<()> {
        let mut slices: Vec<Slice> = Vec::new();
        for rows in rows {
            slices.extend(rows.into_form::<Vec<Slice>>()?);
        }
        let mut writer = self.take_writer().await?;
        let (answer, refused) = oneshot::channel();
        self.attempting = Some((writer.rows(), refused));
        self.thread = Some(tokio::task::spawn_blocking(move || {
            let (bound, reservations): (Vec<_>, Vec<_>) =
                slices.into_iter().map(|Slice { rows, reservation }| (rows, reservation)).unzip();
            let attempted = writer.attempt(bound)?;
            drop(reservations);
            // Sending fails only if the caller no longer waits.
            let _ = answer.send(attempted);
            Ok(writer)
        }));
        Ok(())
    }

    async fn attempted(&mut self) -> Result<Attempt> {
        self.finish().await?;
        let Some((before, refused)) = self.attempting.take() else {
            return Err(Error::internal("nothing is attempted"));
        };
        let refused = refused.await.map_err(|_| Error::internal("the SQLite thread ended unexpectedly"))?;
        Ok(match refused {
            None => Attempt::Accepted,
            Some(error) => Attempt::Refused(error.map_rows(|row| {
                let row = row.saturating_sub(before);
                (row, row)
            })),
        })
    }

    async fn lookup(&mut self, rows: &RecordBatch) -> Result<Option<LookupAnswer>> {
        let writer = self.take_writer().await?;
        let request = writer.existing().and_then(|existing| {
            let (new, wanted) = existing.lookup_request(&self.targets, rows)?;
            Some((new, wanted, existing.key()))
        });
        let Some((new, wanted, key)) = request else {
            self.writer = Some(writer);
            return Ok(None);
        };
        let (answer, old) = oneshot::channel();
        let seen = Arc::clone(&self.abandoned);
        self.thread = Some(tokio::task::spawn_blocking(move || {
            // Sending fails only if the caller no longer waits.
            let _ = answer.send(writer.read(&wanted, &seen));
            Ok(writer)
        }));
        Ok(Some(Box::pin(async move {
            let old = old.await.map_err(|_| Error::internal("the SQLite thread ended unexpectedly"))?;
            let old = old.map_err(|error| error.with_context("reading existing rows"))?;
            Ok(old.map(|old| Versions { new, old, key }))
        })))
    }

    async fn flush(&mut self) -> Result<()> {
        self.finish().await?;
        if self.writer.as_ref().is_some_and(Writer::changes) && !self.abandoned.load(Relaxed) {
            let mut writer = self.take_writer().await?;
            self.thread = Some(tokio::task::spawn_blocking(move || {
                let applied = writer.apply();
                unless_failed(writer, applied)
            }));
            self.finish().await?;
        }
        Ok(())
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        self.rollback().await?;
        Err(Error::new(ErrorKind::Unsupported, "SQLite cannot prepare transactions and supports only one-phase commit"))
    }

    async fn end_statement(mut self: Box<Self>) -> Result<Box<dyn OpenTransaction>> {
        let mut open = self.take_whole_writer().await?.end();
        open.rescue = None;
        Ok(Box::new(SqliteTransaction::new(open)))
    }

    async fn commit_one_phase(mut self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        let open = self.take_whole_writer().await?.end();
        blocking(move || open.commit(record)).await
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        self.abandoned.store(true, Relaxed);
        // A failed thread has already rolled back.
        if let Ok(writer) = self.take_writer().await {
            blocking(move || {
                fail(writer.end());
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

impl Drop for SqliteBranch {
    fn drop(&mut self) {
        self.abandoned.store(true, Relaxed);
    }
}

/// The asynchronous interface of an [`Open`] transaction.
pub(super) struct SqliteTransaction(Option<Open>);

impl SqliteTransaction {
    pub(super) async fn begin(database: Sqlite, xid: &Xid) -> Result<Self> {
        let lease = database.pool.acquire_to_write().await?;
        lease.serve(xid);
        Ok(Self::new(blocking(move || Open::begin_several(database, lease)).await?))
    }

    pub(super) fn new(open: Open) -> Self {
        Self(Some(open))
    }

    fn take(&mut self) -> Result<Open> {
        self.0.take().ok_or_else(|| Error::internal("the transaction has failed and cannot continue"))
    }

    /// Runs a step on a thread.
    async fn run(&mut self, step: impl FnOnce(&Open) -> Result<()> + Send + 'static) -> Result<()> {
        let open = self.take()?;
        let (open, done) = blocking(move || {
            let done = step(&open);
            Ok((open, done))
        })
        .await?;
        self.0 = Some(open);
        done
    }
}

#[async_trait]
impl Branch for SqliteTransaction {
    async fn write(&mut self, _: RecordBatch) -> Result<()> {
        Err(Error::internal("rows were written to a transaction without a statement"))
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        self.rollback().await?;
        Err(Error::new(ErrorKind::Unsupported, "SQLite cannot prepare transactions and supports only one-phase commit"))
    }

    async fn commit_one_phase(mut self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        let open = self.take()?;
        blocking(move || open.commit(record)).await
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        let open = self.0.take();
        blocking(move || {
            drop(open);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl OpenTransaction for SqliteTransaction {
    /// No other connection can write.
    async fn lock(&mut self, _: &WriteSpec, _: &Arc<Change>) -> Result<()> {
        Ok(())
    }

    async fn start(
        mut self: Box<Self>,
        spec: &WriteSpec,
        change: Option<&Arc<Change>>,
        rescue: Option<Rescue>,
    ) -> Result<Box<dyn Branch>> {
        let mut open = self.take()?;
        open.rescue = rescue;
        // Other statements may need the indexes.
        let spec = WriteSpec { indexes: Indexes::Keep, ..spec.clone() };
        Ok(Box::new(SqliteBranch::start_in(open, spec, change.cloned()).await?))
    }

    async fn savepoint(&mut self, step: Savepoint) -> Result<()> {
        let run = move |open: &Open| {
            let done = open.lease.connection.execute_batch(&step.sql());
            done.map_err(|error| open.database.error(error))
        };
        self.run(run).await
    }

    async fn query(&mut self, query: &Query, batches: &Batches) -> Result<()> {
        let (query, batches) = (query.clone(), batches.clone());
        self.run(move |open| scan::read(&open.database, &open.lease.connection, &query, &batches)).await
    }
}
