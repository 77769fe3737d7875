//! The rules by which values are assigned to columns, written once more from the guide, and by other means than the code:
//! numbers are strings of digits here, times are counts of nanoseconds.

/// A number by its digits, without zeros around them: `digits` times ten to the power of `exponent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Digits {
    pub fn of(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (negative, number) = match (number.strip_prefix('-'), number.strip_prefix('+')) {
            (Some(number), _) => (true, number),
            (_, Some(number)) => (false, number),
            _ => (false, number),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.chars().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0').trim_end_matches('0').to_owned();
        let zeros = (all.len() - all.trim_end_matches('0').len()) as i64;
        let exponent = if digits.is_empty() { 0 } else { exponent - fraction.len() as i64 + zeros };
        Some(Self { negative: negative && !digits.is_empty(), digits, exponent })
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn is_one(&self) -> bool {
        self.digits == "1" && self.exponent == 0 && !self.negative
    }

    /// Digits before the point, as it is written out.
    fn whole(&self) -> i64 {
        if self.is_zero() { 0 } else { (self.digits.len() as i64 + self.exponent).max(0) }
    }

    fn places(&self) -> i64 {
        if self.is_zero() { 0 } else { (-self.exponent).max(0) }
    }

    fn as_integer(&self) -> Option<i128> {
        if self.is_zero() {
            return Some(0);
        }
        if self.exponent < 0 || self.whole() > 38 {
            return None;
        }
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}{}", self.digits, "0".repeat(self.exponent as usize)).parse().ok()
    }

    /// Rounded half away from zero.
    fn rounded(&self, scale: i64) -> Self {
        let drop = self.places() - scale;
        if drop <= 0 {
            return self.clone();
        }
        let padded = format!("{:0>width$}", self.digits, width = drop as usize + 1);
        let (kept, dropped) = padded.split_at(padded.len() - drop as usize);
        let kept: i128 = kept.parse().unwrap();
        let up = i128::from(dropped.as_bytes()[0] >= b'5');
        let sign = if self.negative { "-" } else { "" };
        Self::of(&format!("{sign}{}e-{scale}", kept + up)).unwrap()
    }

    fn text(&self) -> String {
        format!(
            "{}{}e{}",
            if self.negative { "-" } else { "" },
            if self.is_zero() { "0" } else { &self.digits },
            self.exponent
        )
    }
}

/// What a source has.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    /// An integer or a decimal.
    Exact(String),
    Double(f64),
    Real(f32),
    /// A literal number, which is read as its column wants it where the statement is known.
    Literal(&'static str),
    Text(&'static str),
    Truth(bool),
    Day(i64),
    /// Nanoseconds since midnight.
    Clock(i64),
    /// Nanoseconds since 1970-01-01 without a zone.
    Local(i128),
    Instant(i128),
}

/// What a column can have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    Integer(i128, i128),
    Decimal(i64, i64),
    Real,
    Double,
    Truth,
    Text,
    Day,
    /// Digits of a second, here and below.
    Clock(u32),
    Local(u32),
    Instant(u32),
}

/// What a database cannot have, whatever the rules say.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub infinite: bool,
    pub nan: bool,
    /// The first and the last day, since 1970.
    pub days: (i64, i64),
    /// The first and the last nanosecond of an instant.
    pub instants: (i128, i128),
    pub nul: bool,
}

/// What is stored in the end.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    Null,
    Number(Digits),
    Float(f64),
    Truth(bool),
    Text(String),
    /// A text of a float, which can have any digits that mean it.
    FloatText(f64),
    RealText(f32),
    NumberText(Digits),
    Day(i64),
    Clock(i64),
    Moment(i128),
}

const PER_DAY: i128 = 86_400_000_000_000;

/// What becomes of a value; `None` where the statement must fail. `is_known` says that literals are read from their text.
pub fn assigned(value: &Value, to: Target, limits: Limits, is_known: bool) -> Option<Stored> {
    let stored = by_rules(value, to, is_known)?;
    let day = match stored {
        Stored::Day(day) => Some(day),
        Stored::Moment(nanos) => Some(nanos.div_euclid(PER_DAY) as i64),
        _ => None,
    };
    let fits = match &stored {
        Stored::Float(float) => (limits.nan || !float.is_nan()) && (limits.infinite || !float.is_infinite()),
        Stored::Text(text) => limits.nul || !text.contains('\0'),
        _ => day.is_none_or(|day| (limits.days.0..=limits.days.1).contains(&day)),
    };
    let in_time = match (to, &stored) {
        (Target::Instant(_), Stored::Moment(nanos)) => (limits.instants.0..=limits.instants.1).contains(nanos),
        _ => true,
    };
    (fits && in_time).then_some(stored)
}

fn by_rules(value: &Value, to: Target, is_known: bool) -> Option<Stored> {
    use Target as T;
    use Value as V;
    match (value, to) {
        (V::Null, _) => Some(Stored::Null),
        (V::Literal(text), T::Integer(..) | T::Decimal(..)) if is_known => {
            by_rules(&V::Exact((*text).into()), to, true)
        }
        (V::Literal(text), _) => by_rules(&read(text, to)?, to, is_known),
        (V::Exact(text), _) => number(&Digits::of(text)?, to),
        (V::Double(double), _) => float(*double, &format!("{double:e}"), to, false),
        (V::Real(real), _) => float((*real).into(), &format!("{real:e}"), to, true),
        (V::Text(text), _) => parsed(text, to),
        (V::Truth(truth), T::Truth) => Some(Stored::Truth(*truth)),
        (V::Truth(truth), T::Text) => Some(Stored::Text(truth.to_string())),
        (V::Truth(truth), T::Integer(..) | T::Decimal(..) | T::Real | T::Double) => {
            number(&Digits::of(if *truth { "1" } else { "0" })?, to)
        }
        (V::Day(day), T::Day) => Some(Stored::Day(*day)),
        (V::Day(day), T::Local(_) | T::Instant(_)) => Some(Stored::Moment(i128::from(*day) * PER_DAY)),
        (V::Day(day), T::Text) => Some(Stored::Text(date(*day)?)),
        (V::Clock(nanos), T::Clock(digits)) => whole(i128::from(*nanos), digits).map(|_| Stored::Clock(*nanos)),
        (V::Clock(nanos), T::Text) => Some(Stored::Text(clock(*nanos))),
        (V::Local(nanos), T::Local(digits) | T::Instant(digits)) => {
            whole(*nanos, digits).map(|_| Stored::Moment(*nanos))
        }
        (V::Local(nanos), T::Day) => (nanos.rem_euclid(PER_DAY) == 0).then(|| Stored::Day((nanos / PER_DAY) as i64)),
        (V::Local(nanos), T::Text) => {
            let day = date(nanos.div_euclid(PER_DAY) as i64)?;
            Some(Stored::Text(format!("{day} {}", clock(nanos.rem_euclid(PER_DAY) as i64))))
        }
        (V::Instant(nanos), T::Instant(digits)) => whole(*nanos, digits).map(|_| Stored::Moment(*nanos)),
        (V::Instant(nanos), T::Text) => {
            let day = date(nanos.div_euclid(PER_DAY) as i64)?;
            Some(Stored::Text(format!("{day} {}Z", clock(nanos.rem_euclid(PER_DAY) as i64))))
        }
        _ => None,
    }
}

/// A literal as DataFusion reads it.
fn read(text: &str, to: Target) -> Option<Value> {
    if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return Some(Value::Exact(text.into()));
    }
    let double: f64 = text.parse().ok()?;
    let significant = format!("{double:e}").split('e').next()?.chars().filter(char::is_ascii_digit).count();
    // More may have been written.
    let is_cut = significant >= 16 && matches!(to, Target::Integer(..) | Target::Decimal(..));
    (!is_cut).then_some(Value::Double(double))
}

fn number(digits: &Digits, to: Target) -> Option<Stored> {
    match to {
        Target::Integer(least, most) => {
            let integer = digits.as_integer()?;
            (least..=most).contains(&integer).then(|| Stored::Number(digits.clone()))
        }
        Target::Decimal(precision, scale) => {
            let fits = digits.places() <= scale && digits.whole() <= precision - scale;
            fits.then(|| Stored::Number(digits.clone()))
        }
        Target::Double => {
            let double: f64 = digits.text().parse().ok()?;
            let is_it = Digits::of(&format!("{double:e}")).as_ref() == Some(digits) || is_exactly(double, digits);
            is_it.then_some(Stored::Float(double))
        }
        Target::Real => {
            let real: f32 = digits.text().parse().ok()?;
            let is_it = Digits::of(&format!("{real:e}")).as_ref() == Some(digits) || is_exactly(real.into(), digits);
            is_it.then_some(Stored::Float(real.into()))
        }
        Target::Truth if digits.is_zero() || digits.is_one() => Some(Stored::Truth(digits.is_one())),
        Target::Text => Some(Stored::NumberText(digits.clone())),
        _ => None,
    }
}

/// Whether all the digits that a float has are those of a number.
fn is_exactly(float: f64, digits: &Digits) -> bool {
    Digits::of(&format!("{float:.400}")).as_ref() == Some(digits)
}

fn float(double: f64, shortest: &str, to: Target, is_real: bool) -> Option<Stored> {
    match to {
        Target::Double => Some(Stored::Float(double)),
        Target::Real => {
            let real = double as f32;
            let is_lost = double.is_finite() && (real.is_infinite() || (real == 0.0 && double != 0.0));
            (!is_lost || is_real).then_some(Stored::Float(real.into()))
        }
        Target::Text => Some(if is_real { Stored::RealText(double as f32) } else { Stored::FloatText(double) }),
        Target::Decimal(precision, scale) => {
            let digits = Digits::of(shortest)?;
            if digits.whole() > 60 {
                return None;
            }
            let rounded = digits.rounded(scale);
            let fits = rounded.whole() <= precision - scale && (digits.is_zero() || !rounded.is_zero());
            fits.then_some(Stored::Number(rounded))
        }
        Target::Integer(..) | Target::Truth => number(&Digits::of(shortest)?, to),
        _ => None,
    }
}

fn parsed(text: &str, to: Target) -> Option<Stored> {
    match to {
        Target::Text => Some(Stored::Text(text.into())),
        Target::Integer(..) | Target::Decimal(..) => number(&Digits::of(text)?, to),
        Target::Double | Target::Real => {
            let is_zero = Digits::of(text)?.is_zero();
            let float = match to {
                Target::Double => text.parse::<f64>().ok()?,
                _ => text.parse::<f32>().ok()?.into(),
            };
            (float.is_finite() && (is_zero || float != 0.0)).then_some(Stored::Float(float))
        }
        Target::Truth => match text.to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(Stored::Truth(true)),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(Stored::Truth(false)),
            _ => None,
        },
        Target::Clock(digits) => {
            let nanos = time_of(text)?;
            whole(nanos.into(), digits).map(|_| Stored::Clock(nanos))
        }
        Target::Day | Target::Local(_) | Target::Instant(_) => {
            let (day, rest) = (text.get(..10)?, text.get(10..)?);
            let day = day_of(day)?;
            if rest.is_empty() {
                return Some(if to == Target::Day {
                    Stored::Day(day)
                } else {
                    Stored::Moment(i128::from(day) * PER_DAY)
                });
            }
            let rest = rest.strip_prefix([' ', 'T'])?;
            let (time, offset) = match (rest.strip_suffix('Z'), rest.strip_suffix("+02:00")) {
                (Some(time), _) => (time, Some(0)),
                (_, Some(time)) => (time, Some(7_200)),
                _ => (rest, None),
            };
            let nanos = time_of(time)?;
            match (to, offset) {
                (Target::Instant(_), _) | (_, None) => {}
                _ => return None,
            }
            let moment =
                i128::from(day) * PER_DAY + i128::from(nanos) - i128::from(offset.unwrap_or(0)) * 1_000_000_000;
            match to {
                Target::Day => (nanos == 0).then_some(Stored::Day(day)),
                Target::Local(digits) | Target::Instant(digits) => {
                    whole(moment, digits).map(|_| Stored::Moment(moment))
                }
                _ => None,
            }
        }
    }
}

/// Whether a time has no more digits of a second.
fn whole(nanos: i128, digits: u32) -> Option<()> {
    (nanos % 10_i128.pow(9 - digits) == 0).then_some(())
}

fn two(text: &str) -> Option<i64> {
    (text.len() == 2 && text.chars().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok())?
}

fn time_of(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let hours = two(parts.next()?)?;
    let minutes = two(parts.next()?)?;
    let seconds = parts.next().map_or(Some(0), two)?;
    let is_time = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    let is_fraction = (1..=9).contains(&fraction.len()) && fraction.chars().all(|digit| digit.is_ascii_digit());
    let nanos: i64 = if is_fraction { format!("{fraction:0<9}").parse().ok()? } else { return None };
    is_time.then_some((hours * 3_600 + minutes * 60 + seconds) * 1_000_000_000 + nanos)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970, by counting.
pub fn day_of(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || !year.chars().all(|digit| digit.is_ascii_digit()) || parts.next().is_some() {
        return None;
    }
    let (year, month, day) = (year.parse::<i64>().ok()?, two(month)?, two(day)?);
    if !(1..=12).contains(&month) || day < 1 || day > month_length(year, month) {
        return None;
    }
    let years: i64 = match year >= 1970 {
        true => (1970..year).map(|year| 365 + i64::from(is_leap(year))).sum(),
        false => -(year..1970).map(|year| 365 + i64::from(is_leap(year))).sum::<i64>(),
    };
    Some(years + (1..month).map(|month| month_length(year, month)).sum::<i64>() + day - 1)
}

/// A day of the years 0000 to 9999.
pub fn date(mut day: i64) -> Option<String> {
    let mut year = 1970;
    while day < 0 {
        year -= 1;
        day += 365 + i64::from(is_leap(year));
    }
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while day >= month_length(year, month) {
        day -= month_length(year, month);
        month += 1;
    }
    (0..=9999).contains(&year).then(|| format!("{year:04}-{month:02}-{:02}", day + 1))
}

pub fn clock(nanos: i64) -> String {
    let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    format!("{:02}:{:02}:{:02}.{nanos:09}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
