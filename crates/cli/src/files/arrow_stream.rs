//! A stream of Arrow IPC that is read in parts.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;

use super::typed_file::{Decode, DecodeResult};

/// The first bytes of the format of files, which has its contents at the end.
pub(super) const FILE_MAGIC: &[u8] = b"ARROW1";

/// The batches of a stream.
#[derive(Debug, Default)]
pub(super) struct ArrowStream {
    decoder: StreamDecoder,
    bytes: Buffer,
    /// Batches that were read.
    batches: u64,
    /// Batches that were read by an earlier run.
    start: u64,
    /// A batch that was read with the schema.
    first: Option<RecordBatch>,
}

impl ArrowStream {
    /// A stream whose first batches are skipped.
    pub(super) fn new(start: u64) -> Self {
        Self { start, ..Self::default() }
    }
}

impl Decode for ArrowStream {
    fn add(&mut self, part: Bytes) {
        // The decoder has taken all bytes before it asks for more.
        self.bytes = part.into();
    }

    fn schema(&mut self) -> DecodeResult<Option<SchemaRef>> {
        if self.first.is_none() {
            self.first = self.decoder.decode(&mut self.bytes)?;
        }
        Ok(self.decoder.schema())
    }

    fn next(&mut self, is_at_end: bool) -> DecodeResult<Option<RecordBatch>> {
        loop {
            let batch = match self.first.take() {
                Some(first) => Some(first),
                None => self.decoder.decode(&mut self.bytes)?,
            };
            let Some(batch) = batch else {
                if is_at_end {
                    self.decoder.finish().map_err(|_| "is cut off: it ends in the middle of a batch")?;
                }
                return Ok(None);
            };
            self.batches += 1;
            if self.batches > self.start {
                return Ok(Some(batch));
            }
        }
    }

    fn position(&self) -> u64 {
        self.batches
    }
}
