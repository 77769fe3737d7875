//! Text fields. A text with a NUL, or one that is longer than its column allows, is an error.

use arrow::array::types::{ByteArrayType, ByteViewType};
use arrow::array::{Array, ArrayRef, AsArray, GenericByteArray, GenericByteViewArray};
use arrow::datatypes::DataType::{LargeUtf8, Utf8, Utf8View};
use arrow::datatypes::{ArrowNativeType, LargeUtf8Type, StringViewType, Utf8Type};

use super::bytes::{ByteValues, Bytes};
use super::cells::Cells;
use crate::columnar::{Limit, first_row_where, misfit};
use crate::error::{Error, Result};

pub(super) fn texts(array: &ArrayRef, limit: Option<Limit>, prefix: &'static [u8]) -> Result<Box<dyn Cells>> {
    match array.data_type() {
        Utf8 => text(array, array.as_bytes::<Utf8Type>(), limit, prefix),
        LargeUtf8 => text(array, array.as_bytes::<LargeUtf8Type>(), limit, prefix),
        Utf8View => text(array, array.as_byte_view::<StringViewType>(), limit, prefix),
        other => Err(Error::internal(format!("a text of {other}"))),
    }
}

fn text<A: TextValues + ByteValues + Clone + 'static>(
    array: &ArrayRef,
    values: &A,
    limit: Option<Limit>,
    prefix: &'static [u8],
) -> Result<Box<dyn Cells>> {
    if let Some(row) = values.first_nul(array) {
        return Err(misfit(
            array,
            row,
            "contains a NUL character, which PostgreSQL cannot store in text: use replace(x, chr(0), '')",
        ));
    }
    if let Some(limit) = limit {
        limit.check(array, |row| values.bytes(row))?;
    }
    Ok(Box::new(Bytes { values: values.clone(), prefix }))
}

/// Texts that can be searched for NUL.
trait TextValues {
    fn first_nul(&self, array: &dyn Array) -> Option<usize>;
}

impl<T: ByteArrayType> TextValues for GenericByteArray<T> {
    fn first_nul(&self, array: &dyn Array) -> Option<usize> {
        let offsets = self.value_offsets();
        let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
        if !has_nul(&self.value_data()[first..last]) {
            return None;
        }
        first_row_where(array, |row| self.bytes(row).contains(&0))
    }
}

impl<T: ByteViewType + ?Sized> TextValues for GenericByteViewArray<T>
where
    T::Native: AsRef<[u8]>,
{
    fn first_nul(&self, array: &dyn Array) -> Option<usize> {
        const INLINE: usize = 12;
        const LOW: u128 = u128::from_le_bytes([1; 16]);
        const HIGH: u128 = u128::from_le_bytes([0x80; 16]);
        // All bytes of a view that do not belong to a value of that length, or are not stored inline.
        const OTHERS: [u128; INLINE + 2] = {
            let mut others = [u128::MAX; INLINE + 2];
            let mut length = 1;
            while length <= INLINE {
                others[length] = !(((1 << (8 * length)) - 1) << 32);
                length += 1;
            }
            others
        };
        // Bytes under NULLs are arbitrary: NULLs are checked only if a NUL byte is found.
        let (mut zeros, mut total) = (0, 0);
        for view in self.views().iter() {
            let length = *view as u32 as usize;
            let bytes = view | OTHERS[length.min(INLINE + 1)];
            zeros |= bytes.wrapping_sub(LOW) & !bytes & HIGH;
            total += length;
        }
        let buffers = || self.data_buffers().iter();
        // The buffers may also contain many other values.
        let is_suspect =
            buffers().map(|buffer| buffer.len()).sum::<usize>() > 2 * total || buffers().any(|buffer| has_nul(buffer));
        let in_view = |row: usize| self.length(row) <= INLINE;
        let has_nul = |row: usize| (zeros != 0 || !in_view(row)) && has_nul(self.bytes(row));
        let is_found = (zeros != 0 || is_suspect) && (0..self.len()).any(has_nul);
        is_found.then(|| first_row_where(array, has_nul)).flatten()
    }
}

fn has_nul(bytes: &[u8]) -> bool {
    // Compares 64 bytes at once.
    let (chunks, rest) = bytes.as_chunks::<64>();
    chunks.iter().any(|chunk| chunk.iter().fold(false, |found, byte| found | (*byte == 0))) || rest.contains(&0)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        let first_nul = |texts: &StringViewArray| texts.first_nul(texts);
        for length in [1, 2, 11, 12, 13, 63, 64, 65, 200] {
            let without = "x".repeat(length);
            for at in 0..length {
                let with = format!("{}\0{}", &without[..at], &without[at + 1..]);
                let texts = StringViewArray::from(vec![Some(&*without), None, Some(""), Some(&with), Some(&with)]);
                assert_eq!(first_nul(&texts), Some(3), "{at} of {length}");
                assert_eq!(first_nul(&texts.slice(0, 3)), None, "{at} of {length}");
                assert_eq!(first_nul(&texts.slice(2, 2)), Some(1), "{at} of {length}");
            }
        }
    }
}
