//! Every Arrow type in SQLite: how it is declared and stored, by SQLite's own rendering, and that it comes back.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::*;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion_landfall::backend::NewTable;
use datafusion_landfall::{LandfallTable, SinkOptions};
use proptest::prelude::*;

use crate::landing::{Landing, says};

#[allow(non_camel_case_types)]
type f16 = <Float16Type as ArrowPrimitiveType>::Native;

/// An array, how SQLite declares its type, and how it quotes the values.
struct Case(ArrayRef, &'static str, &'static [&'static str]);

fn case(array: impl Array + 'static, declared: &'static str, stored: &'static [&'static str]) -> Case {
    Case(Arc::new(array), declared, stored)
}

fn interval(months: i32, days: i32, nanos: i64) -> IntervalMonthDayNano {
    IntervalMonthDayNano::new(months, days, nanos)
}

fn lists() -> ListArray {
    ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None, Some(-3)]), Some(vec![]), None])
}

fn structs() -> StructArray {
    let amounts = Decimal128Array::from(vec![Some(100), None, None]).with_precision_and_scale(10, 2).unwrap();
    StructArray::try_new(
        Fields::from(vec![
            Field::new("amount", DataType::Decimal128(10, 2), true),
            Field::new("day", DataType::Date32, true),
            Field::new("at, x", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
            Field::new("raw", DataType::Binary, true),
        ]),
        vec![
            Arc::new(amounts),
            Arc::new(Date32Array::from(vec![Some(0), None, Some(-1)])),
            Arc::new(TimestampNanosecondArray::from(vec![Some(1), Some(0), None])),
            Arc::new(BinaryArray::from(vec![Some(&[0_u8, 255][..]), Some(b""), None])),
        ],
        Some(vec![true, true, false].into()),
    )
    .unwrap()
}

fn maps() -> MapArray {
    let mut maps = MapBuilder::new(None, Int32Builder::new(), Float64Builder::new());
    maps.keys().append_value(7);
    maps.values().append_value(0.1);
    maps.keys().append_value(-8);
    maps.values().append_null();
    maps.append(true).unwrap();
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    maps.finish()
}

fn nested() -> LargeListArray {
    let days = lists().values().clone();
    let days = cast(&days, &DataType::Date32).unwrap();
    let inner = ListArray::new(
        Arc::new(Field::new("item", DataType::Date32, true)),
        OffsetBuffer::from_lengths([1, 2]),
        days,
        None,
    );
    LargeListArray::new(
        Arc::new(Field::new("item", inner.data_type().clone(), true)),
        OffsetBuffer::from_lengths([2, 0, 0]),
        Arc::new(inner),
        Some(vec![true, true, false].into()),
    )
}

fn cases() -> Vec<Case> {
    let utc = "UTC";
    let decimal256 = Decimal256Array::from(vec![Some(i256::MAX), Some(i256::from(-1)), None]);
    let big = "'57896044618658097711785492504343953926634992332820282019728792003956564819967'";
    assert_eq!(i256::MAX.to_string(), big.trim_matches('\''));
    // One digit less: the type has 76.
    let decimal256 =
        Decimal256Array::from_iter(decimal256.iter().map(|value| value.map(|value| value / i256::from(10))));
    vec![
        case(NullArray::new(3), "Null", &["NULL", "NULL", "NULL"]),
        case(BooleanArray::from(vec![Some(true), Some(false), None]), "BOOLEAN", &["1", "0", "NULL"]),
        case(Int8Array::from(vec![Some(i8::MIN), Some(i8::MAX), None]), "Int8", &["-128", "127", "NULL"]),
        case(Int16Array::from(vec![Some(i16::MIN), Some(0), None]), "Int16", &["-32768", "0", "NULL"]),
        case(
            Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), None]),
            "Int32",
            &["-2147483648", "2147483647", "NULL"],
        ),
        case(
            Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None]),
            "INTEGER",
            &["-9223372036854775808", "9223372036854775807", "NULL"],
        ),
        case(UInt8Array::from(vec![Some(255), Some(0), None]), "UInt8", &["255", "0", "NULL"]),
        case(UInt16Array::from(vec![Some(65535), Some(0), None]), "UInt16", &["65535", "0", "NULL"]),
        case(UInt32Array::from(vec![Some(u32::MAX), Some(0), None]), "UInt32", &["4294967295", "0", "NULL"]),
        case(
            UInt64Array::from(vec![Some(i64::MAX as u64), Some(0), None]),
            "UInt64",
            &["9223372036854775807", "0", "NULL"],
        ),
        case(
            Float16Array::from(vec![Some(f16::MAX), Some(f16::from_f32(0.5)), None]),
            "Float16",
            &["65504.0", "0.5", "NULL"],
        ),
        case(
            Float32Array::from(vec![Some(0.25), Some(f32::NEG_INFINITY), None]),
            "Float32",
            &["0.25", "-9.0e+999", "NULL"],
        ),
        case(Float64Array::from(vec![Some(0.1), Some(f64::INFINITY), None]), "REAL", &["0.1", "9.0e+999", "NULL"]),
        case(
            Decimal32Array::from(vec![Some(-9_999_999), Some(10), None]).with_precision_and_scale(7, 2).unwrap(),
            "TEXT \"Decimal32(7, 2)\"",
            &["'-99999.99'", "'0.10'", "NULL"],
        ),
        case(
            Decimal64Array::from(vec![Some(12), Some(-7), None]).with_precision_and_scale(18, -3).unwrap(),
            "TEXT \"Decimal64(18, -3)\"",
            &["'12000'", "'-7000'", "NULL"],
        ),
        case(
            Decimal128Array::from(vec![Some(100_000_001), Some(-1), None]).with_precision_and_scale(38, 8).unwrap(),
            "TEXT \"Decimal128(38, 8)\"",
            &["'1.00000001'", "'-0.00000001'", "NULL"],
        ),
        case(
            decimal256.with_precision_and_scale(76, 0).unwrap(),
            "TEXT \"Decimal256(76, 0)\"",
            &["'5789604461865809771178549250434395392663499233282028201972879200395656481996'", "'0'", "NULL"],
        ),
        case(StringArray::from(vec![Some("it's"), Some("007"), None]), "TEXT", &["'it''s'", "'007'", "NULL"]),
        case(LargeStringArray::from(vec![Some(""), Some("ÄÖ 🦀"), None]), "TEXT", &["''", "'ÄÖ 🦀'", "NULL"]),
        case(
            StringViewArray::from(vec![Some("1e5"), Some("longer than twelve bytes"), None]),
            "TEXT",
            &["'1e5'", "'longer than twelve bytes'", "NULL"],
        ),
        case(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None]), "BLOB", &["X'00FF'", "X''", "NULL"]),
        case(
            LargeBinaryArray::from(vec![Some(&b"123"[..]), Some(b"4"), None]),
            "BLOB",
            &["X'313233'", "X'34'", "NULL"],
        ),
        case(BinaryViewArray::from(vec![Some(&b"5"[..]), Some(b"6"), None]), "BLOB", &["X'35'", "X'36'", "NULL"]),
        case(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([0_u8, 1]), Some([2, 3]), None].into_iter(), 2)
                .unwrap(),
            "FixedSizeBinary(2)",
            &["X'0001'", "X'0203'", "NULL"],
        ),
        case(
            Date32Array::from(vec![Some(-719_528), Some(2_932_896), None]),
            "DATE",
            &["'0000-01-01'", "'9999-12-31'", "NULL"],
        ),
        case(
            Date64Array::from(vec![Some(951_782_400_000), Some(-86_400_000), None]),
            "Date64",
            &["'2000-02-29'", "'1969-12-31'", "NULL"],
        ),
        case(
            Time32SecondArray::from(vec![Some(0), Some(86_399), None]),
            "Time32(s)",
            &["'00:00:00'", "'23:59:59'", "NULL"],
        ),
        case(
            Time32MillisecondArray::from(vec![Some(1), Some(86_399_999), None]),
            "Time32(ms)",
            &["'00:00:00.001'", "'23:59:59.999'", "NULL"],
        ),
        case(
            Time64MicrosecondArray::from(vec![Some(1), Some(86_399_999_999), None]),
            "Time64(µs)",
            &["'00:00:00.000001'", "'23:59:59.999999'", "NULL"],
        ),
        case(
            Time64NanosecondArray::from(vec![Some(1), Some(86_399_999_999_999), None]),
            "Time64(ns)",
            &["'00:00:00.000000001'", "'23:59:59.999999999'", "NULL"],
        ),
        case(
            TimestampSecondArray::from(vec![Some(-62_167_219_200), Some(253_402_300_799), None]),
            "Timestamp(s)",
            &["'0000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "NULL"],
        ),
        case(
            TimestampMillisecondArray::from(vec![Some(-1), Some(1), None]),
            "Timestamp(ms)",
            &["'1969-12-31 23:59:59.999'", "'1970-01-01 00:00:00.001'", "NULL"],
        ),
        case(
            TimestampMicrosecondArray::from(vec![Some(-1), Some(1_362_009_600_000_000), None]),
            "TIMESTAMP",
            &["'1969-12-31 23:59:59.999999'", "'2013-02-28 00:00:00.000000'", "NULL"],
        ),
        case(
            TimestampNanosecondArray::from(vec![Some(i64::MIN), Some(i64::MAX), None]),
            "Timestamp(ns)",
            &["'1677-09-21 00:12:43.145224192'", "'2262-04-11 23:47:16.854775807'", "NULL"],
        ),
        case(
            TimestampMicrosecondArray::from(vec![Some(0), Some(-1), None]).with_timezone(utc),
            "Timestamp(µs, \"UTC\")",
            &["'1970-01-01 00:00:00.000000Z'", "'1969-12-31 23:59:59.999999Z'", "NULL"],
        ),
        case(
            TimestampSecondArray::from(vec![Some(0), Some(86_400), None]).with_timezone("+05:30"),
            "Timestamp(s, \"+05:30\")",
            &["'1970-01-01 00:00:00Z'", "'1970-01-02 00:00:00Z'", "NULL"],
        ),
        case(
            DurationSecondArray::from(vec![Some(-1), Some(i64::MAX), None]),
            "Duration(s)",
            &["-1", "9223372036854775807", "NULL"],
        ),
        case(
            DurationNanosecondArray::from(vec![Some(i64::MIN), Some(5), None]),
            "Duration(ns)",
            &["-9223372036854775808", "5", "NULL"],
        ),
        case(
            IntervalYearMonthArray::from(vec![Some(14), Some(-1), None]),
            "Interval(YearMonth)",
            &["'P14M'", "'P-1M'", "NULL"],
        ),
        case(
            IntervalDayTimeArray::from(vec![
                Some(IntervalDayTime::new(-2, 1_500)),
                Some(IntervalDayTime::new(0, -1)),
                None,
            ]),
            "Interval(DayTime)",
            &["'P-2DT1.5S'", "'PT-0.001S'", "NULL"],
        ),
        case(
            IntervalMonthDayNanoArray::from(vec![
                Some(interval(1, -2, 3)),
                Some(interval(i32::MIN, i32::MAX, i64::MIN)),
                None,
            ]),
            "Interval(MonthDayNano)",
            &["'P1M-2DT0.000000003S'", "'P-2147483648M2147483647DT-9223372036.854775808S'", "NULL"],
        ),
        case(lists(), "List(Int32)", &["'[1,null,-3]'", "'[]'", "NULL"]),
        case(nested(), "LargeList(List(Date32))", &["'[[\"1970-01-02\"],[null,\"1969-12-29\"]]'", "'[]'", "NULL"]),
        case(
            FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
                vec![Some(vec![Some(0.1), None]), Some(vec![Some(-1.5), Some(3e30)]), None],
                2,
            ),
            "FixedSizeList(2 x Float32)",
            &["'[0.1,null]'", "'[-1.5,3.0e30]'", "NULL"],
        ),
        case(
            structs(),
            "Struct(\"amount\": Decimal128(10, 2), \"day\": Date32, \"at, x\": Timestamp(ns), \"raw\": Binary)",
            &[
                "'{\"amount\":\"1.00\",\"day\":\"1970-01-01\",\"at, x\":\"1970-01-01 00:00:00.000000001\",\"raw\":\"00ff\"}'",
                "'{\"amount\":null,\"day\":null,\"at, x\":\"1970-01-01 00:00:00.000000000\",\"raw\":\"\"}'",
                "NULL",
            ],
        ),
        case(
            maps(),
            "Map(\"entries\": non-null Struct(\"keys\": non-null Int32, \"values\": Float64), unsorted)",
            &["'{\"7\":0.1,\"-8\":null}'", "'{}'", "NULL"],
        ),
        case(
            vec![Some("a"), Some("b"), None].into_iter().collect::<DictionaryArray<Int8Type>>(),
            "TEXT",
            &["'a'", "'b'", "NULL"],
        ),
        case(
            RunArray::<Int32Type>::try_new(
                &Int32Array::from(vec![2, 3]),
                &TimestampMicrosecondArray::from(vec![Some(0), None]),
            )
            .unwrap(),
            "TIMESTAMP",
            &["'1970-01-01 00:00:00.000000'", "'1970-01-01 00:00:00.000000'", "NULL"],
        ),
    ]
}

/// A table with one column for each array, named c0, c1, …
fn batch(arrays: &[ArrayRef]) -> RecordBatch {
    let named = arrays.iter().enumerate().map(|(index, array)| (format!("c{index}"), array.clone(), true));
    RecordBatch::try_from_iter_with_nullable(named).unwrap()
}

async fn land(landing: &Landing, batch: &RecordBatch, options: SinkOptions) -> datafusion::error::Result<()> {
    let url = format!("sqlite:{}", landing.file().display());
    let table = NewTable {
        name: "t".into(),
        schema: batch.schema(),
        primary_key: vec![],
        unique_keys: vec![],
        defaults: HashMap::new(),
    };
    let table = LandfallTable::connect_or_create(&url, table, options).await?;
    landing.context.register_table("t", Arc::new(table))?;
    let frame = landing.context.read_batch(batch.clone())?;
    frame.write_table("t", DataFrameWriteOptions::new()).await.map(drop)
}

async fn read(landing: &Landing, table: &str, schema: &SchemaRef) -> RecordBatch {
    let batches = landing.sql(&format!("SELECT * FROM {table}")).await.unwrap();
    datafusion::arrow::compute::concat_batches(batches.first().map_or(schema, |batch| batch.schema_ref()), &batches)
        .unwrap()
}

/// The type that a column without given type is read as.
fn plain(data_type: &DataType) -> DataType {
    use DataType::*;
    match data_type {
        Dictionary(_, values) => plain(values),
        RunEndEncoded(_, values) => plain(values.data_type()),
        Utf8 | LargeUtf8 => Utf8View,
        Binary | LargeBinary => BinaryView,
        other => other.clone(),
    }
}

#[tokio::test]
async fn every_type_is_stored_as_documented_and_comes_back() {
    let cases = cases();
    let landing = Landing::new("");
    let written = batch(&cases.iter().map(|case| case.0.clone()).collect::<Vec<_>>());
    land(&landing, &written, SinkOptions::new()).await.unwrap();

    let declared = landing.rows("SELECT type FROM pragma_table_info('t')");
    for (index, Case(array, expected, stored)) in cases.iter().enumerate() {
        assert_eq!(declared[index], *expected, "{} is declared so", array.data_type());
        let quoted = landing.rows(&format!("SELECT quote(c{index}) FROM t"));
        assert_eq!(quoted, *stored, "{} is stored so", array.data_type());
    }

    let same = read(&landing, "t", &written.schema()).await;
    landing.register("bare", "", "'table' 't'").await.unwrap();
    let bare = read(&landing, "bare", &written.schema()).await;
    for (index, Case(array, ..)) in cases.iter().enumerate() {
        assert_eq!(same.column(index).as_ref(), array.as_ref(), "with its columns given");
        assert_eq!(bare.column(index).data_type(), &plain(array.data_type()), "with its columns taken");
        let plain = cast(array, &plain(array.data_type())).unwrap();
        assert_eq!(bare.column(index).as_ref(), plain.as_ref(), "with its columns taken");
    }
}

#[tokio::test]
async fn uint64_beyond_the_signed_range_is_text_or_an_error() {
    let values: ArrayRef = Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(0), None]));
    let landing = Landing::new("");
    let error =
        land(&landing, &batch(std::slice::from_ref(&values)), SinkOptions::new()).await.unwrap_err().to_string();
    says(&error, &["row 1", "18446744073709551615", "'uint64' = 'text'"]);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);

    let landing = Landing::new("");
    let options = SinkOptions::new().with_own("uint64", "text");
    land(&landing, &batch(std::slice::from_ref(&values)), options).await.unwrap();
    assert_eq!(landing.rows("SELECT quote(c0) FROM t"), ["'18446744073709551615'", "'0'", "NULL"]);
    landing.register("bare", "", "'table' 't'").await.unwrap();
    let read = read(&landing, "bare", &batch(std::slice::from_ref(&values)).schema()).await;
    assert_eq!(read.column(0).as_ref(), values.as_ref());
}

#[tokio::test]
async fn numbers_that_json_cannot_say_are_refused() {
    for bad in [f64::NAN, f64::INFINITY] {
        let list =
            ListArray::from_iter_primitive::<Float64Type, _, _>(vec![Some(vec![Some(1.0)]), Some(vec![Some(bad)])]);
        let landing = Landing::new("");
        let error = land(&landing, &batch(&[Arc::new(list)]), SinkOptions::new()).await.unwrap_err().to_string();
        says(&error, &["\"c0\"", "JSON"]);
    }
}

#[tokio::test]
async fn a_slice_of_lists_is_written_without_its_neighbours() {
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(vec![
        Some(vec![Some(f64::NAN)]),
        Some(vec![Some(1.0), Some(2.0)]),
        Some(vec![Some(3.0)]),
        Some(vec![Some(f64::NAN)]),
    ]);
    let landing = Landing::new("");
    land(&landing, &batch(&[Arc::new(lists.slice(1, 2))]), SinkOptions::new()).await.unwrap();
    assert_eq!(landing.rows("SELECT c0 FROM t"), ["[1.0,2.0]", "[3.0]"]);
    let landing = Landing::new("");
    let error = land(&landing, &batch(&[Arc::new(lists.slice(1, 3))]), SinkOptions::new()).await.unwrap_err();
    says(&error.to_string(), &["row 3, column \"c0\"", "JSON"]);
}

#[tokio::test]
async fn sqlites_own_date_functions_read_what_lands() {
    let landing = Landing::new("");
    let values: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_362_009_600_123_000]).with_timezone("UTC"));
    land(&landing, &batch(&[values]), SinkOptions::new()).await.unwrap();
    assert_eq!(landing.rows("SELECT unixepoch(c0), strftime('%f', c0) FROM t"), ["1362009600|00.123"]);
}

/// Arbitrary values of the types whose values are many.
fn arbitrary_batch() -> impl Strategy<Value = RecordBatch> {
    type Row = (
        Option<i64>,
        Option<f64>,
        Option<f32>,
        Option<String>,
        Option<Vec<u8>>,
        Option<i128>,
        Option<i64>,
        Option<(i32, i32, i64)>,
        Option<Vec<Option<String>>>,
        Option<i32>,
    );
    let float = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::INFINITE;
    let row = (
        any::<Option<i64>>(),
        prop::option::of(float),
        prop::option::of(prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL),
        prop::option::of(prop_oneof![".*", "[0-9]{1,20}", "[-+]?0[0-9]{0,5}(\\.[0-9]*)?(e[0-9])?", "[ \u{0}'\"\\\\]*"]),
        any::<Option<Vec<u8>>>(),
        prop::option::of(
            -99_999_999_999_999_999_999_999_999_999_999_999_999_i128
                ..=99_999_999_999_999_999_999_999_999_999_999_999_999,
        ),
        any::<Option<i64>>(),
        any::<Option<(i32, i32, i64)>>(),
        any::<Option<Vec<Option<String>>>>(),
        prop::option::of(-719_528..=2_932_896_i32),
    );
    prop::collection::vec(row, 1..40).prop_map(|rows: Vec<Row>| {
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        for row in &rows {
            lists.append_option(row.8.as_ref().map(|texts| texts.iter().cloned()));
        }
        let decimals: Decimal128Array = rows.iter().map(|row| row.5).collect();
        batch(&[
            Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|row| row.2).collect::<Float32Array>()),
            Arc::new(rows.iter().map(|row| row.3.as_deref()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.4.as_deref()).collect::<BinaryArray>()),
            Arc::new(decimals.with_precision_and_scale(38, 11).unwrap()),
            Arc::new(rows.iter().map(|row| row.6).collect::<TimestampNanosecondArray>()),
            Arc::new(
                rows.iter()
                    .map(|row| row.7.map(|(months, days, nanos)| interval(months, days, nanos)))
                    .collect::<IntervalMonthDayNanoArray>(),
            ),
            Arc::new(lists.finish()),
            Arc::new(rows.iter().map(|row| row.9).collect::<Date32Array>()),
        ])
    })
}

#[test]
fn arbitrary_values_come_back_as_they_went() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    proptest!(ProptestConfig::with_cases(60), |(written in arbitrary_batch())| {
        let landing = Landing::new("");
        let read = runtime.block_on(async {
            land(&landing, &written, SinkOptions::new()).await.unwrap();
            read(&landing, "t", &written.schema()).await
        });
        prop_assert_eq!(read.columns(), written.columns());
        // SQLite's own rendering of integers and dates, by its own functions.
        let dates = written.column(9).as_primitive::<Date32Type>();
        let julian = landing.rows("SELECT CAST(julianday(c9) - 2440587.5 AS INTEGER) FROM t");
        for (row, shown) in julian.iter().enumerate() {
            let days = dates.is_valid(row).then(|| dates.value(row).to_string());
            prop_assert_eq!(shown, days.as_deref().unwrap_or("NULL"));
        }
        let texts = landing.rows("SELECT coalesce(hex(c3), 'null') FROM t");
        for (shown, text) in texts.iter().zip(written.column(3).as_string::<i32>()) {
            let hex = text.map(|text| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>());
            prop_assert_eq!(shown, hex.as_deref().unwrap_or(""));
        }
    });
}
