//! Booleans as 0 and 1.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type};

use super::{Class, Codec, Family, Stored};
use crate::backend::Comparison;
use crate::columnar::{first_row_where, recode, undecodable};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, _| (*data_type == DataType::Boolean).then(|| Arc::new(Booleans) as _),
    declare: |data_type, _| (*data_type == DataType::Boolean).then(|| "BOOLEAN".into()),
    declared: |word, _| matches!(word, "BOOL" | "BOOLEAN").then_some(DataType::Boolean),
    types: &["Boolean"],
};

#[derive(Debug)]
struct Booleans;

impl Codec for Booleans {
    fn class(&self) -> Class {
        Class::Integer
    }

    fn stored_as(&self) -> &'static str {
        "0 or 1"
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        Ok(Stored::Integer(recode(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        let numbers = stored.integers()?;
        if let Some(row) = first_row_where(numbers, |row| !(0..=1).contains(&numbers.value(row))) {
            return Err(undecodable(numbers, row, to));
        }
        let booleans: BooleanArray = numbers.iter().map(|number| number.map(|number| number == 1)).collect();
        Ok(Arc::new(booleans))
    }
}
