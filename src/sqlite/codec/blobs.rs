//! Binary values as BLOB.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, *};

use super::{Class, Codec, Family, Stored};
use crate::columnar::{first_row_where, recode, undecodable};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, _| {
        let is_binary = matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_));
        is_binary.then(|| Arc::new(Blobs) as _)
    },
    declare: |data_type, _| matches!(data_type, Binary | LargeBinary | BinaryView).then(|| "BLOB".into()),
    declared: |_, _| None,
    types: &["Binary", "LargeBinary", "BinaryView", "FixedSizeBinary(16)"],
};

#[derive(Debug)]
struct Blobs;

impl Codec for Blobs {
    fn class(&self) -> Class {
        Class::Blob
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        let plain = match array.data_type() {
            FixedSizeBinary(_) => recode(array, &Binary)?,
            _ => ArrayRef::clone(array),
        };
        Ok(Stored::Blob(recode(&plain, &BinaryView)?.as_binary_view().clone()))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        let blobs = stored.blobs()?;
        let values: ArrayRef = Arc::new(blobs.clone());
        let FixedSizeBinary(length) = to else { return recode(&values, to) };
        if let Some(row) = first_row_where(blobs, |row| blobs.value(row).len() != *length as usize) {
            return Err(undecodable(&values, row, to));
        }
        recode(&recode(&values, &Binary)?, to)
    }
}
