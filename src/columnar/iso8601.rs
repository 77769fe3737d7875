//! Dates, times and intervals as ISO 8601 text of a fixed width, so that text compares as time does.

use arrow::datatypes::TimeUnit;

const SECONDS_PER_DAY: i64 = 86_400;

/// The number of fractional digits of a unit.
pub(crate) fn fraction_digits(unit: TimeUnit) -> usize {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    10_i64.pow(fraction_digits(unit) as u32)
}

/// A text under construction, long enough for every form of this module. Consecutive rows often have the same day, so
/// the last date is cached.
#[derive(Debug)]
pub(crate) struct IsoText {
    bytes: [u8; 32],
    len: usize,
    last_date: Option<(i64, [u8; DATE_BYTES])>,
}

const DATE_BYTES: usize = "2013-01-31".len();

/// `00` to `99`.
const TWO_DIGITS: [[u8; 2]; 100] = {
    let mut digits = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        digits[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    digits
};

impl IsoText {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; 32], len: 0, last_date: None }
    }

    /// `2013-01-31`, from days since 1970-01-01. `None` outside the years 0000 to 9999.
    pub(crate) fn date(&mut self, days: i64) -> Option<&str> {
        self.len = 0;
        self.push_date(days)?;
        Some(self.as_str())
    }

    /// `23:59:59.999`, from `value` units since midnight. `None` if it is not within a day.
    pub(crate) fn time(&mut self, value: i64, unit: TimeUnit) -> Option<&str> {
        self.len = 0;
        let (seconds, fraction) = (value.div_euclid(per_second(unit)), value.rem_euclid(per_second(unit)));
        if !(0..SECONDS_PER_DAY).contains(&seconds) {
            return None;
        }
        self.push_time(seconds, fraction, unit);
        Some(self.as_str())
    }

    /// `2013-01-31 23:59:59.999`, from `value` units since 1970-01-01. `suffix` is the zone. `None` outside the years
    /// 0000 to 9999.
    #[inline]
    pub(crate) fn timestamp(&mut self, value: i64, unit: TimeUnit, suffix: &str) -> Option<&str> {
        self.len = 0;
        let (seconds, fraction) = (value.div_euclid(per_second(unit)), value.rem_euclid(per_second(unit)));
        self.push_date(seconds.div_euclid(SECONDS_PER_DAY))?;
        self.push(b' ');
        self.push_time(seconds.rem_euclid(SECONDS_PER_DAY), fraction, unit);
        suffix.bytes().for_each(|byte| self.push(byte));
        Some(self.as_str())
    }

    fn push_date(&mut self, days: i64) -> Option<()> {
        let date = match self.last_date {
            Some((last, date)) if last == days => date,
            _ => {
                let date = date(days)?;
                self.last_date = Some((days, date));
                date
            }
        };
        self.bytes[self.len..self.len + DATE_BYTES].copy_from_slice(&date);
        self.len += DATE_BYTES;
        Some(())
    }

    fn push_time(&mut self, seconds: i64, fraction: i64, unit: TimeUnit) {
        let seconds = seconds as u32;
        let mut time = *b"00:00:00.";
        time[0..2].copy_from_slice(&TWO_DIGITS[(seconds / 3_600) as usize % 100]);
        time[3..5].copy_from_slice(&TWO_DIGITS[(seconds / 60 % 60) as usize]);
        time[6..8].copy_from_slice(&TWO_DIGITS[(seconds % 60) as usize]);
        self.bytes[self.len..self.len + time.len()].copy_from_slice(&time);
        self.len += time.len();
        let mut rest = fraction as u64;
        let end = self.len + fraction_digits(unit);
        let mut at = end;
        if fraction_digits(unit) % 2 == 1 {
            at -= 1;
            self.bytes[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        while at > self.len {
            at -= 2;
            self.bytes[at..at + 2].copy_from_slice(&TWO_DIGITS[(rest % 100) as usize]);
            rest /= 100;
        }
        // Without a fraction there is no decimal point.
        self.len = if unit == TimeUnit::Second { self.len - 1 } else { end };
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn as_str(&self) -> &str {
        // Only ASCII is ever pushed.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// Days to a civil date, Howard Hinnant's `civil_from_days`:
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(days: i64) -> Option<[u8; DATE_BYTES]> {
    // 0000-01-01 and 9999-12-31.
    if !(-719_528..=2_932_896).contains(&days) {
        return None;
    }
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut date = *b"0000-00-00";
    date[0..2].copy_from_slice(&TWO_DIGITS[(year / 100) as usize]);
    date[2..4].copy_from_slice(&TWO_DIGITS[(year % 100) as usize]);
    date[5..7].copy_from_slice(&TWO_DIGITS[month as usize]);
    date[8..10].copy_from_slice(&TWO_DIGITS[day as usize]);
    Some(date)
}

/// Months, days and nanoseconds as `P1M2DT3.5S`. Each part has a sign, and a zero part is omitted.
pub(crate) fn interval(months: i64, days: i64, nanos: i64) -> String {
    use std::fmt::Write;
    let mut text = String::from("P");
    if months != 0 {
        let _ = write!(text, "{months}M");
    }
    if days != 0 {
        let _ = write!(text, "{days}D");
    }
    if nanos != 0 {
        let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
        let _ = write!(text, "T{sign}{}", nanos / 1_000_000_000);
        if nanos % 1_000_000_000 != 0 {
            let fraction = format!("{:09}", nanos % 1_000_000_000);
            let _ = write!(text, ".{}", fraction.trim_end_matches('0'));
        }
        text.push('S');
    }
    if text.len() == 1 { "PT0S".into() } else { text }
}

/// Months, days and nanoseconds of an ISO 8601 duration. `None` if the text is not one, or does not fit.
pub(crate) fn parse_interval(text: &str) -> Option<(i64, i64, i64)> {
    let (mut months, mut days, mut nanos) = (0_i64, 0_i64, 0_i64);
    let mut rest = text.strip_prefix('P')?;
    let mut in_time = false;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            if in_time || time.is_empty() {
                return None;
            }
            (in_time, rest) = (true, time);
        }
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = (&rest[..unit_at], rest.as_bytes()[unit_at]);
        rest = &rest[unit_at + 1..];
        let whole = || number.parse::<i64>().ok();
        match (in_time, unit) {
            (false, b'Y') => months = months.checked_add(whole()?.checked_mul(12)?)?,
            (false, b'M') => months = months.checked_add(whole()?)?,
            (false, b'W') => days = days.checked_add(whole()?.checked_mul(7)?)?,
            (false, b'D') => days = days.checked_add(whole()?)?,
            (true, b'H') => nanos = nanos.checked_add(whole()?.checked_mul(3_600_000_000_000)?)?,
            (true, b'M') => nanos = nanos.checked_add(whole()?.checked_mul(60_000_000_000)?)?,
            (true, b'S') => nanos = nanos.checked_add(parse_seconds(number)?)?,
            _ => return None,
        }
    }
    Some((months, days, nanos))
}

/// Nanoseconds since midnight of `23:59` or `23:59:59.999`, with up to nine fractional digits.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) if clock.len() == "23:59:59".len() && !fraction.is_empty() => (clock, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let [hours, minutes, seconds] = match clock.len() {
        5 => [clock.get(0..2)?, clock.get(3..5)?, "00"],
        8 => [clock.get(0..2)?, clock.get(3..5)?, clock.get(6..8)?],
        _ => return None,
    }
    .map(|part| digits(part).filter(|number| *number < 60));
    let (hours, minutes, seconds) = (hours.filter(|hours| *hours < 24)?, minutes?, seconds?);
    if clock.bytes().skip(2).step_by(3).any(|byte| byte != b':') || fraction.len() > 9 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { digits(&format!("{fraction:0<9}"))? };
    Some((hours * 3_600 + minutes * 60 + seconds) * 1_000_000_000 + nanos)
}

/// Days since 1970-01-01, nanoseconds since midnight, and the offset in seconds if there is one, of a date that may be
/// followed by a space or a `T` and a time.
pub(crate) fn parse_timestamp(text: &str) -> Option<(i64, i64, Option<i32>)> {
    // Years of more than four digits have a sign.
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (year, rest) = unsigned.split_once('-')?;
    let is_long = unsigned.len() < text.len();
    if year.len() < 4 || year.len() > 6 || (year.len() > 4 && !is_long) {
        return None;
    }
    let (month, rest) = rest.split_once('-')?;
    let (day, rest) = (rest.get(0..2)?, rest.get(2..)?);
    if month.len() != 2 {
        return None;
    }
    let days = days(sign * digits(year)?, digits(month)?, digits(day)?)?;
    let Some(time) = rest.strip_prefix(['T', ' ']) else { return rest.is_empty().then_some((days, 0, None)) };
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], Some(parse_offset(&time[at..])?)),
        None => (time, None),
    };
    Some((days, parse_time(time)?, offset))
}

/// Seconds of `Z`, `+02`, `+02:00`, `-0530`.
fn parse_offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'-' => -1,
        b'+' => 1,
        _ => return None,
    };
    let clock = text.get(1..)?.replacen(':', "", usize::from(text.len() == 6 && text.as_bytes()[3] == b':'));
    let (hours, minutes) = match clock.len() {
        2 => (digits(&clock)?, 0),
        4 => (digits(clock.get(0..2)?)?, digits(clock.get(2..4)?)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * (hours * 3_600 + minutes * 60) as i32)
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days since 1970-01-01 of a date that there is, Howard Hinnant's `days_from_civil`:
/// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn parse_seconds(number: &str) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let negative = whole.starts_with('-');
    let fraction: i128 = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    let nanos = i128::from(whole.parse::<i64>().ok()?) * 1_000_000_000 + if negative { -fraction } else { fraction };
    i64::try_from(nanos).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{Array, Date32Array, TimestampNanosecondArray};
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_have_their_limits() {
        let mut text = IsoText::new();
        assert_eq!(text.date(0), Some("1970-01-01"));
        assert_eq!(text.date(-719_528), Some("0000-01-01"));
        assert_eq!(text.date(2_932_896), Some("9999-12-31"));
        assert_eq!(text.date(-719_529), None);
        assert_eq!(text.date(2_932_897), None);
        assert_eq!(text.date(i64::from(i32::MIN)), None);
        assert_eq!(text.timestamp(i64::MAX, TimeUnit::Second, ""), None);
        assert_eq!(text.time(86_400, TimeUnit::Second), None);
        assert_eq!(text.time(-1, TimeUnit::Nanosecond), None);
        assert_eq!(text.timestamp(-1, TimeUnit::Millisecond, "Z"), Some("1969-12-31 23:59:59.999Z"));
    }

    #[test]
    fn years_of_more_than_four_digits_have_a_sign() {
        assert_eq!(parse_timestamp("+10000-01-01"), Some((2_932_897, 0, None)));
        assert_eq!(parse_timestamp("-0001-12-31"), Some((-719_529, 0, None)));
        for bad in [
            "10000-01-01",
            "0000-00-01",
            "2013-01-31x",
            "2013-01-31 ",
            "2013-01-31 1:00",
            "2013-01-31 01:00:00Z02:00",
            "2013-01-31 01:00+2",
            "é013-01-31",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn intervals_are_iso_8601() {
        assert_eq!(interval(1, -2, 3_500_000_000), "P1M-2DT3.5S");
        assert_eq!(interval(0, 0, -1), "PT-0.000000001S");
        assert_eq!(interval(0, 0, 0), "PT0S");
        assert_eq!(parse_interval("P1Y2M1W3DT4H5M6.7S"), Some((14, 10, 14_706_700_000_000)));
        for bad in ["", "P", "PT", "1M", "P1", "PT1X", "P1.5D", "PT1.0000000001S", "PTT1S"] {
            assert_eq!(parse_interval(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_interval_survives(months: i32, days: i32, nanos: i64) {
            let (months, days) = (i64::from(months), i64::from(days));
            prop_assert_eq!(parse_interval(&interval(months, days, nanos)), Some((months, days, nanos)));
        }

        #[test]
        fn a_timestamp_is_parsed_as_it_is_written(days in -719_528..=2_932_896_i64, nanos in 0..86_400_000_000_000_i64) {
            let mut text = IsoText::new();
            let date = text.date(days).unwrap().to_owned();
            prop_assert_eq!(parse_timestamp(&date), Some((days, 0, None)));
            let time = text.time(nanos, TimeUnit::Nanosecond).unwrap();
            prop_assert_eq!(parse_timestamp(&format!("{date}T{time}")), Some((days, nanos, None)));
            prop_assert_eq!(parse_timestamp(&format!("{date} {time}-05:30")), Some((days, nanos, Some(-19_800))));
        }

        #[test]
        fn dates_and_timestamps_agree_with_arrow(days in -719_528..=2_932_896_i32, nanos: i64) {
            let shown = |array: &dyn Array| {
                ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap().value(0).to_string()
            };
            let mut text = IsoText::new();
            prop_assert_eq!(text.date(days.into()).unwrap(), shown(&Date32Array::from(vec![days])));
            let expected = shown(&TimestampNanosecondArray::from(vec![nanos])).replace('T', " ");
            let ours = text.timestamp(nanos, TimeUnit::Nanosecond, "").unwrap();
            // Arrow omits trailing zeros in groups of three.
            prop_assert!(ours.starts_with(&expected), "{} and {}", ours, expected);
            prop_assert!(ours[expected.len()..].bytes().all(|byte| byte == b'0' || byte == b'.'));
        }
    }
}
