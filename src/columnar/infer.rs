//! Infers the type of a column of texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimeUnit};

use super::{Assign, recode};
use crate::error::Result;
use crate::options::Nanoseconds;

/// The number of digits that fit every 64-bit integer.
const INTEGER_DIGITS: usize = 18;

/// The number of digits that a double preserves.
const DOUBLE_DIGITS: usize = 15;

/// The narrowest type that represents all values of a column of texts unchanged: `Int64`, `Float64`, `Boolean`,
/// `Date32`, a `Timestamp` with microseconds or nanoseconds, with or without a zone, `Time64`; otherwise `Utf8`. Texts
/// that a number would change stay texts: those with leading zeros, or with more digits than a 64-bit integer or a
/// double preserves. A column of NULLs stays text.
///
/// # Errors
/// `Internal` if the column is not a column of texts.
pub fn infer_type(texts: &ArrayRef) -> Result<DataType> {
    let texts = recode(texts, &DataType::Utf8View)?;
    let values = || texts.as_string_view().iter().flatten();
    if values().next().is_none() {
        return Ok(DataType::Utf8);
    }
    let number = if values().all(is_integer) {
        Some(DataType::Int64)
    } else if values().all(is_double) {
        Some(DataType::Float64)
    } else if values().all(|text| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")) {
        Some(DataType::Boolean)
    } else {
        None
    };
    let utc = || Some(Arc::from("+00:00"));
    let times = [
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Nanosecond, None),
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Time64(TimeUnit::Nanosecond),
    ];
    let zoned = [TimeUnit::Microsecond, TimeUnit::Nanosecond].map(|unit| DataType::Timestamp(unit, utc()));
    // A column gets a time zone only if every value has an offset: a value without one would be read as UTC.
    let zoned = zoned.into_iter().filter(|_| values().all(has_offset));
    let fits = |to: &DataType| {
        let assign = Assign::try_new(texts.data_type(), to, Nanoseconds::Error);
        assign.is_ok_and(|assign| assign.apply(&texts).is_ok())
    };
    let found = number.into_iter().chain(times).chain(zoned).find(fits);
    Ok(found.unwrap_or(DataType::Utf8))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() <= INTEGER_DIGITS && has_no_leading_zero(digits) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_double(text: &str) -> bool {
    let number = text.strip_prefix('-').unwrap_or(text);
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    // 1.50 would become 1.5, which is the same number.
    digits <= DOUBLE_DIGITS
        && has_no_leading_zero(number)
        && mantissa.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && number.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit())
        && number.parse::<f64>().is_ok_and(f64::is_finite)
}

fn has_no_leading_zero(number: &str) -> bool {
    match number.as_bytes() {
        [b'0', next, ..] => !next.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    }
}

fn has_offset(text: &str) -> bool {
    text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn texts_get_the_type_that_has_them_all_unchanged() {
        use DataType::*;
        let utc = || Some(Arc::from("+00:00"));
        let (micro, nano) = (TimeUnit::Microsecond, TimeUnit::Nanosecond);
        for (texts, expected) in [
            (&["1", "-20", "0"][..], Int64),
            (&["1", "2.5", "-1e-3"], Float64),
            (&["00701", "10001"], Utf8),
            (&["1", "-07"], Utf8),
            (&["999999999999999999"], Int64),
            (&["1234567890123456789"], Utf8),
            (&["0.1234567890123456"], Utf8),
            (&["0.5", "10"], Float64),
            (&["1.", "2"], Utf8),
            (&[".5", "2"], Utf8),
            (&["+5", "2"], Utf8),
            (&["1e999"], Utf8),
            (&["NaN", "1"], Utf8),
            (&[" 1", "2"], Utf8),
            (&["true", "FALSE"], Boolean),
            (&["t", "f"], Utf8),
            (&["yes", "no"], Utf8),
            (&["2013-01-31", "2012-02-29"], Date32),
            (&["2013-02-30"], Utf8),
            (&["2013-01-31", "2013-01-31 10:00:00"], Timestamp(micro, None)),
            (&["2013-01-31T10:00:00.123456"], Timestamp(micro, None)),
            (&["2013-01-31T10:00:00.123456789"], Timestamp(nano, None)),
            (&["2013-01-31T10:00:00Z", "2013-01-31 10:00:00+02:00"], Timestamp(micro, utc())),
            (&["2013-01-31T10:00:00Z", "2013-01-31 10:00:00"], Utf8),
            (&["10:00:00", "23:59:59.5"], Time64(micro)),
            (&[""], Utf8),
            (&["a"], Utf8),
            (&[], Utf8),
        ] {
            let column = texts.iter().map(|text| Some(*text)).chain([None]).collect::<StringArray>();
            assert_eq!(infer_type(&(Arc::new(column) as ArrayRef)).unwrap(), expected, "{texts:?}");
        }
    }
}
