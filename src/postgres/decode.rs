//! The values of a column to an Arrow array.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryViewBuilder, BooleanBuilder, Decimal256Array, FixedSizeBinaryArray, ListArray,
    MapArray, NullBufferBuilder, PrimitiveArray, StringBuilder, StringViewArray, StringViewBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{
    Date32Type, Decimal128Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalDayTime,
    IntervalDayTimeType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt32Type, i256,
};
use uuid::Uuid;

use super::cursor::Cursor;
use super::network::{push_inet, push_mac};
use super::numeric::Numeric;
use super::records::structs;
use super::rows::{Field, Values};
use super::types::{Kind, MAX_DIMENSIONS, ServerType};
use super::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};
use crate::columnar::{json, recode};
use crate::error::{Error, ErrorKind, Result};

/// Decodes values of a server type as `to`, one of the types that [`ServerType::read_as`].
///
/// # Errors
/// `Decode` for a value that `to` has not.
pub(super) fn decode(values: Values<'_>, server: &ServerType, to: &DataType) -> Result<ArrayRef> {
    match (&server.kind, to) {
        (Kind::Bool, _) => {
            let mut booleans = BooleanBuilder::with_capacity(values.len());
            for value in values.iter() {
                match value {
                    None => booleans.append_null(),
                    Some([value]) => booleans.append_value(*value != 0),
                    Some(_) => return Err(wrong_length(to)),
                }
            }
            Ok(Arc::new(booleans.finish()))
        }
        (Kind::Int2, _) => fixed::<Int16Type, 2>(values, to, |bytes| Ok(i16::from_be_bytes(bytes))),
        (Kind::Int4, _) => fixed::<Int32Type, 4>(values, to, |bytes| Ok(i32::from_be_bytes(bytes))),
        (Kind::Int8, _) => fixed::<Int64Type, 8>(values, to, |bytes| Ok(i64::from_be_bytes(bytes))),
        (Kind::Oid, _) => fixed::<UInt32Type, 4>(values, to, |bytes| Ok(u32::from_be_bytes(bytes))),
        (Kind::Float4, _) => fixed::<Float32Type, 4>(values, to, |bytes| Ok(f32::from_be_bytes(bytes))),
        (Kind::Float8, _) => fixed::<Float64Type, 8>(values, to, |bytes| Ok(f64::from_be_bytes(bytes))),
        (Kind::Numeric(_), Utf8View) => texts_by(values, to, |bytes, text| {
            Numeric::parse(bytes)?.push_text(text);
            Some(())
        }),
        (Kind::Numeric(_), _) => decimals(values, to),
        (Kind::Bytea, _) => {
            let mut blobs = BinaryViewBuilder::with_capacity(values.len());
            values.iter().for_each(|value| blobs.append_option(value));
            Ok(Arc::new(blobs.finish()))
        }
        (Kind::Date, _) => fixed::<Date32Type, 4>(values, to, |bytes| match i32::from_be_bytes(bytes) {
            i32::MIN | i32::MAX => Err(infinite(to)),
            days => days.checked_add(POSTGRES_EPOCH_DAYS).ok_or_else(|| too_large(to)),
        }),
        (Kind::Time(_), _) => fixed::<Time64MicrosecondType, 8>(values, to, |bytes| match i64::from_be_bytes(bytes) {
            micros @ 0..86_400_000_000 => Ok(micros),
            _ => Err(undecodable("the time 24:00:00", to)),
        }),
        (Kind::Timestamp(_) | Kind::TimestampTz(_), _) => {
            fixed::<TimestampMicrosecondType, 8>(values, to, |bytes| match i64::from_be_bytes(bytes) {
                i64::MIN | i64::MAX => Err(infinite(to)),
                micros => micros.checked_add(POSTGRES_EPOCH_MICROS).ok_or_else(|| too_large(to)),
            })
        }
        (Kind::Interval(_), _) => intervals(values, to),
        (Kind::Uuid, FixedSizeBinary(16)) => {
            let uuids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.iter(), 16);
            Ok(Arc::new(uuids.map_err(|_| wrong_length(to))?))
        }
        (Kind::Uuid, _) => texts_by(values, to, |bytes, text| {
            let mut buffer = Uuid::encode_buffer();
            text.push_str(Uuid::from_slice(bytes).ok()?.hyphenated().encode_lower(&mut buffer));
            Some(())
        }),
        (Kind::TimeTz(_), _) => texts_by(values, to, push_time_with_zone),
        (Kind::Inet | Kind::Cidr, _) => texts_by(values, to, push_inet),
        (Kind::MacAddr | Kind::MacAddr8, _) => texts_by(values, to, push_mac),
        (Kind::Json, Utf8View) => Ok(Arc::new(texts(values, 0)?)),
        (Kind::Json, _) => json::decode(&texts(values, 0)?, to),
        // A version comes first.
        (Kind::Jsonb, Utf8View) => Ok(Arc::new(texts(values, 1)?)),
        (Kind::Jsonb, _) => json::decode(&texts(values, 1)?, to),
        (Kind::Hstore, Map(_, _)) => hstores(values, to),
        (Kind::Array(item, dimensions), List(_)) => arrays(values, item, *dimensions, to),
        (Kind::Composite(columns), Struct(fields)) => structs(values, columns, fields, decode),
        // As the server writes them.
        (Kind::Hstore | Kind::Array(..) | Kind::Composite(_), Utf8View) => Ok(Arc::new(texts(values, 0)?)),
        (Kind::Text(_) | Kind::Name | Kind::Char | Kind::Enum | Kind::Other, _) => Ok(Arc::new(texts(values, 0)?)),
        (kind, to) => Err(Error::internal(format!("{kind:?} was to be read as {to}"))),
    }
}

fn wrong_length(to: &DataType) -> Error {
    Error::new(ErrorKind::Decode, format!("the server sent a value that is no {to}: its length is another"))
}

fn undecodable(what: &str, to: &DataType) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!("it holds {what}, which is no {to}: read the table through a view that leaves it out"),
    )
}

fn infinite(to: &DataType) -> Error {
    undecodable("infinity", to)
}

fn too_large(to: &DataType) -> Error {
    undecodable("a value beyond Arrow's range", to)
}

fn fixed<T: ArrowPrimitiveType, const N: usize>(
    values: Values<'_>,
    to: &DataType,
    native: impl Fn([u8; N]) -> Result<T::Native>,
) -> Result<ArrayRef> {
    let mut natives = Vec::with_capacity(values.len());
    let mut nulls = NullBufferBuilder::new(values.len());
    for (row, value) in values.iter().enumerate() {
        match value {
            None => {
                natives.push(T::Native::default());
                nulls.append_null();
            }
            Some(bytes) => {
                let value = bytes.try_into().map_err(|_| wrong_length(to)).and_then(&native);
                natives.push(value.map_err(|error| error.at_row(row))?);
                nulls.append_non_null();
            }
        }
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(natives.into(), nulls.finish()).with_data_type(to.clone())))
}

fn intervals(values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
    fn each<T: ArrowPrimitiveType>(
        values: Values<'_>,
        to: &DataType,
        native: impl Fn(i64, i32, i32) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        fixed::<T, 16>(values, to, |bytes| {
            let value = i128::from_be_bytes(bytes);
            native((value >> 64) as i64, (value >> 32) as i32, value as i32).ok_or_else(|| too_large(to))
        })
    }
    match to {
        Interval(IntervalUnit::YearMonth) => each::<IntervalYearMonthType>(values, to, |micros, days, months| {
            ((micros, days) == (0, 0)).then_some(months)
        }),
        Interval(IntervalUnit::DayTime) => each::<IntervalDayTimeType>(values, to, |micros, days, months| {
            let millis = (months == 0 && micros % 1_000 == 0).then_some(micros / 1_000)?;
            Some(IntervalDayTime::new(days, millis.try_into().ok()?))
        }),
        Interval(IntervalUnit::MonthDayNano) => each::<IntervalMonthDayNanoType>(values, to, |micros, days, months| {
            Some(IntervalMonthDayNano::new(months, days, micros.checked_mul(1_000)?))
        }),
        Duration(unit) => {
            let whole = |micros: i64, days: i32, months: i32, unit: i64| {
                ((days, months) == (0, 0) && micros % unit == 0).then_some(micros / unit)
            };
            match unit {
                TimeUnit::Second => each::<DurationSecondType>(values, to, |us, d, m| whole(us, d, m, 1_000_000)),
                TimeUnit::Millisecond => each::<DurationMillisecondType>(values, to, |us, d, m| whole(us, d, m, 1_000)),
                TimeUnit::Microsecond => each::<DurationMicrosecondType>(values, to, |us, d, m| whole(us, d, m, 1)),
                TimeUnit::Nanosecond => {
                    each::<DurationNanosecondType>(values, to, |us, d, m| whole(us, d, m, 1)?.checked_mul(1_000))
                }
            }
        }
        _ => Err(Error::internal(format!("{to} is no interval"))),
    }
}

/// Values that are texts, behind as many bytes that are not of the text.
fn texts(values: Values<'_>, skip: usize) -> Result<StringViewArray> {
    let mut texts = StringViewBuilder::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        match value {
            None => texts.append_null(),
            Some(bytes) => {
                let text = bytes.get(skip..).and_then(|bytes| std::str::from_utf8(bytes).ok());
                texts.append_value(text.ok_or_else(|| {
                    let text = "the server sent a text that is not UTF-8: its database is of another encoding";
                    Error::new(ErrorKind::Decode, text).at_row(row)
                })?);
            }
        }
    }
    Ok(texts.finish())
}

/// Values as texts that `push` appends.
fn texts_by(values: Values<'_>, to: &DataType, push: impl Fn(&[u8], &mut String) -> Option<()>) -> Result<ArrayRef> {
    let mut texts = StringViewBuilder::with_capacity(values.len());
    let mut text = String::new();
    for (row, value) in values.iter().enumerate() {
        match value {
            None => texts.append_null(),
            Some(bytes) => {
                text.clear();
                push(bytes, &mut text).ok_or_else(|| wrong_length(to).at_row(row))?;
                texts.append_value(&text);
            }
        }
    }
    Ok(Arc::new(texts.finish()))
}

fn decimals(values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
    fn each<T>(
        values: Values<'_>,
        to: &DataType,
        unscaled: impl Fn(Numeric<'_>) -> Option<T>,
    ) -> Result<Vec<Option<T>>> {
        let unscaled = values.iter().enumerate().map(|(row, value)| match value {
            None => Ok(None),
            Some(bytes) => {
                let number = Numeric::parse(bytes).ok_or_else(|| wrong_length(to).at_row(row))?;
                let mut text = String::new();
                unscaled(number).map(Some).ok_or_else(|| {
                    number.push_text(&mut text);
                    text.truncate(60);
                    let why = "give the column more digits, or read it as VARCHAR";
                    Error::new(ErrorKind::Decode, format!("it holds {text}, which is no {to}: {why}")).at_row(row)
                })
            }
        });
        unscaled.collect()
    }
    Ok(match *to {
        Decimal128(precision, scale) => {
            // One digit more is the first that does not fit.
            let limit = 10_i128.pow(precision.into());
            let fits = |number: Numeric<'_>| number.unscaled_i128(scale).filter(|value| value.abs() < limit);
            let unscaled = each(values, to, fits)?.into_iter().collect::<PrimitiveArray<Decimal128Type>>();
            Arc::new(unscaled.with_data_type(to.clone()))
        }
        Decimal32(precision, scale) | Decimal64(precision, scale) => {
            recode(&decimals(values, &Decimal128(precision, scale))?, to)?
        }
        Decimal256(precision, scale) => {
            let limit = i256::from_i128(10).wrapping_pow(precision.into());
            let fits = |number: Numeric<'_>| number.unscaled_i256(scale).filter(|value| value.wrapping_abs() < limit);
            let unscaled = each(values, to, fits)?.into_iter().collect::<Decimal256Array>();
            Arc::new(unscaled.with_data_type(to.clone()))
        }
        _ => return Err(Error::internal(format!("{to} is no decimal"))),
    })
}

fn push_time_with_zone(bytes: &[u8], text: &mut String) -> Option<()> {
    use std::fmt::Write;
    let micros = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    let east = -i32::from_be_bytes(bytes.get(8..)?.try_into().ok()?);
    let seconds = micros / 1_000_000;
    write!(text, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60).ok()?;
    if micros % 1_000_000 != 0 {
        let fraction = format!("{:06}", micros % 1_000_000);
        write!(text, ".{}", fraction.trim_end_matches('0')).ok()?;
    }
    let (sign, zone) = (if east < 0 { '-' } else { '+' }, east.abs());
    write!(text, "{sign}{:02}", zone / 3_600).ok()?;
    if zone % 3_600 != 0 {
        write!(text, ":{:02}", zone / 60 % 60).ok()?;
    }
    if zone % 60 != 0 {
        write!(text, ":{:02}", zone % 60).ok()?;
    }
    Some(())
}

fn hstores(values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
    let Map(entries, sorted) = to else { return Err(Error::internal(to.to_string())) };
    let Struct(fields) = entries.data_type() else { return Err(Error::internal(to.to_string())) };
    let (mut keys, mut texts) = (StringBuilder::new(), StringBuilder::new());
    let mut nulls = NullBufferBuilder::new(values.len());
    let mut lengths = Vec::with_capacity(values.len());
    for value in values.iter() {
        nulls.append(value.is_some());
        let mut push = |bytes| -> Option<usize> {
            let mut cursor = Cursor::new(bytes);
            let count = cursor.int()?;
            for _ in 0..count {
                keys.append_value(cursor.text()??);
                texts.append_option(cursor.text()?);
            }
            usize::try_from(count).ok()
        };
        lengths.push(match value {
            None => 0,
            Some(bytes) => push(bytes).ok_or_else(|| wrong_length(to))?,
        });
    }
    let pairs = StructArray::new(fields.clone(), vec![Arc::new(keys.finish()), Arc::new(texts.finish())], None);
    let offsets = OffsetBuffer::from_lengths(lengths);
    let map = MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls.finish(), *sorted);
    Ok(Arc::new(map.map_err(|error| Error::new(ErrorKind::Decode, error.to_string()))?))
}

fn arrays(values: Values<'_>, item: &ServerType, dimensions: usize, to: &DataType) -> Result<ArrayRef> {
    // The lists in each other, from the outermost, and the type of the items in the last one.
    let mut levels = Vec::new();
    let mut leaf = to;
    while let List(field) = leaf {
        // A list of lists of JSON could be an array of JSON lists: as many are of the array as it is declared with.
        if levels.len() >= dimensions && item.decodes_as(leaf) {
            break;
        }
        levels.push(field);
        leaf = field.data_type();
    }
    let mut lengths: Vec<Vec<usize>> = vec![Vec::new(); levels.len()];
    let mut nulls = NullBufferBuilder::new(values.len());
    let mut items: Vec<Field> = Vec::new();
    // How many items there are up to each row.
    let mut ends = Vec::with_capacity(values.len());
    for (row, (value, field)) in values.iter().zip(values.fields).enumerate() {
        nulls.append(value.is_some());
        let Some(bytes) = value else {
            lengths[0].push(0);
            ends.push(items.len());
            continue;
        };
        let mut cursor = Cursor::new(bytes);
        let found = push_array(&mut cursor, &mut lengths, field.begin, &mut items).ok_or_else(|| wrong_length(to))?;
        if found != levels.len() {
            let text = format!(
                "it holds an array of {found} dimension{}, and is read as {to}: give the columns when the table is \
                 registered, this one with {} where all of its values have as many, or as VARCHAR",
                if found == 1 { "" } else { "s" },
                "[]".repeat(found)
            );
            return Err(Error::new(ErrorKind::Decode, text).at_row(row));
        }
        ends.push(items.len());
    }
    let decoded = decode(Values { bytes: values.bytes, fields: &items }, item, leaf);
    let mut array = decoded.map_err(|error| match error.row() {
        Some(item) => error.at_row(ends.partition_point(|end| *end <= item)),
        None => error,
    })?;
    let mut nulls = nulls.finish();
    for (depth, (field, lengths)) in levels.iter().zip(lengths).enumerate().rev() {
        let nulls: Option<NullBuffer> = if depth == 0 { nulls.take() } else { None };
        let list = ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), array, nulls);
        array = Arc::new(list.map_err(|error| Error::new(ErrorKind::Decode, error.to_string()))?);
    }
    Ok(array)
}

/// Takes the lengths and items of one array of as many dimensions as there are `lengths`; gives how many it has.
fn push_array(
    cursor: &mut Cursor<'_>,
    lengths: &mut [Vec<usize>],
    begin: u32,
    items: &mut Vec<Field>,
) -> Option<usize> {
    let dimensions = usize::try_from(cursor.int()?).ok().filter(|dimensions| *dimensions <= MAX_DIMENSIONS)?;
    let (_has_nulls, _oid) = (cursor.int()?, cursor.int()?);
    if dimensions == 0 {
        lengths[0].push(0);
        return Some(lengths.len());
    }
    if dimensions != lengths.len() {
        return Some(dimensions);
    }
    let mut count = 1_usize;
    for lengths in lengths {
        let length = usize::try_from(cursor.int()?).ok()?;
        let _lower_bound = cursor.int()?;
        // Each item has a length of four bytes, if nothing else.
        let items = count.checked_mul(length).filter(|items| *items <= cursor.bytes.len() / 4)?;
        lengths.extend(std::iter::repeat_n(length, count));
        count = items;
    }
    for _ in 0..count {
        let (at, length) = cursor.field()?;
        items.push(Field { begin: begin + u32::try_from(at).ok()?, length });
    }
    Some(dimensions)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::AsArray;

    use super::super::cells::{HEADER, TRAILER};
    use super::super::rows::Rows;
    use super::*;

    #[test]
    fn what_is_not_the_format_is_an_error_and_no_panic() {
        let mut good = HEADER.to_vec();
        good.extend([0, 1, 0, 0, 0, 2, b'a', b'b']);
        let text = ServerType { oid: 25, kind: Kind::Text(None) };
        let mut rows = Rows::new(1);
        rows.push(&good).unwrap();
        rows.push(TRAILER).unwrap();
        let texts = decode(rows.column(0), &text, &Utf8View).unwrap();
        assert_eq!((rows.count(), texts.as_string_view().value(0)), (1, "ab"));
        assert!(rows.push(&[0, 1]).is_err(), "rows after the end");
        for cut in 1..good.len() {
            assert!(Rows::new(1).push(&good[..cut]).is_err() || cut == HEADER.len(), "cut at {cut}");
        }
        assert!(Rows::new(2).push(&good).is_err());
    }

    #[test]
    fn bytes_that_mean_nothing_are_an_error_and_no_panic() {
        use super::super::types::{CompositeField, Parts, kind};
        use proptest::prelude::*;
        let mut kinds: Vec<Kind> = [
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
            "xml",
        ]
        .map(|name| kind(name, -1))
        .into();
        kinds.extend(kinds.clone().into_iter().map(|kind| Kind::Array(Box::new(ServerType { oid: 0, kind }), 1)));
        let field = |kind: &Kind| CompositeField {
            name: format!("{kind:?}"),
            server: ServerType { oid: 0, kind: kind.clone() },
        };
        kinds.push(Kind::Composite(kinds.iter().map(field).collect()));
        kinds.extend(["int4", "text"].map(|name| Kind::Composite(vec![field(&kind(name, -1))])));
        kinds.push(Kind::Interval(Parts::ALL));
        let words = proptest::collection::vec(prop_oneof![0..4_i32, any::<i32>()], 0..12);
        proptest!(|(words in words, cut in 0..4_usize)| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            let bytes = &bytes[..bytes.len().saturating_sub(cut)];
            let field = Field { begin: 0, length: bytes.len() as i32 };
            for kind in &kinds {
                let server = ServerType { oid: 0, kind: kind.clone() };
                let _ = decode(Values { bytes, fields: &[field] }, &server, &server.arrow_type());
            }
            let _ = Rows::new(2).push(bytes);
        });
    }
}
