//! Dates, times, timestamps and intervals to the fields of a COPY.

use std::ops::{Range, RangeInclusive};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{Duration, Interval, Time64};
use arrow::datatypes::{
    Date32Type, DurationMicrosecondType, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType, Time64MicrosecondType, TimestampMicrosecondType,
};

use super::bytes::packed;
use super::cells::{Cells, fixed};
use super::types::Parts;
use super::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};
use crate::columnar::{check, check_digits, check_range};
use crate::error::{Error, Result};

/// Dates that PostgreSQL has, as days since 1970: from 4714-11-24 BC to before 5874898-01-01
/// (`IS_VALID_DATE` of src/include/datatype/timestamp.h).
const DATES: Range<i32> = -2_451_545 + POSTGRES_EPOCH_DAYS..2_145_031_949 + POSTGRES_EPOCH_DAYS;

/// Timestamps that PostgreSQL has, as microseconds since 1970: from 4714-11-24 BC (`IS_VALID_TIMESTAMP`). It goes on
/// for longer than Arrow's do.
const TIMESTAMPS: RangeInclusive<i64> = -211_813_488_000_000_000 + POSTGRES_EPOCH_MICROS..=i64::MAX;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Whether all timestamps are of the years from 2598 BC to 289680: an addition and an OR for each, where comparisons of
/// 64 bits are slow.
fn are_near(micros: &[i64]) -> bool {
    const NEAR: i64 = 1 << 57;
    micros.iter().fold(0, |all, micros| all | micros.wrapping_add(NEAR)) >= 0
}

pub(super) fn dates(array: &ArrayRef) -> Result<Box<dyn Cells>> {
    check_range::<Date32Type>(array, DATES, "is outside the years that PostgreSQL's dates have")?;
    Ok(fixed::<Date32Type, 4>(array, |days| days.wrapping_sub(POSTGRES_EPOCH_DAYS).to_be_bytes()))
}

pub(super) fn timestamps(array: &ArrayRef, digits: u32) -> Result<Box<dyn Cells>> {
    const WHY: &str = "is outside the years that PostgreSQL's timestamps have";
    if !are_near(array.as_primitive::<TimestampMicrosecondType>().values()) {
        check_range::<TimestampMicrosecondType>(array, TIMESTAMPS, WHY)?;
    }
    check_digits::<TimestampMicrosecondType>(array, digits)?;
    Ok(fixed::<TimestampMicrosecondType, 8>(array, |micros| micros.wrapping_sub(POSTGRES_EPOCH_MICROS).to_be_bytes()))
}

pub(super) fn times(array: &ArrayRef, digits: u32) -> Result<Box<dyn Cells>> {
    check_times(array, digits)?;
    Ok(fixed::<Time64MicrosecondType, 8>(array, i64::to_be_bytes))
}

fn check_times(array: &ArrayRef, digits: u32) -> Result<()> {
    check_range::<Time64MicrosecondType>(array, 0..MICROS_PER_DAY, "is not a time of day")?;
    check_digits::<Time64MicrosecondType>(array, digits)
}

pub(super) fn times_with_zone(array: &ArrayRef, digits: u32) -> Result<Box<dyn Cells>> {
    if let Time64(_) = array.data_type() {
        check_times(array, digits)?;
        return Ok(fixed::<Time64MicrosecondType, 12>(array, |micros| time_with_zone(micros, 0)));
    }
    let unit = 10_i64.pow(6 - digits.min(6));
    let why = format!("is no time with a zone such as 12:34:56+02:00, of at most {digits} digits of a second");
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

/// Microseconds, days and months.
fn interval(micros: i64, days: i32, months: i32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    bytes[8..12].copy_from_slice(&days.to_be_bytes());
    bytes[12..].copy_from_slice(&months.to_be_bytes());
    bytes
}

pub(super) fn intervals(array: &ArrayRef, parts: Parts) -> Result<Box<dyn Cells>> {
    const WHY: &str = "has more than its column keeps (nanoseconds, or fields that its type leaves out)";
    let keeps = move |micros: i64, days: i32, months: i32| {
        months % parts.months == 0
            && (parts.keeps_days || days == 0)
            && if parts.micros == 0 { micros == 0 } else { micros % parts.micros == 0 }
    };
    Ok(match array.data_type() {
        Interval(IntervalUnit::YearMonth) => {
            check::<IntervalYearMonthType>(array, |months| keeps(0, 0, months), WHY)?;
            fixed::<IntervalYearMonthType, 16>(array, |months| interval(0, 0, months))
        }
        Interval(IntervalUnit::DayTime) => {
            let micros = |millis: i32| i64::from(millis) * 1_000;
            check::<IntervalDayTimeType>(array, |value| keeps(micros(value.milliseconds), value.days, 0), WHY)?;
            fixed::<IntervalDayTimeType, 16>(array, move |value| interval(micros(value.milliseconds), value.days, 0))
        }
        Interval(IntervalUnit::MonthDayNano) => {
            check::<IntervalMonthDayNanoType>(
                array,
                |value| value.nanoseconds % 1_000 == 0 && keeps(value.nanoseconds / 1_000, value.days, value.months),
                WHY,
            )?;
            fixed::<IntervalMonthDayNanoType, 16>(array, |value| {
                interval(value.nanoseconds / 1_000, value.days, value.months)
            })
        }
        Duration(_) => {
            check::<DurationMicrosecondType>(array, |micros| keeps(micros, 0, 0), WHY)?;
            fixed::<DurationMicrosecondType, 16>(array, |micros| interval(micros, 0, 0))
        }
        other => return Err(Error::internal(format!("an interval of {other}"))),
    })
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
