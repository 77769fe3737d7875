//! `interval`.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::DataType::{self, Duration, Interval};
use arrow::datatypes::{
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, IntervalDayTime,
    IntervalDayTimeType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, TimeUnit,
};

use super::super::cells::{Cells, fixed};
use super::super::rows::Values;
#[cfg(test)]
use super::Example;
use super::values::{self, too_large};
use super::{Codec, Family, Form, binary};
use crate::columnar::check;
use crate::error::{Error, Result};

pub(in crate::postgres) const FAMILY: Family = Family {
    codec: |name, typmod| (name == "interval").then(|| Arc::new(Parts::of(typmod)) as _),
    declare: |data_type| matches!(data_type, Interval(_) | Duration(_)).then(|| "interval".into()),
    #[cfg(test)]
    examples: || vec![Example { declared: "interval", codec: Arc::new(Parts::ALL), limits: "whole microseconds" }],
};

/// The precision of an `interval` column: it stores multiples of these months and microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Parts {
    months: i32,
    keeps_days: bool,
    /// 0 if it stores no time.
    micros: i64,
}

impl Parts {
    /// An interval with all fields.
    const ALL: Self = Self { months: 1, keeps_days: true, micros: 1 };

    /// `INTERVAL_TYPMOD` of src/include/utils/timestamp.h: a mask of fields, and fractional digits.
    fn of(typmod: i32) -> Self {
        let [month, year, day, hour, minute, second] = [1, 2, 3, 10, 11, 12].map(|bit| 1 << bit);
        if typmod < 0 {
            return Self::ALL;
        }
        let (fields, digits) = ((typmod >> 16) & 0x7fff, typmod & 0xffff);
        let digits = u32::try_from(digits).unwrap_or(6).min(6);
        let seconds = 10_i64.pow(6 - digits);
        let has = |field: i32| fields & field != 0;
        // The server truncates only units below the last field.
        if fields == 0x7fff || has(second) {
            Self { micros: seconds, ..Self::ALL }
        } else if has(minute) {
            Self { micros: 60_000_000, ..Self::ALL }
        } else if has(hour) {
            Self { micros: 3_600_000_000, ..Self::ALL }
        } else if has(day) {
            Self { micros: 0, ..Self::ALL }
        } else if has(month) {
            Self { months: 1, keeps_days: false, micros: 0 }
        } else if has(year) {
            Self { months: 12, keeps_days: false, micros: 0 }
        } else {
            Self::ALL
        }
    }
}

impl Codec for Parts {
    fn arrow_type(&self) -> DataType {
        Interval(IntervalUnit::MonthDayNano)
    }

    fn decodes_as(&self, to: &DataType) -> bool {
        matches!(to, Interval(_) | Duration(_))
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        match from {
            Interval(_) => binary(from.clone()),
            Duration(_) => binary(Duration(TimeUnit::Microsecond)),
            _ => None,
        }
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        encoded(array, *self)
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        decoded(values, to)
    }
}

/// Microseconds, days and months.
fn interval(micros: i64, days: i32, months: i32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    bytes[8..12].copy_from_slice(&days.to_be_bytes());
    bytes[12..].copy_from_slice(&months.to_be_bytes());
    bytes
}

fn encoded(array: &ArrayRef, parts: Parts) -> Result<Box<dyn Cells>> {
    const WHY: &str = "does not fit its column: the column does not store nanoseconds, or does not store all fields of \
                       the value";
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

fn decoded(values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
    fn each<T: ArrowPrimitiveType>(
        values: Values<'_>,
        to: &DataType,
        native: impl Fn(i64, i32, i32) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        values::fixed::<T, 16>(values, to, |bytes| {
            let value = i128::from_be_bytes(bytes);
            native((value >> 64) as i64, (value >> 32) as i32, value as i32).ok_or_else(|| too_large(to))
        })
    }
    match to {
        Interval(IntervalUnit::YearMonth) => each::<IntervalYearMonthType>(values, to, |micros, days, months| {
            ((micros, days) == (0, 0)).then_some(months)
        }),
        Interval(IntervalUnit::DayTime) => each::<IntervalDayTimeType>(values, to, |micros, days, months| {
            let millis = (months == 0 && micros % 1_000 == 0).then_some(micros / 1_000)?;
            Some(IntervalDayTime::new(days, millis.try_into().ok()?))
        }),
        Interval(IntervalUnit::MonthDayNano) => each::<IntervalMonthDayNanoType>(values, to, |micros, days, months| {
            Some(IntervalMonthDayNano::new(months, days, micros.checked_mul(1_000)?))
        }),
        Duration(unit) => {
            let whole = |micros: i64, days: i32, months: i32, unit: i64| {
                ((days, months) == (0, 0) && micros % unit == 0).then_some(micros / unit)
            };
            match unit {
                TimeUnit::Second => each::<DurationSecondType>(values, to, |us, d, m| whole(us, d, m, 1_000_000)),
                TimeUnit::Millisecond => each::<DurationMillisecondType>(values, to, |us, d, m| whole(us, d, m, 1_000)),
                TimeUnit::Microsecond => each::<DurationMicrosecondType>(values, to, |us, d, m| whole(us, d, m, 1)),
                TimeUnit::Nanosecond => {
                    each::<DurationNanosecondType>(values, to, |us, d, m| whole(us, d, m, 1)?.checked_mul(1_000))
                }
            }
        }
        _ => Err(Error::internal(format!("{to} is not an interval"))),
    }
}
