//! Infers the type of a column of texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimeUnit};

use super::{Assign, ValueFormats, recode};
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
/// Dates, timestamps and numbers have the given formats; a format that is set goes before the others.
///
/// # Errors
/// `Internal` if the column is not a column of texts.
pub fn infer_type(texts: &ArrayRef, formats: &ValueFormats) -> Result<DataType> {
    let texts = recode(texts, &DataType::Utf8View)?;
    if texts.null_count() == texts.len() {
        return Ok(DataType::Utf8);
    }
    let date = DataType::Date32;
    // An ISO date is not a timestamp where dates have another format.
    let are_iso_dates = formats.has_date() && fits(&texts, &date, &ValueFormats::default());
    let timestamps = timestamps(&texts, formats)?;
    let own = formats.has_date().then_some(&date).into_iter();
    let own: Vec<_> = own.chain(timestamps.iter().filter(|_| formats.has_timestamp())).collect();
    let number = number(&texts, formats)?;
    let micro = DataType::Time64(TimeUnit::Microsecond);
    let nano = DataType::Time64(TimeUnit::Nanosecond);
    let timestamps = timestamps.iter().filter(|_| !are_iso_dates);
    let usual = number.iter().chain([&date]).chain(timestamps).chain([&micro, &nano]);
    let found = own.into_iter().chain(usual).find(|to| fits(&texts, to, formats));
    Ok(found.cloned().unwrap_or(DataType::Utf8))
}

/// Whether a type has all texts.
fn fits(texts: &ArrayRef, to: &DataType, formats: &ValueFormats) -> bool {
    let assign = Assign::try_new(texts.data_type(), to, Nanoseconds::Error);
    assign.is_ok_and(|assign| formats.standard(texts, to).is_ok_and(|standard| assign.apply(&standard).is_ok()))
}

/// The types of timestamps that texts can have.
fn timestamps(texts: &ArrayRef, formats: &ValueFormats) -> Result<Vec<DataType>> {
    let units = [TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let local = units.map(|unit| DataType::Timestamp(unit, None));
    let zoned = units.map(|unit| DataType::Timestamp(unit, Some(Arc::from("+00:00"))));
    let Ok(standard) = formats.standard(texts, &local[0]) else { return Ok(Vec::new()) };
    let standard = recode(&standard, &DataType::Utf8View)?;
    // A column gets a time zone only if every value has an offset: a value without one would be read as UTC.
    let have_offsets = standard.as_string_view().iter().flatten().all(has_offset);
    Ok(local.into_iter().chain(zoned.into_iter().filter(|_| have_offsets)).collect())
}

/// The type of numbers, or of truth values, that preserves all texts.
fn number(texts: &ArrayRef, formats: &ValueFormats) -> Result<Option<DataType>> {
    let truths = ["true", "false"];
    let is_truth = |text: &str| truths.iter().any(|truth| text.eq_ignore_ascii_case(truth));
    if texts.as_string_view().iter().flatten().all(is_truth) {
        return Ok(Some(DataType::Boolean));
    }
    let Ok(standard) = formats.standard(texts, &DataType::Float64) else { return Ok(None) };
    let standard = recode(&standard, &DataType::Utf8View)?;
    let values = || standard.as_string_view().iter().flatten();
    Ok(if values().all(is_integer) {
        Some(DataType::Int64)
    } else if values().all(is_double) {
        Some(DataType::Float64)
    } else {
        None
    })
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
            assert_eq!(
                infer_type(&(Arc::new(column) as ArrayRef), &ValueFormats::default()).unwrap(),
                expected,
                "{texts:?}"
            );
        }
    }

    #[test]
    fn texts_in_other_formats_get_their_types_too() {
        use DataType::*;
        let german = ValueFormats::default().with_date("%d.%m.%Y").unwrap().with_timestamp("%d.%m.%Y %H:%M").unwrap();
        let german = german.with_numbers(',', Some('.')).unwrap();
        let compact = ValueFormats::default().with_date("%Y%m%d").unwrap();
        let zoned = ValueFormats::default().with_timestamp("%d/%m/%Y %H:%M:%S.%f %z").unwrap();
        let micro = TimeUnit::Microsecond;
        for (formats, texts, expected) in [
            (&german, &["31.01.2020", "1.2.2020"][..], Date32),
            (&german, &["31.01.2020", "31.02.2020"], Utf8),
            (&german, &["2020-01-31"], Utf8),
            (&german, &["31.01.2020 10:00"], Timestamp(micro, None)),
            (&german, &["31.01.2020", "31.01.2020 10:00"], Utf8),
            (&german, &["1.234", "5"], Int64),
            (&german, &["1.234,5", "-5,25"], Float64),
            (&german, &["1.5", "2"], Utf8),
            (&german, &["00701"], Utf8),
            (&german, &["true"], Boolean),
            (&compact, &["20200131"], Date32),
            (&compact, &["20200131", "20201331"], Int64),
            (&compact, &["2020-01-31"], Utf8),
            (&compact, &["2020-01-31 10:00:00"], Timestamp(micro, None)),
            (&zoned, &["31/01/2020 10:00:00.5 +0200"], Timestamp(micro, Some(Arc::from("+00:00")))),
            (
                &zoned,
                &["31/01/2020 10:00:00.123456789 +0200"],
                Timestamp(TimeUnit::Nanosecond, Some(Arc::from("+00:00"))),
            ),
        ] {
            let column: ArrayRef = Arc::new(texts.iter().copied().map(Some).collect::<StringArray>());
            assert_eq!(infer_type(&column, formats).unwrap(), expected, "{formats} {texts:?}");
        }
    }
}
