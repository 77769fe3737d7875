//! Decimals as decimal digits.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::{Class, Codec, Family, Stored};
use crate::columnar::{first_row_where, from_text, misfit, to_text};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, affinity| {
        let decimals = Decimals { is_number: affinity.makes_numbers() };
        data_type.is_decimal().then(|| Arc::new(decimals) as _)
    },
    declare: |data_type, _| data_type.is_decimal().then(|| format!("TEXT \"{data_type}\"")),
    declared: |word, arguments| match word {
        "DECIMAL" | "NUMERIC" => arguments.and_then(decimal),
        _ => None,
    },
    types: &["Decimal32(7, 2)", "Decimal64(12, -3)", "Decimal128(10, 2)", "Decimal256(76, 0)"],
};

#[derive(Debug)]
struct Decimals {
    /// Whether the column converts text to numbers, which keep 15 digits.
    is_number: bool,
}

impl Codec for Decimals {
    fn class(&self) -> Class {
        Class::Text
    }

    fn stored_as(&self) -> &'static str {
        "the number with all its digits"
    }

    fn takes_numbers(&self) -> bool {
        true
    }

    fn is_made_number(&self) -> bool {
        self.is_number
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        let texts = to_text(array)?;
        // REAL keeps 15 significant digits, and INTEGER keeps 64-bit integers.
        let too_long = |row: usize| {
            let text: &str = texts.value(row);
            let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
            digits > 15 && text.parse::<i64>().is_err()
        };
        if self.is_number
            && let Some(row) = first_row_where(&texts, too_long)
        {
            let why = "has more than the 15 digits that its column can store: declare the column TEXT, or let Landfall \
                       create the table";
            return Err(misfit(array, row, why));
        }
        Ok(Stored::Text(texts))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        from_text(stored.texts()?, to)
    }
}

fn decimal(arguments: &str) -> Option<DataType> {
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let is_decimal = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
    is_decimal.then_some(DataType::Decimal128(precision, scale))
}
