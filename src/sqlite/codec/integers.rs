//! Integers, and durations in their unit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};

use super::{Class, Codec, Family, Stored};
use crate::backend::Comparison;
use crate::columnar::{first_row_where, misfit, recode, undecodable};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, _| {
        let what = match data_type {
            DataType::UInt64 => What::Unsigned64,
            DataType::Duration(_) => What::Duration,
            other if other.is_integer() => What::Number,
            _ => return None,
        };
        Some(Arc::new(Integers { what }))
    },
    declare: |data_type, _| (*data_type == DataType::Int64).then(|| "INTEGER".into()),
    declared: |_, _| None,
    types: &[
        "Int64",
        "Int8",
        "Int16",
        "Int32",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "Duration(s)",
        "Duration(ms)",
        "Duration(µs)",
        "Duration(ns)",
    ],
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Number,
    Unsigned64,
    Duration,
}

#[derive(Debug)]
struct Integers {
    what: What,
}

impl Codec for Integers {
    fn class(&self) -> Class {
        Class::Integer
    }

    fn stored_as(&self) -> &'static str {
        match self.what {
            What::Number => "",
            What::Unsigned64 => "or an error for a value greater than 9223372036854775807",
            What::Duration => "in the unit of the type",
        }
    }

    fn comparison(&self) -> Comparison {
        if self.what == What::Duration { Comparison::Differs } else { Comparison::Exact }
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        if let Some(unsigned) = array.as_primitive_opt::<UInt64Type>()
            && let Some(row) = first_row_where(array, |row| i64::try_from(unsigned.value(row)).is_err())
        {
            return Err(misfit(
                array,
                row,
                "is greater than 9223372036854775807, SQLite's largest integer: create the table with the option \
                 'uint64' = 'text', or CAST the value to DECIMAL(20, 0)",
            ));
        }
        Ok(Stored::Integer(recode(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        let values: ArrayRef = Arc::new(stored.integers()?.clone());
        recode(&values, to).map_err(|error| {
            let fits = |row| recode(&values.slice(row, 1), to).is_ok();
            match (0..values.len()).find(|row| !fits(*row)) {
                Some(row) => undecodable(&values, row, to),
                None => error,
            }
        })
    }
}
