//! What types do not hold, what is made of it, and the tables that Landfall makes itself.

use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::datatypes::*;
use datafusion::dataframe::DataFrameWriteOptions;

use super::MySql;
use super::types::{DAY, WAYS, batch, differing, registered, rows_of, strictly};
use crate::landing::says;

#[tokio::test(flavor = "multi_thread")]
async fn nested_values_are_json() {
    for way in WAYS {
        let server = MySql::new("");
        let columns = "(id BIGINT PRIMARY KEY, v STRUCT<a DECIMAL(10,2), \"b c\" VARCHAR, d DATE>, l STRUCT<x INT>[])";
        server.register("t", columns, way).await.unwrap();
        let rows = "(1, {'a': 1.50, 'b c': 'x\"y\\z''', 'd': DATE '2024-02-29'}, [{'x': 1}, NULL]), (2, NULL, [])";
        server.sql(&format!("INSERT INTO t VALUES {rows}")).await.unwrap();
        let paths = ["v, '$.a'", "v, '$.\"b c\"'", "v, '$.d'", "l, '$[0].x'"];
        let seen = paths.map(|path| format!("JSON_VALUE({path})")).join(", ");
        let seen = server.rows(&format!("SELECT {seen} FROM t ORDER BY id"));
        assert_eq!(seen, ["1.50|x\"y\\\\z'|2024-02-29|1", "NULL|NULL|NULL|NULL"]);
        let read = server.read("SELECT v['a'], v['b c'], v['d'], l FROM t ORDER BY id").await;
        assert_eq!(read, ["1.50|x\"y\\z'|2024-02-29|[{x: 1}, NULL]", "NULL|NULL|NULL|[]"]);
    }
}

/// A column of each type that a table can be created with.
fn of_each_type() -> Vec<ArrayRef> {
    use DataType::*;
    use TimeUnit::*;
    let to = |array: &ArrayRef, types: &[DataType]| types.iter().map(|to| strictly(array, to)).collect::<Vec<_>>();
    let units = [Second, Millisecond, Microsecond, Nanosecond];
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(100), Some(0), Some(86)]));
    let mut arrays = to(&ints, &[Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float16, Float32, Float64]);
    let runs = Arc::new(Field::new("values", Int64, true));
    let runs = RunEndEncoded(Arc::new(Field::new("run_ends", Int32, false)), runs);
    arrays.extend(to(&ints, &[Dictionary(Int8.into(), Int64.into()), runs]));
    arrays.extend(to(&ints, &[Decimal32(9, 2), Decimal64(18, 9), Decimal128(38, 30), Decimal256(65, 30)]));
    let hundreds = Decimal128Array::from_iter([Some(1), None, Some(-99_999), Some(0), Some(5)]);
    arrays.push(Arc::new(hundreds.with_precision_and_scale(5, -2).unwrap()));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("A"), None, Some(""), Some("ü😀\\'\0 ")]));
    arrays.extend(to(&texts, &[Utf8, LargeUtf8, Utf8View, Dictionary(Int8.into(), Utf8.into())]));
    let bytes = [Some([0_u8; 300]), None, Some([255; 300]), Some([9; 300]), Some([92; 300])];
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter(bytes));
    arrays.extend(to(&bytes, &[Binary, LargeBinary, BinaryView, FixedSizeBinary(300)]));
    let uuids = [Some([0_u8; 16]), None, Some([255; 16]), Some([9; 16]), Some([92; 16])];
    arrays.push(strictly(&(Arc::new(BinaryArray::from_iter(uuids)) as ArrayRef), &FixedSizeBinary(16)));
    let days = strictly(&strictly(&ints, &Int32), &Date32);
    arrays.extend([strictly(&days, &Date64), days]);
    let seconds = strictly(&strictly(&ints, &Int32), &Time32(Second));
    arrays.extend(to(&seconds, &[Time32(Second), Time32(Millisecond), Time64(Microsecond), Time64(Nanosecond)]));
    arrays.extend(to(&strictly(&ints, &Duration(Second)), &units.map(Duration)));
    arrays.extend(to(&strictly(&ints, &Timestamp(Second, None)), &units.map(|unit| Timestamp(unit, None))));
    // Between what a timestamp of the server begins and ends with.
    let later: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(100), Some(2_147_483_647), Some(86)]));
    let seconds = strictly(&later, &Timestamp(Second, Some("UTC".into())));
    arrays.extend(to(&seconds, &units.map(|unit| Timestamp(unit, Some("+02:00".into())))));
    arrays.push(Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), Some(true)])));

    let pairs = [
        Some(vec![Some(1), None]),
        None,
        Some(vec![Some(-1), Some(7)]),
        Some(vec![None, None]),
        Some(vec![Some(3); 2]),
    ];
    arrays.push(Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(pairs.clone(), 2)));
    let lists = pairs.into_iter().map(|pair| pair.map(|pair| pair.into_iter().filter(|item| *item != Some(3))));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
    let item = || Arc::new(Field::new_list_field(Int32, true));
    arrays.extend(to(&lists, &[List(item()), LargeList(item()), ListView(item()), LargeListView(item())]));
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for entries in [&[("k", Some(1)), ("ü\"\\", None)][..], &[], &[("", Some(i64::MIN))], &[("x", None)], &[]] {
        for (key, value) in entries {
            map.keys().append_value(key);
            map.values().append_option(*value);
        }
        map.append(true).unwrap();
    }
    arrays.push(Arc::new(map.finish()));
    let parts = [ints, texts, lists].into_iter().enumerate();
    let parts = parts.map(|(n, part)| (Arc::new(Field::new(format!("p {n}"), part.data_type().clone(), true)), part));
    arrays.push(Arc::new(StructArray::from(parts.collect::<Vec<_>>())));
    arrays
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_landfall_hold_every_arrow_type() {
    let batch = batch(of_each_type());
    for way in WAYS {
        let server = MySql::new("");
        let made = registered(&server, "landed", &batch.schema()).await;
        server.context.register_table("as_written", Arc::new(made)).unwrap();
        server.register("landed", "", way).await.unwrap();
        let frame = server.context.read_batch(batch.clone()).unwrap();
        frame.write_table("landed", DataFrameWriteOptions::new()).await.unwrap();
        let read = rows_of(&server, "as_written").await;
        for (read, written) in read.columns().iter().zip(batch.columns()) {
            assert_eq!(read.data_type(), written.data_type());
            assert_eq!(differing(read, written), None, "{way}: {read:?} instead of {written:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_tables_of_landfall_are_compared_byte_by_byte() {
    for way in WAYS {
        let server = MySql::new("");
        server.register("t", "(k VARCHAR, b BYTEA, n INT, PRIMARY KEY (k, b))", way).await.unwrap();
        let keys = ["a", "A", "a ", "a  ", "á", "a\t", "", " ", "ß", "ss", "😀", "😁"];
        let rows = keys.iter().enumerate().map(|(n, key)| format!("('{key}', X'61', {n}), ('{key}', X'6120', {n})"));
        let rows = rows.collect::<Vec<_>>().join(", ");
        server.sql(&format!("INSERT INTO t VALUES {rows}")).await.unwrap();
        assert_eq!(server.rows("SELECT count(*) FROM t"), [(2 * keys.len()).to_string()], "{way}");
        for (n, key) in keys.iter().enumerate() {
            let read = server.read(&format!("SELECT n FROM t WHERE k = '{key}' AND b = X'61'")).await;
            assert_eq!(read, [n.to_string()], "{key:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_are_the_servers() {
    let server = MySql::new("");
    // Or a timestamp with a zone has none.
    server.sql("SET datafusion.execution.time_zone = '+00:00'").await.unwrap();
    let columns = "(id BIGINT PRIMARY KEY, n INT DEFAULT -7, price DECIMAL(10,2) DEFAULT 0.10, \
                   day DATE DEFAULT '2020-02-29', note VARCHAR DEFAULT 'it''s \\n ', ok BOOLEAN DEFAULT true, \
                   at TIMESTAMP DEFAULT '2020-01-01 12:34:56.5', \
                   z TIMESTAMP WITH TIME ZONE DEFAULT '2020-01-01T00:00:00+01:00', b BYTEA DEFAULT X'005c27ff', \
                   d DOUBLE DEFAULT 1e-7, t TIME DEFAULT '12:34:56', x INT DEFAULT NULL)";
    for name in ["t", "same"] {
        server.register(name, columns, "'table' 't', 'on_conflict' 'ignore'").await.unwrap();
        server.sql(&format!("INSERT INTO {name} (id) VALUES (1), (2)")).await.unwrap();
    }
    let row =
        "1|-7|0.10|2020-02-29|it's \\n |true|2020-01-01T12:34:56.500|2019-12-31T23:00:00Z|005c27ff|1e-7|12:34:56|NULL";
    assert_eq!(server.read("SELECT * FROM t WHERE id = 1").await, [row]);
    let row = "-7|0.10|2020-02-29|69742773205C6E20|1|2020-01-01 12:34:56.500000|2019-12-31 23:00:00.000000|005C27FF|0.0000001|12:34:56.000000";
    assert_eq!(server.rows("SELECT n, price, day, HEX(note), ok, at, z, HEX(b), d, t FROM t WHERE id = 2"), [row]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_named_and_nothing_is_written() {
    let ints = |good: i64, bad: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![good, bad])) };
    let texts = |good: &str, bad: &str| -> ArrayRef { Arc::new(StringArray::from(vec![good, bad])) };
    let blobs = |good: &[u8], bad: &[u8]| -> ArrayRef { Arc::new(BinaryArray::from_vec(vec![good, bad])) };
    let doubles = |good: f64, bad: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![good, bad])) };
    let stamps = |good: i64, bad: i64| TimestampMicrosecondArray::from(vec![good, bad]);
    let zoned = |good: i64, bad: i64| -> ArrayRef { Arc::new(stamps(good, bad).with_timezone("UTC")) };
    let cents = Decimal128Array::from(vec![99_999, 100_000]).with_precision_and_scale(10, 2).unwrap();
    let mills = Decimal128Array::from(vec![1_230, 1_234]).with_precision_and_scale(6, 3).unwrap();
    let wide = |bytes: usize| "ä".repeat(bytes / 2);
    let mut cases: Vec<Misfit> = vec![
        ("tinyint", ints(127, 128), &["128", "does not fit Int8"]),
        ("tinyint", ints(-128, -129), &["-129"]),
        ("tinyint(1)", ints(-128, 128), &["128"]),
        ("tinyint unsigned", ints(255, 256), &["256"]),
        ("tinyint unsigned", ints(0, -1), &["-1"]),
        ("smallint", ints(-32_768, -32_769), &["-32769"]),
        ("smallint unsigned", ints(65_535, 65_536), &["65536"]),
        ("mediumint", ints(0x7f_ffff, 0x80_0000), &["8388608", "MEDIUMINT"]),
        ("mediumint", ints(-0x80_0000, -0x80_0001), &["-8388609", "MEDIUMINT"]),
        ("mediumint unsigned", ints(0xff_ffff, 0x100_0000), &["16777216", "MEDIUMINT"]),
        ("mediumint unsigned", ints(0, -1), &["-1"]),
        ("int", ints(0x7fff_ffff, 0x8000_0000), &["2147483648"]),
        ("int unsigned", ints(0xffff_ffff, 0x1_0000_0000), &["4294967296"]),
        ("bigint", Arc::new(UInt64Array::from(vec![0, 1 << 63])), &["9223372036854775808"]),
        ("bigint unsigned", ints(i64::MAX, i64::MIN), &["-9223372036854775808"]),
        ("int", doubles(2.0, 1.5), &["1.5"]),
        ("bit(3)", ints(7, 8), &["value 8", "3 bits"]),
        ("bit(1)", ints(1, 2), &["value 2", "neither 0 nor 1"]),
        ("bit(64)", ints(1, -1), &["-1"]),
        ("decimal(5,2)", ints(999, 1_000), &["1000"]),
        ("decimal(5,2)", doubles(0.125, 0.001), &["0.001", "would be rounded to 0"]),
        ("decimal(5,2)", Arc::new(cents), &["1000.00"]),
        ("decimal(5,2)", Arc::new(mills), &["1.234"]),
        ("float", doubles(0.1, 1e300), &["1e300", "out of range"]),
        ("float", ints(1 << 24, (1 << 24) + 1), &["16777217"]),
        ("double", doubles(0.5, f64::NAN), &["NaN", "not finite"]),
        ("double", doubles(0.5, f64::NEG_INFINITY), &["-inf", "not finite"]),
        ("float", Arc::new(Float32Array::from(vec![0.5, f32::INFINITY])), &["inf", "not finite"]),
        ("decimal(5,2)", doubles(0.5, f64::NAN), &["NaN"]),
        ("year", ints(1970, 70), &["70", "not a year"]),
        ("year", ints(1901, 1900), &["1900", "not a year"]),
        ("year", ints(2155, 2156), &["2156", "not a year"]),
        ("year", ints(0, -1), &["-1"]),
        ("varchar(3)", texts("äö😀", "abcd"), &["'abcd'", "3 characters"]),
        ("varchar(3)", texts("abc", "abc "), &["'abc '", "3 characters"]),
        ("char(3)", texts("abc", "abcd"), &["'abcd'", "3 characters"]),
        ("char(3)", texts("abc", "ab "), &["'ab '", "a space", "rtrim"]),
        ("tinytext", texts(&wide(254), &wide(256)), &["255 bytes"]),
        ("text", texts(&wide(65_534), &wide(65_536)), &["65535 bytes"]),
        ("binary(3)", blobs(b"abc", b"ab"), &["not 3 bytes long"]),
        ("binary(3)", blobs(b"abc", b"abcd"), &["not 3 bytes long"]),
        ("varbinary(3)", blobs(b"abc", b"abcd"), &["3 bytes"]),
        ("tinyblob", blobs(&[0; 255], &[0; 256]), &["255 bytes"]),
        ("blob", blobs(&[0; 65_535], &[0; 65_536]), &["65535 bytes"]),
        ("set('a','b')", texts("a,b", "a,c"), &["'a,c'", "not a member"]),
        ("set('a','b')", texts("", "1"), &["'1'", "not a member"]),
        ("set('a','b')", texts("a", "B"), &["'B'", "not a member"]),
        ("set('a','b')", texts("a", "a,"), &["'a,'", "not a member"]),
        ("date", Arc::new(Date32Array::from(vec![2_932_896, 2_932_897])), &["outside the years"]),
        ("date", Arc::new(Date32Array::from(vec![-719_528, -719_529])), &["outside the years"]),
        // 29 February of the year 0, which the server does not count as a leap year.
        ("date", Arc::new(Date32Array::from(vec![0, -719_469])), &[]),
        ("date", Arc::new(Date64Array::from(vec![0, 1])), &["does not fit Date32"]),
        ("datetime", Arc::new(stamps(1_000_000, 1)), &["the 0 that the column stores"]),
        ("datetime(3)", Arc::new(stamps(1_000, 1_001)), &["the 3 that the column stores"]),
        ("datetime(6)", Arc::new(stamps(0, 2_932_897 * DAY)), &["outside the years"]),
        ("datetime(6)", Arc::new(TimestampNanosecondArray::from(vec![1_000, 1])), &["does not fit Timestamp(µs)"]),
        ("datetime(6)", Arc::new(TimestampSecondArray::from(vec![0, i64::MAX])), &["does not fit Timestamp(µs)"]),
        ("timestamp(6)", zoned(1_000_000, -1), &[]),
        ("timestamp(6)", zoned(1_000_000, 0), &[]),
        ("timestamp(6)", zoned(2_147_483_647_999_999, 2_147_483_648_000_000), &[]),
        ("time(6)", Arc::new(Time64MicrosecondArray::from(vec![0, DAY])), &["not a time of day"]),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![0, 1])), &["the 0 that the column stores"]),
        ("time", Arc::new(DurationSecondArray::from(vec![-3_020_399, 3_020_400])), &["838:59:59"]),
        ("time", Arc::new(DurationSecondArray::from(vec![3_020_399, -3_020_400])), &["838:59:59"]),
        ("varchar(9) CHARACTER SET utf8mb3", texts("ä€", "a😀"), &["F0"]),
        ("text CHARACTER SET latin1", texts("ä€", "a一"), &[]),
        ("varchar(9) CHARACTER SET latin1", texts("ä€", "😀"), &[]),
        ("varchar(9) CHARACTER SET ascii", texts("a", "ä"), &[]),
    ];
    for bad in ["c", "1", "", "A", "a ", "0"] {
        cases.push(("enum('a','b')", texts("a", bad), &["not a member"]));
    }
    // A character of four bytes is a ? in what the server says of a type, so that nobody knows the member.
    cases.push(("enum('a','😀')", texts("a", "😀"), &["not a member"]));
    cases.push(("enum('a','😀')", texts("a", "?"), &[]));
    check_misfits(&cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_none_is_refused_by_the_server() {
    let server = MySql::new("CREATE TABLE t (id int PRIMARY KEY, v json)");
    for (name, option) in [("l", ""), ("i", ", 'on_conflict' 'update'")] {
        server.register(name, "", &format!("'table' 't'{option}")).await.unwrap();
        for bad in ["{", "", "{''a'': 1}"] {
            // From MariaDB 10.11.19 on the CHECK's own warning comes first, whose row is known.
            let error = server.error(&format!("INSERT INTO {name} VALUES (1, '{{}}'), (2, '{bad}')")).await;
            let is_check = error.contains("the row violates a constraint of the table") && error.contains("t.v");
            assert!(is_check || error.contains("the server cannot parse a value as JSON"), "{error}");
            says(&error, &[if is_check { "row 2:" } else { "rows 1 to 2:" }]);
        }
    }
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn uuids_and_addresses_that_are_none_are_refused() {
    let texts = |good: &str, bad: &str| -> ArrayRef { Arc::new(StringArray::from(vec![good, bad])) };
    check_misfits(&[
        ("uuid", texts("67e55044-10b1-426f-9247-bb680e5fe0c8", "67e5"), &["'67e5'", "not a UUID"]),
        ("uuid", texts("67e55044-10b1-426f-9247-bb680e5fe0c8", "67e55044-10b1-826f-1247-bb680e5fe0c8"), &["67e5"]),
        ("inet4", texts("1.2.3.4", "1.2.3"), &["1.2.3"]),
        ("inet4", texts("1.2.3.4", "::1"), &["::1"]),
        ("inet6", texts("::1", "::x"), &["::x"]),
    ])
    .await;
}

/// Two values, the second of which the column has not, and what an error says of it.
type Misfit = (&'static str, ArrayRef, &'static [&'static str]);

async fn check_misfits(cases: &[Misfit]) {
    let tables = cases.iter().enumerate();
    let tables = tables.map(|(n, case)| format!("CREATE TABLE t{n} (id int PRIMARY KEY, v0 {} NULL)", case.0));
    let server = MySql::new(&tables.collect::<Vec<_>>().join("; "));
    let mut wrong = Vec::new();
    for (n, (sql_type, array, parts)) in cases.iter().enumerate() {
        for (name, way) in [("l", ""), ("i", ", 'on_conflict' 'update'")] {
            let name = format!("{name}{n}");
            server.register(&name, "", &format!("'table' 't{n}'{way}")).await.unwrap();
            let frame = server.context.read_batch(batch(vec![Arc::clone(array)])).unwrap();
            match frame.write_table(&name, DataFrameWriteOptions::new()).await {
                Ok(_) => wrong.push(format!("{sql_type}{way}: {array:?} was written")),
                Err(error) => {
                    let error = error.to_string();
                    let missing = ["row 2", "v0"].iter().chain(*parts).find(|part| !error.contains(**part));
                    wrong.extend(missing.map(|part| format!("{sql_type}{way}: «{part}» is not in: {error}")));
                }
            }
        }
        if server.rows(&format!("SELECT count(*) FROM t{n}")) != ["0"] {
            wrong.push(format!("{sql_type} has rows"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrow_has_not_is_named() {
    let server = MySql::new(
        "CREATE TABLE t (d date, dt datetime, ts timestamp, part date, span time, b tinyint(1)); \
         CREATE TABLE u (b tinyint(1), j json, id uuid); \
         INSERT INTO u VALUES (5, '{\"a\": 1}', '67e55044-10b1-426f-9247-bb680e5fe0c8'); SET sql_mode = ''; \
         INSERT INTO t VALUES ('0000-00-00', '0000-00-00', '0000-00-00', '2020-00-00', '-24:00:01', 5)",
    );
    server.register("t", "", "").await.unwrap();
    let zero = "0000-00-00";
    for (column, parts) in [
        ("d", [zero, "Date32"]),
        ("dt", [zero, "Timestamp"]),
        ("ts", [zero, "Timestamp"]),
        ("part", ["2020-00-00", "Date32"]),
        ("span", ["-24:00:01", "register this column as an Arrow Duration"]),
        ("b", ["5", "register the table with this column as TINYINT"]),
    ] {
        let error = server.error(&format!("SELECT {column} FROM t")).await;
        says(&error, &[&format!("\"{column}\"")]);
        says(&error, &parts);
    }
    server.register("u", "(b TINYINT, j STRUCT<a DATE>, id VARCHAR)", "").await.unwrap();
    assert_eq!(server.read("SELECT b, id FROM u WHERE b = 5").await, ["5|67e55044-10b1-426f-9247-bb680e5fe0c8"]);
    says(&server.error("SELECT j FROM u").await, &["\"j\"", "is not valid JSON for Struct"]);
}
