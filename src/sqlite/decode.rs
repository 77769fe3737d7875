//! SQLite's values to Arrow arrays. Any column can hold any value; one that is not of its column's type is an error.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewBuilder, BooleanArray, Decimal256Array, Float64Builder,
    Int64Builder, NullArray, PrimitiveArray, StringViewArray, StringViewBuilder, UInt64Array,
};
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, IntervalDayTime, IntervalDayTimeType, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, TimeUnit, i256,
};
use rusqlite::types::ValueRef;

use super::encode::Stored;
use super::json;
use super::types::{Affinity, Form};
use crate::columnar::{fraction_digits, misfit, parse_interval, recode};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::Column;

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
        let form = Form::of(&column.data_type, Affinity::of(&column.sql_type)).ok_or_else(|| {
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
        (Form::DecimalText | Form::DecimalNumber, _) => decimals(texts, to),
        (Form::Date | Form::Time | Form::Timestamp, _) => temporal(texts, to),
        (Form::Interval, DataType::Interval(unit)) => intervals(texts, to, *unit),
        _ => recode(&(Arc::new(texts.clone()) as ArrayRef), to),
    }
}

fn undecodable(array: &dyn Array, row: usize, to: &DataType) -> Error {
    Error::new(ErrorKind::Decode, misfit(array, row, &format!("is no {to}")).to_string()).at_row(row)
}

/// Parses each text that is not NULL.
fn each<T>(texts: &StringViewArray, to: &DataType, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>> {
    let parsed = texts.iter().enumerate().map(|(row, text)| match text {
        None => Ok(None),
        Some(text) => parse(text).map(Some).ok_or_else(|| undecodable(texts, row, to)),
    });
    parsed.collect()
}

fn decimals(texts: &StringViewArray, to: &DataType) -> Result<ArrayRef> {
    let (precision, scale) = match *to {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (precision, scale),
        _ => return Err(Error::internal(format!("{to} is no decimal"))),
    };
    let unscaled = each(texts, to, |text| parse_decimal(text, precision, scale))?;
    let wide: Decimal256Array = unscaled.into_iter().collect();
    let wide = wide.with_precision_and_scale(76, scale).map_err(|error| Error::internal(error.to_string()))?;
    recode(&(Arc::new(wide) as ArrayRef), to)
}

/// The digits of a decimal without its point; `None` where it has more of them than the type.
fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i256> {
    let (text, exponent) = match text.split_once(['e', 'E']) {
        Some((text, exponent)) => (text, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // How many digits of `digits` are in excess of the scale; negative: how many zeros are missing.
    let excess = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?.checked_sub(scale.into())?;
    if excess > 0 {
        let excess = usize::try_from(excess).ok()?;
        let padded = format!("{digits:0>width$}", width = excess + 1);
        let (kept, lost) = padded.split_at(padded.len() - excess);
        if lost.bytes().any(|byte| byte != b'0') {
            return None;
        }
        digits = kept.to_owned();
    } else {
        let missing = usize::try_from(-excess).ok().filter(|missing| *missing <= 400)?;
        digits.extend(std::iter::repeat_n('0', missing));
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > precision.into() {
        return None;
    }
    i256::from_string(&format!("{sign}{}", if digits.is_empty() { "0" } else { digits }))
}

/// Dates, times and timestamps; a text with more digits of a second than the unit is an error.
fn temporal(texts: &StringViewArray, to: &DataType) -> Result<ArrayRef> {
    let digits = match to {
        DataType::Time32(unit) | DataType::Time64(unit) | DataType::Timestamp(unit, _) => fraction_digits(*unit),
        _ => fraction_digits(TimeUnit::Second),
    };
    // A date is of ten characters, so that it compares as text; a DATE column has nothing behind it.
    let has_date = |text: &str| {
        let bytes = text.as_bytes();
        match to {
            DataType::Time32(_) | DataType::Time64(_) => true,
            DataType::Timestamp(_, _) => bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-',
            _ => bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-',
        }
    };
    let fits = |text: &str| match text.split_once('.') {
        _ if !has_date(text) => false,
        None => true,
        Some((_, fraction)) => {
            let fraction = fraction.bytes().take_while(u8::is_ascii_digit);
            !fraction.skip(digits).any(|digit| digit != b'0')
        }
    };
    let array: ArrayRef = Arc::new(texts.clone());
    let parsed = |array: &ArrayRef| recode(array, to).ok();
    match parsed(&array) {
        Some(values) if texts.iter().flatten().all(fits) => Ok(values),
        _ => {
            let bad = (0..texts.len()).find(|row| {
                texts.is_valid(*row) && !(fits(texts.value(*row)) && parsed(&array.slice(*row, 1)).is_some())
            });
            Err(undecodable(texts, bad.unwrap_or(0), to))
        }
    }
}

fn intervals(texts: &StringViewArray, to: &DataType, unit: IntervalUnit) -> Result<ArrayRef> {
    fn made<T: ArrowPrimitiveType>(
        texts: &StringViewArray,
        to: &DataType,
        make: impl Fn(i64, i64, i64) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let values = each(texts, to, |text| {
            let (months, days, nanos) = parse_interval(text)?;
            make(months, days, nanos)
        })?;
        Ok(Arc::new(values.into_iter().collect::<PrimitiveArray<T>>()))
    }
    match unit {
        IntervalUnit::YearMonth => made::<IntervalYearMonthType>(texts, to, |months, days, nanos| {
            ((days, nanos) == (0, 0)).then(|| months.try_into().ok())?
        }),
        IntervalUnit::DayTime => made::<IntervalDayTimeType>(texts, to, |months, days, nanos| {
            let millis = (months == 0 && nanos % 1_000_000 == 0).then_some(nanos / 1_000_000)?;
            Some(IntervalDayTime::new(days.try_into().ok()?, millis.try_into().ok()?))
        }),
        IntervalUnit::MonthDayNano => made::<IntervalMonthDayNanoType>(texts, to, |months, days, nanos| {
            Some(IntervalMonthDayNano::new(months.try_into().ok()?, days.try_into().ok()?, nanos))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_to_its_last_digit() {
        for (text, expected) in [
            ("1.00000001", Some("100000001")),
            ("-0.5", Some("-50000000")),
            ("1e3", Some("100000000000")),
            ("1.000000010000", Some("100000001")),
            ("0.000000001", None),
            ("", None),
            ("-", None),
            ("1.2.3", None),
            ("9999999999999", None),
            ("+7", Some("700000000")),
            ("1e-8", Some("1")),
            ("0", Some("0")),
        ] {
            let parsed = parse_decimal(text, 18, 8).map(|value| value.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
        assert_eq!(parse_decimal("12000", 3, -3), Some(i256::from(12)));
        assert_eq!(parse_decimal("12001", 3, -3), None);
    }
}
