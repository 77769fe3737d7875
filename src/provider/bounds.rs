//! The position of a constant among the values of another type.

use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::TimeUnit::{self, Microsecond, Millisecond, Nanosecond, Second};
use arrow::datatypes::i256;
use datafusion::common::ScalarValue;

use crate::columnar::to_text;

/// The position of a constant among the values of a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    /// The largest value that is not above it.
    Floor(ScalarValue, Rest),
    BelowAll,
    AboveAll,
}

/// The difference between a constant and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    Something,
}

impl Bound {
    /// The value that is the constant.
    pub(super) fn exact(&self) -> Option<ScalarValue> {
        match self {
            Self::Floor(value, Rest::Nothing) => Some(value.clone()),
            _ => None,
        }
    }
}

/// The position of a constant among the values of a type; `None` if the two are not ordered, or if DataFusion refuses
/// the constant. Times must both have a zone, or neither.
pub(super) fn floor(constant: &ScalarValue, to: &DataType) -> Option<Bound> {
    let (floor, rest) = match to {
        Date32 => in_units(instant(constant, to)?, 86_400 * per_second(Nanosecond)),
        Timestamp(unit, _) => in_units(instant(constant, to)?, per_second(Nanosecond) / per_second(*unit)),
        Time32(unit) | Time64(unit) => in_units(time(constant)?, per_second(Nanosecond) / per_second(*unit)),
        Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) | Decimal256(_, scale) => {
            scaled(&digits_of(constant)?, i64::from(*scale))?
        }
        to if to.is_integer() => scaled(&digits_of(constant)?, 0)?,
        _ => return None,
    };
    Some(match (scalar(floor, to), floor.is_negative()) {
        (Some(value), _) => Bound::Floor(value, rest),
        (None, true) => Bound::BelowAll,
        (None, false) => Bound::AboveAll,
    })
}

/// The digits of a number, such as `-1.25e-7`. For a float, the shortest digits.
pub(super) fn digits_of(constant: &ScalarValue) -> Option<String> {
    match constant {
        ScalarValue::Float64(Some(value)) if value.is_finite() => Some(format!("{value:e}")),
        ScalarValue::Float32(Some(value)) if value.is_finite() => Some(format!("{:e}", f64::from(*value))),
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            Some(text.trim().to_owned())
        }
        decimal if decimal.data_type().is_decimal() && !decimal.is_null() => {
            Some(to_text(&decimal.to_array().ok()?).ok()?.value(0).to_owned())
        }
        _ => None,
    }
}

const fn per_second(unit: TimeUnit) -> i128 {
    match unit {
        Second => 1,
        Millisecond => 1_000,
        Microsecond => 1_000_000,
        Nanosecond => 1_000_000_000,
    }
}

fn rest(there_is: bool) -> Rest {
    if there_is { Rest::Something } else { Rest::Nothing }
}

/// Nanoseconds in units of so many.
fn in_units((nanos, finer): (i128, Rest), unit: i128) -> (i256, Rest) {
    let has_rest = finer == Rest::Something || nanos.rem_euclid(unit) != 0;
    (i256::from_i128(nanos.div_euclid(unit)), rest(has_rest))
}

/// Nanoseconds since 1970, and whether there is more.
fn instant(constant: &ScalarValue, to: &DataType) -> Option<(i128, Rest)> {
    let (value, unit) = match constant {
        ScalarValue::TimestampSecond(value, _) => ((*value)?, Second),
        ScalarValue::TimestampMillisecond(value, _) => ((*value)?, Millisecond),
        ScalarValue::TimestampMicrosecond(value, _) => ((*value)?, Microsecond),
        ScalarValue::TimestampNanosecond(value, _) => ((*value)?, Nanosecond),
        ScalarValue::Date32(days) => (i64::from((*days)?) * 86_400, Second),
        text => {
            let zone = if let Timestamp(_, zone) = to { zone.clone() } else { None };
            let fraction = text.try_as_str()??.rsplit_once('.').map_or("", |(_, fraction)| fraction);
            let digits = fraction.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            let has_more = |kept: usize| rest(digits.bytes().skip(kept).any(|digit| digit != b'0'));
            if let Ok(ScalarValue::TimestampNanosecond(Some(nanos), _)) =
                text.cast_to(&Timestamp(Nanosecond, zone.clone()))
            {
                return Some((nanos.into(), has_more(9)));
            }
            // Microseconds reach further than the years that nanoseconds do.
            let ScalarValue::TimestampMicrosecond(Some(micros), _) =
                text.cast_to(&Timestamp(Microsecond, zone)).ok()?
            else {
                return None;
            };
            return Some((i128::from(micros) * 1_000, has_more(6)));
        }
    };
    Some((i128::from(value) * (per_second(Nanosecond) / per_second(unit)), Rest::Nothing))
}

/// Nanoseconds since midnight.
fn time(constant: &ScalarValue) -> Option<(i128, Rest)> {
    match constant.cast_to(&Time64(Nanosecond)).ok()? {
        ScalarValue::Time64Nanosecond(Some(nanos)) => Some((nanos.into(), Rest::Nothing)),
        _ => None,
    }
}

/// The largest integer that is not above a number, in units of a scale; `None` if the text is not a number.
fn scaled(text: &str, scale: i64) -> Option<(i256, Rest)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let is_negative = mantissa.starts_with('-');
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let places = i64::try_from(fraction.len()).ok()?;
    let shift = i64::from(exponent) + scale - places;
    digits = digits.trim_start_matches('0').to_owned();
    let mut has_rest = false;
    if digits.is_empty() {
        return Some((i256::ZERO, Rest::Nothing));
    }
    if shift < 0 {
        let kept = digits.len().saturating_sub(usize::try_from(-shift).ok()?);
        has_rest = digits.bytes().skip(kept).any(|digit| digit != b'0');
        digits.truncate(kept);
    } else if digits.len() as i64 + shift > 76 {
        // Beyond all types.
        return Some((if is_negative { i256::MIN } else { i256::MAX }, Rest::Something));
    } else {
        digits.extend(std::iter::repeat_n('0', usize::try_from(shift).ok()?));
    }
    let value = match digits.len() {
        0 => i256::ZERO,
        1..=76 => i256::from_string(&digits)?,
        _ => return Some((if is_negative { i256::MIN } else { i256::MAX }, Rest::Something)),
    };
    let below = i256::from_i128(i128::from(is_negative && has_rest));
    let value = if is_negative { value.wrapping_neg() } else { value };
    Some((value.wrapping_sub(below), rest(has_rest)))
}

/// The value of a type for a number of units; `None` if the type cannot represent it.
fn scalar(units: i256, to: &DataType) -> Option<ScalarValue> {
    let long = || i64::try_from(units.to_i128()?).ok();
    let within = |precision: u8| {
        let limit = i256::from_i128(10).checked_pow(precision.into())?;
        (units < limit && units > limit.wrapping_neg()).then_some(())
    };
    Some(match to {
        Date32 => ScalarValue::Date32(Some(long()?.try_into().ok()?)),
        Timestamp(Second, zone) => ScalarValue::TimestampSecond(Some(long()?), zone.clone()),
        Timestamp(Millisecond, zone) => ScalarValue::TimestampMillisecond(Some(long()?), zone.clone()),
        Timestamp(Microsecond, zone) => ScalarValue::TimestampMicrosecond(Some(long()?), zone.clone()),
        Timestamp(Nanosecond, zone) => ScalarValue::TimestampNanosecond(Some(long()?), zone.clone()),
        Time32(Second) => ScalarValue::Time32Second(Some(long()?.try_into().ok()?)),
        Time32(_) => ScalarValue::Time32Millisecond(Some(long()?.try_into().ok()?)),
        Time64(Microsecond) => ScalarValue::Time64Microsecond(Some(long()?)),
        Time64(_) => ScalarValue::Time64Nanosecond(Some(long()?)),
        Decimal32(precision, scale) => {
            within(*precision)?;
            ScalarValue::Decimal32(Some(long()?.try_into().ok()?), *precision, *scale)
        }
        Decimal64(precision, scale) => {
            within(*precision)?;
            ScalarValue::Decimal64(Some(long()?), *precision, *scale)
        }
        Decimal128(precision, scale) => {
            within(*precision)?;
            ScalarValue::Decimal128(Some(units.to_i128()?), *precision, *scale)
        }
        Decimal256(precision, scale) => {
            within(*precision)?;
            ScalarValue::Decimal256(Some(units), *precision, *scale)
        }
        UInt64 => ScalarValue::UInt64(Some(units.to_i128()?.try_into().ok()?)),
        to if to.is_integer() => ScalarValue::Int64(Some(long()?)).cast_to(to).ok()?,
        _ => return None,
    })
}
