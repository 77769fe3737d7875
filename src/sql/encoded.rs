//! Rows in a server's format, and what encodes them.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use crossbeam_queue::ArrayQueue;

use crate::buffer::{Memory, Receiver, Reservation};
use crate::error::Result;

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
    pub(super) bytes: Vec<u8>,
    reservation: Reservation,
}

impl Buffer {
    pub(super) fn new(memory: &Memory) -> Self {
        Self { bytes: Vec::new(), reservation: memory.reserve_now(0) }
    }

    /// Adjusts the reservation to the buffer's capacity.
    pub(super) fn count(&mut self) {
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

/// The chunks of a branch, in their order.
#[derive(Debug)]
pub struct Chunks {
    waiting: VecDeque<EncodedChunk>,
    queued: Receiver<EncodedChunk>,
}

impl Chunks {
    /// The chunks of a queue.
    pub fn new(queued: Receiver<EncodedChunk>) -> Self {
        Self { waiting: VecDeque::new(), queued }
    }

    /// The next chunk; `None` after the last one.
    pub async fn next(&mut self) -> Option<EncodedChunk> {
        match self.waiting.pop_front() {
            Some(chunk) => Some(chunk),
            None => self.queued.recv().await,
        }
    }

    /// Waits for this many bytes. Returns whether there are as many.
    pub async fn have(&mut self, bytes: usize) -> bool {
        let mut found: usize = self.waiting.iter().map(|chunk| chunk.bytes().len()).sum();
        while found < bytes {
            let Some(chunk) = self.queued.recv().await else { return false };
            found += chunk.bytes().len();
            self.waiting.push_back(chunk);
        }
        true
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

    /// Notes encoded rows that are written.
    fn note(&mut self, _: &RecordBatch) {}

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
