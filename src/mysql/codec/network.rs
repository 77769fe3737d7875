//! `inet4` and `inet6`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, *};

use super::{Codec, Family, Texts, Values};
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec: |declared| matches!(declared.name, "inet4" | "inet6").then(|| Arc::new(Inet) as _),
    declare: |_| None,
    types: &[("inet4", ""), ("inet6", "")],
    created: &[],
};

#[derive(Debug)]
struct Inet;

impl Codec for Inet {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        from.is_string().then_some(Utf8View)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        Ok(fields::texts(array.as_string_view(), style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(values.texts(to)?))
    }

    /// The server would interpret bytes without a character set as the binary value.
    fn loaded(&self, variable: &str) -> Option<String> {
        Texts::Converted.loaded(variable)
    }
}
