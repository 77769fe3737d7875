//! Assigns values to a column of another type. A value is stored unchanged or not at all, but for three roundings that
//! have a name: a float in a decimal column, a double in a real column, and nanoseconds where the user says so.

mod digits;
mod parse;

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, make_array};
use arrow::datatypes::DataType::{self, *};
use arrow::error::ArrowError;

use self::digits::{digits_of, floats_of_digits, nearest, rounded, rounded_decimal};
use self::parse::parsed;
use super::conform::{misfit, plain, recode};
use super::{Conform, json, to_text, truncate_nanoseconds, without_nanoseconds};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;

/// A planned way for values of one Arrow type into a column of another.
#[derive(Debug, Clone)]
pub(crate) struct Assign {
    from: DataType,
    to: DataType,
    nanoseconds: Nanoseconds,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// Each value is the same one in the other type, or an error.
    Conform(Conform),
    /// Nanoseconds are cut off first.
    Cut(Conform),
    /// A float as the decimal that its shortest digits are, rounded half away from zero.
    Round,
    /// A decimal rounded half away from zero.
    RoundDecimal(Conform),
    /// The real that is nearest to a double.
    Nearest,
    /// The float whose shortest digits are the decimal.
    Digits(Conform),
    /// What a text says.
    Parse,
    Print,
    /// A timestamp without a zone is one of UTC.
    Utc(Conform),
    /// A truth as the numbers 0 and 1, or back.
    Truth(Conform, Conform),
}

/// What an assignment does to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assigned {
    /// Every value of the source has one in the column.
    Exact,
    /// A value that has none is an error.
    Checked,
    /// The nearest value that the column has; an error where there is none but 0.
    Rounded,
    /// Nanoseconds are cut off.
    Cut,
    /// The statement has a cast of its own, which makes of values what it will.
    ByStatement,
}

impl Assigned {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Checked => "checked",
            Self::Rounded => "rounded",
            Self::Cut => "nanoseconds cut off",
            Self::ByStatement => "cast by the statement",
        }
    }
}

impl Assign {
    /// The way from `from` to a column of `to`.
    ///
    /// # Errors
    /// What to write in the query, where there is none.
    pub(crate) fn try_new(
        from: &DataType,
        to: &DataType,
        nanoseconds: Nanoseconds,
    ) -> std::result::Result<Self, &'static str> {
        let way = Self::way(from, to, nanoseconds)?;
        Ok(Self { from: from.clone(), to: to.clone(), nanoseconds, way })
    }

    /// The same for what a statement computes by a product or a quotient, which has more digits than its operands: a decimal
    /// is rounded, as PostgreSQL and MySQL do.
    pub(crate) fn of_computed(
        from: &DataType,
        to: &DataType,
        nanoseconds: Nanoseconds,
    ) -> std::result::Result<Self, &'static str> {
        let assign = Self::try_new(from, to, nanoseconds)?;
        let rounds = plain(from).is_decimal() && plain(to).is_decimal() && !widens(plain(from), plain(to));
        match Conform::strict(from, to).filter(|_| rounds) {
            Some(cast) => Ok(Self { way: Way::RoundDecimal(cast), ..assign }),
            None => Ok(assign),
        }
    }

    fn way(from: &DataType, to: &DataType, nanoseconds: Nanoseconds) -> std::result::Result<Way, &'static str> {
        let (source, target) = (plain(from), plain(to));
        let is_text = |t: &DataType| matches!(t, Utf8 | LargeUtf8 | Utf8View);
        let is_binary = |t: &DataType| matches!(t, Binary | LargeBinary | BinaryView | FixedSizeBinary(_));
        if source.is_floating() && target.is_decimal() {
            return Ok(Way::Round);
        }
        if matches!((source, target), (Float64, Float32) | (Float64 | Float32, Float16)) {
            return Ok(Way::Nearest);
        }
        if nanoseconds == Nanoseconds::Truncate
            && source != target
            && let Some(micros) = without_nanoseconds(source)
            && let Some(conform) = Conform::try_new(&micros, to)
        {
            return Ok(Way::Cut(conform));
        }
        if let Some(conform) = Conform::try_new(from, to) {
            return Ok(if source.is_decimal() && target.is_floating() {
                Way::Digits(conform)
            } else {
                Way::Conform(conform)
            });
        }
        let checked = || Conform::checked(from, to).map(Way::Conform);
        match (source, target) {
            (text, _) if is_text(text) && has_text(target) => Ok(Way::Parse),
            // The bytes of the text, in UTF-8.
            (text, bytes) if is_text(text) && is_binary(bytes) => checked().ok_or("use decode(x, 'hex')"),
            (source, text) if is_text(text) && !is_binary(source) => match source.is_nested() {
                true if json::json_type(source).is_none() => Err("write out its fields"),
                _ => Ok(Way::Print),
            },
            (bytes, text) if is_text(text) && is_binary(bytes) => checked().ok_or("use encode(x, 'hex')"),
            (Boolean, number) if number.is_numeric() => Conform::checked(from, &Int8)
                .zip(Conform::try_new(&Int8, to))
                .map(|(bit, number)| Way::Truth(bit, number))
                .ok_or("use CASE WHEN x THEN 1 ELSE 0 END"),
            (number, Boolean) if number.is_numeric() => Conform::try_new(from, &Int8)
                .zip(Conform::checked(&Int8, to))
                .map(|(bit, truth)| Way::Truth(bit, truth))
                .ok_or("use x <> 0"),
            (Date32 | Date64, Timestamp(_, None)) | (Timestamp(_, None), Date32 | Date64) => {
                checked().ok_or("use CAST(x AS DATE)")
            }
            (Date32 | Date64 | Timestamp(_, None), Timestamp(unit, Some(_))) => {
                let local = Timestamp(*unit, None);
                let cut = without_nanoseconds(source).filter(|_| nanoseconds == Nanoseconds::Truncate);
                let from = cut.as_ref().unwrap_or(from);
                let to_local = Conform::try_new(from, &local).or_else(|| Conform::checked(from, &local));
                to_local.map(Way::Utc).ok_or("use CAST(x AS TIMESTAMP)")
            }
            (Timestamp(_, Some(_)), Timestamp(_, None)) => {
                Err("the column has no time zone: use to_local_time(x), or to_local_time(x AT TIME ZONE '…')")
            }
            (Timestamp(_, _), Date32 | Date64) => {
                Err("the column has no time zone: use CAST(to_local_time(x) AS DATE)")
            }
            (Timestamp(_, _), Time32(_) | Time64(_)) => Err("it has a date: use CAST(x AS TIME)"),
            (number, Timestamp(_, _)) if number.is_numeric() => Err(
                "say what the number counts: use to_timestamp_seconds(x), to_timestamp_millis(x), …, and to_local_time(…) around it \
                     where the column has no time zone",
            ),
            (number, Date32 | Date64) if number.is_numeric() => {
                Err("say what the number counts: use DATE '1970-01-01' + x * INTERVAL '1 day'")
            }
            (Timestamp(_, _), number) if number.is_numeric() => {
                Err("say what the number is to count: use to_unixtime(x), or date_part('epoch', x)")
            }
            (Date32 | Date64, number) if number.is_numeric() => {
                Err("say what the number is to count: use date_part('epoch', x) / 86400")
            }
            (Duration(_), Interval(_)) => checked().ok_or("use CAST(x AS INTERVAL)"),
            (text, nested) if is_text(text) && nested.is_nested() => {
                Err("write a list as [1, 2], a struct as {'a': 1}")
            }
            (source, target) if source.is_nested() && target.is_nested() => {
                checked().ok_or("write its fields in the column's types")
            }
            _ => Err("use a function that makes one of the other"),
        }
    }

    /// The type of the values.
    pub(crate) fn from(&self) -> &DataType {
        &self.from
    }

    /// The column's type.
    pub(crate) fn to(&self) -> &DataType {
        &self.to
    }

    /// What it does to values.
    pub(crate) fn assigned(&self) -> Assigned {
        match &self.way {
            Way::Cut(_) => Assigned::Cut,
            Way::Round | Way::RoundDecimal(_) | Way::Nearest => Assigned::Rounded,
            Way::Conform(conform) if conform.is_exact() => Assigned::Exact,
            Way::Conform(_) if widens(plain(&self.from), plain(&self.to)) => Assigned::Exact,
            Way::Utc(_)
                if self.nanoseconds == Nanoseconds::Truncate && without_nanoseconds(plain(&self.from)).is_some() =>
            {
                Assigned::Cut
            }
            Way::Utc(conform) if !conform.is_exact() => Assigned::Checked,
            Way::Print | Way::Utc(_) => Assigned::Exact,
            Way::Truth(..) if self.from == Boolean => Assigned::Exact,
            Way::Conform(_) | Way::Digits(_) | Way::Parse | Way::Truth(..) => Assigned::Checked,
        }
    }

    /// Whether it is more than bringing each value to another type and looking whether it is still the same.
    pub(crate) fn is_own_rule(&self) -> bool {
        matches!(self.way, Way::Cut(_) | Way::Round | Way::Nearest | Way::Digits(_) | Way::Truth(..))
    }

    /// The values as the column has them.
    ///
    /// # Errors
    /// `Encode`, with the row in this array and its value, where the column cannot have it.
    pub(crate) fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let array = match &self.way {
            Way::Conform(conform) => return conform.apply(array),
            _ if array.data_type() == plain(array.data_type()) => Arc::clone(array),
            _ => recode(array, plain(array.data_type()))?,
        };
        let to = plain(&self.to);
        let assigned = match &self.way {
            Way::Conform(conform) => conform.apply(&array)?,
            Way::Cut(conform) => conform.apply(&truncate_nanoseconds(&array))?,
            Way::Round => rounded(&array, to)?,
            Way::RoundDecimal(cast) => rounded_decimal(&array, cast)?,
            Way::Nearest => nearest(&array, to)?,
            // Powers of ten up to this one are floats, so that the quotient is the nearest.
            Way::Digits(conform) if digits_of(array.data_type()).1 <= 22 => match conform.apply(&array) {
                Ok(floats) => floats,
                Err(_) => floats_of_digits(&array, to)?,
            },
            Way::Digits(_) => floats_of_digits(&array, to)?,
            Way::Parse => parsed(recode(&array, &Utf8View)?.as_string_view(), to, self.nanoseconds)?,
            Way::Print if array.data_type().is_nested() => Arc::new(json::encode(&array)?),
            Way::Print => Arc::new(to_text(&array)?),
            Way::Truth(first, then) => {
                let made = first.apply(&array).and_then(|bits| then.apply(&bits));
                made.map_err(|error| match error.row() {
                    Some(row) => misfit(&array, row, "is neither 0 nor 1: use x <> 0"),
                    None => error,
                })?
            }
            Way::Utc(conform) if self.nanoseconds == Nanoseconds::Truncate => {
                as_type(conform.apply(&truncate_nanoseconds(&array))?.to_data(), to)?
            }
            Way::Utc(conform) => as_type(conform.apply(&array)?.to_data(), to)?,
        };
        recode(&assigned, &self.to)
    }
}

/// Whether every value of a type has one in another.
pub(crate) fn widens(from: &DataType, to: &DataType) -> bool {
    let bits = |of: &DataType| of.primitive_width().unwrap_or_default();
    let digits = |of: &DataType| match of {
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => Some((i16::from(*precision) - i16::from(*scale), i16::from(*scale))),
        Int8 | UInt8 => Some((3, 0)),
        Int16 | UInt16 => Some((5, 0)),
        Int32 | UInt32 => Some((10, 0)),
        Int64 => Some((19, 0)),
        UInt64 => Some((20, 0)),
        _ => None,
    };
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
        (from, to) if to.is_decimal() => match (digits(from), digits(to)) {
            (Some((whole, places)), Some((room, scale))) => whole <= room && places <= scale,
            _ => false,
        },
        (Int8 | Int16 | UInt8 | UInt16 | Float16, Float32) => true,
        (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 | Float16 | Float32, Float64) => true,
        _ => false,
    }
}

/// Whether values of a type can be read from a text.
fn has_text(to: &DataType) -> bool {
    to.is_numeric() || matches!(to, Boolean) || (to.is_temporal() && !matches!(to, Duration(_)))
}

/// Values of one width as those of another type of that width.
fn as_type(data: ArrayData, to: &DataType) -> Result<ArrayRef> {
    let made = data.into_builder().data_type(to.clone()).build();
    Ok(make_array(made.map_err(|error: ArrowError| Error::internal(error.to_string()))?))
}

/// Makes something of each value that is not NULL; the error says why of one it cannot.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{
        BooleanArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray, StringArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Float32Type, IntervalUnit, TimeUnit, TimestampNanosecondType};
    use arrow::util::display::{ArrayFormatter, FormatOptions};

    use super::*;

    fn assign(array: impl Array + 'static, to: &DataType) -> std::result::Result<String, String> {
        let array: ArrayRef = Arc::new(array);
        let assign = Assign::try_new(array.data_type(), to, Nanoseconds::Error)?;
        let assigned = assign.apply(&array).map_err(|error| error.to_string())?;
        assert_eq!(assigned.data_type(), to);
        Ok(ArrayFormatter::try_new(&assigned, &FormatOptions::default()).unwrap().value(0).to_string())
    }

    fn text(text: &str, to: &DataType) -> std::result::Result<String, String> {
        assign(StringArray::from(vec![text]), to)
    }

    fn double(value: f64, to: &DataType) -> std::result::Result<String, String> {
        assign(Float64Array::from(vec![value]), to)
    }

    #[test]
    fn a_float_is_rounded_by_its_shortest_digits() {
        let money = Decimal128(10, 2);
        for (value, expected) in [
            (1.005, "1.01"),
            (1.015, "1.02"),
            (-1.005, "-1.01"),
            (19.99, "19.99"),
            (0.0, "0.00"),
            (-0.0, "0.00"),
            (2.675, "2.68"),
            (99_999_999.994, "99999999.99"),
            (0.005, "0.01"),
        ] {
            assert_eq!(double(value, &money).as_deref(), Ok(expected), "{value}");
        }
        for value in [1e-5, 0.004, 99_999_999.995, 1e300, f64::NAN, f64::INFINITY, 5e-324] {
            assert!(double(value, &money).is_err(), "{value}");
        }
        assert_eq!(double(1e22, &Decimal128(38, 0)).as_deref(), Ok("10000000000000000000000"));
        assert_eq!(double(1e75, &Decimal256(76, 0)).map(|text| text.len()), Ok(76));
        assert_eq!(double(1250.0, &Decimal128(5, -2)).as_deref(), Ok("1300"));
    }

    #[test]
    fn a_double_becomes_the_nearest_real() {
        assert_eq!(double(0.1, &Float32).as_deref(), Ok("0.1"));
        assert!(double(1e300, &Float32).is_err());
        assert!(double(1e-60, &Float32).is_err());
        assert_eq!(double(f64::INFINITY, &Float32).as_deref(), Ok("inf"));
    }

    #[test]
    fn a_number_is_never_cut() {
        assert_eq!(double(2.0, &Int32).as_deref(), Ok("2"));
        let error = double(1.7, &Int32).unwrap_err();
        assert!(error.contains("value 1.7 does not fit Int32") && error.contains("round(x)"), "{error}");
        assert!(assign(Int64Array::from(vec![16_777_217]), &Float32).is_err());
        assert!(assign(Int64Array::from(vec![5]), &Boolean).is_err());
        assert_eq!(assign(BooleanArray::from(vec![true]), &Decimal128(10, 2)).as_deref(), Ok("1.00"));
        let real = PrimitiveArray::<Float32Type>::from(vec![1.005]);
        assert_eq!(assign(real, &Decimal128(38, 10)).as_deref(), Ok("1.0050000000"));
        assert_eq!(assign(Int64Array::from(vec![1]), &Boolean).as_deref(), Ok("true"));
        assert!(assign(Int64Array::from(vec![1_577_836_800]), &Timestamp(TimeUnit::Microsecond, None)).is_err());
        let tenth = Decimal128Array::from(vec![10_i128.pow(29)]).with_precision_and_scale(38, 30).unwrap();
        assert_eq!(assign(tenth, &Float64).as_deref(), Ok("0.1"));
        let long = Decimal128Array::from(vec![12_345_678_901_234_567_890_123]).with_precision_and_scale(38, 3).unwrap();
        assert!(assign(long, &Float64).is_err());
    }

    #[test]
    fn a_day_is_a_whole_one() {
        assert_eq!(assign(TimestampMicrosecondArray::from(vec![86_400_000_000]), &Date32).as_deref(), Ok("1970-01-02"));
        assert!(assign(TimestampMicrosecondArray::from(vec![86_400_000_001]), &Date32).is_err());
        let zoned = TimestampMicrosecondArray::from(vec![0]).with_timezone("+00:00");
        assert!(assign(zoned, &Timestamp(TimeUnit::Microsecond, None)).is_err());
    }

    #[test]
    fn texts_have_one_grammar() {
        let micros = Timestamp(TimeUnit::Microsecond, None);
        let zoned = Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let time = Time64(TimeUnit::Microsecond);
        for (from, to, expected) in [
            ("00701", &Int32, "701"),
            ("+7", &Int8, "7"),
            ("2.0", &Int32, "2"),
            ("1e3", &Int32, "1000"),
            ("18446744073709551615", &UInt64, "18446744073709551615"),
            ("1.50", &Decimal128(10, 2), "1.50"),
            ("1.500", &Decimal128(10, 2), "1.50"),
            ("1e300", &Float64, "1e300"),
            ("-Infinity", &Float64, "-inf"),
            ("NaN", &Float32, "NaN"),
            ("0.1", &Float32, "0.1"),
            ("TRUE", &Boolean, "true"),
            ("off", &Boolean, "false"),
            ("2013-01-31", &Date32, "2013-01-31"),
            ("2013-01-31 00:00:00", &Date32, "2013-01-31"),
            ("23:59", &time, "23:59:00"),
            ("23:59:59.999999", &time, "23:59:59.999999"),
            ("2013-01-31", &micros, "2013-01-31T00:00:00"),
            ("2013-01-31T23:59:59.5", &micros, "2013-01-31T23:59:59.500"),
            ("2013-01-31 01:00:00+02", &zoned, "2013-01-30T23:00:00Z"),
            ("2013-01-31 01:00:00Z", &zoned, "2013-01-31T01:00:00Z"),
            ("2013-01-31 01:00:00", &zoned, "2013-01-31T01:00:00Z"),
            ("P1DT2H", &Interval(IntervalUnit::MonthDayNano), "1 days 2 hours"),
        ] {
            assert_eq!(text(from, to).as_deref(), Ok(expected), "'{from}' as {to}");
        }
        for (from, to) in [
            (" 12", &Int32),
            ("12 ", &Int32),
            ("", &Int32),
            ("1.7", &Int32),
            ("128", &Int8),
            ("1_000", &Int32),
            ("0x10", &Int32),
            ("1.005", &Decimal128(10, 2)),
            ("1e300", &Decimal128(38, 0)),
            ("1e400", &Float64),
            ("1e-400", &Float64),
            ("1e300", &Float32),
            ("2", &Boolean),
            (" true", &Boolean),
            ("2013-02-29", &Date32),
            ("2013-01-31 00:00:01", &Date32),
            ("20130131", &Date32),
            ("2013-1-31", &Date32),
            ("24:00", &time),
            ("23:59:59.9999999", &time),
            ("2013-01-31 23:59:60", &micros),
            ("2013-01-31 01:00:00+02", &micros),
            ("2013-01-31 01:00:00.1234567", &micros),
        ] {
            assert!(text(from, to).is_err(), "'{from}' as {to}: {:?}", text(from, to));
        }
        let nanos = Timestamp(TimeUnit::Nanosecond, None);
        assert_eq!(text("1970-01-01 00:00:00.000000001", &nanos).as_deref(), Ok("1970-01-01T00:00:00.000000001"));
    }

    #[test]
    fn nanoseconds_are_cut_where_the_user_says_so() {
        let array: ArrayRef = Arc::new(PrimitiveArray::<TimestampNanosecondType>::from(vec![1_999]));
        let micros = Timestamp(TimeUnit::Microsecond, None);
        let assign = |nanoseconds| Assign::try_new(array.data_type(), &micros, nanoseconds).unwrap().apply(&array);
        assert!(assign(Nanoseconds::Error).is_err());
        let cut = assign(Nanoseconds::Truncate).unwrap();
        assert_eq!(cut.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0), 1);
    }

    /// The table of the guide.
    fn table() -> String {
        let item = |data_type| Arc::new(arrow::datatypes::Field::new("item", data_type, true));
        let types = [
            Boolean,
            Int32,
            Int64,
            Decimal128(10, 2),
            Float32,
            Float64,
            Utf8,
            Binary,
            Date32,
            Time64(TimeUnit::Microsecond),
            Timestamp(TimeUnit::Microsecond, None),
            Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Interval(IntervalUnit::MonthDayNano),
            List(item(Int32)),
        ];
        let mut lines =
            vec![format!("| value | {} |", types.iter().map(DataType::to_string).collect::<Vec<_>>().join(" | "))];
        lines.push(format!("| --- |{}", " --- |".repeat(types.len())));
        for from in &types {
            let cell = |to| match Assign::try_new(from, to, Nanoseconds::Error) {
                Ok(assign) => assign.assigned().as_str(),
                Err(_) => "",
            };
            lines.push(
                format!("| **{from}** | {} |", types.iter().map(cell).collect::<Vec<_>>().join(" | "))
                    .replace("  ", " "),
            );
        }
        lines.join("\n") + "\n"
    }

    #[test]
    fn the_guide_has_the_table_that_the_code_makes() {
        let table = table();
        assert_eq!(include_str!("../../assignments.md"), table, "src/assignments.md is to be:\n{table}");
    }
}
