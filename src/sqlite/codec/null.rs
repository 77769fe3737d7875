//! The type Null.

use std::sync::Arc;

use arrow::array::{ArrayRef, NullArray};
use arrow::datatypes::DataType;

use super::{Class, Codec, Family, Stored};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, _| (*data_type == DataType::Null).then(|| Arc::new(Nulls) as _),
    declare: |_, _| None,
    declared: |_, _| None,
    types: &["Null"],
};

#[derive(Debug)]
struct Nulls;

impl Codec for Nulls {
    fn class(&self) -> Class {
        Class::Null
    }

    fn store(&self, _: &ArrayRef) -> Result<Stored> {
        Ok(Stored::Null)
    }

    fn load(&self, _: &Stored, _: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(NullArray::new(0)))
    }
}
