//! Columns with values of a fixed width.

use std::marker::PhantomData;

use arrow::array::{Array, ArrayData, ArrayRef};
use arrow::datatypes::ArrowNativeType;
use multiversion::multiversion;

use super::WORD;

/// The values of a fixed-width column, only those of its own rows.
pub(super) struct Natives<T> {
    data: ArrayData,
    of: PhantomData<T>,
}

pub(super) fn natives<T: ArrowNativeType>(array: &ArrayRef) -> Natives<T> {
    Natives { data: array.to_data(), of: PhantomData }
}

impl<T: ArrowNativeType> Natives<T> {
    pub(super) fn values(&self) -> &[T] {
        &self.data.buffer::<T>(0)[..self.data.len()]
    }

    fn bytes(&self) -> &[u8] {
        let width = size_of::<T>();
        &self.data.buffers()[0][self.data.offset() * width..][..self.data.len() * width]
    }
}

/// Sets the bits of the rows in which two fixed-width columns differ, for the rows in `valid`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+bmi1+bmi2+lzcnt+popcnt",
    "x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"
))]
pub(super) fn differ<T: ArrowNativeType, F: Fn(T, T) -> bool>(
    new: &Natives<T>,
    old: &Natives<T>,
    differs: F,
    valid: Option<&[u64]>,
    words: &mut [u64],
) {
    differ_anywhere(new, old, differs, valid, words);
}

/// The same, compiled with the instruction set of its caller.
#[inline(always)]
pub(super) fn differ_anywhere<T: ArrowNativeType, F: Fn(T, T) -> bool>(
    new: &Natives<T>,
    old: &Natives<T>,
    differs: F,
    valid: Option<&[u64]>,
    words: &mut [u64],
) {
    let (new_bytes, old_bytes) = (new.bytes(), old.bytes());
    let ((new, new_rest), (old, old_rest)) = (new.values().as_chunks::<WORD>(), old.values().as_chunks::<WORD>());
    for (index, (new, old)) in new.iter().zip(old).enumerate() {
        let bytes = index * size_of_val(new)..(index + 1) * size_of_val(new);
        // Most rows are equal, and nothing is faster than the system's `memcmp`.
        if words[index] == u64::MAX || new_bytes[bytes.clone()] == old_bytes[bytes] {
            continue;
        }
        // Bytes first, then bits: both loops are vectorized.
        let (mut bits, mut flags) = (0, [0_u8; WORD]);
        for row in 0..WORD {
            flags[row] = u8::from(differs(new[row], old[row]));
        }
        for (row, flag) in flags.iter().enumerate() {
            bits |= u64::from(*flag) << row;
        }
        words[index] |= bits & valid.map_or(u64::MAX, |valid| valid[index]);
    }
    if let Some(word) = words.get_mut(new.len()) {
        let mut bits = 0;
        for (row, (new, old)) in new_rest.iter().zip(old_rest).enumerate() {
            bits |= u64::from(differs(*new, *old)) << row;
        }
        *word |= bits & valid.map_or(u64::MAX, |valid| valid[new.len()]);
    }
}
