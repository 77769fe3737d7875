//! SQLite's values to Arrow arrays. Any column can hold any value; one that is not of its column's type is an error.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanArray, Float64Builder, Int64Builder, NullArray,
    StringViewArray, StringViewBuilder, UInt64Array,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use rusqlite::types::ValueRef;

use super::encode::Stored;
use super::types::{Affinity, Form};
use crate::backend::Column;
use crate::columnar::json;
use crate::columnar::{each, recode, undecodable};
use crate::error::{Error, ErrorKind, Result};

/// Collects the values of one column and makes an array of them.
#[derive(Debug)]
pub(super) struct Decoder {
    column: Column,
    form: Form,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Null(usize),
    Integer(Int64Builder),
    Real(Float64Builder),
    Text(StringViewBuilder),
    Blob(BinaryViewBuilder),
}

impl Decoder {
    pub(super) fn try_new(column: &Column) -> Result<Self> {
        let form = Form::of(&column.data_type, Affinity::of_column(column)).ok_or_else(|| {
            Error::schema(format!("column \"{}\" cannot be read as {}", column.name, column.data_type))
        })?;
        let values = match form {
            Form::Null => Values::Null(0),
            Form::Boolean | Form::Integer => Values::Integer(Int64Builder::new()),
            Form::Real => Values::Real(Float64Builder::new()),
            Form::Blob => Values::Blob(BinaryViewBuilder::new()),
            _ => Values::Text(StringViewBuilder::new()),
        };
        Ok(Self { column: column.clone(), form, values })
    }

    /// Takes the value of the next row.
    ///
    /// # Errors
    /// `Decode` when it is not of the storage class that the column's type has.
    pub(super) fn push(&mut self, value: ValueRef<'_>) -> Result<()> {
        match (&mut self.values, value) {
            (Values::Null(rows), ValueRef::Null) => *rows += 1,
            (Values::Integer(values), ValueRef::Null) => values.append_null(),
            (Values::Integer(values), ValueRef::Integer(value)) => values.append_value(value),
            (Values::Real(values), ValueRef::Null) => values.append_null(),
            (Values::Real(values), ValueRef::Real(value)) => values.append_value(value),
            // A NUMERIC column holds 2.0 as 2.
            (Values::Real(values), ValueRef::Integer(value)) if value as f64 as i128 == i128::from(value) => {
                values.append_value(value as f64);
            }
            (Values::Text(values), ValueRef::Null) => values.append_null(),
            (Values::Text(values), ValueRef::Text(value)) => match std::str::from_utf8(value) {
                Ok(text) => values.append_value(text),
                Err(_) => return Err(self.unexpected("text that is not UTF-8")),
            },
            (Values::Text(values), ValueRef::Integer(value)) if self.form.takes_numbers() => {
                values.append_value(value.to_string());
            }
            (Values::Text(values), ValueRef::Real(value)) if self.form.takes_numbers() => {
                values.append_value(value.to_string());
            }
            (Values::Blob(values), ValueRef::Null) => values.append_null(),
            (Values::Blob(values), ValueRef::Blob(value) | ValueRef::Text(value)) => values.append_value(value),
            (_, other) => return Err(self.unexpected(&described(other))),
        }
        Ok(())
    }

    /// The array of the values taken since the last call.
    ///
    /// # Errors
    /// `Decode` when a value is not of the column's type.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let stored = match &mut self.values {
            Values::Null(rows) => return Ok(Arc::new(NullArray::new(std::mem::take(rows)))),
            Values::Integer(values) => Stored::Integer(values.finish()),
            Values::Real(values) => Stored::Real(values.finish()),
            Values::Text(values) => Stored::Text(values.finish()),
            Values::Blob(values) => Stored::Blob(values.finish()),
        };
        load(&stored, &self.column.data_type, self.form).map_err(|error| error.with_context(self.place()))
    }

    fn place(&self) -> String {
        format!("reading column \"{}\" (declared {})", self.column.name, self.column.sql_type)
    }

    fn unexpected(&self, found: &str) -> Error {
        Error::new(
            ErrorKind::Decode,
            format!(
                "it holds {found}, which is no {}: find such rows with SELECT rowid, typeof({}) in sqlite3",
                self.column.data_type,
                crate::sql::quote(&self.column.name)
            ),
        )
        .with_context(self.place())
    }
}

impl Form {
    /// Whether numbers found among texts are read as their digits.
    fn takes_numbers(self) -> bool {
        matches!(self, Self::Text | Self::UnsignedText | Self::DecimalText | Self::DecimalNumber)
    }
}

fn described(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(value) => format!("the integer {value}"),
        ValueRef::Real(value) => format!("the number {value}"),
        ValueRef::Text(value) => {
            let text = String::from_utf8_lossy(value);
            format!("the text '{}'", text.chars().take(60).collect::<String>())
        }
        ValueRef::Blob(value) => format!("a blob of {} bytes", value.len()),
    }
}

/// Stored values as an array of their Arrow type.
pub(super) fn load(stored: &Stored, to: &DataType, form: Form) -> Result<ArrayRef> {
    match stored {
        Stored::Null => Ok(Arc::new(NullArray::new(0))),
        Stored::Integer(values) => {
            let values: ArrayRef = Arc::new(values.clone());
            match form {
                Form::Boolean => booleans(&values),
                _ => integers(&values, to),
            }
        }
        Stored::Real(values) => {
            let narrow = recode(&(Arc::new(values.clone()) as ArrayRef), to)?;
            let back = recode(&narrow, &DataType::Float64)?;
            let back = back.as_primitive::<Float64Type>();
            let overflows = |row| values.value(row).is_finite() != back.value(row).is_finite();
            match crate::columnar::first_row_where(values, overflows) {
                Some(row) => Err(undecodable(values, row, to)),
                None => Ok(narrow),
            }
        }
        Stored::Blob(values) => {
            let values: ArrayRef = Arc::new(values.clone());
            match to {
                DataType::FixedSizeBinary(length) => {
                    let wrong = |row| values.as_binary_view().value(row).len() != *length as usize;
                    if let Some(row) = crate::columnar::first_row_where(&values, wrong) {
                        return Err(undecodable(&values, row, to));
                    }
                    recode(&recode(&values, &DataType::Binary)?, to)
                }
                _ => recode(&values, to),
            }
        }
        Stored::Text(texts) => from_text(texts, to, form),
    }
}

fn booleans(values: &ArrayRef) -> Result<ArrayRef> {
    let numbers = values.as_primitive::<Int64Type>();
    if let Some(row) = crate::columnar::first_row_where(numbers, |row| !(0..=1).contains(&numbers.value(row))) {
        return Err(undecodable(values, row, &DataType::Boolean));
    }
    let booleans: BooleanArray = numbers.iter().map(|number| number.map(|number| number == 1)).collect();
    Ok(Arc::new(booleans))
}

fn integers(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    recode(values, to).map_err(|error| {
        let fits = |row| recode(&values.slice(row, 1), to).is_ok();
        match (0..values.len()).find(|row| !fits(*row)) {
            Some(row) => undecodable(values, row, to),
            None => error,
        }
    })
}

fn from_text(texts: &StringViewArray, to: &DataType, form: Form) -> Result<ArrayRef> {
    match (form, to) {
        (Form::Json, _) => json::decode(texts, to),
        (Form::UnsignedText, _) => {
            let parsed = each(texts, to, |text| text.parse::<u64>().ok())?;
            Ok(Arc::new(parsed.into_iter().collect::<UInt64Array>()))
        }
        _ => crate::columnar::from_text(texts, to),
    }
}
