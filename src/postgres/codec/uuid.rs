//! `uuid`.

use std::sync::Arc;

use ::uuid::Uuid;
use arrow::array::{ArrayRef, FixedSizeBinaryArray};
use arrow::datatypes::DataType::{self, FixedSizeBinary, Utf8View};

use super::super::bytes::{bytes, packed};
use super::super::cells::Cells;
use super::super::rows::Values;
#[cfg(test)]
use super::Example;
use super::values::{texts_by, wrong_length};
use super::{Codec, Collation, Family, Form, Spelling, binary};
use crate::backend::Comparison;
use crate::error::Result;

#[derive(Debug)]
struct Column;

pub(in crate::postgres) const FAMILY: Family = Family {
    codec: |name, _| (name == "uuid").then(|| Arc::new(Column) as _),
    declare: |_| None,
    #[cfg(test)]
    examples: || vec![Example { declared: "uuid", codec: Arc::new(Column), limits: "text that is a UUID" }],
};

impl Codec for Column {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn decodes_as(&self, to: &DataType) -> bool {
        *to == FixedSizeBinary(16)
    }

    fn comparison(&self, _: Collation) -> Comparison {
        // The order of its canonical text is the order of its bytes.
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        match from {
            FixedSizeBinary(16) => binary(from.clone()),
            _ => from.is_string().then_some((Utf8View, Form::Binary)),
        }
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        match array.data_type() {
            FixedSizeBinary(_) => bytes(array, b""),
            _ => packed(array, "is not a UUID", |text, out| {
                out.extend_from_slice(Uuid::try_parse(text).ok()?.as_bytes());
                Some(())
            }),
        }
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        if *to == FixedSizeBinary(16) {
            let uuids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.iter(), 16);
            return Ok(Arc::new(uuids.map_err(|_| wrong_length(to))?));
        }
        texts_by(values, to, |bytes, text| {
            let mut buffer = Uuid::encode_buffer();
            text.push_str(Uuid::from_slice(bytes).ok()?.hyphenated().encode_lower(&mut buffer));
            Some(())
        })
    }

    fn spelling(&self) -> Spelling {
        Spelling::Uuid
    }
}
