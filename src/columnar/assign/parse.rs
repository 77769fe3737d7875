//! Parses texts that are assigned to columns of other types, with the same grammar for every database.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Int32Array, Int64Array, PrimitiveArray, StringViewArray,
};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{
    Date32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};

use super::digits::decimals;
use super::{as_type, each};
use crate::columnar::iso8601::{fraction_digits, parse_interval, parse_time, parse_timestamp};
use crate::columnar::lossless_cast::{hint, misfit, recode};
use crate::columnar::text::{digits_of, parse_decimal};
use crate::columnar::{LosslessCast, from_text};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;

/// The values of texts.
pub(super) fn parsed(texts: &StringViewArray, to: &DataType, nanoseconds: Nanoseconds) -> Result<ArrayRef> {
    macro_rules! integers {
        ($($data_type:ident => $arrow:ty),+) => {
            match to {
                $($data_type => return integers::<$arrow>(texts, to),)+
                _ => {}
            }
        };
    }
    integers!(Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type, UInt8 => UInt8Type,
        UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type);
    let rows = || texts.iter();
    Ok(match to {
        Boolean => Arc::new(each(texts, rows(), truth)?.into_iter().collect::<BooleanArray>()),
        Float16 | Float32 | Float64 => {
            let doubles = each(texts, rows(), |text| float(text, to))?;
            recode(&(Arc::new(doubles.into_iter().collect::<PrimitiveArray<Float64Type>>()) as ArrayRef), to)?
        }
        decimal if decimal.is_decimal() => {
            let (precision, scale) = digits_of(to);
            let parse = |text: &str| parse_decimal(text, precision, scale).ok_or_else(|| no_number(text, to));
            decimals(each(texts, rows(), parse)?, to)?
        }
        Date32 | Date64 => {
            let days: PrimitiveArray<Date32Type> = each(texts, rows(), |text| date(text, to))?.into_iter().collect();
            recode(&(Arc::new(days) as ArrayRef), to)?
        }
        Time32(unit) | Time64(unit) => {
            let parse = |text: &str| {
                let nanos = parse_time(text).ok_or_else(|| no_iso(text, "a time such as 23:59:59.999"))?;
                in_unit(nanos.into(), *unit, nanoseconds)
            };
            let values = each(texts, rows(), parse)?;
            match to {
                Time32(_) => {
                    let narrow = values.into_iter().map(|value| value.and_then(|value| i32::try_from(value).ok()));
                    as_type(narrow.collect::<Int32Array>().into_data(), to)?
                }
                _ => as_type(values.into_iter().collect::<Int64Array>().into_data(), to)?,
            }
        }
        Timestamp(unit, zone) => {
            let parse = |text: &str| timestamp(text, zone.is_some(), *unit, nanoseconds);
            as_type(each(texts, rows(), parse)?.into_iter().collect::<Int64Array>().into_data(), to)?
        }
        // ISO 8601, and what Arrow parses, such as 1 day 2 hours.
        Interval(_) if rows().flatten().all(|text| parse_interval(text).is_some()) => {
            from_text(texts, to).map_err(|error| match error.row() {
                Some(row) => misfit(texts, row, &not(to)),
                None => error,
            })?
        }
        _ => {
            if matches!(to, Interval(_)) {
                // Arrow counts a number without a unit in months, and PostgreSQL in seconds.
                let check = |text: &str| match has_units(text) {
                    true => Ok(()),
                    false => Err(no_iso(text, "an interval in which each number has a unit, such as 1 day 2 hours")),
                };
                each(texts, rows(), check)?;
            }
            let texts: ArrayRef = Arc::new(texts.clone());
            match LosslessCast::strict(texts.data_type(), to) {
                Some(conform) => conform.apply(&texts)?,
                None => return Err(Error::internal(format!("a text cannot be converted to {to}"))),
            }
        }
    })
}

/// Whether each number of an interval is followed by its unit.
fn has_units(text: &str) -> bool {
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let is_number = word.parse::<f64>().is_ok();
        if is_number && !words.peek().is_some_and(|next| next.starts_with(|first: char| first.is_ascii_alphabetic())) {
            return false;
        }
    }
    true
}

/// Days since 1970.
fn date(text: &str, to: &DataType) -> Result<i32, String> {
    match parse_timestamp(text) {
        Some((_, _, Some(_))) => Err(HAS_OFFSET.to_owned()),
        Some((days, 0, None)) => i32::try_from(days).map_err(|_| not(to)),
        Some(_) => {
            Err("has a time of day, which the column does not store: omit the time, or use CAST(x AS DATE)".into())
        }
        None => Err(no_iso(text, "a date such as 2013-01-31")),
    }
}

/// Units since 1970, in UTC if the column has a zone.
fn timestamp(text: &str, has_zone: bool, unit: TimeUnit, nanoseconds: Nanoseconds) -> Result<i64, String> {
    const PER_DAY: i128 = 86_400_000_000_000;
    let Some((days, nanos, offset)) = parse_timestamp(text) else {
        return Err(no_iso(text, "a timestamp such as 2013-01-31 23:59:59.999"));
    };
    if offset.is_some() && !has_zone {
        return Err(HAS_OFFSET.to_owned());
    }
    let offset = i128::from(offset.unwrap_or_default()) * 1_000_000_000;
    in_unit(i128::from(days) * PER_DAY + i128::from(nanos) - offset, unit, nanoseconds)
}

const HAS_OFFSET: &str = "has a UTC offset, but the column has no time zone: omit the offset";

fn not(to: &DataType) -> String {
    format!("does not fit {to}")
}

fn no_iso(text: &str, what: &str) -> String {
    match has_blanks(text) {
        true => BLANKS.into(),
        false => format!("is not {what}"),
    }
}

const BLANKS: &str = "has leading or trailing blanks: use trim(x)";

fn has_blanks(text: &str) -> bool {
    text.trim() != text && !text.trim().is_empty()
}

/// Why a text is not a number of a type.
fn no_number(text: &str, to: &DataType) -> String {
    match text.trim().parse::<f64>() {
        _ if has_blanks(text) => BLANKS.into(),
        Ok(number) if number.is_finite() => format!("does not fit {to}{}", hint(&Float64, to, text)),
        _ => "is not a number".into(),
    }
}

fn integers<T: ArrowPrimitiveType>(texts: &StringViewArray, to: &DataType) -> Result<ArrayRef>
where
    T::Native: TryFrom<i128>,
{
    let parse = |text: &str| {
        let number = text.parse::<i128>().ok().or_else(|| parse_decimal(text, 38, 0)?.to_i128());
        number.and_then(|number| T::Native::try_from(number).ok()).ok_or_else(|| no_number(text, to))
    };
    Ok(Arc::new(each(texts, texts.iter(), parse)?.into_iter().collect::<PrimitiveArray<T>>()))
}

fn float(text: &str, to: &DataType) -> std::result::Result<f64, String> {
    let double: f64 = text.parse().map_err(|_| no_number(text, to))?;
    let says_zero =
        !text.split(['e', 'E']).next().unwrap_or_default().bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    let kept = if *to == Float64 { double } else { f64::from(double as f32) };
    let has_digits = text.bytes().any(|byte| byte.is_ascii_digit());
    match has_digits && (kept.is_infinite() || (kept == 0.0 && !says_zero)) {
        true => Err(format!("is out of range for {to}")),
        // A real is parsed differently from a double.
        false if *to == Float32 => text.parse::<f32>().map(f64::from).map_err(|_| no_number(text, to)),
        false => Ok(double),
    }
}

fn truth(text: &str) -> std::result::Result<bool, String> {
    const WORDS: [(&str, bool); 12] = [
        ("true", true),
        ("false", false),
        ("t", true),
        ("f", false),
        ("yes", true),
        ("no", false),
        ("y", true),
        ("n", false),
        ("on", true),
        ("off", false),
        ("1", true),
        ("0", false),
    ];
    let known = WORDS.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    known.map(|(_, truth)| truth).ok_or_else(|| no_iso(text, "true or false"))
}

/// Nanoseconds in a unit.
fn in_unit(nanos: i128, unit: TimeUnit, nanoseconds: Nanoseconds) -> std::result::Result<i64, String> {
    let digits = fraction_digits(unit);
    let per_unit = 10_i128.pow(9 - digits as u32);
    if nanos % per_unit != 0 && (nanoseconds == Nanoseconds::Error || digits < 6) {
        return Err(format!(
            "has more fractional digits in the seconds than the {digits} that its type stores{}",
            match digits {
                6 => ": set the option 'nanoseconds' to 'truncate' to drop the additional digits",
                _ => "",
            }
        ));
    }
    i64::try_from(nanos.div_euclid(per_unit)).map_err(|_| "is out of range for its column".to_owned())
}
