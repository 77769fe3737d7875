//! How texts write dates, timestamps and numbers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::DataType;

use super::date_format::DateFormat;
use super::iso8601::IsoText;
use super::{misfit, recode};
use crate::error::{Error, Result};

/// The formats of dates, timestamps and numbers in texts: those of ISO 8601 and SQL, unless others are set.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueFormats {
    date: Option<DateFormat>,
    timestamp: Option<DateFormat>,
    decimal_separator: char,
    thousands: Option<char>,
}

impl Default for ValueFormats {
    fn default() -> Self {
        Self { date: None, timestamp: None, decimal_separator: '.', thousands: None }
    }
}

impl fmt::Display for ValueFormats {
    /// The formats that are set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, format) in [("dates", &self.date), ("timestamps", &self.timestamp)] {
            if let Some(format) = format {
                write!(f, ", {what} {:?}", format.as_str())?;
            }
        }
        if self.decimal_separator != '.' {
            write!(f, ", decimal separator {:?}", self.decimal_separator)?;
        }
        self.thousands.map_or(Ok(()), |thousands| write!(f, ", thousands {thousands:?}"))
    }
}

impl ValueFormats {
    /// Sets the format of dates, such as `%d.%m.%Y`, by the specifiers of [`chrono::format::strftime`].
    ///
    /// # Errors
    /// `Config` for a format that does not determine a date.
    pub fn with_date(self, format: &str) -> Result<Self> {
        Ok(Self { date: Some(DateFormat::try_new("date", format)?), ..self })
    }

    /// Sets the format of timestamps, such as `%d.%m.%Y %H:%M:%S`.
    ///
    /// # Errors
    /// `Config` for a format that does not determine a date.
    pub fn with_timestamp(self, format: &str) -> Result<Self> {
        Ok(Self { timestamp: Some(DateFormat::try_new("timestamp", format)?), ..self })
    }

    /// Sets the character between the whole part and the fraction of a number, and the one between groups of three digits.
    ///
    /// # Errors
    /// `Config` for a character that is part of a number, or if both are the same.
    pub fn with_numbers(self, decimal_separator: char, thousands: Option<char>) -> Result<Self> {
        for (what, separator) in [("decimal", Some(decimal_separator)), ("thousands", thousands)] {
            let taken = |char: &char| char.is_alphanumeric() || matches!(char, '+' | '-' | '"') || char.is_control();
            if let Some(taken) = separator.filter(taken) {
                return Err(Error::config(format!(
                    "the {what} separator {taken:?} cannot separate digits: use a character such as ',' or '.'"
                )));
            }
        }
        if thousands == Some(decimal_separator) {
            return Err(Error::config(format!(
                "the decimal separator and the thousands separator are both '{decimal_separator}': set a different decimal \
                 separator or thousands separator"
            )));
        }
        Ok(Self { decimal_separator, thousands, ..self })
    }

    pub(super) fn has_date(&self) -> bool {
        self.date.is_some()
    }

    pub(super) fn has_timestamp(&self) -> bool {
        self.timestamp.is_some()
    }

    /// Whether numbers are written in the standard form.
    pub fn has_standard_numbers(&self) -> bool {
        self.decimal_separator == '.' && self.thousands.is_none()
    }

    /// A number in standard form, written with the decimal separator.
    pub fn number<'n>(&self, number: &'n str) -> Cow<'n, str> {
        match self.decimal_separator {
            '.' => number.into(),
            separator => number.replace('.', separator.encode_utf8(&mut [0; 4])).into(),
        }
    }

    /// The texts in the standard form of a type: dates and timestamps in ISO 8601, numbers with a decimal point.
    ///
    /// # Errors
    /// `Encode` for a text that does not have the format. [`Error::row`](crate::Error::row) is its place in the array.
    pub(super) fn standard(&self, texts: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        let format = match to {
            DataType::Date32 | DataType::Date64 => self.date.as_ref().map(|format| ("date", format)),
            DataType::Timestamp(..) => self.timestamp.as_ref().map(|format| ("timestamp", format)),
            number if number.is_numeric() && !self.has_standard_numbers() => {
                return converted(texts, |text, into| self.standard_number(text, into), || self.numbers_are());
            }
            _ => None,
        };
        let Some((what, format)) = format else { return Ok(Arc::clone(texts)) };
        let mut writer = IsoText::new();
        let why = || format!("is not a {what} in the format '{}'", format.as_str());
        converted(texts, |text, into| format.to_iso(text, &mut writer, into), why)
    }

    fn numbers_are(&self) -> String {
        let groups = self.thousands.map(|thousands| format!(" and thousands separator '{thousands}'"));
        format!("is not a number with decimal separator '{}'{}", self.decimal_separator, groups.unwrap_or_default())
    }

    /// Writes a number with a decimal point to `into`. `None` if its separators are not where they belong.
    fn standard_number(&self, text: &str, into: &mut String) -> Option<()> {
        into.clear();
        let (whole, fraction) = match text.split_once(self.decimal_separator) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        match self.thousands {
            Some(thousands) if whole.contains(thousands) => {
                let digits = whole.trim_start_matches(['-', '+']);
                let mut groups = digits.split(thousands);
                let is_first = groups.next().is_some_and(|group| matches!(group.len(), 1..=3));
                let is_grouped = is_first && digits.split(thousands).skip(1).all(|group| group.len() == 3);
                let are_digits = |text: &str| text.chars().all(|char| char == thousands || char.is_ascii_digit());
                if !(is_grouped && are_digits(digits)) {
                    return None;
                }
                into.extend(whole.chars().filter(|char| *char != thousands));
            }
            _ if self.decimal_separator != '.' && whole.contains('.') => return None,
            _ => into.push_str(whole),
        }
        if let Some(fraction) = fraction {
            if fraction.contains('.') || self.thousands.is_some_and(|thousands| fraction.contains(thousands)) {
                return None;
            }
            into.push('.');
            into.push_str(fraction);
        }
        Some(())
    }
}

/// The texts as `convert` writes them. Where it returns `None`, the text is an error that says `why`.
fn converted(
    texts: &ArrayRef,
    mut convert: impl FnMut(&str, &mut String) -> Option<()>,
    why: impl Fn() -> String,
) -> Result<ArrayRef> {
    let texts = recode(texts, &DataType::Utf8View)?;
    let mut into = String::new();
    let mut standard = StringViewBuilder::with_capacity(texts.len());
    for (row, text) in texts.as_string_view().iter().enumerate() {
        match text {
            None => standard.append_null(),
            Some(text) => {
                convert(text, &mut into).ok_or_else(|| misfit(&texts, row, &why()))?;
                standard.append_value(&into);
            }
        }
    }
    Ok(Arc::new(standard.finish()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_separators_where_they_belong() {
        let comma = ValueFormats::default().with_numbers(',', None).unwrap();
        let german = ValueFormats::default().with_numbers(',', Some('.')).unwrap();
        let swiss = ValueFormats::default().with_numbers('.', Some('\'')).unwrap();
        for (formats, text, expected) in [
            (&comma, "1,5", Some("1.5")),
            (&comma, "-1234,56", Some("-1234.56")),
            (&comma, "1,5e-3", Some("1.5e-3")),
            (&comma, "7", Some("7")),
            (&comma, "1.5", None),
            (&comma, "1,5,6", Some("1.5,6")),
            (&german, "1.234.567,89", Some("1234567.89")),
            (&german, "-12.345", Some("-12345")),
            (&german, "1234,5", Some("1234.5")),
            (&german, "1.5", None),
            (&german, "1234.567", None),
            (&german, ".123", None),
            (&german, "1.234.", None),
            (&german, "1,234.567", None),
            (&german, "1.234e5", None),
            (&swiss, "1'234.5", Some("1234.5")),
            (&swiss, "1'23", None),
            (&swiss, "1.2.3", None),
        ] {
            let mut into = String::new();
            let standard = formats.standard_number(text, &mut into).map(|()| into.as_str());
            assert_eq!(standard, expected, "{formats} {text}");
        }
        for (decimal, thousands) in [('1', None), ('-', None), ('e', None), (',', Some(',')), ('.', Some('\n'))] {
            ValueFormats::default().with_numbers(decimal, thousands).unwrap_err();
        }
    }
}
