//! Dates, times and timestamps.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Date32Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType};

use super::super::bytes::packed;
use super::super::cells::{Cells, fixed};
use super::super::rows::Values;
use super::super::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};
#[cfg(test)]
use super::Example;
use super::values::{self, texts_by, too_large, undecodable};
use super::{Codec, Collation, Family, Form, Spelling, binary};
use crate::backend::Comparison;
use crate::columnar::{check_digits, check_range};
use crate::error::Result;

/// A date or time type, with the fractional digits of its column.
#[derive(Debug, Clone, Copy)]
enum Temporal {
    Date,
    Time(u32),
    TimeTz(u32),
    Timestamp(u32),
    TimestampTz(u32),
}

pub(in crate::postgres) const FAMILY: Family = Family {
    codec,
    declare,
    #[cfg(test)]
    examples,
};

const MICROS: TimeUnit = TimeUnit::Microsecond;

fn codec(name: &str, typmod: i32) -> Option<Arc<dyn Codec>> {
    let digits = u32::try_from(typmod).unwrap_or(6);
    Some(Arc::new(match name {
        "date" => Temporal::Date,
        "time" => Temporal::Time(digits),
        "timetz" => Temporal::TimeTz(digits),
        "timestamp" => Temporal::Timestamp(digits),
        "timestamptz" => Temporal::TimestampTz(digits),
        _ => return None,
    }))
}

fn declare(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        Date32 | Date64 => "date",
        Time32(_) | Time64(_) => "time without time zone",
        Timestamp(_, None) => "timestamp without time zone",
        Timestamp(_, Some(_)) => "timestamp with time zone",
        _ => return None,
    };
    Some(name.into())
}

#[cfg(test)]
fn examples() -> Vec<Example> {
    let time = |declared, temporal: Temporal, limits| Example { declared, codec: Arc::new(temporal), limits };
    vec![
        time("date", Temporal::Date, "from 4714-11-24 BC on"),
        time("time without time zone", Temporal::Time(6), "from 00:00:00 to 23:59:59.999999"),
        time(
            "time with time zone",
            Temporal::TimeTz(6),
            "text such as `12:34:56.789+02:00`; a value of a time type is stored with the offset `+00`",
        ),
        time("timestamp without time zone", Temporal::Timestamp(6), "from 4714-11-24 BC on"),
        time("timestamp with time zone", Temporal::TimestampTz(6), "from 4714-11-24 BC on"),
    ]
}

impl Codec for Temporal {
    fn arrow_type(&self) -> DataType {
        match self {
            Self::Date => Date32,
            Self::Time(_) => Time64(MICROS),
            Self::TimeTz(_) => Utf8View,
            Self::Timestamp(_) => Timestamp(MICROS, None),
            Self::TimestampTz(_) => Timestamp(MICROS, Some("+00:00".into())),
        }
    }

    fn comparison(&self, _: Collation) -> Comparison {
        if matches!(self, Self::TimeTz(_)) { Comparison::Differs } else { Comparison::Exact }
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        match (self, from) {
            (Self::TimeTz(_), t) if t.is_string() => binary(Utf8View),
            (Self::TimeTz(_), Time32(_) | Time64(_)) => binary(Time64(MICROS)),
            (Self::Date, Date32 | Date64)
            | (Self::Time(_), Time32(_) | Time64(_))
            | (Self::Timestamp(_), Timestamp(_, None))
            | (Self::TimestampTz(_), Timestamp(_, Some(_))) => binary(self.arrow_type()),
            _ => None,
        }
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        match *self {
            Self::Date => dates(array),
            Self::Time(digits) => times(array, digits),
            Self::TimeTz(digits) => times_with_zone(array, digits),
            Self::Timestamp(digits) | Self::TimestampTz(digits) => timestamps(array, digits),
        }
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match self {
            Self::Date => values::fixed::<Date32Type, 4>(values, to, |bytes| match i32::from_be_bytes(bytes) {
                i32::MIN | i32::MAX => Err(undecodable("infinity", to)),
                days => days.checked_add(POSTGRES_EPOCH_DAYS).ok_or_else(|| too_large(to)),
            }),
            Self::Time(_) => {
                values::fixed::<Time64MicrosecondType, 8>(values, to, |bytes| match i64::from_be_bytes(bytes) {
                    micros @ 0..MICROS_PER_DAY => Ok(micros),
                    _ => Err(undecodable("the time 24:00:00", to)),
                })
            }
            Self::TimeTz(_) => texts_by(values, to, push_time_with_zone),
            Self::Timestamp(_) | Self::TimestampTz(_) => {
                values::fixed::<TimestampMicrosecondType, 8>(values, to, |bytes| match i64::from_be_bytes(bytes) {
                    i64::MIN | i64::MAX => Err(undecodable("infinity", to)),
                    micros => micros.checked_add(POSTGRES_EPOCH_MICROS).ok_or_else(|| too_large(to)),
                })
            }
        }
    }

    fn second_digits(&self) -> Option<u32> {
        match *self {
            Self::Date => None,
            Self::Time(digits) | Self::TimeTz(digits) | Self::Timestamp(digits) | Self::TimestampTz(digits) => {
                Some(digits)
            }
        }
    }

    fn width(&self) -> Option<usize> {
        self.arrow_type().primitive_width()
    }

    fn spelling(&self) -> Spelling {
        match self {
            Self::Date | Self::Timestamp(_) | Self::TimestampTz(_) => Spelling::Date,
            Self::Time(_) | Self::TimeTz(_) => Spelling::Text,
        }
    }
}

/// The range of PostgreSQL's dates, in days since 1970: from 4714-11-24 BC to before 5874898-01-01
/// (`IS_VALID_DATE` of src/include/datatype/timestamp.h).
const DATES: Range<i32> = -2_451_545 + POSTGRES_EPOCH_DAYS..2_145_031_949 + POSTGRES_EPOCH_DAYS;

/// The range of PostgreSQL's timestamps, in microseconds since 1970: from 4714-11-24 BC (`IS_VALID_TIMESTAMP`). Its end
/// is beyond Arrow's.
const TIMESTAMPS: RangeInclusive<i64> = -211_813_488_000_000_000 + POSTGRES_EPOCH_MICROS..=i64::MAX;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Whether all timestamps are in the years from 2598 BC to 289680. This takes an addition and an OR for each, because
/// 64-bit comparisons are slow.
fn are_near(micros: &[i64]) -> bool {
    const NEAR: i64 = 1 << 57;
    micros.iter().fold(0, |all, micros| all | micros.wrapping_add(NEAR)) >= 0
}

fn dates(array: &ArrayRef) -> Result<Box<dyn Cells>> {
    check_range::<Date32Type>(array, DATES, "is outside the range of PostgreSQL's dates")?;
    Ok(fixed::<Date32Type, 4>(array, |days| days.wrapping_sub(POSTGRES_EPOCH_DAYS).to_be_bytes()))
}

fn timestamps(array: &ArrayRef, digits: u32) -> Result<Box<dyn Cells>> {
    const WHY: &str = "is outside the range of PostgreSQL's timestamps";
    if !are_near(array.as_primitive::<TimestampMicrosecondType>().values()) {
        check_range::<TimestampMicrosecondType>(array, TIMESTAMPS, WHY)?;
    }
    check_digits::<TimestampMicrosecondType>(array, digits)?;
    Ok(fixed::<TimestampMicrosecondType, 8>(array, |micros| micros.wrapping_sub(POSTGRES_EPOCH_MICROS).to_be_bytes()))
}

fn times(array: &ArrayRef, digits: u32) -> Result<Box<dyn Cells>> {
    check_times(array, digits)?;
    Ok(fixed::<Time64MicrosecondType, 8>(array, i64::to_be_bytes))
}

fn check_times(array: &ArrayRef, digits: u32) -> Result<()> {
    check_range::<Time64MicrosecondType>(array, 0..MICROS_PER_DAY, "is not a time of day")?;
    check_digits::<Time64MicrosecondType>(array, digits)
}

fn times_with_zone(array: &ArrayRef, digits: u32) -> Result<Box<dyn Cells>> {
    if let Time64(_) = array.data_type() {
        check_times(array, digits)?;
        return Ok(fixed::<Time64MicrosecondType, 12>(array, |micros| time_with_zone(micros, 0)));
    }
    let unit = 10_i64.pow(6 - digits.min(6));
    let why = format!("is not a time with a zone such as 12:34:56+02:00, with at most {digits} fractional digits");
    packed(array, &why, |text, out| {
        let (micros, seconds_west) = parse_time_with_zone(text).filter(|(micros, _)| micros % unit == 0)?;
        out.extend_from_slice(&time_with_zone(micros, seconds_west));
        Some(())
    })
}

fn time_with_zone(micros: i64, seconds_west: i32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    bytes[8..].copy_from_slice(&seconds_west.to_be_bytes());
    bytes
}

fn push_time_with_zone(bytes: &[u8], text: &mut String) -> Option<()> {
    use std::fmt::Write;
    let micros = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    let east = -i32::from_be_bytes(bytes.get(8..)?.try_into().ok()?);
    let seconds = micros / 1_000_000;
    write!(text, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60).ok()?;
    if micros % 1_000_000 != 0 {
        let fraction = format!("{:06}", micros % 1_000_000);
        write!(text, ".{}", fraction.trim_end_matches('0')).ok()?;
    }
    let (sign, zone) = (if east < 0 { '-' } else { '+' }, east.abs());
    write!(text, "{sign}{:02}", zone / 3_600).ok()?;
    if zone % 3_600 != 0 {
        write!(text, ":{:02}", zone / 60 % 60).ok()?;
    }
    if zone % 60 != 0 {
        write!(text, ":{:02}", zone % 60).ok()?;
    }
    Some(())
}

/// Microseconds since midnight, and seconds west of UTC.
fn parse_time_with_zone(text: &str) -> Option<(i64, i32)> {
    let (time, zone) = match text.find(['+', '-', 'Z', 'z']) {
        Some(at) => text.split_at(at),
        None => return None,
    };
    let sexagesimal = |text: &str, limit: i64| {
        let mut seconds = 0;
        let mut unit = 3_600;
        for part in text.split(':') {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            let value =
                part.parse::<i64>().ok().filter(|value| digits && *value < if unit == 3_600 { limit } else { 60 })?;
            seconds += value * unit;
            unit /= 60;
        }
        Some(seconds)
    };
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) || whole.split(':').count() > 3 {
        return None;
    }
    let micros = format!("{fraction:0<6}").parse::<i64>().ok()?;
    let east = match zone.split_at(1) {
        ("Z" | "z", "") => 0,
        ("+", zone) if zone.split(':').count() <= 3 => sexagesimal(zone, 16)?,
        ("-", zone) if zone.split(':').count() <= 3 => -sexagesimal(zone, 16)?,
        _ => return None,
    };
    Some((sexagesimal(whole, 24)? * 1_000_000 + micros, i32::try_from(-east).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_timestamps_are_in_range() {
        assert!(are_near(&[0, -(1 << 57), (1 << 62) + (1 << 61)]) && are_near(&[]));
        assert!(TIMESTAMPS.contains(&-(1 << 57)));
        for far in [-(1 << 57) - 1, i64::MIN, i64::MAX] {
            assert!(!are_near(&[0, far, 0]), "{far}");
        }
    }

    #[test]
    fn a_time_with_a_zone_is_parsed() {
        for (text, expected) in [
            ("12:34:56+02", Some((45_296_000_000, -7_200))),
            ("12:34:56.5-05:30", Some((45_296_500_000, 19_800))),
            ("00:00Z", Some((0, 0))),
            ("23:59:59.999999+15:59:59", Some((86_399_999_999, -57_599))),
            ("24:00:00Z", None),
            ("12:34:56", None),
            ("12:60:00Z", None),
            ("1:00:00Z", None),
            ("12:00:00.1234567Z", None),
            ("12:00:00+16", None),
            ("+02", None),
            ("é+02", None),
        ] {
            assert_eq!(parse_time_with_zone(text), expected, "{text}");
        }
    }
}
