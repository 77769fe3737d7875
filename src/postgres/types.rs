//! Server type ↔ Arrow type.
//!
//! The server type of a column, read from `pg_type`, and the Arrow type of the values select the encoder. A value is
//! stored unchanged, or the write fails with an error that names the value. A domain behaves like its base type.
//!
#![doc = include_str!("../../docs/types/postgres.md")]
//!
//! *numbers* are all integers, decimals and floats; *text* is Utf8, LargeUtf8 or Utf8View; *binary* is Binary,
//! LargeBinary, BinaryView or FixedSizeBinary. A Dictionary or RunEndEncoded array is written as its values. Null can
//! be written to any column. If you list the columns when you register the table, they are read as the listed types,
//! provided that these types can hold the values: `numeric` as a Decimal, `uuid` as FixedSizeBinary(16), `json` as
//! Struct, an array as nested lists, and an array, a composite type or `hstore` as VARCHAR, which is the server's text
//! form.
//!
//! A composite type, created by CREATE TYPE or with a table, has a field for each column. A Struct is written by the
//! names of its fields, in any order. A missing field is NULL; an additional field is an error. If only the server can
//! convert one of the fields (`"char"`, and the types of the last row of the table above), the whole value is text. A
//! Struct of NULLs is `(,)`: NULL in PostgreSQL, but not in DataFusion. Text from a data frame is sent to a column of
//! an array or composite type unchanged, and the server converts it. In SQL statements, DataFusion's planner has no
//! such cast: register the column as VARCHAR.
//!
//! An array is read with as many dimensions as its column declares. PostgreSQL does not enforce the declared
//! dimensions; reading a value with another number of dimensions is an error: register the column as VARCHAR, or with
//! the dimensions of its values.
//!
//! Differences: reading the dates and timestamps `infinity`, the time `24:00:00`, and intervals whose nanoseconds
//! exceed 64 bits is an error. Lower bounds of arrays are not read. PostgreSQL has no array of empty arrays. `numeric`
//! has no `-0.0`. The server normalizes a `jsonb` value: its keys are sorted, and it has no `-0.0`; read as a Struct,
//! the value has only the Struct's fields. Values that the server converts from text are rounded as in PostgreSQL's
//! literals: `money`, and the elements and fields of arrays and composite types that are written as text.
//!
//! If the database's encoding is neither UTF8 nor LATIN1, DataFusion sorts the text, and evaluates conditions with
//! non-ASCII characters, because the order of the bytes differs from the order of the characters.
//!
//! To read structs or maps from a `jsonb` column, or to calculate with a `numeric` without a precision, register the
//! table with its columns: `CREATE EXTERNAL TABLE t (price DECIMAL(20, 4), about STRUCT<a INT>) …`.
//!
use std::sync::Arc;

use arrow::datatypes::DataType::{self, *};

use super::codec::{self, Codec, Family};
use crate::columnar::{json, list_item, plain};
use crate::error::{Error, Result};

/// Every family, in the order of the guide.
const FAMILIES: [&Family; 12] = [
    &codec::number::FAMILY,
    &codec::numeric::FAMILY,
    &codec::text::FAMILY,
    &codec::binary::FAMILY,
    &codec::temporal::FAMILY,
    &codec::interval::FAMILY,
    &codec::uuid::FAMILY,
    &codec::json::FAMILY,
    &codec::network::FAMILY,
    &codec::hstore::FAMILY,
    &codec::array::FAMILY,
    &codec::composite::FAMILY,
];

/// The codec of a base type of `pg_type` that is neither an array nor an enum.
pub(super) fn codec(name: &str, typmod: i32) -> Arc<dyn Codec> {
    let found = FAMILIES.iter().find_map(|family| (family.codec)(name, typmod));
    found.unwrap_or_else(codec::text::other)
}

/// The type that `CREATE TABLE` declares for an Arrow type.
///
/// # Errors
/// `Schema` if PostgreSQL has no type for it.
pub(super) fn declare(data_type: &DataType) -> Result<String> {
    let none = || {
        Error::schema(format!(
            "PostgreSQL has no type for Arrow type {data_type}: CAST the value to another type in the query"
        ))
    };
    match data_type {
        Dictionary(_, _) | RunEndEncoded(_, _) => return declare(plain(data_type)),
        Struct(_) | Map(_, _) if json::json_type(data_type).is_none() => return Err(none()),
        _ => {}
    }
    if let Some(declared) = FAMILIES.iter().find_map(|family| (family.declare)(data_type)) {
        return Ok(declared);
    }
    let item = list_item(data_type).ok_or_else(none)?;
    Ok(match declare(item.data_type())? {
        of_json if of_json == "jsonb" => of_json,
        list if list.ends_with("[]") => list,
        item => format!("{item}[]"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, IntervalUnit, TimeUnit};
    use proptest::prelude::*;

    use super::super::codec::array::array;
    use super::super::codec::composite::{CompositeField, composite};
    use super::super::codec::{Example, ServerType};
    use super::super::rows::{Field as Place, ReceivedRows, Values};
    use super::*;
    use crate::columnar::type_table::{check_document, written_from};

    /// The type that a column is read as, in a table of the guide.
    fn read_as(data_type: &DataType) -> String {
        match data_type {
            Map(_, _) => "Map(Utf8, Utf8)".into(),
            Struct(_) => "Struct".into(),
            t => t.to_string().replace("nullable ", ""),
        }
    }

    fn server_types() -> String {
        let mut table = String::from("| server type | read as | written from | limits |\n| --- | --- | --- | --- |\n");
        let other =
            Example { declared: "any other", codec: codec::text::other(), limits: "text that the server can convert" };
        for example in FAMILIES.iter().flat_map(|family| (family.examples)()).chain([other]) {
            let declared = match example.declared {
                words @ ("enums" | "composite types" | "any other") => words.to_owned(),
                declared => format!("`{declared}`"),
            };
            let read = read_as(&example.codec.arrow_type());
            let written = written_from(|from| example.codec.accepts(from).is_some());
            table += &format!("| {declared} | {read} | {written} | {} |\n", example.limits);
        }
        table.replace("|  |", "| |")
    }

    /// Arrow types that are created as the same are a row.
    fn created_types() -> String {
        let (unit, item) = (TimeUnit::Microsecond, || Arc::new(Field::new("item", Int32, true)));
        let fields = Struct(vec![Field::new("keys", Utf8, false), Field::new("values", Int32, true)].into());
        let numbers = [Boolean, Int8, Int16, UInt8, Int32, UInt16, Int64, UInt32, UInt64, Float16, Float32, Float64];
        let named = |data_type: DataType| (data_type.to_string(), data_type);
        let mut samples: Vec<(String, DataType)> = numbers.map(named).into();
        for decimal in [Decimal32(8, 2), Decimal64(8, 2), Decimal128(8, 2), Decimal256(8, 2)] {
            samples.push((decimal.to_string().split('(').next().unwrap().to_owned(), decimal));
        }
        samples.extend([Utf8, LargeUtf8, Utf8View, Null, Binary, LargeBinary, BinaryView].map(named));
        samples.extend([Date32, Date64].map(named));
        for (name, data_type) in [
            ("FixedSizeBinary", FixedSizeBinary(16)),
            ("Time32", Time32(TimeUnit::Second)),
            ("Time64", Time64(unit)),
            ("Timestamp", Timestamp(unit, None)),
            ("Timestamp with a zone", Timestamp(unit, Some("UTC".into()))),
            ("Interval", Interval(IntervalUnit::MonthDayNano)),
            ("Duration", Duration(unit)),
            ("Struct", fields.clone()),
            ("Map", Map(Arc::new(Field::new("entries", fields.clone(), false)), false)),
            ("lists of structs", DataType::new_list(fields, true)),
            ("lists", List(item())),
            ("lists of lists", DataType::new_list(List(item()), true)),
        ] {
            samples.push((name.to_owned(), data_type));
        }
        let mut rows: Vec<(String, String)> = Vec::new();
        for (name, data_type) in samples {
            let declared = declare(&data_type).unwrap();
            match rows.iter_mut().find(|(_, known)| *known == declared) {
                Some((names, _)) => *names += &format!(", {name}"),
                None => rows.push((name, declared)),
            }
        }
        let mut table = String::from("| Arrow type | created as |\n| --- | --- |\n");
        rows.iter().for_each(|(names, declared)| table += &format!("| {names} | `{declared}` |\n"));
        table + "| Dictionary, RunEndEncoded | as the types of their values |\n"
    }

    #[test]
    fn the_guide_has_the_tables_that_the_codecs_make() {
        let middle = "\nA table that Landfall creates has these types:\n\n";
        check_document("types/postgres.md", &format!("{}{middle}{}", server_types(), created_types()));
    }

    #[test]
    fn what_is_written_from_a_type_can_be_stored_in_the_table_that_it_creates() {
        for data_type in [
            Boolean,
            UInt64,
            Float16,
            Decimal128(8, 2),
            Decimal256(76, 0),
            LargeUtf8,
            Date64,
            Duration(TimeUnit::Second),
        ] {
            let declared = declare(&data_type).unwrap();
            let name = match declared.split('(').next().unwrap() {
                "boolean" => "bool",
                "real" => "float4",
                name => name,
            };
            assert!(codec(name, -1).accepts(&data_type).is_some(), "{data_type} into {declared}");
        }
    }

    #[test]
    fn bytes_that_mean_nothing_are_an_error_and_no_panic() {
        let mut codecs: Vec<Arc<dyn Codec>> = [
            "bool",
            "int2",
            "int4",
            "int8",
            "oid",
            "float4",
            "float8",
            "numeric",
            "text",
            "bytea",
            "date",
            "time",
            "timetz",
            "timestamp",
            "uuid",
            "json",
            "jsonb",
            "inet",
            "macaddr",
            "hstore",
            "interval",
            "xml",
        ]
        .map(|name| codec(name, -1))
        .into();
        let server = |codec: &Arc<dyn Codec>| ServerType { oid: 0, codec: Arc::clone(codec) };
        let field = |codec: &Arc<dyn Codec>| CompositeField { name: format!("{codec:?}"), server: server(codec) };
        codecs.extend(codecs.clone().iter().map(|item| array(server(item), 1)));
        codecs.push(composite(codecs.iter().map(field).collect()));
        codecs.extend(["int4", "text"].map(|name| composite(vec![field(&codec(name, -1))])));
        let words = proptest::collection::vec(prop_oneof![0..4_i32, any::<i32>()], 0..12);
        proptest!(|(words in words, cut in 0..4_usize)| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            let bytes = &bytes[..bytes.len().saturating_sub(cut)];
            let field = Place { begin: 0, length: bytes.len() as i32 };
            for codec in &codecs {
                let _ = server(codec).decode(Values { bytes, fields: &[field] }, &codec.arrow_type());
            }
            let _ = ReceivedRows::new(2).push(bytes);
        });
    }
}
