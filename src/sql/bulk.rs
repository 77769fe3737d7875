//! A branch that encodes rows in the caller's task and sends them in a separate task: the shared part of the servers' bulk
//! paths.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use crossbeam_queue::ArrayQueue;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::encoded::{Buffer, EncodedChunk, EncodedRows, FreeList, LookupRequest, RowEncoder};
use super::sender::{RowSender, ServerSession, attempt, commit, undone};
use crate::backend::{Attempt, Branch, Encoded, LookupAnswer, OpenTransaction, Outcome, Versions, Vote};
use crate::buffer::{Limits, Memory, Sender, Weight, buffer};
use crate::error::{Error, Result};
use crate::txn::{DecisionRecord, Xid};

/// The maximum number of rows that are encoded at a time, which bounds the memory for a huge batch.
const SLICE_ROWS: usize = 8_192;

/// The number of encoded chunks that can wait to be sent while the next ones are encoded.
const QUEUED_CHUNKS: usize = 4;

/// How long a statement may continue after its write was abandoned, before the server is asked to cancel it.
const GRACE: Duration = Duration::from_millis(200);

/// How long a server may take to accept the request to cancel a statement.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a server may take to roll back before its connection is dropped.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a server that rolls back is asked whether it still works on it.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The parts of a batch that are encoded at a time.
fn slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + use<'_> {
    let rows = batch.num_rows();
    (0..rows).step_by(SLICE_ROWS).map(move |first| batch.slice(first, SLICE_ROWS.min(rows - first)))
}

/// An open branch. When the channel closes, the task sends the queued chunks and returns the sender.
pub struct BulkBranch<E, S: RowSender> {
    xid: Xid,
    encoder: E,
    rows: u64,
    memory: Memory,
    sending: Option<Sender<EncodedChunk>>,
    free_list: FreeList,
    task: Option<JoinHandle<Result<S>>>,
    /// The sender while no task uses it.
    sender: Option<S>,
    session: S::Session,
    abandoned: Arc<AtomicBool>,
    /// The rows of the last attempt, and the error of a row.
    attempting: Option<(Vec<RecordBatch>, oneshot::Receiver<Option<Error>>)>,
}

/// Rows of an attempt.
struct EncodedBatch {
    rows: RecordBatch,
    chunks: Vec<EncodedChunk>,
}

impl<E: RowEncoder, S: RowSender> BulkBranch<E, S> {
    /// Starts a branch whose buffers reserve their bytes in `memory`.
    pub fn start(xid: &Xid, encoder: E, sender: S, memory: Memory) -> Self {
        Self {
            xid: *xid,
            encoder,
            rows: 0,
            memory,
            sending: None,
            free_list: Arc::new(ArrayQueue::new(QUEUED_CHUNKS)),
            task: None,
            session: sender.session(),
            sender: Some(sender),
            abandoned: Arc::default(),
            attempting: None,
        }
    }

    /// The channel to the sending task, which is started if none runs.
    fn sending(&mut self) -> Result<&mut Sender<EncodedChunk>> {
        if self.sending.is_none() {
            let sender = self.sender.take();
            let mut sender = sender.ok_or_else(|| Error::internal("the branch has failed and cannot continue"))?;
            let (chunks, queued) = buffer(Limits::items(QUEUED_CHUNKS));
            let (free_list, seen) = (Arc::clone(&self.free_list), Arc::clone(&self.abandoned));
            self.task = Some(tokio::spawn(async move {
                match sender.send_all(queued, &free_list, &seen).await {
                    Ok(()) => Ok(sender),
                    Err(error) => Err(undone(sender, error).await),
                }
            }));
            self.sending = Some(chunks);
        }
        self.sending.as_mut().ok_or_else(|| Error::internal("the task that sends rows has not started"))
    }

    /// Waits until all rows are sent. After an error, the transaction is rolled back.
    async fn finish(&mut self) -> Result<()> {
        self.sending = None;
        if let Some(task) = &mut self.task {
            let ended = task.await;
            self.task = None;
            let ended = ended.map_err(|error| Error::internal(format!("the task that sends rows failed: {error}")))?;
            self.sender = Some(ended?);
        }
        Ok(())
    }

    async fn take_sender(&mut self) -> Result<S> {
        self.finish().await?;
        self.sender.take().ok_or_else(|| Error::internal("the branch has failed and cannot continue"))
    }

    /// The sender, if all rows were sent.
    async fn take_whole_sender(&mut self) -> Result<S> {
        let sender = self.take_sender().await?;
        if self.abandoned.load(Relaxed) {
            sender.rollback().await;
            return Err(Error::internal("the branch has failed and cannot be committed"));
        }
        Ok(sender)
    }
}

impl<E, S: RowSender> fmt::Debug for BulkBranch<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BulkBranch({}, {} rows)", self.xid, self.rows)
    }
}

#[async_trait]
impl<E: RowEncoder, S: RowSender> Branch for BulkBranch<E, S> {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        // After an error, earlier rows may already be sent, so the branch can only be rolled back.
        if self.sending.is_none() {
            // Pending lookups are answered first.
            self.finish().await?;
        }
        let abandoned = Arc::clone(&self.abandoned);
        let give_up = |_: &Error| abandoned.store(true, Relaxed);
        for slice in slices(&batch) {
            let mut rows = self.encoder.encode(&slice).inspect_err(give_up)?;
            self.encoder.note(&slice);
            loop {
                let mut buffer = self.free_list.pop().unwrap_or_else(|| Buffer::new(&self.memory));
                let written = rows.write(&mut buffer.bytes).inspect_err(give_up);
                let written = written.map_err(|error| match error.row().map(|row| self.rows + row as u64 + 1) {
                    Some(row) => error.in_rows(row, row, ""),
                    None => error,
                });
                let Some(count) = written? else { break };
                buffer.count();
                let chunk = EncodedChunk { buffer, rows: count as u64 };
                if self.sending()?.send(chunk, Weight::default()).await.is_err() {
                    // The task has failed; its result contains the reason.
                    self.finish().await?;
                    return Err(Error::internal("the task that sends rows ended unexpectedly"));
                }
            }
            self.rows += slice.num_rows() as u64;
        }
        Ok(())
    }

    fn encode_rows(&mut self, rows: &RecordBatch) -> Result<Encoded> {
        let mut chunks = Vec::new();
        for slice in slices(rows) {
            let mut rows = self.encoder.encode(&slice)?;
            loop {
                let mut buffer = self.free_list.pop().unwrap_or_else(|| Buffer::new(&self.memory));
                let Some(count) = rows.write(&mut buffer.bytes)? else { break };
                buffer.count();
                chunks.push(EncodedChunk { buffer, rows: count as u64 });
            }
        }
        Ok(Encoded::new(EncodedBatch { rows: rows.clone(), chunks }))
    }

    async fn attempt(&mut self, rows: Vec<Encoded>) -> Result<()> {
        let (mut batches, mut encoded) = (Vec::new(), Vec::new());
        for rows in rows {
            let EncodedBatch { rows, chunks } = rows.into_form()?;
            batches.push(rows);
            encoded.extend(chunks);
        }
        let (mut chunks, queued) = buffer(Limits::items(encoded.len().max(1)));
        for chunk in encoded {
            // There is room for all of them.
            let _ = chunks.send(chunk, Weight::default()).await;
        }
        drop(chunks);
        let mut sender = self.take_sender().await?;
        let (free_list, seen) = (Arc::clone(&self.free_list), Arc::clone(&self.abandoned));
        let (answer, refused) = oneshot::channel();
        // In a task, so that a caller that stops waiting still has the connection, and can cancel its statement.
        self.task = Some(tokio::spawn(async move {
            match attempt(&mut sender, queued, &free_list, &seen).await {
                Ok(refused) => {
                    // Sending fails only if the caller no longer waits.
                    let _ = answer.send(refused);
                    Ok(sender)
                }
                Err(error) => Err(undone(sender, error).await),
            }
        }));
        self.attempting = Some((batches, refused));
        Ok(())
    }

    async fn attempted(&mut self) -> Result<Attempt> {
        self.finish().await?;
        let Some((batches, refused)) = self.attempting.take() else {
            return Err(Error::internal("nothing is attempted"));
        };
        let refused = refused.await.map_err(|_| Error::internal("the task that sends rows ended unexpectedly"))?;
        if let Some(error) = refused {
            return Ok(Attempt::Refused(error.map_rows(|row| {
                let row = row.saturating_sub(self.rows);
                (row, row)
            })));
        }
        for batch in batches {
            self.rows += batch.num_rows() as u64;
            self.encoder.note(&batch);
        }
        Ok(Attempt::Accepted)
    }

    async fn lookup(&mut self, rows: &RecordBatch) -> Result<Option<LookupAnswer>> {
        let Some(LookupRequest { new, key, statements }) = self.encoder.lookup_request(rows)? else { return Ok(None) };
        let (mut sender, schema) = (self.take_sender().await?, new.schema());
        // In a task, so that a caller that stops waiting still has the connection, and can cancel its statement.
        let (answer, old) = oneshot::channel();
        self.task = Some(tokio::spawn(async move {
            // Sending fails only if the caller no longer waits.
            let _ = answer.send(sender.read(statements, schema).await);
            Ok(sender)
        }));
        Ok(Some(Box::pin(async move {
            let old = old.await.map_err(|_| Error::internal("the task that reads rows ended unexpectedly"))?;
            let old = old.and_then(|found| found()).map_err(|error| error.with_context("reading existing rows"));
            Ok(old?.map(|old| Versions { new, old, key }))
        })))
    }

    async fn flush(&mut self) -> Result<()> {
        self.finish().await?;
        if !self.sender.as_ref().is_some_and(S::changes) || self.abandoned.load(Relaxed) {
            return Ok(());
        }
        // In a task, like sending, so that a caller that stops waiting can cancel the statement.
        let mut sender = self.take_sender().await?;
        self.task = Some(tokio::spawn(async move {
            match sender.apply().await {
                Ok(()) => Ok(sender),
                Err(error) => Err(undone(sender, error).await),
            }
        }));
        self.finish().await
    }

    async fn prepare(mut self: Box<Self>) -> Result<Vote> {
        let xid = self.xid;
        self.take_whole_sender().await?.prepare(&xid).await
    }

    async fn end_statement(mut self: Box<Self>) -> Result<Box<dyn OpenTransaction>> {
        self.take_whole_sender().await?.end_statement().await
    }

    async fn commit_one_phase(mut self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        commit(self.take_whole_sender().await?, record).await
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        self.abandoned.store(true, Relaxed);
        let (session, task) = (self.session.clone(), self.task.as_ref().map(JoinHandle::abort_handle));
        let undone = async {
            // A failed task has already rolled back.
            if let Ok(sender) = self.take_sender().await {
                sender.rollback().await;
            }
        };
        let mut undone = pin!(undone);
        if timeout(GRACE, &mut undone).await.is_ok() {
            return Ok(());
        }
        let working = async {
            let is_canceled = timeout(CANCEL_TIMEOUT, session.cancel()).await;
            while is_canceled == Ok(true) {
                tokio::time::sleep(LOOK_INTERVAL).await;
                if timeout(CANCEL_TIMEOUT, session.works()).await != Ok(true) {
                    break;
                }
            }
        };
        let is_undone = tokio::select! {
            biased;
            () = &mut undone => true,
            () = working => false,
            () = tokio::time::sleep(ROLLBACK_TIMEOUT) => false,
        };
        if let (false, Some(task)) = (is_undone, task) {
            // The server does not answer. It rolls back when the connection is closed.
            task.abort();
        }
        Ok(())
    }
}

impl<E, S: RowSender> Drop for BulkBranch<E, S> {
    fn drop(&mut self) {
        self.abandoned.store(true, Relaxed);
    }
}
