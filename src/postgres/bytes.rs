//! Fields of variable length.

use std::hint::select_unpredictable;

use arrow::array::types::{ByteArrayType, ByteViewType};
use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, GenericByteArray, GenericByteViewArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary};
use arrow::datatypes::{ArrowNativeType, BinaryType, BinaryViewType, LargeBinaryType};

use super::cells::{Cells, LENGTH, put, put_length, put_null};
use crate::columnar::misfit;
use crate::error::{Error, Result};

/// An array whose values are bytes.
pub(super) trait ByteValues: Send {
    fn nulls(&self) -> Option<&NullBuffer>;
    fn length(&self, row: usize) -> usize;
    fn bytes(&self, row: usize) -> &[u8];

    /// Bytes that contain the value and may continue after it, and the position where it begins.
    fn source(&self, row: usize) -> (&[u8], usize) {
        (self.bytes(row), 0)
    }
}

/// Maximum bytes of a value that is stored in the view itself.
const MAX_INLINE: u32 = 12;

/// Bytes copied at once.
const WIDE: usize = 16;

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

    #[inline]
    fn source(&self, row: usize) -> (&[u8], usize) {
        (self.value_data(), self.value_offsets()[row].as_usize())
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

    #[inline]
    fn source(&self, row: usize) -> (&[u8], usize) {
        let view = self.views()[row];
        let is_inline = view as u32 <= MAX_INLINE;
        // With texts of different lengths, the branch is unpredictable.
        let buffer = select_unpredictable(is_inline, 0, (view >> 64) as u32 as usize);
        let buffer = self.data_buffers().get(buffer).map_or(&[][..], |buffer| buffer.as_slice());
        let in_view = (self.views().inner().as_slice(), row * size_of::<u128>() + LENGTH);
        select_unpredictable(is_inline, in_view, (buffer, (view >> 96) as usize))
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

/// Values encoded one after the other.
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

/// Values of variable length, each after the same prefix.
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

    fn scatter(&self, first: usize, at: &mut [usize], free: usize, out: &mut [u8]) {
        let nulls = self.values.nulls();
        for (row, at) in (first..).zip(at) {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                put_null(at, out);
                continue;
            }
            let length = self.values.length(row);
            let (data, begin) = self.values.source(row);
            // The first and the last bytes, which overlap.
            let last = length.saturating_sub(WIDE);
            if self.prefix.is_empty()
                && length <= 2 * WIDE
                && length + free >= WIDE
                && let Some(data) = data.get(begin..begin + last + WIDE)
            {
                let field = &mut out[*at..*at + LENGTH + last + WIDE];
                field[..LENGTH].copy_from_slice(&(length as i32).to_be_bytes());
                field[LENGTH..LENGTH + WIDE].copy_from_slice(&data[..WIDE]);
                field[LENGTH + last..].copy_from_slice(&data[last..]);
                *at += LENGTH + length;
            } else {
                put_length(at, self.prefix.len() + length, out);
                put(at, self.prefix, out);
                put(at, self.values.bytes(row), out);
            }
        }
    }
}

/// Short values, each in a slot of fixed size, after its length.
pub(super) struct Slots(pub(super) Vec<Slot>);

/// The length, a value of 8 to 16 bytes, and unused bytes; or the length of NULL.
pub(super) type Slot = [u8; LENGTH + 16];

/// A slot that is NULL.
pub(super) const NULL_SLOT: Slot = [0xff; LENGTH + 16];

impl Slots {
    #[inline]
    fn size(slot: &Slot) -> usize {
        // -1 is NULL.
        LENGTH + if slot[0] == 0 { usize::from(slot[LENGTH - 1]) } else { 0 }
    }
}

impl Cells for Slots {
    fn add_sizes(&self, sizes: &mut [usize]) {
        for (size, slot) in sizes.iter_mut().zip(&self.0) {
            *size += Self::size(slot);
        }
    }

    fn scatter(&self, first: usize, at: &mut [usize], free: usize, out: &mut [u8]) {
        for (at, slot) in at.iter_mut().zip(&self.0[first..]) {
            let size = Self::size(slot);
            if size + free >= slot.len() {
                out[*at..*at + slot.len()].copy_from_slice(slot);
                *at += size;
            } else {
                put(at, &slot[..size], out);
            }
        }
    }
}

pub(super) fn bytes(array: &ArrayRef, prefix: &'static [u8]) -> Result<Box<dyn Cells>> {
    Ok(match array.data_type() {
        Binary => Box::new(Bytes { values: array.as_bytes::<BinaryType>().clone(), prefix }),
        LargeBinary => Box::new(Bytes { values: array.as_bytes::<LargeBinaryType>().clone(), prefix }),
        BinaryView => Box::new(Bytes { values: array.as_byte_view::<BinaryViewType>().clone(), prefix }),
        FixedSizeBinary(_) => Box::new(Bytes { values: array.as_fixed_size_binary().clone(), prefix }),
        other => return Err(Error::internal(format!("bytes of {other}"))),
    })
}

/// Encodes each text with `put`, which returns `None` if the text is not a value of the type.
pub(super) fn packed(
    array: &ArrayRef,
    why_not: &str,
    put: impl Fn(&str, &mut Vec<u8>) -> Option<()>,
) -> Result<Box<dyn Cells>> {
    let texts = array.as_string_view();
    let mut values = Packed::new(array.len(), array.nulls().cloned());
    for row in 0..array.len() {
        if texts.is_valid(row) {
            put(texts.value(row), values.data()).ok_or_else(|| misfit(array, row, why_not))?;
        }
        values.end();
    }
    Ok(Box::new(Bytes { values, prefix: b"" }))
}
