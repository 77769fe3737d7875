//! A branch that encodes rows where they come from, and sends them from a task of its own: what the bulk paths of the
//! servers have in common.

use std::fmt;
use std::io;
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

use crate::backend::{Branch, LookupAnswer, Outcome, Versions, Vote};
use crate::buffer::{Limits, Memory, Receiver, Reservation, Sender, Weight, buffer};
use crate::error::{Error, ErrorKind, Result};
use crate::txn::{DecisionRecord, Xid};

/// Rows that are looked at together, at most: what a huge batch takes beside itself is bounded by it.
const SLICE_ROWS: usize = 8_192;

/// Chunks that wait to be sent: the next ones are made while this many are on their way.
const QUEUED_CHUNKS: usize = 4;

/// How long a statement may go on after the write was given up, before the server is told to cancel it.
const GRACE: Duration = Duration::from_millis(200);

/// How long a server may take to roll back before its connection is dropped.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Encoded rows.
#[derive(Debug)]
pub struct EncodedChunk {
    /// The rows, as the server takes them.
    pub buffer: Buffer,
    /// How many there are.
    pub rows: u64,
}

impl EncodedChunk {
    /// The rows, as the server takes them.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.bytes
    }
}

/// A buffer for encoded rows, and its reservation of the memory; used again when it was sent.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    reservation: Reservation,
}

impl Buffer {
    fn new(memory: &Memory) -> Self {
        Self { bytes: Vec::new(), reservation: memory.reserve_now(0) }
    }

    /// Takes as much of the memory as it has become.
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

/// Buffers that were sent. Where nobody needs another one, it goes.
pub type FreeList = Arc<ArrayQueue<Buffer>>;

/// Turns batches into rows of the server.
pub trait RowEncoder: Send {
    /// Rows on their way into buffers.
    type Rows: EncodedRows;

    /// Encodes the next rows of the stream.
    fn encode(&mut self, slice: &RecordBatch) -> Result<Self::Rows>;

    /// How the rows that are there with the keys of these are asked for; `None` where they are not.
    fn lookup_request(&mut self, rows: &RecordBatch) -> Result<Option<LookupRequest>>;
}

/// Rows on their way into buffers of about the same size.
pub trait EncodedRows: Send {
    /// Makes `out` the next rows, whatever it was, and says how many; `None` when there are no more.
    fn write(&mut self, out: &mut Vec<u8>) -> Result<Option<usize>>;
}

/// Asks for rows that are in the table.
#[derive(Debug)]
pub struct LookupRequest {
    /// The rows that they are to be compared with, as they would be read.
    pub new: RecordBatch,
    /// The columns of the key.
    pub key: Vec<usize>,
    /// Each brings some of the rows.
    pub statements: Vec<Vec<u8>>,
}

/// Rows that were read, before they become columns; `None` where they have a value that cannot be read.
pub type LookupResult = Box<dyn FnOnce() -> Result<Option<RecordBatch>> + Send>;

/// Sends encoded rows by an open transaction. Dropping it closes the connection, and the server rolls back.
#[async_trait]
pub trait RowSender: Send + Sized + 'static {
    /// The server's side of a connection, as another one knows it.
    type Session: Session;

    /// The server's side of the connection.
    fn session(&self) -> Self::Session;

    /// Sends chunks until there are no more, or `abandoned` is set; buffers that are sent go back by `free_list`.
    async fn send_all(
        &mut self,
        chunks: Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<()>;

    /// Reads the rows that statements bring; they become columns of that schema while the next ones are read.
    async fn read(&mut self, statements: Vec<Vec<u8>>, schema: SchemaRef) -> Result<LookupResult>;

    /// Whether something is to be done with the rows that were sent.
    fn changes(&self) -> bool;

    /// Does it.
    async fn apply(&mut self) -> Result<()>;

    /// Prepares the transaction under a name; its connection waits for the outcome.
    async fn prepare(self, xid: &Xid) -> Result<Vote>;

    /// What the transaction has to do before its commit.
    async fn before_commit(&mut self) -> Result<()> {
        Ok(())
    }

    /// Stores a record in the ledger, in this transaction; gives the record that stands there for its epoch.
    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord>;

    /// Commits. The error `Unavailable` means that the server did not answer and the outcome is unknown. After any other
    /// error the server has rolled back.
    async fn commit(self) -> Result<()>;

    /// Rolls back, after an error too; says whether the server did it. A connection that was lost rolls back by itself.
    async fn undo(&mut self) -> bool;

    /// Rolls back, and gives the connection back.
    async fn rollback(self);
}

/// A connection that another one can reach.
#[async_trait]
pub trait Session: Clone + Send + Sync {
    /// Cancels the statement that runs in it, if one does.
    async fn cancel(&self);

    /// Whether it is there; not where that cannot be seen.
    async fn lives(&self) -> bool;

    /// Waits until it is over, as far as that can be seen: what it was told to do last is then done or not.
    async fn ended(&self) {
        let ended = async {
            while self.lives().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        // What shows later is found by recovery.
        let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
    }
}

/// What is said of a connection that failed so.
pub fn lost_connection(location: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            format!("no server at {location}: check host and port, and that it is running")
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            format!("the connection to {location} was lost: look at the server's log, and run it again")
        }
        _ => format!("{location} cannot be reached"),
    }
}

/// The error of a commit whose connection was lost before the answer.
fn lost_commit(record: Option<&DecisionRecord>) -> Error {
    let next = match record {
        Some(record) => {
            format!("run job '{}' again, which writes the rows if they are not there", record.job)
        }
        None => "look whether the rows are there before you run it again (with the option 'job' a re-run would find \
                 out by itself)"
            .to_owned(),
    };
    Error::new(ErrorKind::InDoubt, format!("the connection was lost while it committed: {next}"))
}

/// An open branch. Closing the channel lets the task finish what is queued and give the sender back.
pub struct BulkBranch<E, S: RowSender> {
    xid: Xid,
    encoder: E,
    rows: u64,
    memory: Memory,
    sending: Option<Sender<EncodedChunk>>,
    free_list: FreeList,
    task: Option<JoinHandle<Result<S>>>,
    /// What no task has.
    sender: Option<S>,
    session: S::Session,
    abandoned: Arc<AtomicBool>,
}

impl<E: RowEncoder, S: RowSender> BulkBranch<E, S> {
    /// A branch whose buffers reserve their bytes of a memory.
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

    /// The way to the task that sends, which is started where none is.
    fn sending(&mut self) -> Result<&mut Sender<EncodedChunk>> {
        if self.sending.is_none() {
            let sender = self.sender.take();
            let mut sender = sender.ok_or_else(|| Error::internal("the branch failed before and cannot go on"))?;
            let (chunks, queued) = buffer(Limits::items(QUEUED_CHUNKS));
            let (free_list, seen) = (Arc::clone(&self.free_list), Arc::clone(&self.abandoned));
            self.task = Some(tokio::spawn(async move {
                if let Err(error) = sender.send_all(queued, &free_list, &seen).await {
                    sender.undo().await;
                    return Err(error);
                }
                Ok(sender)
            }));
            self.sending = Some(chunks);
        }
        self.sending.as_mut().ok_or_else(|| Error::internal("rows are not sent"))
    }

    /// Waits until all rows are sent; an error has rolled the transaction back.
    async fn finish(&mut self) -> Result<()> {
        self.sending = None;
        if let Some(task) = &mut self.task {
            let ended = task.await;
            self.task = None;
            let ended = ended.map_err(|error| Error::internal(format!("the task that sends rows ended: {error}")))?;
            self.sender = Some(ended?);
        }
        Ok(())
    }

    async fn take_sender(&mut self) -> Result<S> {
        self.finish().await?;
        self.sender.take().ok_or_else(|| Error::internal("the branch failed before and cannot go on"))
    }

    /// The sender, where all rows went to it.
    async fn take_whole_sender(&mut self) -> Result<S> {
        let sender = self.take_sender().await?;
        if self.abandoned.load(Relaxed) {
            sender.rollback().await;
            return Err(Error::internal("the branch failed before and cannot be committed"));
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
        // Rows before one that fails may be sent: the branch can only be rolled back.
        if self.sending.is_none() {
            // What was asked for is answered first.
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
                    // The task takes no more: it has failed, and says why.
                    self.finish().await?;
                    return Err(Error::internal("the task that sends rows ended early"));
                }
            }
            self.rows += slice.num_rows() as u64;
        }
        Ok(())
    }

    async fn lookup(&mut self, rows: &RecordBatch) -> Result<Option<LookupAnswer>> {
        let Some(LookupRequest { new, key, statements }) = self.encoder.lookup_request(rows)? else { return Ok(None) };
        let (mut sender, schema) = (self.take_sender().await?, new.schema());
        // In a task: whoever stops waiting finds the connection where it is, and can cancel what it does.
        let (answer, old) = oneshot::channel();
        self.task = Some(tokio::spawn(async move {
            // Nobody waits for it any more where this fails.
            let _ = answer.send(sender.read(statements, schema).await);
            Ok(sender)
        }));
        Ok(Some(Box::pin(async move {
            let old = old.await.map_err(|_| Error::internal("the task that reads rows ended"))?;
            let old =
                old.and_then(|found| found()).map_err(|error| error.with_context("reading the rows that are there"));
            Ok(old?.map(|old| Versions { new, old, key }))
        })))
    }

    async fn flush(&mut self) -> Result<()> {
        self.finish().await?;
        if !self.sender.as_ref().is_some_and(S::changes) || self.abandoned.load(Relaxed) {
            return Ok(());
        }
        // In a task, as what sends: whoever stops waiting can cancel what the connection does.
        let mut sender = self.take_sender().await?;
        self.task = Some(tokio::spawn(async move {
            if let Err(error) = sender.apply().await {
                sender.undo().await;
                return Err(error);
            }
            Ok(sender)
        }));
        self.finish().await
    }

    async fn prepare(mut self: Box<Self>) -> Result<Vote> {
        let xid = self.xid;
        self.take_whole_sender().await?.prepare(&xid).await
    }

    async fn commit_one_phase(mut self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        let mut sender = self.take_whole_sender().await?;
        sender.before_commit().await?;
        if let Some(record) = &record {
            let stands = sender.decide(record).await?;
            if stands != *record {
                sender.rollback().await;
                return Ok(Outcome::Fenced(stands));
            }
        }
        match sender.commit().await {
            Ok(()) => Ok(Outcome::Committed),
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(lost_commit(record.as_ref())),
            Err(error) => Err(error.with_context("committing")),
        }
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        self.abandoned.store(true, Relaxed);
        let (session, task) = (self.session.clone(), self.task.as_ref().map(JoinHandle::abort_handle));
        let undone = async {
            // A task that failed has rolled back.
            if let Ok(sender) = self.take_sender().await {
                sender.rollback().await;
            }
        };
        let mut undone = pin!(undone);
        if tokio::time::timeout(GRACE, &mut undone).await.is_ok() {
            return Ok(());
        }
        session.cancel().await;
        if tokio::time::timeout(ROLLBACK_TIMEOUT, undone).await.is_err()
            && let Some(task) = task
        {
            // The server does not answer. Without a connection it rolls back by itself.
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
