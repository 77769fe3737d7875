//! The binary format of `numeric`: `numeric_send` in src/backend/utils/adt/numeric.c. The number of base-10,000 digits,
//! the weight of the first digit, the sign, the number of decimal places to show, and the digits.

use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType::{self, Decimal128, Decimal256};
use arrow::datatypes::i256;

use super::super::bytes::{NULL_SLOT, Slot};

/// Precision and scale of a `numeric`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Digits {
    pub(super) precision: u16,
    pub(super) scale: i16,
}

impl Digits {
    /// `make_numeric_typmod` of src/backend/utils/adt/numeric.c: precision, and 11 bits of scale.
    pub(super) fn of(typmod: i32) -> Option<Self> {
        let bits = u32::try_from(typmod - 4).ok()?;
        Some(Self { precision: (bits >> 16) as u16, scale: ((((bits & 0x7ff) ^ 1024) as i32) - 1024) as i16 })
    }

    /// The smallest decimal that holds the values.
    pub(super) fn decimal(self) -> Option<DataType> {
        let scale = i8::try_from(self.scale.max(0)).ok()?;
        let precision = i32::from(self.precision).max(i32::from(scale)) - i32::from(self.scale.min(0));
        match u8::try_from(precision).ok()? {
            precision @ 1..=38 => Some(Decimal128(precision, scale)),
            precision @ 39..=76 => Some(Decimal256(precision, scale)),
            _ => None,
        }
    }
}

pub(super) const POSITIVE: u16 = 0x0000;
pub(super) const NEGATIVE: u16 = 0x4000;
pub(super) const NAN: u16 = 0xC000;
pub(super) const INFINITY: u16 = 0xD000;
pub(super) const NEGATIVE_INFINITY: u16 = 0xF000;

/// The decimal places that the server sends for infinity; it ignores those that it receives.
const INFINITE_SCALE: usize = 32;

/// Decimal digits in a base-10,000 digit.
pub(super) const GROUP: usize = 4;

/// Base-10,000 digits of Arrow's longest decimal: 76 digits with the decimal point anywhere.
const MAX_GROUPS: usize = 24;

/// Maximum digits of `numeric` after the decimal point and before it.
const MAX_SCALE: i64 = 16_383;
const MAX_WHOLE: i64 = 131_072;

/// An unsigned integer that can be split into base-10,000 digits.
trait Magnitude: Copy {
    /// The quotient and the remainder of a division by `10^digits`; the remainder is below 10,000.
    fn cut(self, digits: usize) -> (Self, u16);
    fn is_zero(self) -> bool;
}

pub(super) const POWERS: [u16; GROUP + 1] = [1, 10, 100, 1_000, 10_000];

impl Magnitude for u64 {
    #[inline]
    fn cut(self, digits: usize) -> (Self, u16) {
        let power = u64::from(POWERS[digits]);
        (self / power, (self % power) as u16)
    }

    #[inline]
    fn is_zero(self) -> bool {
        self == 0
    }
}

impl Magnitude for u128 {
    fn cut(self, digits: usize) -> (Self, u16) {
        let power = u128::from(POWERS[digits]);
        (self / power, (self % power) as u16)
    }

    fn is_zero(self) -> bool {
        self == 0
    }
}

impl Magnitude for i256 {
    fn cut(self, digits: usize) -> (Self, u16) {
        let power = i256::from_i128(POWERS[digits].into());
        let cut = self.wrapping_rem(power).as_i128() as u16;
        (self.wrapping_div(power), cut)
    }

    fn is_zero(self) -> bool {
        self == i256::ZERO
    }
}

/// Appends `unscaled × 10^-scale`.
#[inline]
pub(in crate::postgres) fn put_i128(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    let sign = if unscaled < 0 { NEGATIVE } else { POSITIVE };
    match u64::try_from(unscaled.unsigned_abs()) {
        Ok(magnitude) => put_magnitude(magnitude, scale, sign, out),
        Err(_) => put_magnitude(unscaled.unsigned_abs(), scale, sign, out),
    }
}

/// Appends `unscaled × 10^-scale`.
pub(super) fn put_i256(unscaled: i256, scale: u8, out: &mut Vec<u8>) {
    match unscaled.to_i128() {
        Some(unscaled) => put_i128(unscaled, scale, out),
        None if unscaled.is_negative() => put_magnitude(unscaled.wrapping_neg(), scale, NEGATIVE, out),
        None => put_magnitude(unscaled, scale, POSITIVE, out),
    }
}

/// All `unscaled × 10^-scale` as fields; `None` unless each is short enough.
pub(in crate::postgres) fn slots(unscaled: &[i128], nulls: Option<&NullBuffer>, scale: u8) -> Option<Vec<Slot>> {
    match usize::from(scale) % GROUP {
        0 => slots_by::<10_000>(unscaled, nulls, scale),
        1 => slots_by::<10>(unscaled, nulls, scale),
        2 => slots_by::<100>(unscaled, nulls, scale),
        _ => slots_by::<1_000>(unscaled, nulls, scale),
    }
}

/// `CUT` is the power of ten that splits off the decimal digits of the last group.
fn slots_by<const CUT: u64>(unscaled: &[i128], nulls: Option<&NullBuffer>, scale: u8) -> Option<Vec<Slot>> {
    const BASE: u64 = 10_000;
    // Three groups and the remainder.
    let limit = BASE.pow(3) * CUT;
    let fraction = usize::from(scale).div_ceil(GROUP) as u64;
    let mut slots = Vec::with_capacity(unscaled.len());
    for (row, value) in unscaled.iter().enumerate() {
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            slots.push(NULL_SLOT);
            continue;
        }
        let value = i64::try_from(*value).ok().filter(|value| value.unsigned_abs() < limit)?;
        let (rest, last) = (value.unsigned_abs() / CUT, value.unsigned_abs() % CUT * (BASE / CUT));
        // Groups of 16 bits, the last one in the lowest bits.
        let groups = last | (rest % BASE) << 16 | (rest / BASE % BASE) << 32 | (rest / BASE.pow(2)) << 48;
        let sign = if value < 0 { NEGATIVE } else { POSITIVE };
        slots.push(slot(groups, fraction, sign, scale));
    }
    Some(slots)
}

/// `groups` have 16 bits each, the last one in the lowest bits; `fraction` of them are after the decimal point.
#[inline]
fn slot(groups: u64, fraction: u64, sign: u16, scale: u8) -> Slot {
    let highest = u64::from(63 - (groups | 1).leading_zeros()) / 16;
    let lowest = u64::from((groups | 1 << 63).trailing_zeros()) / 16;
    let (count, weight) = match groups {
        0 => (0, 0),
        _ => (highest - lowest + 1, highest.wrapping_sub(fraction) & 0xffff),
    };
    let head = count << 48 | weight << 32 | u64::from(sign) << 16 | u64::from(scale);
    let mut slot = [0; size_of::<Slot>()];
    slot[..4].copy_from_slice(&(8 + 2 * count as u32).to_be_bytes());
    slot[4..12].copy_from_slice(&head.to_be_bytes());
    slot[12..].copy_from_slice(&(groups << (16 * (3 - highest))).to_be_bytes());
    slot
}

#[inline]
fn put_magnitude<M: Magnitude>(mut rest: M, scale: u8, sign: u16, out: &mut Vec<u8>) {
    let scale = usize::from(scale);
    // From the last digit on. The decimal point is between two groups.
    let mut groups = [0_u16; MAX_GROUPS];
    let mut count = 0;
    let odd = scale % GROUP;
    if odd != 0 {
        let (left, cut) = rest.cut(odd);
        groups[0] = cut * POWERS[GROUP - odd];
        (rest, count) = (left, 1);
    }
    while !rest.is_zero() {
        let (left, cut) = rest.cut(GROUP);
        groups[count] = cut;
        (rest, count) = (left, count + 1);
    }
    while count > 0 && groups[count - 1] == 0 {
        count -= 1;
    }
    let trailing = groups[..count].iter().take_while(|group| **group == 0).count();
    if count == 0 {
        return put_groups([].into_iter(), 0, POSITIVE, scale, out);
    }
    let weight = count as i64 - scale.div_ceil(GROUP) as i64 - 1;
    put_groups(groups[trailing..count].iter().rev().copied(), weight, sign, scale, out);
}

#[inline]
fn put_groups(groups: impl ExactSizeIterator<Item = u16>, weight: i64, sign: u16, scale: usize, out: &mut Vec<u8>) {
    let mut value = [0; 8 + 2 * MAX_GROUPS];
    value[0..2].copy_from_slice(&(groups.len() as u16).to_be_bytes());
    value[2..4].copy_from_slice(&(weight as i16).to_be_bytes());
    value[4..6].copy_from_slice(&sign.to_be_bytes());
    value[6..8].copy_from_slice(&(scale as u16).to_be_bytes());
    if groups.len() <= MAX_GROUPS {
        let mut end = 8;
        for group in groups {
            value[end..end + 2].copy_from_slice(&group.to_be_bytes());
            end += 2;
        }
        out.extend_from_slice(&value[..end]);
    } else {
        out.extend_from_slice(&value[..8]);
        groups.for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    }
}

/// Appends the number in a text such as `-12.50`, `1e-7`, `NaN` or `Infinity`.
///
/// # Errors
/// The reason why it cannot be stored unchanged.
pub(super) fn put_text(text: &str, keeps: Option<Digits>, out: &mut Vec<u8>) -> Result<(), String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (NEGATIVE, unsigned),
        None => (POSITIVE, text.strip_prefix('+').unwrap_or(text)),
    };
    if text.eq_ignore_ascii_case("nan") {
        put_groups(std::iter::empty(), 0, NAN, 0, out);
        return Ok(());
    }
    if ["inf", "infinity"].iter().any(|name| unsigned.eq_ignore_ascii_case(name)) {
        if keeps.is_some() {
            return Err("is infinite, but only a numeric column without a precision can store infinity".into());
        }
        let sign = if sign == NEGATIVE { NEGATIVE_INFINITY } else { INFINITY };
        put_groups(std::iter::empty(), 0, sign, INFINITE_SCALE, out);
        return Ok(());
    }
    let not_a_number = || "is not a number".to_owned();
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| not_a_number())?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !are_digits(whole) || !are_digits(fraction) {
        return Err(not_a_number());
    }
    // The digits without leading and trailing zeros; `point` of them are before the decimal point.
    let all = || whole.bytes().chain(fraction.bytes());
    let leading = all().take_while(|byte| *byte == b'0').count();
    let trailing = fraction.bytes().rev().chain(whole.bytes().rev()).take_while(|byte| *byte == b'0').count();
    let total = whole.len() + fraction.len();
    let length = total.saturating_sub(leading + trailing) as i64;
    let point = whole.len() as i64 - leading as i64 + i64::from(exponent);
    let shown_scale = (fraction.len() as i64 - i64::from(exponent)).max(0);
    if let Some(Digits { precision, scale }) = keeps {
        if length > 0 && length - point > i64::from(scale) {
            return Err(format!(
                "has more decimal places than the {scale} that its column stores: round the value in the query"
            ));
        }
        if length > 0 && point > i64::from(precision) - i64::from(scale) {
            return Err(format!("has too many digits before the decimal point for numeric({precision},{scale})"));
        }
    }
    if shown_scale > MAX_SCALE || (length > 0 && point > MAX_WHOLE) {
        return Err("has more digits than the type numeric allows".into());
    }
    if length == 0 {
        put_groups(std::iter::empty(), 0, POSITIVE, shown_scale as usize, out);
        return Ok(());
    }
    // Zeros that pad the first and the last group.
    let before = (-point).rem_euclid(GROUP as i64);
    let count = (before + length) as usize;
    let count = count.div_ceil(GROUP);
    let mut padded = std::iter::repeat_n(b'0', before as usize)
        .chain(all().skip(leading).take(length as usize))
        .chain(std::iter::repeat(b'0'));
    let mut next = || (0..GROUP).fold(0, |group, _| group * 10 + u16::from(padded.next().unwrap_or(b'0') - b'0'));
    let weight = (point + before) / GROUP as i64 - 1;
    put_groups((0..count).map(|_| next()), weight, sign, shown_scale as usize, out);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::received::Numeric;
    use super::*;

    fn of_decimal(unscaled: i128, scale: u8) -> Vec<u8> {
        let mut out = Vec::new();
        put_i128(unscaled, scale, &mut out);
        out
    }

    fn of_text(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(text, None, &mut out).unwrap();
        out
    }

    /// From PostgreSQL 15: `SELECT numeric_send('…')`.
    const GOLDEN: &[(&str, i128, u8, &str)] = &[
        ("0", 0, 0, "0000000000000000"),
        ("0.00", 0, 2, "0000000000000002"),
        ("1", 1, 0, "00010000000000000001"),
        ("-1.5", -15, 1, "000200004000000100011388"),
        ("1.00000001", 100_000_001, 8, "0003000000000008000100000001"),
        ("10000", 10_000, 0, "00010001000000000001"),
        ("0.0001", 1, 4, "0001ffff000000040001"),
        ("0.00001", 1, 5, "0001fffe0000000503e8"),
        ("100000000", 100_000_000, 0, "00010002000000000001"),
        ("12345678.9", 123_456_789, 1, "000300010000000104d2162e2328"),
    ];

    #[test]
    fn the_bytes_are_those_of_the_server() {
        for (text, unscaled, scale, hex) in GOLDEN {
            let hexed = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            assert_eq!(hexed(&of_decimal(*unscaled, *scale)), *hex, "{text}");
            assert_eq!(hexed(&of_text(text)), *hex, "{text}");
        }
    }

    #[test]
    fn a_number_that_its_column_would_round_is_refused() {
        let keeps = Some(Digits { precision: 5, scale: 2 });
        for (text, fits) in [
            ("999.99", true),
            ("1000", false),
            ("0.001", false),
            ("0.010", true),
            ("NaN", true),
            ("Infinity", false),
            ("x", false),
            ("", false),
            ("1e2", true),
            ("1e3", false),
            ("1e-2", true),
            ("1e-3", false),
            ("0e99999", true),
        ] {
            assert_eq!(put_text(text, keeps, &mut Vec::new()).is_ok(), fits, "{text}");
        }
        let hundreds = Some(Digits { precision: 3, scale: -2 });
        for (text, fits) in [("99900", true), ("100000", false), ("150", false), ("100", true)] {
            assert_eq!(put_text(text, hundreds, &mut Vec::new()).is_ok(), fits, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_survives(unscaled: i128, scale in 0_u8..=38) {
            let bytes = of_decimal(unscaled, scale);
            let read = Numeric::parse(&bytes).unwrap();
            prop_assert_eq!(read.unscaled_i256(scale as i8), Some(i256::from_i128(unscaled)));
            let mut text = String::new();
            read.push_text(&mut text);
            prop_assert_eq!(&of_text(&text), &bytes, "{}", text);
        }

        #[test]
        fn a_short_decimal_is_the_same_in_a_slot(unscaled: i64, digits in 0_u32..=18, scale in 0_u8..=38) {
            let unscaled = i128::from(unscaled % 10_i64.pow(digits));
            let longest = [16, 13, 14, 15][usize::from(scale) % GROUP];
            match slots(&[unscaled], None, scale) {
                Some(slots) => {
                    let value = of_decimal(unscaled, scale);
                    prop_assert_eq!(&slots[0][..4], &(value.len() as u32).to_be_bytes());
                    prop_assert_eq!(&slots[0][4..4 + value.len()], &value[..]);
                }
                None => prop_assert!(unscaled.unsigned_abs() >= 10_u128.pow(longest)),
            }
        }

        #[test]
        fn a_text_is_read_as_it_was_written(text in "-?[1-9][0-9]{0,50}(\\.[0-9]{1,50})?|0\\.[0-9]{0,9}[1-9]") {
            let mut read = String::new();
            Numeric::parse(&of_text(&text)).unwrap().push_text(&mut read);
            prop_assert_eq!(read, text);
        }
    }
}
