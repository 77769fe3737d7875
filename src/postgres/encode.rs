//! Arrow arrays to the fields of a COPY. What a column cannot hold unchanged is an error that names the row.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{
    Decimal128Type, Decimal256Type, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    UInt32Type, i256,
};
use uuid::Uuid;

use super::bytes::{Bytes, Packed, Slots, bytes, packed};
use super::cells::{Cells, Fixed, Nulls, fixed};
use super::lists::lists;
use super::network::{Network, parse_inet, parse_mac};
use super::records::records;
use super::text::texts;
use super::types::{Digits, Kind, ServerType};
use super::{numeric, temporal};
use crate::backend::Column;
use crate::columnar::{
    Limit, LosslessCast, json, list_item, misfit, plain, recode, to_text, truncate_nanoseconds, whole_and_places,
    without_nanoseconds,
};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;

/// How one column is encoded.
#[derive(Debug)]
pub(super) struct Encoder {
    nanoseconds: Nanoseconds,
    conform: LosslessCast,
    /// What the array is brought to first, and then sent as.
    data_type: DataType,
    server: ServerType,
    form: Form,
}

/// In which form values travel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// The server type's own.
    Binary,
    /// As texts, which the server converts.
    Text,
}

impl Encoder {
    /// The encoder from an Arrow type to a column.
    ///
    /// # Errors
    /// `Schema`, naming both types, where there is none.
    pub(super) fn try_new(from: &DataType, column: &Column, nanoseconds: Nanoseconds) -> Result<Self> {
        let server = super::described::server_type(column)?;
        let cut = match nanoseconds {
            Nanoseconds::Error => None,
            Nanoseconds::Truncate => without_nanoseconds(from),
        };
        let source = cut.as_ref().unwrap_or(from);
        let chosen = choose(plain(source), server)
            .and_then(|(data_type, form)| Some((LosslessCast::try_new(source, &data_type)?, data_type, form)));
        match chosen {
            Some((conform, data_type, form)) => {
                Ok(Self { nanoseconds, conform, data_type, server: server.clone(), form })
            }
            None => Err(Error::schema(format!(
                "column \"{}\": no way from Arrow type {from} to a column of type {} (read as {}): CAST it in the \
                 query to {}",
                column.name, column.sql_type, column.data_type, column.data_type
            ))),
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Encodes an array, as far as the lengths of its fields are not known without.
    ///
    /// # Errors
    /// `Encode`, at the row whose value cannot be stored unchanged.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let array = match self.nanoseconds {
            Nanoseconds::Error => self.conform.apply(array)?,
            Nanoseconds::Truncate => self.conform.apply(&truncate_nanoseconds(array))?,
        };
        debug_assert_eq!(array.data_type(), &self.data_type);
        match self.form {
            Form::Binary => cells(&array, &self.server),
            Form::Text => texts(&array, (self.server.kind == Kind::Char).then_some(Limit::Bytes(1)), b""),
        }
    }
}

/// The Arrow type to bring a plain type to first, and the form to send it in; `None` where there is no way.
pub(super) fn choose(from: &DataType, server: &ServerType) -> Option<(DataType, Form)> {
    const MICROS: TimeUnit = TimeUnit::Microsecond;
    let is_text = matches!(from, Utf8 | LargeUtf8 | Utf8View);
    let binary = |data_type: DataType| Some((data_type, Form::Binary));
    match (&server.kind, from) {
        (_, Null) => binary(Null),
        (Kind::Bool, Boolean) => binary(Boolean),
        (Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid | Kind::Float4 | Kind::Float8, t) if t.is_numeric() => {
            binary(server.arrow_type())
        }
        (Kind::Numeric(keeps), t) if t.is_numeric() => match *keeps {
            _ if matches!(t, Float16) => binary(Float32),
            None => binary(t.clone()),
            Some(_) if t.is_floating() => binary(t.clone()),
            Some(keeps) => match (server.arrow_type(), always_fits(t, keeps)) {
                (_, true) => binary(t.clone()),
                (decimal, false) if decimal.is_decimal() && keeps.scale >= 0 => binary(decimal),
                _ => binary(t.clone()),
            },
        },
        (Kind::Numeric(_), _) if is_text => binary(from.clone()),
        (Kind::Text(_) | Kind::Name | Kind::Json | Kind::Jsonb | Kind::Enum, _) if is_text => binary(from.clone()),
        (Kind::Uuid | Kind::Inet | Kind::Cidr | Kind::MacAddr | Kind::MacAddr8 | Kind::TimeTz(_), _) if is_text => {
            binary(Utf8View)
        }
        (Kind::Uuid, FixedSizeBinary(16)) => binary(from.clone()),
        (Kind::Bytea, Binary | LargeBinary | BinaryView | FixedSizeBinary(_)) => binary(from.clone()),
        (Kind::Date, Date32 | Date64) => binary(Date32),
        (Kind::Time(_) | Kind::TimeTz(_), Time32(_) | Time64(_)) => binary(Time64(MICROS)),
        (Kind::Timestamp(_), Timestamp(_, None)) => binary(Timestamp(MICROS, None)),
        (Kind::TimestampTz(_), Timestamp(_, Some(_))) => binary(Timestamp(MICROS, Some("+00:00".into()))),
        (Kind::Interval(_), Interval(_)) => binary(from.clone()),
        (Kind::Interval(_), Duration(_)) => binary(Duration(MICROS)),
        (Kind::Json | Kind::Jsonb, _) if from.is_nested() => {
            json::json_type(from).is_some().then(|| (from.clone(), Form::Binary))
        }
        (Kind::Hstore, Map(_, _)) => binary(server.arrow_type()),
        (Kind::Hstore | Kind::Array(..) | Kind::Composite(_) | Kind::Char | Kind::Other, _) if is_text => {
            Some((from.clone(), Form::Text))
        }
        (Kind::Composite(columns), Struct(fields)) => {
            let is_sent = |field: &FieldRef| {
                let column = columns.iter().find(|column| column.name == *field.name())?;
                choose(plain(field.data_type()), &column.server).filter(|(_, form)| *form == Form::Binary)
            };
            let has_twice = |at: usize| fields[..at].iter().any(|field| field.name() == fields[at].name());
            let is_sent = !(1..fields.len()).any(has_twice) && fields.iter().all(|field| is_sent(field).is_some());
            is_sent.then(|| (from.clone(), Form::Binary))
        }
        (Kind::Array(item, _), _) => {
            let field = list_item(from)?;
            let below = list_item(plain(field.data_type())).is_some().then(|| server.below()).flatten();
            let (_, form) = choose(plain(field.data_type()), below.as_ref().unwrap_or(item))?;
            (form == Form::Binary).then(|| (List(Arc::clone(field)), Form::Binary))
        }
        _ => None,
    }
}

/// Whether every value of a type fits a `numeric` without being looked at.
fn always_fits(data_type: &DataType, keeps: Digits) -> bool {
    let room = (keeps.precision as i16 - keeps.scale, keeps.scale);
    whole_and_places(data_type).is_some_and(|(whole, places)| keeps.scale >= 0 && places <= room.1 && whole <= room.0)
}

/// The fields of an array of the type that was chosen.
pub(super) fn cells(array: &ArrayRef, server: &ServerType) -> Result<Box<dyn Cells>> {
    if array.data_type() == &Null {
        return Ok(Box::new(Nulls));
    }
    match &server.kind {
        Kind::Bool => {
            let bits = array.as_boolean();
            let values: Vec<u8> = bits.values().iter().map(u8::from).collect();
            Ok(Box::new(Fixed::new(values.into(), array.nulls(), |value: u8| [value])))
        }
        Kind::Int2 => Ok(fixed::<Int16Type, 2>(array, i16::to_be_bytes)),
        Kind::Int4 => Ok(fixed::<Int32Type, 4>(array, i32::to_be_bytes)),
        Kind::Int8 => Ok(fixed::<Int64Type, 8>(array, i64::to_be_bytes)),
        Kind::Oid => Ok(fixed::<UInt32Type, 4>(array, u32::to_be_bytes)),
        Kind::Float4 => Ok(fixed::<Float32Type, 4>(array, f32::to_be_bytes)),
        Kind::Float8 => Ok(fixed::<Float64Type, 8>(array, f64::to_be_bytes)),
        Kind::Numeric(keeps) => numerics(array, *keeps),
        Kind::Text(limit) => texts(array, limit.map(Limit::Characters), b""),
        Kind::Name => texts(array, Some(Limit::Bytes(63)), b""),
        Kind::Enum | Kind::Char | Kind::Other => texts(array, None, b""),
        Kind::Json => texts(&json_text(array)?, None, b""),
        Kind::Jsonb => texts(&json_text(array)?, None, b"\x01"),
        Kind::Bytea => bytes(array, b""),
        Kind::Date => temporal::dates(array),
        Kind::Time(digits) => temporal::times(array, *digits),
        Kind::TimeTz(digits) => temporal::times_with_zone(array, *digits),
        Kind::Timestamp(digits) | Kind::TimestampTz(digits) => temporal::timestamps(array, *digits),
        Kind::Interval(parts) => temporal::intervals(array, *parts),
        Kind::Uuid => match array.data_type() {
            FixedSizeBinary(_) => bytes(array, b""),
            _ => packed(array, "is no UUID", |text, out| {
                out.extend_from_slice(Uuid::try_parse(text).ok()?.as_bytes());
                Some(())
            }),
        },
        Kind::Inet => packed(array, "is no IP address such as 10.1.2.3 or 10.1.2.3/8", |text, out| {
            out.extend(parse_inet(text, Network::Inet)?);
            Some(())
        }),
        Kind::Cidr => packed(array, "is no network such as 10.0.0.0/8, with zeros behind its bits", |text, out| {
            out.extend(parse_inet(text, Network::Cidr)?);
            Some(())
        }),
        Kind::MacAddr => packed(array, "is no MAC address of 6 bytes", |text, out| {
            out.extend(parse_mac(text, 6)?);
            Some(())
        }),
        Kind::MacAddr8 => packed(array, "is no MAC address of 8 bytes", |text, out| {
            out.extend(parse_mac(text, 8)?);
            Some(())
        }),
        Kind::Hstore => hstores(array),
        Kind::Array(item, _) => lists(array, server, item, item_cells),
        Kind::Composite(columns) => records(array, columns, item_cells),
    }
}

/// The fields of values in others, which are brought to the type that is chosen for them first.
fn item_cells(array: &ArrayRef, server: &ServerType) -> Result<Box<dyn Cells>> {
    let from = array.data_type();
    let conform = choose(plain(from), server).and_then(|(to, _)| LosslessCast::try_new(from, &to));
    let conform = conform.ok_or_else(|| Error::internal(format!("items of {from}")))?;
    cells(&conform.apply(array)?, server)
}

fn json_text(array: &ArrayRef) -> Result<ArrayRef> {
    if array.data_type().is_nested() { Ok(Arc::new(json::encode(array)?)) } else { Ok(Arc::clone(array)) }
}

fn numerics(array: &ArrayRef, keeps: Option<Digits>) -> Result<Box<dyn Cells>> {
    fn unscaled<T: ArrowPrimitiveType>(
        array: &ArrayRef,
        mut put: impl FnMut(T::Native, &mut Vec<u8>),
    ) -> Box<dyn Cells> {
        let array = array.as_primitive::<T>();
        let mut packed = Packed::new(array.len(), array.nulls().cloned());
        for (row, value) in array.values().iter().enumerate() {
            if array.is_valid(row) {
                put(*value, packed.data());
            }
            packed.end();
        }
        Box::new(Bytes { values: packed, prefix: b"" })
    }
    let unchecked = match keeps {
        None => true,
        Some(keeps) => {
            always_fits(array.data_type(), keeps) || {
                // It was conformed to the column's own digits.
                matches!(*array.data_type(), Decimal128(_, scale) | Decimal256(_, scale)
                if keeps.scale >= 0 && i16::from(scale) == keeps.scale)
            }
        }
    };
    Ok(match *array.data_type() {
        Decimal32(_, scale @ 0..) | Decimal64(_, scale @ 0..) if unchecked => {
            return numerics(&recode(array, &Decimal128(38, scale))?, None);
        }
        Decimal128(_, scale @ 0..) if unchecked => {
            let decimals = array.as_primitive::<Decimal128Type>();
            if let Some(slots) = numeric::slots(decimals.values(), decimals.nulls(), scale as u8) {
                return Ok(Box::new(Slots(slots)));
            }
            unscaled::<Decimal128Type>(array, move |value, out| numeric::put_i128(value, scale as u8, out))
        }
        Decimal256(_, scale @ 0..) if unchecked => {
            unscaled::<Decimal256Type>(array, move |value: i256, out| numeric::put_i256(value, scale as u8, out))
        }
        Int64 if unchecked => unscaled::<Int64Type>(array, |value, out| numeric::put_i128(value.into(), 0, out)),
        UInt64 if unchecked => {
            unscaled::<arrow::datatypes::UInt64Type>(array, |value, out| numeric::put_i128(value.into(), 0, out))
        }
        ref t if t.is_integer() && unchecked => return numerics(&recode(array, &Int64)?, None),
        _ => numerics_of_text(array, keeps)?,
    })
}

/// Numbers by their shortest digits that mean them.
fn numerics_of_text(array: &ArrayRef, keeps: Option<Digits>) -> Result<Box<dyn Cells>> {
    let texts = match array.data_type() {
        // Rust's shortest digits; Arrow's text of a float can be of the same value, but not of the same digits.
        Float32 => array.as_primitive::<Float32Type>().iter().map(shortest).collect(),
        Float64 => array.as_primitive::<Float64Type>().iter().map(shortest).collect(),
        Utf8 | LargeUtf8 | Utf8View => recode(array, &Utf8View)?.as_string_view().clone(),
        _ => to_text(array)?,
    };
    let mut values = Packed::new(array.len(), array.nulls().cloned());
    for row in 0..array.len() {
        if texts.is_valid(row) {
            numeric::put_text(texts.value(row), keeps, values.data()).map_err(|why| misfit(array, row, &why))?;
        }
        values.end();
    }
    Ok(Box::new(Bytes { values, prefix: b"" }))
}

fn shortest(value: Option<impl std::fmt::LowerExp>) -> Option<String> {
    value.map(|value| format!("{value:e}"))
}

/// `hstore_send` of contrib/hstore: a count, and for each pair two lengths with their bytes.
fn hstores(array: &ArrayRef) -> Result<Box<dyn Cells>> {
    let maps = array.as_map();
    let (keys, texts) = (maps.keys().as_string::<i32>(), maps.values().as_string::<i32>());
    let mut values = Packed::new(array.len(), array.nulls().cloned());
    let mut seen = HashSet::new();
    for row in 0..array.len() {
        if maps.is_valid(row) {
            seen.clear();
            let pairs = maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize;
            let out = values.data();
            out.extend((pairs.len() as i32).to_be_bytes());
            for pair in pairs {
                let has_nul = |text: &str| text.as_bytes().contains(&0);
                let value = texts.is_valid(pair).then(|| texts.value(pair));
                if has_nul(keys.value(pair)) || value.is_some_and(has_nul) {
                    return Err(misfit(array, row, "has a NUL character, which hstore cannot hold"));
                }
                if !seen.insert(keys.value(pair)) {
                    return Err(misfit(array, row, "has a key twice, and hstore would keep one of them"));
                }
                out.extend((keys.value(pair).len() as i32).to_be_bytes());
                out.extend(keys.value(pair).as_bytes());
                match value {
                    Some(value) => {
                        out.extend((value.len() as i32).to_be_bytes());
                        out.extend(value.as_bytes());
                    }
                    None => out.extend((-1_i32).to_be_bytes()),
                }
            }
        }
        values.end();
    }
    Ok(Box::new(Bytes { values, prefix: b"" }))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::IntervalUnit;

    use super::super::types::CompositeField;
    use super::*;

    /// The Arrow types that words of the guide stand for.
    fn is_meant(data_type: &DataType, words: &str) -> bool {
        let has = |word: &str| words.split(|c: char| !c.is_alphanumeric()).any(|found| found == word);
        match data_type {
            Boolean => has("Boolean"),
            t if t.is_numeric() => has("number"),
            Utf8 | LargeUtf8 | Utf8View => has("text"),
            FixedSizeBinary(16) => has("binary") || has("FixedSizeBinary"),
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => has("binary"),
            Date32 | Date64 => has("dates"),
            Time32(_) | Time64(_) => has("times"),
            Timestamp(_, None) => words.contains("timestamps without a zone"),
            Timestamp(_, Some(_)) => words.contains("timestamps with a zone"),
            Interval(_) => has("intervals"),
            Duration(_) => has("durations"),
            Struct(_) => has("Struct"),
            Map(_, _) => has("Map") || has("maps"),
            List(_) => has("lists"),
            _ => false,
        }
    }

    #[test]
    fn the_guide_says_what_each_server_type_is_written_from() {
        use arrow::datatypes::Field;

        let text_map = ServerType { oid: 0, kind: Kind::Hstore }.arrow_type();
        let micros = TimeUnit::Microsecond;
        let mut candidates = vec![
            Boolean,
            Int8,
            Int64,
            UInt64,
            Float16,
            Float64,
            Decimal128(10, 2),
            Utf8,
            LargeUtf8,
            Utf8View,
            Binary,
            LargeBinary,
            BinaryView,
            FixedSizeBinary(7),
            FixedSizeBinary(16),
            Date32,
            Date64,
            Time64(micros),
            Time32(TimeUnit::Second),
            Timestamp(micros, None),
            Timestamp(TimeUnit::Second, Some("UTC".into())),
            Duration(TimeUnit::Nanosecond),
            text_map,
            List(Arc::new(Field::new("item", Int64, true))),
            Struct(vec![Field::new("a", Int64, true)].into()),
        ];
        candidates.extend([IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano].map(Interval));
        let rows = include_str!("types.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.trim_end_matches(" |").split(" | ").collect()).collect();
        let mut checked = 0;
        let mut above = "";
        for row in rows.iter().filter(|row| row.len() == 3 && !row[0].starts_with(['s', '-'])) {
            let words = if row[2] == "the same" { above } else { row[2] };
            above = words;
            let name = row[0].trim_matches('`').trim_matches('"');
            let (name, arguments) = name.split_once('(').unwrap_or((name, ""));
            let typmod = match arguments.trim_end_matches(')').split_once(',') {
                Some((precision, scale)) => {
                    (precision.parse::<i32>().unwrap_or(0) << 16 | scale.parse::<i32>().unwrap_or(0)) + 4
                }
                None => arguments.trim_end_matches(')').parse().map_or(-1, |length: i32| length + 4),
            };
            let item = || Box::new(ServerType { oid: 23, kind: Kind::Int4 });
            let kind = match name {
                "boolean" => Kind::Bool,
                "smallint" => Kind::Int2,
                "integer" => Kind::Int4,
                "bigint" => Kind::Int8,
                "real" => Kind::Float4,
                "double precision" => Kind::Float8,
                "character varying" | "character" => Kind::Text(Some(20)),
                "time without time zone" => Kind::Time(6),
                "time with time zone" => Kind::TimeTz(6),
                "timestamp without time zone" => Kind::Timestamp(6),
                "timestamp with time zone" => Kind::TimestampTz(6),
                "enums" => Kind::Enum,
                "integer[]" => Kind::Array(item(), 1),
                "integer[][]" => Kind::Array(item(), 2),
                "composite types" => {
                    let server = ServerType { oid: 23, kind: Kind::Int4 };
                    Kind::Composite(vec![CompositeField { name: "a".into(), server }])
                }
                "any other" => Kind::Other,
                name => super::super::types::kind(name, typmod),
            };
            assert!(kind != Kind::Other || name == "any other", "{name} is not known");
            let server = ServerType { oid: 0, kind };
            for candidate in &candidates {
                let takes = choose(candidate, &server).is_some();
                assert_eq!(takes, is_meant(candidate, words), "{candidate} to {name}: {words}");
                checked += 1;
            }
        }
        assert!(checked > 25 * candidates.len(), "the table is somewhere else");
    }
}
