//! Rows of `COPY … TO STDOUT (FORMAT BINARY)`, collected until they are decoded column by column.

use super::cells::{HEADER, TRAILER};
use crate::error::{Error, ErrorKind, Result};

/// The position of a field in the collected rows; a negative length is NULL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) begin: u32,
    pub(super) length: i32,
}

/// Rows that were received and are not decoded yet.
#[derive(Debug)]
pub(super) struct ReceivedRows {
    bytes: Vec<u8>,
    columns: Vec<Vec<Field>>,
    count: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    BeforeHeader,
    InRows,
    AfterTrailer,
}

/// Where the bytes of rows are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bytes {
    Copied,
    /// In the message.
    Kept,
}

/// Maximum bytes of rows that are decoded at once, unless one row is longer.
const MAX_BYTES: usize = 32 * 1024 * 1024;

impl ReceivedRows {
    pub(super) fn new(columns: usize) -> Self {
        Self { bytes: Vec::new(), columns: vec![Vec::new(); columns], count: 0, state: State::BeforeHeader }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether the rows should be decoded before more are added.
    pub(super) fn is_full(&self, batch_size: usize) -> bool {
        self.count >= batch_size || self.bytes.len() >= MAX_BYTES
    }

    /// Adds a message of the stream. The server sends whole rows, and the header before the first one.
    ///
    /// # Errors
    /// `Decode` if it does not conform to the format.
    pub(super) fn push(&mut self, message: &[u8]) -> Result<()> {
        self.add(message, Bytes::Copied)
    }

    /// Like `push`, without a copy of the message: [`ReceivedRows::column_in`] returns its values. There must be no other
    /// rows.
    pub(super) fn locate(&mut self, message: &[u8]) -> Result<()> {
        self.add(message, Bytes::Kept)
    }

    fn add(&mut self, whole: &[u8], bytes: Bytes) -> Result<()> {
        let mut message = whole;
        if self.state == State::BeforeHeader {
            message = message.strip_prefix(&HEADER[..11]).filter(|rest| rest.len() >= 8).ok_or_else(broken)?;
            // Flags, and the length of an extension.
            let extension = u32::from_be_bytes(message[4..8].try_into().map_err(|_| broken())?);
            message = message.get(8 + extension as usize..).ok_or_else(broken)?;
            self.state = State::InRows;
        }
        while !message.is_empty() {
            if self.state == State::AfterTrailer {
                return Err(broken());
            }
            if message == TRAILER {
                self.state = State::AfterTrailer;
                return Ok(());
            }
            let base = match bytes {
                Bytes::Copied => self.bytes.len(),
                Bytes::Kept => whole.len() - message.len(),
            };
            message = self.push_row(message, base, bytes).ok_or_else(broken)?;
        }
        Ok(())
    }

    fn push_row<'a>(&mut self, message: &'a [u8], base: usize, bytes: Bytes) -> Option<&'a [u8]> {
        let (fields, mut at) = (u16::from_be_bytes(message.get(..2)?.try_into().ok()?), 2);
        if usize::from(fields) != self.columns.len() {
            return None;
        }
        for column in &mut self.columns {
            let length = i32::from_be_bytes(message.get(at..at + 4)?.try_into().ok()?);
            at += 4;
            column.push(Field { begin: u32::try_from(base + at).ok()?, length });
            at += usize::try_from(length).unwrap_or(0);
        }
        let row = message.get(..at)?;
        if bytes == Bytes::Copied {
            self.bytes.extend_from_slice(row);
        }
        self.count += 1;
        Some(&message[at..])
    }

    /// The values of a column.
    pub(super) fn column(&self, index: usize) -> Values<'_> {
        Values { bytes: &self.bytes, fields: &self.columns[index] }
    }

    /// The values of a column of a message that was added with [`ReceivedRows::locate`].
    pub(super) fn column_in<'a>(&'a self, message: &'a [u8], index: usize) -> Values<'a> {
        Values { bytes: message, fields: &self.columns[index] }
    }

    /// The number of bytes received.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes, and the positions of the fields of each column in them.
    pub(super) fn into_parts(self) -> (Vec<u8>, Vec<Vec<Field>>) {
        (self.bytes, self.columns)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.columns.iter_mut().for_each(Vec::clear);
        self.count = 0;
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Decode, "the server sent data that is not in COPY's binary format")
}

/// The values of a column, or the items of its arrays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) fields: &'a [Field],
}

impl<'a> Values<'a> {
    pub(super) fn iter(self) -> impl ExactSizeIterator<Item = Option<&'a [u8]>> {
        self.fields.iter().map(move |field| {
            let begin = field.begin as usize;
            (field.length >= 0).then(|| &self.bytes[begin..begin + field.length as usize])
        })
    }

    pub(super) fn len(self) -> usize {
        self.fields.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_format_is_an_error_and_no_panic() {
        let mut good = HEADER.to_vec();
        good.extend([0, 1, 0, 0, 0, 2, b'a', b'b']);
        let mut rows = ReceivedRows::new(1);
        rows.push(&good).unwrap();
        rows.push(TRAILER).unwrap();
        let values: Vec<_> = rows.column(0).iter().collect();
        assert_eq!((rows.count(), values), (1, vec![Some(&b"ab"[..])]));
        assert!(rows.push(&[0, 1]).is_err(), "rows after the end");
        for cut in 1..good.len() {
            assert!(ReceivedRows::new(1).push(&good[..cut]).is_err() || cut == HEADER.len(), "cut at {cut}");
        }
        assert!(ReceivedRows::new(2).push(&good).is_err());
    }
}
