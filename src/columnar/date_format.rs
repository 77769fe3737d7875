//! The format of dates and timestamps in texts.

use arrow::datatypes::TimeUnit;
use chrono::format::{Fixed, Item, Numeric, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::iso8601::IsoText;
use crate::error::{Error, Result};

/// A date, with or without a time, by the conversion specifications of `strftime`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DateFormat {
    text: String,
    items: Vec<Item<'static>>,
    has_offset: bool,
    has_fraction: bool,
}

impl DateFormat {
    /// Parses a format such as `%d.%m.%Y`; `what` names it in errors.
    ///
    /// # Errors
    /// `Config` for a format that has no meaning, or whose texts are not a date each.
    pub(super) fn try_new(what: &str, text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::config(format!("{what} format '{text}' {why}"));
        let items = StrftimeItems::new(text).parse_to_owned().map_err(|_| {
            wrong(
                "contains a '%' that does not begin a specifier: use the specifiers of strftime, such as %d, %m and \
                 %Y, and %% for a percent sign",
            )
        })?;
        if items.iter().any(|item| matches!(item, Item::Fixed(Fixed::TimezoneName))) {
            return Err(wrong(
                "contains %Z, but the name of a time zone does not determine a UTC offset: use %z for an offset such \
                 as +0200",
            ));
        }
        let items = with_aligned_fractions(items)
            .ok_or_else(|| wrong("contains %f without a point before it: use %3f, %6f or %9f for 3, 6 or 9 digits"))?;
        let has_offset = items.iter().any(is_offset);
        let has_fraction = items.iter().any(|item| matches!(item, Item::Fixed(Fixed::Nanosecond)));
        let format = Self { text: text.to_owned(), items, has_offset, has_fraction };
        match format.shows_a_date() {
            true => Ok(format),
            false => Err(wrong(
                "does not determine a date: use a day, a month and a year, and, for a time, hours and minutes, as in \
                 '%d.%m.%Y' or '%d.%m.%Y %H:%M:%S'",
            )),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a date that is written in this format can be read again.
    fn shows_a_date(&self) -> bool {
        use std::fmt::Write;
        let Some(sample) = DateTime::from_timestamp(1_362_057_255, 0).map(|sample| sample.fixed_offset()) else {
            return false;
        };
        let mut written = String::new();
        // The format may have specifiers that cannot be written.
        write!(written, "{}", sample.format_with_items(self.items.iter())).is_ok()
            && self.parsed(&written).is_some_and(|(read, _)| read.date() == sample.date_naive())
    }

    /// Date and time of day, and the UTC offset in seconds.
    fn parsed(&self, text: &str) -> Option<(NaiveDateTime, Option<i32>)> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        let offset = parsed.offset();
        let has_time = parsed.hour_mod_12().is_some() || parsed.minute().is_some() || parsed.timestamp().is_some();
        let moment = match has_time || parsed.hour_div_12().is_some() || parsed.second().is_some() {
            true => parsed.to_naive_datetime_with_offset(offset.unwrap_or(0)).ok()?,
            false => parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN),
        };
        // Digits behind the ninth would be lost, and a leap second has no place in a database.
        let lost = self.has_fraction
            && text
                .rsplit_once('.')
                .is_some_and(|(_, digits)| digits.bytes().take_while(u8::is_ascii_digit).count() > 9);
        let is_whole_year = moment.year() >= 1_000 || text.contains(&format!("{:04}", moment.year()));
        (!lost && is_whole_year && moment.nanosecond() < 1_000_000_000).then_some((moment, offset))
    }

    /// Writes the text in ISO 8601 to `iso`. `None` if it is not in this format, or its year has not four digits.
    pub(super) fn to_iso(&self, text: &str, writer: &mut IsoText, iso: &mut String) -> Option<()> {
        let (moment, offset) = self.parsed(text)?;
        iso.clear();
        let days = moment.date().signed_duration_since(NaiveDate::default()).num_days();
        iso.push_str(writer.date(days)?);
        if moment.time() != NaiveTime::MIN || offset.is_some() {
            let (seconds, nanos) = (i64::from(moment.num_seconds_from_midnight()), i64::from(moment.nanosecond()));
            iso.push(' ');
            iso.push_str(match nanos {
                0 => writer.time(seconds, TimeUnit::Second)?,
                _ => writer.time(seconds * 1_000_000_000 + nanos, TimeUnit::Nanosecond)?,
            });
        }
        if let Some(offset) = offset.filter(|_| self.has_offset) {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
            iso.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
        Some(())
    }
}

/// Reads the digits of `.%f` as a decimal fraction: in chrono, they are a number of nanoseconds, so that .5 is 5 nanoseconds.
/// `None` for `%f` behind something else.
fn with_aligned_fractions(items: Vec<Item<'static>>) -> Option<Vec<Item<'static>>> {
    let mut aligned: Vec<Item<'static>> = Vec::new();
    for item in items {
        if !matches!(item, Item::Numeric(Numeric::Nanosecond, _)) {
            aligned.push(item);
            continue;
        }
        let before = match aligned.pop()? {
            Item::Literal(before) => before.strip_suffix('.')?.to_owned(),
            Item::OwnedLiteral(before) => before.strip_suffix('.')?.to_owned(),
            _ => return None,
        };
        if !before.is_empty() {
            aligned.push(Item::OwnedLiteral(before.into()));
        }
        aligned.push(Item::Fixed(Fixed::Nanosecond));
    }
    Some(aligned)
}

fn is_offset(item: &Item<'_>) -> bool {
    use Fixed::*;
    let Item::Fixed(fixed) = item else { return false };
    matches!(
        fixed,
        TimezoneOffset
            | TimezoneOffsetColon
            | TimezoneOffsetDoubleColon
            | TimezoneOffsetTripleColon
            | TimezoneOffsetZ
            | TimezoneOffsetColonZ
            | RFC2822
            | RFC3339
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Option<String> {
        let (mut writer, mut iso) = (IsoText::new(), String::new());
        DateFormat::try_new("date", format).unwrap().to_iso(text, &mut writer, &mut iso)?;
        Some(iso)
    }

    #[test]
    fn texts_become_iso_8601() {
        for (format, text, expected) in [
            ("%d.%m.%Y", "31.01.2020", Some("2020-01-31")),
            ("%d.%m.%Y", "1.2.2020", Some("2020-02-01")),
            ("%d.%m.%Y", "30.02.2020", None),
            ("%d.%m.%Y", "01/02/2020", None),
            ("%d.%m.%Y", "01.02.2020 ", None),
            ("%d.%m.%Y", "01.02.20", None),
            ("%d.%m.%Y", "01.02.0020", Some("0020-02-01")),
            ("%d.%m.%Y", "01.02.+12020", None),
            ("%d.%m.%Y", "2020-01-31", None),
            ("%d.%m.%Y", "", None),
            ("%m/%d/%y", "12/31/70", Some("1970-12-31")),
            ("%m/%d/%y", "12/31/69", Some("2069-12-31")),
            ("%Y%m%d", "20200131", Some("2020-01-31")),
            ("%d %b %Y", "31 jan 2020", Some("2020-01-31")),
            ("%A, %d %B %Y", "Friday, 31 January 2020", Some("2020-01-31")),
            ("%A, %d %B %Y", "Monday, 31 January 2020", None),
            ("%d.%m.%Y %H:%M", "31.01.2020 00:00", Some("2020-01-31")),
            ("%d.%m.%Y %H:%M", "31.01.2020 13:05", Some("2020-01-31 13:05:00")),
            ("%d.%m.%Y %I:%M %p", "31.01.2020 01:05 PM", Some("2020-01-31 13:05:00")),
            ("%d.%m.%Y %H:%M:%S", "31.01.2020 23:59:60", None),
            ("%d.%m.%Y %H:%M:%S.%f", "31.01.2020 13:05:00.5", Some("2020-01-31 13:05:00.500000000")),
            ("%d.%m.%Y %H:%M:%S.%f", "31.01.2020 13:05:00", Some("2020-01-31 13:05:00")),
            ("%d.%m.%Y %H:%M:%S%.f", "31.01.2020 13:05:00.1234567891", None),
            ("%d.%m.%Y %H:%M:%S,%3f", "31.01.2020 13:05:00,050", Some("2020-01-31 13:05:00.050000000")),
            ("%d.%m.%Y %H:%M %z", "31.01.2020 13:05 -0530", Some("2020-01-31 13:05:00-05:30")),
            ("%d.%m.%Y %H:%M%:z", "31.01.2020 00:00+00:00", Some("2020-01-31 00:00:00+00:00")),
            ("%s", "1362057255", Some("2013-02-28 13:14:15")),
            ("%s", "-1", None),
        ] {
            assert_eq!(read(format, text).as_deref(), expected, "{format} {text}");
        }
    }

    #[test]
    fn a_format_without_a_meaning_is_an_error() {
        for (format, why) in [
            ("%d.%m", "does not determine a date"),
            ("", "does not determine a date"),
            ("DD.MM.YYYY", "does not determine a date"),
            ("%d.%m.%Y %I:%M", "does not determine a date"),
            ("%H:%M", "does not determine a date"),
            ("%d.%m.%Y %", "does not begin a specifier"),
            ("%d.%m.%Q", "does not begin a specifier"),
            ("%d.%m.%Y %H:%M %Z", "use %z"),
            ("%d.%m.%Y %H:%M:%S,%f", "use %3f"),
            ("%f", "use %3f"),
        ] {
            let error = DateFormat::try_new("date", format).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(&format!("date format '{format}'")), "{error}");
        }
    }
}
