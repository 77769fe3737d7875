//! `json`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, *};

use super::{Codec, Family, Texts, Values};
use crate::columnar::{json, list_item};
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec: |declared| {
        // MariaDB's JSON is a text column, whose text must be UTF-8.
        let texts = if declared.has_character_set() { Texts::Folded } else { Texts::Converted };
        (declared.name == "json").then(|| Arc::new(Json { texts }) as _)
    },
    declare: |new| {
        let is_nested = new.data_type.is_nested() && json::json_type(new.data_type).is_some();
        is_nested.then(|| "json".into())
    },
    types: &[("json", "JSON")],
    created: &[
        ("Struct(\"a\": Int64)", ""),
        ("Map(\"entries\": non-null Struct(\"keys\": non-null Utf8, \"values\": Int64), unsorted)", ""),
        ("List(Int64)", ""),
    ],
};

#[derive(Debug)]
struct Json {
    texts: Texts,
}

impl Codec for Json {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn reads_as(&self, to: &DataType) -> bool {
        let is_nested = matches!(to, Struct(_) | Map(_, _)) || list_item(to).is_some();
        *to == Utf8View || is_nested && json::json_type(to).is_some()
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        match from {
            Utf8 | LargeUtf8 | Utf8View => Some(Utf8View),
            nested => (nested.is_nested() && json::json_type(nested).is_some()).then(|| nested.clone()),
        }
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        Ok(match array.data_type().is_nested() {
            true => fields::texts(&json::encode(array)?, style),
            false => fields::texts(array.as_string_view(), style),
        })
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        let texts = values.texts(to)?;
        Ok(if to.is_nested() { json::decode(&texts, to)? } else { Arc::new(texts) })
    }

    fn loaded(&self, variable: &str) -> Option<String> {
        self.texts.loaded(variable)
    }

    fn default_is_expression(&self) -> bool {
        true
    }
}
