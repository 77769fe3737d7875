//! Arrays of types with a binary form.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, NullBufferBuilder};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::FieldRef;

use super::super::cells::Cells;
use super::super::cursor::Cursor;
use super::super::rows::{Field, Values};
use super::lists::{MAX_DIMENSIONS, lists};
use super::values::wrong_length;
use super::{Codec, Family, Form, ServerType};
#[cfg(test)]
use super::{Example, number};
use crate::columnar::{list_item, plain};
use crate::error::{Error, ErrorKind, Result};

/// Arrays with the declared number of dimensions.
#[derive(Debug)]
struct Array {
    item: ServerType,
    dimensions: usize,
}

pub(in crate::postgres) const FAMILY: Family = Family {
    // The catalog identifies arrays by their element type.
    codec: |_, _| None,
    declare: |_| None,
    #[cfg(test)]
    examples,
};

/// Arrays of a type with a binary form and a number of dimensions, which is 0 for the columns of a view.
pub(in crate::postgres) fn array(item: ServerType, dimensions: usize) -> Arc<dyn Codec> {
    Arc::new(Array { item, dimensions: dimensions.clamp(1, MAX_DIMENSIONS) })
}

#[cfg(test)]
fn examples() -> Vec<Example> {
    let of_integers = |declared, dimensions, limits| {
        let item = ServerType { oid: 23, codec: number::int4() };
        Example { declared, codec: array(item, dimensions), limits }
    };
    vec![
        of_integers("integer[]", 1, "elements that the element type can store"),
        of_integers("integer[][]", 2, "nested lists of the same length"),
    ]
}

impl Array {
    /// The number of nested lists that are dimensions: a list below them is an element.
    fn levels(&self) -> usize {
        let takes_lists = self.item.codec.accepts(&DataType::new_list(Int32, true)).is_some();
        // The encoder checks the number of dimensions.
        if takes_lists { self.dimensions } else { usize::MAX }
    }

    /// Whether elements are sent in binary form, from lists of at most that many levels.
    fn takes(&self, list: &DataType, levels: usize) -> Option<FieldRef> {
        let field = list_item(list)?;
        let values = plain(field.data_type());
        if levels > 1 && list_item(values).is_some() {
            return self.takes(values, levels - 1).map(|_| Arc::clone(field));
        }
        self.item.accepts(values).filter(|(_, form)| *form == Form::Binary).map(|_| Arc::clone(field))
    }
}

impl Codec for Array {
    fn arrow_type(&self) -> DataType {
        let item = self.item.codec.arrow_type();
        (0..self.dimensions).fold(item, |below, _| DataType::new_list(below, true))
    }

    fn decodes_as(&self, to: &DataType) -> bool {
        let List(field) = to else { return false };
        self.item.reads_as(field.data_type())
            || *field.data_type() == self.arrow_type()
            || self.decodes_as(field.data_type())
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        if from.is_string() {
            return Some((from.clone(), Form::Text));
        }
        self.takes(from, self.levels()).map(|field| (List(field), Form::Binary))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        lists(array, &self.item, self.levels())
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        decoded(values, &self.item, self.dimensions, to)
    }
}

fn decoded(values: Values<'_>, item: &ServerType, dimensions: usize, to: &DataType) -> Result<ArrayRef> {
    // The nested lists, the outermost first, and the type of the elements of the innermost one.
    let mut levels = Vec::new();
    let mut leaf = to;
    while let List(field) = leaf {
        // Nested lists of JSON could be an array of JSON lists: only the declared dimensions belong to the array.
        if levels.len() >= dimensions && item.reads_as(leaf) {
            break;
        }
        levels.push(field);
        leaf = field.data_type();
    }
    let mut lengths: Vec<Vec<usize>> = vec![Vec::new(); levels.len()];
    let mut nulls = NullBufferBuilder::new(values.len());
    let mut items: Vec<Field> = Vec::new();
    // The number of elements up to each row.
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
                "an array with {found} dimension{} cannot be read as {to}: list the columns when you register the \
                 table, and declare this column as {} if all of its values have that number of dimensions, otherwise \
                 as VARCHAR",
                if found == 1 { "" } else { "s" },
                "[]".repeat(found)
            );
            return Err(Error::new(ErrorKind::Decode, text).at_row(row));
        }
        ends.push(items.len());
    }
    let decoded = item.decode(Values { bytes: values.bytes, fields: &items }, leaf);
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

/// Appends the lengths and elements of one array with up to `lengths.len()` dimensions; returns how many it has.
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
        // Each element has at least a length of four bytes.
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
