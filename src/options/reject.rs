//! How many rows may be rejected.

use std::fmt;

use super::values::Values;

/// How many rows of a statement or job may be rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectLimit {
    /// This number of rows.
    Rows(u64),
    /// This share of the rows read so far, in parts per million.
    Share(u32),
}

/// The parts of a percent.
const PERCENT: u32 = 10_000;

/// The parts of the whole.
const WHOLE: u32 = 100 * PERCENT;

impl RejectLimit {
    /// Whether this many rejected rows of this many rows are too many.
    pub fn is_exceeded(self, rejected: u64, rows: u64) -> bool {
        match self {
            Self::Rows(most) => rejected > most,
            Self::Share(parts) => u128::from(rejected) * u128::from(WHOLE) > u128::from(rows) * u128::from(parts),
        }
    }
}

impl fmt::Display for RejectLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Share(parts) => {
                let fraction = format!("{:04}", parts % PERCENT);
                let fraction = fraction.trim_end_matches('0');
                write!(f, "{}{}{fraction} %", parts / PERCENT, if fraction.is_empty() { "" } else { "." })
            }
        }
    }
}

/// The values of `reject.max`.
pub(super) struct Rejected;

const TOLD: &str =
    "use a number of rows such as 100, or a percentage such as 0.1 %, from 0 % to 100 %, with up to 4 decimals";

impl Values<RejectLimit> for Rejected {
    fn parse(&self, text: &str) -> Result<RejectLimit, String> {
        let text = text.trim();
        let parsed = match text.strip_suffix('%') {
            Some(percent) => parts(percent.trim()).map(RejectLimit::Share),
            None => text.parse().ok().map(RejectLimit::Rows),
        };
        parsed.ok_or_else(|| TOLD.to_owned())
    }

    fn check(&self, value: &RejectLimit) -> Result<(), String> {
        match value {
            RejectLimit::Share(parts) if *parts > WHOLE => Err(TOLD.to_owned()),
            _ => Ok(()),
        }
    }

    fn show(&self, value: &RejectLimit) -> String {
        value.to_string()
    }
}

/// A percentage in parts per million.
fn parts(percent: &str) -> Option<u32> {
    let (whole, fraction) = percent.split_once('.').unwrap_or((percent, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 4 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction: u32 = format!("{fraction:0<4}").parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(PERCENT)?.checked_add(fraction)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_of_rows_or_a_percentage() {
        for (text, limit, shown) in [
            ("0", RejectLimit::Rows(0), "0"),
            (" 12 ", RejectLimit::Rows(12), "12"),
            ("5%", RejectLimit::Share(50_000), "5 %"),
            ("0.1 %", RejectLimit::Share(1_000), "0.1 %"),
            ("0.0001 %", RejectLimit::Share(1), "0.0001 %"),
            ("100 %", RejectLimit::Share(1_000_000), "100 %"),
        ] {
            let parsed = Rejected.parse(text).unwrap();
            assert_eq!((parsed, Rejected.show(&parsed).as_str()), (limit, shown));
            assert_eq!(Rejected.parse(shown).unwrap(), limit);
        }
        for bad in ["", "-1", "1.5", "%", "x %", ".5 %", "0.00001 %", "1e2 %", "99999999999 %"] {
            assert_eq!(Rejected.parse(bad).unwrap_err(), TOLD, "{bad}");
        }
        assert!(Rejected.check(&RejectLimit::Share(1_000_001)).is_err());
    }

    #[test]
    fn a_share_is_of_the_rows_read() {
        let limit = RejectLimit::Share(1_000);
        assert!(!limit.is_exceeded(1, 1_000) && limit.is_exceeded(1, 999) && limit.is_exceeded(2, 1_999));
        assert!(
            !limit.is_exceeded(0, 0)
                && !RejectLimit::Rows(2).is_exceeded(2, 2)
                && RejectLimit::Rows(2).is_exceeded(3, 9)
        );
        assert!(!RejectLimit::Share(1_000_000).is_exceeded(u64::MAX, u64::MAX));
    }
}
