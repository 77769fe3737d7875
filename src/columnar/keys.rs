//! The keys of rows, in a form that is fast to hash and compare.

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, UInt64Array};
use arrow::datatypes::DataType::{self, *};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use super::{plain, recode};
use crate::error::{Error, Result};

/// The form of the keys of a write. It depends only on the types, so that keys of several batches can be compared.
#[derive(Debug)]
pub(crate) struct KeyForm(Form);

#[derive(Debug)]
enum Form {
    /// One column of integers of at most 64 bits.
    Integer,
    /// One column of texts or binary values.
    Bytes,
    /// Any columns.
    Rows(RowConverter),
}

/// The keys of a batch's rows.
#[derive(Debug)]
pub(crate) enum Keys {
    Integers(Vec<u64>),
    Bytes(BinaryViewArray),
    Rows(Rows),
}

impl KeyForm {
    /// The form of keys with columns of these types.
    ///
    /// # Errors
    /// `Internal` for types without an order.
    pub(crate) fn try_new<'a>(types: impl ExactSizeIterator<Item = &'a DataType> + Clone) -> Result<Self> {
        let single = types.clone().next().filter(|_| types.len() == 1).map(plain);
        let form = match single {
            Some(t) if is_integer(t) => Form::Integer,
            Some(Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView) => Form::Bytes,
            _ => {
                let fields = types.map(|data_type| SortField::new(data_type.clone())).collect();
                Form::Rows(RowConverter::new(fields).map_err(failed)?)
            }
        };
        Ok(Self(form))
    }

    /// The keys of these columns, which must not contain NULL.
    pub(crate) fn keys(&self, columns: &[ArrayRef]) -> Result<Keys> {
        match (&self.0, columns) {
            (Form::Integer, [column]) => Ok(Keys::Integers(integers(&recode(column, plain(column.data_type()))?)?)),
            (Form::Bytes, [column]) => {
                let column = recode(column, plain(column.data_type()))?;
                Ok(Keys::Bytes(recode(&column, &BinaryView)?.as_binary_view().clone()))
            }
            (Form::Rows(converter), columns) => Ok(Keys::Rows(converter.convert_columns(columns).map_err(failed)?)),
            _ => Err(Error::internal("a key has more than one column")),
        }
    }
}

impl Keys {
    /// The bytes of a key; empty for an integer.
    pub(super) fn bytes(&self, row: usize) -> &[u8] {
        match self {
            Self::Integers(_) => &[],
            Self::Bytes(bytes) => bytes.value(row),
            Self::Rows(rows) => rows.row(row).data(),
        }
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Integers(keys) => keys.len(),
            Self::Bytes(keys) => keys.len(),
            Self::Rows(keys) => keys.num_rows(),
        }
    }
}

fn is_integer(data_type: &DataType) -> bool {
    use DataType::*;
    data_type.is_integer() || matches!(data_type, Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(_, _))
}

/// The bits of integers, which are equal if the integers are.
fn integers(array: &ArrayRef) -> Result<Vec<u64>> {
    let data = array.to_data();
    fn widen<T: arrow::datatypes::ArrowNativeType>(
        data: &arrow::array::ArrayData,
        bits: impl Fn(T) -> u64,
    ) -> Vec<u64> {
        data.buffer::<T>(0)[..data.len()].iter().map(|value| bits(*value)).collect()
    }
    Ok(match array.data_type().primitive_width() {
        Some(1) => widen::<u8>(&data, u64::from),
        Some(2) => widen::<u16>(&data, u64::from),
        Some(4) => widen::<u32>(&data, u64::from),
        Some(8) => widen::<u64>(&data, |bits| bits),
        _ => return Err(Error::internal(format!("{} is not an integer type", array.data_type()))),
    })
}

fn failed(error: ArrowError) -> Error {
    Error::internal(format!("could not create keys: {error}"))
}

/// The smallest and the largest of integers, if they are so dense that reading the whole range is faster than looking
/// up each one.
pub(crate) fn dense_range(column: &ArrayRef) -> Option<(i128, i128)> {
    /// The maximum number of rows read for one wanted row.
    const MOST: i128 = 4;
    use arrow::compute::{max, min};
    use arrow::datatypes::{Int64Type, UInt64Type};
    let column = recode(column, plain(column.data_type())).ok()?;
    if !column.data_type().is_integer() || column.is_empty() {
        return None;
    }
    let (first, last) = match column.data_type() {
        UInt64 => {
            let numbers: &UInt64Array = column.as_primitive::<UInt64Type>();
            (i128::from(min(numbers)?), i128::from(max(numbers)?))
        }
        _ => {
            let numbers = recode(&column, &Int64).ok()?;
            let numbers = numbers.as_primitive::<Int64Type>();
            (i128::from(min(numbers)?), i128::from(max(numbers)?))
        }
    };
    (last - first < MOST * column.len() as i128).then_some((first, last))
}
