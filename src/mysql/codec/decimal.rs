//! `decimal(p,s)`.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringViewArray};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{Float32Type, Float64Type};

use super::{Codec, Declared, Family, NewType, Values};
use crate::backend::Comparison;
use crate::columnar::{each, from_text, misfit};
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

const MOST: &str = "at most 65 digits, of which at most 30 may follow the decimal point";

pub(in crate::mysql) const FAMILY: Family = Family {
    codec,
    declare,
    types: &[("decimal(10,2)", ""), ("decimal(65,30)", "")],
    created: &[
        ("Decimal32(9, 2)", MOST),
        ("Decimal64(18, 2)", MOST),
        ("Decimal128(10, 2)", MOST),
        ("Decimal128(5, -2)", MOST),
        ("Decimal256(65, 30)", MOST),
    ],
};

fn codec(declared: &Declared<'_>) -> Option<Arc<dyn Codec>> {
    if declared.name != "decimal" {
        return None;
    }
    let arguments = declared.arguments.unwrap_or("10");
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    Some(Arc::new(Decimal { precision, scale }))
}

fn declare(new: &NewType<'_>) -> Option<String> {
    let (precision, scale) = match new.data_type {
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => (i32::from(*precision) - i32::from(*scale).min(0), (*scale).max(0)),
        _ => return None,
    };
    (precision <= 65 && scale <= 30).then(|| format!("decimal({precision},{scale})"))
}

#[derive(Debug)]
struct Decimal {
    precision: u8,
    scale: i8,
}

impl Codec for Decimal {
    fn arrow_type(&self) -> DataType {
        match self.precision {
            0..=38 => Decimal128(self.precision, self.scale),
            _ => Decimal256(self.precision, self.scale),
        }
    }

    fn reads_as(&self, to: &DataType) -> bool {
        *to == self.arrow_type() || matches!(to, Float32 | Float64)
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        match from {
            // From their digits: arithmetic could turn 5.0 into 4.999….
            Float16 | Float32 => Some(Float32),
            Float64 => Some(Float64),
            t => t.is_numeric().then(|| self.arrow_type()),
        }
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        Ok(match array.data_type().is_floating() {
            true => fields::decimals(&decimals_of_floats(array, &self.arrow_type())?, self.scale, style),
            false => fields::decimals(array, self.scale, style),
        })
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        let texts = values.texts(to)?;
        Ok(match to {
            Float32 => {
                let floats = each(&texts, to, float_of::<f32>)?;
                Arc::new(floats.into_iter().collect::<PrimitiveArray<Float32Type>>())
            }
            Float64 => {
                let floats = each(&texts, to, float_of::<f64>)?;
                Arc::new(floats.into_iter().collect::<PrimitiveArray<Float64Type>>())
            }
            _ => from_text(&texts, to)?,
        })
    }
}

/// Floats as decimals with their shortest digits.
fn decimals_of_floats(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    fn digits<T: ArrowPrimitiveType>(array: &ArrayRef) -> StringViewArray
    where
        T::Native: ToString,
    {
        array.as_primitive::<T>().iter().map(|value| value.map(|value| value.to_string())).collect()
    }
    let texts = match array.data_type() {
        Float32 => digits::<Float32Type>(array),
        _ => digits::<Float64Type>(array),
    };
    from_text(&texts, to).map_err(|error| match error.row() {
        Some(row) => misfit(array, row, &format!("does not fit {to}")),
        None => error,
    })
}

/// The float whose shortest digits are those of a decimal; `None` if there is none.
fn float_of<T: FromStr + ToString>(decimal: &str) -> Option<T> {
    let digits = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let float = decimal.parse::<T>().ok()?;
    (digits(&float.to_string()) == digits(decimal)).then_some(float)
}
