//! Declared type ↔ Arrow type ↔ how values are stored.
//!
//! SQLite has five storage classes. A declared type is a text that determines how stored values are converted (its
//! *affinity*). Landfall declares the Arrow type in this text, so that a table is read as it was written:
//!
#![doc = include_str!("../../docs/types/sqlite.md")]
//!
//! Time, Timestamp, Duration, Decimal and lists with other units, sizes and items are stored like the types of the same
//! kind in the table above. Dictionary and RunEndEncoded arrays are stored like their values.
//!
//! The encodings of text and binary, dictionaries and run ends are not stored: such columns are read as Utf8View,
//! BinaryView or the plain type, unless the columns are listed when the table is registered, which reads exactly those
//! types. All other types are read as they were written. Writing a Union is an error.
//!
//! Tables that Landfall did not create are read by these rules; the first match wins: `BOOL`, `BOOLEAN`; `DATE`;
//! `DATETIME`, `TIMESTAMP` (µs); `TIMESTAMPTZ`; `TIME` (µs); `DECIMAL(p,s)`, `NUMERIC(p,s)` (Decimal128); affinity
//! INTEGER (Int64), REAL (Float64), TEXT (Utf8View); `BLOB` (BinaryView); `DECIMAL`, `NUMERIC`, `NUMBER` (Float64);
//! anything else Utf8View. Reading a stored value whose type differs from the type of its column is an error that names
//! the value. A comparison does not find such a value: `n > 15` is not true for the text `abc`, although SQLite orders
//! this text after every number.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::affinity::Affinity;
use super::codec::{Codec, Family, blobs, booleans, decimals, integers, json, null, reals, temporal, texts, unsigned};
use super::options::Uint64;
use crate::columnar::plain;
use crate::error::{Error, Result};

/// The order in which they are tried, and in which the guide shows them.
const FAMILIES: &[Family] = &[
    booleans::FAMILY,
    unsigned::FAMILY,
    integers::FAMILY,
    reals::FAMILY,
    decimals::FAMILY,
    texts::FAMILY,
    blobs::FAMILY,
    temporal::FAMILY,
    json::FAMILY,
    null::FAMILY,
];

/// The codec of a plain Arrow type in a column of that affinity; `None` if it cannot be stored.
pub(super) fn codec(data_type: &DataType, affinity: Affinity) -> Option<Arc<dyn Codec>> {
    FAMILIES.iter().find_map(|family| (family.codec)(data_type, affinity))
}

/// The type that `CREATE TABLE` declares for an Arrow type, as SQL.
///
/// # Errors
/// `Schema` for a type that SQLite cannot store.
pub(super) fn declare(data_type: &DataType, uint64: Uint64) -> Result<String> {
    let data_type = plain(data_type);
    if let Some(declared) = FAMILIES.iter().find_map(|family| (family.declare)(data_type, uint64)) {
        return Ok(declared);
    }
    let name = data_type.to_string();
    let can_be_read_back = name.parse::<DataType>().is_ok_and(|parsed| parsed == *data_type);
    if codec(data_type, Affinity::of(&name)).is_none() || !can_be_read_back {
        return Err(Error::schema(format!(
            "SQLite has no type for Arrow type {data_type}: CAST the value, or its fields, to other types in the query"
        )));
    }
    // Always quoted, because some names, such as NULL, are SQL keywords.
    Ok(crate::sql::quote(&name))
}

/// The Arrow type that a declared type is read as: the one that [`declare`] wrote, or by the rules for other tables.
pub(super) fn arrow_type(declared: &str) -> DataType {
    if let Some(own) = declared_by_landfall(declared) {
        return own;
    }
    let upper = declared.to_ascii_uppercase();
    let (word, arguments) = match upper.split_once('(') {
        Some((word, rest)) => (word.trim(), rest.split_once(')').map(|(arguments, _)| arguments)),
        None => (upper.trim(), None),
    };
    if let Some(known) = FAMILIES.iter().find_map(|family| (family.declared)(word, arguments)) {
        return known;
    }
    match Affinity::of(declared) {
        Affinity::Integer => DataType::Int64,
        Affinity::Real => DataType::Float64,
        Affinity::Blob if !declared.is_empty() => DataType::BinaryView,
        Affinity::Numeric if ["DECIMAL", "NUMERIC", "NUMBER"].contains(&word) => DataType::Float64,
        _ => DataType::Utf8View,
    }
}

fn declared_by_landfall(declared: &str) -> Option<DataType> {
    let name = declared.strip_prefix("TEXT ").map_or(declared, |quoted| quoted.trim_matches('"'));
    let data_type: DataType = name.parse().ok()?;
    let written = declare(&data_type, Uint64::Error).ok()?;
    // SQLite stores a declared type without its quotes, unless a word precedes it.
    let kept = match written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => written,
    };
    (kept == declared).then_some(data_type)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt::Write;

    use arrow::datatypes::DataType::*;
    use arrow::datatypes::{Field, Fields, IntervalUnit, TimeUnit};

    use super::super::codec::Class;
    use super::*;
    use crate::columnar::type_table::check_document;

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

    /// The type of a column in SQLite's catalog after it was declared in this way.
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
            let codec = codec(&data_type, affinity).unwrap();
            if codec.takes_numbers() {
                assert!(!affinity.makes_numbers(), "{declared} has affinity {affinity:?}");
            }
            assert!(!codec.is_made_number(), "{declared}");
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

    /// The table of the guide. A type that the option `uint64` declares differently has a second row.
    fn table() -> String {
        let mut table = String::from("| Arrow type | declared as | stored as |\n| --- | --- | --- |\n");
        for name in FAMILIES.iter().flat_map(|family| family.types) {
            let data_type: DataType = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            let [plain, text] = [Uint64::Error, Uint64::Text].map(|uint64| declare(&data_type, uint64).unwrap());
            let mut row = |name: &str, declared: &str| {
                let codec = codec(&data_type, Affinity::of(&kept(declared))).unwrap();
                let class = match codec.class() {
                    Class::Null => "NULL",
                    Class::Integer => "INTEGER",
                    Class::Real => "REAL",
                    Class::Text => "TEXT",
                    Class::Blob => "BLOB",
                };
                let stored_as = [class, codec.stored_as()].join(", ");
                writeln!(table, "| {name} | `{declared}` | {} |", stored_as.trim_end_matches(", ")).unwrap();
            };
            row(name, &plain);
            if text != plain {
                row(&format!("{name}, with `uint64 = text`"), &text);
            }
        }
        table
    }

    #[test]
    fn the_guide_has_the_table_that_the_codecs_make() {
        check_document("types/sqlite.md", &table());
    }

    #[test]
    fn a_type_that_could_not_be_read_back_is_refused() {
        let union = Union(arrow::datatypes::UnionFields::empty(), arrow::datatypes::UnionMode::Sparse);
        assert!(declare(&union, Uint64::Error).is_err());
        // Arrow prints such a name as part of the type, but does not parse it.
        let quote = Struct(Fields::from(vec![Field::new("a \"b\"", Int32, true)]));
        assert!(declare(&quote, Uint64::Error).is_err());
    }
}
