//! Lists, structs and maps as JSON text, and back.
//!
//! Leaves that JSON can represent use its form. The others are stored in the text or integer form of a column of their
//! type, so that a value has the same form everywhere. A map is an object with texts as keys.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StringViewArray, StringViewBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::can_cast_types;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Field, FieldRef};
use arrow::json::ReaderBuilder;
use arrow::json::writer::{EncoderOptions, make_encoder};
use serde_json::Value;

use super::text::{from_text, to_text, units};
use super::{first_row_where, list_item, misfit, plain, recode};
use crate::error::{Error, ErrorKind, Result};

/// The type whose JSON form represents values of `data_type`; `None` if there is none.
pub(crate) fn json_type(data_type: &DataType) -> Option<DataType> {
    let renamed = |field: &FieldRef| Some(field.as_ref().clone().with_data_type(json_type(field.data_type())?));
    Some(match data_type {
        Dictionary(_, _) | RunEndEncoded(_, _) => json_type(plain(data_type))?,
        Null | Boolean | Float16 | Float32 | Float64 | Utf8 | LargeUtf8 | Utf8View => data_type.clone(),
        t if t.is_integer() => t.clone(),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Binary,
        List(field) | LargeList(field) | ListView(field) | LargeListView(field) | FixedSizeList(field, _) => {
            let list = List(Arc::clone(field));
            if !(can_cast_types(data_type, &list) && can_cast_types(&list, data_type)) {
                return None;
            }
            List(Arc::new(renamed(field)?))
        }
        // Of two fields with the same name only one would remain.
        Struct(fields) if (1..fields.len()).any(|at| fields[..at].iter().any(|f| f.name() == fields[at].name())) => {
            return None;
        }
        Struct(fields) => Struct(fields.iter().map(renamed).collect::<Option<Vec<_>>>()?.into()),
        Map(entries, sorted) => {
            let Struct(fields) = entries.data_type() else { return None };
            let [keys, values] = fields.as_ref() else { return None };
            let keys = keys.as_ref().clone().with_data_type(text_key(keys.data_type())?);
            let pair = Struct(vec![keys, renamed(values)?].into());
            Map(Arc::new(entries.as_ref().clone().with_data_type(pair)), *sorted)
        }
        Duration(_) => Int64,
        t if t.is_decimal() || t.is_temporal() => Utf8View,
        _ => return None,
    })
}

fn text_key(key: &DataType) -> Option<DataType> {
    match json_type(key)? {
        Utf8 | LargeUtf8 | Utf8View => Some(Utf8),
        t if t.is_integer() => Some(Utf8),
        _ => None,
    }
}

/// The rows of a nested array as JSON text.
///
/// # Errors
/// `Encode` if a number is NaN or infinite, which JSON cannot represent, or a leaf cannot be stored unchanged.
pub(crate) fn encode(array: &ArrayRef) -> Result<StringViewArray> {
    if *array.data_type() == DataType::Null {
        return Ok(StringViewArray::new_null(array.len()));
    }
    let plain = to_json_form(array)?;
    let field: FieldRef = Arc::new(Field::new("value", plain.data_type().clone(), true));
    // Otherwise a map's entry without a value would be omitted and lost.
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, plain.as_ref(), &options)
        .map_err(|error| Error::internal(format!("could not encode {} as JSON: {error}", plain.data_type())))?;
    let mut texts = StringViewBuilder::with_capacity(array.len());
    let mut bytes = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        bytes.clear();
        encoder.encode(row, &mut bytes);
        texts.append_value(std::str::from_utf8(&bytes).map_err(|error| Error::internal(error.to_string()))?);
    }
    Ok(texts.finish())
}

/// A row of a batch as a JSON object. A value that JSON cannot represent, such as NaN, is a text.
pub(crate) fn object(batch: &RecordBatch, row: usize) -> String {
    let fields = batch.schema_ref().fields().iter().zip(batch.columns());
    let fields = fields.map(|(field, column)| {
        let value = column.slice(row, 1);
        let text = |value: &ArrayRef| Some(Value::from(to_text(value).ok()?.value(0)).to_string());
        let is_null = value.is_null(0) || *value.data_type() == DataType::Null;
        let value = match (is_null, encode(&value)) {
            (true, _) => None,
            (false, Ok(json)) => Some(json.value(0).to_owned()),
            (false, Err(_)) => text(&value),
        };
        format!("{}:{}", Value::from(field.name().as_str()), value.as_deref().unwrap_or("null"))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn to_json_form(array: &ArrayRef) -> Result<ArrayRef> {
    let data_type = array.data_type();
    let to =
        json_type(data_type).ok_or_else(|| Error::internal(format!("{data_type} cannot be represented in JSON")))?;
    Ok(match (data_type, &to) {
        (_, List(field)) => {
            let Some(item) = list_item(data_type) else { return Err(Error::internal(data_type.to_string())) };
            let list = recode(array, &List(Arc::clone(item)))?;
            let list = list.as_list::<i32>();
            let (offsets, start, length) = trimmed(list.offsets());
            let values =
                to_json_form(&list.values().slice(start, length)).map_err(|error| of_parent(error, &offsets))?;
            Arc::new(ListArray::new(Arc::clone(field), offsets, values, list.nulls().cloned()))
        }
        (_, Struct(fields)) => {
            let source = array.as_struct();
            let columns = source.columns().iter().map(to_json_form).collect::<Result<Vec<_>>>()?;
            let made = StructArray::try_new_with_length(fields.clone(), columns, source.nulls().cloned(), source.len());
            Arc::new(made.map_err(|error| Error::internal(error.to_string()))?)
        }
        (_, Map(entries, sorted)) => {
            let map = array.as_map();
            let (offsets, start, length) = trimmed(map.offsets());
            let in_form = |column: &ArrayRef| {
                to_json_form(&column.slice(start, length)).map_err(|error| of_parent(error, &offsets))
            };
            let (keys, values) = (recode(&in_form(map.keys())?, &Utf8)?, in_form(map.values())?);
            let Struct(fields) = entries.data_type() else { return Err(Error::internal(to.to_string())) };
            let pairs = StructArray::new(fields.clone(), vec![keys, values], None);
            Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, map.nulls().cloned(), *sorted))
        }
        (Dictionary(_, _) | RunEndEncoded(_, _), _) => to_json_form(&recode(array, plain(data_type))?)?,
        (Float16 | Float32 | Float64, _) => {
            let wide = recode(array, &Float64)?;
            let wide = wide.as_primitive::<arrow::datatypes::Float64Type>();
            match first_row_where(wide, |row| !wide.value(row).is_finite()) {
                Some(row) => return Err(misfit(array, row, "in a list, struct or map cannot be represented in JSON")),
                None => Arc::clone(array),
            }
        }
        (from, to) if from == to => Arc::clone(array),
        (_, Binary) => recode(array, &Binary)?,
        (_, Int64) => Arc::new(units(array)?),
        _ => Arc::new(to_text(array)?),
    })
}

/// The offsets of a slice, starting at 0, and the start and the number of its values. A slice of a list array contains
/// the values of the whole array.
fn trimmed(offsets: &OffsetBuffer<i32>) -> (OffsetBuffer<i32>, usize, usize) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
    (OffsetBuffer::from_lengths(lengths), first as usize, (last - first) as usize)
}

/// Converts an error about a value in a list to one about the row of the list.
fn of_parent(error: Error, offsets: &OffsetBuffer<i32>) -> Error {
    match error.row() {
        Some(value) => error.at_row(offsets.partition_point(|offset| *offset as usize <= value) - 1),
        None => error,
    }
}

/// Parses JSON texts into a nested array.
///
/// # Errors
/// `Decode`, at the row whose text is not valid JSON for that type.
pub(crate) fn decode(texts: &StringViewArray, to: &DataType) -> Result<ArrayRef> {
    let json = json_type(to).ok_or_else(|| Error::internal(format!("{to} cannot be represented in JSON")))?;
    let not_this = |row: usize, why: String| {
        let shown: ArrayRef = Arc::new(texts.clone());
        Error::new(ErrorKind::Decode, misfit(&shown, row, &format!("is not valid JSON for {to}: {why}")).to_string())
            .at_row(row)
    };
    match parse(texts, &json) {
        Ok(values) => from_json_form(&values, to),
        Err(why) => {
            // Finds the row, one by one.
            let bad = (0..texts.len()).find_map(|row| parse(&texts.slice(row, 1), &json).err().map(|why| (row, why)));
            let (row, why) = bad.unwrap_or((0, why));
            Err(not_this(row, why))
        }
    }
}

fn parse(texts: &StringViewArray, json: &DataType) -> Result<ArrayRef, String> {
    let field = Arc::new(Field::new("value", json.clone(), true));
    let mut decoder = ReaderBuilder::new_with_field(field)
        .with_batch_size(texts.len().max(1))
        .build_decoder()
        .map_err(|error| error.to_string())?;
    for text in texts {
        let text = text.unwrap_or("null");
        let read = decoder.decode(text.as_bytes()).map_err(|error| error.to_string())?;
        let end = decoder.decode(b" ").map_err(|error| error.to_string())?;
        if read != text.len() || end != 1 {
            return Err("the text contains more than one JSON value".into());
        }
    }
    let batch = decoder.flush().map_err(|error| error.to_string())?;
    let values = batch.map_or_else(|| arrow::array::new_empty_array(json), |batch| Arc::clone(batch.column(0)));
    if values.len() == texts.len() { Ok(values) } else { Err(format!("{} values were parsed", values.len())) }
}

fn from_json_form(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(match to {
        t if t == array.data_type() => Arc::clone(array),
        Dictionary(_, _) | RunEndEncoded(_, _) => recode(&from_json_form(array, plain(to))?, to)?,
        List(field) | LargeList(field) | ListView(field) | LargeListView(field) | FixedSizeList(field, _) => {
            let list = array.as_list::<i32>();
            let values = from_json_form(list.values(), field.data_type())?;
            let made = ListArray::try_new(Arc::clone(field), list.offsets().clone(), values, list.nulls().cloned());
            let list: ArrayRef = Arc::new(made.map_err(|error| Error::new(ErrorKind::Decode, error.to_string()))?);
            recode(&list, to)?
        }
        Struct(fields) => {
            let source = array.as_struct();
            let columns = source.columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| from_json_form(column, field.data_type()));
            let made = StructArray::try_new_with_length(
                fields.clone(),
                columns.collect::<Result<Vec<_>>>()?,
                source.nulls().cloned(),
                source.len(),
            );
            Arc::new(made.map_err(|error| Error::new(ErrorKind::Decode, error.to_string()))?)
        }
        Map(entries, sorted) => {
            let map = array.as_map();
            let Struct(fields) = entries.data_type() else { return Err(Error::internal(to.to_string())) };
            let [key_field, value_field] = fields.as_ref() else { return Err(Error::internal(to.to_string())) };
            let keys = recode(map.keys(), &json_type(key_field.data_type()).unwrap_or(Utf8))?;
            let keys = from_json_form(&keys, key_field.data_type())?;
            let values = from_json_form(map.values(), value_field.data_type())?;
            let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)
                .map_err(|error| Error::new(ErrorKind::Decode, error.to_string()))?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, nulls, *sorted))
        }
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => recode(array, to)?,
        leaf => match array.data_type() {
            Utf8View => from_text(array.as_string_view(), leaf)?,
            _ => recode(array, leaf)?,
        },
    })
}
