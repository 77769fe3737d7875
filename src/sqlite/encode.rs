//! Arrow arrays to SQLite's storage classes, column by column.
//!
//! An encoder is chosen from the Arrow type *and* the column's declared type when the plan is made. It works in two
//! steps: the array is brought to the column's own Arrow type without changing a value, then to the form that
//! [`types`](super::types) says.

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, Float64Array, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use rusqlite::types::ValueRef;

use super::types::{Affinity, Form};
use crate::backend::Column;
use crate::columnar::json;
use crate::columnar::{LosslessCast, first_row_where, misfit, recode, to_text};
use crate::error::{Error, Result};

/// A column of values in one of SQLite's storage classes, NULLs among them.
#[derive(Debug)]
pub(super) enum Stored {
    Null,
    Integer(Int64Array),
    Real(Float64Array),
    Text(StringViewArray),
    Blob(BinaryViewArray),
}

impl Stored {
    /// The value of a row, borrowed.
    #[inline]
    pub(super) fn value(&self, row: usize) -> ValueRef<'_> {
        match self {
            Self::Integer(array) if array.is_valid(row) => ValueRef::Integer(array.value(row)),
            Self::Real(array) if array.is_valid(row) => ValueRef::Real(array.value(row)),
            Self::Text(array) if array.is_valid(row) => ValueRef::Text(array.value(row).as_bytes()),
            Self::Blob(array) if array.is_valid(row) => ValueRef::Blob(array.value(row)),
            _ => ValueRef::Null,
        }
    }

    /// Bytes of the values, exactly: 8 a number, the length of a text or blob.
    fn bytes(&self) -> u64 {
        fn lengths(views: &[u128], nulls: Option<&arrow::buffer::NullBuffer>) -> u64 {
            let length = |view: &u128| u64::from(*view as u32);
            match nulls {
                None => views.iter().map(length).sum(),
                Some(nulls) => nulls.valid_indices().map(|row| length(&views[row])).sum(),
            }
        }
        let numbers = |array: &dyn Array| 8 * (array.len() - array.null_count()) as u64;
        match self {
            Self::Null => 0,
            Self::Integer(array) => numbers(array),
            Self::Real(array) => numbers(array),
            Self::Text(array) => lengths(array.views(), array.nulls()),
            Self::Blob(array) => lengths(array.views(), array.nulls()),
        }
    }
}

/// Rows in SQLite's storage classes, column by column.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) columns: Vec<Stored>,
    pub(super) count: usize,
}

impl Rows {
    /// Bytes of all values.
    pub(super) fn bytes(&self) -> usize {
        let bytes: u64 = self.columns.iter().map(Stored::bytes).sum();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// How one column is encoded.
#[derive(Debug)]
pub(super) struct Encoder {
    conform: LosslessCast,
    form: Form,
    affinity: Affinity,
}

impl Encoder {
    /// The encoder from an Arrow type to a column.
    ///
    /// # Errors
    /// `Schema`, naming both types, where there is none.
    pub(super) fn try_new(from: &DataType, column: &Column) -> Result<Self> {
        let affinity = Affinity::of_column(column);
        let ways = LosslessCast::try_new(from, &column.data_type).zip(Form::of(&column.data_type, affinity));
        let supported = ways.filter(|(_, form)| *form != Form::Json || json::json_type(&column.data_type).is_some());
        let Some((conform, form)) = supported else {
            return Err(Error::schema(format!(
                "column \"{}\": no way from Arrow type {from} to a column declared {} (read as {}): CAST it in the \
                 query to {}",
                column.name, column.sql_type, column.data_type, column.data_type
            )));
        };
        Ok(Self { conform, form, affinity })
    }

    /// Encodes an array.
    ///
    /// # Errors
    /// `Encode`, at the row whose value cannot be stored unchanged.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<Stored> {
        store(&self.conform.apply(array)?, self.form, self.affinity)
    }
}

/// An array of a plain type in its form.
pub(super) fn store(array: &ArrayRef, form: Form, affinity: Affinity) -> Result<Stored> {
    Ok(match form {
        Form::Null => Stored::Null,
        Form::Boolean => Stored::Integer(recode(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
        Form::Integer => Stored::Integer(integers(array)?),
        Form::Real => Stored::Real(reals(array)?),
        Form::UnsignedText | Form::DecimalText => Stored::Text(to_text(array)?),
        Form::DecimalNumber => Stored::Text(short_decimals(array)?),
        Form::Text => Stored::Text(texts(array, affinity)?),
        Form::Blob => {
            let plain = match array.data_type() {
                DataType::FixedSizeBinary(_) => recode(array, &DataType::Binary)?,
                _ => ArrayRef::clone(array),
            };
            Stored::Blob(recode(&plain, &DataType::BinaryView)?.as_binary_view().clone())
        }
        Form::Date | Form::Time | Form::Timestamp | Form::Interval => Stored::Text(to_text(array)?),
        Form::Json => Stored::Text(json::encode(array)?),
    })
}

fn integers(array: &ArrayRef) -> Result<Int64Array> {
    if let Some(unsigned) = array.as_primitive_opt::<UInt64Type>()
        && let Some(row) = first_row_where(array, |row| i64::try_from(unsigned.value(row)).is_err())
    {
        return Err(misfit(
            array,
            row,
            "is beyond 9223372036854775807, SQLite's largest integer: create the table with the option 'uint64' = \
             'text', or CAST it to DECIMAL(20, 0)",
        ));
    }
    Ok(recode(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn reals(array: &ArrayRef) -> Result<Float64Array> {
    let reals = recode(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone();
    // A sum is NaN where any part is; infinities make it so too, then each is looked at.
    if reals.values().iter().sum::<f64>().is_nan()
        && let Some(row) = first_row_where(&reals, |row| reals.value(row).is_nan())
    {
        return Err(misfit(
            array,
            row,
            "cannot be stored, as SQLite would make it NULL: use CASE WHEN isnan(x) THEN NULL ELSE x END, or nanvl",
        ));
    }
    Ok(reals)
}

/// Decimals for a column that makes REAL of them: 15 significant digits survive, and so do 64-bit integers.
fn short_decimals(array: &ArrayRef) -> Result<StringViewArray> {
    let texts = to_text(array)?;
    let too_long = |row: usize| {
        let text: &str = texts.value(row);
        let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
        digits > 15 && text.parse::<i64>().is_err()
    };
    match first_row_where(&texts, too_long) {
        None => Ok(texts),
        Some(row) => Err(misfit(
            array,
            row,
            "has more digits than the 15 that its column keeps: declare the column TEXT, or let Landfall create it",
        )),
    }
}

fn texts(array: &ArrayRef, affinity: Affinity) -> Result<StringViewArray> {
    let texts = recode(array, &DataType::Utf8View)?.as_string_view().clone();
    if affinity.makes_numbers()
        && let Some(row) = first_row_where(&texts, |row| changes_as_number(texts.value(row)))
    {
        return Err(misfit(
            array,
            row,
            "would be stored as a number by the type that its column is declared with: declare the column TEXT",
        ));
    }
    Ok(texts)
}

/// Whether SQLite makes a number of a text that does not read back the same.
fn changes_as_number(text: &str) -> bool {
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let numeric =
        trimmed.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && trimmed.parse::<f64>().is_ok();
    numeric && text.parse::<i64>().map(|number| number.to_string()).as_deref() != Ok(text)
}
