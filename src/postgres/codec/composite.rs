//! Composite types as structs: `record_send` and `record_recv` in src/backend/utils/adt/rowtypes.c. A value is a count of
//! columns, followed by the type of each and a field as in a row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, NullBufferBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType::{self, Struct};
use arrow::datatypes::{self, FieldRef, Fields};

use super::super::cells::{Cells, LENGTH, Nulls, put, put_length, put_null};
use super::super::cursor::Cursor;
use super::super::rows::{Field, Values};
use super::{Codec, Collation, Family, Form, ServerType};
#[cfg(test)]
use super::{Example, number};
use crate::backend::Comparison;
use crate::columnar::{ValidStructs, plain};
use crate::error::{Error, ErrorKind, Result};

/// The columns of a composite type.
#[derive(Debug)]
struct Composite(Vec<CompositeField>);

/// A column of a composite type.
#[derive(Debug)]
pub(in crate::postgres) struct CompositeField {
    pub(in crate::postgres) name: String,
    pub(in crate::postgres) server: ServerType,
}

pub(in crate::postgres) const FAMILY: Family = Family {
    // The catalog identifies composite types by their columns.
    codec: |_, _| None,
    declare: |_| None,
    #[cfg(test)]
    examples: || {
        let server = ServerType { oid: 23, codec: number::int4() };
        let codec = composite(vec![CompositeField { name: "a".into(), server }]);
        vec![Example { declared: "composite types", codec, limits: "fields are matched by name" }]
    },
};

/// A composite type of these columns, each with a binary form.
pub(in crate::postgres) fn composite(fields: Vec<CompositeField>) -> Arc<dyn Codec> {
    Arc::new(Composite(fields))
}

impl Composite {
    fn column(&self, name: &str) -> Option<&ServerType> {
        self.0.iter().find(|column| column.name == name).map(|column| &column.server)
    }
}

impl Codec for Composite {
    fn arrow_type(&self) -> DataType {
        let field = |field: &CompositeField| datatypes::Field::new(&field.name, field.server.codec.arrow_type(), true);
        Struct(self.0.iter().map(field).collect())
    }

    fn decodes_as(&self, to: &DataType) -> bool {
        let Struct(fields) = to else { return false };
        let is_read =
            |field: &FieldRef| self.column(field.name()).is_some_and(|column| column.reads_as(field.data_type()));
        self.0.len() == fields.len() && fields.iter().all(is_read)
    }

    fn comparison(&self, _: Collation) -> Comparison {
        // For PostgreSQL, a composite value of NULLs IS NULL; it is not read as NULL.
        Comparison::Nothing
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        if from.is_string() {
            return Some((from.clone(), Form::Text));
        }
        let Struct(fields) = from else { return None };
        let is_sent = |field: &FieldRef| {
            let column = self.column(field.name())?;
            column.accepts(plain(field.data_type())).filter(|(_, form)| *form == Form::Binary)
        };
        let has_twice = |at: usize| fields[..at].iter().any(|field| field.name() == fields[at].name());
        let is_sent = !(1..fields.len()).any(has_twice) && fields.iter().all(|field| is_sent(field).is_some());
        is_sent.then(|| (from.clone(), Form::Binary))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        records(array, &self.0)
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match to {
            Struct(fields) => structs(values, &self.0, fields),
            _ => Err(Error::internal(format!("cannot read a composite type as {to}"))),
        }
    }
}

/// Size of the count of columns, and of the type of each, in bytes.
const INT: usize = 4;

/// Values of a composite type.
struct Records {
    nulls: Option<NullBuffer>,
    /// The number of non-NULL values before each row, if there are NULLs: only non-NULL values have columns.
    before: Option<Vec<usize>>,
    columns: Vec<(u32, Box<dyn Cells>)>,
    /// The size of each non-NULL value in bytes.
    lengths: Vec<usize>,
}

impl Records {
    /// The index of the first non-NULL value from a row on.
    fn valid(&self, row: usize) -> usize {
        self.before.as_ref().map_or(row, |before| before[row])
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

impl Cells for Records {
    fn add_sizes(&self, sizes: &mut [usize]) {
        let mut lengths = self.lengths.iter();
        for (row, size) in sizes.iter_mut().enumerate() {
            *size += LENGTH;
            if !self.is_null(row) {
                *size += lengths.next().copied().unwrap_or_default();
            }
        }
    }

    fn scatter(&self, first: usize, at: &mut [usize], _: usize, out: &mut [u8]) {
        let first_valid = self.valid(first);
        let mut places = Vec::with_capacity(at.len());
        for (row, at) in (first..).zip(at.iter_mut()) {
            if self.is_null(row) {
                put_null(at, out);
                continue;
            }
            let length = self.lengths[first_valid + places.len()];
            put_length(at, length, out);
            let mut place = *at;
            put(&mut place, &(self.columns.len() as i32).to_be_bytes(), out);
            places.push(place);
            *at += length;
        }
        for (oid, cells) in &self.columns {
            places.iter_mut().for_each(|place| put(place, &oid.to_be_bytes(), out));
            cells.scatter(first_valid, &mut places, 0, out);
        }
    }
}

/// Encodes structs as values of a composite type, matching columns by name.
fn records(array: &ArrayRef, columns: &[CompositeField]) -> Result<Box<dyn Cells>> {
    let structs = array.as_struct();
    let valid = ValidStructs::of(structs)?;
    let mut lengths = vec![INT; valid.structs.len()];
    let columns = columns.iter().map(|column| -> Result<(u32, Box<dyn Cells>)> {
        let cells = match valid.structs.column_by_name(&column.name) {
            Some(values) => column.server.encode_items(values).map_err(|error| valid.at(error, &column.name))?,
            None => Box::new(Nulls),
        };
        lengths.iter_mut().for_each(|length| *length += INT);
        cells.add_sizes(&mut lengths);
        Ok((column.server.oid, cells))
    });
    let columns = columns.collect::<Result<_>>()?;
    let before = valid.rows().map(|rows| {
        let mut before = Vec::with_capacity(structs.len());
        for (count, row) in rows.iter().enumerate() {
            before.resize(row + 1, count);
        }
        before.resize(structs.len(), rows.len());
        before
    });
    Ok(Box::new(Records { nulls: structs.nulls().cloned(), before, columns, lengths }))
}

/// Decodes values of a composite type as structs.
///
/// # Errors
/// `Decode`, with the row, if a value does not have the columns of its type, or a column cannot be decoded.
fn structs(values: Values<'_>, columns: &[CompositeField], fields: &Fields) -> Result<ArrayRef> {
    let mut found = vec![Vec::with_capacity(values.len()); columns.len()];
    let mut nulls = NullBufferBuilder::new(values.len());
    for (row, (value, field)) in values.iter().zip(values.fields).enumerate() {
        nulls.append(value.is_some());
        match value {
            None => found.iter_mut().for_each(|fields| fields.push(Field { begin: 0, length: -1 })),
            Some(bytes) => push(bytes, field.begin, &mut found).ok_or_else(|| {
                let text = "the number of columns of a composite value differs from that of its type: if the type was \
                            altered, register the table again";
                Error::new(ErrorKind::Decode, text).at_row(row)
            })?,
        }
    }
    let arrays = fields.iter().map(|field| {
        let column = columns.iter().zip(&found).find(|(column, _)| column.name == *field.name());
        let (column, fields) = column.ok_or_else(|| Error::internal(format!("no column \"{}\"", field.name())))?;
        let decoded = column.server.decode(Values { bytes: values.bytes, fields }, field.data_type());
        decoded.map_err(|error| error.with_context(format!("field \"{}\"", field.name())))
    });
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    let made = StructArray::try_new_with_length(fields.clone(), arrays, nulls.finish(), values.len());
    Ok(Arc::new(made.map_err(|error| Error::new(ErrorKind::Decode, error.to_string()))?))
}

/// Appends the columns of one value, which begins at `begin`.
fn push(bytes: &[u8], begin: u32, columns: &mut [Vec<Field>]) -> Option<()> {
    let mut cursor = Cursor::new(bytes);
    if usize::try_from(cursor.int()?).ok()? != columns.len() {
        return None;
    }
    for column in columns {
        let _oid = cursor.int()?;
        let (at, length) = cursor.field()?;
        column.push(Field { begin: begin + u32::try_from(at).ok()?, length });
    }
    Some(())
}
