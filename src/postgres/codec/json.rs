//! `json` and `jsonb`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};

use super::super::cells::Cells;
use super::super::rows::Values;
use super::super::texts::texts;
#[cfg(test)]
use super::Example;
use super::values;
use super::{Codec, Family, Form};
use crate::columnar::{json, list_item};
use crate::error::Result;

#[derive(Debug, Clone, Copy)]
enum Json {
    Text,
    Binary,
}

pub(in crate::postgres) const FAMILY: Family = Family {
    codec,
    // Lists of other types are arrays.
    declare: |data_type| {
        matches!(data_type, Struct(_) | Map(_, _)).then(|| json::json_type(data_type)).flatten().map(|_| "jsonb".into())
    },
    #[cfg(test)]
    examples,
};

fn codec(name: &str, _: i32) -> Option<Arc<dyn Codec>> {
    Some(Arc::new(match name {
        "json" => Json::Text,
        "jsonb" => Json::Binary,
        _ => return None,
    }))
}

#[cfg(test)]
fn examples() -> Vec<Example> {
    let json = |declared, json: Json| Example { declared, codec: Arc::new(json), limits: "valid JSON" };
    vec![json("json", Json::Text), json("jsonb", Json::Binary)]
}

impl Json {
    /// The prefix of the text: the version of `jsonb`.
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Text => b"",
            Self::Binary => b"\x01",
        }
    }
}

impl Codec for Json {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn decodes_as(&self, to: &DataType) -> bool {
        let is_document = matches!(to, Struct(_) | Map(_, _)) || list_item(to).is_some();
        is_document && json::json_type(to).is_some()
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        let is_json = from.is_nested() && json::json_type(from).is_some();
        (from.is_string() || is_json).then(|| (from.clone(), Form::Binary))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        match array.data_type().is_nested() {
            true => texts(&(Arc::new(json::encode(array)?) as ArrayRef), None, self.prefix()),
            false => texts(array, None, self.prefix()),
        }
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        let texts = values::texts(values, self.prefix().len())?;
        if to.is_nested() { json::decode(&texts, to) } else { Ok(Arc::new(texts)) }
    }
}
