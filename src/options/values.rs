//! Which values an option takes: how they are read from text, and their bounds.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::JobId;

/// The values of an option.
pub(super) trait Values<T> {
    /// Reads one.
    ///
    /// # Errors
    /// Says what the option takes.
    fn parse(&self, text: &str) -> Result<T, String>;

    /// Refuses one that is out of bounds.
    ///
    /// # Errors
    /// Says what the option takes.
    fn check(&self, value: &T) -> Result<(), String>;
}

/// Any text but none.
pub(super) struct Text;

impl Values<String> for Text {
    fn parse(&self, text: &str) -> Result<String, String> {
        Ok(text.trim().to_owned())
    }

    fn check(&self, value: &String) -> Result<(), String> {
        if value.trim().is_empty() { Err("it is empty".into()) } else { Ok(()) }
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
}

/// One of some words.
pub(super) struct Words<T: 'static>(pub(super) &'static [(&'static str, T)]);

/// `true` and `false`.
pub(super) const BOOLEAN: Words<bool> = Words(&[("true", true), ("false", false)]);

impl<T: Copy> Values<T> for Words<T> {
    fn parse(&self, text: &str) -> Result<T, String> {
        let Self(words) = self;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let (last, first) = words.split_last().unwrap_or((&"nothing", &[]));
            format!("it takes {} or {last}", first.join(", "))
        })
    }

    fn check(&self, _: &T) -> Result<(), String> {
        Ok(())
    }
}

/// A whole number within bounds.
pub(super) struct Number<T>(pub(super) RangeInclusive<T>);

impl<T: Copy + Display + FromStr + PartialOrd> Number<T> {
    fn told(&self) -> String {
        format!("it takes a number from {} to {}", self.0.start(), self.0.end())
    }
}

impl<T: Copy + Display + FromStr + PartialOrd> Values<T> for Number<T> {
    fn parse(&self, text: &str) -> Result<T, String> {
        text.trim().parse().map_err(|_| self.told())
    }

    fn check(&self, value: &T) -> Result<(), String> {
        if self.0.contains(value) { Ok(()) } else { Err(self.told()) }
    }
}

/// A number of rows.
pub(super) struct Rows;

impl Values<u64> for Rows {
    fn parse(&self, text: &str) -> Result<u64, String> {
        text.trim().parse().map_err(|_| "it takes a number of rows, 1 or more".into())
    }

    fn check(&self, value: &u64) -> Result<(), String> {
        if *value > 0 { Ok(()) } else { Err("it takes a number of rows, 1 or more".into()) }
    }
}

/// A time within bounds, and what is said of another.
pub(super) struct Time(RangeInclusive<Duration>, &'static str);

impl Time {
    const DAYS: Duration = Duration::from_secs(24 * 86_400);
    /// Up to 24 days, also none at all.
    pub(super) const ANY: Self =
        Self(Duration::ZERO..=Self::DAYS, "it takes a time such as 500ms, 5s or 1m, of 24 days at most");
    /// Up to 24 days, and longer than none.
    pub(super) const SOME: Self =
        Self(Duration::from_nanos(1)..=Self::DAYS, "it takes a time such as 500ms, 10s or 1m, of 24 days at most");
    /// However long, also none at all.
    pub(super) const UNBOUNDED: Self = Self(Duration::ZERO..=Duration::MAX, "it takes a time such as 0s, 500ms or 1m");
}

impl Values<Duration> for Time {
    fn parse(&self, text: &str) -> Result<Duration, String> {
        duration(text).ok_or_else(|| self.1.into())
    }

    fn check(&self, value: &Duration) -> Result<(), String> {
        if self.0.contains(value) { Ok(()) } else { Err(self.1.into()) }
    }
}

/// A number of bytes, at least so many; `least_told` says how many those are.
pub(super) struct Size {
    pub(super) least: u64,
    pub(super) least_told: &'static str,
}

impl Size {
    fn told(&self) -> String {
        format!("it takes a size such as 500KB, 64MB or 1GiB, of {} at least", self.least_told)
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
}

/// `500ms`, `5s`, `1m`, `2h`; a bare number is refused, as its unit would be a guess.
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

/// `500KB`, `64MB`, `1GiB`; a bare number is one of bytes.
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
