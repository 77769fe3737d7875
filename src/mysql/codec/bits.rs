//! `bit(n)`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::UInt64Type;
use mysql_async::Value;

use super::{Codec, Family, Values};
use crate::backend::Comparison;
use crate::columnar::{check_range, recode};
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec: |declared| (declared.name == "bit").then(|| Arc::new(Bit(declared.number(1) as u32)) as _),
    declare: |_| None,
    types: &[("bit(1)", ""), ("bit(17)", "")],
    created: &[],
};

#[derive(Debug)]
struct Bit(u32);

impl Codec for Bit {
    fn arrow_type(&self) -> DataType {
        if self.0 == 1 { Boolean } else { UInt64 }
    }

    fn reads_as(&self, to: &DataType) -> bool {
        *to == self.arrow_type() || to.is_unsigned_integer()
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        match from {
            Boolean => (self.0 == 1).then_some(Boolean),
            t => t.is_numeric().then_some(UInt64),
        }
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        if *array.data_type() == Boolean {
            return Ok(fields::booleans(array, style));
        }
        let bits = self.0;
        let most = u64::MAX >> (64 - bits.clamp(1, 64));
        check_range::<UInt64Type>(array, ..=most, &format!("has more than the {bits} bits that its column stores"))?;
        Ok(fields::integers::<UInt64Type>(array, style))
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        match to {
            Boolean => values.booleans(bits),
            _ => {
                let array = values.primitive::<UInt64Type>(&UInt64, |value| bits(value).map(|bits| bits as u64))?;
                recode(&array, to)
            }
        }
    }

    /// The server would interpret the field as the bits themselves.
    fn loaded(&self, variable: &str) -> Option<String> {
        Some(format!("CAST({variable} AS UNSIGNED)"))
    }
}

/// The bits of a value, the most significant byte first.
fn bits(value: &Value) -> Option<i128> {
    match value {
        Value::Bytes(bytes) if bytes.len() <= 8 => {
            Some(bytes.iter().fold(0, |bits, byte| bits << 8 | i128::from(*byte)))
        }
        _ => None,
    }
}
