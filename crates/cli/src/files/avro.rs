//! The container of an Avro file: <https://avro.apache.org/docs/1.12.0/specification/#object-container-files>.
//!
//! Landfall finds the blocks itself, and gives them to arrow-avro one by one: its reader ends at a block that is cut off as if
//! the file ended before it, and does not compare the markers.

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow_avro::reader::ReaderBuilder;
use bytes::Bytes;

use super::typed_file::{Decode, DecodeResult};

const MAGIC: &[u8] = b"Obj\x01";

/// The number of rows that the reader of a block is told: the highest. It ends where the batch is full, and looks for more after
/// that. Of fewer rows than there are, it would look for the last ones for ever.
const MANY: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

/// Bytes of the marker between two blocks.
const SYNC_BYTES: usize = 16;

/// Rows of a batch, at least, if the file has as many.
const BATCH_ROWS: usize = 8_192;

/// Bytes of a batch's blocks, at most, unless a single block has more.
const BATCH_BYTES: usize = 4 << 20;

/// Bytes of the header, at most.
const HEADER_BYTES: usize = 64 << 20;

/// Bytes of a block, at most: a damaged file can say that it has any number.
const BLOCK_BYTES: usize = 1 << 30;

/// A block at the beginning of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    rows: usize,
    /// The place of what follows the number of rows.
    contents: usize,
    /// Its bytes, with the marker after it.
    length: usize,
}

/// A number in variable-length zig-zag coding, and the bytes after it; `None` if there are too few.
fn long(bytes: &[u8]) -> Result<Option<(i64, &[u8])>, &'static str> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let number = (value >> 1) as i64 ^ -((value & 1) as i64);
            return Ok(Some((number, &bytes[index + 1..])));
        }
    }
    if bytes.len() < 10 { Ok(None) } else { Err("is damaged: it contains a number of more than ten bytes") }
}

/// A length, and the bytes after it.
fn length(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, &'static str> {
    let Some((number, rest)) = long(bytes)? else { return Ok(None) };
    let length = usize::try_from(number).ok().filter(|length| *length <= BLOCK_BYTES);
    length
        .map(|length| Some((length, rest)))
        .ok_or("has a block of more than 1 GiB: the file is damaged, or must be written with smaller blocks")
}

/// The length of the header at the beginning of a file, which ends with the marker; `None` if there are too few bytes.
fn header(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Err("is not an Avro file");
    }
    let mut rest = &bytes[known..];
    loop {
        let Some((count, after)) = long(rest)? else { return Ok(None) };
        rest = after;
        if count < 0 {
            let Some((_, after)) = long(rest)? else { return Ok(None) };
            rest = after;
        }
        if count == 0 {
            let length = bytes.len() - rest.len() + SYNC_BYTES;
            return Ok((length <= bytes.len()).then_some(length));
        }
        // A key and a value each.
        for _ in 0..count.unsigned_abs().saturating_mul(2) {
            let Some((length, after)) = length(rest)? else { return Ok(None) };
            let Some(after) = after.get(length..) else { return Ok(None) };
            rest = after;
        }
    }
}

/// The block at the beginning of bytes; `None` if there are too few.
fn block(bytes: &[u8], marker: &[u8]) -> Result<Option<Block>, &'static str> {
    let Some((rows, rest)) = length(bytes)? else { return Ok(None) };
    let contents = bytes.len() - rest.len();
    let Some((size, rest)) = length(rest)? else { return Ok(None) };
    match rest.get(size..size + SYNC_BYTES) {
        None => Ok(None),
        Some(found) if found == marker => {
            Ok(Some(Block { rows, contents, length: bytes.len() - rest.len() + size + SYNC_BYTES }))
        }
        Some(_) => Err("is damaged: a block does not end with the marker of the file"),
    }
}

/// The rows of an Avro file that is read in parts.
#[derive(Debug, Default)]
pub(super) struct Avro {
    header: Vec<u8>,
    schema: Option<SchemaRef>,
    /// Bytes after the header that are not decoded yet, from `at` on.
    bytes: Vec<u8>,
    at: usize,
    /// Bytes of the file before `at`.
    before: u64,
    /// Where to begin.
    start: u64,
    /// The blocks of the next batch, and their rows.
    batches: Vec<RecordBatch>,
    rows: usize,
    size: usize,
}

impl Avro {
    /// A file whose blocks are read from a position on.
    pub(super) fn new(start: u64) -> Self {
        Self { start, ..Self::default() }
    }

    /// Reads the header, and skips what is before the start; whether that is done.
    fn begin(&mut self) -> DecodeResult<bool> {
        if self.schema.is_none() {
            let length = match header(&self.bytes)? {
                Some(length) => length,
                None if self.bytes.len() > HEADER_BYTES => {
                    return Err("is damaged: its header is longer than 64 MiB".into());
                }
                None => return Ok(false),
            };
            self.header = self.bytes.drain(..length).collect();
            self.before = length as u64;
            self.schema = Some(ReaderBuilder::new().build(self.header.as_slice())?.schema());
        }
        let skips = usize::try_from(self.start.saturating_sub(self.before)).unwrap_or(usize::MAX);
        let skipped = skips.min(self.bytes.len() - self.at);
        self.at += skipped;
        self.before += skipped as u64;
        Ok(skipped == skips)
    }

    /// The rows of a block.
    fn decoded(&self, block: Block, bytes: &[u8]) -> DecodeResult<RecordBatch> {
        let contents = self.header.as_slice().chain(MANY).chain(&bytes[block.contents..block.length]);
        let mut reader = ReaderBuilder::new().with_batch_size(block.rows).build(contents)?;
        let damaged = "is damaged: the number of rows of a block differs from the number in the header of the block";
        match (reader.next().transpose()?, reader.next()) {
            (Some(batch), None) if batch.num_rows() == block.rows => Ok(batch),
            _ => Err(damaged.into()),
        }
    }
}

impl Decode for Avro {
    fn add(&mut self, part: Bytes) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(&part);
    }

    fn schema(&mut self) -> DecodeResult<Option<SchemaRef>> {
        Ok(if self.begin()? { self.schema.clone() } else { None })
    }

    fn next(&mut self, is_at_end: bool) -> DecodeResult<Option<RecordBatch>> {
        let cut_off = "is cut off: it ends in the middle of a block";
        if !self.begin()? {
            return if is_at_end { Err(cut_off.into()) } else { Ok(None) };
        }
        while self.rows < BATCH_ROWS && self.size < BATCH_BYTES {
            let marker = &self.header[self.header.len() - SYNC_BYTES..];
            let rest = &self.bytes[self.at..];
            let Some(block) = block(rest, marker)? else {
                match is_at_end {
                    true if rest.is_empty() => break,
                    true => return Err(cut_off.into()),
                    false => return Ok(None),
                }
            };
            if block.rows > 0 {
                self.batches.push(self.decoded(block, rest)?);
                self.rows += block.rows;
            }
            self.size += block.length;
            self.at += block.length;
            self.before += block.length as u64;
        }
        (self.rows, self.size) = (0, 0);
        let batches = std::mem::take(&mut self.batches);
        Ok(match batches.first() {
            Some(first) => Some(concat_batches(&first.schema(), &batches)?),
            None => None,
        })
    }

    fn position(&self) -> u64 {
        self.before
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zig_zag_coded() {
        for (bytes, expected) in [
            (&[0][..], Ok(Some((0, 0)))),
            (&[1, 7], Ok(Some((-1, 1)))),
            (&[2], Ok(Some((1, 0)))),
            (&[0x80, 0x01], Ok(Some((64, 0)))),
            (&[0x80], Ok(None)),
            (&[], Ok(None)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(Some((i64::MIN, 0)))),
        ] {
            assert_eq!(
                long(bytes).map(|found| found.map(|(number, rest)| (number, rest.len()))),
                expected,
                "{bytes:?}"
            );
        }
        long(&[0x80; 10]).unwrap_err();
        length(&[1]).unwrap_err();
    }

    #[test]
    fn a_header_and_a_block_are_found_when_they_are_whole() {
        // One member, k with the value vw; then the marker.
        let mut bytes = b"Obj\x01\x02\x02k\x04vw\x00".to_vec();
        bytes.extend([7; SYNC_BYTES]);
        let end = bytes.len();
        for known in 0..end {
            assert_eq!(header(&bytes[..known]), Ok(None), "{known}");
        }
        assert_eq!(header(&bytes), Ok(Some(end)));
        assert_eq!(header(b"PAR1"), Err("is not an Avro file"));
        let mut bytes = vec![4, 6, 1, 2, 3];
        bytes.extend([7; SYNC_BYTES]);
        for known in 0..bytes.len() {
            assert_eq!(block(&bytes[..known], &[7; SYNC_BYTES]), Ok(None), "{known}");
        }
        assert_eq!(block(&bytes, &[7; SYNC_BYTES]), Ok(Some(Block { rows: 2, contents: 1, length: bytes.len() })));
        assert!(block(&bytes, &[8; SYNC_BYTES]).is_err());
    }
}
