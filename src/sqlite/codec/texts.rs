//! Texts.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType;

use super::{Class, Codec, Family, Stored};
use crate::backend::Comparison;
use crate::columnar::{first_row_where, from_text, misfit, recode};
use crate::error::Result;

pub(in crate::sqlite) const FAMILY: Family = Family {
    codec: |data_type, affinity| {
        let texts = Texts { makes_numbers: affinity.makes_numbers() };
        data_type.is_string().then(|| Arc::new(texts) as _)
    },
    declare: |data_type, _| data_type.is_string().then(|| "TEXT".into()),
    declared: |_, _| None,
    types: &["Utf8", "LargeUtf8", "Utf8View"],
};

#[derive(Debug)]
struct Texts {
    /// Whether the column converts text that looks like a number.
    makes_numbers: bool,
}

impl Codec for Texts {
    fn class(&self) -> Class {
        Class::Text
    }

    fn comparison(&self) -> Comparison {
        Comparison::Exact
    }

    fn takes_numbers(&self) -> bool {
        true
    }

    fn store(&self, array: &ArrayRef) -> Result<Stored> {
        let texts = recode(array, &DataType::Utf8View)?.as_string_view().clone();
        if self.makes_numbers
            && let Some(row) = first_row_where(&texts, |row| changes_as_number(texts.value(row)))
        {
            return Err(misfit(
                array,
                row,
                "would be stored as a number because of the declared type of its column: declare the column TEXT",
            ));
        }
        Ok(Stored::Text(texts))
    }

    fn load(&self, stored: &Stored, to: &DataType) -> Result<ArrayRef> {
        from_text(stored.texts()?, to)
    }
}

/// Whether SQLite converts a text to a number that is read as another text.
fn changes_as_number(text: &str) -> bool {
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let numeric =
        trimmed.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && trimmed.parse::<f64>().is_ok();
    numeric && text.parse::<i64>().map(|number| number.to_string()).as_deref() != Ok(text)
}
