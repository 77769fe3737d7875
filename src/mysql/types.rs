//! Server type ↔ Arrow type.
//!
//! The encoder of a column is chosen by both its server type, read from `information_schema`, and the Arrow type that
//! comes. A value is sent unchanged or not at all: what the column cannot hold is an error that names it.
//!
//! | server type | read as | written from |
//! | --- | --- | --- |
//! | `tinyint(1)` | Boolean | Boolean; every number that fits |
//! | `tinyint(4)` | Int8 | every number that fits |
//! | `tinyint(3) unsigned` | UInt8 | every number that fits |
//! | `smallint(6)` | Int16 | every number that fits |
//! | `smallint(5) unsigned` | UInt16 | every number that fits |
//! | `mediumint(9)` | Int32 | every number that fits |
//! | `mediumint(8) unsigned` | UInt32 | every number that fits |
//! | `int(11)` | Int32 | every number that fits |
//! | `int(10) unsigned` | UInt32 | every number that fits |
//! | `bigint(20)` | Int64 | every number that fits |
//! | `bigint(20) unsigned` | UInt64 | every number that fits |
//! | `bit(1)` | Boolean | Boolean; every number that fits |
//! | `bit(17)` | UInt64 | every number that fits |
//! | `float` | Float32 | every number that fits |
//! | `double` | Float64 | every number that fits |
//! | `decimal(10,2)` | Decimal128(10, 2) | every number that fits |
//! | `decimal(65,30)` | Decimal256(65, 30) | every number that fits |
//! | `year(4)` | UInt16 | every number that fits: 0, and 1901 to 2155 |
//! | `date` | Date32 | dates of the years 0 to 9999 |
//! | `time(6)` | Time64(µs) | times; durations of at most 838:59:59 |
//! | `datetime(6)` | Timestamp(µs) | timestamps without a zone, of the years 0 to 9999 |
//! | `timestamp(6)` | Timestamp(µs, "+00:00") | timestamps with a zone, from 1970-01-01 00:00:01 to 2038 (MariaDB 11.5: 2106) |
//! | `char(20)` | Utf8View | text of at most so many characters, without spaces at its end |
//! | `varchar(20)` | Utf8View | text of at most so many characters |
//! | `text` | Utf8View | text of at most 65,535 bytes; `tinytext`, `mediumtext` and `longtext` as many as they hold |
//! | `binary(16)` | BinaryView | binary of exactly so many bytes |
//! | `varbinary(20)` | BinaryView | binary of at most so many bytes |
//! | `blob` | BinaryView | binary of at most 65,535 bytes; `tinyblob`, `mediumblob` and `longblob` as many as they hold |
//! | `json` | Utf8View | text, Struct, Map, lists |
//! | `enum('a','b')` | Utf8View | text that is a member, spelled as it is |
//! | `set('a','b')` | Utf8View | text: members, with commas between them |
//! | `uuid` | Utf8View | text, FixedSizeBinary(16) |
//! | `inet4` | Utf8View | text |
//! | `inet6` | Utf8View | text |
//! | any other | BinaryView | nothing |
//!
//! *Number* is any integer, decimal or float; *text* is Utf8, LargeUtf8 or Utf8View; *binary* is Binary, LargeBinary,
//! BinaryView or FixedSizeBinary. A Dictionary or RunEndEncoded array is written as its values, and Null to anything.
//! Columns that are given when the table is registered are read as those types, where they can hold the values: a
//! `tinyint(1)` that counts as TINYINT, a `json` as Struct, a `uuid` as FixedSizeBinary(16), a `time` as Duration.
//!
//! What the two sides do not share: members of an `enum` or a `set` with characters of four bytes, which the server shows
//! as `?`, cannot be written; a `tinyint(1)` other than 0 and 1, zero dates (`0000-00-00`), and a `time` that is
//! no time of day are errors when they are read. NaN and infinity are errors when they are written. Of a `set` the
//! server keeps the members, not their order nor how often they come; a `uuid` comes back in lower case, an address in its
//! shortest form; MariaDB stores -0.0 as 0.0 from 10.11.19 on, whoever sends it. `float(10,2)` and `double(10,2)` round without a word, and are not written. MySQL's `json` (not MariaDB's) is what the server makes of the text: it
//! sorts keys. MariaDB calls its JSON `longtext` with a CHECK on `json_valid`, and is known by that.
//!
//! A `tinyint(1)` takes 0 and 1. For other numbers register the table with its columns: `CREATE EXTERNAL TABLE t (stars
//! TINYINT) …`.
//!
//! A table that Landfall creates is of the engine InnoDB and has these types:
//!
//! | Arrow type | created as |
//! | --- | --- |
//! | Boolean | `tinyint(1)` |
//! | Int8 | `tinyint` |
//! | Int16 | `smallint` |
//! | Int32 | `int` |
//! | Int64 | `bigint` |
//! | UInt8 | `tinyint unsigned` |
//! | UInt16 | `smallint unsigned` |
//! | UInt32 | `int unsigned` |
//! | UInt64 | `bigint unsigned` |
//! | Float16, Float32 | `float` |
//! | Float64 | `double` |
//! | Decimal32, 64, 128, 256 | `decimal(10,2)`; at most 65 digits, 30 of them behind the point |
//! | Utf8, LargeUtf8, Utf8View, Null | `longtext`, compared byte by byte; in a key `varchar(255)` |
//! | Binary, LargeBinary, BinaryView | `longblob`; in a key `varbinary(255)` |
//! | FixedSizeBinary | `binary(16)`; of more than 255 bytes as Binary |
//! | Date32, Date64 | `date` |
//! | Time32, Time64, Duration | `time(6)`; of seconds `time(0)`, of milliseconds `time(3)` |
//! | Timestamp | `datetime(6)`, with as many digits |
//! | Timestamp with a zone | `timestamp(6)`, with as many digits |
//! | Struct, Map, lists | `json` |
//! | Dictionary, RunEndEncoded | as their values |

use std::sync::Arc;

use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::TimeUnit;

use super::flavor::Flavor;
use crate::backend::Comparison;
use crate::columnar::{Limit, json, list_item, plain};
use crate::error::{Error, Result};

/// A type of the server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServerType {
    pub(super) kind: Kind,
    /// A text's characters are not those of UTF-8: the server has to convert them.
    pub(super) is_converted: bool,
}

/// How values of a type travel.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// `tinyint(1)`.
    Bool,
    Int(Width),
    Bit(u32),
    Float,
    Double,
    /// Precision and scale.
    Decimal(u8, i8),
    Year,
    Date,
    /// Digits after the second's point that the column keeps, here and below.
    Time(u32),
    DateTime(u32),
    Timestamp(u32),
    /// `char(n)`: it loses the spaces at its end.
    Char(usize),
    /// `varchar(n)`, `text`.
    Text(Limit),
    /// `binary(n)`: it is padded with zeros.
    Binary(usize),
    /// `varbinary(n)`, `blob`.
    Bytes(usize),
    Json,
    Enum(Arc<[String]>),
    Set(Arc<[String]>),
    Uuid,
    Inet,
    /// Geometries, vectors.
    Other,
}

/// Integers that a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Width {
    pub(super) bits: u32,
    pub(super) unsigned: bool,
}

/// Whether a column rounds what it is given and does not say so: `float(10,2)`, which no standard knows.
pub(super) fn rounds(kind: &Kind, sql_type: &str) -> bool {
    matches!(kind, Kind::Float | Kind::Double) && sql_type.contains(',')
}

/// What `information_schema` says of a type: `COLUMN_TYPE`.
pub(super) fn kind(declared: &str) -> Kind {
    let (name, rest) = declared.split_at(declared.find(['(', ' ']).unwrap_or(declared.len()));
    let arguments = rest.strip_prefix('(').and_then(|rest| rest.rsplit_once(')')).map(|(arguments, _)| arguments);
    let number = |default: usize| arguments.and_then(|text| text.parse().ok()).unwrap_or(default);
    let digits = || number(0) as u32;
    let int = |bits| Kind::Int(Width { bits, unsigned: rest.contains("unsigned") });
    match name {
        "tinyint" if arguments == Some("1") && !rest.contains("unsigned") => Kind::Bool,
        "tinyint" => int(8),
        "smallint" => int(16),
        "mediumint" => int(24),
        "int" => int(32),
        "bigint" => int(64),
        "bit" => Kind::Bit(number(1) as u32),
        "float" => Kind::Float,
        "double" => Kind::Double,
        "decimal" => {
            let (precision, scale) =
                arguments.unwrap_or("10").split_once(',').unwrap_or((arguments.unwrap_or(""), "0"));
            match (precision.trim().parse(), scale.trim().parse()) {
                (Ok(precision), Ok(scale)) => Kind::Decimal(precision, scale),
                _ => Kind::Other,
            }
        }
        "year" => Kind::Year,
        "date" => Kind::Date,
        "time" => Kind::Time(digits()),
        "datetime" => Kind::DateTime(digits()),
        "timestamp" => Kind::Timestamp(digits()),
        "char" => Kind::Char(number(1)),
        "varchar" => Kind::Text(Limit::Characters(number(0))),
        "tinytext" => Kind::Text(Limit::Bytes(0xff)),
        "text" => Kind::Text(Limit::Bytes(0xffff)),
        "mediumtext" => Kind::Text(Limit::Bytes(0xff_ffff)),
        "longtext" => Kind::Text(Limit::Bytes(0xffff_ffff)),
        "binary" => Kind::Binary(number(1)),
        "varbinary" => Kind::Bytes(number(0)),
        "tinyblob" => Kind::Bytes(0xff),
        "blob" => Kind::Bytes(0xffff),
        "mediumblob" => Kind::Bytes(0xff_ffff),
        "longblob" => Kind::Bytes(0xffff_ffff),
        "json" => Kind::Json,
        "enum" => Kind::Enum(members(arguments.unwrap_or_default())),
        "set" => Kind::Set(members(arguments.unwrap_or_default())),
        "uuid" => Kind::Uuid,
        "inet4" | "inet6" => Kind::Inet,
        _ => Kind::Other,
    }
}

/// The members of an `enum` or a `set`: `'a','it''s'`.
fn members(list: &str) -> Arc<[String]> {
    let mut members = Vec::new();
    let mut characters = list.chars().peekable();
    while characters.by_ref().any(|character| character == '\'') {
        let mut member = String::new();
        while let Some(character) = characters.next() {
            match character {
                '\'' if characters.next_if_eq(&'\'').is_none() => break,
                // So whatever the session's sql_mode is.
                '\\' => member.push(match characters.next() {
                    Some('0') => '\0',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    other => other.unwrap_or('\\'),
                }),
                character => member.push(character),
            }
        }
        members.push(member);
    }
    members.into()
}

const MICROS: TimeUnit = TimeUnit::Microsecond;

impl ServerType {
    /// The Arrow type that a column is read as when nobody asks for another.
    pub(super) fn arrow_type(&self) -> DataType {
        match &self.kind {
            Kind::Bool | Kind::Bit(1) => Boolean,
            Kind::Int(width) => width.arrow_type(),
            Kind::Bit(_) => UInt64,
            Kind::Float => Float32,
            Kind::Double => Float64,
            Kind::Decimal(precision @ 0..=38, scale) => Decimal128(*precision, *scale),
            Kind::Decimal(precision, scale) => Decimal256(*precision, *scale),
            Kind::Year => UInt16,
            Kind::Date => Date32,
            Kind::Time(_) => Time64(MICROS),
            Kind::DateTime(_) => Timestamp(MICROS, None),
            Kind::Timestamp(_) => Timestamp(MICROS, Some("+00:00".into())),
            Kind::Binary(_) | Kind::Bytes(_) | Kind::Other => BinaryView,
            _ => Utf8View,
        }
    }

    /// Whether it can be read as `to` itself, not by way of [`ServerType::arrow_type`].
    pub(super) fn reads_as(&self, to: &DataType) -> bool {
        match (&self.kind, to) {
            _ if *to == self.arrow_type() => true,
            (Kind::Bool, t) => t.is_signed_integer(),
            (Kind::Bit(_), t) => t.is_unsigned_integer(),
            (Kind::Int(_), Boolean) | (Kind::Decimal(_, _), Float32 | Float64) => true,
            (Kind::Time(_), Duration(_)) | (Kind::Uuid, FixedSizeBinary(16)) => true,
            (Kind::Binary(_) | Kind::Bytes(_), FixedSizeBinary(_)) => true,
            (Kind::Json, Struct(_) | Map(_, _)) => json::json_type(to).is_some(),
            (Kind::Json, t) if list_item(t).is_some() => json::json_type(to).is_some(),
            _ => false,
        }
    }

    /// Whether a comparison on the server gives DataFusion's answer; `by_bytes` says whether texts compare so.
    pub(super) fn comparison(&self, by_bytes: bool) -> Comparison {
        match &self.kind {
            Kind::Bool | Kind::Int(_) | Kind::Bit(_) | Kind::Decimal(_, _) => Comparison::Exact,
            Kind::Date | Kind::Time(_) | Kind::DateTime(_) | Kind::Timestamp(_) => Comparison::Exact,
            Kind::Float | Kind::Double => Comparison::SignedZero,
            Kind::Uuid => Comparison::Folded,
            // A text that the column's character set lacks is an error there.
            _ if self.is_converted => Comparison::Differs,
            // The server sorts by the first bytes (max_sort_length).
            Kind::Text(Limit::Characters(0..=255)) if by_bytes => Comparison::Exact,
            Kind::Text(_) if by_bytes => Comparison::Equality,
            Kind::Char(_) | Kind::Text(_) | Kind::Enum(_) | Kind::Set(_) => Comparison::Folded,
            _ => Comparison::Differs,
        }
    }
}

impl Width {
    /// The smallest type of Arrow that holds them.
    pub(super) fn arrow_type(self) -> DataType {
        match (self.bits, self.unsigned) {
            (8, false) => Int8,
            (16, false) => Int16,
            (24 | 32, false) => Int32,
            (_, false) => Int64,
            (8, true) => UInt8,
            (16, true) => UInt16,
            (24 | 32, true) => UInt32,
            (_, true) => UInt64,
        }
    }
}

/// The Arrow type to bring a plain type to first; `None` where there is no way.
pub(super) fn choose(from: &DataType, server: &ServerType) -> Option<DataType> {
    let is_text = matches!(from, Utf8 | LargeUtf8 | Utf8View);
    let is_binary = matches!(from, Binary | LargeBinary | BinaryView | FixedSizeBinary(_));
    Some(match (&server.kind, from) {
        (_, Null) => Null,
        (Kind::Bool | Kind::Bit(1), Boolean) => Boolean,
        (Kind::Bool, t) if t.is_numeric() => Int8,
        (Kind::Bit(_), t) if t.is_numeric() => UInt64,
        (Kind::Year, t) if t.is_numeric() => UInt16,
        // By their digits: arithmetic would make 5.0 a 4.999….
        (Kind::Decimal(_, _), Float16 | Float32) => Float32,
        (Kind::Decimal(_, _), Float64) => Float64,
        (Kind::Int(_) | Kind::Float | Kind::Double | Kind::Decimal(_, _), t) if t.is_numeric() => server.arrow_type(),
        (Kind::Date, Date32 | Date64) => Date32,
        (Kind::Time(_), Time32(_) | Time64(_)) => Time64(MICROS),
        (Kind::Time(_), Duration(_)) => Duration(MICROS),
        (Kind::DateTime(_), Timestamp(_, None)) => Timestamp(MICROS, None),
        (Kind::Timestamp(_), Timestamp(_, Some(_))) => Timestamp(MICROS, Some("+00:00".into())),
        (Kind::Char(_) | Kind::Text(_) | Kind::Enum(_) | Kind::Set(_) | Kind::Json, _) if is_text => Utf8View,
        (Kind::Uuid | Kind::Inet, _) if is_text => Utf8View,
        (Kind::Uuid, FixedSizeBinary(16)) => from.clone(),
        // Arrow has no way back from BinaryView, by which it could be checked.
        (Kind::Binary(_) | Kind::Bytes(_), FixedSizeBinary(_)) => from.clone(),
        (Kind::Binary(_) | Kind::Bytes(_), _) if is_binary => BinaryView,
        (Kind::Json, _) if from.is_nested() => json::json_type(from).is_some().then(|| from.clone())?,
        _ => return None,
    })
}

/// The type that `CREATE TABLE` declares for an Arrow type.
///
/// # Errors
/// `Schema` for a type that has no form in MySQL.
pub(super) fn declare(data_type: &DataType, is_key: bool, flavor: Flavor) -> Result<String> {
    let none = || Error::schema(format!("MySQL has no type for {data_type}: cast it in the query"));
    // What is finer the option 'nanoseconds' cuts off, or refuses.
    let digits = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond | TimeUnit::Nanosecond => 6,
    };
    Ok(match data_type {
        Dictionary(_, _) | RunEndEncoded(_, _) => declare(plain(data_type), is_key, flavor)?,
        Boolean => "tinyint(1)".into(),
        Int8 => "tinyint".into(),
        Int16 => "smallint".into(),
        Int32 => "int".into(),
        Int64 => "bigint".into(),
        UInt8 => "tinyint unsigned".into(),
        UInt16 => "smallint unsigned".into(),
        UInt32 => "int unsigned".into(),
        UInt64 => "bigint unsigned".into(),
        Float16 | Float32 => "float".into(),
        Float64 => "double".into(),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => {
            let (precision, scale) = (i32::from(*precision) - i32::from(*scale).min(0), (*scale).max(0));
            match (precision, scale) {
                (..=65, ..=30) => format!("decimal({precision},{scale})"),
                _ => return Err(none()),
            }
        }
        Utf8 | LargeUtf8 | Utf8View | Null => {
            let name = if is_key { "varchar(255)" } else { "longtext" };
            format!("{name} CHARACTER SET utf8mb4 COLLATE {}", flavor.bytewise_collation())
        }
        FixedSizeBinary(bytes @ 0..=255) => format!("binary({bytes})"),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => {
            if is_key { "varbinary(255)" } else { "longblob" }.into()
        }
        Date32 | Date64 => "date".into(),
        Time32(unit) | Time64(unit) | Duration(unit) => format!("time({})", digits(unit)),
        Timestamp(unit, None) => format!("datetime({})", digits(unit)),
        Timestamp(unit, Some(_)) => format!("timestamp({})", digits(unit)),
        t if t.is_nested() && json::json_type(t).is_some() => "json".into(),
        _ => return Err(none()),
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn the_guide_says_what_each_server_type_is_written_from() {
        let list = List(Arc::new(Field::new("item", Int64, true)));
        let entries = Struct(vec![Field::new("keys", Utf8, false), Field::new("values", Int64, true)].into());
        let map = Map(Arc::new(Field::new("entries", entries, false)), false);
        let structure = Struct(vec![Field::new("a", Int64, true)].into());
        let utc = || Some("UTC".into());
        let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        let numbers = [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float16, Float32, Float64];
        let decimals = [Decimal32(9, 2), Decimal64(18, 2), Decimal128(10, 2), Decimal256(65, 30)];
        let texts = [Utf8, LargeUtf8, Utf8View];
        let bytes = [Binary, LargeBinary, BinaryView];
        let fixed = [FixedSizeBinary(7), FixedSizeBinary(16)];
        let times = [Time32(units[0]), Time32(units[1]), Time64(units[2]), Time64(units[3])];
        let nested = [structure, map, list];
        let mut candidates = vec![Null, Boolean, Date32, Date64];
        candidates.extend(numbers.iter().chain(&decimals).chain(&texts).chain(&bytes).chain(&fixed).cloned());
        candidates.extend(times.iter().chain(&nested).cloned());
        candidates.extend(units.map(Duration));
        candidates.extend(units.map(|unit| Timestamp(unit, None)));
        candidates.extend(units.map(|unit| Timestamp(unit, utc())));

        let rows = include_str!("types.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.trim_end_matches(" |").split(" | ").collect()).collect();
        let servers = rows.iter().filter(|row| row.len() == 3 && !row[0].starts_with(['s', '-']));
        let mut checked = 0;
        for row in servers {
            let server = ServerType { kind: kind(row[0].trim_matches('`')), is_converted: false };
            assert_eq!(server.kind == Kind::Other, row[0] == "any other", "{}", row[0]);
            assert_eq!(server.arrow_type().to_string(), row[1], "{}", row[0]);
            for from in &candidates {
                let is_said = match from {
                    Null => true,
                    Boolean => row[2].contains("Boolean"),
                    t if t.is_numeric() => row[2].contains("every number that fits"),
                    Utf8 | LargeUtf8 | Utf8View => row[2].starts_with("text"),
                    FixedSizeBinary(16) => row[2].starts_with("binary") || row[2].contains("FixedSizeBinary(16)"),
                    Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => row[2].starts_with("binary"),
                    Date32 | Date64 => row[2].starts_with("dates"),
                    Time32(_) | Time64(_) => row[2].starts_with("times;"),
                    Duration(_) => row[2].contains("durations"),
                    Timestamp(_, None) => row[2].starts_with("timestamps without a zone"),
                    Timestamp(_, Some(_)) => row[2].starts_with("timestamps with a zone"),
                    _ => row[2].contains("Struct, Map, lists"),
                };
                assert_eq!(choose(from, &server).is_some(), is_said, "{from} into {}", row[0]);
            }
            checked += 1;
        }
        assert_eq!(checked, 35, "rows of the first table");

        let created: Vec<_> = rows.iter().filter(|row| row.len() == 2 && !row[0].starts_with(['-', 'A'])).collect();
        for row in &created {
            let examples: Vec<DataType> = match row[0] {
                "Float16, Float32" => vec![Float16, Float32],
                "Decimal32, 64, 128, 256" => {
                    vec![Decimal32(9, 2), Decimal64(10, 2), Decimal128(10, 2), Decimal256(65, 30), Decimal128(5, -2)]
                }
                "Utf8, LargeUtf8, Utf8View, Null" => texts.iter().chain([&Null]).cloned().collect(),
                "Binary, LargeBinary, BinaryView" => bytes.to_vec(),
                "FixedSizeBinary" => vec![FixedSizeBinary(16), FixedSizeBinary(300)],
                "Date32, Date64" => vec![Date32, Date64],
                "Time32, Time64, Duration" => times.iter().cloned().chain(units.map(Duration)).collect(),
                "Timestamp" => units.map(|unit| Timestamp(unit, None)).into(),
                "Timestamp with a zone" => units.map(|unit| Timestamp(unit, utc())).into(),
                "Struct, Map, lists" => nested.to_vec(),
                "Dictionary, RunEndEncoded" => vec![Dictionary(Int8.into(), Int64.into())],
                name => numbers.iter().chain([&Boolean]).filter(|t| t.to_string() == name).cloned().collect(),
            };
            assert!(!examples.is_empty(), "no example of {}", row[0]);
            let said: Vec<&str> = row[1].split('`').skip(1).step_by(2).collect();
            for example in examples {
                for (is_key, is_said) in [(false, said.first()), (true, said.last())] {
                    let declared = declare(&example, is_key, Flavor::MariaDb((10, 11, 0))).unwrap_or_default();
                    let name = |declared: &str| declared.split(['(', ' ']).next().unwrap_or_default().to_owned();
                    let is_as_said = match (&example, is_said) {
                        (FixedSizeBinary(300), _) => declared == if is_key { "varbinary(255)" } else { "longblob" },
                        (Dictionary(_, _), _) => declared == "bigint",
                        (_, Some(said)) => name(&declared) == name(said),
                        (_, None) => false,
                    };
                    assert!(is_as_said, "{example} is created as {declared}, and the guide says {}", row[1]);
                    let server = ServerType { kind: kind(&declared), is_converted: false };
                    assert!(choose(plain(&example), &server).is_some(), "{example} into {declared}");
                }
            }
        }
        assert_eq!(created.len(), 21, "rows of the second table");
        for none in [Decimal256(66, 0), Decimal128(38, 31), Interval(arrow::datatypes::IntervalUnit::DayTime)] {
            assert!(declare(&none, false, Flavor::MariaDb((10, 11, 0))).is_err(), "{none}");
        }
    }

    #[test]
    fn members_are_unescaped() {
        let expected = ["a\\b", "n\nl", "it's", "", "0\0z", "r\r,"].map(str::to_owned);
        assert_eq!(kind(r"enum('a\\b','n\nl','it''s','','0\0z','r\r,')"), Kind::Enum(Arc::from(expected)));
    }
}
