//! Support for the tables of types in the documentation, which tests generate from the codecs.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Field, IntervalUnit, TimeUnit};

const UNITS: [TimeUnit; 4] = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];

/// Groups of Arrow types by their name in the documentation.
fn groups() -> Vec<(&'static str, Vec<DataType>)> {
    let item = || Arc::new(Field::new("item", Int64, true));
    let entries = Struct(vec![Field::new("keys", Utf8, false), Field::new("values", Utf8, true)].into());
    let numbers = [
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
        Decimal32(9, 2),
        Decimal64(18, 2),
        Decimal128(10, 2),
        Decimal256(65, 30),
    ];
    vec![
        ("Boolean", vec![Boolean]),
        ("numbers", numbers.into()),
        ("text", vec![Utf8, LargeUtf8, Utf8View]),
        ("binary", vec![Binary, LargeBinary, BinaryView, FixedSizeBinary(7), FixedSizeBinary(16)]),
        ("dates", vec![Date32, Date64]),
        ("times", vec![Time32(UNITS[0]), Time32(UNITS[1]), Time64(UNITS[2]), Time64(UNITS[3])]),
        ("timestamps", UNITS.map(|unit| Timestamp(unit, None)).into()),
        ("timestamps with a zone", UNITS.map(|unit| Timestamp(unit, Some("UTC".into()))).into()),
        (
            "intervals",
            [IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano].map(Interval).into(),
        ),
        ("durations", UNITS.map(Duration).into()),
        ("Struct", vec![Struct(vec![Field::new("a", Int64, true)].into())]),
        ("Map", vec![Map(Arc::new(Field::new("entries", entries, false)), false)]),
        (
            "lists",
            vec![List(item()), LargeList(item()), ListView(item()), LargeListView(item()), FixedSizeList(item(), 2)],
        ),
    ]
}

/// The names of the accepted Arrow types. If all types of a group are accepted, the name of the group.
pub(crate) fn written_from(accepts: impl Fn(&DataType) -> bool) -> String {
    let mut names = Vec::new();
    for (name, members) in groups() {
        let accepted: Vec<_> = members.iter().filter(|member| accepts(member)).collect();
        match accepted.len() == members.len() {
            true => names.push(name.to_owned()),
            false => names.extend(accepted.iter().map(|member| member.to_string())),
        }
    }
    match names.is_empty() {
        true => "nothing".into(),
        false => names.join(", "),
    }
}

/// Compares a file below `docs` with its expected content. Writes it if `LANDFALL_WRITE_DOCS` is set.
pub(crate) fn check_document(path_below_docs: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(path_below_docs);
    if std::env::var_os("LANDFALL_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "docs/{path_below_docs} must be (LANDFALL_WRITE_DOCS=1 writes it):\n{expected}");
}

#[test]
fn a_group_is_named_as_one_where_all_of_it_is_accepted() {
    assert_eq!(written_from(DataType::is_numeric), "numbers");
    assert_eq!(
        written_from(|from| matches!(from, Boolean | Date32 | Utf8 | LargeUtf8 | Utf8View)),
        "Boolean, text, Date32"
    );
    assert_eq!(written_from(|from| matches!(from, FixedSizeBinary(16))), "FixedSizeBinary(16)");
    assert_eq!(written_from(|_| false), "nothing");
}
