//! Every pair of an Arrow type and a server type, in both ways that rows travel: what lands is what the server makes of
//! the same values as literals that its own client sends, byte for byte, and it comes back as it went in.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::compute::{CastOptions, can_cast_types, cast_with_options, concat, concat_batches};
use datafusion::arrow::datatypes::*;
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion_landfall::backend::NewTable;
use datafusion_landfall::{LandfallTable, SinkOptions};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::MySql;

/// Values of a type, with the literal of SQL that means each.
struct Column {
    sql_type: &'static str,
    array: ArrayRef,
    literals: Vec<Option<String>>,
}

const COUNT: usize = 200;

/// The options of a table whose rows go by LOAD DATA, and of one whose rows go as literals.
pub const WAYS: [&str; 2] = ["", "'on_conflict' 'update'"];

/// The edges, a NULL, and arbitrary values, one in eight of them NULL.
fn of<S: Strategy, A: Array + FromIterator<Option<S::Value>> + 'static>(
    sql_type: &'static str,
    strategy: S,
    edges: Vec<S::Value>,
    literal: impl Fn(&S::Value) -> String,
) -> Column {
    let mut runner = TestRunner::default();
    let mut values: Vec<_> = edges.into_iter().map(Some).chain([None]).collect();
    values.extend((0..COUNT).map(|index| {
        let value = strategy.new_tree(&mut runner).unwrap().current();
        (index % 8 != 5).then_some(value)
    }));
    let literals = values.iter().map(|value| value.as_ref().map(&literal)).collect();
    Column { sql_type, array: Arc::new(values.into_iter().collect::<A>()), literals }
}

impl Column {
    /// The same values in another Arrow type, which has them all.
    fn to(&self, to: &DataType) -> Self {
        Self { sql_type: self.sql_type, array: strictly(&self.array, to), literals: self.literals.clone() }
    }

    fn into(self, sql_type: &'static str) -> Self {
        Self { sql_type, ..self }
    }

    /// Whether a type that nobody asked for is like the one that was written.
    fn is_read_by_default(&self) -> bool {
        let is_uuid = self.sql_type == "uuid" && self.array.data_type() == &DataType::FixedSizeBinary(16);
        !is_uuid && !matches!(self.array.data_type(), DataType::Duration(_))
    }

    /// Longer by NULLs.
    fn padded(&self, rows: usize) -> Self {
        let nulls = new_null_array(self.array.data_type(), rows - self.array.len());
        let array = if nulls.is_empty() { Arc::clone(&self.array) } else { concat(&[&self.array, &nulls]).unwrap() };
        let mut literals = self.literals.clone();
        literals.resize(rows, None);
        Self { sql_type: self.sql_type, array, literals }
    }
}

/// The array in a type that has all its values.
pub fn strictly(array: &ArrayRef, to: &DataType) -> ArrayRef {
    cast_with_options(array, to, &CastOptions { safe: false, ..Default::default() }).unwrap()
}

/// The type to register a column with, to read what was written as it was, by way of another where that must be.
fn type_to_read(sql_type: &str, written: &DataType, by_default: Option<&DataType>) -> DataType {
    match (sql_type, written) {
        (_, DataType::Null) => by_default.unwrap().clone(),
        ("tinyint(1)", t) if t.is_numeric() && !t.is_signed_integer() => DataType::Int8,
        ("bit(1)", t) if t.is_numeric() && !t.is_unsigned_integer() => DataType::UInt8,
        (_, t) => t.clone(),
    }
}

/// The table `landed` as the statement with its columns would register it.
pub async fn registered(server: &MySql, name: &str, schema: &SchemaRef) -> LandfallTable {
    let table = NewTable {
        name: name.into(),
        schema: Arc::clone(schema),
        primary_key: vec!["id".into()],
        unique_keys: vec![],
        defaults: HashMap::new(),
    };
    LandfallTable::connect_or_create(&server.url(), table, SinkOptions::new()).await.unwrap()
}

/// Columns behind an `id` that counts from 0.
pub fn batch(arrays: Vec<ArrayRef>) -> RecordBatch {
    let id: ArrayRef = Arc::new(Int32Array::from_iter_values(0..arrays[0].len() as i32));
    let mut fields = vec![Field::new("id", DataType::Int32, false)];
    let nullable =
        |(index, array): (usize, &ArrayRef)| Field::new(format!("v{index}"), array.data_type().clone(), true);
    fields.extend(arrays.iter().enumerate().map(nullable));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), [vec![id], arrays].concat()).unwrap()
}

pub async fn rows_of(server: &MySql, table: &str) -> RecordBatch {
    let read = server.sql(&format!("SELECT * FROM {table} ORDER BY id")).await.unwrap();
    concat_batches(&read[0].schema(), &read).unwrap()
}

/// Writes the columns, compares with the server, and reads them back.
async fn check(columns: Vec<Column>) {
    let rows = columns.iter().map(|column| column.array.len()).max().unwrap();
    let columns: Vec<_> = columns.iter().map(|column| column.padded(rows)).collect();
    let declared = columns.iter().enumerate().map(|(index, column)| format!("v{index} {} NULL", column.sql_type));
    let declared = declared.collect::<Vec<_>>().join(", ");
    let literals = (0..rows).map(|row| {
        let literals = columns.iter().map(|column| column.literals[row].as_deref().unwrap_or("NULL"));
        format!("({row}, {})", literals.collect::<Vec<_>>().join(", "))
    });
    let literals = literals.collect::<Vec<_>>().join(", ");
    let batch = batch(columns.iter().map(|column| Arc::clone(&column.array)).collect());
    for way in WAYS {
        let create = |name: &str| format!("CREATE TABLE {name} (id int PRIMARY KEY, {declared})");
        let server = MySql::new(&format!("{}; {}", create("landed"), create("expected")));
        server.rows(&format!("INSERT INTO expected VALUES {literals}"));
        server.register("landed", "", way).await.unwrap();
        let frame = server.context.read_batch(batch.clone()).unwrap();
        let written = frame.write_table("landed", DataFrameWriteOptions::new()).await;
        written.unwrap_or_else(|error| panic!("{way}: {declared}: {error}"));

        let names = columns.iter().enumerate().filter(|(_, column)| column.is_read_by_default());
        let names: String = names.map(|(index, _)| format!(", v{index}")).collect();
        let by_default = rows_of(&server, &format!("(SELECT id{names} FROM landed)")).await;
        let mut fields = vec![Field::new("id", DataType::Int32, false)];
        fields.extend(columns.iter().zip(&batch.schema().fields()[1..]).map(|(column, field)| {
            let by_default = by_default.column_by_name(field.name()).map(|array| array.data_type());
            Field::new(field.name(), type_to_read(column.sql_type, field.data_type(), by_default), true)
        }));
        let as_written = registered(&server, "landed", &Arc::new(Schema::new(fields))).await;
        server.context.register_table("as_written", Arc::new(as_written)).unwrap();
        let read = rows_of(&server, "as_written").await;
        assert_eq!((read.num_rows(), server.rows("SELECT count(*) FROM landed")), (rows, vec![rows.to_string()]));
        let mut wrong = Vec::new();
        for (index, Column { sql_type, array, .. }) in columns.iter().enumerate() {
            let what = format!("{} to {sql_type} ({way})", array.data_type());
            let seen = server.rows(&format!(
                "SELECT id, LEFT(HEX(CAST(l.v{index} AS BINARY)), 60), LEFT(HEX(CAST(e.v{index} AS BINARY)), 60) \
                 FROM landed l JOIN expected e USING (id) WHERE NOT l.v{index} <=> e.v{index} \
                     OR NOT CAST(l.v{index} AS BINARY) <=> CAST(e.v{index} AS BINARY) ORDER BY id LIMIT 3"
            ));
            if !seen.is_empty() {
                wrong.push(format!("{what}: id|landed|expected: {seen:?}"));
            }
            let by_default = by_default.column_by_name(&format!("v{index}")).map(|read| (" by default", read));
            for (how, read) in by_default.into_iter().chain([("", read.column(index + 1))]) {
                if let Some(row) = differing(read, array) {
                    let (read, array) = (read.slice(row, 1), array.slice(row, 1));
                    wrong.push(format!("{what}, read back{how}, id {row}: {read:?} instead of {array:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// The first row that is not the same in both, brought to one type.
pub fn differing(read: &ArrayRef, written: &ArrayRef) -> Option<usize> {
    // Arrow has no way from booleans to decimals.
    let is_number = read.data_type() == &DataType::Boolean && written.data_type().is_numeric();
    let read = &if is_number { strictly(read, &DataType::Int8) } else { Arc::clone(read) };
    // And divides decimals in floats, which rounds twice.
    let is_rounded =
        read.data_type().is_decimal() && matches!(written.data_type(), DataType::Float32 | DataType::Float64);
    let read = &if is_rounded { strictly(read, &DataType::Utf8) } else { Arc::clone(read) };
    let (from, to) = (read.data_type(), written.data_type());
    let (read, written) = match can_cast_types(from, to) && to != &DataType::Null {
        true => (strictly(read, to), Arc::clone(written)),
        false => (Arc::clone(read), strictly(written, from)),
    };
    (0..written.len()).find(|row| read.slice(*row, 1).as_ref() != written.slice(*row, 1).as_ref())
}

fn number(value: &impl ToString) -> String {
    value.to_string()
}

/// Neither the client's nor the server's way to read a literal can change these.
fn hex(bytes: &impl AsRef<[u8]>) -> String {
    format!("X'{}'", bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn text(text: &impl ToString) -> String {
    format!("_utf8mb4 {}", hex(&text.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers() {
    check(vec![
        of::<_, BooleanArray>("tinyint(1)", any::<bool>(), vec![], number),
        of::<_, BooleanArray>("bit(1)", any::<bool>(), vec![], number),
        of::<_, Int8Array>("tinyint", any::<i8>(), vec![0, i8::MIN, i8::MAX], number),
        of::<_, UInt8Array>("tinyint unsigned", any::<u8>(), vec![0, u8::MAX], number),
        of::<_, Int16Array>("smallint", any::<i16>(), vec![0, i16::MIN, i16::MAX], number),
        of::<_, UInt16Array>("smallint unsigned", any::<u16>(), vec![0, u16::MAX], number),
        of::<_, Int32Array>("mediumint", -0x80_0000..=0x7f_ffff, vec![0, -0x80_0000, 0x7f_ffff], number),
        of::<_, UInt32Array>("mediumint unsigned", 0..=0xff_ffff_u32, vec![0, 0xff_ffff], number),
        of::<_, Int32Array>("int", any::<i32>(), vec![0, i32::MIN, i32::MAX], number),
        of::<_, UInt32Array>("int unsigned", any::<u32>(), vec![0, u32::MAX], number),
        of::<_, Int64Array>("bigint", any::<i64>(), vec![0, i64::MIN, i64::MAX], number),
        of::<_, UInt64Array>("bigint unsigned", any::<u64>(), vec![0, u64::MAX], number),
        of::<_, UInt64Array>("bigint(20) unsigned zerofill", any::<u64>(), vec![0, u64::MAX], number),
        of::<_, UInt64Array>("bit(17)", 0..1_u64 << 17, vec![0, 9, 10, 39, 92, (1 << 17) - 1], number),
        of::<_, UInt64Array>("bit(64)", any::<u64>(), vec![0, u64::MAX, 0x5c5c_0a09_2700_2730], number),
        of::<_, UInt16Array>("year", 1901..=2155_u16, vec![0, 1901, 1970, 2000, 2069, 2155], number),
        of::<_, UInt64Array>("decimal(20,0)", any::<u64>(), vec![0, u64::MAX], number),
        of::<_, Int64Array>("decimal(25,3)", any::<i64>(), vec![0, i64::MIN], number),
        of::<_, Int64Array>("double", -(1 << 53)..=(1_i64 << 53), vec![0, 1 << 53], number),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_goes_into_every_number() {
    use DataType::*;
    let servers = [
        ("tinyint(1)", 0, 1),
        ("tinyint", -128, 127),
        ("tinyint unsigned", 0, 255),
        ("smallint", -32_768, 32_767),
        ("smallint unsigned", 0, 65_535),
        ("mediumint", -0x80_0000, 0x7f_ffff),
        ("mediumint unsigned", 0, 0xff_ffff),
        ("int", -9_999_999, 9_999_999),
        ("int unsigned", 0, 9_999_999),
        ("bigint", -9_999_999, 9_999_999),
        ("bigint unsigned", 0, 9_999_999),
        ("bit(1)", 0, 1),
        ("bit(17)", 0, (1 << 17) - 1),
        ("float", -(1 << 24), 1 << 24),
        ("double", -9_999_999, 9_999_999),
        ("decimal(10,2)", -9_999_999, 9_999_999),
        ("decimal(65,30)", -9_999_999, 9_999_999),
        ("year", 1901, 2155),
    ];
    let arrows = [
        (Int8, -128, 127),
        (Int16, -32_768, 32_767),
        (Int32, i64::MIN, i64::MAX),
        (Int64, i64::MIN, i64::MAX),
        (UInt8, 0, 255),
        (UInt16, 0, 65_535),
        (UInt32, 0, i64::MAX),
        (UInt64, 0, i64::MAX),
        (Float16, -2_048, 2_048),
        (Float32, -(1 << 24), 1 << 24),
        (Float64, i64::MIN, i64::MAX),
        (Decimal32(9, 1), -9_999_999, 9_999_999),
        (Decimal64(18, 0), i64::MIN, i64::MAX),
        (Decimal128(38, 2), i64::MIN, i64::MAX),
        (Decimal256(76, 2), i64::MIN, i64::MAX),
    ];
    for (sql_type, low, high) in servers {
        let fitting = arrows.iter().map(|(to, least, most)| (to, low.max(*least), high.min(*most)));
        // Floats in a decimal of so many places have a test of their own.
        let columns = fitting
            .filter(|(to, low, high)| low <= high && !(to.is_floating() && sql_type == "decimal(65,30)"))
            .map(|(to, low, high)| of::<_, Int64Array>(sql_type, low..=high, vec![low, high], number).to(to));
        check(columns.collect()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_are_written_as_their_values() {
    let runs = |values| {
        let values = Arc::new(Field::new("values", values, true));
        DataType::RunEndEncoded(Arc::new(Field::new("run_ends", DataType::Int32, false)), values)
    };
    let dictionary = |values: DataType| DataType::Dictionary(DataType::Int16.into(), values.into());
    let ints = of::<_, Int64Array>("bigint", 0..5_i64, vec![i64::MIN], number);
    let texts = of::<_, StringArray>("varchar(20)", any_text(20), vec![String::new()], text);
    let mut columns = vec![
        ints.to(&dictionary(DataType::Int64)),
        ints.to(&runs(DataType::Int64)),
        texts.to(&dictionary(DataType::Utf8)),
        texts.to(&dictionary(DataType::Utf8View)),
        texts.to(&runs(DataType::Utf8)),
    ];
    for column in &mut columns {
        // A slice of it, which begins in the middle of its values.
        *column = Column { array: column.array.slice(3, 100), literals: column.literals[3..103].to_vec(), ..*column };
    }
    // A run cannot be made longer: all of them are as long.
    let nulls = ["bigint", "tinyint(1)", "bit(3)", "longtext", "decimal(5,2)", "year", "date", "time", "json", "uuid"];
    let nulls =
        nulls.map(|sql_type| Column { sql_type, array: Arc::new(NullArray::new(100)), literals: vec![None; 100] });
    columns.extend(nulls);
    check(columns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floats() {
    use proptest::num::{f32 as single, f64 as double};
    // MariaDB stores -0.0 as 0.0 from 10.11.19 on, whoever sends it.
    let server = MySql::new("CREATE TABLE zero (v double); INSERT INTO zero VALUES (-0e0)");
    let zero = if server.rows("SELECT CONCAT(v) FROM zero") == ["-0"] { -0.0 } else { 0.0 };
    let doubles = || vec![0.0, zero, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 0.1, 1e22, 1e23, f64::EPSILON, 1.5e300];
    let singles =
        || vec![0.0, zero as f32, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 0.1, 16_777_216.0, 1e-38, 123_456.79];
    let literal = |value: &f64| format!("{value:e}");
    check(vec![
        of::<_, Float64Array>("double", double::POSITIVE | double::NEGATIVE, doubles(), literal),
        of::<_, Float32Array>("float", single::POSITIVE | single::NEGATIVE, singles(), |value| {
            literal(&(*value).into())
        }),
        of::<_, Float32Array>("double", single::POSITIVE | single::NEGATIVE, singles(), |value| {
            literal(&(*value).into())
        }),
        of::<_, Float64Array>(
            "decimal(10,2)",
            (-99_999_999..=99_999_999_i64).prop_map(|cents| cents as f64 / 100.0),
            vec![0.0, 0.07],
            number,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floats_go_into_decimals_of_many_places() {
    let quarters = || (-1_000_000..=1_000_000_i32).prop_map(|quarters| f64::from(quarters) / 4.0);
    check(vec![
        of::<_, Float64Array>("decimal(30,20)", quarters(), vec![0.0, 5.0, 0.5, 1e6], number),
        of::<_, Float64Array>("decimal(38,30)", quarters(), vec![0.0, 5.0, 0.5, 1e6], number),
        of::<_, Float32Array>(
            "decimal(38,20)",
            (-1_000_000..=1_000_000_i32).prop_map(|quarters| quarters as f32 / 4.0),
            vec![0.1, 5.0],
            number,
        ),
        of::<_, Float64Array>("decimal(65,30)", quarters(), vec![0.0, 5.0, 0.5, 1e6], number),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subnormal_floats() {
    use proptest::num::{f32 as single, f64 as double};
    let literal = |value: &f64| format!("{value:e}");
    check(vec![
        of::<_, Float64Array>("double", double::SUBNORMAL, vec![5e-324, -5e-324], literal),
        of::<_, Float32Array>("float", single::SUBNORMAL, vec![1e-45, -1e-45], |value| literal(&(*value).into())),
    ])
    .await;
}

/// `digits`, the last `scale` of them behind the point.
fn decimal_text(digits: &str, scale: usize) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("'{sign}{whole}'") } else { format!("'{sign}{whole}.{fraction}'") }
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals() {
    let decimal = |sql_type, precision: usize, scale: u8, to: &DataType| {
        let limit = "9".repeat(precision);
        let edges = ["0", "1", "-1", "10000", "100000001", "12340000", &limit, &format!("-{limit}")];
        let edges = edges.iter().filter(|edge| edge.trim_start_matches('-').len() <= precision);
        let digits = format!("-?[1-9][0-9]{{0,{}}}", precision - 1);
        let literal = |digits: &String| decimal_text(digits, scale.into());
        let column =
            of::<_, StringArray>(sql_type, digits.as_str(), edges.map(|edge| edge.to_string()).collect(), literal);
        let digits = column.array.as_string::<i32>().iter();
        let array: Decimal256Array = digits.map(|digits| digits.map(|text| i256::from_string(text).unwrap())).collect();
        let array: ArrayRef = Arc::new(array.with_precision_and_scale(76, scale as i8).unwrap());
        Column { array: strictly(&array, to), ..column }
    };
    check(vec![
        decimal("decimal(10,2)", 10, 2, &DataType::Decimal128(10, 2)),
        decimal("decimal(10,2)", 10, 2, &DataType::Decimal64(10, 2)),
        decimal("decimal(9,9)", 9, 9, &DataType::Decimal32(9, 9)),
        decimal("decimal(38,0)", 38, 0, &DataType::Decimal128(38, 0)),
        decimal("decimal(38,7)", 38, 7, &DataType::Decimal128(38, 7)),
        decimal("decimal(38,30)", 38, 30, &DataType::Decimal128(38, 30)),
        decimal("decimal(20,6)", 12, 6, &DataType::Decimal128(12, 6)),
        decimal("decimal(50,9) unsigned", 1, 9, &DataType::Decimal128(38, 9)).into("decimal(50,9)"),
        decimal("decimal(65,0)", 65, 0, &DataType::Decimal256(76, 0)),
        decimal("decimal(65,30)", 65, 30, &DataType::Decimal256(65, 30)),
        decimal("decimal(39,5)", 39, 5, &DataType::Decimal256(39, 5)),
        decimal("double", 15, 0, &DataType::Decimal128(15, 0)),
    ])
    .await;
}

/// Of at most so many characters, of all planes and with controls.
fn any_text(characters: usize) -> impl Strategy<Value = String> + Clone {
    let any = proptest::collection::vec(any::<char>(), 0..=characters).prop_map(String::from_iter);
    let nasty = proptest::sample::select("\\\\'\"\t\n\r\0\x1a %_,;NnZtb0 ".chars().collect::<Vec<_>>());
    let nasty = proptest::collection::vec(nasty, 0..=characters).prop_map(String::from_iter);
    prop_oneof![any, nasty, "[a-z]{0,12}"]
}

/// Texts that a careless way would change.
fn edges(characters: usize) -> Vec<String> {
    // Between bars: an empty one and one of a space, quotes, escapes, what looks like NULL or a number, controls.
    let edges = "| |  two|two  |'|''|\"|\\|\\\\|\\'|\\N|N|NULL|\t|\n|\r\n|\r|\0|a\0b|\x1a|0|-0|007|1e5|0x41| 12|ä€😀|\u{10FFFF}|\
                 \u{feff}a|e\u{301}|%_|a,b|2020-01-01|\\t\t\\n\n";
    let longest = ["x".repeat(characters), "😀".repeat(characters.min(16_000))];
    edges.split('|').map(str::to_owned).chain(longest).filter(|edge| edge.chars().count() <= characters).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn texts() {
    let texts = |sql_type, characters: usize| {
        of::<_, StringArray>(sql_type, any_text(characters.min(100)), edges(characters), text)
    };
    check(vec![
        texts("varchar(20)", 20),
        texts("varchar(20)", 20).to(&DataType::LargeUtf8),
        texts("varchar(20)", 20).to(&DataType::Utf8View),
        texts("varchar(300) COLLATE utf8mb4_general_ci", 300),
        texts("tinytext", 63),
        of::<_, StringArray>("tinytext", "[a-z]{200,255}", vec!["x".repeat(255)], text),
        texts("text", 10_000),
        of::<_, LargeStringArray>("text", any_text(9), vec!["x".repeat(65_535)], text),
    ])
    .await;
    let no_space = any_text(20).prop_map(|text| text.trim_end_matches(' ').to_owned());
    let edges = edges(20).into_iter().filter(|edge| !edge.ends_with(' ')).collect();
    let chars = of::<_, StringArray>("char(20)", no_space, edges, text);
    check(vec![
        chars.to(&DataType::LargeUtf8),
        chars.to(&DataType::Utf8View),
        chars,
        texts("mediumtext", 70_000),
        texts("longtext", 100_000),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_character_sets_keep_the_characters() {
    let latin = "[a-zäöüß€ \\\\'\t\n]{0,20}";
    let basic = "[a-zäöü€一\u{ffee}\t\n\\\\]{0,20}";
    let of = |sql_type, pattern: &str| {
        let edges = ["", "\\N", "NULL", "it''s", "tab\tline\n\\", "ä  ", "\0"];
        of::<_, StringArray>(sql_type, pattern, edges.map(str::to_owned).to_vec(), text)
    };
    let sets = [
        of("varchar(20) CHARACTER SET latin1", latin),
        of("char(20) CHARACTER SET latin1", "[a-zäöüß€]{0,20}").slice_from(7),
        of("text CHARACTER SET latin1", latin),
        of("enum('a','ü€','it''s') CHARACTER SET latin1", "a|ü€|it's").slice_from(7),
        of("varchar(20) CHARACTER SET ucs2", basic),
        of("text CHARACTER SET utf16", basic),
        of("varchar(20) CHARACTER SET utf8mb3", basic),
        of("varchar(20) CHARACTER SET ascii", "[a-z]{0,20}").slice_from(7),
    ];
    check(sets.into()).await;
}

impl Column {
    /// Without its first values.
    fn slice_from(self, first: usize) -> Self {
        let array = self.array.slice(first, self.array.len() - first);
        Self { array, literals: self.literals[first..].to_vec(), ..self }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes() {
    let any_bytes = |least, most| proptest::collection::vec(any::<u8>(), least..=most);
    let blobs = |sql_type, most: usize| {
        let edges = [
            vec![],
            vec![0],
            vec![9, 10, 13, 92, 0, 39, 34, 26, 255],
            b"\\N".to_vec(),
            b"NULL".to_vec(),
            vec![b' '; 3],
        ];
        let edges = edges.into_iter().chain([vec![255; most], vec![b'\\'; most]]).collect();
        of::<_, BinaryArray>(sql_type, any_bytes(0, 20), edges, hex)
    };
    let fixed =
        of::<_, BinaryArray>("binary(16)", any_bytes(16, 16), vec![vec![0; 16], vec![b' '; 16], vec![92; 16]], hex);
    check(vec![
        blobs("varbinary(20)", 20),
        blobs("varbinary(20)", 20).to(&DataType::LargeBinary),
        blobs("varbinary(20)", 20).to(&DataType::BinaryView),
        blobs("tinyblob", 255),
        blobs("blob", 65_535),
        blobs("mediumblob", 70_000),
        blobs("longblob", 100_000),
        fixed.to(&DataType::LargeBinary),
        fixed.to(&DataType::BinaryView),
        fixed.to(&DataType::FixedSizeBinary(16)),
        fixed.to(&DataType::FixedSizeBinary(16)).into("varbinary(16)"),
        fixed.to(&DataType::FixedSizeBinary(16)).into("blob"),
        fixed,
    ])
    .await;
}

pub const DAY: i64 = 86_400_000_000;

fn formatted(micros: i64, form: &str) -> String {
    format!("'{}'", timestamp_us_to_datetime(micros).unwrap().format(form))
}

fn timestamp(micros: i64) -> String {
    formatted(micros, "%Y-%m-%d %H:%M:%S%.6f")
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_times() {
    // The year 0, whose 29 February the server has not, and 9999; 1600 and 1900; 29 February.
    let days = vec![-719_528, -719_470, -719_468, 2_932_896, 0, -1, -135_081, -25_567, 19_782];
    let date = |days: &i32| formatted(i64::from(*days) * DAY, "%Y-%m-%d");
    let time = |micros: i64| formatted(micros, "%H:%M:%S%.6f");
    // The server's own reckoning of how long it is.
    let long = |micros: i64| format!("SEC_TO_TIME({})", decimal_text(&micros.to_string(), 6).trim_matches('\''));
    let most = 838 * 3_600 + 59 * 60 + 59_i64;
    let dates = of::<_, Date32Array>("date", -719_528..=2_932_896, days, date);
    let any_stamp = || -719_528 * DAY..2_932_897 * DAY;
    let stamps = vec![-719_528 * DAY, 2_932_897 * DAY - 1, 0, -1, 1, 1_709_164_800_000_000, -62_135_596_800_000_000];
    let any_zoned = || 1_000_000..=2_147_483_647_999_999_i64;
    let zoned = of::<_, TimestampMicrosecondArray>(
        "timestamp(6)",
        any_zoned(),
        // In New York, an hour that was not there and one that was there twice.
        vec![1_000_000, 2_147_483_647_999_999, 1_362_898_800_000_000, 1_383_458_400_000_000, 1_383_454_800_000_000],
        |us| timestamp(*us),
    )
    .to(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    let zone = |zone: &str, unit| DataType::Timestamp(unit, Some(zone.into()));
    let seconds = (1..=2_147_483_647_i64).prop_map(|s| s * 1_000_000);
    let seconds = of::<_, TimestampMicrosecondArray>("timestamp", seconds, vec![], |us| timestamp(*us))
        .to(&zone("UTC", TimeUnit::Microsecond));
    let micros = TimeUnit::Microsecond;
    check(vec![
        dates.to(&DataType::Date64),
        dates,
        of::<_, Time64MicrosecondArray>("time(6)", 0..DAY, vec![0, DAY - 1, 1], |us| time(*us)),
        of::<_, Time64NanosecondArray>("time(6)", (0..DAY).prop_map(|us| us * 1_000), vec![], |ns| time(ns / 1_000)),
        of::<_, Time32MillisecondArray>("time(3)", 0..86_400_000, vec![1], |ms| time(i64::from(*ms) * 1_000)),
        of::<_, Time32SecondArray>("time", 0..86_400, vec![86_399], |s| time(i64::from(*s) * 1_000_000)),
        of::<_, TimestampMicrosecondArray>("datetime(6)", any_stamp(), stamps, |us| timestamp(*us)),
        of::<_, TimestampSecondArray>("datetime", -62_135_596_800..253_402_300_800_i64, vec![-1], |s| {
            timestamp(s * 1_000_000)
        }),
        of::<_, TimestampMillisecondArray>(
            "datetime(3)",
            -60_000_000_000_000..200_000_000_000_000_i64,
            vec![-1],
            |ms| timestamp(ms * 1_000),
        ),
        of::<_, TimestampNanosecondArray>(
            "datetime(6)",
            (i64::MIN / 1_000..=i64::MAX / 1_000).prop_map(|us| us * 1_000),
            vec![-1_000],
            |ns| timestamp(ns / 1_000),
        ),
        zoned.to(&zone("UTC", micros)),
        zoned.to(&zone("+05:30", micros)),
        zoned.to(&zone("America/New_York", micros)),
        zoned.to(&zone("UTC", TimeUnit::Nanosecond)),
        seconds.to(&zone("UTC", TimeUnit::Second)),
        seconds.to(&zone("UTC", TimeUnit::Millisecond)),
        of::<_, DurationMicrosecondArray>("time(6)", -most * 1_000_000..=most * 1_000_000, vec![-1], |us| long(*us)),
        of::<_, DurationSecondArray>("time", -most..=most, vec![0, -most, most], |s| long(s * 1_000_000)),
        of::<_, DurationMillisecondArray>("time(3)", -most * 1_000..=most * 1_000, vec![-1], |ms| long(ms * 1_000)),
        of::<_, DurationNanosecondArray>("time(6)", (-most..=most).prop_map(|us| us * 1_000), vec![], |ns| {
            long(ns / 1_000)
        }),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_json() {
    let members = "enum('a','A b','it''s','x,y','ü','back\\\\slash','line\\n','1','tab\t','') COLLATE utf8mb4_bin";
    let member =
        || proptest::sample::select(vec!["a", "A b", "it's", "x,y", "ü", "back\\slash", "line\n", "1", "tab\t", ""]);
    let sets = ["", "a", "it's", "ü", "1", "a,it's", "a,it's,ü,1", "it's,1"];
    let set = || proptest::sample::select(sets.to_vec());
    let json =
        ["{}", "[1,  2]", " null", "1.50", "\"a\\\"b\\u00e4\\n😀\"", "{\"b\": 1, \"a\": \"x\\\\y\"}", "\"\\t'\""];
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let shown = |text: &&str| text.to_string();
    check(vec![
        of::<_, StringArray>(members, member().prop_map(|member| shown(&member)), vec![], text),
        of::<_, StringViewArray>("set('a','it''s','ü','1')", set().prop_map(|set| shown(&set)), owned(&sets), text),
        of::<_, LargeStringArray>("json", "\\{\"a\": [0-9], \"b\": \"[a-zäö]{0,9}\"\\}", owned(&json), text),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uuids_and_addresses() {
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    // The server refuses versions that no RFC has.
    let uuid = (any::<u128>(), 1..=7_u128)
        .prop_map(|(bits, version)| uuid::Uuid::from_u128(bits & !(0xf << 76) & !(3 << 62) | version << 76 | 2 << 62));
    let edges = [uuid::Uuid::nil(), uuid::Uuid::max()];
    let bytes =
        of::<_, BinaryArray>("uuid", uuid.clone().prop_map(|uuid| uuid.into_bytes().to_vec()), vec![], |bytes| {
            text(&uuid::Uuid::from_slice(bytes).unwrap())
        });
    let texts = of::<_, StringArray>(
        "uuid",
        uuid.prop_map(|uuid| uuid.to_string()),
        edges.iter().map(|uuid| uuid.to_string()).collect(),
        text,
    );
    let v4 = any::<[u8; 4]>().prop_map(|bytes| Ipv4Addr::from(bytes).to_string());
    // A single group of zeros is :: for MariaDB, and :0: for others.
    let v6 = any::<[u16; 8]>().prop_map(|groups| Ipv6Addr::from(groups.map(|group| group.max(1))).to_string());
    check(vec![
        bytes.to(&DataType::FixedSizeBinary(16)),
        texts.to(&DataType::LargeUtf8),
        texts,
        of::<_, StringArray>("inet4", v4, owned(&["0.0.0.0", "255.255.255.255"]), text),
        of::<_, StringArray>("inet6", v6, owned(&["::", "::1", "fe80::1", "::ffff:1.2.3.4"]), text),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_type_is_what_the_server_calls_it() {
    let guide = include_str!("../../../docs/types/mysql.md");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<_>> = rows.map(|row| row.split(" | ").collect()).collect();
    let reads: Vec<_> = rows.iter().filter(|row| row.len() == 4 && row[0].starts_with('`')).collect();
    assert!(reads.len() >= 34, "{reads:?}");
    let columns = reads.iter().enumerate().map(|(index, row)| format!("c{index} {} NULL", row[0].trim_matches('`')));
    let server = MySql::new(&format!("CREATE TABLE t ({})", columns.collect::<Vec<_>>().join(", ")));
    let table = LandfallTable::connect(&server.url(), "t", SinkOptions::new()).await.unwrap();
    let types = "SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
                 ORDER BY ORDINAL_POSITION";
    for ((field, row), declared) in table.schema().fields().iter().zip(&reads).zip(server.rows(types)) {
        assert_eq!(field.data_type().to_string(), row[1], "{}", row[0]);
        // MariaDB calls its JSON otherwise.
        assert!(declared == row[0].trim_matches('`') || row[0] == "`json`", "{declared} is {}", row[0]);
    }
}
