//! Every pair of an Arrow type and a server type: what lands is what the server makes of the same values as literals,
//! by its own rendering and byte for byte, and it comes back as it went in.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::*;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion_landfall::backend::NewTable;
use datafusion_landfall::postgres::{CopyEncoder, Postgres as Database};
use datafusion_landfall::{LandfallTable, SinkOptions};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::Connection;

use super::Postgres;
use crate::landing::says;

/// Values of a type, with the expression of SQL that means each.
pub(super) struct Column {
    pub(super) sql_type: &'static str,
    pub(super) array: ArrayRef,
    pub(super) literals: Vec<Option<String>>,
}

/// What the server must agree with.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Bytes {
    AreTheServers,
    /// The server has several forms for a value, or normalizes it.
    Differ,
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `count` values of a strategy, one in eight of them NULL.
fn values<S: Strategy>(strategy: S, edges: Vec<S::Value>, count: usize) -> Vec<Option<S::Value>> {
    let mut runner = TestRunner::default();
    let random = (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect::<Vec<_>>();
    let all = edges.into_iter().chain(random).enumerate();
    all.map(|(index, value)| (index % 8 != 5).then_some(value)).collect()
}

const COUNT: usize = 200;

fn column<S: Strategy, A: Array + FromIterator<Option<S::Value>> + 'static>(
    sql_type: &'static str,
    strategy: S,
    edges: Vec<S::Value>,
    literal: impl Fn(&S::Value) -> String,
) -> (Column, std::marker::PhantomData<A>) {
    let values = values(strategy, edges, COUNT);
    let literals = values.iter().map(|value| value.as_ref().map(&literal)).collect();
    let array: ArrayRef = Arc::new(values.into_iter().collect::<A>());
    (Column { sql_type, array, literals }, std::marker::PhantomData)
}

fn of<S: Strategy, A: Array + FromIterator<Option<S::Value>> + 'static>(
    sql_type: &'static str,
    strategy: S,
    edges: Vec<S::Value>,
    literal: impl Fn(&S::Value) -> String,
) -> Column {
    column::<S, A>(sql_type, strategy, edges, literal).0
}

/// Writes the column, compares with the server, and reads it back.
async fn check(column: &Column, bytes: Bytes) {
    check_after("", column, bytes).await;
}

/// The same, of a type that `types` makes.
pub(super) async fn check_after(types: &str, column: &Column, bytes: Bytes) {
    let Column { sql_type, array, literals } = column;
    let setup = format!(
        "{types} CREATE TABLE landed (id int, v {sql_type}); CREATE TABLE expected (id int, v {sql_type}); \
         SET timezone = 'UTC'"
    );
    let server = Postgres::new(&setup);
    let what = format!("{} to {sql_type}", array.data_type());
    let rows = literals
        .iter()
        .enumerate()
        .map(|(id, literal)| format!("({id}, {}::{sql_type})", literal.as_deref().unwrap_or("NULL")));
    let insert = format!("SET timezone = 'UTC'; INSERT INTO expected VALUES {}", rows.collect::<Vec<_>>().join(","));
    let mut client = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert))
        .execute(&mut client)
        .await
        .unwrap_or_else(|error| panic!("{what}: the server does not take the literals: {error}"));

    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..array.len() as i32));
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, true),
        Field::new("v", array.data_type().clone(), true),
    ]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![ids, Arc::clone(array)]).unwrap();
    server.register("landed", "", "").await.unwrap();
    let frame = server.context.read_batch(batch.clone()).unwrap();
    let written = frame.write_table("landed", DataFrameWriteOptions::new()).await;
    written.unwrap_or_else(|error| panic!("{what}: {error}"));
    let differing = "SELECT id, l.v::text, e.v::text FROM landed l FULL JOIN expected e USING (id) \
                     WHERE l.v::text IS DISTINCT FROM e.v::text ORDER BY id LIMIT 3";
    assert_eq!(server.rows(differing), [""; 0], "{what}: id|landed|expected");

    if bytes == Bytes::AreTheServers {
        use futures::TryStreamExt;
        let copy = "COPY (SELECT id, v FROM expected ORDER BY id) TO STDOUT (FORMAT BINARY)";
        let messages: Vec<_> = client.copy_out_raw(copy).await.unwrap().try_collect().await.unwrap();
        let database = Database::try_new(&server.url(), &SinkOptions::new()).unwrap();
        let mut encoder = CopyEncoder::connect(&database, "landed", Arc::clone(&schema)).await.unwrap();
        let mut ours = CopyEncoder::HEADER.to_vec();
        encoder.encode(&batch, |piece| ours.extend_from_slice(piece)).unwrap();
        ours.extend_from_slice(CopyEncoder::TRAILER);
        assert!(ours == messages.concat(), "{what}: the bytes are not the server's");
    }

    // Back as the type that it went in, and as the type that the server's is read as.
    let table = NewTable {
        name: "landed".into(),
        schema: Arc::clone(&schema),
        primary_key: vec![],
        unique_keys: vec![],
        defaults: HashMap::new(),
    };
    let as_written = LandfallTable::connect_or_create(&server.url(), table, SinkOptions::new()).await;
    match as_written {
        Ok(table) => {
            server.context.register_table("as_written", Arc::new(table)).unwrap();
            let read = server.sql("SELECT v FROM as_written ORDER BY id").await;
            let read = read.unwrap_or_else(|error| panic!("{what}, read back: {error}"));
            let read = datafusion::arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
            // The server has its own form for the text of a number.
            if !(sql_type.starts_with("numeric") && array.data_type().is_string()) {
                assert_eq!(read.column(0).as_ref(), array.as_ref(), "{what}, read back");
            }
        }
        // A type that can be written and not read: the other way must give the server's texts.
        Err(error) => says(&error.to_string(), &["already exists with different columns"]),
    }
    let read = server.sql("SELECT v FROM landed ORDER BY id").await;
    read.unwrap_or_else(|error| panic!("{what}, read: {error}"));
}

fn text(value: &impl ToString) -> String {
    quoted(&value.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers() {
    let ints = || vec![0, 1, -1];
    let columns = [
        of::<_, BooleanArray>("boolean", any::<bool>(), vec![], text),
        of::<_, Int16Array>("smallint", any::<i16>(), vec![i16::MIN, i16::MAX], text),
        of::<_, Int8Array>("smallint", any::<i8>(), vec![i8::MIN, i8::MAX], text),
        of::<_, UInt8Array>("smallint", any::<u8>(), vec![u8::MAX], text),
        of::<_, Int32Array>("integer", any::<i32>(), vec![i32::MIN, i32::MAX], text),
        of::<_, UInt16Array>("integer", any::<u16>(), vec![u16::MAX], text),
        of::<_, Int64Array>("bigint", any::<i64>(), vec![i64::MIN, i64::MAX], text),
        of::<_, UInt32Array>("bigint", any::<u32>(), vec![u32::MAX], text),
        of::<_, Int64Array>("smallint", -32768..=32767_i64, ints(), text),
        of::<_, UInt32Array>("oid", any::<u32>(), vec![u32::MAX], text),
        of::<_, Int64Array>("double precision", -(1 << 53)..=(1_i64 << 53), ints(), text),
    ];
    for column in &columns {
        check(column, Bytes::AreTheServers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_are_written_as_their_values() {
    let ints = || of::<_, Int64Array>("bigint", 0..5_i64, vec![i64::MIN], text);
    let runs = DataType::RunEndEncoded(
        Arc::new(Field::new("run_ends", DataType::Int32, false)),
        Arc::new(Field::new("values", DataType::Int64, true)),
    );
    for to in [DataType::Dictionary(DataType::Int8.into(), DataType::Int64.into()), runs] {
        let mut column = ints();
        // A slice of it, which begins in the middle of its values.
        column.array = cast(&column.array, &to).unwrap().slice(3, 100);
        column.literals = column.literals[3..103].to_vec();
        check(&column, Bytes::AreTheServers).await;
    }
    let halves = of::<_, Float32Array>("real", (-100..100_i8).prop_map(|half| f32::from(half) / 2.0), vec![], text);
    let array = cast(&halves.array, &DataType::Float16).unwrap();
    check(&Column { array, ..halves }, Bytes::AreTheServers).await;
    for sql_type in ["bigint", "text", "numeric(5,2)", "integer[]", "interval", "jsonb", "bit(3)"] {
        let column = Column { sql_type, array: Arc::new(NullArray::new(3)), literals: vec![None; 3] };
        check(&column, Bytes::AreTheServers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floats() {
    let doubles =
        vec![0.0, -0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.1];
    let singles = vec![0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.1];
    let double = |value: &f64| match value {
        value if value.is_finite() => quoted(&format!("{value:e}")),
        value => text(value),
    };
    let single = |value: &f32| match value {
        value if value.is_finite() => quoted(&format!("{value:e}")),
        value => text(value),
    };
    let any_double = proptest::num::f64::POSITIVE | proptest::num::f64::NEGATIVE | proptest::num::f64::SUBNORMAL;
    let any_single = proptest::num::f32::POSITIVE | proptest::num::f32::NEGATIVE | proptest::num::f32::SUBNORMAL;
    check(&of::<_, Float64Array>("double precision", any_double, doubles.clone(), double), Bytes::AreTheServers).await;
    check(&of::<_, Float32Array>("real", any_single, singles.clone(), single), Bytes::AreTheServers).await;
    check(&of::<_, Float64Array>("numeric", any_double, doubles, double), Bytes::AreTheServers).await;
    check(&of::<_, Float32Array>("numeric", any_single, singles, single), Bytes::AreTheServers).await;
    let cents = || (-99_999_999..=99_999_999_i64).prop_map(|cents| cents as f64 / 100.0);
    check(&of::<_, Float64Array>("numeric(10,2)", cents(), vec![0.0], double), Bytes::Differ).await;
}

fn decimal_text(digits: &str, scale: usize) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    quoted(&if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals() {
    let edges = [0, 1, -1, 100_000_001, 10_000, 100_000_000, 99_999_999_999, 12_340_000];
    let decimal = |sql_type, precision: u8, scale: i8| {
        let limit = 10_i128.pow(precision.into()) - 1;
        let mut edges: Vec<i128> = edges.iter().copied().filter(|edge| *edge <= limit).collect();
        edges.extend([limit, -limit]);
        // Small ones and ones with zero digit groups are rare otherwise.
        let zeros = (0..4_u32).prop_map(|groups| 10_i128.pow(4 * groups));
        let values = (-limit..=limit, zeros).prop_map(|(value, zeros)| value / zeros * zeros);
        let mut column = of::<_, Decimal128Array>(sql_type, values, edges, |value| {
            decimal_text(&value.to_string(), usize::try_from(scale).unwrap())
        });
        let array = column.array.as_primitive::<Decimal128Type>().clone();
        column.array = Arc::new(array.with_precision_and_scale(precision, scale).unwrap());
        column
    };
    for column in [
        decimal("numeric", 38, 0),
        decimal("numeric", 38, 8),
        decimal("numeric", 38, 38),
        decimal("numeric(10,2)", 10, 2),
        decimal("numeric(38,7)", 38, 7),
        decimal("numeric(50,9)", 38, 9),
        decimal("numeric(20,6)", 12, 6),
    ] {
        check(&column, Bytes::AreTheServers).await;
        // The same as other decimals of that scale, where these have room.
        let DataType::Decimal128(precision, scale) = *column.array.data_type() else { panic!("another type") };
        for to in [DataType::Decimal256(76, scale), DataType::Decimal64(18, scale), DataType::Decimal32(9, scale)] {
            let strict = CastOptions { safe: false, ..Default::default() };
            if precision <= 12
                && let Ok(array) = cast_with_options(&column.array, &to, &strict)
            {
                let (sql_type, literals) = (column.sql_type, column.literals.clone());
                check(&Column { sql_type, array, literals }, Bytes::AreTheServers).await;
            }
        }
    }
    check(&of::<_, UInt64Array>("numeric", any::<u64>(), vec![u64::MAX, 0], text), Bytes::AreTheServers).await;
    check(&of::<_, UInt64Array>("numeric(20,0)", any::<u64>(), vec![u64::MAX, 0], text), Bytes::AreTheServers).await;
    check(&of::<_, Int64Array>("numeric(25,3)", any::<i64>(), vec![i64::MIN], text), Bytes::Differ).await;
    check(&of::<_, Int32Array>("numeric(9,2)", -9_999_999..=9_999_999_i32, vec![0], text), Bytes::AreTheServers).await;
    let wide = "-?[1-9][0-9]{0,75}";
    let parse = |text: &String| i256::from_string(text).unwrap();
    let edges = vec!["0".to_owned(), "9".repeat(76), format!("-{}", "9".repeat(76)), format!("1{}", "0".repeat(75))];
    for scale in [0_i8, 5, 76] {
        let mut column = of::<_, StringArray>("numeric", wide, edges.clone(), |digits| {
            decimal_text(digits, usize::try_from(scale).unwrap())
        });
        let digits = column.array.as_string::<i32>();
        let array: Decimal256Array = digits.iter().map(|text| text.map(|text| parse(&text.to_owned()))).collect();
        column.array = Arc::new(array.with_precision_and_scale(76, scale).unwrap());
        check(&column, Bytes::AreTheServers).await;
    }
    let texts = "-?[0-9]{1,60}(\\.[0-9]{1,60})?(e-?[0-9]{1,2})?";
    let edges = ["NaN", "Infinity", "-Infinity", "0e0", ".5", "5.", "-0.00", "1e100", "1e-100"].map(str::to_owned);
    check(&of::<_, StringArray>("numeric", texts, edges.to_vec(), text), Bytes::AreTheServers).await;
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\0]{0,40}", "[a-z]{0,12}", "\\PC{0,300}"]
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_bytes() {
    let edges =
        || vec![String::new(), "'".into(), "\\".into(), "ä€😀".into(), "x".repeat(100_000), "\u{10FFFF}".into()];
    let texts = || of::<_, StringArray>("text", any_text(), edges(), |value| quoted(value));
    check(&texts(), Bytes::AreTheServers).await;
    for to in
        [DataType::LargeUtf8, DataType::Utf8View, DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into())]
    {
        let mut column = texts();
        column.array = cast(&column.array, &to).unwrap();
        check(&column, Bytes::AreTheServers).await;
    }
    let short = || "[a-zäöü€]{0,20}";
    check(&of::<_, StringArray>("varchar(20)", short(), vec![], |value| quoted(value)), Bytes::AreTheServers).await;
    check(&of::<_, StringViewArray>("citext", short(), vec![], |value| quoted(value)), Bytes::AreTheServers).await;
    check(&of::<_, StringArray>("name", short(), vec!["n".repeat(63)], |value| quoted(value)), Bytes::AreTheServers)
        .await;
    // The server pads them.
    let padded = of::<_, StringArray>("char(3)", "[a-z]{3}", vec![], |value| quoted(value));
    check(&padded, Bytes::AreTheServers).await;
    let hex = |bytes: &Vec<u8>| format!("'\\x{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let any_bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let blobs = || vec![vec![], vec![0], vec![255; 70_000]];
    check(&of::<_, BinaryArray>("bytea", any_bytes(), blobs(), hex), Bytes::AreTheServers).await;
    check(&of::<_, LargeBinaryArray>("bytea", any_bytes(), blobs(), hex), Bytes::AreTheServers).await;
    check(&of::<_, BinaryViewArray>("bytea", any_bytes(), blobs(), hex), Bytes::AreTheServers).await;
    let mut fixed = of::<_, BinaryArray>("bytea", proptest::collection::vec(any::<u8>(), 7..=7), vec![], hex);
    fixed.array = cast(&fixed.array, &DataType::FixedSizeBinary(7)).unwrap();
    check(&fixed, Bytes::AreTheServers).await;
    let mut uuids = of::<_, BinaryArray>("uuid", proptest::collection::vec(any::<u8>(), 16..=16), vec![], |bytes| {
        quoted(&uuid::Uuid::from_slice(bytes).unwrap().to_string())
    });
    uuids.array = cast(&uuids.array, &DataType::FixedSizeBinary(16)).unwrap();
    check(&uuids, Bytes::AreTheServers).await;
    let uuid = any::<u128>().prop_map(|value| uuid::Uuid::from_u128(value).to_string());
    check(&of::<_, StringViewArray>("uuid", uuid, vec![], |value| quoted(value)), Bytes::AreTheServers).await;
}

const DAY: i64 = 86_400_000_000;

fn timestamp(micros: i64) -> String {
    format!(
        "('1970-01-01'::timestamp + make_interval(days => {}) + '{} microseconds'::interval)",
        micros.div_euclid(DAY),
        micros.rem_euclid(DAY)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_times() {
    // From 4713 BC to 5874897, and the years 1 and 4, which was a leap year.
    let days = vec![-2_440_588, 2_145_042_905, 0, -1, 10_957, 19_782, -719_162, -719_163, -718_008];
    let date = |days: &i32| format!("('1970-01-01'::date + {days})");
    check(&of::<_, Date32Array>("date", -800_000..3_000_000, days, date), Bytes::AreTheServers).await;
    let mut millis =
        of::<_, Date64Array>("date", (-1_000..30_000_i64).prop_map(|day| day * 86_400_000), vec![], |millis| {
            date(&i32::try_from(millis / 86_400_000).unwrap())
        });
    millis.array = Arc::new(millis.array.as_primitive::<Date64Type>().clone());
    check(&millis, Bytes::AreTheServers).await;

    let time = |micros: &i64| format!("('00:00'::time + '{micros} microseconds'::interval)");
    check(&of::<_, Time64MicrosecondArray>("time", 0..DAY, vec![0, DAY - 1], time), Bytes::AreTheServers).await;
    let seconds = of::<_, Time32SecondArray>("time", 0..86_400_i32, vec![], |s| time(&(i64::from(*s) * 1_000_000)));
    check(&seconds, Bytes::AreTheServers).await;
    let millis =
        of::<_, Time32MillisecondArray>("time(3)", 0..86_400_000_i32, vec![], |ms| time(&(i64::from(*ms) * 1_000)));
    check(&millis, Bytes::AreTheServers).await;
    let nanos =
        of::<_, Time64NanosecondArray>("time", (0..DAY).prop_map(|us| us * 1_000), vec![], |ns| time(&(ns / 1_000)));
    check(&nanos, Bytes::AreTheServers).await;
    let zones =
        of::<_, Time64MicrosecondArray>("timetz", 0..DAY, vec![0], |us| format!("({} AT TIME ZONE 'UTC')", time(us)));
    check(&zones, Bytes::Differ).await;
    let zones = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,5}[1-9])?[+-](0[0-9]|1[0-5]):[0-5][1-9]";
    check(&of::<_, StringViewArray>("timetz", zones, vec!["12:34:56+02".into()], text), Bytes::AreTheServers).await;

    // 4713 BC; 294247, where Arrow ends; 29 February; the last microsecond before the epoch.
    let edges = vec![-210_866_803_200_000_000, i64::MAX - 1, 1_709_164_800_000_000, -1, 0, -62_135_596_800_000_000];
    let any = || -62_200_000_000_000_000..10_000_000_000_000_000_i64;
    let stamps = of::<_, TimestampMicrosecondArray>("timestamp", any(), edges.clone(), |us| timestamp(*us));
    check(&stamps, Bytes::AreTheServers).await;
    let mut zoned = of::<_, TimestampMicrosecondArray>("timestamptz", any(), edges, |us| {
        format!("({} AT TIME ZONE 'UTC')", timestamp(*us))
    });
    let plain = zoned.array.as_primitive::<TimestampMicrosecondType>().clone();
    for zone in ["UTC", "+05:30", "America/New_York"] {
        zoned.array = Arc::new(plain.clone().with_timezone(zone));
        check(&zoned, Bytes::AreTheServers).await;
    }
    let seconds = of::<_, TimestampSecondArray>("timestamp(0)", -60_000_000_000..200_000_000_000_i64, vec![], |s| {
        timestamp(s * 1_000_000)
    });
    check(&seconds, Bytes::AreTheServers).await;
    let millis = of::<_, TimestampMillisecondArray>(
        "timestamp(3)",
        -60_000_000_000_000..200_000_000_000_000_i64,
        vec![],
        |ms| timestamp(ms * 1_000),
    );
    check(&millis, Bytes::AreTheServers).await;
    let nanos = of::<_, TimestampNanosecondArray>(
        "timestamp",
        (i64::MIN / 1_000..=i64::MAX / 1_000).prop_map(|us| us * 1_000),
        vec![],
        |ns| timestamp(ns / 1_000),
    );
    check(&nanos, Bytes::AreTheServers).await;
}

fn interval(months: i32, days: i32, micros: i64) -> String {
    quoted(&format!("{months} months {days} days {micros} microseconds"))
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals() {
    let parts = (any::<i32>(), any::<i32>(), -9_000_000_000_000_000..=9_000_000_000_000_000_i64);
    let values = parts.prop_map(|(months, days, micros)| IntervalMonthDayNano::new(months, days, micros * 1_000));
    let edges = vec![
        IntervalMonthDayNano::new(0, 0, 0),
        IntervalMonthDayNano::new(-1, 1, -1_000),
        IntervalMonthDayNano::new(13, -40, 86_400_000_000_000),
    ];
    let literal = |value: &IntervalMonthDayNano| interval(value.months, value.days, value.nanoseconds / 1_000);
    check(&of::<_, IntervalMonthDayNanoArray>("interval", values, edges, literal), Bytes::AreTheServers).await;
    let months =
        of::<_, IntervalYearMonthArray>("interval", any::<i32>(), vec![0, -1], |months| interval(*months, 0, 0));
    check(&months, Bytes::AreTheServers).await;
    let years = (-1_000..1_000).prop_map(|years| years * 12);
    let years = of::<_, IntervalYearMonthArray>("interval year", years, vec![], |months| interval(*months, 0, 0));
    check(&years, Bytes::AreTheServers).await;
    let values = (any::<i32>(), any::<i32>()).prop_map(|(days, millis)| IntervalDayTime::new(days, millis));
    let literal = |value: &IntervalDayTime| interval(0, value.days, i64::from(value.milliseconds) * 1_000);
    check(&of::<_, IntervalDayTimeArray>("interval", values, vec![], literal), Bytes::AreTheServers).await;
    let any = || -9_000_000_000..9_000_000_000_i64;
    for column in [
        of::<_, DurationSecondArray>("interval", any(), vec![0], |s| interval(0, 0, s * 1_000_000)),
        of::<_, DurationMillisecondArray>("interval", any(), vec![0], |ms| interval(0, 0, ms * 1_000)),
        of::<_, DurationMicrosecondArray>("interval", any(), vec![0], |us| interval(0, 0, *us)),
        of::<_, DurationNanosecondArray>("interval", any().prop_map(|us| us * 1_000), vec![0], |ns| {
            interval(0, 0, ns / 1_000)
        }),
    ] {
        check(&column, Bytes::AreTheServers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_other_types() {
    let v4 = || any::<[u8; 4]>().prop_map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    let v6 = || any::<[u8; 16]>().prop_map(|bytes| std::net::Ipv6Addr::from(bytes).to_string());
    let with_bits = (v4(), 0..=31_u8).prop_map(|(address, bits)| format!("{address}/{bits}"));
    for column in [
        of::<_, StringViewArray>("inet", v4(), vec!["0.0.0.0/0".into()], text),
        of::<_, StringViewArray>("inet", v6(), vec!["::1".into(), "fe80::1/64".into()], text),
        of::<_, StringViewArray>("inet", with_bits, vec![], text),
        of::<_, StringViewArray>(
            "cidr",
            (any::<u16>()).prop_map(|net| format!("10.{}.0.0/16", net % 256)),
            vec![],
            text,
        ),
        of::<_, StringViewArray>("macaddr", "([0-9a-f]{2}:){5}[0-9a-f]{2}", vec![], text),
        of::<_, StringViewArray>("macaddr8", "([0-9a-f]{2}:){7}[0-9a-f]{2}", vec![], text),
        of::<_, StringArray>("json", "\\{\"a\": [0-9], \"b\": \"[a-zäö]{0,9}\"\\}", vec![" [1,  2] ".into()], text),
    ] {
        check(&column, Bytes::AreTheServers).await;
    }
    for column in [
        of::<_, StringArray>("jsonb", "\\{\"b\": [0-9], \"a\": \"[a-zäö]{0,9}\"\\}", vec!["[1.00]".into()], text),
        // Types whose binary form only the server knows.
        of::<_, StringArray>("bit(4)", "[01]{4}", vec![], text),
        of::<_, StringViewArray>("varbit", "[01]{0,40}", vec![], text),
        of::<_, StringArray>("money", "-?[0-9]{1,9}\\.[0-9]{2}", vec![], text),
        of::<_, StringArray>("int4range", "\\[[1-4],[5-9]\\)", vec!["empty".into()], text),
        of::<_, StringArray>("point", "\\([0-9],[0-9]\\)", vec![], text),
        of::<_, StringArray>("tsvector", "'[a-z]{1,9}'", vec![], text),
        of::<_, StringArray>("point[]", "\\{\"\\([0-9],[0-9]\\)\"\\}", vec![], text),
    ] {
        // They are read as texts of the server, which are not always the texts that came.
        let column = Column { array: cast(&column.array, &DataType::Utf8View).unwrap(), ..column };
        let server = Postgres::new(&format!("CREATE TABLE t (v {0}); CREATE TABLE e (v {0})", column.sql_type));
        server.register("t", "", "").await.unwrap();
        let batch = RecordBatch::try_from_iter([("v", Arc::clone(&column.array))]).unwrap();
        let frame = server.context.read_batch(batch).unwrap();
        frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap();
        let rows: Vec<_> =
            column.literals.iter().map(|literal| format!("({})", literal.as_deref().unwrap_or("NULL"))).collect();
        let mut client = sqlx::PgConnection::connect(&server.url()).await.unwrap();
        let insert = format!("INSERT INTO e SELECT v::{} FROM (VALUES {}) x (v)", column.sql_type, rows.join(","));
        sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut client).await.unwrap();
        let sorted = |table| server.rows(&format!("SELECT v::text FROM {table} ORDER BY v::text COLLATE \"C\""));
        assert_eq!(sorted("t"), sorted("e"), "{}", column.sql_type);
        let mut read = server.read("SELECT v FROM t").await;
        read.sort_by_key(|value| (value == "NULL", value.clone()));
        let mut shown = sorted("t");
        shown.sort_by_key(|value| (value == "NULL", value.clone()));
        assert_eq!(read, shown, "{}", column.sql_type);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn enums_domains_and_hstore() {
    let server = Postgres::new(
        "CREATE TYPE mood AS ENUM ('sad', 'so so', 'glücklich'); \
         CREATE DOMAIN cents AS numeric(10,2) CHECK (VALUE >= 0); CREATE DOMAIN sure AS cents NOT NULL; \
         CREATE TABLE t (m mood, c cents, s sure, h hstore, ms mood[], cs cents[])",
    );
    server.register("t", "", "").await.unwrap();
    server
        .sql(
            "INSERT INTO t VALUES ('so so', 1.5, 2.25, MAP {'a': '1', 'b': NULL}, ['sad', NULL], [1.5]), \
              (NULL, NULL, 0, MAP {}, NULL, [])",
        )
        .await
        .unwrap();
    let rows = ["so so|1.50|2.25|\"a\"=>\"1\", \"b\"=>NULL|{sad,NULL}|{1.50}", "NULL|NULL|0.00||NULL|{}"];
    assert_eq!(server.rows("SELECT * FROM t"), rows);
    let read = ["so so|1.50|2.25|{a: 1, b: NULL}|[sad, NULL]|[1.50]", "NULL|NULL|0.00|{}|NULL|[]"];
    assert_eq!(server.read("SELECT * FROM t").await, read);
    says(
        &server.error("INSERT INTO t (m, s) VALUES ('sad', 1), ('angry', 1)").await,
        &["row 2", "\"m\"", "mood", "angry"],
    );
    says(&server.error("INSERT INTO t (c, s) VALUES (-1, 1)").await, &["row 1", "cents"]);
    says(&server.error("INSERT INTO t (m, s) VALUES ('sad', NULL)").await, &["row 1", "\"s\"", "NULL"]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["2"]);
}

fn lists() -> ListArray {
    ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None, Some(-3)]),
        Some(vec![]),
        None,
        Some(vec![None]),
        Some((0..1_000).map(Some).collect()),
    ])
}

/// Lists of lists of so many items each, from the items of [`lists`].
fn matrix(rows: &[(usize, usize)]) -> ListArray {
    let items: usize = rows.iter().map(|(a, b)| a * b).sum();
    let values: ArrayRef =
        Arc::new(Int32Array::from_iter((0..items as i32).map(|item| (item % 3 != 1).then_some(item))));
    let inner = rows.iter().flat_map(|(a, b)| std::iter::repeat_n(*b, *a));
    let item = |t: &DataType| Arc::new(Field::new("item", t.clone(), true));
    let inner = ListArray::new(item(values.data_type()), OffsetBuffer::from_lengths(inner), values, None);
    let outer = OffsetBuffer::from_lengths(rows.iter().map(|(a, _)| *a));
    ListArray::new(item(inner.data_type()), outer, Arc::new(inner), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays() {
    let literals = || {
        let long = (0..1_000).map(|item| item.to_string()).collect::<Vec<_>>().join(",");
        [
            Some("'{1,NULL,-3}'".to_owned()),
            Some("'{}'".into()),
            None,
            Some("'{NULL}'".into()),
            Some(format!("'{{{long}}}'")),
        ]
        .to_vec()
    };
    let column = |array: ArrayRef| Column { sql_type: "integer[]", array, literals: literals() };
    let list: ArrayRef = Arc::new(lists());
    let item = || Arc::new(Field::new("item", DataType::Int32, true));
    for to in [
        list.data_type().clone(),
        DataType::LargeList(item()),
        DataType::ListView(item()),
        DataType::LargeListView(item()),
        DataType::List(Arc::new(Field::new("item", DataType::Int64, true))),
    ] {
        // Whether an array has NULLs is said for all of a batch.
        check(&column(cast(&list, &to).unwrap()), Bytes::Differ).await;
    }
    // A slice has the items of the whole behind it.
    let mut sliced = column(list.slice(1, 3));
    sliced.literals = literals()[1..4].to_vec();
    check(&sliced, Bytes::Differ).await;
    let fixed = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(
        vec![Some(vec![Some(1.5), None]), None, Some(vec![Some(f64::NAN), Some(0.0)])],
        2,
    );
    let literals = ["'{1.5,NULL}'", "", "'{NaN,0}'"].map(|text| (!text.is_empty()).then(|| text.to_owned()));
    check(&Column { sql_type: "float8[]", array: Arc::new(fixed), literals: literals.to_vec() }, Bytes::Differ).await;

    let text = |list: &[(usize, usize)]| -> Vec<Option<String>> {
        let mut item = 0..;
        let row = |a: usize, b: usize, item: &mut dyn Iterator<Item = i32>| {
            let rows = (0..a).map(|_| {
                let items = item.take(b).map(|item| if item % 3 == 1 { "NULL".into() } else { item.to_string() });
                format!("{{{}}}", items.collect::<Vec<String>>().join(","))
            });
            format!("'{{{}}}'", rows.collect::<Vec<_>>().join(","))
        };
        list.iter().map(|(a, b)| Some(row(*a, *b, &mut item))).collect()
    };
    let shape = [(2, 3), (1, 1), (0, 0), (4, 2)];
    let array: ArrayRef = Arc::new(matrix(&shape));
    check(&Column { sql_type: "int4[][]", array, literals: text(&shape) }, Bytes::Differ).await;

    let server = Postgres::new("CREATE TABLE t (v integer[]); INSERT INTO t VALUES ('{{1,2},{3,4}}')");
    server.register("t", "", "").await.unwrap();
    says(
        &server.error("SELECT v FROM t").await,
        &["\"v\"", "row 1", "2 dimensions", "list the columns", "declare this column as [][]"],
    );
    for (array, why) in [(vec![2_usize, 1], "different lengths"), (vec![0, 0], "an empty inner list")] {
        let items: usize = array.iter().sum();
        let inner =
            ListArray::new(item(), OffsetBuffer::from_lengths(array), Arc::new(Int32Array::from(vec![0; items])), None);
        let outer = Arc::new(Field::new("item", inner.data_type().clone(), true));
        let ragged: ArrayRef = Arc::new(ListArray::new(outer, OffsetBuffer::from_lengths([2]), Arc::new(inner), None));
        let frame = server.context.read_batch(RecordBatch::try_from_iter([("v", ragged)]).unwrap()).unwrap();
        let error = frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap_err();
        says(&error.to_string(), &["row 1, column \"v\"", why]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_values_are_json() {
    let server = Postgres::new("");
    server
        .register("t", "(id BIGINT, v STRUCT<a DECIMAL(10,2), \"b c\" VARCHAR, d DATE>, l STRUCT<x INT>[])", "")
        .await
        .unwrap();
    server
        .sql("INSERT INTO t VALUES (1, {'a': 1.50, 'b c': 'x\"y', 'd': DATE '2024-02-29'}, [{'x': 1}, NULL]), (2, NULL, [])")
        .await
        .unwrap();
    let types = "SELECT string_agg(data_type, ' ' ORDER BY ordinal_position) FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = 't'";
    assert_eq!(server.rows(types), ["bigint jsonb jsonb"]);
    let seen = "SELECT v ->> 'a', v ->> 'b c', v ->> 'd', l -> 0 ->> 'x' FROM t ORDER BY id";
    assert_eq!(server.rows(seen), ["1.50|x\"y|2024-02-29|1", "NULL|NULL|NULL|NULL"]);
    let read = server.read("SELECT v['a'], v['d'], l FROM t ORDER BY id").await;
    assert_eq!(read, ["1.50|2024-02-29|[{x: 1}, NULL]", "NULL|NULL|[]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_named_and_nothing_is_written() {
    let cases: Vec<(&str, ArrayRef, &[&str])> = vec![
        ("text", Arc::new(StringArray::from(vec!["ok", "a\0b"])), &["row 2", "\"v\"", "text", "NUL"]),
        ("text", Arc::new(StringViewArray::from(vec!["ok", "0123456789012\0"])), &["row 2", "NUL"]),
        (
            "varchar(3)",
            Arc::new(StringArray::from(vec!["äöü", "abc "])),
            &["row 2", "varying(3)", "'abc '", "3 characters"],
        ),
        ("char(3)", Arc::new(StringArray::from(vec!["abc", "abcd"])), &["row 2", "character(3)", "'abcd'"]),
        ("numeric(5,2)", Arc::new(Int64Array::from(vec![999, 1000])), &["row 2", "numeric(5,2)", "1000"]),
        (
            "numeric(5,2)",
            Arc::new(Float64Array::from(vec![0.125, 0.001])),
            &["row 2", "0.001", "would be rounded to 0"],
        ),
        (
            "numeric(5,2)",
            Arc::new(Decimal128Array::from(vec![1_230, 1_234]).with_precision_and_scale(6, 3).unwrap()),
            &["row 2", "1.234"],
        ),
        ("smallint", Arc::new(Int32Array::from(vec![1, 40_000])), &["row 2", "smallint", "40000"]),
        ("real", Arc::new(Float64Array::from(vec![0.1, 1e300])), &["row 2", "real", "1e300", "out of range"]),
        ("date", Arc::new(Date32Array::from(vec![0, i32::MAX])), &["row 2", "date", "outside the range"]),
        ("date", Arc::new(Date32Array::from(vec![0, i32::MIN + 10_957])), &["row 2", "date", "outside the range"]),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0, i64::MIN])), &["row 2", "timestamp", "outside"]),
        ("timestamp", Arc::new(TimestampSecondArray::from(vec![0, i64::MAX])), &["row 2", "timestamp"]),
        ("timestamp", Arc::new(TimestampNanosecondArray::from(vec![0, 1])), &["row 2", "does not fit Timestamp(µs)"]),
        (
            "timestamp(3)",
            Arc::new(TimestampMicrosecondArray::from(vec![1_000, 1])),
            &["row 2", "the 3 that the column stores"],
        ),
        ("time", Arc::new(Time32SecondArray::from(vec![0, 86_400])), &["row 2", "not a time of day"]),
        (
            "interval",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                IntervalMonthDayNano::new(0, 0, 0),
                IntervalMonthDayNano::new(0, 0, 1),
            ])),
            &["row 2", "nanoseconds"],
        ),
        ("interval year", Arc::new(IntervalYearMonthArray::from(vec![12, 13])), &["row 2", "does not store"]),
        (
            "uuid",
            Arc::new(StringArray::from(vec!["67e55044-10b1-426f-9247-bb680e5fe0c8", "67e5"])),
            &["row 2", "'67e5'", "not a UUID"],
        ),
        ("inet", Arc::new(StringArray::from(vec!["1.2.3.4", "1.2.3"])), &["row 2", "'1.2.3'"]),
        ("json", Arc::new(StringArray::from(vec!["{}", "{"])), &["row 2", "json"]),
        ("numeric", Arc::new(StringArray::from(vec!["1", "one"])), &["row 2", "'one'", "not a number"]),
        (
            "integer",
            Arc::new(Date32Array::from(vec![0, 1])),
            &["a value of type Date32 cannot be assigned", "integer", "date_part"],
        ),
    ];
    for (sql_type, array, parts) in cases {
        let server = Postgres::new(&format!("CREATE TABLE t (v {sql_type})"));
        server.register("t", "", "").await.unwrap();
        let frame = server.context.read_batch(RecordBatch::try_from_iter([("v", array)]).unwrap()).unwrap();
        let error = frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap_err();
        says(&error.to_string(), parts);
        assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"], "{sql_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrow_has_not_is_named() {
    let server = Postgres::new(
        "CREATE TABLE t (a date, b timestamp, c time, d numeric, e interval, f numeric(10,2)); \
         INSERT INTO t DEFAULT VALUES; INSERT INTO t VALUES ('infinity', '-infinity', '24:00', 'NaN', '300 years', 'NaN')",
    );
    server.register("t", "", "").await.unwrap();
    for (column, part) in [("a", "infinity"), ("b", "infinity"), ("c", "24:00:00"), ("f", "NaN")] {
        says(&server.error(&format!("SELECT {column} FROM t")).await, &[&format!("\"{column}\""), "row 2 ", part]);
    }
    assert_eq!(server.read("SELECT d FROM t").await, ["NULL", "NaN"]);
    assert_eq!(server.rows("SELECT e FROM t"), ["NULL", "300 years"]);
    let server = Postgres::new("CREATE TABLE t (e interval); INSERT INTO t VALUES ('2600000:00:00')");
    server.register("t", "", "").await.unwrap();
    says(&server.error("SELECT e FROM t").await, &["\"e\"", "beyond Arrow's range"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_pair_is_what_the_code_does() {
    let guide = include_str!("../../../docs/types/postgres.md");
    let rows: Vec<Vec<String>> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(|line| line.trim_end_matches(['|', ' ']).split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let reads = rows.iter().filter(|row| row.len() >= 3 && row[0].starts_with('`'));
    let reads: Vec<_> = reads.map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone())).collect();
    assert!(reads.len() >= 29, "{reads:?}");
    let columns: Vec<_> =
        reads.iter().enumerate().map(|(index, (declared, _))| format!("c{index} {declared}")).collect();
    let server = Postgres::new(&format!("CREATE TABLE t ({})", columns.join(", ")));
    let table = LandfallTable::connect(&server.url(), "t", SinkOptions::new()).await.unwrap();
    use datafusion::catalog::TableProvider;
    for (field, (declared, read)) in table.schema().fields().iter().zip(&reads) {
        let shown = match field.data_type() {
            DataType::Map(_, _) => "Map(Utf8, Utf8)".to_owned(),
            t => t.to_string().replace("nullable ", ""),
        };
        assert_eq!(shown, *read, "{declared}");
    }
    // Created as, for one of each row's Arrow types.
    let made: Vec<_> = rows.iter().filter(|row| row.len() == 2 && row[1].starts_with('`')).collect();
    assert!(made.len() >= 17, "{made:?}");
    let examples: HashMap<&str, DataType> = HashMap::from([
        ("Boolean", DataType::Boolean),
        ("Int8", DataType::Int8),
        ("Int32", DataType::Int32),
        ("Int64", DataType::Int64),
        ("UInt64", DataType::UInt64),
        ("Float16", DataType::Float16),
        ("Float64", DataType::Float64),
        ("Decimal32", DataType::Decimal128(8, 2)),
        ("Utf8", DataType::Utf8),
        ("Binary", DataType::Binary),
        ("Date32", DataType::Date32),
        ("Time32", DataType::Time32(TimeUnit::Second)),
        ("Timestamp", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ("Timestamp with a zone", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
        ("Interval", DataType::Interval(IntervalUnit::DayTime)),
        ("Struct", DataType::Struct(vec![Field::new("a", DataType::Int32, true)].into())),
        ("lists", DataType::new_list(DataType::Int32, true)),
    ]);
    for row in made {
        let first = row[0].split(',').next().unwrap();
        let data_type = examples.get(first).unwrap_or_else(|| panic!("no example for {first}")).clone();
        let table = NewTable {
            name: "made".into(),
            schema: Arc::new(Schema::new(vec![Field::new("v", data_type, true)])),
            primary_key: vec![],
            unique_keys: vec![],
            defaults: HashMap::new(),
        };
        LandfallTable::connect_or_create(&server.url(), table, SinkOptions::new()).await.unwrap();
        let declared = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute \
                        WHERE attrelid = 'made'::regclass AND attnum = 1";
        assert_eq!(server.rows(declared)[0], row[1].split('`').nth(1).unwrap(), "{first}");
        server.rows("DROP TABLE made");
    }
}
