//! `tinyint(1)`, for which BOOLEAN is a synonym.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::Int8Type;

use super::values::integer;
use super::{Codec, Family, Values};
use crate::backend::Comparison;
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec: |declared| {
        let is_boolean = declared.name == "tinyint" && declared.arguments == Some("1") && !declared.is_unsigned;
        is_boolean.then(|| Arc::new(TinyInt1) as _)
    },
    declare: |new| (*new.data_type == Boolean).then(|| "tinyint(1)".into()),
    types: &[("tinyint(1)", "")],
    created: &[("Boolean", "")],
};

#[derive(Debug)]
struct TinyInt1;

impl Codec for TinyInt1 {
    fn arrow_type(&self) -> DataType {
        Boolean
    }

    fn reads_as(&self, to: &DataType) -> bool {
        *to == Boolean || to.is_signed_integer()
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        match from {
            Boolean => Some(Boolean),
            t => t.is_numeric().then_some(Int8),
        }
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        Ok(match array.data_type() {
            Boolean => fields::booleans(array, style),
            _ => fields::integers::<Int8Type>(array, style),
        })
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match to {
            Boolean => values.booleans(integer),
            _ => values.integers(to),
        }
    }
}
