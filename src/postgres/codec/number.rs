//! Integers, floats and booleans.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanBuilder};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt32Type};

use super::super::cells::{Cells, Fixed, fixed};
use super::super::rows::Values;
#[cfg(test)]
use super::Example;
use super::values::{self, wrong_length};
use super::{Codec, Collation, Family, Form, Spelling};
use crate::backend::Comparison;
use crate::error::Result;

#[derive(Debug)]
struct Bool;

#[derive(Debug, Clone, Copy)]
enum Number {
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
}

pub(in crate::postgres) const FAMILY: Family = Family {
    codec,
    declare,
    #[cfg(test)]
    examples,
};

fn codec(name: &str, _: i32) -> Option<Arc<dyn Codec>> {
    Some(Arc::new(match name {
        "bool" => return Some(Arc::new(Bool)),
        "int2" => Number::Int2,
        "int4" => Number::Int4,
        "int8" => Number::Int8,
        "oid" => Number::Oid,
        "float4" => Number::Float4,
        "float8" => Number::Float8,
        _ => return None,
    }))
}

/// `bigint`.
pub(in crate::postgres) fn int8() -> Arc<dyn Codec> {
    Arc::new(Number::Int8)
}

#[cfg(test)]
pub(super) fn int4() -> Arc<dyn Codec> {
    Arc::new(Number::Int4)
}

fn declare(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        Boolean => "boolean",
        Int8 | Int16 | UInt8 => "smallint",
        Int32 | UInt16 => "integer",
        Int64 | UInt32 => "bigint",
        Float16 | Float32 => "real",
        Float64 => "double precision",
        _ => return None,
    };
    Some(name.into())
}

#[cfg(test)]
fn examples() -> Vec<Example> {
    let number = |declared, number: Number| Example { declared, codec: Arc::new(number), limits: "numbers that fit" };
    vec![
        Example { declared: "boolean", codec: Arc::new(Bool), limits: "" },
        number("smallint", Number::Int2),
        number("integer", Number::Int4),
        number("bigint", Number::Int8),
        number("oid", Number::Oid),
        number("real", Number::Float4),
        number("double precision", Number::Float8),
    ]
}

impl Codec for Bool {
    fn arrow_type(&self) -> DataType {
        Boolean
    }

    fn comparison(&self, _: Collation) -> Comparison {
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        (*from == Boolean).then_some((Boolean, Form::Binary))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let bits = array.as_boolean();
        let values: Vec<u8> = bits.values().iter().map(u8::from).collect();
        Ok(Box::new(Fixed::new(values.into(), array.nulls(), |value: u8| [value])))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        let mut booleans = BooleanBuilder::with_capacity(values.len());
        for value in values.iter() {
            match value {
                None => booleans.append_null(),
                Some([value]) => booleans.append_value(*value != 0),
                Some(_) => return Err(wrong_length(to)),
            }
        }
        Ok(Arc::new(booleans.finish()))
    }

    fn width(&self) -> Option<usize> {
        Some(1)
    }
}

impl Number {
    fn is_integer(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8)
    }
}

impl Codec for Number {
    fn arrow_type(&self) -> DataType {
        match self {
            Self::Int2 => Int16,
            Self::Int4 => Int32,
            Self::Int8 => Int64,
            Self::Oid => UInt32,
            Self::Float4 => Float32,
            Self::Float8 => Float64,
        }
    }

    fn comparison(&self, _: Collation) -> Comparison {
        match self {
            Self::Int2 | Self::Int4 | Self::Int8 => Comparison::Exact,
            Self::Oid => Comparison::Differs,
            Self::Float4 | Self::Float8 => Comparison::Float,
        }
    }

    fn accepts(&self, from: &DataType) -> Option<(DataType, Form)> {
        from.is_numeric().then(|| (self.arrow_type(), Form::Binary))
    }

    fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        Ok(match self {
            Self::Int2 => fixed::<Int16Type, 2>(array, i16::to_be_bytes),
            Self::Int4 => fixed::<Int32Type, 4>(array, i32::to_be_bytes),
            Self::Int8 => fixed::<Int64Type, 8>(array, i64::to_be_bytes),
            Self::Oid => fixed::<UInt32Type, 4>(array, u32::to_be_bytes),
            Self::Float4 => fixed::<Float32Type, 4>(array, f32::to_be_bytes),
            Self::Float8 => fixed::<Float64Type, 8>(array, f64::to_be_bytes),
        })
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match self {
            Self::Int2 => values::fixed::<Int16Type, 2>(values, to, |bytes| Ok(i16::from_be_bytes(bytes))),
            Self::Int4 => values::fixed::<Int32Type, 4>(values, to, |bytes| Ok(i32::from_be_bytes(bytes))),
            Self::Int8 => values::fixed::<Int64Type, 8>(values, to, |bytes| Ok(i64::from_be_bytes(bytes))),
            Self::Oid => values::fixed::<UInt32Type, 4>(values, to, |bytes| Ok(u32::from_be_bytes(bytes))),
            Self::Float4 => values::fixed::<Float32Type, 4>(values, to, |bytes| Ok(f32::from_be_bytes(bytes))),
            Self::Float8 => values::fixed::<Float64Type, 8>(values, to, |bytes| Ok(f64::from_be_bytes(bytes))),
        }
    }

    fn is_number(&self) -> bool {
        self.is_integer()
    }

    fn width(&self) -> Option<usize> {
        self.arrow_type().primitive_width()
    }

    fn spelling(&self) -> Spelling {
        if self.is_integer() { Spelling::Integer } else { Spelling::Text }
    }
}
