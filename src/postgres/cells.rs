//! The columns of a batch as the fields of `COPY … (FORMAT BINARY)`:
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4.6>.
//!
//! A row is a count of fields, followed by the length and the bytes of each field. Rows are encoded column by column:
//! first each column adds the lengths of its fields, then each writes its fields to their positions in one buffer of the
//! exact size, a few rows at a time, so that they stay in the processor's L1 cache. Dispatch on the type happens once per
//! column, not once per value.
//!
//! A copy of a constant length compiles to one or two instructions; any other copy is a call. Short values are therefore
//! copied with more bytes than they have, if the source has these bytes and if the overwritten bytes are written later:
//! they are the following fields of the same row.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::ArrowNativeType;

/// The header of a COPY's data.
pub(super) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The trailer: an invalid count of fields.
pub(super) const TRAILER: &[u8; 2] = &(-1_i16).to_be_bytes();

/// The length of a field that is NULL.
const NULL: [u8; LENGTH] = (-1_i32).to_be_bytes();

/// Size of a field's length, in bytes.
pub(super) const LENGTH: usize = 4;

/// Size of a row's count of fields, in bytes.
const FIELD_COUNT: usize = 2;

/// A column whose fields can be written.
pub(super) trait Cells: Send {
    /// The size of each field in bytes, including its length, if all have the same size.
    fn size(&self) -> Option<usize> {
        None
    }

    /// Adds the size of each row's field in bytes, including its length.
    fn add_sizes(&self, sizes: &mut [usize]);

    /// Writes the fields of the rows from `first` on to the positions `at`, and advances each position past its field.
    /// `free` bytes after a field may be overwritten.
    fn scatter(&self, first: usize, at: &mut [usize], free: usize, out: &mut [u8]);
}

/// Rows that are written to buffers of about the same size.
pub(super) struct CellRows {
    /// Each with the minimum size of the fields after it, in bytes.
    columns: Vec<(Box<dyn Cells>, usize)>,
    /// The size of each row that is not written yet.
    places: Vec<usize>,
    next: usize,
}

/// Maximum bytes of a buffer, unless a single row is longer: the data stays in the processor's cache.
const BUFFER_BYTES: usize = 128 * 1024;

/// Rows written at once, column by column.
const BLOCK_ROWS: usize = 48;

impl CellRows {
    pub(super) fn new(columns: Vec<Box<dyn Cells>>, rows: usize) -> Self {
        let same = columns.iter().filter_map(|column| column.size()).sum::<usize>();
        let mut sizes = vec![FIELD_COUNT + same; rows];
        for column in columns.iter().filter(|column| column.size().is_none()) {
            column.add_sizes(&mut sizes);
        }
        let mut free = columns.iter().map(|column| column.size().unwrap_or(LENGTH)).sum::<usize>();
        let behind = |column: Box<dyn Cells>| {
            free -= column.size().unwrap_or(LENGTH);
            (column, free)
        };
        Self { columns: columns.into_iter().map(behind).collect(), places: sizes, next: 0 }
    }

    /// Replaces the contents of `out` with the next rows, and returns their number; `None` if there are no more.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        let first = self.next;
        let (mut end, mut next) = (0, first);
        // Replace the sizes of the rows by the positions of their first fields.
        for size in &mut self.places[first..] {
            if next > first && end + *size > BUFFER_BYTES {
                break;
            }
            end += std::mem::replace(size, end + FIELD_COUNT);
            next += 1;
        }
        if next == first {
            return None;
        }
        out.resize(end, 0);
        let fields = (self.columns.len() as i16).to_be_bytes();
        for block in self.places[first..next].chunks_mut(BLOCK_ROWS) {
            for at in block.iter() {
                out[*at - FIELD_COUNT..*at].copy_from_slice(&fields);
            }
            for (column, free) in &self.columns {
                column.scatter(self.next, block, *free, out);
            }
            self.next += block.len();
        }
        Some(self.next - first)
    }
}

#[inline]
pub(super) fn put_null(at: &mut usize, out: &mut [u8]) {
    out[*at..*at + LENGTH].copy_from_slice(&NULL);
    *at += LENGTH;
}

#[inline]
pub(super) fn put_length(at: &mut usize, length: usize, out: &mut [u8]) {
    // The server refuses fields of 1 GB or more, so a length that does not fit is never stored.
    out[*at..*at + LENGTH].copy_from_slice(&(length as i32).to_be_bytes());
    *at += LENGTH;
}

#[inline]
pub(super) fn put(at: &mut usize, bytes: &[u8], out: &mut [u8]) {
    copy(bytes, &mut out[*at..*at + bytes.len()]);
    *at += bytes.len();
}

/// Copies a few bytes without a call. Both slices have the same length.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    /// The first and the last `N` bytes, which may overlap.
    #[inline]
    fn ends<const N: usize>(from: &[u8], to: &mut [u8]) {
        let last = from.len() - N;
        to[..N].copy_from_slice(&from[..N]);
        to[last..].copy_from_slice(&from[last..]);
    }
    match from.len() {
        0 => {}
        1..4 => from.iter().zip(to).for_each(|(from, to)| *to = *from),
        4..8 => ends::<4>(from, to),
        8..16 => ends::<8>(from, to),
        16..32 => ends::<16>(from, to),
        32..=64 => ends::<32>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// A column of NULLs.
pub(super) struct Nulls;

impl Cells for Nulls {
    fn size(&self) -> Option<usize> {
        Some(LENGTH)
    }

    fn add_sizes(&self, sizes: &mut [usize]) {
        sizes.iter_mut().for_each(|size| *size += LENGTH);
    }

    fn scatter(&self, _: usize, at: &mut [usize], _: usize, out: &mut [u8]) {
        at.iter_mut().for_each(|at| put_null(at, out));
    }
}

/// Values of `N` bytes each, encoded by `wire`.
pub(super) struct Fixed<T: ArrowNativeType, const N: usize, F> {
    values: ScalarBuffer<T>,
    /// Whether each is not NULL, as bytes, because they are faster to read than bits.
    valid: Option<Vec<bool>>,
    wire: F,
}

impl<T: ArrowNativeType, const N: usize, F> Fixed<T, N, F> {
    pub(super) fn new(values: ScalarBuffer<T>, nulls: Option<&NullBuffer>, wire: F) -> Self {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        let bytes = |nulls: &NullBuffer| {
            let words = nulls.inner().bit_chunks();
            let mut bytes = Vec::with_capacity(nulls.len() + 64);
            for word in words.iter_padded() {
                bytes.extend_from_slice(&std::array::from_fn::<bool, 64, _>(|bit| word >> bit & 1 != 0));
            }
            bytes.truncate(nulls.len());
            bytes
        };
        Self { values, valid: nulls.map(bytes), wire }
    }
}

impl<T: ArrowNativeType, const N: usize, F: Fn(T) -> [u8; N] + Send> Cells for Fixed<T, N, F> {
    fn size(&self) -> Option<usize> {
        self.valid.is_none().then_some(LENGTH + N)
    }

    fn add_sizes(&self, sizes: &mut [usize]) {
        match &self.valid {
            None => sizes.iter_mut().for_each(|size| *size += LENGTH + N),
            Some(valid) => {
                for (size, is_valid) in sizes.iter_mut().zip(valid) {
                    *size += LENGTH + N * usize::from(*is_valid);
                }
            }
        }
    }

    fn scatter(&self, first: usize, at: &mut [usize], free: usize, out: &mut [u8]) {
        let put = |at: usize, length: [u8; LENGTH], value: T, out: &mut [u8]| {
            let field = &mut out[at..at + LENGTH + N];
            field[..LENGTH].copy_from_slice(&length);
            field[LENGTH..].copy_from_slice(&(self.wire)(value));
        };
        let length = (N as i32).to_be_bytes();
        let values = &self.values[first..first + at.len()];
        let Some(valid) = &self.valid else {
            for (at, value) in at.iter_mut().zip(values) {
                put(*at, length, *value, out);
                *at += LENGTH + N;
            }
            return;
        };
        for ((at, value), is_valid) in at.iter_mut().zip(values).zip(&valid[first..]) {
            // Without an unpredictable branch.
            if free >= N {
                let length = N as i32 | (i32::from(*is_valid) - 1);
                put(*at, length.to_be_bytes(), *value, out);
                *at += LENGTH + N * usize::from(*is_valid);
            } else if *is_valid {
                put(*at, length, *value, out);
                *at += LENGTH + N;
            } else {
                put_null(at, out);
            }
        }
    }
}

/// The values of an array, of `N` bytes each.
pub(super) fn fixed<T: ArrowPrimitiveType, const N: usize>(
    array: &ArrayRef,
    wire: impl Fn(T::Native) -> [u8; N] + Send + 'static,
) -> Box<dyn Cells> {
    let array = array.as_primitive::<T>();
    Box::new(Fixed::new(array.values().clone(), array.nulls(), wire))
}

/// The number of each row, which gives the order of rows with the same key.
pub(super) struct Numbers {
    pub(super) first: i64,
}

impl Cells for Numbers {
    fn size(&self) -> Option<usize> {
        Some(LENGTH + 8)
    }

    fn add_sizes(&self, sizes: &mut [usize]) {
        sizes.iter_mut().for_each(|size| *size += LENGTH + 8);
    }

    fn scatter(&self, first: usize, at: &mut [usize], _: usize, out: &mut [u8]) {
        for (number, at) in (self.first + first as i64..).zip(at) {
            put_length(at, 8, out);
            put(at, &number.to_be_bytes(), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray, StringViewArray};
    use proptest::prelude::*;

    use super::super::bytes::{Bytes, Slots};
    use super::super::codec::digits;
    use super::*;

    /// The field of a value, encoded the simple way.
    fn field(value: Option<&[u8]>) -> Vec<u8> {
        let length = value.map_or(-1, |value| value.len() as i32).to_be_bytes();
        [&length, value.unwrap_or_default()].concat()
    }

    proptest! {
        /// Bytes written past a field's end are always overwritten.
        #[test]
        fn fields_are_whole_in_any_order(
            order in Just((0..4).collect::<Vec<_>>()).prop_shuffle(),
            rows in proptest::collection::vec(
                (any::<Option<i32>>(), any::<Option<i32>>(), "x{0,40}", proptest::option::of("y{0,40}")),
                1..100,
            ),
        ) {
            let ints = rows.iter().map(|row| row.0).collect::<Int32Array>();
            let decimals: Vec<i128> = rows.iter().map(|row| row.1.unwrap_or_default().into()).collect();
            let nulls = rows.iter().map(|row| row.1.is_some()).collect::<Vec<_>>().into();
            let columns = order.iter().map(|index| -> Box<dyn Cells> {
                match index {
                    0 => Box::new(Fixed::new(ints.values().clone(), ints.nulls(), i32::to_be_bytes)),
                    1 => Box::new(Slots(digits::slots(&decimals, Some(&nulls), 2).expect("short decimals"))),
                    2 => {
                        let values = rows.iter().map(|row| Some(&row.2)).collect::<StringArray>();
                        Box::new(Bytes { values, prefix: b"" })
                    }
                    _ => {
                        let values = rows.iter().map(|row| row.3.as_ref()).collect::<StringViewArray>();
                        Box::new(Bytes { values, prefix: b"" })
                    }
                }
            });
            let mut written = Vec::new();
            prop_assert_eq!(CellRows::new(columns.collect(), rows.len()).write(&mut written), Some(rows.len()));

            let mut expected = Vec::new();
            for (int, decimal, text, view) in &rows {
                expected.extend([0, 4]);
                expected.extend(order.iter().flat_map(|index| match index {
                    0 => field(int.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice)),
                    1 => {
                        let mut bytes = Vec::new();
                        digits::put_i128(decimal.unwrap_or_default().into(), 2, &mut bytes);
                        field(decimal.map(|_| bytes.as_slice()))
                    }
                    2 => field(Some(text.as_bytes())),
                    _ => field(view.as_ref().map(String::as_bytes)),
                }));
            }
            prop_assert_eq!(written, expected);
        }
    }
}
