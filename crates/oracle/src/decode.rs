//! Turns values of a result into columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Decimal128Builder, Float32Builder, Float64Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder, TimestampMillisecondBuilder, TimestampNanosecondBuilder,
    TimestampSecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion_landfall::backend::Column;
use datafusion_landfall::error::{Error, ErrorKind, Result};

use crate::catalog::Stored;
use crate::session::Datum;
use crate::types::Kind;

/// Collects the values of a column.
pub(crate) struct Decoder {
    column: String,
    sql_type: String,
    values: Values,
}

enum Values {
    Integers(Int64Builder),
    Decimals(Decimal128Builder, u8, i8),
    Floats(Float32Builder),
    Doubles(Float64Builder),
    Booleans(BooleanBuilder),
    Texts(StringBuilder),
    Bytes(BinaryBuilder),
    Seconds(TimestampSecondBuilder),
    Milliseconds(TimestampMillisecondBuilder),
    Microseconds(TimestampMicrosecondBuilder),
    Nanoseconds(TimestampNanosecondBuilder),
}

impl Decoder {
    /// Collects values of a column of the table.
    ///
    /// # Errors
    /// `Unsupported` for a type that Landfall does not read.
    pub(crate) fn try_new(column: &Column) -> Result<Self> {
        let kind = &Stored::of(column)?.kind;
        let zone = |zone: &Option<Arc<str>>| zone.clone();
        let values = match (kind, &column.data_type) {
            (Kind::Other(_), _) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "column \"{}\" has type {kind}, which Landfall does not read: omit it from the query",
                        column.name
                    ),
                ));
            }
            (_, DataType::Int64) => Values::Integers(Int64Builder::new()),
            (_, DataType::Decimal128(precision, scale)) => {
                let builder = Decimal128Builder::new().with_data_type(column.data_type.clone());
                Values::Decimals(builder, *precision, *scale)
            }
            (_, DataType::Float32) => Values::Floats(Float32Builder::new()),
            (_, DataType::Float64) => Values::Doubles(Float64Builder::new()),
            (_, DataType::Boolean) => Values::Booleans(BooleanBuilder::new()),
            (_, DataType::Utf8) => Values::Texts(StringBuilder::new()),
            (_, DataType::Binary) => Values::Bytes(BinaryBuilder::new()),
            (_, DataType::Timestamp(unit, of)) => match unit {
                TimeUnit::Second => Values::Seconds(TimestampSecondBuilder::new().with_timezone_opt(zone(of))),
                TimeUnit::Millisecond => {
                    Values::Milliseconds(TimestampMillisecondBuilder::new().with_timezone_opt(zone(of)))
                }
                TimeUnit::Microsecond => {
                    Values::Microseconds(TimestampMicrosecondBuilder::new().with_timezone_opt(zone(of)))
                }
                TimeUnit::Nanosecond => {
                    Values::Nanoseconds(TimestampNanosecondBuilder::new().with_timezone_opt(zone(of)))
                }
            },
            (_, other) => {
                return Err(Error::new(ErrorKind::Internal, format!("column \"{}\" is read as {other}", column.name)));
            }
        };
        Ok(Self { column: column.name.clone(), sql_type: column.sql_type.clone(), values })
    }

    /// Adds a value.
    ///
    /// # Errors
    /// `Decode` if the Arrow type of the column does not have it.
    pub(crate) fn push(&mut self, datum: Datum) -> Result<()> {
        let fits = match (&mut self.values, datum) {
            (values, Datum::Null) => put(Some(()), |()| values.append_null()),
            (Values::Integers(to), Datum::Number(text)) => {
                let number = decimal(&text, 0).and_then(|number| i64::try_from(number).ok());
                put(number, |number| to.append_value(number))
            }
            (Values::Decimals(to, precision, scale), Datum::Number(text)) => {
                let end = 10_u128.pow((*precision).into());
                let number = decimal(&text, *scale).filter(|number| number.unsigned_abs() < end);
                put(number, |number| to.append_value(number))
            }
            (Values::Floats(to), Datum::Float(value)) => put(Some(value), |value| to.append_value(value)),
            (Values::Doubles(to), Datum::Double(value)) => put(Some(value), |value| to.append_value(value)),
            (Values::Booleans(to), Datum::Boolean(value)) => put(Some(value), |value| to.append_value(value)),
            (Values::Texts(to), Datum::Text(text)) => put(Some(text), |text| to.append_value(text)),
            (Values::Bytes(to), Datum::Bytes(bytes)) => put(Some(bytes), |bytes| to.append_value(bytes)),
            (Values::Seconds(to), Datum::Timestamp(second, nanos)) => {
                put(parts(second, nanos, 1), |value| to.append_value(value))
            }
            (Values::Milliseconds(to), Datum::Timestamp(second, nanos)) => {
                put(parts(second, nanos, 1_000), |value| to.append_value(value))
            }
            (Values::Microseconds(to), Datum::Timestamp(second, nanos)) => {
                put(parts(second, nanos, 1_000_000), |value| to.append_value(value))
            }
            (Values::Nanoseconds(to), Datum::Timestamp(second, nanos)) => {
                put(parts(second, nanos, 1_000_000_000), |value| to.append_value(value))
            }
            (_, other) => return Err(self.misfit(&format!("{other:?}"))),
        };
        if fits { Ok(()) } else { Err(self.misfit("a value of it")) }
    }

    fn misfit(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Decode,
            format!(
                "column \"{}\" ({}): {what} does not fit the Arrow type in which the column is read: round or cast it in a view, \
                 and read the view",
                self.column, self.sql_type
            ),
        )
    }

    /// The values since the last call.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Integers(values) => Arc::new(values.finish()),
            Values::Decimals(values, ..) => Arc::new(values.finish()),
            Values::Floats(values) => Arc::new(values.finish()),
            Values::Doubles(values) => Arc::new(values.finish()),
            Values::Booleans(values) => Arc::new(values.finish()),
            Values::Texts(values) => Arc::new(values.finish()),
            Values::Bytes(values) => Arc::new(values.finish()),
            Values::Seconds(values) => Arc::new(values.finish()),
            Values::Milliseconds(values) => Arc::new(values.finish()),
            Values::Microseconds(values) => Arc::new(values.finish()),
            Values::Nanoseconds(values) => Arc::new(values.finish()),
        }
    }
}

impl Values {
    fn append_null(&mut self) {
        match self {
            Self::Integers(values) => values.append_null(),
            Self::Decimals(values, ..) => values.append_null(),
            Self::Floats(values) => values.append_null(),
            Self::Doubles(values) => values.append_null(),
            Self::Booleans(values) => values.append_null(),
            Self::Texts(values) => values.append_null(),
            Self::Bytes(values) => values.append_null(),
            Self::Seconds(values) => values.append_null(),
            Self::Milliseconds(values) => values.append_null(),
            Self::Microseconds(values) => values.append_null(),
            Self::Nanoseconds(values) => values.append_null(),
        }
    }
}

/// Appends a value, if there is one. Returns whether there is.
fn put<T>(value: Option<T>, append: impl FnOnce(T)) -> bool {
    value.map(append).is_some()
}

/// The number of units since 1970, of which a second has `units`; `None` if it is none, or out of range.
fn parts(second: i64, nanos: u32, units: i64) -> Option<i64> {
    let of_unit = 1_000_000_000 / units;
    let nanos = i64::from(nanos);
    if nanos % of_unit != 0 {
        return None;
    }
    second.checked_mul(units)?.checked_add(nanos / of_unit)
}

/// A number in decimal notation as a multiple of 10^-scale; `None` if it is none, or out of range.
pub(crate) fn decimal(text: &str, scale: i8) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = usize::try_from(scale).ok()?;
    if fraction.len() > scale {
        return None;
    }
    let mut number: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', scale - fraction.len())) {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_exactly_or_not_at_all() {
        for (text, scale, number) in [
            ("0", 0, Some(0)),
            ("-12.50", 2, Some(-1250)),
            ("0.05", 2, Some(5)),
            ("0.005", 2, None),
            ("1000000", 0, Some(1_000_000)),
            ("7", 3, Some(7_000)),
            ("1E5", 0, None),
            ("99999999999999999999999999999999999999", 0, Some(10_i128.pow(38) - 1)),
            ("99999999999999999999999999999999999999", 2, None),
        ] {
            assert_eq!(decimal(text, scale), number, "{text}");
        }
    }

    #[test]
    fn a_time_is_read_exactly_or_not_at_all() {
        assert_eq!(parts(-1, 500_000_000, 1_000), Some(-500));
        assert_eq!(parts(0, 1_500_000, 1_000), None);
        assert_eq!(parts(1 << 40, 0, 1_000_000_000), None);
    }
}
