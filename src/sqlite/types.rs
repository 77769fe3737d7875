//! Declared type ↔ Arrow type ↔ how values are stored.
//!
//! SQLite has five storage classes, and a declared type is a text that says how values are converted on their way in
//! (its *affinity*). Landfall writes the Arrow type into that text, so that a table reads back as it was written:
//!
//! | Arrow type | declared as | stored as |
//! | --- | --- | --- |
//! | Boolean | `BOOLEAN` | INTEGER 0 or 1 |
//! | Int64 | `INTEGER` | INTEGER |
//! | Int8, Int16, Int32, UInt8, UInt16, UInt32 | `"Int32"` … | INTEGER |
//! | UInt64 | `"UInt64"` | INTEGER; beyond 9223372036854775807 an error |
//! | UInt64, with `uint64 = text` | `UNSIGNED TEXT` | TEXT, decimal digits |
//! | Float64 | `REAL` | REAL; NaN is an error, as SQLite makes it NULL; -0.0 is stored as 0.0 |
//! | Float16, Float32 | `"Float32"` … | REAL |
//! | Decimal32, 64, 128, 256 | `TEXT "Decimal128(10, 2)"` … | TEXT, every digit |
//! | Utf8, LargeUtf8, Utf8View | `TEXT` | TEXT |
//! | Binary, LargeBinary, BinaryView | `BLOB` | BLOB |
//! | FixedSizeBinary | `"FixedSizeBinary(16)"` | BLOB |
//! | Date32 | `DATE` | TEXT `2013-01-31`; years 0000 to 9999, also below |
//! | Date64 | `"Date64"` | TEXT `2013-01-31`; part of a day is an error |
//! | Time32, Time64 | `"Time64(µs)"` … | TEXT `23:59:59.999999` |
//! | Timestamp(µs) | `TIMESTAMP` | TEXT `2013-01-31 23:59:59.999999` |
//! | Timestamp in other units | `"Timestamp(ns)"` … | TEXT, as many digits as the unit has |
//! | Timestamp with a zone | `"Timestamp(ms, "UTC")"` … | TEXT, in UTC, with `Z` at the end |
//! | Duration | `"Duration(ms)"` … | INTEGER, in the unit |
//! | Interval | `"Interval(MonthDayNano)"` … | TEXT, ISO 8601: `P1M2DT3.5S` |
//! | Lists, Struct, Map | `"List(Int32)"` … | TEXT, JSON; values that JSON has no form for as in this table |
//! | Null | `"Null"` | NULL |
//! | Dictionary, RunEndEncoded | as their values | as their values |
//!
//! Text, binary, dictionary and run-end encodings are one type each in SQLite: they are read back as Utf8View,
//! BinaryView or the plain type, unless the columns are given when the table is registered, which brings back
//! exactly those. Everything else comes back as it went in. Union is refused.
//!
//! A table that others made is read by these rules, first match wins: `BOOL`, `BOOLEAN`; `DATE`; `DATETIME`,
//! `TIMESTAMP` (µs); `TIMESTAMPTZ`; `TIME` (µs); `DECIMAL(p,s)`, `NUMERIC(p,s)` (Decimal128); affinity INTEGER
//! (Int64), REAL (Float64), TEXT (Utf8View); `BLOB` (BinaryView); `DECIMAL`, `NUMERIC`, `NUMBER` (Float64);
//! anything else Utf8View. A stored value that is not of its column's type is an error that names it when it is read, and a
//! comparison does not find it: `n > 15` is not true of the text `abc`, which SQLite finds larger than every number.

use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::TimeUnit;

use super::options::Uint64;
use crate::backend::{Column, Comparison};
use crate::columnar::plain;
use crate::error::{Error, Result};

/// How SQLite converts values of a column: <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    /// That of a column, which is kept where its declared type does not tell it.
    pub(super) fn of_column(column: &Column) -> Self {
        column.detail.get().copied().unwrap_or_else(|| Self::of(&column.sql_type))
    }

    /// That of a column of a STRICT table: `ANY` converts nothing there.
    pub(super) fn of_strict(declared: &str) -> Self {
        if declared.eq_ignore_ascii_case("ANY") { Self::Blob } else { Self::of(declared) }
    }

    pub(super) fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |word| declared.contains(word);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || declared.is_empty() {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// A declared type that has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Text => "TEXT",
            Self::Blob => "BLOB",
            Self::Real => "REAL",
            Self::Numeric => "NUMERIC",
        }
    }

    /// Whether text that looks like a number is stored as one.
    pub(super) fn makes_numbers(self) -> bool {
        !matches!(self, Self::Text | Self::Blob)
    }
}

/// The form in which values of an Arrow type are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Null,
    Boolean,
    Integer,
    UnsignedText,
    Real,
    DecimalText,
    /// A decimal in a column that makes numbers of text: 15 digits are safe.
    DecimalNumber,
    Text,
    Blob,
    Date,
    Time,
    Timestamp,
    Interval,
    Json,
}

impl Form {
    /// The form of a plain Arrow type in a column of that affinity; `None` where it cannot be stored.
    pub(super) fn of(data_type: &DataType, affinity: Affinity) -> Option<Self> {
        Some(match data_type {
            Null => Self::Null,
            Boolean => Self::Boolean,
            UInt64 if !affinity.makes_numbers() => Self::UnsignedText,
            t if t.is_integer() => Self::Integer,
            Duration(_) => Self::Integer,
            Float16 | Float32 | Float64 => Self::Real,
            t if t.is_decimal() => match affinity.makes_numbers() {
                true => Self::DecimalNumber,
                false => Self::DecimalText,
            },
            Utf8 | LargeUtf8 | Utf8View => Self::Text,
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Self::Blob,
            Date32 | Date64 => Self::Date,
            Time32(_) | Time64(_) => Self::Time,
            Timestamp(_, _) => Self::Timestamp,
            Interval(_) => Self::Interval,
            List(_) | LargeList(_) | ListView(_) | LargeListView(_) | FixedSizeList(_, _) | Struct(_) | Map(_, _) => {
                Self::Json
            }
            _ => return None,
        })
    }

    pub(super) fn comparison(self, data_type: &DataType) -> Comparison {
        match (self, data_type) {
            (_, Float16 | Float32 | Duration(_)) => Comparison::Differs,
            (Self::Boolean | Self::Integer | Self::Real | Self::Text, _) => Comparison::Exact,
            (Self::Date | Self::Timestamp, _) => Comparison::IsoText,
            // The text `null` is read as NULL, which it is not in the database.
            (Self::Json, _) => Comparison::Nothing,
            _ => Comparison::Differs,
        }
    }
}

/// The type that `CREATE TABLE` declares for an Arrow type, ready to stand in the statement.
///
/// # Errors
/// `Schema` for a type that has no form in SQLite.
pub(super) fn declare(data_type: &DataType, uint64: Uint64) -> Result<String> {
    Ok(match data_type {
        Dictionary(_, _) | RunEndEncoded(_, _) => declare(plain(data_type), uint64)?,
        Boolean => "BOOLEAN".into(),
        Int64 => "INTEGER".into(),
        Float64 => "REAL".into(),
        Utf8 | LargeUtf8 | Utf8View => "TEXT".into(),
        Binary | LargeBinary | BinaryView => "BLOB".into(),
        Date32 => "DATE".into(),
        Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP".into(),
        UInt64 if uint64 == Uint64::Text => "UNSIGNED TEXT".into(),
        t if t.is_decimal() => format!("TEXT \"{t}\""),
        t => {
            let name = t.to_string();
            let can_be_read_back = name.parse::<DataType>().is_ok_and(|parsed| parsed == *t);
            if Form::of(t, Affinity::of(&name)).is_none() || !can_be_read_back {
                return Err(Error::schema(format!("SQLite has no type for {t}: cast it, or its fields, in the query")));
            }
            // Quoted even where it need not be: NULL is a word of SQL.
            crate::sql::quote(&name)
        }
    })
}

/// The Arrow type that a declared type is read as: what [`declare`] wrote, or the rules for foreign tables.
pub(super) fn arrow_type(declared: &str) -> DataType {
    if let Some(own) = declared_by_landfall(declared) {
        return own;
    }
    let upper = declared.to_ascii_uppercase();
    let (word, arguments) = match upper.split_once('(') {
        Some((word, rest)) => (word.trim(), rest.split_once(')').map(|(arguments, _)| arguments)),
        None => (upper.trim(), None),
    };
    match word {
        "BOOL" | "BOOLEAN" => return Boolean,
        "DATE" => return Date32,
        "DATETIME" | "TIMESTAMP" => return Timestamp(TimeUnit::Microsecond, None),
        "TIMESTAMPTZ" => return Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        "TIME" => return Time64(TimeUnit::Microsecond),
        "UNSIGNED TEXT" => return UInt64,
        "DECIMAL" | "NUMERIC" => {
            if let Some(decimal) = arguments.and_then(decimal) {
                return decimal;
            }
        }
        _ => {}
    }
    match Affinity::of(declared) {
        Affinity::Integer => Int64,
        Affinity::Real => Float64,
        Affinity::Blob if !declared.is_empty() => BinaryView,
        Affinity::Numeric if ["DECIMAL", "NUMERIC", "NUMBER"].contains(&word) => Float64,
        _ => Utf8View,
    }
}

fn declared_by_landfall(declared: &str) -> Option<DataType> {
    let name = declared.strip_prefix("TEXT ").map_or(declared, |quoted| quoted.trim_matches('"'));
    let data_type: DataType = name.parse().ok()?;
    let written = declare(&data_type, Uint64::Error).ok()?;
    // SQLite keeps a declared type without its quotes, but not where a word stands before it.
    let kept = match written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => written,
    };
    (kept == declared).then_some(data_type)
}

fn decimal(arguments: &str) -> Option<DataType> {
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=38).contains(&precision) && (0..=precision as i8).contains(&scale)).then_some(Decimal128(precision, scale))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Fields, IntervalUnit};

    use super::*;

    fn all() -> Vec<DataType> {
        let item = |t| Arc::new(Field::new("item", t, true));
        let mut all = vec![
            Null,
            Boolean,
            Int8,
            Int16,
            Int32,
            Int64,
            UInt8,
            UInt16,
            UInt32,
            UInt64,
            Float16,
            Float32,
            Float64,
            Utf8View,
            BinaryView,
            Date32,
            Date64,
            FixedSizeBinary(16),
            Decimal32(7, 2),
            Decimal64(12, -3),
            Decimal128(38, 10),
            Decimal256(76, 0),
            Interval(IntervalUnit::YearMonth),
            Interval(IntervalUnit::DayTime),
            Interval(IntervalUnit::MonthDayNano),
            Time32(TimeUnit::Second),
            Time32(TimeUnit::Millisecond),
            Time64(TimeUnit::Microsecond),
            Time64(TimeUnit::Nanosecond),
            List(item(Int32)),
            LargeList(item(Utf8)),
            FixedSizeList(item(Float32), 3),
            Struct(Fields::from(vec![Field::new("a b, c", Decimal128(10, 2), false), Field::new("c", Date32, true)])),
            Map(
                Arc::new(Field::new(
                    "entries",
                    Struct(Fields::from(vec![Field::new("keys", Utf8, false), Field::new("values", Int32, true)])),
                    false,
                )),
                false,
            ),
        ];
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            all.push(Duration(unit));
            all.extend(
                [None, Some("UTC"), Some("+05:30"), Some("America/New_York")]
                    .map(|zone| Timestamp(unit, zone.map(Into::into))),
            );
        }
        all
    }

    /// What SQLite's own catalog says of a column that was declared so.
    fn kept(declared: &str) -> String {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(&format!("CREATE TABLE t (c {declared} NOT NULL)")).unwrap();
        db.query_row("SELECT type FROM pragma_table_info('t')", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn every_type_is_read_from_the_catalog_as_it_was_declared() {
        for data_type in all() {
            let declared = declare(&data_type, Uint64::Error).unwrap();
            assert_eq!(arrow_type(&kept(&declared)), data_type, "declared as {declared}");
        }
        assert_eq!(arrow_type(&kept(&declare(&UInt64, Uint64::Text).unwrap())), UInt64);
    }

    #[test]
    fn no_declared_type_makes_numbers_of_text_that_must_stay_text() {
        for data_type in all() {
            let declared = declare(&data_type, Uint64::Text).unwrap();
            let affinity = Affinity::of(&kept(&declared));
            let form = Form::of(&data_type, affinity).unwrap();
            if matches!(form, Form::DecimalText | Form::UnsignedText | Form::Text) {
                assert!(!affinity.makes_numbers(), "{declared} has affinity {affinity:?}");
            }
            assert_ne!(form, Form::DecimalNumber, "{declared}");
        }
    }

    #[test]
    fn foreign_types_follow_the_documented_rules() {
        for (declared, expected) in [
            ("BIGINT", Int64),
            ("tinyint(1)", Int64),
            ("INT", Int64),
            ("VARCHAR(20)", Utf8View),
            ("FLOAT", Float64),
            ("DOUBLE PRECISION", Float64),
            ("numeric(10, 2)", Decimal128(10, 2)),
            ("DECIMAL(99,2)", Float64),
            ("NUMERIC", Float64),
            ("", Utf8View),
            ("BLOB", BinaryView),
            ("uuid", Utf8View),
            ("bool", Boolean),
            ("datetime", Timestamp(TimeUnit::Microsecond, None)),
            ("STRING", Utf8View),
            ("Utf8", Utf8View),
        ] {
            assert_eq!(arrow_type(declared), expected, "{declared}");
        }
    }

    #[test]
    fn the_documented_table_says_what_the_code_does() {
        let rows = include_str!("types.rs").lines().filter(|line| line.starts_with("//! | "));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).skip(2).collect();
        assert!(rows.len() >= 20, "the table is somewhere else");
        for row in rows {
            let Some(declared) = row[2].split('`').nth(1) else { continue };
            let read = arrow_type(&kept(declared)).to_string();
            let name = read.split('(').next().unwrap().trim_end_matches("View");
            let of_these = row[1].split(|c: char| !c.is_alphanumeric());
            let lists = name == "List" && row[1].contains("Lists");
            let digits = |t: &str| t.chars().all(|c| c.is_ascii_digit()) && name.ends_with(t) && !t.is_empty();
            assert!(lists || of_these.clone().any(|t| t == name || digits(t)), "{declared} is read as {read}: {row:?}");
        }
    }

    #[test]
    fn a_type_that_could_not_be_read_back_is_refused() {
        let union = Union(arrow::datatypes::UnionFields::empty(), arrow::datatypes::UnionMode::Sparse);
        assert!(declare(&union, Uint64::Error).is_err());
        // Arrow writes such a name into the type, and does not read it.
        let quote = Struct(Fields::from(vec![Field::new("a \"b\"", Int32, true)]));
        assert!(declare(&quote, Uint64::Error).is_err());
    }
}
