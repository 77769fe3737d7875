//! The values that an option accepts: how they are parsed, and their bounds.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::JobId;

/// The values of an option.
pub(super) trait Values<T> {
    /// Parses a value.
    ///
    /// # Errors
    /// The values that the option accepts: `use …`.
    fn parse(&self, text: &str) -> Result<T, String>;

    /// Checks that a value is within bounds.
    ///
    /// # Errors
    /// The values that the option accepts: `use …`.
    fn check(&self, value: &T) -> Result<(), String>;

    /// The text of a value, which is parsed as the same value.
    fn show(&self, value: &T) -> String;
}

/// Any text that is not empty.
pub(super) struct Text;

impl Values<String> for Text {
    fn parse(&self, text: &str) -> Result<String, String> {
        Ok(text.trim().to_owned())
    }

    fn check(&self, value: &String) -> Result<(), String> {
        if value.trim().is_empty() { Err("the value must not be empty".into()) } else { Ok(()) }
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }
}

/// Names, separated by commas.
pub(super) struct Names;

impl Values<Vec<String>> for Names {
    fn parse(&self, text: &str) -> Result<Vec<String>, String> {
        Ok(text.split(',').map(|name| name.trim().to_owned()).collect())
    }

    fn check(&self, value: &Vec<String>) -> Result<(), String> {
        value.iter().try_for_each(|name| Text.check(name))
    }

    fn show(&self, value: &Vec<String>) -> String {
        value.join(",")
    }
}

/// The name of a job.
pub(super) struct JobName;

impl Values<JobId> for JobName {
    fn parse(&self, text: &str) -> Result<JobId, String> {
        JobId::try_new(text).map_err(|error| error.to_string())
    }

    fn check(&self, _: &JobId) -> Result<(), String> {
        Ok(())
    }

    fn show(&self, value: &JobId) -> String {
        value.to_string()
    }
}

/// One of some words.
pub(super) struct Words<T: 'static>(pub(super) &'static [(&'static str, T)]);

/// `true` and `false`.
pub(super) const BOOLEAN: Words<bool> = Words(&[("true", true), ("false", false)]);

impl<T: Copy + PartialEq> Values<T> for Words<T> {
    fn parse(&self, text: &str) -> Result<T, String> {
        let Self(words) = self;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            match words.split_last() {
                Some((last, first)) => format!("use {} or {last}", first.join(", ")),
                None => "the option has no values".to_owned(),
            }
        })
    }

    fn check(&self, _: &T) -> Result<(), String> {
        Ok(())
    }

    fn show(&self, value: &T) -> String {
        let found = self.0.iter().find(|(_, other)| other == value);
        found.map(|(word, _)| (*word).to_owned()).unwrap_or_default()
    }
}

/// A whole number within bounds.
pub(super) struct Number<T>(pub(super) RangeInclusive<T>);

impl<T: Copy + Display + FromStr + PartialOrd> Number<T> {
    fn told(&self) -> String {
        format!("use a number from {} to {}", self.0.start(), self.0.end())
    }
}

impl<T: Copy + Display + FromStr + PartialOrd> Values<T> for Number<T> {
    fn parse(&self, text: &str) -> Result<T, String> {
        text.trim().parse().map_err(|_| self.told())
    }

    fn check(&self, value: &T) -> Result<(), String> {
        if self.0.contains(value) { Ok(()) } else { Err(self.told()) }
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}

/// A number of rows.
pub(super) struct RowLimit;

impl Values<u64> for RowLimit {
    fn parse(&self, text: &str) -> Result<u64, String> {
        text.trim().parse().map_err(|_| "use a number of rows, 1 or more".into())
    }

    fn check(&self, value: &u64) -> Result<(), String> {
        if *value > 0 { Ok(()) } else { Err("use a number of rows, 1 or more".into()) }
    }

    fn show(&self, value: &u64) -> String {
        value.to_string()
    }
}

/// A time within bounds, and the error for other values.
pub(super) struct Time(RangeInclusive<Duration>, &'static str);

impl Time {
    const DAYS: Duration = Duration::from_secs(24 * 86_400);
    /// From 0 to 24 days.
    pub(super) const ANY: Self =
        Self(Duration::ZERO..=Self::DAYS, "use a time of at most 24 days, such as 500ms, 5s or 1m");
    /// More than 0, up to 24 days.
    pub(super) const SOME: Self =
        Self(Duration::from_nanos(1)..=Self::DAYS, "use a time of at most 24 days, such as 500ms, 10s or 1m");
    /// Any time, including 0.
    pub(super) const UNBOUNDED: Self = Self(Duration::ZERO..=Duration::MAX, "use a time such as 0s, 500ms or 1m");
}

impl Values<Duration> for Time {
    fn parse(&self, text: &str) -> Result<Duration, String> {
        duration(text).ok_or_else(|| self.1.into())
    }

    fn check(&self, value: &Duration) -> Result<(), String> {
        if self.0.contains(value) { Ok(()) } else { Err(self.1.into()) }
    }

    /// In milliseconds, the smallest unit, rounded up.
    fn show(&self, value: &Duration) -> String {
        let millis = u64::try_from(value.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        format!("{millis}ms")
    }
}

/// A number of bytes with a minimum, which `least_told` spells out.
pub(super) struct Size {
    pub(super) least: u64,
    pub(super) least_told: &'static str,
}

impl Size {
    fn told(&self) -> String {
        format!("use a size of at least {}, such as 64MB or 1GiB", self.least_told)
    }
}

impl<T: Copy + TryFrom<u64> + TryInto<u64>> Values<T> for Size {
    fn parse(&self, text: &str) -> Result<T, String> {
        size(text).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| self.told())
    }

    fn check(&self, value: &T) -> Result<(), String> {
        let bytes: Option<u64> = (*value).try_into().ok();
        if bytes.is_some_and(|bytes| bytes >= self.least) { Ok(()) } else { Err(self.told()) }
    }

    fn show(&self, value: &T) -> String {
        let bytes: Option<u64> = (*value).try_into().ok();
        bytes.unwrap_or(u64::MAX).to_string()
    }
}

/// Parses a time: `500ms`, `5s`, `1m`, `2h`. A number without a unit is not a time.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit_at].parse().ok()?;
    let millis = match text[unit_at..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Parses a size: `500KB`, `64MB`, `1GiB`. A number without a unit is a number of bytes.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[unit_at..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    text[..unit_at].parse::<u64>().ok()?.checked_mul(unit)
}
