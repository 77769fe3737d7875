//! Server type ↔ Arrow type.
//!
//! The server type of a column, read from `information_schema`, and the Arrow type of the values select the encoder. A
//! value is stored unchanged, or the write fails with an error that names the value.
//!
#![doc = include_str!("../../docs/types/mysql.md")]
//!
//! # Differences
//!
//! *Numbers* are integers, decimals and floats; *text* is Utf8, LargeUtf8 or Utf8View; *binary* is Binary, LargeBinary,
//! BinaryView or FixedSizeBinary. A Dictionary or RunEndEncoded array is written as its values. Null can be written to
//! any column. If you list the columns when you register the table, they are read as the listed types, provided that
//! these types can hold the values: `tinyint(1)` as TINYINT, `json` as Struct, `uuid` as FixedSizeBinary(16), `time` as
//! Duration.
//!
//! Members of an `enum` or a `set` with four-byte characters, which the server shows as `?`, cannot be written. Reading
//! a `tinyint(1)` other than 0 and 1, a zero date (`0000-00-00`), or a `time` that is not a time of day is an error.
//! Writing NaN or infinity is an error. A `set` preserves neither order nor duplicates of its members. A `uuid` is
//! returned in lower case, and an address in its shortest form. MariaDB 10.11.19 and newer stores -0.0 as 0.0.
//! `float(10,2)` and `double(10,2)` round silently; writing to them is an error. MySQL's `json` (not MariaDB's) is
//! normalized by the server, which sorts the keys. MariaDB's JSON type is `longtext` with a CHECK on `json_valid`;
//! Landfall recognizes the type by this CHECK.
//!
//! A `tinyint(1)` accepts 0 and 1. For other numbers, register the table with its columns: `CREATE EXTERNAL TABLE t
//! (stars TINYINT) …`.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::codec::{
    Codec, Declared, Family, NewType, binary, bits, boolean, decimal, floats, integers, json, members, network, other,
    temporal, texts, uuid,
};
use super::flavor::Flavor;
use crate::columnar::plain;
use crate::error::{Error, Result};

/// Every family, in the order of the guide and of the lookup.
const FAMILIES: &[Family] = &[
    boolean::FAMILY,
    integers::FAMILY,
    bits::FAMILY,
    floats::FAMILY,
    decimal::FAMILY,
    temporal::FAMILY,
    texts::FAMILY,
    binary::FAMILY,
    json::FAMILY,
    members::FAMILY,
    uuid::FAMILY,
    network::FAMILY,
];

/// The codec of a declared type.
pub(super) fn codec(declared: &Declared<'_>) -> Arc<dyn Codec> {
    let found = FAMILIES.iter().find_map(|family| (family.codec)(declared));
    found.unwrap_or_else(|| Arc::new(other::Other))
}

/// The type that `CREATE TABLE` declares for an Arrow type.
///
/// # Errors
/// `Schema` if MySQL has no type for it.
pub(super) fn declare(data_type: &DataType, is_key: bool, flavor: Flavor) -> Result<String> {
    let data_type = plain(data_type);
    let new = NewType { data_type, is_key, flavor };
    let declared = FAMILIES.iter().find_map(|family| (family.declare)(&new));
    declared.ok_or_else(|| {
        Error::schema(format!(
            "MySQL has no type for Arrow type {data_type}: CAST the value to another type in the query"
        ))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::datatypes::IntervalUnit;
    use std::fmt::Write;

    use super::*;
    use crate::columnar::type_table::{check_document, written_from};

    const FLAVOR: Flavor = Flavor::MariaDb((10, 11, 0));

    fn columns() -> String {
        let mut table = String::from("| server type | read as | written from | limits |\n| --- | --- | --- | --- |\n");
        let mut row = |name: &str, codec: &dyn Codec, limits: &str| {
            let written = written_from(|from| codec.accepts(from).is_some());
            writeln!(table, "| {name} | {} | {written} | {limits} |", codec.arrow_type()).unwrap();
        };
        for (name, limits) in FAMILIES.iter().flat_map(|family| family.types) {
            let codec = codec(&Declared::parse(name));
            assert!(codec.is_written(), "{name} is of no family");
            row(&format!("`{name}`"), &*codec, limits);
        }
        row("any other", &other::Other, "");
        table
    }

    fn new_tables() -> String {
        let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
        for (name, note) in FAMILIES.iter().flat_map(|family| family.created) {
            let data_type: DataType = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            let [plain, key] = [false, true].map(|is_key| declare(&data_type, is_key, FLAVOR).unwrap());
            for declared in [&plain, &key] {
                let codec = codec(&Declared::parse(declared));
                let is_written = data_type == DataType::Null || codec.accepts(&data_type).is_some();
                assert!(is_written, "{name} into {declared}");
            }
            let mut created = format!("`{plain}`");
            if key != plain {
                write!(created, "; in a key `{key}`").unwrap();
            }
            if !note.is_empty() {
                write!(created, "; {note}").unwrap();
            }
            match rows.last_mut() {
                Some((names, last)) if *last == created => names.push(name),
                _ => rows.push((vec![name], created)),
            }
        }
        let rows = rows.iter().map(|(names, created)| format!("| {} | {created} |\n", names.join(", ")));
        format!("| Arrow type | created as |\n| --- | --- |\n{}", rows.collect::<String>())
    }

    #[test]
    fn the_guide_has_the_tables_that_the_codecs_make() {
        let document = format!(
            "# Existing columns\n\n{}\n# New tables\n\nLandfall creates tables with the engine InnoDB and these \
             types, listed for MariaDB. Dictionary and RunEndEncoded columns get the types of their values.\n\n{}",
            columns(),
            new_tables()
        );
        check_document("types/mysql.md", &document);
    }

    #[test]
    fn what_the_server_has_not_is_an_error() {
        for none in ["Decimal256(66, 0)", "Decimal128(38, 31)", "Interval(DayTime)"] {
            assert!(declare(&none.parse().unwrap(), false, FLAVOR).is_err(), "{none}");
        }
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int64));
        assert_eq!(declare(&dictionary, false, FLAVOR).unwrap(), "bigint");
        assert!(declare(&DataType::Interval(IntervalUnit::DayTime), true, FLAVOR).is_err());
    }
}
