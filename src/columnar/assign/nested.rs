//! Assignment of structs, field by field by name, and of lists of structs.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt32Array, new_null_array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType::{self, List, Struct};
use arrow::datatypes::Fields;
use arrow::error::ArrowError;

use super::{Assign, Assigned};
use crate::columnar::lossless_cast::{list_item, plain, recode};
use crate::columnar::structs::ValidStructs;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Nanoseconds;

/// The assignment of each struct or item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Nested {
    /// For each field of the column, the index of the source's field and its assignment; `None` is NULL.
    Fields(Vec<Option<(usize, Assign)>>),
    Items(Box<Assign>),
}

impl Nested {
    /// The assignment between structs of different types, or lists of them; `None` for other types.
    ///
    /// # Errors
    /// The field that cannot be assigned, and why.
    pub(super) fn try_new(
        from: &DataType,
        to: &DataType,
        nanoseconds: Nanoseconds,
    ) -> Option<std::result::Result<Self, Cow<'static, str>>> {
        match (plain(from), plain(to)) {
            (from, to) if from == to => None,
            (Struct(from), Struct(to)) => Some(fields(from, to, nanoseconds)),
            (from, to) => {
                let (from, to) = (list_item(from)?.data_type(), list_item(to)?.data_type());
                let way = Self::try_new(from, to, nanoseconds)?;
                Some(way.and_then(|_| Ok(Self::Items(Box::new(Assign::try_new(from, to, nanoseconds)?)))))
            }
        }
    }

    fn ways(&self) -> impl Iterator<Item = &Assign> {
        let (fields, items) = match self {
            Self::Fields(fields) => (fields.as_slice(), None),
            Self::Items(item) => (&[][..], Some(item.as_ref())),
        };
        fields.iter().flatten().map(|(_, way)| way).chain(items)
    }

    /// The effect on the nested values.
    pub(super) fn assigned(&self) -> Assigned {
        let does = |what| self.ways().any(|way| way.assigned() == what);
        [Assigned::Cut, Assigned::Rounded, Assigned::Checked]
            .into_iter()
            .find(|what| does(*what))
            .unwrap_or(Assigned::Exact)
    }

    pub(super) fn is_own_rule(&self) -> bool {
        self.ways().any(Assign::is_own_rule)
    }

    /// Converts the values, which must not be in a dictionary.
    pub(super) fn apply(&self, array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        match (self, to) {
            (Self::Fields(ways), Struct(fields)) => structs(array.as_struct(), ways, fields),
            (Self::Items(way), to) => lists(array, way, to),
            (_, to) => Err(Error::internal(format!("structs cannot be assigned to {to}"))),
        }
    }
}

/// The assignment of each field of the column.
fn fields(from: &Fields, to: &Fields, nanoseconds: Nanoseconds) -> std::result::Result<Nested, Cow<'static, str>> {
    for (index, field) in from.iter().enumerate() {
        let is_it = |other: &Arc<arrow::datatypes::Field>| other.name() == field.name();
        if from[..index].iter().any(is_it) {
            return Err(format!("field \"{}\" is specified more than once", field.name()).into());
        }
        if !to.iter().any(is_it) {
            let names = to.iter().map(|field| format!("\"{}\"", field.name())).collect::<Vec<_>>().join(", ");
            return Err(format!("the column has no field \"{}\": its fields are {names}", field.name()).into());
        }
    }
    let way = |(name, to): (&str, &DataType)| {
        let Some((index, field)) = from.find(name) else { return Ok(None) };
        let way = Assign::try_new(field.data_type(), to, nanoseconds)
            .map_err(|why| format!("field \"{name}\": {} cannot be assigned to {to}: {why}", field.data_type()))?;
        Ok(Some((index, way)))
    };
    let ways = to.iter().map(|field| way((field.name(), field.data_type())));
    Ok(Nested::Fields(ways.collect::<std::result::Result<_, String>>()?))
}

fn structs(structs: &StructArray, ways: &[Option<(usize, Assign)>], to: &Fields) -> Result<ArrayRef> {
    let valid = ValidStructs::of(structs)?;
    // The index of each row's field among those that are not NULL.
    let places = valid.rows().map(|rows| {
        let mut places = vec![None; structs.len()];
        rows.iter().zip(0..).for_each(|(row, place)| places[*row] = Some(place));
        UInt32Array::from(places)
    });
    let columns = ways.iter().zip(to).map(|(way, field)| {
        let Some((index, way)) = way else { return Ok(new_null_array(field.data_type(), structs.len())) };
        let assigned = way.apply(valid.structs.column(*index)).map_err(|error| valid.at(error, field.name()))?;
        match &places {
            Some(places) => take(&assigned, places, None).map_err(broken),
            None => Ok(assigned),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let made = StructArray::try_new_with_length(to.clone(), columns, structs.nulls().cloned(), structs.len());
    Ok(Arc::new(made.map_err(broken)?))
}

fn lists(array: &ArrayRef, way: &Assign, to: &DataType) -> Result<ArrayRef> {
    let (Some(from), Some(item)) = (list_item(array.data_type()), list_item(to)) else {
        return Err(Error::internal(format!("{} cannot be assigned to {to}", array.data_type())));
    };
    let array = recode(array, &List(Arc::clone(from)))?;
    let lists = array.as_list::<i32>();
    // A slice of a list array contains the items of the whole array.
    let (first, last) = (lists.offsets()[0], lists.offsets()[lists.len()]);
    let offsets: ScalarBuffer<i32> = lists.offsets().iter().map(|offset| offset - first).collect();
    let items = lists.values().slice(first as usize, (last - first) as usize);
    let items = way.apply(&items).map_err(|error| match error.row() {
        Some(index) => error.at_row(offsets.partition_point(|offset| *offset as usize <= index).saturating_sub(1)),
        None => error,
    })?;
    let made = ListArray::try_new(Arc::clone(item), OffsetBuffer::new(offsets), items, lists.nulls().cloned());
    recode(&(Arc::new(made.map_err(broken)?) as ArrayRef), to)
}

fn broken(error: ArrowError) -> Error {
    Error::new(ErrorKind::Encode, error.to_string())
}
