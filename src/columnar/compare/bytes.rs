//! Texts and bytes.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteArray, OffsetSizeTrait};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{ArrowNativeType, ByteArrayType, ByteViewType};
use multiversion::multiversion;

use super::{for_each_word, one_by_one};

/// Compares lengths first, then all values of a word together, then one by one.
pub(super) fn mark_bytes<T: ByteArrayType>(new: &ArrayRef, old: &ArrayRef, valid: Option<&[u64]>, words: &mut [u64]) {
    let (new, old): (&GenericByteArray<T>, &GenericByteArray<T>) = (new.as_bytes(), old.as_bytes());
    let (new_ends, old_ends) = (new.value_offsets(), old.value_offsets());
    let (new_bytes, old_bytes) = (new.value_data(), old.value_data());
    for_each_word(words, valid, new.len(), |rows, open| {
        let (new_ends, old_ends) = (&new_ends[rows.start..=rows.end], &old_ends[rows.start..=rows.end]);
        let all = |ends: &[T::Offset]| ends[0].as_usize()..ends[rows.len()].as_usize();
        if have_same_lengths(new_ends, old_ends) && new_bytes[all(new_ends)] == old_bytes[all(old_ends)] {
            return 0;
        }
        let mut lengths = 0;
        for (row, (new, old)) in new_ends.windows(2).zip(old_ends.windows(2)).enumerate() {
            lengths |= u64::from(new[1] - new[0] != old[1] - old[0]) << row;
        }
        let bytes = |ends: &[T::Offset], row: usize| ends[row].as_usize()..ends[row + 1].as_usize();
        lengths
            | one_by_one(0, open & !lengths, |row| new_bytes[bytes(new_ends, row)] != old_bytes[bytes(old_ends, row)])
    });
}

/// Whether all values have the same lengths on both sides: all offsets have the same distance.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2", "x86_64+avx2"))]
fn have_same_lengths<O: OffsetSizeTrait>(new: &[O], old: &[O]) -> bool {
    let apart = |(new, old): (&O, &O)| *new - *old;
    let Some(first) = new.iter().zip(old).next().map(apart) else { return true };
    new.iter().zip(old).map(apart).fold(true, |same, apart| same & (apart == first))
}

/// The maximum length in bytes of a value that is stored in its view.
const INLINE: u32 = 12;

/// Compares the views first, then the values that are stored outside them.
pub(super) fn mark_views<T: ByteViewType>(new: &ArrayRef, old: &ArrayRef, valid: Option<&[u64]>, words: &mut [u64])
where
    T::Native: AsRef<[u8]>,
{
    let (new, old) = (new.as_byte_view::<T>(), old.as_byte_view::<T>());
    let (new_views, old_views) = (new.views(), old.views());
    let (new_halves, old_halves) = (halves(new_views), halves(old_views));
    let has_long = !new.data_buffers().is_empty() && !old.data_buffers().is_empty();
    for_each_word(words, valid, new.len(), |rows, open| {
        let bytes = rows.start * size_of::<u128>()..rows.end * size_of::<u128>();
        // Without long values, or with all of them at the same places of the same buffers.
        if !has_long && new_views.inner()[bytes.clone()] == old_views.inner()[bytes] {
            return 0;
        }
        let (new_word, old_word) = (&new_views[rows.clone()], &old_views[rows.clone()]);
        if has_long
            && cfg!(target_endian = "little")
            && let Some((ours, theirs)) = same_but_for(&new_halves[rows.clone()], &old_halves[rows.clone()])
            && new.data_buffers()[ours.0][ours.1] == old.data_buffers()[theirs.0][theirs.1]
        {
            return 0;
        }
        // The length and the first bytes, then the other bytes of a short value. Those of a long value are elsewhere.
        let (mut changed, mut long) = (0, 0);
        for (row, (new, old)) in new_word.iter().zip(old_word).enumerate() {
            let is_long = *new as u32 > INLINE;
            changed |= u64::from(*new as u64 != *old as u64 || !is_long && new != old) << row;
            long |= u64::from(is_long) << row;
        }
        changed
            | one_by_one(rows.start, open & long & !changed, |row| {
                let (new, old): (&[u8], &[u8]) = (new.value(row).as_ref(), old.value(row).as_ref());
                new != old
            })
    });
}

/// Views as pairs of words, in the order of their bytes.
fn halves(views: &ScalarBuffer<u128>) -> &[[u64; 2]] {
    views.inner().typed_data::<u64>().as_chunks().0
}

/// A buffer of an array, and a range of its bytes.
type Place = (usize, Range<usize>);

/// The bytes that decide whether the values of a word are equal, given that everything else in their views is. `None`
/// if something else differs, or if the bytes are not contiguous.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2", "x86_64+avx2"))]
fn same_but_for(new: &[[u64; 2]], old: &[[u64; 2]]) -> Option<(Place, Place)> {
    // The length and the first bytes; then for a long value its buffer below and its offset above.
    const LOW: u64 = u32::MAX as u64;
    let first = new.iter().position(|[head, _]| *head as u32 > INLINE)?;
    let (new_first, old_first) = (new[first][1], old[first][1]);
    let apart = new_first.wrapping_sub(old_first);
    let (mut other, mut begin, mut end, mut length) = (0, u64::MAX, 0, 0);
    for ([head, place], [old_head, old_place]) in new.iter().zip(old) {
        let bytes = head & LOW;
        // All bits for a long value.
        let long = u64::from(INLINE).wrapping_sub(bytes).cast_signed().wrapping_shr(63).cast_unsigned();
        // Long values have the same distance as the first ones and are in the same buffers. Short values are equal.
        other |= (head ^ old_head) | (place.wrapping_sub(*old_place) ^ (apart & long));
        other |= ((place ^ new_first) | (old_place ^ old_first)) & long & LOW;
        let offset = place >> 32;
        begin = begin.min(offset | !long);
        end = end.max((offset + bytes) & long);
        length += bytes & long;
    }
    // The bytes between them are compared, too.
    if other != 0 || end - begin > 2 * length {
        return None;
    }
    let old_begin = (old_first >> 32).checked_sub((new_first >> 32) - begin)?;
    let range = |begin: u64, end: u64| begin as usize..end as usize;
    let (ours, theirs) = (new_first as u32 as usize, old_first as u32 as usize);
    Some(((ours, range(begin, end)), (theirs, range(old_begin, old_begin + end - begin))))
}
