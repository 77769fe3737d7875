//! Unsigned 64-bit integers as digits, if the column stores text.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::DataType;

use super::{Class, Codec, Family, Stored};
use crate::columnar::{each, to_text};
use crate::error::Result;
use crate::sqlite::options::Uint64;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, affinity| {
        (*data_type == DataType::UInt64 && !affinity.makes_numbers()).then(|| Arc::new(UnsignedText) as _)
    },
    declare: |data_type, uint64| {
        (*data_type == DataType::UInt64 && uint64 == Uint64::Text).then(|| "UNSIGNED TEXT".into())
    },
    declared: |word, _| (word == "UNSIGNED TEXT").then_some(DataType::UInt64),
    types: &[],
};

#[derive(Debug)]
struct UnsignedText;

impl Codec for UnsignedText {
    fn class(&self) -> Class {
        Class::Text
    }

    fn stored_as(&self) -> &'static str {
        "decimal digits"
    }

    fn takes_numbers(&self) -> bool {
        true
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        Ok(Stored::Text(to_text(array)?))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        let parsed = each(stored.texts()?, to, |text| text.parse::<u64>().ok())?;
        Ok(Arc::new(parsed.into_iter().collect::<UInt64Array>()))
    }
}
