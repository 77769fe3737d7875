//! Assigns values to a column of another type. A value is stored unchanged or refused, with three exceptions: a float
//! is rounded for a decimal column, a double for a real column, and nanoseconds are truncated if the user says so.

mod digits;
mod nested;
mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, make_array};
use arrow::datatypes::DataType::{self, *};
use arrow::error::ArrowError;

use self::digits::{floats_of_digits, nearest, rounded, rounded_decimal};
use self::nested::Nested;
use self::parse::parsed;
use super::lossless_cast::{misfit, plain, recode};
use super::text::digits_of;
use super::{LosslessCast, json, to_text, truncate_nanoseconds, without_nanoseconds};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;

/// A planned assignment of values of one Arrow type to a column of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Assign {
    from: DataType,
    to: DataType,
    nanoseconds: Nanoseconds,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Rule {
    /// Each value is converted unchanged, or is an error.
    LosslessCast(LosslessCast),
    /// Nanoseconds are truncated first.
    Cut(LosslessCast),
    /// The shortest digits of a float as a decimal, rounded half away from zero.
    Round,
    /// A decimal rounded half away from zero.
    RoundDecimal(LosslessCast),
    /// The real nearest to a double.
    Nearest,
    /// The float whose shortest digits equal the decimal.
    Digits(LosslessCast),
    /// A text is parsed.
    Parse,
    Print,
    /// A timestamp without a zone is in UTC.
    Utc(LosslessCast),
    /// A boolean as the numbers 0 and 1, or back.
    Truth(LosslessCast, LosslessCast),
    /// Structs by the names of their fields. A missing field is NULL.
    Nested(Nested),
}

/// The effect of an assignment on values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assigned {
    /// The column can store every value of the source.
    Exact,
    /// A value that the column cannot store is an error.
    Checked,
    /// The nearest value that the column can store; an error if a nonzero value would become 0.
    Rounded,
    /// Nanoseconds are truncated.
    Cut,
    /// The statement contains a cast, which is evaluated as DataFusion does.
    ByStatement,
}

impl Assigned {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Checked => "checked",
            Self::Rounded => "rounded",
            Self::Cut => "nanoseconds truncated",
            Self::ByStatement => "cast by the statement",
        }
    }
}

impl Assign {
    /// Plans the assignment of `from` to a column of `to`.
    ///
    /// # Errors
    /// What to write in the query if the assignment is refused.
    pub(crate) fn try_new(
        from: &DataType,
        to: &DataType,
        nanoseconds: Nanoseconds,
    ) -> std::result::Result<Self, Cow<'static, str>> {
        let rule = match Nested::try_new(from, to, nanoseconds) {
            Some(nested) => Rule::Nested(nested?),
            None => Self::rule(from, to, nanoseconds)?,
        };
        Ok(Self { from: from.clone(), to: to.clone(), nanoseconds, rule })
    }

    /// The same for the result of a product or a quotient, which has more digits than its operands: a decimal is
    /// rounded, as PostgreSQL and MySQL do.
    pub(crate) fn of_computed(
        from: &DataType,
        to: &DataType,
        nanoseconds: Nanoseconds,
    ) -> std::result::Result<Self, Cow<'static, str>> {
        let assign = Self::try_new(from, to, nanoseconds)?;
        let rounds = plain(from).is_decimal() && plain(to).is_decimal() && !widens(plain(from), plain(to));
        match LosslessCast::strict(from, to).filter(|_| rounds) {
            Some(cast) => Ok(Self { rule: Rule::RoundDecimal(cast), ..assign }),
            None => Ok(assign),
        }
    }

    fn rule(from: &DataType, to: &DataType, nanoseconds: Nanoseconds) -> std::result::Result<Rule, &'static str> {
        let (source, target) = (plain(from), plain(to));
        let is_text = |t: &DataType| matches!(t, Utf8 | LargeUtf8 | Utf8View);
        let is_binary = |t: &DataType| matches!(t, Binary | LargeBinary | BinaryView | FixedSizeBinary(_));
        if source.is_floating() && target.is_decimal() {
            return Ok(Rule::Round);
        }
        if matches!((source, target), (Float64, Float32) | (Float64 | Float32, Float16)) {
            return Ok(Rule::Nearest);
        }
        if nanoseconds == Nanoseconds::Truncate
            && source != target
            && let Some(micros) = without_nanoseconds(source)
            && let Some(conform) = LosslessCast::try_new(&micros, to)
        {
            return Ok(Rule::Cut(conform));
        }
        if let Some(conform) = LosslessCast::try_new(from, to) {
            return Ok(if source.is_decimal() && target.is_floating() {
                Rule::Digits(conform)
            } else {
                Rule::LosslessCast(conform)
            });
        }
        let checked = || LosslessCast::checked(from, to).map(Rule::LosslessCast);
        match (source, target) {
            (text, _) if is_text(text) && has_text(target) => Ok(Rule::Parse),
            // The bytes of the text, in UTF-8.
            (text, bytes) if is_text(text) && is_binary(bytes) => checked().ok_or("use decode(x, 'hex')"),
            (source, text) if is_text(text) && !is_binary(source) => match source.is_nested() {
                true if json::json_type(source).is_none() => Err("select its fields separately"),
                _ => Ok(Rule::Print),
            },
            (bytes, text) if is_text(text) && is_binary(bytes) => checked().ok_or("use encode(x, 'hex')"),
            (Boolean, number) if number.is_numeric() => LosslessCast::checked(from, &Int8)
                .zip(LosslessCast::try_new(&Int8, to))
                .map(|(bit, number)| Rule::Truth(bit, number))
                .ok_or("use CASE WHEN x THEN 1 ELSE 0 END"),
            (number, Boolean) if number.is_numeric() => LosslessCast::try_new(from, &Int8)
                .zip(LosslessCast::checked(&Int8, to))
                .map(|(bit, truth)| Rule::Truth(bit, truth))
                .ok_or("use x <> 0"),
            (Date32 | Date64, Timestamp(_, None)) | (Timestamp(_, None), Date32 | Date64) => {
                checked().ok_or("use CAST(x AS DATE)")
            }
            (Date32 | Date64 | Timestamp(_, None), Timestamp(unit, Some(_))) => {
                let local = Timestamp(*unit, None);
                let cut = without_nanoseconds(source).filter(|_| nanoseconds == Nanoseconds::Truncate);
                let from = cut.as_ref().unwrap_or(from);
                let to_local = LosslessCast::try_new(from, &local).or_else(|| LosslessCast::checked(from, &local));
                to_local.map(Rule::Utc).ok_or("use CAST(x AS TIMESTAMP)")
            }
            (Timestamp(_, Some(_)), Timestamp(_, None)) => {
                Err("the column has no time zone: use to_local_time(x), or to_local_time(x AT TIME ZONE '…')")
            }
            (Timestamp(_, _), Date32 | Date64) => {
                Err("the column has no time zone: use CAST(to_local_time(x) AS DATE)")
            }
            (Timestamp(_, _), Time32(_) | Time64(_)) => Err("the value has a date: use CAST(x AS TIME)"),
            (number, Timestamp(_, _)) if number.is_numeric() => {
                Err("the unit of the number is not specified: use to_timestamp_seconds(x), to_timestamp_millis(x), …, \
                 inside to_local_time(…) if the column has no time zone")
            }
            (number, Date32 | Date64) if number.is_numeric() => {
                Err("the unit of the number is not specified: use DATE '1970-01-01' + x * INTERVAL '1 day'")
            }
            (Timestamp(_, _), number) if number.is_numeric() => {
                Err("the unit of the number is not specified: use to_unixtime(x), or date_part('epoch', x)")
            }
            (Date32 | Date64, number) if number.is_numeric() => {
                Err("the unit of the number is not specified: use date_part('epoch', x) / 86400")
            }
            (Duration(_), Interval(_)) => checked().ok_or("use CAST(x AS INTERVAL)"),
            (text, nested) if is_text(text) && nested.is_nested() => {
                Err("write a list as [1, 2] and a struct as {'a': 1}")
            }
            (source, target) if source.is_nested() && target.is_nested() => {
                checked().ok_or("cast the fields of the value to the types of the column's fields")
            }
            _ => Err("use a function that converts the value"),
        }
    }

    /// The column's type.
    pub(crate) fn to(&self) -> &DataType {
        &self.to
    }

    /// What it was planned with: the types, and whether it is of a product or a quotient.
    pub(crate) fn parts(&self) -> (&DataType, &DataType, Nanoseconds, bool) {
        (&self.from, &self.to, self.nanoseconds, matches!(self.rule, Rule::RoundDecimal(_)))
    }

    /// The effect on values.
    pub(crate) fn assigned(&self) -> Assigned {
        match &self.rule {
            Rule::Cut(_) => Assigned::Cut,
            Rule::Round | Rule::RoundDecimal(_) | Rule::Nearest => Assigned::Rounded,
            Rule::LosslessCast(conform) if conform.is_exact() => Assigned::Exact,
            Rule::LosslessCast(_) if widens(plain(&self.from), plain(&self.to)) => Assigned::Exact,
            Rule::Utc(_)
                if self.nanoseconds == Nanoseconds::Truncate && without_nanoseconds(plain(&self.from)).is_some() =>
            {
                Assigned::Cut
            }
            Rule::Utc(conform) if !conform.is_exact() => Assigned::Checked,
            Rule::Print | Rule::Utc(_) => Assigned::Exact,
            Rule::Truth(..) if self.from == Boolean => Assigned::Exact,
            Rule::Nested(nested) => nested.assigned(),
            Rule::LosslessCast(_) | Rule::Digits(_) | Rule::Parse | Rule::Truth(..) => Assigned::Checked,
        }
    }

    /// Whether it is more than a conversion that checks that each value is unchanged.
    pub(crate) fn is_own_rule(&self) -> bool {
        match &self.rule {
            Rule::Nested(nested) => nested.is_own_rule(),
            rule => matches!(rule, Rule::Cut(_) | Rule::Round | Rule::Nearest | Rule::Digits(_) | Rule::Truth(..)),
        }
    }

    /// Converts values for the column.
    ///
    /// # Errors
    /// `Encode`, with the row in this array and its value, if the column cannot store it.
    pub(crate) fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let array = match &self.rule {
            Rule::LosslessCast(conform) => return conform.apply(array),
            _ if array.data_type() == plain(array.data_type()) => Arc::clone(array),
            _ => recode(array, plain(array.data_type()))?,
        };
        let to = plain(&self.to);
        let assigned = match &self.rule {
            Rule::LosslessCast(conform) => conform.apply(&array)?,
            Rule::Cut(conform) => conform.apply(&truncate_nanoseconds(&array))?,
            Rule::Round => rounded(&array, to)?,
            Rule::RoundDecimal(cast) => rounded_decimal(&array, cast)?,
            Rule::Nearest => nearest(&array, to)?,
            // Powers of ten up to this one are exact floats, so the quotient is the nearest float.
            Rule::Digits(conform) if digits_of(array.data_type()).1 <= 22 => match conform.apply(&array) {
                Ok(floats) => floats,
                Err(_) => floats_of_digits(&array, to)?,
            },
            Rule::Digits(_) => floats_of_digits(&array, to)?,
            Rule::Parse => parsed(recode(&array, &Utf8View)?.as_string_view(), to, self.nanoseconds)?,
            Rule::Print if array.data_type().is_nested() => Arc::new(json::encode(&array)?),
            Rule::Print => Arc::new(to_text(&array)?),
            Rule::Truth(first, then) => {
                let made = first.apply(&array).and_then(|bits| then.apply(&bits));
                made.map_err(|error| match error.row() {
                    Some(row) => misfit(&array, row, "is neither 0 nor 1: use x <> 0"),
                    None => error,
                })?
            }
            Rule::Utc(conform) if self.nanoseconds == Nanoseconds::Truncate => {
                as_type(conform.apply(&truncate_nanoseconds(&array))?.to_data(), to)?
            }
            Rule::Utc(conform) => as_type(conform.apply(&array)?.to_data(), to)?,
            Rule::Nested(nested) => nested.apply(&array, to)?,
        };
        recode(&assigned, &self.to)
    }
}

/// Whether every value of one type is also a value of another.
pub(crate) fn widens(from: &DataType, to: &DataType) -> bool {
    let bits = |of: &DataType| of.primitive_width().unwrap_or_default();
    if from == to {
        return true;
    }
    match (from, to) {
        (from, to) if from.is_integer() && to.is_integer() => {
            match (from.is_signed_integer(), to.is_signed_integer()) {
                (true, true) | (false, false) => bits(from) <= bits(to),
                (false, true) => bits(from) < bits(to),
                (true, false) => false,
            }
        }
        (from, to) if to.is_decimal() => match (whole_and_places(from), whole_and_places(to)) {
            (Some((whole, places)), Some((room, scale))) => whole <= room && places <= scale,
            _ => false,
        },
        (Int8 | Int16 | UInt8 | UInt16 | Float16, Float32) => true,
        (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 | Float16 | Float32, Float64) => true,
        _ => false,
    }
}

/// The number of digits before and after the decimal point of an exact number type.
pub fn whole_and_places(data_type: &DataType) -> Option<(i16, i16)> {
    Some(match data_type {
        decimal if decimal.is_decimal() => {
            let (precision, scale) = digits_of(decimal);
            (i16::from(precision) - i16::from(scale), scale.into())
        }
        Int8 | UInt8 => (3, 0),
        Int16 | UInt16 => (5, 0),
        Int32 | UInt32 => (10, 0),
        Int64 => (19, 0),
        UInt64 => (20, 0),
        _ => return None,
    })
}

/// Whether values of a type can be read from a text.
fn has_text(to: &DataType) -> bool {
    to.is_numeric() || matches!(to, Boolean) || (to.is_temporal() && !matches!(to, Duration(_)))
}

/// Reinterprets values as another type of the same width.
fn as_type(data: ArrayData, to: &DataType) -> Result<ArrayRef> {
    let made = data.into_builder().data_type(to.clone()).build();
    Ok(make_array(made.map_err(|error: ArrowError| Error::internal(error.to_string()))?))
}

/// Converts each value that is not NULL. The error says why a value cannot be converted.
fn each<V, T>(
    array: &dyn Array,
    values: impl Iterator<Item = Option<V>>,
    make: impl Fn(V) -> std::result::Result<T, String>,
) -> Result<Vec<Option<T>>> {
    let made = values.enumerate().map(|(row, value)| match value {
        None => Ok(None),
        Some(value) => make(value).map(Some).map_err(|why| misfit(array, row, &why)),
    });
    made.collect()
}
