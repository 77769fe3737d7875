//! Values of every type, with those at the edges.

use std::sync::Arc;

use datafusion::arrow::array::*;

use super::model::Value;

/// A value, as SQL writes it where it can, and as an array.
pub struct Source {
    pub sql: Option<String>,
    pub array: Option<ArrayRef>,
    pub value: Value,
}

fn literal(text: &'static str) -> Source {
    Source { sql: Some(text.into()), array: None, value: Value::Literal(text) }
}

fn array(array: impl Array + 'static, value: Value) -> Source {
    Source { sql: None, array: Some(Arc::new(array)), value }
}

pub fn sources() -> Vec<Source> {
    let mut all: Vec<Source> = [
        "0",
        "1",
        "-1",
        "5",
        "127",
        "128",
        "-32768",
        "32768",
        "2147483647",
        "2147483648",
        "16777217",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1.0",
        "2.0",
        "1.7",
        "-1.7",
        "0.3",
        "0.5",
        "-0.5",
        "1.005",
        "1.015",
        "2.675",
        "19.99",
        "1e-5",
        "1e300",
        "-1e300",
        "1e-300",
        "12345678901234567890.12",
        "9007199254740993.0",
        "99999999.99",
        "99999999.995",
        "123456789012345",
        "1234567890123456.7",
        "99999999999999999999999999999999999999",
        "0.1",
        "1577836800",
    ]
    .into_iter()
    .map(literal)
    .collect();
    for text in [
        "",
        " 12",
        "12 ",
        "12",
        "00701",
        "-7",
        "+7",
        "2.0",
        "1.7",
        "1.50",
        "1.005",
        "1e3",
        "1e300",
        "1e-300",
        "1e400",
        "abc",
        "true",
        "F",
        "2",
        "2013-01-31",
        "2013-02-29",
        "0000-01-01",
        "9999-12-31",
        "2013-01-31 00:00:00",
        "2013-01-31 10:11:12",
        "2013-01-31T10:11:12.123456",
        "2013-01-31 10:11:12.1234567",
        "2013-01-31 10:11:12Z",
        "2013-01-31 10:11:12+02:00",
        "2013-03-10 02:30:00",
        "23:59:59.999999",
        "23:59:59.9999999",
        "24:00:00",
        "🙂 é",
        "NULL",
        "12345678901234567890123456789.123456789",
    ] {
        let sql = Some(format!("'{text}'"));
        all.push(Source { sql, array: Some(Arc::new(StringArray::from(vec![text]))), value: Value::Text(text) });
    }
    all.push(array(StringViewArray::from(vec!["a\0b"]), Value::Text("a\0b")));
    for truth in [true, false] {
        let sql = Some(truth.to_string());
        all.push(Source { sql, array: Some(Arc::new(BooleanArray::from(vec![truth]))), value: Value::Truth(truth) });
    }
    all.push(Source { sql: Some("NULL".into()), array: Some(Arc::new(NullArray::new(1))), value: Value::Null });
    macro_rules! integers {
        ($($array:ident: $type:ty),+) => {
            $(for value in [0, 1, <$type>::MIN, <$type>::MAX] {
                all.push(array($array::from(vec![value]), Value::Exact(value.to_string())));
            })+
        };
    }
    integers!(Int8Array: i8, Int16Array: i16, Int32Array: i32, Int64Array: i64, UInt8Array: u8, UInt16Array: u16,
        UInt32Array: u32, UInt64Array: u64);
    for double in [
        0.0,
        1.0,
        -1.0,
        0.5,
        1.7,
        1.005,
        1.015,
        2.675,
        19.99,
        1e-5,
        1e300,
        1e-300,
        1e39,
        16_777_217.0,
        9_007_199_254_740_993.0,
        99_999_999.994,
        99_999_999.995,
        0.1,
        1e15,
        1e22,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ] {
        all.push(array(Float64Array::from(vec![double]), Value::Double(double)));
    }
    for real in [0.0, 1.0, 0.1, 1.005, 19.99, 16_777_216.0, 3e38, 1e-40, f32::INFINITY, f32::NAN] {
        all.push(array(Float32Array::from(vec![real]), Value::Real(real)));
    }
    for (unscaled, precision, scale, text) in [
        (0, 10, 2, "0.00"),
        (100, 10, 2, "1.00"),
        (170, 10, 2, "1.70"),
        (1015, 10, 3, "1.015"),
        (10, 38, 30, "1e-29"),
        (1_234_567_890_123_456_789_012, 38, 2, "12345678901234567890.12"),
        (99_999_999_999_999_999_999_999_999_999_999_999_999, 38, 0, "99999999999999999999999999999999999999"),
    ] {
        let decimals = Decimal128Array::from(vec![unscaled]).with_precision_and_scale(precision, scale).unwrap();
        all.push(array(decimals, Value::Exact(text.into())));
    }
    for day in [0, -1, 15_736, -719_528, 2_932_896, 2_932_897, -719_529] {
        all.push(array(Date32Array::from(vec![day]), Value::Day(day.into())));
    }
    for (micros, extra) in [(0, 0), (86_399_999_999, 0), (86_399_999_999, 1), (43_200_000_000, 0)] {
        let nanos = micros * 1_000 + extra;
        match extra {
            0 => all.push(array(Time64MicrosecondArray::from(vec![micros]), Value::Clock(nanos))),
            _ => all.push(array(Time64NanosecondArray::from(vec![nanos]), Value::Clock(nanos))),
        }
    }
    for nanos in [0, 1, 1_000, 123_456_789, 1_359_590_400_000_000_000, 1_359_633_472_123_456_000, -1] {
        all.push(array(TimestampNanosecondArray::from(vec![nanos]), Value::Local(nanos.into())));
        let zoned = TimestampNanosecondArray::from(vec![nanos]).with_timezone("UTC");
        all.push(array(zoned, Value::Instant(nanos.into())));
    }
    for day in [-719_528_i64, 2_932_896, 2_932_897, -719_529] {
        let micros = day * 86_400_000_000;
        all.push(array(TimestampMicrosecondArray::from(vec![micros]), Value::Local(i128::from(micros) * 1_000)));
    }
    all.push(array(TimestampSecondArray::from(vec![1_359_590_400]), Value::Local(1_359_590_400_000_000_000)));
    all
}
