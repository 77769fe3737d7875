//! Conversions between floats and decimals by the shortest digits of the float.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Decimal256Array, PrimitiveArray, Scalar};
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Float32Type, Float64Type, i256};
use arrow::error::ArrowError;

use super::each;
use crate::columnar::lossless_cast::{misfit, recode};
use crate::columnar::text::{digits_of, parse_decimal};
use crate::columnar::{LosslessCast, to_text};
use crate::error::{Error, Result};

pub(super) fn decimals(unscaled: Vec<Option<i256>>, to: &DataType) -> Result<ArrayRef> {
    let (precision, scale) = digits_of(to);
    if let Decimal256(..) = to {
        let wide: Decimal256Array = unscaled.into_iter().collect();
        return Ok(Arc::new(wide.with_precision_and_scale(precision, scale).map_err(internal)?));
    }
    // None of them has more digits than the type.
    let narrow: Decimal128Array = unscaled.into_iter().map(|value| value.and_then(i256::to_i128)).collect();
    let narrow: ArrayRef = Arc::new(narrow.with_precision_and_scale(precision, scale).map_err(internal)?);
    recode(&narrow, to)
}

/// Floats as decimals.
pub(super) fn rounded(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let (precision, scale) = digits_of(to);
    let unscaled = match array.data_type() {
        Float64 => {
            let values = array.as_primitive::<Float64Type>();
            each(array, values.iter(), |value| round(value, || format!("{value:e}"), precision, scale))?
        }
        _ => {
            let values = recode(array, &Float32)?;
            let values = values.as_primitive::<Float32Type>();
            // The product of a real has more digits than its shortest representation.
            let unscaled = |value: f32| match round_digits(&format!("{value:e}"), scale) {
                Some(unscaled) if value.is_finite() => kept(unscaled, value != 0.0, precision, scale),
                Some(_) | None if value.is_finite() => Err(too_large(precision, scale)),
                _ => Err(NO_DECIMAL.into()),
            };
            each(array, values.iter(), unscaled)?
        }
    };
    decimals(unscaled, to)
}

/// Decimals with a smaller scale. Arrow's cast rounds half away from zero.
pub(super) fn rounded_decimal(array: &ArrayRef, cast: &LosslessCast) -> Result<ArrayRef> {
    let rounded = cast.apply(array)?;
    let is_zero = |array: &ArrayRef| -> Result<BooleanArray> {
        let zero = Decimal128Array::from(vec![0]).with_precision_and_scale(1, 0);
        let zero = Scalar::new(recode(&(Arc::new(zero.map_err(internal)?) as ArrayRef), array.data_type())?);
        eq(array, &zero).map_err(internal)
    };
    let (before, after) = (is_zero(array)?, is_zero(&rounded)?);
    let is_lost = |row: usize| array.is_valid(row) && after.value(row) && !before.value(row);
    match (0..array.len()).find(|row| is_lost(*row)) {
        Some(row) => Err(misfit(array, row, &becomes_zero(digits_of(rounded.data_type()).1))),
        None => Ok(rounded),
    }
}

fn internal(error: ArrowError) -> Error {
    Error::internal(error.to_string())
}

/// The digits of the decimal that a float is rounded to. `digits` returns the shortest digits of the float.
fn round(value: f64, digits: impl Fn() -> String, precision: u8, scale: i8) -> std::result::Result<i256, String> {
    if !value.is_finite() {
        return Err(NO_DECIMAL.into());
    }
    // If the product is this small and this far from a half, its rounding error cannot cross the half.
    const SMALL: f64 = (1_u64 << 40) as f64;
    const FAR: f64 = 1.0 / 2048.0;
    let scaled = value * 10_f64.powi(scale.into());
    let is_plain = (0..=22).contains(&scale) && scaled.abs() < SMALL && (scaled.fract().abs() - 0.5).abs() > FAR;
    let unscaled = match is_plain {
        true => i256::from_i128(scaled.round() as i128),
        false => round_digits(&digits(), scale).ok_or_else(|| too_large(precision, scale))?,
    };
    kept(unscaled, value != 0.0, precision, scale)
}

const NO_DECIMAL: &str = "is not finite, so a decimal column cannot store it: replace it with nullif or CASE";

/// The rounded number, unless it has more digits than the type or was rounded to 0.
fn kept(unscaled: i256, is_some: bool, precision: u8, scale: i8) -> std::result::Result<i256, String> {
    if unscaled == i256::ZERO && is_some {
        return Err(becomes_zero(scale));
    }
    let limit = i256::from(10).wrapping_pow(precision.into());
    match limit.wrapping_neg() < unscaled && unscaled < limit {
        true => Ok(unscaled),
        false => Err(too_large(precision, scale)),
    }
}

fn becomes_zero(scale: i8) -> String {
    format!("would be rounded to 0, because the column has a scale of {scale}: use round(x, {scale})")
}

fn too_large(precision: u8, scale: i8) -> String {
    format!("has more digits before the decimal point than decimal({precision}, {scale}) allows")
}

/// A number in the form `-1.25e-7`, in units of the scale, rounded half away from zero; `None` if it has too many
/// digits.
fn round_digits(text: &str, scale: i8) -> Option<i256> {
    let (number, exponent) = text.split_once('e')?;
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    // The number of digits that the scale keeps.
    let kept = whole.len() as i64 + exponent.parse::<i64>().ok()? + i64::from(scale);
    let Ok(kept) = usize::try_from(kept) else { return Some(i256::ZERO) };
    let (head, tail) = digits.split_at(kept.min(digits.len()));
    if kept > 77 {
        return None;
    }
    let head = format!("{sign}0{head:0<kept$}");
    let unscaled = i256::from_string(&head)?;
    let up = if sign.is_empty() { i256::ONE } else { i256::MINUS_ONE };
    if tail.as_bytes().first().is_some_and(|digit| *digit >= b'5') { unscaled.checked_add(up) } else { Some(unscaled) }
}

/// Doubles as reals.
pub(super) fn nearest(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let doubles = recode(array, &Float64)?;
    let doubles = doubles.as_primitive::<Float64Type>();
    let reals = recode(array, to)?;
    let back = recode(&reals, &Float64)?;
    let back = back.as_primitive::<Float64Type>();
    let is_lost = |row: usize| {
        let (double, real) = (doubles.value(row), back.value(row));
        double.is_finite() && (real.is_infinite() || (real == 0.0 && double != 0.0))
    };
    match (0..doubles.len()).find(|row| doubles.is_valid(*row) && is_lost(*row)) {
        Some(row) => Err(misfit(
            array,
            row,
            &format!("is out of range for {to}: replace it with CASE, or use a column of type double"),
        )),
        None => Ok(reals),
    }
}

/// Decimals as floats with the same shortest digits.
pub(super) fn floats_of_digits(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let (texts, (_, scale)) = (to_text(array)?, digits_of(array.data_type()));
    let parse = |text: &str| {
        let double: f64 = text.parse().map_err(|_| "is not a number".to_owned())?;
        let shortest = match to {
            Float64 => format!("{double:e}"),
            _ => format!("{:e}", double as f32),
        };
        let same = round_digits(&shortest, scale) == parse_decimal(text, 76, scale)
            && parse_decimal(&shortest, 76, scale).is_some();
        if same { Ok(double) } else { Err(format!("does not fit {to}: use CAST(x AS DOUBLE)")) }
    };
    let doubles = each(array, texts.iter(), parse)?;
    recode(&(Arc::new(doubles.into_iter().collect::<PrimitiveArray<Float64Type>>()) as ArrayRef), to)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_digits() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = ((state >> 20) as f64 / 1000.0 - 8e9) / 10_f64.powi((state % 7) as i32);
            let fast = round(value, || format!("{value:e}"), 38, 3);
            let slow = round_digits(&format!("{value:e}"), 3).unwrap();
            if slow != i256::ZERO {
                assert_eq!(fast, Ok(slow), "{value}");
            }
        }
    }
}
