//! A `numeric` in the format of the server.

use arrow::datatypes::i256;

use super::digits::{GROUP, INFINITY, NAN, NEGATIVE, NEGATIVE_INFINITY, POSITIVE, POWERS};

/// A received number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numeric<'a> {
    weight: i64,
    sign: u16,
    scale: u16,
    groups: &'a [u8],
}

impl<'a> Numeric<'a> {
    /// `None` if the bytes are invalid.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let count = usize::from(word(0)?);
        let groups = bytes.get(8..)?;
        (groups.len() == 2 * count).then_some(Self {
            weight: i64::from(word(2)? as i16),
            sign: word(4)?,
            scale: word(6)?,
            groups,
        })
    }

    fn groups(self) -> impl DoubleEndedIterator<Item = u16> {
        self.groups.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// Whether it is a number, neither NaN nor infinite.
    pub(super) fn is_finite(self) -> bool {
        matches!(self.sign, POSITIVE | NEGATIVE)
    }

    /// `self × 10^scale`, if it is an integer that fits.
    #[inline]
    pub(super) fn unscaled_i128(self, scale: i8) -> Option<i128> {
        let mut value = 0_i128;
        for (group, power) in self.scaled_groups(scale)? {
            value = value.checked_mul(power.into())?.checked_add(group.into())?;
        }
        for _ in 0..self.trailing_zeros(scale) {
            value = value.checked_mul(10)?;
        }
        Some(if self.sign == NEGATIVE { -value } else { value })
    }

    /// As [`Numeric::unscaled_i128`].
    pub(super) fn unscaled_i256(self, scale: i8) -> Option<i256> {
        let small = |value: u16| i256::from_i128(value.into());
        let mut value = i256::ZERO;
        for (group, power) in self.scaled_groups(scale)? {
            value = value.checked_mul(small(power))?.checked_add(small(group))?;
        }
        for _ in 0..self.trailing_zeros(scale) {
            value = value.checked_mul(small(10))?;
        }
        Some(if self.sign == NEGATIVE { value.wrapping_neg() } else { value })
    }

    /// Decimal digits between the last group and the scale; negative if the group has more digits than the scale.
    fn shift(self, scale: i8) -> i64 {
        (self.weight + 1 - self.groups.len() as i64 / 2) * GROUP as i64 + i64::from(scale)
    }

    fn trailing_zeros(self, scale: i8) -> i64 {
        if self.groups.is_empty() { 0 } else { self.shift(scale).max(0) }
    }

    /// Each group and the factor to multiply by before it is added, without the digits beyond the scale. `None` if those
    /// are not zeros, or if the number is not finite.
    fn scaled_groups(self, scale: i8) -> Option<impl Iterator<Item = (u16, u16)>> {
        let count = self.groups.len() / 2;
        let excess = if count == 0 { 0 } else { usize::try_from(-self.shift(scale)).unwrap_or(0) };
        // The server strips trailing zero groups, so more excess digits than a group cannot all be zeros.
        let cut = *POWERS.get(excess)?;
        if !self.is_finite() || self.groups().next_back().is_some_and(|last| last % cut != 0) {
            return None;
        }
        let groups = self.groups().enumerate();
        Some(groups.map(
            move |(index, group)| {
                if index + 1 == count { (group / cut, 10_000 / cut) } else { (group, 10_000) }
            },
        ))
    }

    /// Appends the text form of the server.
    pub(super) fn push_text(self, text: &mut String) {
        use std::fmt::Write;
        match self.sign {
            NAN => return text.push_str("NaN"),
            INFINITY => return text.push_str("Infinity"),
            NEGATIVE_INFINITY => return text.push_str("-Infinity"),
            NEGATIVE => text.push('-'),
            _ => {}
        }
        let group = |weight: i64| {
            let index = usize::try_from(self.weight - weight).ok()?;
            self.groups.chunks_exact(2).nth(index).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        };
        if self.weight < 0 {
            text.push('0');
        }
        for weight in (0..=self.weight).rev() {
            let digits = group(weight).unwrap_or(0);
            // Writing to a String cannot fail.
            let _ = if weight == self.weight { write!(text, "{digits}") } else { write!(text, "{digits:04}") };
        }
        let scale = usize::from(self.scale);
        if scale > 0 {
            text.push('.');
            let begin = text.len();
            for place in 1..=scale.div_ceil(GROUP) as i64 {
                let _ = write!(text, "{:04}", group(-place).unwrap_or(0));
            }
            text.truncate(begin + scale);
        }
    }
}
