//! Arrow arrays to the fields of rows. What a column cannot hold unchanged is an error that names the row.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use uuid::Uuid;

use super::described::server_type;
use super::fields::{self, Fields, Nulls, Style};
use super::types::{Kind, ServerType, Width, choose, rounds};
use crate::backend::Column;
use crate::columnar::{
    Limit, LosslessCast, check, check_digits, check_range, first_row_where, from_text, json, misfit, plain, recode,
    truncate_nanoseconds, without_nanoseconds,
};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;

/// How one column is encoded.
#[derive(Debug)]
pub(super) struct Encoder {
    nanoseconds: Nanoseconds,
    conform: LosslessCast,
    server: ServerType,
    style: Style,
    /// The members of an `enum` or a `set`.
    members: HashSet<String>,
}

impl Encoder {
    /// The encoder from an Arrow type to a column.
    ///
    /// # Errors
    /// `Schema`, naming both types, where there is none.
    pub(super) fn try_new(from: &DataType, column: &Column, nanoseconds: Nanoseconds, style: Style) -> Result<Self> {
        let server = server_type(column)?.clone();
        let cut = match nanoseconds {
            Nanoseconds::Error => None,
            Nanoseconds::Truncate => without_nanoseconds(from),
        };
        let source = cut.as_ref().unwrap_or(from);
        let conform = choose(plain(source), &server).and_then(|to| LosslessCast::try_new(source, &to));
        let Some(conform) = conform else {
            return Err(Error::schema(match server.kind {
                Kind::Other => format!(
                    "column \"{}\": Landfall does not write columns of type {}: leave it out of the INSERT",
                    column.name, column.sql_type
                ),
                _ => format!(
                    "column \"{}\": no way from Arrow type {from} to a column of type {} (read as {}): CAST it in the \
                     query to {}",
                    column.name, column.sql_type, column.data_type, column.data_type
                ),
            }));
        };
        if rounds(&server.kind, &column.sql_type) {
            return Err(Error::schema(format!(
                "column \"{}\" is {}, which rounds what it is given and does not say so: ALTER it to {}, or to decimal",
                column.name,
                column.sql_type,
                if server.kind == Kind::Float { "float" } else { "double" }
            )));
        }
        let members = match &server.kind {
            Kind::Enum(members) | Kind::Set(members) => members.iter().cloned().collect(),
            _ => HashSet::new(),
        };
        Ok(Self { nanoseconds, conform, server, style, members })
    }

    /// Checks an array, and makes its fields.
    ///
    /// # Errors
    /// `Encode`, at the row whose value cannot be stored unchanged.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Fields>> {
        let array = match self.nanoseconds {
            Nanoseconds::Error => self.conform.apply(array)?,
            Nanoseconds::Truncate => self.conform.apply(&truncate_nanoseconds(array))?,
        };
        let array = match (&self.server.kind, array.data_type()) {
            (Kind::Binary(_) | Kind::Bytes(_), FixedSizeBinary(_)) => recode(&array, &BinaryView)?,
            _ => array,
        };
        let style = self.style;
        if array.data_type() == &Null {
            return Ok(Box::new(Nulls(style)));
        }
        Ok(match &self.server.kind {
            Kind::Bool | Kind::Bit(1) if array.data_type() == &Boolean => fields::booleans(&array, style),
            Kind::Bool => fields::integers::<Int8Type>(&array, style),
            Kind::Int(width) => integers(&array, *width, style)?,
            Kind::Bit(bits) => {
                let most = u64::MAX >> (64 - (*bits).clamp(1, 64));
                check_range::<UInt64Type>(&array, ..=most, &format!("has more than the {bits} bits of its column"))?;
                fields::integers::<UInt64Type>(&array, style)
            }
            Kind::Float => {
                check::<Float32Type>(&array, f32::is_finite, NOT_FINITE)?;
                fields::floats(&array, style)
            }
            Kind::Double => {
                check::<Float64Type>(&array, f64::is_finite, NOT_FINITE)?;
                fields::doubles(&array, style)
            }
            Kind::Decimal(_, scale) if array.data_type().is_floating() => {
                fields::decimals(&decimals_of_floats(&array, &self.server.arrow_type())?, *scale, style)
            }
            Kind::Decimal(_, scale) => fields::decimals(&array, *scale, style),
            Kind::Year => {
                let is_year = |year| matches!(year, 0 | 1901..=2155);
                check::<UInt16Type>(&array, is_year, "is no year of the server, which are 0 and 1901 to 2155")?;
                fields::years(&array, style)
            }
            Kind::Date => {
                check_range::<Date32Type>(&array, DAYS, OUT_OF_YEARS)?;
                fields::dates(&array, style)
            }
            Kind::Time(digits) if matches!(array.data_type(), Duration(_)) => {
                const MOST: i64 = (838 * 3_600 + 59 * 60 + 59) * 1_000_000;
                check_range::<DurationMicrosecondType>(&array, -MOST..=MOST, "is longer than 838:59:59")?;
                check_digits::<DurationMicrosecondType>(&array, *digits)?;
                fields::durations(&array, style)
            }
            Kind::Time(digits) => {
                check_range::<Time64MicrosecondType>(&array, 0..MICROS_PER_DAY, "is not a time of day")?;
                check_digits::<Time64MicrosecondType>(&array, *digits)?;
                fields::times(&array, style)
            }
            Kind::DateTime(digits) | Kind::Timestamp(digits) => {
                let years = i64::from(*DAYS.start()) * MICROS_PER_DAY..(i64::from(*DAYS.end()) + 1) * MICROS_PER_DAY;
                check_range::<TimestampMicrosecondType>(&array, years, OUT_OF_YEARS)?;
                check_digits::<TimestampMicrosecondType>(&array, *digits)?;
                fields::timestamps(&array, style)
            }
            Kind::Binary(length) => {
                let blobs = array.as_binary_view();
                let is_wrong = |row| blobs.value(row).len() != *length;
                if let Some(row) = first_row_where(blobs, is_wrong) {
                    let why = format!("has another length than the {length} bytes that its column pads with zeros");
                    return Err(misfit(&array, row, &why));
                }
                fields::blobs(blobs, style)
            }
            Kind::Bytes(length) => {
                let blobs = array.as_binary_view();
                Limit::Bytes(*length).check(blobs, |row| blobs.value(row))?;
                fields::blobs(blobs, style)
            }
            _ => fields::texts(&self.texts(&array)?, style),
        })
    }

    /// Values of the types that travel as texts.
    fn texts(&self, array: &ArrayRef) -> Result<StringViewArray> {
        if array.data_type().is_nested() {
            return json::encode(array);
        }
        if let FixedSizeBinary(_) = array.data_type() {
            return Ok(uuids(array));
        }
        let texts = array.as_string_view();
        let refuse =
            |is_bad: &dyn Fn(&str) -> bool, why: &str| match first_row_where(texts, |row| is_bad(texts.value(row))) {
                Some(row) => Err(misfit(array, row, why)),
                None => Ok(()),
            };
        match &self.server.kind {
            Kind::Char(length) => {
                Limit::Characters(*length).check(texts, |row| texts.value(row).as_bytes())?;
                refuse(&|text| text.ends_with(' '), "ends with a space, which a CHAR column drops: use rtrim(x)")?;
            }
            // Bytes of another character set are the server's to count.
            Kind::Text(Limit::Bytes(_)) if self.server.is_converted => {}
            Kind::Text(limit) => limit.check(texts, |row| texts.value(row).as_bytes())?,
            // The server would take a number for the position of a member.
            Kind::Enum(_) => refuse(&|text| !self.members.contains(text), "is no member of its column")?,
            Kind::Set(_) => {
                let is_no_set = |text: &str| !text.is_empty() && !text.split(',').all(|one| self.members.contains(one));
                refuse(&is_no_set, "has what is no member of its column")?;
            }
            Kind::Uuid => refuse(&|text| Uuid::try_parse(text).is_err(), "is no UUID")?,
            _ => {}
        }
        Ok(texts.clone())
    }
}

const NOT_FINITE: &str = "is a number that MySQL has not: use nullif or CASE";
const OUT_OF_YEARS: &str = "is outside the years 0 to 9999";
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// From 0000-01-01 to 9999-12-31, as days since 1970.
const DAYS: std::ops::RangeInclusive<i32> = -719_528..=2_932_896;

fn integers(array: &ArrayRef, width: Width, style: Style) -> Result<Box<dyn Fields>> {
    const WHY: &str = "does not fit MEDIUMINT";
    match width {
        Width { bits: 24, unsigned: false } => check_range::<Int32Type>(array, -0x80_0000..=0x7f_ffff, WHY)?,
        Width { bits: 24, unsigned: true } => check_range::<UInt32Type>(array, ..=0xff_ffff, WHY)?,
        _ => {}
    }
    Ok(match array.data_type() {
        Int8 => fields::integers::<Int8Type>(array, style),
        Int16 => fields::integers::<Int16Type>(array, style),
        Int32 => fields::integers::<Int32Type>(array, style),
        Int64 => fields::integers::<Int64Type>(array, style),
        UInt8 => fields::integers::<UInt8Type>(array, style),
        UInt16 => fields::integers::<UInt16Type>(array, style),
        UInt32 => fields::integers::<UInt32Type>(array, style),
        UInt64 => fields::integers::<UInt64Type>(array, style),
        other => return Err(Error::internal(format!("an integer of {other}"))),
    })
}

/// Floats as the decimals that their fewest digits are.
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

fn uuids(array: &ArrayRef) -> StringViewArray {
    let bytes = array.as_fixed_size_binary();
    let mut texts = StringViewBuilder::with_capacity(bytes.len());
    let mut buffer = Uuid::encode_buffer();
    for value in bytes {
        let uuid = value.and_then(|value| Uuid::from_slice(value).ok());
        texts.append_option(uuid.map(|uuid| uuid.hyphenated().encode_lower(&mut buffer).to_owned()));
    }
    texts.finish()
}
