//! A branch that encodes rows in the caller's task and sends them in a separate task: the shared part of the servers' bulk
//! paths.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use crossbeam_queue::ArrayQueue;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::lost::{cause, lost_commit};
use crate::backend::{Branch, LookupAnswer, OpenTransaction, Outcome, Versions, Vote};
use crate::buffer::{Limits, Memory, Receiver, Reservation, Sender, Weight, buffer};
use crate::error::{Error, ErrorKind, Result};
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

/// Encoded rows.
#[derive(Debug)]
pub struct EncodedChunk {
    /// The rows, in the server's format.
    pub buffer: Buffer,
    /// The number of rows.
    pub rows: u64,
}

impl EncodedChunk {
    /// The rows, in the server's format.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.bytes
    }
}

/// A buffer for encoded rows, and its memory reservation. It is reused after it was sent.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    reservation: Reservation,
}

impl Buffer {
    fn new(memory: &Memory) -> Self {
        Self { bytes: Vec::new(), reservation: memory.reserve_now(0) }
    }

    /// Adjusts the reservation to the buffer's capacity.
    fn count(&mut self) {
        if self.bytes.capacity() != self.reservation.bytes() {
            let memory = self.reservation.memory().clone();
            self.reservation = memory.reserve_now(self.bytes.capacity());
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Buffers that were sent and can be reused. Buffers beyond its capacity are dropped.
pub type FreeList = Arc<ArrayQueue<Buffer>>;

/// Encodes batches as rows of the server.
pub trait RowEncoder: Send {
    /// Rows that are being written into buffers.
    type Rows: EncodedRows;

    /// Encodes the next rows of the stream.
    fn encode(&mut self, slice: &RecordBatch) -> Result<Self::Rows>;

    /// The request for the existing rows with the keys of these rows; `None` if they are not compared.
    fn lookup_request(&mut self, rows: &RecordBatch) -> Result<Option<LookupRequest>>;
}

/// Rows that are being written into buffers of about the same size.
pub trait EncodedRows: Send {
    /// Replaces the contents of `out` with the next rows, and returns their number; `None` after the last row.
    fn write(&mut self, out: &mut Vec<u8>) -> Result<Option<usize>>;
}

/// A request for existing rows of the table.
#[derive(Debug)]
pub struct LookupRequest {
    /// The new rows to compare them with, as they would be read.
    pub new: RecordBatch,
    /// The columns of the key.
    pub key: Vec<usize>,
    /// The queries; each returns some of the rows.
    pub statements: Vec<Vec<u8>>,
}

/// Rows that were read, before they are decoded into columns; `None` if a value cannot be read.
pub type LookupResult = Box<dyn FnOnce() -> Result<Option<RecordBatch>> + Send>;

/// An open transaction of a connection. Dropping it closes the connection, and the server rolls back.
#[async_trait]
pub trait ServerTransaction: Send + Sized + 'static {
    /// The server's session of the connection, which other connections can refer to.
    type Session: ServerSession;

    /// The server's session of the connection.
    fn session(&self) -> Self::Session;

    /// Prepares the transaction under this name. Its connection waits for the outcome.
    async fn prepare(self, xid: &Xid) -> Result<Vote>;

    /// Runs the last statements of the transaction before its commit.
    async fn before_commit(&mut self) -> Result<()> {
        Ok(())
    }

    /// Stores a record in the ledger, in this transaction. Returns the record that stands for its epoch.
    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord>;

    /// Commits. The error `Unavailable` means that the server did not answer and the outcome is unknown. After any other
    /// error the server has rolled back.
    async fn commit(self) -> Result<()>;

    /// Rolls back, also after an error. Returns whether the server confirmed it. The server rolls back a lost connection.
    async fn undo(&mut self) -> bool;

    /// Rolls back, and returns the connection to the pool. With a [`Rescue`](crate::backend::Rescue), hands the transaction over
    /// instead.
    async fn rollback(self);
}

/// Sends encoded rows in an open transaction.
#[async_trait]
pub trait RowSender: ServerTransaction {
    /// Sends all chunks, until `abandoned` is set. Sent buffers go to `free_list`.
    async fn send_all(
        &mut self,
        chunks: Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<()>;

    /// Reads the rows of these queries. They are decoded into columns of the schema while the next ones are read.
    async fn read(&mut self, statements: Vec<Vec<u8>>, schema: SchemaRef) -> Result<LookupResult>;

    /// Whether a change must be applied from the staged rows.
    fn changes(&self) -> bool;

    /// Applies the change.
    async fn apply(&mut self) -> Result<()>;

    /// Ends the statement, after all its rows are sent.
    async fn end_statement(self) -> Result<Box<dyn OpenTransaction>>;
}

/// A session of the server that other connections can cancel and observe.
#[async_trait]
pub trait ServerSession: Clone + Send + Sync {
    /// Cancels its running statement, if any. Returns whether the server accepted the request.
    async fn cancel(&self) -> bool;

    /// Whether it runs a statement; `false` if the server does not respond.
    async fn works(&self) -> bool;

    /// Whether it still exists; `false` if this cannot be determined.
    async fn lives(&self) -> bool;

    /// Ends it, if the server allows this without the risk of ending another session.
    async fn end(&self) {}

    /// After its connection was lost, waits until it has ended, as far as this can be determined. Its last statement has then
    /// either taken effect or not, and it holds no locks.
    async fn ended(&self) {
        let ended = async {
            while self.lives().await {
                // It waits for a client that has gone. One that works may have committed, and wait for a standby.
                if !self.works().await {
                    self.end().await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        // Recovery finds a branch that appears later.
        let _ = timeout(Duration::from_secs(5), ended).await;
    }
}

/// Commits a transaction, and a record in it.
pub(super) async fn commit<S: ServerTransaction>(mut sender: S, record: Option<DecisionRecord>) -> Result<Outcome> {
    let session = sender.session();
    if let Err(error) = sender.before_commit().await {
        return Err(undone(sender, error).await);
    }
    if let Some(record) = &record {
        let stands = match sender.decide(record).await {
            Ok(stands) => stands,
            Err(error) => return Err(undone(sender, error).await),
        };
        if stands != *record {
            sender.rollback().await;
            return Ok(Outcome::Fenced(stands));
        }
    }
    match sender.commit().await {
        Ok(()) => Ok(Outcome::Committed),
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            session.ended().await;
            Err(lost_commit(record.as_ref()).with_source(cause(&error)))
        }
        Err(error) => Err(error.with_context("committing")),
    }
}

/// Rolls back after an error, and returns the error.
pub async fn undone<S: ServerTransaction>(sender: S, error: Error) -> Error {
    if error.kind() == ErrorKind::Unavailable {
        let session = sender.session();
        // A lost connection answers nothing more. The server rolls back when it is closed.
        drop(sender);
        session.ended().await;
    } else {
        sender.rollback().await;
    }
    error
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
        for first in (0..batch.num_rows()).step_by(SLICE_ROWS) {
            let slice = batch.slice(first, SLICE_ROWS.min(batch.num_rows() - first));
            let mut rows = self.encoder.encode(&slice).inspect_err(give_up)?;
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
