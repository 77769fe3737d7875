#![allow(clippy::unwrap_used)]

use arrow::array::{
    BooleanArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Float32Type, IntervalUnit, TimeUnit, TimestampNanosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::*;

fn assign(array: impl Array + 'static, to: &DataType) -> std::result::Result<String, String> {
    let array: ArrayRef = Arc::new(array);
    let assign = Assign::try_new(array.data_type(), to, Nanoseconds::Error)?;
    let assigned = assign.apply(&array).map_err(|error| error.to_string())?;
    assert_eq!(assigned.data_type(), to);
    Ok(ArrayFormatter::try_new(&assigned, &FormatOptions::default()).unwrap().value(0).to_string())
}

fn text(text: &str, to: &DataType) -> std::result::Result<String, String> {
    assign(StringArray::from(vec![text]), to)
}

fn double(value: f64, to: &DataType) -> std::result::Result<String, String> {
    assign(Float64Array::from(vec![value]), to)
}

#[test]
fn a_float_is_rounded_by_its_shortest_digits() {
    let money = Decimal128(10, 2);
    for (value, expected) in [
        (1.005, "1.01"),
        (1.015, "1.02"),
        (-1.005, "-1.01"),
        (19.99, "19.99"),
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (2.675, "2.68"),
        (99_999_999.994, "99999999.99"),
        (0.005, "0.01"),
    ] {
        assert_eq!(double(value, &money).as_deref(), Ok(expected), "{value}");
    }
    for value in [1e-5, 0.004, 99_999_999.995, 1e300, f64::NAN, f64::INFINITY, 5e-324] {
        assert!(double(value, &money).is_err(), "{value}");
    }
    assert_eq!(double(1e22, &Decimal128(38, 0)).as_deref(), Ok("10000000000000000000000"));
    assert_eq!(double(1e75, &Decimal256(76, 0)).map(|text| text.len()), Ok(76));
    assert_eq!(double(1250.0, &Decimal128(5, -2)).as_deref(), Ok("1300"));
}

#[test]
fn a_double_becomes_the_nearest_real() {
    assert_eq!(double(0.1, &Float32).as_deref(), Ok("0.1"));
    assert!(double(1e300, &Float32).is_err());
    assert!(double(1e-60, &Float32).is_err());
    assert_eq!(double(f64::INFINITY, &Float32).as_deref(), Ok("inf"));
}

#[test]
fn a_number_is_never_cut() {
    assert_eq!(double(2.0, &Int32).as_deref(), Ok("2"));
    let error = double(1.7, &Int32).unwrap_err();
    assert!(error.contains("value 1.7 does not fit Int32") && error.contains("round(x)"), "{error}");
    assert!(assign(Int64Array::from(vec![16_777_217]), &Float32).is_err());
    assert!(assign(Int64Array::from(vec![5]), &Boolean).is_err());
    assert_eq!(assign(BooleanArray::from(vec![true]), &Decimal128(10, 2)).as_deref(), Ok("1.00"));
    let real = PrimitiveArray::<Float32Type>::from(vec![1.005]);
    assert_eq!(assign(real, &Decimal128(38, 10)).as_deref(), Ok("1.0050000000"));
    assert_eq!(assign(Int64Array::from(vec![1]), &Boolean).as_deref(), Ok("true"));
    assert!(assign(Int64Array::from(vec![1_577_836_800]), &Timestamp(TimeUnit::Microsecond, None)).is_err());
    let tenth = Decimal128Array::from(vec![10_i128.pow(29)]).with_precision_and_scale(38, 30).unwrap();
    assert_eq!(assign(tenth, &Float64).as_deref(), Ok("0.1"));
    let long = Decimal128Array::from(vec![12_345_678_901_234_567_890_123]).with_precision_and_scale(38, 3).unwrap();
    assert!(assign(long, &Float64).is_err());
}

#[test]
fn a_day_is_a_whole_one() {
    assert_eq!(assign(TimestampMicrosecondArray::from(vec![86_400_000_000]), &Date32).as_deref(), Ok("1970-01-02"));
    assert!(assign(TimestampMicrosecondArray::from(vec![86_400_000_001]), &Date32).is_err());
    let zoned = TimestampMicrosecondArray::from(vec![0]).with_timezone("+00:00");
    assert!(assign(zoned, &Timestamp(TimeUnit::Microsecond, None)).is_err());
}

#[test]
fn texts_have_one_grammar() {
    let micros = Timestamp(TimeUnit::Microsecond, None);
    let zoned = Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let time = Time64(TimeUnit::Microsecond);
    for (from, to, expected) in [
        ("00701", &Int32, "701"),
        ("+7", &Int8, "7"),
        ("2.0", &Int32, "2"),
        ("1e3", &Int32, "1000"),
        ("18446744073709551615", &UInt64, "18446744073709551615"),
        ("1.50", &Decimal128(10, 2), "1.50"),
        ("1.500", &Decimal128(10, 2), "1.50"),
        ("1e300", &Float64, "1e300"),
        ("-Infinity", &Float64, "-inf"),
        ("NaN", &Float32, "NaN"),
        ("0.1", &Float32, "0.1"),
        ("TRUE", &Boolean, "true"),
        ("off", &Boolean, "false"),
        ("2013-01-31", &Date32, "2013-01-31"),
        ("2013-01-31 00:00:00", &Date32, "2013-01-31"),
        ("23:59", &time, "23:59:00"),
        ("23:59:59.999999", &time, "23:59:59.999999"),
        ("2013-01-31", &micros, "2013-01-31T00:00:00"),
        ("2013-01-31T23:59:59.5", &micros, "2013-01-31T23:59:59.500"),
        ("2013-01-31 01:00:00+02", &zoned, "2013-01-30T23:00:00Z"),
        ("2013-01-31 01:00:00Z", &zoned, "2013-01-31T01:00:00Z"),
        ("2013-01-31 01:00:00", &zoned, "2013-01-31T01:00:00Z"),
        ("P1DT2H", &Interval(IntervalUnit::MonthDayNano), "1 days 2 hours"),
    ] {
        assert_eq!(text(from, to).as_deref(), Ok(expected), "'{from}' as {to}");
    }
    for (from, to) in [
        (" 12", &Int32),
        ("12 ", &Int32),
        ("", &Int32),
        ("1.7", &Int32),
        ("128", &Int8),
        ("1_000", &Int32),
        ("0x10", &Int32),
        ("1.005", &Decimal128(10, 2)),
        ("1e300", &Decimal128(38, 0)),
        ("1e400", &Float64),
        ("1e-400", &Float64),
        ("1e300", &Float32),
        ("2", &Boolean),
        (" true", &Boolean),
        ("2013-02-29", &Date32),
        ("2013-01-31 00:00:01", &Date32),
        ("20130131", &Date32),
        ("2013-1-31", &Date32),
        ("24:00", &time),
        ("23:59:59.9999999", &time),
        ("2013-01-31 23:59:60", &micros),
        ("2013-01-31 01:00:00+02", &micros),
        ("2013-01-31 01:00:00.1234567", &micros),
    ] {
        assert!(text(from, to).is_err(), "'{from}' as {to}: {:?}", text(from, to));
    }
    let nanos = Timestamp(TimeUnit::Nanosecond, None);
    assert_eq!(text("1970-01-01 00:00:00.000000001", &nanos).as_deref(), Ok("1970-01-01T00:00:00.000000001"));
}

#[test]
fn nanoseconds_are_cut_where_the_user_says_so() {
    let array: ArrayRef = Arc::new(PrimitiveArray::<TimestampNanosecondType>::from(vec![1_999]));
    let micros = Timestamp(TimeUnit::Microsecond, None);
    let assign = |nanoseconds| Assign::try_new(array.data_type(), &micros, nanoseconds).unwrap().apply(&array);
    assert!(assign(Nanoseconds::Error).is_err());
    let cut = assign(Nanoseconds::Truncate).unwrap();
    assert_eq!(cut.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0), 1);
}

/// The table of the guide.
fn table() -> String {
    let item = |data_type| Arc::new(arrow::datatypes::Field::new("item", data_type, true));
    let types = [
        Boolean,
        Int32,
        Int64,
        Decimal128(10, 2),
        Float32,
        Float64,
        Utf8,
        Binary,
        Date32,
        Time64(TimeUnit::Microsecond),
        Timestamp(TimeUnit::Microsecond, None),
        Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Interval(IntervalUnit::MonthDayNano),
        List(item(Int32)),
    ];
    let mut lines =
        vec![format!("| value | {} |", types.iter().map(DataType::to_string).collect::<Vec<_>>().join(" | "))];
    lines.push(format!("| --- |{}", " --- |".repeat(types.len())));
    for from in &types {
        let cell = |to| match Assign::try_new(from, to, Nanoseconds::Error) {
            Ok(assign) => assign.assigned().as_str(),
            Err(_) => "",
        };
        lines.push(
            format!("| **{from}** | {} |", types.iter().map(cell).collect::<Vec<_>>().join(" | ")).replace("  ", " "),
        );
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_guide_has_the_table_that_the_code_makes() {
    let table = table();
    assert_eq!(include_str!("../../assignments.md"), table, "src/assignments.md is to be:\n{table}");
}
