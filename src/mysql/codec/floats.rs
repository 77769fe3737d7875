//! `float` and `double`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Float32Type, Float64Type};
use mysql_async::Value;

use super::{Codec, Declared, Family, NewType, Values};
use crate::backend::Comparison;
use crate::columnar::check;
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec,
    declare,
    types: &[("float", "finite"), ("double", "finite")],
    created: &[("Float16", ""), ("Float32", ""), ("Float64", "")],
};

fn codec(declared: &Declared<'_>) -> Option<Arc<dyn Codec>> {
    // `float(10,2)`, a nonstandard syntax.
    let rounds = declared.arguments.is_some_and(|arguments| arguments.contains(','));
    let width = match declared.name {
        "float" => Width::Float,
        "double" => Width::Double,
        _ => return None,
    };
    Some(Arc::new(Floats { width, rounds }))
}

fn declare(new: &NewType<'_>) -> Option<String> {
    match new.data_type {
        Float16 | Float32 => Some("float".into()),
        Float64 => Some("double".into()),
        _ => None,
    }
}

const NOT_FINITE: &str = "is not finite, so MySQL cannot store it: replace it with nullif or CASE";

#[derive(Debug, Clone, Copy)]
enum Width {
    Float,
    Double,
}

#[derive(Debug)]
struct Floats {
    width: Width,
    rounds: bool,
}

impl Codec for Floats {
    fn arrow_type(&self) -> DataType {
        match self.width {
            Width::Float => Float32,
            Width::Double => Float64,
        }
    }

    fn comparison(&self) -> Comparison {
        Comparison::SignedZero
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        from.is_numeric().then(|| self.arrow_type())
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        Ok(match self.width {
            Width::Float => {
                check::<Float32Type>(array, f32::is_finite, NOT_FINITE)?;
                fields::floats(array, style)
            }
            Width::Double => {
                check::<Float64Type>(array, f64::is_finite, NOT_FINITE)?;
                fields::doubles(array, style)
            }
        })
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match self.width {
            Width::Float => values.primitive::<Float32Type>(to, |value| match value {
                Value::Float(value) => Some(*value),
                _ => None,
            }),
            Width::Double => values.primitive::<Float64Type>(to, |value| match value {
                Value::Double(value) => Some(*value),
                _ => None,
            }),
        }
    }

    fn rounds(&self) -> Option<&'static str> {
        self.rounds.then_some(match self.width {
            Width::Float => "float",
            Width::Double => "double",
        })
    }
}
