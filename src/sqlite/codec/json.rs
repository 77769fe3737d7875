//! Lists, structs and maps as JSON.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};

use super::{Class, Codec, Family, Stored};
use crate::backend::Comparison;
use crate::columnar::{json, list_item};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, _| {
        let is_nested = matches!(data_type, Struct(_) | Map(_, _)) || list_item(data_type).is_some();
        let is_written = json::json_type(data_type).is_some();
        is_nested.then(|| Arc::new(Json { is_written }) as _)
    },
    declare: |_, _| None,
    declared: |_, _| None,
    types: &[
        "List(Int32)",
        "LargeList(Utf8)",
        "FixedSizeList(3 x Float32)",
        "Struct(\"a\": Int64)",
        "Map(\"entries\": non-null Struct(\"keys\": non-null Utf8, \"values\": Int32), unsorted)",
    ],
};

#[derive(Debug)]
struct Json {
    is_written: bool,
}

impl Codec for Json {
    fn class(&self) -> Class {
        Class::Text
    }

    fn stored_as(&self) -> &'static str {
        "JSON; a value in it that JSON cannot represent is stored in the form that this table lists for the type of \
         the value"
    }

    /// The text `null` is read as NULL, but is not NULL in the database.
    fn comparison(&self) -> Comparison {
        Comparison::Nothing
    }

    fn is_written(&self) -> bool {
        self.is_written
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        Ok(Stored::Text(json::encode(array)?))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        json::decode(stored.texts()?, to)
    }
}
