//! Floats.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};

use super::{Class, Codec, Family, Stored};
use crate::backend::Comparison;
use crate::columnar::{first_row_where, misfit, recode, undecodable};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, _| {
        let is_double = *data_type == DataType::Float64;
        data_type.is_floating().then(|| Arc::new(Reals { is_double }) as _)
    },
    declare: |data_type, _| (*data_type == DataType::Float64).then(|| "REAL".into()),
    declared: |_, _| None,
    types: &["Float64", "Float32", "Float16"],
};

#[derive(Debug)]
struct Reals {
    is_double: bool,
}

impl Codec for Reals {
    fn class(&self) -> Class {
        Class::Real
    }

    fn stored_as(&self) -> &'static str {
        "with -0.0 stored as 0.0; NaN is an error, because SQLite would store NULL"
    }

    fn comparison(&self) -> Comparison {
        if self.is_double { Comparison::Exact } else { Comparison::Differs }
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        let reals = recode(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone();
        // A sum is NaN if any summand is. Infinities can also make it NaN, so each value is checked then.
        if reals.values().iter().sum::<f64>().is_nan()
            && let Some(row) = first_row_where(&reals, |row| reals.value(row).is_nan())
        {
            return Err(misfit(
                array,
                row,
                "cannot be stored, because SQLite would store NULL: use CASE WHEN isnan(x) THEN NULL ELSE x END, or nanvl",
            ));
        }
        Ok(Stored::Real(reals))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        let values = stored.reals()?;
        let narrow = recode(&(Arc::new(values.clone()) as ArrayRef), to)?;
        let back = recode(&narrow, &DataType::Float64)?;
        let back = back.as_primitive::<Float64Type>();
        let overflows = |row| values.value(row).is_finite() != back.value(row).is_finite();
        match first_row_where(values, overflows) {
            Some(row) => Err(undecodable(values, row, to)),
            None => Ok(narrow),
        }
    }
}
