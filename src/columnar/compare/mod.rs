//! Finds the rows that differ between two batches, as bits, 64 in a word.
//!
//! Most rows are equal. So the bytes of 64 rows of a column are compared first, with the system's `memcmp`. Only if
//! they differ is each row compared. Fixed-width columns use loops without branches, which the compiler vectorizes once
//! for each instruction set; the widest that the processor supports is chosen at run time. Texts and bytes are compared
//! by their lengths first, then 64 rows together, and one by one only if these differ. A word whose rows have all
//! changed is not compared again.

mod bytes;
mod fixed;

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType::*;
use arrow::datatypes::{
    ArrowPrimitiveType, BinaryViewType, Float16Type, Float32Type, Float64Type, GenericBinaryType, GenericStringType,
    IntervalDayTime, IntervalMonthDayNano, IntervalUnit, StringViewType, i256,
};
use arrow::row::{RowConverter, SortField};

use self::bytes::{mark_bytes, mark_views};
use self::fixed::{differ, natives};
use super::{plain, recode};
use crate::error::{Error, Result};

/// Whether 0.0 and -0.0 are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zeros {
    /// They are different, as in a database that stores the sign.
    #[default]
    Differ,
    /// They are equal.
    Equal,
}

/// The number of rows of a word.
const WORD: usize = 64;

/// Returns one bit for each row, set if the rows of `new` and `old` differ. The columns of both must have the same
/// types and lengths. NULL is equal to NULL, and NaN to NaN (in nested types only to a NaN of the same bits; `zeros` is
/// ignored there).
///
/// # Errors
/// `Schema` for columns of different types or lengths.
pub fn changed_rows(new: &[ArrayRef], old: &[ArrayRef], rows: usize, zeros: Zeros) -> Result<BooleanBuffer> {
    if new.len() != old.len() {
        return Err(Error::schema(format!("{} columns cannot be compared with {}", new.len(), old.len())));
    }
    let mut words = vec![0; rows.div_ceil(WORD)];
    for (new, old) in new.iter().zip(old) {
        if new.data_type() != old.data_type() {
            return Err(Error::schema(format!("{} cannot be compared with {}", new.data_type(), old.data_type())));
        }
        if (new.len(), old.len()) != (rows, rows) {
            return Err(Error::schema(format!("{} rows cannot be compared with {}", new.len(), old.len())));
        }
        mark(new, old, zeros, &mut words)?;
    }
    Ok(BooleanBuffer::new(words.into(), 0, rows))
}

/// Sets the bits of the rows in which two columns differ.
fn mark(new: &ArrayRef, old: &ArrayRef, zeros: Zeros, words: &mut [u64]) -> Result<()> {
    if plain(new.data_type()) != new.data_type() {
        // Dictionaries and runs: by value.
        let (new, old) = (recode(new, plain(new.data_type()))?, recode(old, plain(old.data_type()))?);
        return mark(&new, &old, zeros, words);
    }
    if matches!(new.data_type(), List(_) | LargeList(_) | ListView(_) | LargeListView(_) | FixedSizeList(_, _))
        || matches!(new.data_type(), Struct(_) | Map(_, _) | Union(_, _))
    {
        return mark_nested(new, old, words);
    }
    mark_flat(new, old, zeros, words)?;
    if let Some(last) = words.last_mut()
        && !new.len().is_multiple_of(WORD)
    {
        *last &= (1 << (new.len() % WORD)) - 1;
    }
    Ok(())
}

/// Like [`mark`], for arrays without dictionaries or runs. Bits after the last row are undefined.
fn mark_flat(new: &ArrayRef, old: &ArrayRef, zeros: Zeros, words: &mut [u64]) -> Result<()> {
    let nulls = Nulls::mark(new.nulls(), old.nulls(), words);
    let valid = nulls.as_ref().map(|nulls| nulls.both.as_slice());
    macro_rules! by {
        ($type:ty) => {
            by!($type, |new: $type, old: $type| new != old)
        };
        ($type:ty, $differ:expr) => {
            differ(&natives::<$type>(new), &natives::<$type>(old), $differ, valid, words)
        };
    }
    // NaN has many bit patterns, which are equal here.
    macro_rules! by_float {
        ($type:ty, $nan:expr) => {{
            type Native = <$type as ArrowPrimitiveType>::Native;
            match zeros {
                Zeros::Differ => by!(Native, |new: Native, old: Native| {
                    new.to_bits() != old.to_bits() && !($nan(new) && $nan(old))
                }),
                Zeros::Equal => by!(Native, |new: Native, old: Native| new != old && !($nan(new) && $nan(old))),
            }
        }};
    }
    match new.data_type() {
        Null => {}
        Boolean => mark_booleans(new, old, valid, words),
        Int8 | UInt8 => by!(u8),
        Int16 | UInt16 => by!(u16),
        Int32 | UInt32 | Date32 | Time32(_) | Decimal32(_, _) | Interval(IntervalUnit::YearMonth) => by!(u32),
        Int64 | UInt64 | Date64 | Time64(_) | Timestamp(_, _) | Duration(_) | Decimal64(_, _) => by!(u64),
        Decimal128(_, _) => by!(i128),
        Decimal256(_, _) => by!(i256),
        Interval(IntervalUnit::DayTime) => by!(IntervalDayTime),
        Interval(IntervalUnit::MonthDayNano) => by!(IntervalMonthDayNano),
        Float16 => by_float!(Float16Type, |value: <Float16Type as ArrowPrimitiveType>::Native| value.is_nan()),
        Float32 => by_float!(Float32Type, f32::is_nan),
        Float64 => by_float!(Float64Type, f64::is_nan),
        Utf8 => mark_bytes::<GenericStringType<i32>>(new, old, valid, words),
        LargeUtf8 => mark_bytes::<GenericStringType<i64>>(new, old, valid, words),
        Binary => mark_bytes::<GenericBinaryType<i32>>(new, old, valid, words),
        LargeBinary => mark_bytes::<GenericBinaryType<i64>>(new, old, valid, words),
        Utf8View => mark_views::<StringViewType>(new, old, valid, words),
        BinaryView => mark_views::<BinaryViewType>(new, old, valid, words),
        FixedSizeBinary(_) => mark_fixed(new, old, valid, words),
        other => return Err(Error::internal(format!("columns of type {other} cannot be compared"))),
    }
    Ok(())
}

fn mark_booleans(new: &ArrayRef, old: &ArrayRef, valid: Option<&[u64]>, words: &mut [u64]) {
    let (new, old) = (new.as_boolean().values(), old.as_boolean().values());
    let (new, old) = (new.bit_chunks(), old.bit_chunks());
    for (index, (new, old)) in new.iter_padded().zip(old.iter_padded()).take(words.len()).enumerate() {
        words[index] |= (new ^ old) & valid.map_or(u64::MAX, |valid| valid[index]);
    }
}

fn mark_fixed(new: &ArrayRef, old: &ArrayRef, valid: Option<&[u64]>, words: &mut [u64]) {
    let (new_bytes, old_bytes) = (new.as_fixed_size_binary(), old.as_fixed_size_binary());
    let width = new_bytes.value_size();
    let (new_bytes, old_bytes) = (new_bytes.value_data(), old_bytes.value_data());
    for_each_word(words, valid, new.len(), |rows, open| {
        let all = rows.start * width..rows.end * width;
        if new_bytes[all.clone()] == old_bytes[all] {
            return 0;
        }
        one_by_one(rows.start, open, |row| {
            let bytes = row * width..(row + 1) * width;
            new_bytes[bytes.clone()] != old_bytes[bytes]
        })
    });
}

/// The comparison of the NULLs of two columns.
struct Nulls {
    /// The rows in which neither is NULL, whose values are compared.
    both: Vec<u64>,
}

impl Nulls {
    /// Sets the bits of rows that are NULL on one side only; `None` if no row is NULL.
    fn mark(new: Option<&NullBuffer>, old: Option<&NullBuffer>, words: &mut [u64]) -> Option<Self> {
        let of = |nulls: Option<&NullBuffer>| -> Option<Vec<u64>> {
            let nulls = nulls.filter(|nulls| nulls.null_count() > 0)?;
            Some(nulls.inner().bit_chunks().iter_padded().take(words.len()).collect())
        };
        let (new, old) = (of(new), of(old));
        if new.is_none() && old.is_none() {
            return None;
        }
        let at = |nulls: &Option<Vec<u64>>, index: usize| nulls.as_ref().map_or(u64::MAX, |words| words[index]);
        let both = words.iter_mut().enumerate().map(|(index, word)| {
            let (new, old) = (at(&new, index), at(&old, index));
            *word |= new ^ old;
            new & old
        });
        Some(Self { both: both.collect() })
    }
}

/// Visits the words with rows to compare. `look` receives the rows of a word and the bits of those that are not NULL
/// and not known to have changed, and returns the bits of those that have changed.
#[inline]
fn for_each_word(
    words: &mut [u64],
    valid: Option<&[u64]>,
    rows: usize,
    mut look: impl FnMut(Range<usize>, u64) -> u64,
) {
    for (index, word) in words.iter_mut().enumerate() {
        let range = index * WORD..rows.min((index + 1) * WORD);
        let there = if range.len() == WORD { u64::MAX } else { (1 << range.len()) - 1 };
        let open = valid.map_or(u64::MAX, |valid| valid[index]) & there & !*word;
        if open != 0 {
            *word |= look(range, open) & open;
        }
    }
}

/// Compares the rows of a word whose bits are set.
#[inline]
fn one_by_one(first: usize, mut open: u64, differs: impl Fn(usize) -> bool) -> u64 {
    let mut bits = 0;
    while open != 0 {
        let row = open.trailing_zeros();
        bits |= u64::from(differs(first + row as usize)) << row;
        open &= open - 1;
    }
    bits
}

fn mark_nested(new: &ArrayRef, old: &ArrayRef, words: &mut [u64]) -> Result<()> {
    let failed = |error: arrow::error::ArrowError| Error::internal(format!("could not compare rows: {error}"));
    let converter = RowConverter::new(vec![SortField::new(new.data_type().clone())]).map_err(failed)?;
    let new_rows = converter.convert_columns(&[ArrayRef::clone(new)]).map_err(failed)?;
    let old_rows = converter.convert_columns(&[ArrayRef::clone(old)]).map_err(failed)?;
    for_each_word(words, None, new.len(), |rows, open| {
        one_by_one(rows.start, open, |row| new_rows.row(row) != old_rows.row(row))
    });
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;
    use arrow::compute::cast;
    use arrow::datatypes::{ArrowNativeType, DataType, Field, Int32Type, TimeUnit};
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    use multiversion::multiversion;
    use proptest::prelude::*;

    use super::fixed::{Natives, differ_anywhere};
    use super::*;

    /// Columns of every type, whose values are chosen by small numbers.
    fn columns(numbers: &[Option<u8>]) -> Vec<ArrayRef> {
        let map = |of: &dyn Fn(u8) -> i64| numbers.iter().map(|n| n.map(of)).collect::<Int64Array>();
        let integers: ArrayRef = Arc::new(map(&|n| i64::from(n) % 5 * 3));
        let texts =
            numbers.iter().map(|n| n.map(|n| "a text of any length at all".repeat(2)[..usize::from(n) * 5].to_owned()));
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let as_type = |from: &ArrayRef, to: DataType| cast(from, &to).unwrap();
        let floats = |bits: [f64; 4]| -> ArrayRef {
            Arc::new(numbers.iter().map(|n| n.map(|n| bits[usize::from(n) % 4])).collect::<Float64Array>())
        };
        let doubles = floats([f64::NAN, -0.0, 0.0, f64::from_bits(f64::NAN.to_bits() | 7 | 1 << 63)]);
        let millis: ArrayRef = Arc::new(map(&|n| i64::from(n) * 86_400_000));
        let mut all = vec![Arc::clone(&integers), Arc::clone(&texts), Arc::clone(&doubles)];
        all.push(Arc::new(NullArray::new(numbers.len())));
        all.extend(
            [Boolean, Int8, UInt8, Int16, UInt16, Int32, UInt32, UInt64, Float32].map(|t| as_type(&integers, t)),
        );
        all.extend([Float16, Float32].map(|t| as_type(&doubles, t)));
        all.extend(
            [Decimal32(9, 2), Decimal64(18, 2), Decimal128(38, 3), Decimal256(70, 3)].map(|t| as_type(&integers, t)),
        );
        all.extend(
            [Date64, Timestamp(TimeUnit::Second, None), Duration(TimeUnit::Millisecond)].map(|t| as_type(&millis, t)),
        );
        all.push(as_type(&as_type(&millis, Date64), Date32));
        all.extend(
            [Time32(TimeUnit::Second), Time32(TimeUnit::Millisecond)].map(|t| as_type(&as_type(&integers, Int32), t)),
        );
        all.extend([Time64(TimeUnit::Microsecond), Time64(TimeUnit::Nanosecond)].map(|t| as_type(&integers, t)));
        all.extend([LargeUtf8, Utf8View, Binary, LargeBinary, BinaryView].map(|t| as_type(&texts, t)));
        all.push(as_type(&texts, Dictionary(Box::new(Int8), Box::new(Utf8))));
        let day = |n: u8| arrow::datatypes::IntervalDayTime::new(n.into(), -i32::from(n));
        all.push(Arc::new(numbers.iter().map(|n| n.map(day)).collect::<IntervalDayTimeArray>()));
        let month = |n: u8| IntervalMonthDayNano::new(n.into(), 1, i64::from(n) << 40);
        all.push(Arc::new(numbers.iter().map(|n| n.map(month)).collect::<IntervalMonthDayNanoArray>()));
        all.push(Arc::new(numbers.iter().map(|n| n.map(i32::from)).collect::<IntervalYearMonthArray>()));
        for width in [3, 16] {
            let bytes = numbers.iter().map(|n| n.map(|n| vec![n; width as usize]));
            all.push(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, width).unwrap()));
        }
        let lists = numbers.iter().map(|n| n.map(|n| (0..i32::from(n) % 3).map(Some).chain([None])));
        all.push(Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)));
        let runs =
            as_type(&texts, Utf8).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>();
        let runs: RunArray<Int32Type> = runs.iter().map(|text| text.as_deref()).collect();
        all.push(Arc::new(runs));
        let field = |name: &str, column: &ArrayRef| Arc::new(Field::new(name, column.data_type().clone(), true));
        all.push(Arc::new(StructArray::from(vec![
            (field("a", &integers), Arc::clone(&integers)),
            (field("b", &texts), texts),
        ])));
        all
    }

    /// Whether rows differ in their printed form.
    fn reference(new: &ArrayRef, old: &ArrayRef) -> Vec<bool> {
        let options = FormatOptions::new().with_null("no value");
        let print = |array: &ArrayRef| -> Vec<String> {
            let formatter = ArrayFormatter::try_new(array, &options).unwrap();
            (0..array.len()).map(|row| formatter.value(row).to_string()).collect()
        };
        print(new).into_iter().zip(print(old)).map(|(new, old)| new != old).collect()
    }

    fn numbers() -> impl Strategy<Value = Vec<(Option<u8>, Option<u8>)>> {
        let number = || proptest::option::weighted(0.8, 0..9_u8);
        let pair = (number(), number(), 0..4).prop_map(|(new, old, same)| (new, if same > 0 { new } else { old }));
        proptest::collection::vec(pair, 0..300)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_of_every_type_differ_where_they_are_printed_otherwise(numbers in numbers(), skip in 0..70_usize) {
            let (new, old): (Vec<_>, Vec<_>) = numbers.into_iter().unzip();
            let (rows, skip) = (new.len(), skip.min(new.len()));
            for (new, old) in columns(&new).iter().zip(&columns(&old)) {
                for (new, old) in [(new.slice(0, rows), old.slice(0, rows)), (new.slice(skip, rows - skip), old.slice(skip, rows - skip))] {
                    let bits = changed_rows(&[Arc::clone(&new)], &[Arc::clone(&old)], new.len(), Zeros::Differ).unwrap();
                    prop_assert_eq!(bits.iter().collect::<Vec<_>>(), reference(&new, &old), "{}", new.data_type());
                }
                // The other side starts at another offset in its buffers.
                let (new, old) = (new.slice(skip, rows - skip), old.slice(0, rows - skip));
                let bits = changed_rows(&[Arc::clone(&new)], &[Arc::clone(&old)], new.len(), Zeros::Differ).unwrap();
                prop_assert_eq!(bits.iter().collect::<Vec<_>>(), reference(&new, &old), "{}", new.data_type());
            }
        }

        #[test]
        fn a_row_differs_where_a_column_does(numbers in numbers()) {
            let (new, old): (Vec<_>, Vec<_>) = numbers.into_iter().unzip();
            let (rows, new, old) = (new.len(), columns(&new), columns(&old));
            let bits = changed_rows(&new, &old, rows, Zeros::Differ).unwrap();
            let each: Vec<_> = new.iter().zip(&old).map(|(new, old)| reference(new, old)).collect();
            let any = (0..rows).map(|row| each.iter().any(|column| column[row]));
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), any.collect::<Vec<_>>());
        }

        /// Each on a processor that has its instructions, and what every processor has on another.
        #[test]
        fn all_sets_of_instructions_agree(pairs in proptest::collection::vec(any::<(u64, u64, bool)>(), 0..600), valid: [u64; 8]) {
            #[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
            fn avx2<T: ArrowNativeType>(new: &Natives<T>, old: &Natives<T>, valid: Option<&[u64]>, words: &mut [u64]) {
                differ_anywhere(new, old, |new, old| new != old, valid, words);
            }
            #[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+bmi1+bmi2+lzcnt+popcnt"))]
            fn avx512<T: ArrowNativeType>(new: &Natives<T>, old: &Natives<T>, valid: Option<&[u64]>, words: &mut [u64]) {
                differ_anywhere(new, old, |new, old| new != old, valid, words);
            }
            fn check<T: ArrowNativeType>(pairs: &[(u64, u64, bool)], valid: &[u64], of: DataType, value: impl Fn(u64) -> T) {
                let values = |values: Vec<T>| {
                    let data = ArrayData::builder(of.clone()).len(values.len()).add_buffer(values.into());
                    natives::<T>(&make_array(data.build().unwrap()))
                };
                let new = values(pairs.iter().map(|(new, ..)| value(*new)).collect());
                let old = values(pairs.iter().map(|(new, old, same)| value(if *same { *new } else { *old })).collect());
                let words = || vec![u64::MAX << 60; pairs.len().div_ceil(WORD)];
                for valid in [None, Some(valid)] {
                    let (mut any, mut two, mut five) = (words(), words(), words());
                    differ_anywhere(&new, &old, |new, old| new != old, valid, &mut any);
                    avx2(&new, &old, valid, &mut two);
                    avx512(&new, &old, valid, &mut five);
                    assert_eq!(any, two);
                    assert_eq!(any, five);
                    let differs = new.values().iter().zip(old.values()).enumerate().map(|(row, (new, old))| {
                        let is_set = row % WORD >= 60;
                        is_set || new != old && valid.is_none_or(|valid| valid[row / WORD] >> (row % WORD) & 1 == 1)
                    });
                    let bits = BooleanBuffer::new(any.into(), 0, pairs.len());
                    assert_eq!(bits.iter().collect::<Vec<_>>(), differs.collect::<Vec<_>>());
                }
            }
            let pairs = &pairs[..pairs.len().min(8 * WORD)];
            check(pairs, &valid, UInt8, |value| value as u8);
            check(pairs, &valid, UInt16, |value| value as u16);
            check(pairs, &valid, UInt32, |value| value as u32);
            check(pairs, &valid, UInt64, |value| value);
            check(pairs, &valid, Decimal128(38, 0), |value| i128::from(value) << 40);
            check(pairs, &valid, Float64, |value| value as f64);
        }
    }

    #[test]
    fn zeros_are_one_value_on_request() {
        let of = |values: [f32; 3]| -> ArrayRef { Arc::new(PrimitiveArray::<Float32Type>::from_iter_values(values)) };
        let (new, old) = (of([-0.0, f32::NAN, 1.0]), of([0.0, -f32::NAN, 2.0]));
        let bits = |zeros| changed_rows(&[Arc::clone(&new)], &[Arc::clone(&old)], 3, zeros).unwrap();
        assert_eq!(bits(Zeros::Differ).iter().collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(bits(Zeros::Equal).iter().collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn what_is_not_alike_is_an_error() {
        let batch = |columns: Vec<(&str, ArrayRef)>| RecordBatch::try_from_iter(columns).unwrap();
        let one = batch(vec![("a", Arc::new(Int32Array::from(vec![1])))]);
        let wide = batch(vec![("a", Arc::new(Int64Array::from(vec![1])))]);
        let long = batch(vec![("a", Arc::new(Int32Array::from(vec![1, 2])))]);
        for (other, says) in [(wide, "Int32 cannot be compared with Int64"), (long, "1 rows cannot be compared with 2")]
        {
            assert_eq!(
                changed_rows(one.columns(), other.columns(), one.num_rows(), Zeros::Differ).unwrap_err().to_string(),
                says
            );
        }
    }
}
