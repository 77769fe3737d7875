//! Converts arrays to texts and back: decimals by their digits; dates, times, timestamps and intervals in ISO 8601.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal256Array, Int64Array, PrimitiveArray, StringViewArray,
    StringViewBuilder,
};
use arrow::datatypes::{
    DataType, Int64Type, IntervalDayTime, IntervalDayTimeType, IntervalMonthDayNano, IntervalMonthDayNanoType,
    IntervalUnit, IntervalYearMonthType, TimeUnit, i256,
};

use super::iso8601::{IsoText, fraction_digits, interval, parse_interval};
use super::{first_row_where, misfit, recode};
use crate::error::{Error, ErrorKind, Result};

/// The array as texts that [`from_text`] reads back without loss.
///
/// # Errors
/// `Encode`, at the row whose value has no text form.
pub(crate) fn to_text(array: &ArrayRef) -> Result<StringViewArray> {
    match array.data_type() {
        DataType::Date32 | DataType::Date64 => dates(array),
        DataType::Time32(unit) | DataType::Time64(unit) => times(array, *unit),
        DataType::Timestamp(unit, None) => timestamps(array, *unit, ""),
        DataType::Timestamp(unit, Some(_)) => timestamps(array, *unit, "Z"),
        DataType::Interval(unit) => intervals(array, *unit),
        _ => Ok(recode(&recode(array, &DataType::Utf8)?, &DataType::Utf8View)?.as_string_view().clone()),
    }
}

/// Parses texts.
///
/// # Errors
/// `Decode`, at the row whose text is not a value of that type.
pub(crate) fn from_text(texts: &StringViewArray, to: &DataType) -> Result<ArrayRef> {
    match to {
        t if t.is_decimal() => decimals(texts, to),
        DataType::Interval(unit) => parsed_intervals(texts, to, *unit),
        t if t.is_temporal() => temporal(texts, to),
        _ => recode(&(Arc::new(texts.clone()) as ArrayRef), to),
    }
}

const OUT_OF_YEARS: &str = "is outside the years 0000 to 9999 of ISO 8601";

/// The integers of temporal values.
pub(crate) fn units(array: &ArrayRef) -> Result<Int64Array> {
    let narrow = matches!(array.data_type(), DataType::Date32 | DataType::Time32(_));
    let integers = recode(array, if narrow { &DataType::Int32 } else { &DataType::Int64 })?;
    Ok(recode(&integers, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Each value as text. `format` returns `None` if the value has no text form.
fn formatted(
    array: &ArrayRef,
    why_not: &str,
    format: impl for<'t> Fn(&'t mut IsoText, i64) -> Option<&'t str>,
) -> Result<StringViewArray> {
    let units = units(array)?;
    let mut text = IsoText::new();
    let mut texts = StringViewBuilder::with_capacity(units.len());
    for row in 0..units.len() {
        if units.is_null(row) {
            texts.append_null();
        } else {
            texts.append_value(format(&mut text, units.value(row)).ok_or_else(|| misfit(array, row, why_not))?);
        }
    }
    Ok(texts.finish())
}

fn dates(array: &ArrayRef) -> Result<StringViewArray> {
    const MILLIS_PER_DAY: i64 = 86_400_000;
    let per_day = if array.data_type() == &DataType::Date64 { MILLIS_PER_DAY } else { 1 };
    let units = units(array)?;
    if let Some(row) = first_row_where(&units, |row| units.value(row) % per_day != 0) {
        return Err(misfit(array, row, "is not a whole number of days: use CAST(x AS TIMESTAMP)"));
    }
    formatted(array, OUT_OF_YEARS, |text, value| text.date(value / per_day))
}

fn times(array: &ArrayRef, unit: TimeUnit) -> Result<StringViewArray> {
    formatted(array, "is not a time of day", |text, value| text.time(value, unit))
}

fn timestamps(array: &ArrayRef, unit: TimeUnit, suffix: &str) -> Result<StringViewArray> {
    formatted(array, OUT_OF_YEARS, |text, value| text.timestamp(value, unit, suffix))
}

fn intervals(array: &ArrayRef, unit: IntervalUnit) -> Result<StringViewArray> {
    fn each<T: ArrowPrimitiveType>(array: &ArrayRef, text: impl Fn(T::Native) -> String) -> StringViewArray {
        array.as_primitive::<T>().iter().map(|value| value.map(&text)).collect()
    }
    Ok(match unit {
        IntervalUnit::YearMonth => each::<IntervalYearMonthType>(array, |months| interval(months.into(), 0, 0)),
        IntervalUnit::DayTime => each::<IntervalDayTimeType>(array, |value| {
            interval(0, value.days.into(), i64::from(value.milliseconds) * 1_000_000)
        }),
        IntervalUnit::MonthDayNano => each::<IntervalMonthDayNanoType>(array, |value| {
            interval(value.months.into(), value.days.into(), value.nanoseconds)
        }),
    })
}

/// The error of a text that is not a value of a type.
pub fn undecodable(array: &dyn Array, row: usize, to: &DataType) -> Error {
    Error::new(ErrorKind::Decode, misfit(array, row, &format!("is not a valid {to}")).to_string()).at_row(row)
}

/// Parses each text that is not NULL.
pub fn each<T>(texts: &StringViewArray, to: &DataType, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>> {
    let parsed = texts.iter().enumerate().map(|(row, text)| match text {
        None => Ok(None),
        Some(text) => parse(text).map(Some).ok_or_else(|| undecodable(texts, row, to)),
    });
    parsed.collect()
}

/// The precision and scale of a decimal.
pub(super) fn digits_of(decimal: &DataType) -> (u8, i8) {
    match *decimal {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (precision, scale),
        _ => (0, 0),
    }
}

fn decimals(texts: &StringViewArray, to: &DataType) -> Result<ArrayRef> {
    let (precision, scale) = digits_of(to);
    let unscaled = each(texts, to, |text| parse_decimal(text, precision, scale))?;
    let wide: Decimal256Array = unscaled.into_iter().collect();
    let wide = wide.with_precision_and_scale(76, scale).map_err(|error| Error::internal(error.to_string()))?;
    recode(&(Arc::new(wide) as ArrayRef), to)
}

/// The digits of a decimal without the decimal point; `None` if it has more digits than the type.
pub(super) fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i256> {
    let (text, exponent) = match text.split_once(['e', 'E']) {
        Some((text, exponent)) => (text, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The number of digits in excess of the scale; if negative, the number of missing zeros.
    let excess = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?.checked_sub(scale.into())?;
    if excess > 0 {
        let excess = usize::try_from(excess).ok()?;
        let (kept, lost) = digits.split_at(digits.len().saturating_sub(excess));
        if lost.bytes().any(|byte| byte != b'0') {
            return None;
        }
        digits = kept.to_owned();
    } else {
        let missing = usize::try_from(-excess).ok().filter(|missing| *missing <= 400)?;
        digits.extend(std::iter::repeat_n('0', missing));
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > precision.into() {
        return None;
    }
    i256::from_string(&format!("{sign}{}", if digits.is_empty() { "0" } else { digits }))
}

/// Dates, times and timestamps. A text with more fractional seconds digits than the unit is an error.
fn temporal(texts: &StringViewArray, to: &DataType) -> Result<ArrayRef> {
    let digits = match to {
        DataType::Time32(unit) | DataType::Time64(unit) | DataType::Timestamp(unit, _) => fraction_digits(*unit),
        _ => fraction_digits(TimeUnit::Second),
    };
    // A date has ten characters, so that it compares as text. A DATE column has no time after it.
    let has_date = |text: &str| {
        let bytes = text.as_bytes();
        match to {
            DataType::Time32(_) | DataType::Time64(_) => true,
            DataType::Timestamp(_, _) => bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-',
            _ => bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-',
        }
    };
    let fits = |text: &str| match text.split_once('.') {
        _ if !has_date(text) => false,
        None => true,
        Some((_, fraction)) => {
            let fraction = fraction.bytes().take_while(u8::is_ascii_digit);
            !fraction.skip(digits).any(|digit| digit != b'0')
        }
    };
    let array: ArrayRef = Arc::new(texts.clone());
    let parsed = |array: &ArrayRef| recode(array, to).ok();
    match parsed(&array) {
        Some(values) if texts.iter().flatten().all(fits) => Ok(values),
        _ => {
            let bad = (0..texts.len()).find(|row| {
                texts.is_valid(*row) && !(fits(texts.value(*row)) && parsed(&array.slice(*row, 1)).is_some())
            });
            Err(undecodable(texts, bad.unwrap_or(0), to))
        }
    }
}

fn parsed_intervals(texts: &StringViewArray, to: &DataType, unit: IntervalUnit) -> Result<ArrayRef> {
    fn made<T: ArrowPrimitiveType>(
        texts: &StringViewArray,
        to: &DataType,
        make: impl Fn(i64, i64, i64) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let values = each(texts, to, |text| {
            let (months, days, nanos) = parse_interval(text)?;
            make(months, days, nanos)
        })?;
        Ok(Arc::new(values.into_iter().collect::<PrimitiveArray<T>>()))
    }
    match unit {
        IntervalUnit::YearMonth => made::<IntervalYearMonthType>(texts, to, |months, days, nanos| {
            ((days, nanos) == (0, 0)).then(|| months.try_into().ok())?
        }),
        IntervalUnit::DayTime => made::<IntervalDayTimeType>(texts, to, |months, days, nanos| {
            let millis = (months == 0 && nanos % 1_000_000 == 0).then_some(nanos / 1_000_000)?;
            Some(IntervalDayTime::new(days.try_into().ok()?, millis.try_into().ok()?))
        }),
        IntervalUnit::MonthDayNano => made::<IntervalMonthDayNanoType>(texts, to, |months, days, nanos| {
            Some(IntervalMonthDayNano::new(months.try_into().ok()?, days.try_into().ok()?, nanos))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_to_its_last_digit() {
        for (text, expected) in [
            ("1.00000001", Some("100000001")),
            ("-0.5", Some("-50000000")),
            ("1e3", Some("100000000000")),
            ("1.000000010000", Some("100000001")),
            ("0.000000001", None),
            ("", None),
            ("-", None),
            ("1.2.3", None),
            ("9999999999999", None),
            ("+7", Some("700000000")),
            ("1e-8", Some("1")),
            ("1e-70000", None),
            ("0e-70000", Some("0")),
            ("0", Some("0")),
        ] {
            let parsed = parse_decimal(text, 18, 8).map(|value| value.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
        assert_eq!(parse_decimal("12000", 3, -3), Some(i256::from(12)));
        assert_eq!(parse_decimal("12001", 3, -3), None);
    }
}
