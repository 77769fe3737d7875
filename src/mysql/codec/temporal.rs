//! `year`, `date`, `time`, `datetime` and `timestamp`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{
    Date32Type, DurationMicrosecondType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt16Type,
};
use mysql_async::Value;

use super::{Codec, Declared, Family, NewType, Values};
use crate::backend::Comparison;
use crate::columnar::{LosslessCast, check, check_digits, check_range};
use crate::error::{Error, Result};
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec,
    declare,
    types: &[
        ("year(4)", "0, and years from 1901 to 2155"),
        ("date", "years 0 to 9999"),
        ("time(6)", "durations of at most 838:59:59"),
        ("datetime(6)", "years 0 to 9999"),
        ("timestamp(6)", "from 1970-01-01 00:00:01 to 2038 (MariaDB 11.5: 2106)"),
    ],
    created: &[
        ("Date32", ""),
        ("Date64", ""),
        ("Time32(s)", ""),
        ("Time32(ms)", ""),
        ("Time64(µs)", ""),
        ("Time64(ns)", ""),
        ("Duration(s)", ""),
        ("Duration(ms)", ""),
        ("Duration(µs)", ""),
        ("Duration(ns)", ""),
        ("Timestamp(s)", ""),
        ("Timestamp(ms)", ""),
        ("Timestamp(µs)", ""),
        ("Timestamp(ns)", ""),
        ("Timestamp(s, \"UTC\")", ""),
        ("Timestamp(ms, \"UTC\")", ""),
        ("Timestamp(µs, \"UTC\")", ""),
        ("Timestamp(ns, \"UTC\")", ""),
    ],
};

const MICROS: TimeUnit = TimeUnit::Microsecond;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// From 0000-01-01 to 9999-12-31, as days since 1970.
const DAYS: RangeInclusive<i32> = -719_528..=2_932_896;
const OUT_OF_YEARS: &str = "is outside the years 0 to 9999";

fn codec(declared: &Declared<'_>) -> Option<Arc<dyn Codec>> {
    let digits = declared.number(0) as u32;
    Some(match declared.name {
        "year" => Arc::new(Year),
        "date" => Arc::new(Date),
        "time" => Arc::new(Time { digits }),
        "datetime" => Arc::new(DateTime { digits, zone: None }),
        "timestamp" => Arc::new(DateTime { digits, zone: Some("+00:00".into()) }),
        _ => return None,
    })
}

fn declare(new: &NewType<'_>) -> Option<String> {
    // The option 'nanoseconds' truncates or refuses nanoseconds.
    let digits = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond | TimeUnit::Nanosecond => 6,
    };
    Some(match new.data_type {
        Date32 | Date64 => "date".into(),
        Time32(unit) | Time64(unit) | Duration(unit) => format!("time({})", digits(unit)),
        Timestamp(unit, None) => format!("datetime({})", digits(unit)),
        Timestamp(unit, Some(_)) => format!("timestamp({})", digits(unit)),
        _ => return None,
    })
}

#[derive(Debug)]
struct Year;

impl Codec for Year {
    fn arrow_type(&self) -> DataType {
        UInt16
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        from.is_numeric().then_some(UInt16)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let is_year = |year| matches!(year, 0 | 1901..=2155);
        check::<UInt16Type>(array, is_year, "is not a year that MySQL can store: use 0, or a year from 1901 to 2155")?;
        Ok(fields::years(array, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        values.integers(to)
    }
}

#[derive(Debug)]
struct Date;

impl Codec for Date {
    fn arrow_type(&self) -> DataType {
        Date32
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        matches!(from, Date32 | Date64).then_some(Date32)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        check_range::<Date32Type>(array, DAYS, OUT_OF_YEARS)?;
        Ok(fields::dates(array, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        values.primitive::<Date32Type>(to, |value| match value {
            Value::Date(year, month, day, 0, 0, 0, 0) => days(*year, *month, *day),
            _ => None,
        })
    }
}

/// A time of day, or a duration.
#[derive(Debug)]
struct Time {
    digits: u32,
}

impl Codec for Time {
    fn arrow_type(&self) -> DataType {
        Time64(MICROS)
    }

    fn reads_as(&self, to: &DataType) -> bool {
        *to == self.arrow_type() || matches!(to, Duration(_))
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        match from {
            Time32(_) | Time64(_) => Some(Time64(MICROS)),
            Duration(_) => Some(Duration(MICROS)),
            _ => None,
        }
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        if matches!(array.data_type(), Duration(_)) {
            const MOST: i64 = (838 * 3_600 + 59 * 60 + 59) * 1_000_000;
            check_range::<DurationMicrosecondType>(array, -MOST..=MOST, "is longer than 838:59:59")?;
            check_digits::<DurationMicrosecondType>(array, self.digits)?;
            return Ok(fields::durations(array, style));
        }
        check_range::<Time64MicrosecondType>(array, 0..MICROS_PER_DAY, "is not a time of day")?;
        check_digits::<Time64MicrosecondType>(array, self.digits)?;
        Ok(fields::times(array, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        if matches!(to, Time64(_)) {
            return values.primitive::<Time64MicrosecondType>(to, |value| {
                micros_of_time(value).filter(|micros| (0..MICROS_PER_DAY).contains(micros))
            });
        }
        let array = values.primitive::<DurationMicrosecondType>(&Duration(MICROS), micros_of_time)?;
        // Another unit, if the cast is lossless.
        let way = LosslessCast::try_new(array.data_type(), to);
        way.ok_or_else(|| Error::internal(format!("cannot read a time as {to}")))?.apply(&array)
    }

    fn second_digits(&self) -> Option<u32> {
        Some(self.digits)
    }
}

/// `datetime`, and `timestamp`, which has a zone.
#[derive(Debug)]
struct DateTime {
    digits: u32,
    zone: Option<Arc<str>>,
}

impl Codec for DateTime {
    fn arrow_type(&self) -> DataType {
        Timestamp(MICROS, self.zone.clone())
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        match from {
            Timestamp(_, zone) if zone.is_some() == self.zone.is_some() => Some(self.arrow_type()),
            _ => None,
        }
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let years = i64::from(*DAYS.start()) * MICROS_PER_DAY..(i64::from(*DAYS.end()) + 1) * MICROS_PER_DAY;
        check_range::<TimestampMicrosecondType>(array, years, OUT_OF_YEARS)?;
        check_digits::<TimestampMicrosecondType>(array, self.digits)?;
        Ok(fields::timestamps(array, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        values.primitive::<TimestampMicrosecondType>(to, |value| match value {
            Value::Date(year, month, day, hour, minute, second, micros) => {
                let seconds = i64::from(*hour) * 3_600 + i64::from(*minute) * 60 + i64::from(*second);
                let days = i64::from(days(*year, *month, *day)?);
                Some(days * MICROS_PER_DAY + seconds * 1_000_000 + i64::from(*micros))
            }
            _ => None,
        })
    }

    fn second_digits(&self) -> Option<u32> {
        Some(self.digits)
    }
}

/// Days since 1970; `None` for a date that does not exist.
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
    // In years that begin in March, the leap day is the last day.
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
