//! Dates, times, timestamps and intervals as ISO 8601 text.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::TimeUnit;

use super::{Class, Codec, Family, Stored};
use crate::backend::Comparison;
use crate::columnar::{from_text, to_text};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, _| {
        let (stored_as, comparison) = match data_type {
            Date32 => (
                "such as `2013-01-31`; the years are 0000 to 9999 for all types that contain a date",
                Comparison::IsoText,
            ),
            Date64 => {
                ("such as `2013-01-31`; a value that is not a whole number of days is an error", Comparison::IsoText)
            }
            Time32(_) | Time64(_) => {
                ("such as `23:59:59.999999`, with as many fractional digits as the type has", Comparison::Differs)
            }
            Timestamp(_, None) => (
                "such as `2013-01-31 23:59:59.999999`, with as many fractional digits as the type has",
                Comparison::IsoText,
            ),
            Timestamp(_, Some(_)) => ("such as `2013-01-31 23:59:59.999999Z`, in UTC", Comparison::IsoText),
            Interval(_) => ("in ISO 8601 format, such as `P1M2DT3.5S`", Comparison::Differs),
            _ => return None,
        };
        Some(Arc::new(Temporal { stored_as, comparison }))
    },
    declare: |data_type, _| match data_type {
        Date32 => Some("DATE".into()),
        Timestamp(TimeUnit::Microsecond, None) => Some("TIMESTAMP".into()),
        _ => None,
    },
    declared: |word, _| match word {
        "DATE" => Some(Date32),
        "DATETIME" | "TIMESTAMP" => Some(Timestamp(TimeUnit::Microsecond, None)),
        "TIMESTAMPTZ" => Some(Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))),
        "TIME" => Some(Time64(TimeUnit::Microsecond)),
        _ => None,
    },
    types: &[
        "Date32",
        "Date64",
        "Time32(s)",
        "Time32(ms)",
        "Time64(µs)",
        "Time64(ns)",
        "Timestamp(µs)",
        "Timestamp(s)",
        "Timestamp(ms)",
        "Timestamp(ns)",
        "Timestamp(ms, \"UTC\")",
        "Interval(YearMonth)",
        "Interval(DayTime)",
        "Interval(MonthDayNano)",
    ],
};

#[derive(Debug)]
struct Temporal {
    stored_as: &'static str,
    comparison: Comparison,
}

impl Codec for Temporal {
    fn class(&self) -> Class {
        Class::Text
    }

    fn stored_as(&self) -> &'static str {
        self.stored_as
    }

    fn comparison(&self) -> Comparison {
        self.comparison
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        Ok(Stored::Text(to_text(array)?))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        from_text(stored.texts()?, to)
    }
}
