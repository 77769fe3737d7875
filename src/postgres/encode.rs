//! Arrow arrays to the fields of a COPY. What a column cannot hold unchanged is an error that names the row.

use std::collections::HashSet;
use std::ops::{Range, RangeBounds, RangeInclusive};
use std::sync::Arc;

use arrow::array::types::{ByteArrayType, ByteViewType};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericByteArray, GenericByteViewArray, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType::{self, *};
use arrow::datatypes::{
    ArrowNativeType, BinaryType, BinaryViewType, Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType,
    IntervalUnit, IntervalYearMonthType, LargeBinaryType, LargeUtf8Type, StringViewType, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, UInt32Type, Utf8Type, i256,
};
use uuid::Uuid;

use super::cells::{ByteValues, Bytes, Cells, Fixed, Lists, Nulls, Packed, Slots};
use super::decode::MAX_DIMENSIONS;
use super::network::{Network, parse_inet, parse_mac};
use super::types::{Digits, Kind, Parts, ServerType};
use super::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS, numeric};
use crate::columnar::{
    Conform, first_row_where, json, list_item, misfit, plain, recode, to_text, truncate_nanoseconds,
    without_nanoseconds,
};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;
use crate::sql::Column;

/// How one column is encoded.
#[derive(Debug)]
pub(super) struct Encoder {
    nanoseconds: Nanoseconds,
    conform: Conform,
    /// What the array is brought to first, and then sent as.
    data_type: DataType,
    server: ServerType,
    form: Form,
}

/// In which form values travel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// The server type's own.
    Binary,
    /// As texts, which the server converts.
    Text,
}

impl Encoder {
    /// The encoder from an Arrow type to a column.
    ///
    /// # Errors
    /// `Schema`, naming both types, where there is none.
    pub(super) fn try_new(from: &DataType, column: &Column, nanoseconds: Nanoseconds) -> Result<Self> {
        let server = super::catalog::server_type(column)?;
        let cut = match nanoseconds {
            Nanoseconds::Error => None,
            Nanoseconds::Truncate => without_nanoseconds(from),
        };
        let source = cut.as_ref().unwrap_or(from);
        let chosen = choose(plain(source), server)
            .and_then(|(data_type, form)| Some((Conform::try_new(source, &data_type)?, data_type, form)));
        match chosen {
            Some((conform, data_type, form)) => {
                Ok(Self { nanoseconds, conform, data_type, server: server.clone(), form })
            }
            None => Err(Error::schema(format!(
                "column \"{}\": no way from Arrow type {from} to a column of type {} (read as {}): CAST it in the \
                 query to {}",
                column.name, column.sql_type, column.data_type, column.data_type
            ))),
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Encodes an array, as far as the lengths of its fields are not known without.
    ///
    /// # Errors
    /// `Encode`, at the row whose value cannot be stored unchanged.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<Box<dyn Cells>> {
        let array = match self.nanoseconds {
            Nanoseconds::Error => self.conform.apply(array)?,
            Nanoseconds::Truncate => self.conform.apply(&truncate_nanoseconds(array))?,
        };
        debug_assert_eq!(array.data_type(), &self.data_type);
        match self.form {
            Form::Binary => cells(&array, &self.server),
            Form::Text => texts(&array, (self.server.kind == Kind::Char).then_some(Limit::Bytes(1)), b""),
        }
    }
}

/// The Arrow type to bring a plain type to first, and the form to send it in; `None` where there is no way.
fn choose(from: &DataType, server: &ServerType) -> Option<(DataType, Form)> {
    const MICROS: TimeUnit = TimeUnit::Microsecond;
    let is_text = matches!(from, Utf8 | LargeUtf8 | Utf8View);
    let binary = |data_type: DataType| Some((data_type, Form::Binary));
    match (&server.kind, from) {
        (_, Null) => binary(Null),
        (Kind::Bool, Boolean) => binary(Boolean),
        (Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid | Kind::Float4 | Kind::Float8, t) if t.is_numeric() => {
            binary(server.arrow_type())
        }
        (Kind::Numeric(keeps), t) if t.is_numeric() => match *keeps {
            _ if matches!(t, Float16) => binary(Float32),
            None => binary(t.clone()),
            Some(_) if t.is_floating() => binary(t.clone()),
            Some(keeps) => match (server.arrow_type(), always_fits(t, keeps)) {
                (_, true) => binary(t.clone()),
                (decimal, false) if decimal.is_decimal() && keeps.scale >= 0 => binary(decimal),
                _ => binary(t.clone()),
            },
        },
        (Kind::Numeric(_), _) if is_text => binary(from.clone()),
        (Kind::Text(_) | Kind::Name | Kind::Json | Kind::Jsonb | Kind::Enum, _) if is_text => binary(from.clone()),
        (Kind::Uuid | Kind::Inet | Kind::Cidr | Kind::MacAddr | Kind::MacAddr8 | Kind::TimeTz(_), _) if is_text => {
            binary(Utf8View)
        }
        (Kind::Uuid, FixedSizeBinary(16)) => binary(from.clone()),
        (Kind::Bytea, Binary | LargeBinary | BinaryView | FixedSizeBinary(_)) => binary(from.clone()),
        (Kind::Date, Date32 | Date64) => binary(Date32),
        (Kind::Time(_) | Kind::TimeTz(_), Time32(_) | Time64(_)) => binary(Time64(MICROS)),
        (Kind::Timestamp(_), Timestamp(_, None)) => binary(Timestamp(MICROS, None)),
        (Kind::TimestampTz(_), Timestamp(_, Some(_))) => binary(Timestamp(MICROS, Some("+00:00".into()))),
        (Kind::Interval(_), Interval(_)) => binary(from.clone()),
        (Kind::Interval(_), Duration(_)) => binary(Duration(MICROS)),
        (Kind::Json | Kind::Jsonb, _) if from.is_nested() => {
            json::json_type(from).is_some().then(|| (from.clone(), Form::Binary))
        }
        (Kind::Hstore, Map(_, _)) => binary(server.arrow_type()),
        (Kind::Hstore | Kind::Char | Kind::Other, _) if is_text => Some((from.clone(), Form::Text)),
        (Kind::Array(item), _) => {
            let field = list_item(from)?;
            let below = list_item(field.data_type()).is_some() && !matches!(item.kind, Kind::Json | Kind::Jsonb);
            let (_, form) = choose(plain(field.data_type()), if below { server } else { item })?;
            (form == Form::Binary).then(|| (List(Arc::clone(field)), Form::Binary))
        }
        _ => None,
    }
}

/// Whether every value of a type fits a `numeric` without being looked at.
fn always_fits(data_type: &DataType, keeps: Digits) -> bool {
    let (precision, scale) = match *data_type {
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => (i16::from(precision), i16::from(scale)),
        Int8 | UInt8 => (3, 0),
        Int16 | UInt16 => (5, 0),
        Int32 | UInt32 => (10, 0),
        Int64 => (19, 0),
        UInt64 => (20, 0),
        _ => return false,
    };
    keeps.scale >= 0 && scale <= keeps.scale && precision - scale <= keeps.precision as i16 - keeps.scale
}

/// The fields of an array of the type that was chosen.
fn cells(array: &ArrayRef, server: &ServerType) -> Result<Box<dyn Cells>> {
    if array.data_type() == &Null {
        return Ok(Box::new(Nulls));
    }
    match &server.kind {
        Kind::Bool => {
            let bits = array.as_boolean();
            let values: Vec<u8> = bits.values().iter().map(u8::from).collect();
            Ok(Box::new(Fixed::new(values.into(), array.nulls(), |value: u8| [value])))
        }
        Kind::Int2 => Ok(fixed::<Int16Type, 2>(array, i16::to_be_bytes)),
        Kind::Int4 => Ok(fixed::<Int32Type, 4>(array, i32::to_be_bytes)),
        Kind::Int8 => Ok(fixed::<Int64Type, 8>(array, i64::to_be_bytes)),
        Kind::Oid => Ok(fixed::<UInt32Type, 4>(array, u32::to_be_bytes)),
        Kind::Float4 => Ok(fixed::<Float32Type, 4>(array, f32::to_be_bytes)),
        Kind::Float8 => Ok(fixed::<Float64Type, 8>(array, f64::to_be_bytes)),
        Kind::Numeric(keeps) => numerics(array, *keeps),
        Kind::Text(limit) => texts(array, limit.map(Limit::Characters), b""),
        Kind::Name => texts(array, Some(Limit::Bytes(63)), b""),
        Kind::Enum | Kind::Char | Kind::Other => texts(array, None, b""),
        Kind::Json => texts(&json_text(array)?, None, b""),
        Kind::Jsonb => texts(&json_text(array)?, None, b"\x01"),
        Kind::Bytea => bytes(array, b""),
        Kind::Date => {
            check_range::<Date32Type>(array, DATES, "is outside the years that PostgreSQL's dates have")?;
            Ok(fixed::<Date32Type, 4>(array, |days| (days.wrapping_sub(POSTGRES_EPOCH_DAYS)).to_be_bytes()))
        }
        Kind::Time(digits) => {
            times(array, *digits)?;
            Ok(fixed::<Time64MicrosecondType, 8>(array, i64::to_be_bytes))
        }
        Kind::TimeTz(digits) => times_with_zone(array, *digits),
        Kind::Timestamp(digits) | Kind::TimestampTz(digits) => {
            const WHY: &str = "is outside the years that PostgreSQL's timestamps have";
            if !are_near(array.as_primitive::<TimestampMicrosecondType>().values()) {
                check_range::<TimestampMicrosecondType>(array, TIMESTAMPS, WHY)?;
            }
            check_digits::<TimestampMicrosecondType>(array, *digits)?;
            Ok(fixed::<TimestampMicrosecondType, 8>(array, |micros| {
                micros.wrapping_sub(POSTGRES_EPOCH_MICROS).to_be_bytes()
            }))
        }
        Kind::Interval(parts) => intervals(array, *parts),
        Kind::Uuid => match array.data_type() {
            FixedSizeBinary(_) => bytes(array, b""),
            _ => packed(array, "is no UUID", |text, out| {
                out.extend_from_slice(Uuid::try_parse(text.trim()).ok()?.as_bytes());
                Some(())
            }),
        },
        Kind::Inet => packed(array, "is no IP address such as 10.1.2.3 or 10.1.2.3/8", |text, out| {
            out.extend(parse_inet(text, Network::Inet)?);
            Some(())
        }),
        Kind::Cidr => packed(array, "is no network such as 10.0.0.0/8, with zeros behind its bits", |text, out| {
            out.extend(parse_inet(text, Network::Cidr)?);
            Some(())
        }),
        Kind::MacAddr => packed(array, "is no MAC address of 6 bytes", |text, out| {
            out.extend(parse_mac(text, 6)?);
            Some(())
        }),
        Kind::MacAddr8 => packed(array, "is no MAC address of 8 bytes", |text, out| {
            out.extend(parse_mac(text, 8)?);
            Some(())
        }),
        Kind::Hstore => hstores(array),
        Kind::Array(item) => lists(array, item),
    }
}

fn fixed<T: ArrowPrimitiveType, const N: usize>(
    array: &ArrayRef,
    wire: impl Fn(T::Native) -> [u8; N] + Send + 'static,
) -> Box<dyn Cells> {
    let array = array.as_primitive::<T>();
    Box::new(Fixed::new(array.values().clone(), array.nulls(), wire))
}

/// Dates that PostgreSQL has, as days since 1970: from 4714-11-24 BC to before 5874898-01-01
/// (`IS_VALID_DATE` of src/include/datatype/timestamp.h).
const DATES: Range<i32> = -2_451_545 + POSTGRES_EPOCH_DAYS..2_145_031_949 + POSTGRES_EPOCH_DAYS;

/// Timestamps that PostgreSQL has, as microseconds since 1970: from 4714-11-24 BC (`IS_VALID_TIMESTAMP`). It goes on
/// for longer than Arrow's do.
const TIMESTAMPS: RangeInclusive<i64> = -211_813_488_000_000_000 + POSTGRES_EPOCH_MICROS..=i64::MAX;

const MICROS_PER_DAY: i64 = 86_400_000_000;

fn check<T: ArrowPrimitiveType>(array: &ArrayRef, is_good: impl Fn(T::Native) -> bool, why: &str) -> Result<()> {
    let values = array.as_primitive::<T>();
    // All at once, NULLs and what they hide included; only where that fails one by one.
    if !values.values().iter().fold(true, |all, value| all & is_good(*value))
        && let Some(row) = first_row_where(values, |row| !is_good(values.value(row)))
    {
        return Err(misfit(array, row, why));
    }
    Ok(())
}

fn check_range<T: ArrowPrimitiveType>(array: &ArrayRef, range: impl RangeBounds<T::Native>, why: &str) -> Result<()>
where
    T::Native: PartialOrd,
{
    check::<T>(array, |value| range.contains(&value), why)
}

/// Whether all timestamps are of the years from 2598 BC to 289680: an addition and an OR for each, where comparisons of
/// 64 bits are slow.
fn are_near(micros: &[i64]) -> bool {
    const NEAR: i64 = 1 << 57;
    micros.iter().fold(0, |all, micros| all | micros.wrapping_add(NEAR)) >= 0
}

/// Refuses what a column with fewer digits of a second than six would round.
fn check_digits<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, digits: u32) -> Result<()> {
    if digits >= 6 {
        return Ok(());
    }
    let unit = 10_i64.pow(6 - digits);
    let why = format!("has more digits of a second than the {digits} that its column keeps: use date_trunc");
    check::<T>(array, |value| value % unit == 0, &why)
}

fn times(array: &ArrayRef, digits: u32) -> Result<()> {
    check_range::<Time64MicrosecondType>(array, 0..MICROS_PER_DAY, "is not a time of day")?;
    check_digits::<Time64MicrosecondType>(array, digits)
}

fn times_with_zone(array: &ArrayRef, digits: u32) -> Result<Box<dyn Cells>> {
    if let Time64(_) = array.data_type() {
        times(array, digits)?;
        return Ok(fixed::<Time64MicrosecondType, 12>(array, |micros| time_with_zone(micros, 0)));
    }
    let unit = 10_i64.pow(6 - digits.min(6));
    let why = format!("is no time with a zone such as 12:34:56+02:00, of at most {digits} digits of a second");
    packed(array, &why, |text, out| {
        let (micros, seconds_west) = parse_time_with_zone(text).filter(|(micros, _)| micros % unit == 0)?;
        out.extend_from_slice(&time_with_zone(micros, seconds_west));
        Some(())
    })
}

fn time_with_zone(micros: i64, seconds_west: i32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    bytes[8..].copy_from_slice(&seconds_west.to_be_bytes());
    bytes
}

/// Microseconds since midnight, and seconds west of UTC.
fn parse_time_with_zone(text: &str) -> Option<(i64, i32)> {
    let text = text.trim();
    let (time, zone) = match text.find(['+', '-', 'Z', 'z']) {
        Some(at) => text.split_at(at),
        None => return None,
    };
    let sexagesimal = |text: &str, limit: i64| {
        let mut seconds = 0;
        let mut unit = 3_600;
        for part in text.split(':') {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            let value =
                part.parse::<i64>().ok().filter(|value| digits && *value < if unit == 3_600 { limit } else { 60 })?;
            seconds += value * unit;
            unit /= 60;
        }
        Some(seconds)
    };
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) || whole.split(':').count() > 3 {
        return None;
    }
    let micros = format!("{fraction:0<6}").parse::<i64>().ok()?;
    let east = match zone.split_at(1) {
        ("Z" | "z", "") => 0,
        ("+", zone) if zone.split(':').count() <= 3 => sexagesimal(zone, 16)?,
        ("-", zone) if zone.split(':').count() <= 3 => -sexagesimal(zone, 16)?,
        _ => return None,
    };
    Some((sexagesimal(whole, 24)? * 1_000_000 + micros, i32::try_from(-east).ok()?))
}

/// Microseconds, days and months.
fn interval(micros: i64, days: i32, months: i32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    bytes[8..12].copy_from_slice(&days.to_be_bytes());
    bytes[12..].copy_from_slice(&months.to_be_bytes());
    bytes
}

fn intervals(array: &ArrayRef, parts: Parts) -> Result<Box<dyn Cells>> {
    const WHY: &str = "has more than its column keeps (nanoseconds, or fields that its type leaves out)";
    let keeps = move |micros: i64, days: i32, months: i32| {
        months % parts.months == 0
            && (parts.keeps_days || days == 0)
            && if parts.micros == 0 { micros == 0 } else { micros % parts.micros == 0 }
    };
    Ok(match array.data_type() {
        Interval(IntervalUnit::YearMonth) => {
            check::<IntervalYearMonthType>(array, |months| keeps(0, 0, months), WHY)?;
            fixed::<IntervalYearMonthType, 16>(array, |months| interval(0, 0, months))
        }
        Interval(IntervalUnit::DayTime) => {
            let micros = |millis: i32| i64::from(millis) * 1_000;
            check::<IntervalDayTimeType>(array, |value| keeps(micros(value.milliseconds), value.days, 0), WHY)?;
            fixed::<IntervalDayTimeType, 16>(array, move |value| interval(micros(value.milliseconds), value.days, 0))
        }
        Interval(IntervalUnit::MonthDayNano) => {
            check::<IntervalMonthDayNanoType>(
                array,
                |value| value.nanoseconds % 1_000 == 0 && keeps(value.nanoseconds / 1_000, value.days, value.months),
                WHY,
            )?;
            fixed::<IntervalMonthDayNanoType, 16>(array, |value| {
                interval(value.nanoseconds / 1_000, value.days, value.months)
            })
        }
        Duration(_) => {
            check::<DurationMicrosecondType>(array, |micros| keeps(micros, 0, 0), WHY)?;
            fixed::<DurationMicrosecondType, 16>(array, |micros| interval(micros, 0, 0))
        }
        other => return Err(Error::internal(format!("an interval of {other}"))),
    })
}

/// How long a text may be.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Characters(usize),
    Bytes(usize),
}

fn texts(array: &ArrayRef, limit: Option<Limit>, prefix: &'static [u8]) -> Result<Box<dyn Cells>> {
    match array.data_type() {
        Utf8 => text(array, array.as_bytes::<Utf8Type>(), limit, prefix),
        LargeUtf8 => text(array, array.as_bytes::<LargeUtf8Type>(), limit, prefix),
        Utf8View => text(array, array.as_byte_view::<StringViewType>(), limit, prefix),
        Null => Ok(Box::new(Nulls)),
        other => Err(Error::internal(format!("a text of {other}"))),
    }
}

fn text<A: TextValues + ByteValues + Clone + 'static>(
    array: &ArrayRef,
    values: &A,
    limit: Option<Limit>,
    prefix: &'static [u8],
) -> Result<Box<dyn Cells>> {
    if let Some(row) = values.first_nul(array) {
        return Err(misfit(
            array,
            row,
            "has a NUL character, which PostgreSQL's texts cannot hold: use replace(x, chr(0), '')",
        ));
    }
    let too_long = |row: usize| match limit {
        None => false,
        Some(Limit::Bytes(limit)) => values.length(row) > limit,
        Some(Limit::Characters(limit)) => {
            // Bytes that do not continue a character.
            values.length(row) > limit
                && values.bytes(row).iter().filter(|byte| (**byte as i8) >= -0x40).count() > limit
        }
    };
    if let (Some(limit), Some(row)) = (limit, limit.and_then(|_| first_row_where(array, too_long))) {
        let (limit, what) = match limit {
            Limit::Characters(limit) => (limit, "characters"),
            Limit::Bytes(limit) => (limit, "bytes"),
        };
        return Err(misfit(array, row, &format!("is longer than the {limit} {what} that its column holds")));
    }
    Ok(Box::new(Bytes { values: values.clone(), prefix }))
}

/// Texts that can be searched for NUL.
trait TextValues {
    fn first_nul(&self, array: &dyn Array) -> Option<usize>;
}

impl<T: ByteArrayType> TextValues for GenericByteArray<T> {
    fn first_nul(&self, array: &dyn Array) -> Option<usize> {
        let offsets = self.value_offsets();
        let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
        if !has_nul(&self.value_data()[first..last]) {
            return None;
        }
        first_row_where(array, |row| self.bytes(row).contains(&0))
    }
}

impl<T: ByteViewType + ?Sized> TextValues for GenericByteViewArray<T>
where
    T::Native: AsRef<[u8]>,
{
    fn first_nul(&self, array: &dyn Array) -> Option<usize> {
        const INLINE: usize = 12;
        const LOW: u128 = u128::from_le_bytes([1; 16]);
        const HIGH: u128 = u128::from_le_bytes([0x80; 16]);
        // All bytes of a view that are not of a value of such a length, or not in the view.
        const OTHERS: [u128; INLINE + 2] = {
            let mut others = [u128::MAX; INLINE + 2];
            let mut length = 1;
            while length <= INLINE {
                others[length] = !(((1 << (8 * length)) - 1) << 32);
                length += 1;
            }
            others
        };
        // NULLs hide what they like: they are asked after only where there is something.
        let (mut zeros, mut total) = (0, 0);
        for view in self.views().iter() {
            let length = *view as u32 as usize;
            let bytes = view | OTHERS[length.min(INLINE + 1)];
            zeros |= bytes.wrapping_sub(LOW) & !bytes & HIGH;
            total += length;
        }
        let buffers = || self.data_buffers().iter();
        // Values may be few of many that share a buffer.
        let is_suspect =
            buffers().map(|buffer| buffer.len()).sum::<usize>() > 2 * total || buffers().any(|buffer| has_nul(buffer));
        let in_view = |row: usize| self.length(row) <= INLINE;
        let has_nul = |row: usize| (zeros != 0 || !in_view(row)) && has_nul(self.bytes(row));
        let is_found = (zeros != 0 || is_suspect) && (0..self.len()).any(has_nul);
        is_found.then(|| first_row_where(array, has_nul)).flatten()
    }
}

fn has_nul(bytes: &[u8]) -> bool {
    // So many are compared at once.
    let (chunks, rest) = bytes.as_chunks::<64>();
    chunks.iter().any(|chunk| chunk.iter().fold(false, |found, byte| found | (*byte == 0))) || rest.contains(&0)
}

fn bytes(array: &ArrayRef, prefix: &'static [u8]) -> Result<Box<dyn Cells>> {
    Ok(match array.data_type() {
        Binary => Box::new(Bytes { values: array.as_bytes::<BinaryType>().clone(), prefix }),
        LargeBinary => Box::new(Bytes { values: array.as_bytes::<LargeBinaryType>().clone(), prefix }),
        BinaryView => Box::new(Bytes { values: array.as_byte_view::<BinaryViewType>().clone(), prefix }),
        FixedSizeBinary(_) => Box::new(Bytes { values: array.as_fixed_size_binary().clone(), prefix }),
        other => return Err(Error::internal(format!("bytes of {other}"))),
    })
}

/// Each text by `put`, which says `None` where it is none of the type's.
fn packed(array: &ArrayRef, why_not: &str, put: impl Fn(&str, &mut Vec<u8>) -> Option<()>) -> Result<Box<dyn Cells>> {
    let texts = array.as_string_view();
    let mut values = Packed::new(array.len(), array.nulls().cloned());
    for row in 0..array.len() {
        if texts.is_valid(row) {
            put(texts.value(row), values.data()).ok_or_else(|| misfit(array, row, why_not))?;
        }
        values.end();
    }
    Ok(Box::new(Bytes { values, prefix: b"" }))
}

fn json_text(array: &ArrayRef) -> Result<ArrayRef> {
    if array.data_type().is_nested() { Ok(Arc::new(json::encode(array)?)) } else { Ok(Arc::clone(array)) }
}

fn numerics(array: &ArrayRef, keeps: Option<Digits>) -> Result<Box<dyn Cells>> {
    fn unscaled<T: ArrowPrimitiveType>(
        array: &ArrayRef,
        mut put: impl FnMut(T::Native, &mut Vec<u8>),
    ) -> Box<dyn Cells> {
        let array = array.as_primitive::<T>();
        let mut packed = Packed::new(array.len(), array.nulls().cloned());
        for (row, value) in array.values().iter().enumerate() {
            if array.is_valid(row) {
                put(*value, packed.data());
            }
            packed.end();
        }
        Box::new(Bytes { values: packed, prefix: b"" })
    }
    let unchecked = match keeps {
        None => true,
        Some(keeps) => {
            always_fits(array.data_type(), keeps) || {
                // It was conformed to the column's own digits.
                matches!(*array.data_type(), Decimal128(_, scale) | Decimal256(_, scale)
                if keeps.scale >= 0 && i16::from(scale) == keeps.scale)
            }
        }
    };
    Ok(match *array.data_type() {
        Decimal32(_, scale @ 0..) | Decimal64(_, scale @ 0..) if unchecked => {
            return numerics(&recode(array, &Decimal128(38, scale))?, None);
        }
        Decimal128(_, scale @ 0..) if unchecked => {
            let decimals = array.as_primitive::<Decimal128Type>();
            if let Some(slots) = numeric::slots(decimals.values(), decimals.nulls(), scale as u8) {
                return Ok(Box::new(Slots(slots)));
            }
            unscaled::<Decimal128Type>(array, move |value, out| numeric::put_i128(value, scale as u8, out))
        }
        Decimal256(_, scale @ 0..) if unchecked => {
            unscaled::<Decimal256Type>(array, move |value: i256, out| numeric::put_i256(value, scale as u8, out))
        }
        Int64 if unchecked => unscaled::<Int64Type>(array, |value, out| numeric::put_i128(value.into(), 0, out)),
        UInt64 if unchecked => {
            unscaled::<arrow::datatypes::UInt64Type>(array, |value, out| numeric::put_i128(value.into(), 0, out))
        }
        ref t if t.is_integer() && unchecked => return numerics(&recode(array, &Int64)?, None),
        _ => numerics_of_text(array, keeps)?,
    })
}

/// Numbers by their shortest digits that mean them.
fn numerics_of_text(array: &ArrayRef, keeps: Option<Digits>) -> Result<Box<dyn Cells>> {
    let texts = match array.data_type() {
        // Rust's shortest digits; Arrow's text of a float can be of the same value, but not of the same digits.
        Float32 => array.as_primitive::<Float32Type>().iter().map(shortest).collect(),
        Float64 => array.as_primitive::<Float64Type>().iter().map(shortest).collect(),
        Utf8 | LargeUtf8 | Utf8View => recode(array, &Utf8View)?.as_string_view().clone(),
        _ => to_text(array)?,
    };
    let mut values = Packed::new(array.len(), array.nulls().cloned());
    for row in 0..array.len() {
        if texts.is_valid(row) {
            numeric::put_text(texts.value(row), keeps, values.data()).map_err(|why| misfit(array, row, &why))?;
        }
        values.end();
    }
    Ok(Box::new(Bytes { values, prefix: b"" }))
}

fn shortest(value: Option<impl std::fmt::LowerExp>) -> Option<String> {
    value.map(|value| format!("{value:e}"))
}

/// `hstore_send` of contrib/hstore: a count, and for each pair two lengths with their bytes.
fn hstores(array: &ArrayRef) -> Result<Box<dyn Cells>> {
    let maps = array.as_map();
    let (keys, texts) = (maps.keys().as_string::<i32>(), maps.values().as_string::<i32>());
    let mut values = Packed::new(array.len(), array.nulls().cloned());
    let mut seen = HashSet::new();
    for row in 0..array.len() {
        if maps.is_valid(row) {
            seen.clear();
            let pairs = maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize;
            let out = values.data();
            out.extend((pairs.len() as i32).to_be_bytes());
            for pair in pairs {
                let has_nul = |text: &str| text.as_bytes().contains(&0);
                let value = texts.is_valid(pair).then(|| texts.value(pair));
                if has_nul(keys.value(pair)) || value.is_some_and(has_nul) {
                    return Err(misfit(array, row, "has a NUL character, which hstore cannot hold"));
                }
                if !seen.insert(keys.value(pair)) {
                    return Err(misfit(array, row, "has a key twice, and hstore would keep one of them"));
                }
                out.extend((keys.value(pair).len() as i32).to_be_bytes());
                out.extend(keys.value(pair).as_bytes());
                match value {
                    Some(value) => {
                        out.extend((value.len() as i32).to_be_bytes());
                        out.extend(value.as_bytes());
                    }
                    None => out.extend((-1_i32).to_be_bytes()),
                }
            }
        }
        values.end();
    }
    Ok(Box::new(Bytes { values, prefix: b"" }))
}

/// Lists of any kind, as deep as they are lists of lists.
fn lists(array: &ArrayRef, item: &ServerType) -> Result<Box<dyn Cells>> {
    let mut list = as_list(array)?;
    let mut offsets: Vec<i64> = list.offsets().iter().map(|offset| i64::from(*offset)).collect();
    let mut lengths: Vec<Vec<i32>> = list.offsets().windows(2).map(|pair| vec![pair[1] - pair[0]]).collect();
    let nulls = list.nulls().cloned();
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls: &NullBuffer| nulls.is_null(row));
    let is_json = matches!(item.kind, Kind::Json | Kind::Jsonb);
    while list_item(plain(list.values().data_type())).is_some() && !is_json {
        let inner = as_list(list.values())?;
        for row in 0..array.len() {
            let items = offsets[row] as usize..offsets[row + 1] as usize;
            if is_null(row) || items.is_empty() {
                lengths[row].push(0);
                continue;
            }
            let length = inner.value_length(items.start);
            let why = if items.clone().any(|index| inner.is_null(index)) {
                "has NULL in the place of a list, which PostgreSQL's arrays cannot hold"
            } else if items.clone().any(|index| inner.value_length(index) != length) {
                "has lists of different lengths, which PostgreSQL's arrays cannot hold"
            } else if length == 0 {
                "has an empty list in a list, which PostgreSQL's arrays cannot hold"
            } else {
                lengths[row].push(length);
                continue;
            };
            return Err(misfit(array, row, why));
        }
        offsets = offsets.iter().map(|offset| i64::from(inner.offsets()[*offset as usize])).collect();
        list = inner;
    }
    let dimensions = lengths.first().map_or(1, Vec::len);
    if dimensions > MAX_DIMENSIONS {
        return Err(Error::schema(format!("PostgreSQL's arrays have at most {MAX_DIMENSIONS} dimensions")));
    }
    // A slice of a list has the items of the whole list behind it.
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let values = list.values().slice(first as usize, (last - first) as usize);
    offsets.iter_mut().for_each(|offset| *offset -= first);
    let of_row = |error: Error| match error.row() {
        Some(item) => error.at_row(offsets.partition_point(|offset| *offset as usize <= item) - 1),
        None => error,
    };
    let has_null_items = values.logical_null_count() > 0;
    let (data_type, _) = choose(plain(values.data_type()), item)
        .ok_or_else(|| Error::internal(format!("items of {}", values.data_type())))?;
    let conform = Conform::try_new(values.data_type(), &data_type)
        .ok_or_else(|| Error::internal(format!("items of {}", values.data_type())))?;
    let items = conform.apply(&values).and_then(|values| cells(&values, item)).map_err(of_row)?;
    let mut item_sizes = vec![0; values.len()];
    items.add_sizes(&mut item_sizes);
    Ok(Box::new(Lists {
        nulls,
        offsets: OffsetBuffer::new(offsets.into()),
        lengths: lengths.into_iter().flatten().collect(),
        dimensions,
        item_oid: item.oid,
        has_null_items,
        items,
        item_sizes,
    }))
}

fn as_list(array: &ArrayRef) -> Result<ListArray> {
    let data_type = plain(array.data_type());
    let field = list_item(data_type).ok_or_else(|| Error::internal(format!("a list of {data_type}")))?;
    Ok(recode(array, &List(Arc::clone(field)))?.as_list::<i32>().clone())
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        let first_nul = |texts: &StringViewArray| texts.first_nul(texts);
        for length in [1, 2, 11, 12, 13, 63, 64, 65, 200] {
            let without = "x".repeat(length);
            for at in 0..length {
                let with = format!("{}\0{}", &without[..at], &without[at + 1..]);
                let texts = StringViewArray::from(vec![Some(&*without), None, Some(""), Some(&with), Some(&with)]);
                assert_eq!(first_nul(&texts), Some(3), "{at} of {length}");
                assert_eq!(first_nul(&texts.slice(0, 3)), None, "{at} of {length}");
                assert_eq!(first_nul(&texts.slice(2, 2)), Some(1), "{at} of {length}");
            }
        }
    }

    #[test]
    fn near_timestamps_are_in_range() {
        assert!(are_near(&[0, -(1 << 57), (1 << 62) + (1 << 61)]) && are_near(&[]));
        assert!(TIMESTAMPS.contains(&-(1 << 57)));
        for far in [-(1 << 57) - 1, i64::MIN, i64::MAX] {
            assert!(!are_near(&[0, far, 0]), "{far}");
        }
    }

    #[test]
    fn a_time_with_a_zone_is_parsed() {
        for (text, expected) in [
            ("12:34:56+02", Some((45_296_000_000, -7_200))),
            ("12:34:56.5-05:30", Some((45_296_500_000, 19_800))),
            ("00:00Z", Some((0, 0))),
            ("23:59:59.999999+15:59:59", Some((86_399_999_999, -57_599))),
            ("24:00:00Z", None),
            ("12:34:56", None),
            ("12:60:00Z", None),
            ("1:00:00Z", None),
            ("12:00:00.1234567Z", None),
            ("12:00:00+16", None),
            ("+02", None),
            ("é+02", None),
        ] {
            assert_eq!(parse_time_with_zone(text), expected, "{text}");
        }
    }

    /// The Arrow types that words of the guide stand for.
    fn is_meant(data_type: &DataType, words: &str) -> bool {
        let has = |word: &str| words.split(|c: char| !c.is_alphanumeric()).any(|found| found == word);
        match data_type {
            Boolean => has("Boolean"),
            t if t.is_numeric() => has("number"),
            Utf8 | LargeUtf8 | Utf8View => has("text"),
            FixedSizeBinary(16) => has("binary") || has("FixedSizeBinary"),
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => has("binary"),
            Date32 | Date64 => has("dates"),
            Time32(_) | Time64(_) => has("times"),
            Timestamp(_, None) => words.contains("timestamps without a zone"),
            Timestamp(_, Some(_)) => words.contains("timestamps with a zone"),
            Interval(_) => has("intervals"),
            Duration(_) => has("durations"),
            Struct(_) => has("Struct"),
            Map(_, _) => has("Map") || has("maps"),
            List(_) => has("lists"),
            _ => false,
        }
    }

    #[test]
    fn the_guide_says_what_each_server_type_is_written_from() {
        use arrow::datatypes::Field;

        let text_map = ServerType { oid: 0, kind: Kind::Hstore }.arrow_type();
        let micros = TimeUnit::Microsecond;
        let mut candidates = vec![
            Boolean,
            Int8,
            Int64,
            UInt64,
            Float16,
            Float64,
            Decimal128(10, 2),
            Utf8,
            LargeUtf8,
            Utf8View,
            Binary,
            LargeBinary,
            BinaryView,
            FixedSizeBinary(7),
            FixedSizeBinary(16),
            Date32,
            Date64,
            Time64(micros),
            Time32(TimeUnit::Second),
            Timestamp(micros, None),
            Timestamp(TimeUnit::Second, Some("UTC".into())),
            Duration(TimeUnit::Nanosecond),
            text_map,
            List(Arc::new(Field::new("item", Int64, true))),
            Struct(vec![Field::new("a", Int64, true)].into()),
        ];
        candidates.extend([IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano].map(Interval));
        let rows = include_str!("types.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.trim_end_matches(" |").split(" | ").collect()).collect();
        let mut checked = 0;
        for row in rows.iter().filter(|row| row.len() == 3 && !row[0].starts_with(['s', '-'])) {
            let name = row[0].trim_matches('`').trim_matches('"');
            let (name, arguments) = name.split_once('(').unwrap_or((name, ""));
            let typmod = match arguments.trim_end_matches(')').split_once(',') {
                Some((precision, scale)) => {
                    (precision.parse::<i32>().unwrap_or(0) << 16 | scale.parse::<i32>().unwrap_or(0)) + 4
                }
                None => arguments.trim_end_matches(')').parse().map_or(-1, |length: i32| length + 4),
            };
            let item = || Box::new(ServerType { oid: 23, kind: Kind::Int4 });
            let kind = match name {
                "boolean" => Kind::Bool,
                "smallint" => Kind::Int2,
                "integer" => Kind::Int4,
                "bigint" => Kind::Int8,
                "real" => Kind::Float4,
                "double precision" => Kind::Float8,
                "character varying" | "character" => Kind::Text(Some(20)),
                "time without time zone" => Kind::Time(6),
                "time with time zone" => Kind::TimeTz(6),
                "timestamp without time zone" => Kind::Timestamp(6),
                "timestamp with time zone" => Kind::TimestampTz(6),
                "enums" => Kind::Enum,
                "integer[]" => Kind::Array(item()),
                "any other" => Kind::Other,
                name => super::super::types::kind(name, typmod),
            };
            assert!(kind != Kind::Other || name == "any other", "{name} is not known");
            let server = ServerType { oid: 0, kind };
            for candidate in &candidates {
                let takes = choose(candidate, &server).is_some();
                assert_eq!(takes, is_meant(candidate, row[2]), "{candidate} to {name}: {}", row[2]);
                checked += 1;
            }
        }
        assert!(checked > 25 * candidates.len(), "the table is somewhere else");
    }
}
