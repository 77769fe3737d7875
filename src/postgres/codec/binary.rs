//! `bytea`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewBuilder};
use arrow::datatypes::DataType::{self, *};

use super::super::bytes::bytes;
use super::super::cells::Cells;
use super::super::rows::Values;
#[cfg(test)]
use super::Example;
use super::{Codec, Family, Form};
use crate::error::Result;

#[derive(Debug)]
struct Bytea;

pub(in crate::postgres) const FAMILY: Family = Family {
    codec: |name, _| (name == "bytea").then(|| Arc::new(Bytea) as _),
    declare: |data_type| is_binary(data_type).then(|| "bytea".into()),
    #[cfg(test)]
    examples: || vec![Example { declared: "bytea", codec: Arc::new(Bytea), limits: "" }],
};

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))
}

impl Codec for Bytea {
    fn arrow_type(&self) -> DataType {
        BinaryView
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        is_binary(from).then(|| (from.clone(), Form::Binary))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        bytes(array, b"")
    }

    fn decode(&self, values: Values<'_>, _: &DataType) -> Result<ArrayRef> {
        let mut blobs = BinaryViewBuilder::with_capacity(values.len());
        values.iter().for_each(|value| blobs.append_option(value));
        Ok(Arc::new(blobs.finish()))
    }
}
