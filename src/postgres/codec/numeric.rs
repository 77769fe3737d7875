//! `numeric`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal256Array, PrimitiveArray};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type, UInt64Type, i256};

use super::super::bytes::{Bytes, Packed, Slots};
use super::super::cells::Cells;
use super::super::rows::Values;
#[cfg(test)]
use super::Example;
use super::digits::{self, Digits};
use super::received::Numeric;
use super::values::{texts_by, wrong_length};
use super::{Codec, Collation, Family, Form, Spelling, binary};
use crate::backend::Comparison;
use crate::columnar::{misfit, recode, to_text, whole_and_places};
use crate::error::{Error, ErrorKind, Result};

/// A `numeric` with or without a precision.
#[derive(Debug)]
struct Column(Option<Digits>);

pub(in crate::postgres) const FAMILY: Family = Family {
    codec,
    declare,
    #[cfg(test)]
    examples,
};

fn codec(name: &str, typmod: i32) -> Option<Arc<dyn Codec>> {
    (name == "numeric").then(|| Arc::new(Column(Digits::of(typmod))) as _)
}

fn declare(data_type: &DataType) -> Option<String> {
    Some(match *data_type {
        UInt64 => "numeric(20,0)".into(),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => match scale {
            // PostgreSQL supports negative scales from version 15 on.
            ..0 => format!("numeric({},0)", i32::from(precision) - i32::from(scale)),
            scale => format!("numeric({precision},{scale})"),
        },
        _ => return None,
    })
}

#[cfg(test)]
fn examples() -> Vec<Example> {
    let numeric = |declared, digits: Option<(u16, i16)>, limits| {
        let digits = digits.map(|(precision, scale)| Digits { precision, scale });
        Example { declared, codec: Arc::new(Column(digits)), limits }
    };
    vec![
        numeric(
            "numeric(10,2)",
            Some((10, 2)),
            "numbers that fit the precision and scale, and NaN; text that is a valid number",
        ),
        numeric(
            "numeric(50,5)",
            Some((50, 5)),
            "numbers that fit the precision and scale, and NaN; text that is a valid number",
        ),
        numeric("numeric", None, "text that is a number"),
    ]
}

impl Codec for Column {
    fn arrow_type(&self) -> DataType {
        self.0.and_then(Digits::decimal).unwrap_or(Utf8View)
    }

    fn decodes_as(&self, to: &DataType) -> bool {
        to.is_decimal() || *to == Utf8View
    }

    fn comparison(&self, _: Collation) -> Comparison {
        match self.0.and_then(Digits::decimal) {
            Some(_) => Comparison::Exact,
            None => Comparison::Differs,
        }
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        match self.0 {
            _ if from.is_string() => binary(from.clone()),
            _ if !from.is_numeric() => None,
            _ if *from == Float16 => binary(Float32),
            Some(keeps) if !from.is_floating() && !always_fits(from, keeps) => match self.arrow_type() {
                decimal if decimal.is_decimal() && keeps.scale >= 0 => binary(decimal),
                _ => binary(from.clone()),
            },
            _ => binary(from.clone()),
        }
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let unchecked = self.0.is_none_or(|keeps| {
            // Otherwise it was converted to the precision and scale of the column.
            always_fits(array.data_type(), keeps)
                || matches!(*array.data_type(), Decimal128(_, scale) | Decimal256(_, scale)
                    if keeps.scale >= 0 && i16::from(scale) == keeps.scale)
        });
        match unchecked.then(|| unchecked_digits(array)).transpose()?.flatten() {
            Some(cells) => Ok(cells),
            None => digits_of_text(array, self.0),
        }
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match to {
            Utf8View => texts_by(values, to, |bytes, text| {
                Numeric::parse(bytes)?.push_text(text);
                Some(())
            }),
            _ => decimals(values, to),
        }
    }

    fn is_number(&self) -> bool {
        true
    }

    fn spelling(&self) -> Spelling {
        Spelling::Digits
    }
}

/// Whether every value of a type fits a `numeric` without a check.
fn always_fits(data_type: &DataType, keeps: Digits) -> bool {
    let room = (keeps.precision as i16 - keeps.scale, keeps.scale);
    whole_and_places(data_type).is_some_and(|(whole, places)| keeps.scale >= 0 && places <= room.1 && whole <= room.0)
}

/// Encodes numbers of a type that always fits; `None` if they are encoded from their text.
fn unchecked_digits(array: &ArrayRef) -> Result<Option<Box<dyn Cells>>> {
    fn each<T: ArrowPrimitiveType>(array: &ArrayRef, mut put: impl FnMut(T::Native, &mut Vec<u8>)) -> Box<dyn Cells> {
        let array = array.as_primitive::<T>();
        let mut packed = Packed::new(array.len(), array.nulls().cloned());
        for (row, value) in array.values().iter().enumerate() {
            if array.is_valid(row) {
                put(*value, packed.data());
            }
            packed.end();
        }
        Box::new(Bytes { values: packed, prefix: b"" })
    }
    Ok(Some(match *array.data_type() {
        Decimal32(_, scale @ 0..) | Decimal64(_, scale @ 0..) => {
            return unchecked_digits(&recode(array, &Decimal128(38, scale))?);
        }
        Decimal128(_, scale @ 0..) => {
            let decimals = array.as_primitive::<Decimal128Type>();
            if let Some(slots) = digits::slots(decimals.values(), decimals.nulls(), scale as u8) {
                return Ok(Some(Box::new(Slots(slots))));
            }
            each::<Decimal128Type>(array, move |value, out| digits::put_i128(value, scale as u8, out))
        }
        Decimal256(_, scale @ 0..) => {
            each::<Decimal256Type>(array, move |value, out| digits::put_i256(value, scale as u8, out))
        }
        Int64 => each::<Int64Type>(array, |value, out| digits::put_i128(value.into(), 0, out)),
        UInt64 => each::<UInt64Type>(array, |value, out| digits::put_i128(value.into(), 0, out)),
        ref t if t.is_integer() => return unchecked_digits(&recode(array, &Int64)?),
        _ => return Ok(None),
    }))
}

/// Floats with their shortest digits.
fn digits_of_text(array: &ArrayRef, keeps: Option<Digits>) -> Result<Box<dyn Cells>> {
    fn shortest(value: Option<impl std::fmt::LowerExp>) -> Option<String> {
        value.map(|value| format!("{value:e}"))
    }
    let texts = match array.data_type() {
        // Rust's shortest digits: Arrow's text of a float has the same value, but can have other digits.
        Float32 => array.as_primitive::<Float32Type>().iter().map(shortest).collect(),
        Float64 => array.as_primitive::<Float64Type>().iter().map(shortest).collect(),
        Utf8 | LargeUtf8 | Utf8View => recode(array, &Utf8View)?.as_string_view().clone(),
        _ => to_text(array)?,
    };
    let mut values = Packed::new(array.len(), array.nulls().cloned());
    for row in 0..array.len() {
        if texts.is_valid(row) {
            digits::put_text(texts.value(row), keeps, values.data()).map_err(|why| misfit(array, row, &why))?;
        }
        values.end();
    }
    Ok(Box::new(Bytes { values, prefix: b"" }))
}

fn decimals(values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
    Ok(match *to {
        Decimal128(precision, scale) => {
            // The first value that has a digit too many.
            let limit = 10_i128.pow(precision.into());
            let fits = |number: Numeric<'_>| number.unscaled_i128(scale).filter(|value| value.abs() < limit);
            let unscaled = unscaled(values, to, fits)?.into_iter().collect::<PrimitiveArray<Decimal128Type>>();
            Arc::new(unscaled.with_data_type(to.clone()))
        }
        Decimal32(precision, scale) | Decimal64(precision, scale) => {
            recode(&decimals(values, &Decimal128(precision, scale))?, to)?
        }
        Decimal256(precision, scale) => {
            let limit = i256::from_i128(10).wrapping_pow(precision.into());
            let fits = |number: Numeric<'_>| number.unscaled_i256(scale).filter(|value| value.wrapping_abs() < limit);
            let unscaled = unscaled(values, to, fits)?.into_iter().collect::<Decimal256Array>();
            Arc::new(unscaled.with_data_type(to.clone()))
        }
        _ => return Err(Error::internal(format!("{to} is not a decimal"))),
    })
}

fn unscaled<T>(
    values: Values<'_>,
    to: &DataType,
    unscaled: impl Fn(Numeric<'_>) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let unscaled = values.iter().enumerate().map(|(row, value)| {
        let Some(bytes) = value else { return Ok(None) };
        let number = Numeric::parse(bytes).ok_or_else(|| wrong_length(to).at_row(row))?;
        unscaled(number).map(Some).ok_or_else(|| {
            let mut text = String::new();
            number.push_text(&mut text);
            text.truncate(60);
            let why = "register the table with this column as a DECIMAL with more digits, or as VARCHAR";
            Error::new(ErrorKind::Decode, format!("{text} cannot be read as {to}: {why}")).at_row(row)
        })
    });
    unscaled.collect()
}
