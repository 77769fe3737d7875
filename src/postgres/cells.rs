//! The columns of a batch as the fields of `COPY … (FORMAT BINARY)`:
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4.6>.
//!
//! A row is a count of fields, and for each field a length and that many bytes. Rows are made column by column: first
//! every column adds up how long its fields are, then each writes its fields to their places in one buffer of exactly
//! the right size. Which column has what type is asked once a column, not once a value.

use arrow::array::types::{ByteArrayType, ByteViewType};
use arrow::array::{Array, FixedSizeBinaryArray, GenericByteArray, GenericByteViewArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::ArrowNativeType;

/// What begins the data of a COPY.
pub(super) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What ends them: a count of fields that no row has.
pub(super) const TRAILER: &[u8; 2] = &(-1_i16).to_be_bytes();

/// The length of a field that is NULL.
const NULL: [u8; LENGTH] = (-1_i32).to_be_bytes();

/// Bytes of a field's length.
const LENGTH: usize = 4;

/// Bytes of a row's count of fields.
const FIELD_COUNT: usize = 2;

/// A column whose fields can be written.
pub(super) trait Cells: Send {
    /// Adds the bytes of each row's field, with its length.
    fn add_sizes(&self, sizes: &mut [usize]);

    /// Writes the fields of the rows from `first` on, as many as `at` has places, and moves each place behind its
    /// field.
    fn scatter(&self, first: usize, at: &mut [usize], out: &mut [u8]);
}

/// Rows on their way into buffers of about the same size.
pub(super) struct Rows {
    columns: Vec<Box<dyn Cells>>,
    sizes: Vec<usize>,
    next: usize,
}

/// Bytes of a buffer, unless a single row is longer: what is written stays in the processor's cache.
const BUFFER_BYTES: usize = 256 * 1024;

impl Rows {
    pub(super) fn new(columns: Vec<Box<dyn Cells>>, rows: usize) -> Self {
        let mut sizes = vec![FIELD_COUNT; rows];
        for column in &columns {
            column.add_sizes(&mut sizes);
        }
        Self { columns, sizes, next: 0 }
    }

    /// Makes `out` the next rows, whatever it was, and says how many; `None` when there are no more.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        let first = self.next;
        let mut end = 0;
        let mut at: Vec<usize> = Vec::with_capacity(self.sizes.len() - first);
        for size in &self.sizes[first..] {
            if !at.is_empty() && end + size > BUFFER_BYTES {
                break;
            }
            at.push(end);
            end += size;
        }
        if at.is_empty() {
            return None;
        }
        self.next += at.len();
        out.resize(end, 0);
        let fields = (self.columns.len() as i16).to_be_bytes();
        for at in &mut at {
            out[*at..*at + FIELD_COUNT].copy_from_slice(&fields);
            *at += FIELD_COUNT;
        }
        for column in &self.columns {
            column.scatter(first, &mut at, out);
        }
        Some(at.len())
    }
}

fn put_null(at: &mut usize, out: &mut [u8]) {
    out[*at..*at + LENGTH].copy_from_slice(&NULL);
    *at += LENGTH;
}

fn put_length(at: &mut usize, length: usize, out: &mut [u8]) {
    // The server refuses a field of a gigabyte or more; what does not fit here cannot have been sent there.
    out[*at..*at + LENGTH].copy_from_slice(&(length as i32).to_be_bytes());
    *at += LENGTH;
}

fn put(at: &mut usize, bytes: &[u8], out: &mut [u8]) {
    out[*at..*at + bytes.len()].copy_from_slice(bytes);
    *at += bytes.len();
}

/// Only NULLs.
pub(super) struct Nulls;

impl Cells for Nulls {
    fn add_sizes(&self, sizes: &mut [usize]) {
        sizes.iter_mut().for_each(|size| *size += LENGTH);
    }

    fn scatter(&self, _: usize, at: &mut [usize], out: &mut [u8]) {
        at.iter_mut().for_each(|at| put_null(at, out));
    }
}

/// Values that all take `N` bytes; `wire` makes them.
pub(super) struct Fixed<T: ArrowNativeType, const N: usize, F> {
    pub(super) values: ScalarBuffer<T>,
    pub(super) nulls: Option<NullBuffer>,
    pub(super) wire: F,
}

impl<T: ArrowNativeType, const N: usize, F: Fn(T) -> [u8; N] + Send> Cells for Fixed<T, N, F> {
    fn add_sizes(&self, sizes: &mut [usize]) {
        match &self.nulls {
            None => sizes.iter_mut().for_each(|size| *size += LENGTH + N),
            Some(nulls) => {
                for (size, is_valid) in sizes.iter_mut().zip(nulls.iter()) {
                    *size += LENGTH + if is_valid { N } else { 0 };
                }
            }
        }
    }

    fn scatter(&self, first: usize, at: &mut [usize], out: &mut [u8]) {
        let put = |at: &mut usize, value: T, out: &mut [u8]| {
            let field = &mut out[*at..*at + LENGTH + N];
            field[..LENGTH].copy_from_slice(&(N as i32).to_be_bytes());
            field[LENGTH..].copy_from_slice(&(self.wire)(value));
            *at += LENGTH + N;
        };
        let values = &self.values[first..first + at.len()];
        match &self.nulls {
            None => at.iter_mut().zip(values).for_each(|(at, value)| put(at, *value, out)),
            Some(nulls) => {
                let nulls = nulls.slice(first, at.len());
                for ((at, value), is_valid) in at.iter_mut().zip(values).zip(nulls.iter()) {
                    if is_valid { put(at, *value, out) } else { put_null(at, out) }
                }
            }
        }
    }
}

/// An array whose values are bytes.
pub(super) trait ByteValues: Send {
    fn nulls(&self) -> Option<&NullBuffer>;
    fn length(&self, row: usize) -> usize;
    fn bytes(&self, row: usize) -> &[u8];
}

impl<T: ByteArrayType> ByteValues for GenericByteArray<T> {
    fn nulls(&self) -> Option<&NullBuffer> {
        Array::nulls(self)
    }

    fn length(&self, row: usize) -> usize {
        (self.value_offsets()[row + 1] - self.value_offsets()[row]).as_usize()
    }

    fn bytes(&self, row: usize) -> &[u8] {
        &self.value_data()[self.value_offsets()[row].as_usize()..self.value_offsets()[row + 1].as_usize()]
    }
}

impl<T: ByteViewType + ?Sized> ByteValues for GenericByteViewArray<T>
where
    T::Native: AsRef<[u8]>,
{
    fn nulls(&self) -> Option<&NullBuffer> {
        Array::nulls(self)
    }

    fn length(&self, row: usize) -> usize {
        self.views()[row] as u32 as usize
    }

    fn bytes(&self, row: usize) -> &[u8] {
        self.value(row).as_ref()
    }
}

impl ByteValues for FixedSizeBinaryArray {
    fn nulls(&self) -> Option<&NullBuffer> {
        Array::nulls(self)
    }

    fn length(&self, _: usize) -> usize {
        self.value_length() as usize
    }

    fn bytes(&self, row: usize) -> &[u8] {
        self.value(row)
    }
}

/// Values that were encoded one behind the other.
#[derive(Default)]
pub(super) struct Packed {
    data: Vec<u8>,
    ends: Vec<usize>,
    nulls: Option<NullBuffer>,
}

impl Packed {
    pub(super) fn new(rows: usize, nulls: Option<NullBuffer>) -> Self {
        Self { data: Vec::new(), ends: Vec::with_capacity(rows), nulls }
    }

    /// The buffer to append the next row's value to, before [`Packed::end`]; a NULL appends nothing.
    #[inline]
    pub(super) fn data(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }

    #[inline]
    pub(super) fn end(&mut self) {
        self.ends.push(self.data.len());
    }
}

impl ByteValues for Packed {
    fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    fn length(&self, row: usize) -> usize {
        self.ends[row] - if row == 0 { 0 } else { self.ends[row - 1] }
    }

    fn bytes(&self, row: usize) -> &[u8] {
        &self.data[self.ends[row] - self.length(row)..self.ends[row]]
    }
}

/// Values of any length, each behind the same prefix.
pub(super) struct Bytes<A> {
    pub(super) values: A,
    pub(super) prefix: &'static [u8],
}

impl<A: ByteValues> Cells for Bytes<A> {
    fn add_sizes(&self, sizes: &mut [usize]) {
        let whole = LENGTH + self.prefix.len();
        match self.values.nulls() {
            None => {
                for (row, size) in sizes.iter_mut().enumerate() {
                    *size += whole + self.values.length(row);
                }
            }
            Some(nulls) => {
                for (row, (size, is_valid)) in sizes.iter_mut().zip(nulls.iter()).enumerate() {
                    *size += if is_valid { whole + self.values.length(row) } else { LENGTH };
                }
            }
        }
    }

    fn scatter(&self, first: usize, at: &mut [usize], out: &mut [u8]) {
        let nulls = self.values.nulls();
        for (row, at) in (first..).zip(at) {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                put_null(at, out);
                continue;
            }
            let bytes = self.values.bytes(row);
            put_length(at, self.prefix.len() + bytes.len(), out);
            put(at, self.prefix, out);
            put(at, bytes, out);
        }
    }
}

/// Arrays of PostgreSQL: `array_recv` in src/backend/utils/adt/arrayfuncs.c. Nested lists are dimensions.
pub(super) struct Lists {
    pub(super) nulls: Option<NullBuffer>,
    /// From a row to its items in the innermost list.
    pub(super) offsets: OffsetBuffer<i64>,
    /// The length of each row's every dimension, `dimensions` of them a row.
    pub(super) lengths: Vec<i32>,
    pub(super) dimensions: usize,
    pub(super) item_oid: u32,
    pub(super) has_null_items: bool,
    pub(super) items: Box<dyn Cells>,
    pub(super) item_sizes: Vec<usize>,
}

impl Lists {
    const HEADER: usize = 12;
    const DIMENSION: usize = 8;

    fn items_of(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    fn length(&self, row: usize) -> usize {
        let items = self.items_of(row);
        if items.is_empty() {
            return Self::HEADER;
        }
        Self::HEADER + Self::DIMENSION * self.dimensions + self.item_sizes[items].iter().sum::<usize>()
    }
}

impl Cells for Lists {
    fn add_sizes(&self, sizes: &mut [usize]) {
        for (row, size) in sizes.iter_mut().enumerate() {
            let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            *size += LENGTH + if is_null { 0 } else { self.length(row) };
        }
    }

    fn scatter(&self, first: usize, at: &mut [usize], out: &mut [u8]) {
        let mut item_at = Vec::new();
        for (row, at) in (first..).zip(at.iter_mut()) {
            if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                put_null(at, out);
                // A NULL may hide items; they have no place.
                item_at.extend(self.items_of(row).map(|_| usize::MAX));
                continue;
            }
            put_length(at, self.length(row), out);
            let items = self.items_of(row);
            let dimensions = if items.is_empty() { 0 } else { self.dimensions };
            put(at, &(dimensions as i32).to_be_bytes(), out);
            put(at, &i32::from(self.has_null_items).to_be_bytes(), out);
            put(at, &self.item_oid.to_be_bytes(), out);
            for length in &self.lengths[row * self.dimensions..][..dimensions] {
                put(at, &length.to_be_bytes(), out);
                put(at, &1_i32.to_be_bytes(), out);
            }
            for item in items {
                item_at.push(*at);
                *at += self.item_sizes[item];
            }
        }
        // Runs of items that have a place.
        let mut item = self.offsets[first] as usize;
        for run in item_at.chunk_by_mut(|a, b| (*a == usize::MAX) == (*b == usize::MAX)) {
            if run[0] != usize::MAX {
                self.items.scatter(item, run, out);
            }
            item += run.len();
        }
    }
}

/// The number of each row in its load, for the order of rows that have one key.
pub(super) struct Numbers {
    pub(super) first: i64,
}

impl Cells for Numbers {
    fn add_sizes(&self, sizes: &mut [usize]) {
        sizes.iter_mut().for_each(|size| *size += LENGTH + 8);
    }

    fn scatter(&self, first: usize, at: &mut [usize], out: &mut [u8]) {
        for (number, at) in (self.first + first as i64..).zip(at) {
            put_length(at, 8, out);
            put(at, &number.to_be_bytes(), out);
        }
    }
}
