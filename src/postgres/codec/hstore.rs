//! `hstore` of contrib: maps from text to text.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, NullBufferBuilder, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::Field;

use super::super::bytes::{Bytes, Packed};
use super::super::cells::Cells;
use super::super::cursor::Cursor;
use super::super::rows::Values;
#[cfg(test)]
use super::Example;
use super::values::wrong_length;
use super::{Codec, Family, Form, binary};
use crate::columnar::misfit;
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug)]
struct Hstore;

pub(in crate::postgres) const FAMILY: Family = Family {
    codec: |name, _| (name == "hstore").then(|| Arc::new(Hstore) as _),
    declare: |_| None,
    #[cfg(test)]
    examples: || {
        vec![Example {
            declared: "hstore",
            codec: Arc::new(Hstore),
            limits: "distinct keys; text must have the format of `hstore`",
        }]
    },
};

impl Codec for Hstore {
    fn arrow_type(&self) -> DataType {
        let pair = vec![Field::new("keys", Utf8, false), Field::new("values", Utf8, true)];
        Map(Arc::new(Field::new("entries", Struct(pair.into()), false)), false)
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        match from {
            Map(_, _) => binary(self.arrow_type()),
            _ => from.is_string().then(|| (from.clone(), Form::Text)),
        }
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        encoded(array)
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        decoded(values, to)
    }
}

/// `hstore_send` of contrib/hstore: a count, and for each pair the length and bytes of key and value.
fn encoded(array: &ArrayRef) -> Result<Box<dyn Cells>> {
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
                    return Err(misfit(array, row, "contains a NUL character, which hstore cannot store"));
                }
                if !seen.insert(keys.value(pair)) {
                    return Err(misfit(array, row, "contains a key twice, but hstore stores each key only once"));
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

fn decoded(values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
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
