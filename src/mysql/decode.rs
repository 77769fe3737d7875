//! The values of a column to an Arrow array.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryViewBuilder, BooleanBuilder, FixedSizeBinaryArray, FixedSizeBinaryBuilder,
    PrimitiveArray, StringViewArray, StringViewBuilder,
};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use mysql_async::{Row, Value};
use uuid::Uuid;

use super::types::{Kind, ServerType};
use crate::columnar::{each, from_text, json, recode};
use crate::error::{Error, ErrorKind, Result};

/// Decodes a column of rows as `to`, one of the types that [`ServerType::reads_as`].
///
/// # Errors
/// `Decode` for a value that `to` has not.
pub(super) fn decode(rows: &[Row], column: usize, server: &ServerType, to: &DataType) -> Result<ArrayRef> {
    let values = || rows.iter().map(move |row| row.as_ref(column).unwrap_or(&Value::NULL));
    match (&server.kind, to) {
        (Kind::Bit(_), Boolean) => booleans(values(), to, bits),
        (_, Boolean) => booleans(values(), to, integer),
        (Kind::Bit(_), _) => primitive::<UInt64Type>(values(), &UInt64, |value| bits(value).map(|bits| bits as u64))
            .and_then(|array| recode(&array, to)),
        (Kind::Bool | Kind::Int(_) | Kind::Year, _) => integers(values(), to),
        (Kind::Float, _) => primitive::<Float32Type>(values(), to, |value| match value {
            Value::Float(value) => Some(*value),
            _ => None,
        }),
        (Kind::Double, _) => primitive::<Float64Type>(values(), to, |value| match value {
            Value::Double(value) => Some(*value),
            _ => None,
        }),
        (Kind::Decimal(_, _), Float32) => {
            let floats = each(&texts(values(), to)?, to, float_of::<f32>)?;
            Ok(Arc::new(floats.into_iter().collect::<PrimitiveArray<Float32Type>>()))
        }
        (Kind::Decimal(_, _), Float64) => {
            let floats = each(&texts(values(), to)?, to, float_of::<f64>)?;
            Ok(Arc::new(floats.into_iter().collect::<PrimitiveArray<Float64Type>>()))
        }
        (Kind::Decimal(_, _), _) => from_text(&texts(values(), to)?, to),
        (Kind::Date, _) => primitive::<Date32Type>(values(), to, |value| match value {
            Value::Date(year, month, day, 0, 0, 0, 0) => days(*year, *month, *day),
            _ => None,
        }),
        (Kind::Time(_), Time64(_)) => primitive::<Time64MicrosecondType>(values(), to, |value| {
            micros_of_time(value).filter(|micros| (0..MICROS_PER_DAY).contains(micros))
        }),
        (Kind::Time(_), _) => {
            let micros = Duration(TimeUnit::Microsecond);
            let array = primitive::<DurationMicrosecondType>(values(), &micros, micros_of_time)?;
            recode_exactly(&array, to)
        }
        (Kind::DateTime(_) | Kind::Timestamp(_), _) => {
            primitive::<TimestampMicrosecondType>(values(), to, |value| match value {
                Value::Date(year, month, day, hour, minute, second, micros) => {
                    let seconds = i64::from(*hour) * 3_600 + i64::from(*minute) * 60 + i64::from(*second);
                    let days = i64::from(days(*year, *month, *day)?);
                    Some(days * MICROS_PER_DAY + seconds * 1_000_000 + i64::from(*micros))
                }
                _ => None,
            })
        }
        (Kind::Binary(_) | Kind::Bytes(_), FixedSizeBinary(length)) => {
            let mut blobs = FixedSizeBinaryBuilder::with_capacity(rows.len(), *length);
            for value in values() {
                match value {
                    Value::NULL => blobs.append_null(),
                    Value::Bytes(bytes) if blobs.append_value(bytes).is_ok() => {}
                    other => return Err(unreadable(other, to)),
                }
            }
            Ok(Arc::new(blobs.finish()))
        }
        (Kind::Binary(_) | Kind::Bytes(_) | Kind::Other, _) => {
            let mut blobs = BinaryViewBuilder::with_capacity(rows.len());
            for value in values() {
                match value {
                    Value::NULL => blobs.append_null(),
                    Value::Bytes(bytes) => blobs.append_value(bytes),
                    other => return Err(unreadable(other, to)),
                }
            }
            Ok(Arc::new(blobs.finish()))
        }
        (Kind::Uuid, FixedSizeBinary(16)) => {
            let uuids = each(&texts(values(), to)?, to, |text| Some(Uuid::try_parse(text).ok()?.into_bytes()))?;
            let uuids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids.into_iter(), 16);
            Ok(Arc::new(uuids.map_err(|error| Error::new(ErrorKind::Decode, error.to_string()))?))
        }
        (Kind::Json, t) if t.is_nested() => json::decode(&texts(values(), to)?, to),
        _ => Ok(Arc::new(texts(values(), to)?)),
    }
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An error about a value that was sent.
fn unreadable(value: &Value, to: &DataType) -> Error {
    let shown = match value {
        Value::Date(year, month, day, ..) => format!("{year:04}-{month:02}-{day:02}"),
        Value::Time(negative, days, hours, minutes, seconds, _) => {
            let sign = if *negative { "-" } else { "" };
            format!("{sign}{}:{minutes:02}:{seconds:02}", u64::from(*days) * 24 + u64::from(*hours))
        }
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        _ => "a value".to_owned(),
    };
    let next = match value {
        Value::Time(..) => "register the table with the column as a duration",
        Value::Int(_) | Value::UInt(_) if *to == Boolean => "register the table with the column as TINYINT",
        _ => "read the table through a view that leaves it out",
    };
    Error::new(ErrorKind::Decode, format!("it holds {shown}, which is no {to}: {next}"))
}

/// The float whose fewest digits are those of a decimal; `None` where that has more.
fn float_of<T: FromStr + ToString>(decimal: &str) -> Option<T> {
    let digits = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let float = decimal.parse::<T>().ok()?;
    (digits(&float.to_string()) == digits(decimal)).then_some(float)
}

fn booleans<'a>(
    values: impl Iterator<Item = &'a Value>,
    to: &DataType,
    number: impl Fn(&Value) -> Option<i128>,
) -> Result<ArrayRef> {
    let mut booleans = BooleanBuilder::new();
    for value in values {
        match (value, number(value)) {
            (Value::NULL, _) => booleans.append_null(),
            (_, Some(number @ 0..=1)) => booleans.append_value(number == 1),
            _ => return Err(unreadable(value, to)),
        }
    }
    Ok(Arc::new(booleans.finish()))
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(value) => Some((*value).into()),
        Value::UInt(value) => Some((*value).into()),
        _ => None,
    }
}

/// The bits of a `bit(n)`, the most significant byte first.
fn bits(value: &Value) -> Option<i128> {
    match value {
        Value::Bytes(bytes) if bytes.len() <= 8 => {
            Some(bytes.iter().fold(0, |bits, byte| bits << 8 | i128::from(*byte)))
        }
        _ => None,
    }
}

fn primitive<'a, T: ArrowPrimitiveType>(
    values: impl Iterator<Item = &'a Value>,
    to: &DataType,
    native: impl Fn(&Value) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let natives = values.map(|value| match value {
        Value::NULL => Ok(None),
        value => native(value).map(Some).ok_or_else(|| unreadable(value, to)),
    });
    let natives = natives.collect::<Result<PrimitiveArray<T>>>()?;
    Ok(Arc::new(natives.with_data_type(to.clone())))
}

fn integers<'a>(values: impl Iterator<Item = &'a Value>, to: &DataType) -> Result<ArrayRef> {
    fn each<'a, T: ArrowPrimitiveType>(values: impl Iterator<Item = &'a Value>, to: &DataType) -> Result<ArrayRef>
    where
        T::Native: TryFrom<i128>,
    {
        primitive::<T>(values, to, |value| integer(value)?.try_into().ok())
    }
    match to {
        Int8 => each::<Int8Type>(values, to),
        Int16 => each::<Int16Type>(values, to),
        Int32 => each::<Int32Type>(values, to),
        Int64 => each::<Int64Type>(values, to),
        UInt8 => each::<UInt8Type>(values, to),
        UInt16 => each::<UInt16Type>(values, to),
        UInt32 => each::<UInt32Type>(values, to),
        UInt64 => each::<UInt64Type>(values, to),
        other => Err(Error::internal(format!("{other} is no integer"))),
    }
}

/// Days since 1970; `None` for a date that the calendar has not.
fn days(year: u16, month: u8, day: u8) -> Option<i32> {
    let (year, month, day) = (i32::from(year), i32::from(month), i32::from(day));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March end with the day that is there or not.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn micros_of_time(value: &Value) -> Option<i64> {
    match value {
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let hours = i64::from(*days) * 24 + i64::from(*hours);
            let seconds = hours * 3_600 + i64::from(*minutes) * 60 + i64::from(*seconds);
            let micros = seconds * 1_000_000 + i64::from(*micros);
            Some(if *negative { -micros } else { micros })
        }
        _ => None,
    }
}

/// Durations of another unit, where they have no part of it.
fn recode_exactly(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let way = crate::columnar::LosslessCast::try_new(array.data_type(), to);
    way.ok_or_else(|| Error::internal(format!("a time was to be read as {to}")))?.apply(array)
}

fn texts<'a>(values: impl Iterator<Item = &'a Value>, to: &DataType) -> Result<StringViewArray> {
    let mut texts = StringViewBuilder::new();
    for value in values {
        match value {
            Value::NULL => texts.append_null(),
            Value::Bytes(bytes) => texts.append_value(
                std::str::from_utf8(bytes)
                    .map_err(|_| Error::new(ErrorKind::Decode, "the server sent a text that is not UTF-8"))?,
            ),
            other => return Err(unreadable(other, to)),
        }
    }
    Ok(texts.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (date, expected) in [
            ((1970, 1, 1), Some(0)),
            ((2000, 2, 29), Some(11_016)),
            ((1900, 2, 29), None),
            ((0, 1, 1), Some(-719_528)),
            ((9999, 12, 31), Some(2_932_896)),
            ((0, 0, 0), None),
            ((2013, 4, 31), None),
            ((2013, 13, 1), None),
        ] {
            assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
        }
    }
}
