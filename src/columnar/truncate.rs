//! Truncates nanoseconds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{
    DurationMicrosecondType, DurationNanosecondType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};

/// The type without nanoseconds; `None` for a type that has none.
pub(crate) fn without_nanoseconds(data_type: &DataType) -> Option<DataType> {
    match data_type {
        Timestamp(TimeUnit::Nanosecond, zone) => Some(Timestamp(TimeUnit::Microsecond, zone.clone())),
        Time64(TimeUnit::Nanosecond) => Some(Time64(TimeUnit::Microsecond)),
        Duration(TimeUnit::Nanosecond) => Some(Duration(TimeUnit::Microsecond)),
        Interval(IntervalUnit::MonthDayNano) => Some(data_type.clone()),
        _ => None,
    }
}

/// The array with nanoseconds truncated, rounded down. An array without nanoseconds is returned unchanged.
pub(crate) fn truncate_nanoseconds(array: &ArrayRef) -> ArrayRef {
    fn micros<N, M>(array: &ArrayRef) -> ArrayRef
    where
        N: ArrowPrimitiveType<Native = i64>,
        M: ArrowPrimitiveType<Native = i64>,
    {
        let micros: PrimitiveArray<M> = array.as_primitive::<N>().unary(|nanos| nanos.div_euclid(1_000));
        match without_nanoseconds(array.data_type()) {
            Some(data_type) => Arc::new(micros.with_data_type(data_type)),
            None => Arc::new(micros),
        }
    }
    match array.data_type() {
        Timestamp(TimeUnit::Nanosecond, _) => micros::<TimestampNanosecondType, TimestampMicrosecondType>(array),
        Time64(TimeUnit::Nanosecond) => micros::<Time64NanosecondType, Time64MicrosecondType>(array),
        Duration(TimeUnit::Nanosecond) => micros::<DurationNanosecondType, DurationMicrosecondType>(array),
        Interval(IntervalUnit::MonthDayNano) => {
            let whole = |value: IntervalMonthDayNano| {
                let micros = value.nanoseconds.div_euclid(1_000);
                IntervalMonthDayNano::new(value.months, value.days, micros.saturating_mul(1_000))
            };
            let array = array.as_primitive::<IntervalMonthDayNanoType>();
            Arc::new(array.unary::<_, IntervalMonthDayNanoType>(whole))
        }
        _ => Arc::clone(array),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampNanosecondArray;

    use super::*;

    #[test]
    fn nanoseconds_are_cut_off_toward_the_past() {
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_999, -1, 2_000]).with_timezone("UTC"));
        let micros = truncate_nanoseconds(&nanos);
        assert_eq!(micros.as_primitive::<TimestampMicrosecondType>().values(), &[1, -1, 2]);
        assert_eq!(Some(micros.data_type()), without_nanoseconds(nanos.data_type()).as_ref());
    }
}
