//! Turns columns into those that the driver binds without changing a value, and checks every value that Oracle would change.
//!
//! The driver does not check the range of all values, and a value that it cannot bind ends the process. So that is done here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int8Array, RecordBatch, StringArray};
use arrow::compute::kernels::cast::cast;
use arrow::datatypes::{
    DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::ipc::writer::StreamWriter;
use datafusion_landfall::backend::Column;
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::sql::{EncodedRows, LookupRequest, RowEncoder, Targets};

use crate::catalog::Stored;
use crate::options::EmptyStrings;
use crate::types::{Kind, Unit};

/// The bytes of a chunk, which is bound at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// The longest value of a CLOB or BLOB that can be bound, in bytes: the largest VARCHAR2 and RAW.
pub(crate) const LOB_BYTES: usize = 32_767;

/// Seconds of 0001-01-01 and 10000-01-01 since 1970: Oracle has years before the first one, but its driver binds them wrongly.
const FIRST_SECOND: i64 = -62_135_596_800;
const END_SECOND: i64 = 253_402_300_800;

fn encode(text: impl Into<String>, row: usize) -> Error {
    Error::new(ErrorKind::Encode, text).at_row(row)
}

/// What is checked and done with the values of a column.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    kind: Kind,
    from: DataType,
    empty_strings: EmptyStrings,
    /// Whether the database stores all characters.
    is_unicode: bool,
}

impl Encoder {
    /// The encoder of values of an Arrow type for a column.
    ///
    /// # Errors
    /// `Schema` if the column may store them only changed.
    pub(crate) fn try_new(from: &DataType, column: &Column, empty_strings: EmptyStrings) -> Result<Self> {
        let Stored { kind, is_unicode, .. } = Stored::of(column)?;
        let this = Self { kind: kind.clone(), from: from.clone(), empty_strings, is_unicode: *is_unicode };
        let why = match this.refused() {
            None => return Ok(this),
            Some(why) => why,
        };
        Err(Error::new(
            ErrorKind::Schema,
            format!("column \"{}\" (declared {kind}) cannot store values of Arrow type {from}{why}", column.name),
        ))
    }

    /// The type in which values are bound.
    pub(crate) fn bound_type(&self) -> DataType {
        match &self.from {
            DataType::Boolean => DataType::Int8,
            DataType::Date32 => DataType::Timestamp(TimeUnit::Second, None),
            DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
            other => other.clone(),
        }
    }

    /// Why values of this type are refused; `None` if each is stored unchanged, or is an error.
    fn refused(&self) -> Option<&'static str> {
        use DataType::{
            Binary, BinaryView, Boolean, Date32, Decimal128, FixedSizeBinary, Float32, Float64, Int8, Int16, Int32,
            Int64, LargeBinary, LargeUtf8, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
        };
        const NO: Option<&str> = Some("");
        let is_integer = matches!(self.from, Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64);
        match (&self.kind, &self.from) {
            (Kind::Number(Some((_, ..0))), _) => Some(", as Oracle would round them to its negative scale"),
            (Kind::Number(_), Boolean) => None,
            (Kind::Number(_), _) if is_integer => None,
            (Kind::Number(None), Decimal128(_, 0..)) => None,
            (Kind::Number(Some((_, scale))), Decimal128(_, from @ 0..)) if from <= scale => None,
            (Kind::Number(_), Decimal128(..)) => Some(", as Oracle would round them to its scale"),
            (Kind::Number(_) | Kind::Float(_), Float32 | Float64) => {
                Some(", as Oracle would round them: cast them to DECIMAL")
            }
            // 53 bits and more have all numbers of 15 digits.
            (Kind::Float(64..), _) if is_integer => None,
            (Kind::Float(_), _) => Some(", as Oracle would round them to its binary digits"),
            (Kind::BinaryFloat, Float32) | (Kind::BinaryDouble, Float32 | Float64) => None,
            (Kind::Date, Date32 | Timestamp(TimeUnit::Second, None)) => None,
            (Kind::Timestamp(_), Date32) => None,
            (Kind::Timestamp(digits), Timestamp(unit, None)) if *digits >= needed_digits(*unit) => None,
            (Kind::TimestampUtc(digits, _), Timestamp(unit, Some(_))) if *digits >= needed_digits(*unit) => None,
            (Kind::Text { .. } | Kind::Clob { .. } | Kind::Json, Utf8 | LargeUtf8 | Utf8View) => None,
            (Kind::Raw(_) | Kind::Blob, Binary | LargeBinary | BinaryView | FixedSizeBinary(_)) => None,
            (Kind::Boolean, Boolean) => None,
            (Kind::Other(_), _) => Some(": Landfall does not write this type"),
            _ => NO,
        }
    }

    /// The values as they are bound.
    ///
    /// # Errors
    /// `Encode`, with the row, for a value that Oracle cannot store, or would change.
    pub(crate) fn encode(&self, array: &ArrayRef) -> Result<ArrayRef> {
        match &self.from {
            DataType::Boolean => {
                let values: &BooleanArray = array.as_boolean();
                Ok(Arc::new(values.iter().map(|value| value.map(i8::from)).collect::<Int8Array>()))
            }
            DataType::Date32 => {
                check_seconds(
                    array.as_primitive::<Date32Type>().iter().map(|day| day.map(|day| i64::from(day) * 86_400)),
                )?;
                Ok(cast(array, &self.bound_type())
                    .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?)
            }
            DataType::Timestamp(unit, _) => {
                check_timestamps(array, *unit, self.kind.second_digits())?;
                match array.data_type() == &self.bound_type() {
                    true => Ok(Arc::clone(array)),
                    // The same numbers, without the time zone.
                    false => cast(array, &self.bound_type())
                        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string())),
                }
            }
            DataType::Utf8 => self.texts(array, array.as_string::<i32>().iter()),
            DataType::LargeUtf8 => self.texts(array, array.as_string::<i64>().iter()),
            DataType::Utf8View => self.texts(array, array.as_string_view().iter()),
            DataType::Binary => self.bytes(array, array.as_binary::<i32>().iter()),
            DataType::LargeBinary => self.bytes(array, array.as_binary::<i64>().iter()),
            DataType::BinaryView => self.bytes(array, array.as_binary_view().iter()),
            DataType::FixedSizeBinary(_) => self.bytes(array, array.as_fixed_size_binary().iter()),
            _ => Ok(Arc::clone(array)),
        }
    }

    fn texts<'a>(&self, array: &ArrayRef, values: impl Iterator<Item = Option<&'a str>> + Clone) -> Result<ArrayRef> {
        let mut has_empty = false;
        for (row, text) in values.clone().enumerate() {
            let Some(text) = text else { continue };
            if text.is_empty() {
                has_empty = true;
                if self.empty_strings == EmptyStrings::Error {
                    return Err(empty("string", row));
                }
            }
            self.check_text(text).map_err(|why| encode(why, row))?;
        }
        match has_empty {
            false => Ok(Arc::clone(array)),
            // Of the same type, so that all batches are bound alike.
            true => {
                let values: ArrayRef =
                    Arc::new(values.map(|text| text.filter(|text| !text.is_empty())).collect::<StringArray>());
                cast(&values, array.data_type()).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
            }
        }
    }

    fn check_text(&self, text: &str) -> std::result::Result<(), String> {
        if !self.is_unicode && !text.is_ascii() {
            return Err(
                "the character set of the database is not Unicode, and it could store another character: Landfall \
                        writes only ASCII to it"
                    .into(),
            );
        }
        match &self.kind {
            Kind::Text { length, unit, is_fixed } => {
                let own = match unit {
                    Unit::Bytes => text.len(),
                    Unit::Characters => text.chars().count(),
                    Unit::CodeUnits => text.encode_utf16().count(),
                };
                let length = *length as usize;
                if own > length {
                    return Err(format!("the text has {own} {unit}, and the column at most {length}"));
                }
                if *is_fixed && own < length && !text.is_empty() {
                    return Err(format!("the text has {own} of {length} {unit}, and Oracle would add blanks to it"));
                }
                Ok(())
            }
            _ if text.len() > LOB_BYTES => {
                Err(format!("the text has {} bytes, and Landfall binds at most {LOB_BYTES}", text.len()))
            }
            _ => Ok(()),
        }
    }

    fn bytes<'a>(&self, array: &ArrayRef, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<ArrayRef> {
        let most = if let Kind::Raw(length) = self.kind { length as usize } else { LOB_BYTES };
        for (row, bytes) in values.enumerate() {
            match bytes.map(<[u8]>::len) {
                Some(0) => return Err(empty("binary value", row)),
                Some(own) if own > most => {
                    return Err(encode(format!("the value has {own} bytes, and at most {most} can be stored"), row));
                }
                _ => {}
            }
        }
        Ok(Arc::clone(array))
    }
}

fn empty(what: &str, row: usize) -> Error {
    encode(
        format!(
            "Oracle stores an empty {what} as NULL: write NULL, or set the option 'empty_strings' to 'null' for empty strings"
        ),
        row,
    )
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Characters => "characters",
            Self::CodeUnits => "UTF-16 code units",
        })
    }
}

/// The fractional digits of a column that stores all values of a unit, if the values fit the column's digits, which Landfall
/// has checked ([`Kind::second_digits`]).
fn needed_digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 4,
        TimeUnit::Nanosecond => 7,
    }
}

/// Checks the years of timestamps, and that they have no more fractional digits of a second than the column.
fn check_timestamps(array: &ArrayRef, unit: TimeUnit, digits: Option<u32>) -> Result<()> {
    match unit {
        TimeUnit::Second => check_parts(array.as_primitive::<TimestampSecondType>().iter(), 0, digits),
        TimeUnit::Millisecond => check_parts(array.as_primitive::<TimestampMillisecondType>().iter(), 3, digits),
        TimeUnit::Microsecond => check_parts(array.as_primitive::<TimestampMicrosecondType>().iter(), 6, digits),
        TimeUnit::Nanosecond => check_parts(array.as_primitive::<TimestampNanosecondType>().iter(), 9, digits),
    }
}

/// Checks numbers of units; a second has `own` digits of them, of which the column stores `digits`.
fn check_parts(values: impl Iterator<Item = Option<i64>> + Clone, own: u32, digits: Option<u32>) -> Result<()> {
    check_seconds(values.clone().map(|value| value.map(|value| value.div_euclid(10_i64.pow(own)))))?;
    let Some(digits) = digits.filter(|digits| *digits < own) else { return Ok(()) };
    let lost = 10_i64.pow(own - digits);
    match values.enumerate().find(|(_, value)| value.is_some_and(|value| value % lost != 0)) {
        Some((row, _)) => Err(encode(
            format!("the time has more than the {digits} fractional digits of a second that the column stores"),
            row,
        )),
        None => Ok(()),
    }
}

fn check_seconds(values: impl Iterator<Item = Option<i64>>) -> Result<()> {
    for (row, value) in values.enumerate() {
        if value.is_some_and(|second| !(FIRST_SECOND..END_SECOND).contains(&second)) {
            return Err(encode("the time is not in the years 1 to 9999", row));
        }
    }
    Ok(())
}

/// Encodes the rows of one branch: as batches of Arrow IPC, whose columns are those that are bound.
#[derive(Debug)]
pub(crate) struct BoundRows {
    targets: Targets<Encoder>,
    schema: SchemaRef,
}

impl BoundRows {
    /// Encodes the columns of these targets.
    pub(crate) fn new(targets: Targets<Encoder>) -> Self {
        let fields = targets.encoders().enumerate();
        let fields = fields.map(|(index, encoder)| Field::new(index.to_string(), encoder.bound_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { targets, schema }
    }
}

impl RowEncoder for BoundRows {
    type Rows = IpcRows;

    fn encode(&mut self, slice: &RecordBatch) -> Result<IpcRows> {
        let columns = self.targets.encode(slice, Encoder::encode)?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(slice.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        Ok(IpcRows { rows: rows.map_err(internal)?, next: 0 })
    }

    fn lookup_request(&mut self, _: &RecordBatch) -> Result<Option<LookupRequest>> {
        Ok(None)
    }
}

/// Rows that are being written into buffers.
#[derive(Debug)]
pub(crate) struct IpcRows {
    rows: RecordBatch,
    next: usize,
}

impl EncodedRows for IpcRows {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<Option<usize>> {
        let left = self.rows.num_rows() - self.next;
        if left == 0 {
            return Ok(None);
        }
        // A slice shares its buffers with the rows: the size of one row is that of the average.
        let bytes_of_row = (self.rows.get_array_memory_size() / self.rows.num_rows().max(1)).max(1);
        let count = (CHUNK_BYTES / bytes_of_row).clamp(1, left);
        let slice = self.rows.slice(self.next, count);
        self.next += count;
        out.clear();
        let mut writer = StreamWriter::try_new(out, &slice.schema()).map_err(internal)?;
        writer.write(&slice).map_err(internal)?;
        writer.finish().map_err(internal)?;
        Ok(Some(count))
    }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{
        BinaryArray, Date32Array, Decimal128Array, Int64Array, LargeStringArray, TimestampMicrosecondArray,
        TimestampSecondArray,
    };
    use datafusion_landfall::backend::Detail;

    use super::*;
    use crate::types::Zone;

    fn column(kind: Kind, is_unicode: bool) -> Column {
        let detail = Detail::new(Stored { name: "C".into(), kind: kind.clone(), is_unicode });
        Column { detail, ..Column::new("c", kind.to_string(), kind.data_type()) }
    }

    fn encoded(kind: Kind, array: ArrayRef) -> Result<ArrayRef> {
        Encoder::try_new(array.data_type(), &column(kind, true), EmptyStrings::Error)?.encode(&array)
    }

    fn text(length: u32, unit: Unit, is_fixed: bool) -> Kind {
        Kind::Text { length, unit, is_fixed }
    }

    #[test]
    fn a_value_that_oracle_would_change_is_refused_when_planned() {
        use DataType::{Decimal128, Decimal256, Float64, Int64, Time64, Timestamp, UInt64, Utf8};
        let takes =
            |kind: Kind, from: &DataType| Encoder::try_new(from, &column(kind, true), EmptyStrings::Error).is_ok();
        for (kind, from, is_taken) in [
            (Kind::Number(Some((9, 2))), Decimal128(30, 2), true),
            (Kind::Number(Some((9, 2))), Decimal128(5, 3), false),
            (Kind::Number(Some((9, 2))), Decimal128(5, -1), false),
            (Kind::Number(Some((9, 2))), Float64, false),
            (Kind::Number(Some((9, 2))), UInt64, true),
            (Kind::Number(Some((9, -2))), Int64, false),
            (Kind::Number(None), Decimal128(38, 37), true),
            (Kind::Number(None), Decimal256(40, 0), false),
            (Kind::Number(None), Float64, false),
            (Kind::Float(126), Int64, true),
            (Kind::Float(53), Int64, false),
            (Kind::Float(126), Decimal128(5, 1), false),
            (Kind::BinaryDouble, DataType::Float32, true),
            (Kind::BinaryFloat, Float64, false),
            (Kind::Date, Timestamp(TimeUnit::Microsecond, None), false),
            (Kind::Timestamp(3), Timestamp(TimeUnit::Microsecond, None), false),
            (Kind::Timestamp(4), Timestamp(TimeUnit::Microsecond, None), true),
            (Kind::Timestamp(6), Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), false),
            (Kind::TimestampUtc(6, Zone::Local), Timestamp(TimeUnit::Microsecond, Some("Asia/Tokyo".into())), true),
            (Kind::Boolean, Int64, false),
            (Kind::Json, Utf8, true),
            (Kind::Blob, Utf8, false),
            (Kind::Date, Time64(TimeUnit::Microsecond), false),
            (Kind::Other("XMLTYPE".into()), Utf8, false),
        ] {
            assert_eq!(takes(kind.clone(), &from), is_taken, "{kind} {from}");
        }
    }

    #[test]
    fn a_text_is_measured_in_the_unit_of_its_column() {
        for (kind, value, is_stored) in [
            (text(4, Unit::Bytes, false), "äö", true),
            (text(4, Unit::Bytes, false), "äöü", false),
            (text(3, Unit::Characters, false), "äöü", true),
            (text(3, Unit::Characters, false), "äöüß", false),
            (text(2, Unit::CodeUnits, false), "🙂", true),
            (text(1, Unit::CodeUnits, false), "🙂", false),
            (text(2, Unit::Characters, true), "ab", true),
            (text(3, Unit::Characters, true), "ab", false),
            (text(3, Unit::Characters, false), "", false),
            (Kind::Clob { is_national: false }, &"x".repeat(32_767), true),
            (Kind::Clob { is_national: false }, &"x".repeat(32_768), false),
        ] {
            let array: ArrayRef = Arc::new(StringArray::from(vec![None, Some(value)]));
            match encoded(kind.clone(), Arc::clone(&array)) {
                Ok(bound) => assert!(is_stored && bound == array, "{kind}: {value}"),
                Err(error) => {
                    assert!(!is_stored, "{kind}: {error}");
                    assert_eq!((error.kind(), error.row()), (ErrorKind::Encode, Some(1)));
                }
            }
        }
        let ascii = Encoder::try_new(&DataType::Utf8, &column(text(9, Unit::Bytes, false), false), EmptyStrings::Error)
            .unwrap();
        let texts = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        assert!(ascii.encode(&texts("a")).is_ok());
        assert!(ascii.encode(&texts("ä")).unwrap_err().to_string().contains("not Unicode"));
    }

    #[test]
    fn an_empty_string_becomes_null_only_if_that_is_wanted() {
        let column = column(text(9, Unit::Bytes, false), true);
        let array: ArrayRef = Arc::new(LargeStringArray::from(vec![Some("a"), Some(""), None]));
        let null = Encoder::try_new(array.data_type(), &column, EmptyStrings::Null).unwrap();
        let bound = null.encode(&array).unwrap();
        assert_eq!(bound.as_ref(), &LargeStringArray::from(vec![Some("a"), None, None]) as &dyn Array);
        let empty: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b""]));
        assert_eq!(encoded(Kind::Blob, empty).unwrap_err().row(), Some(0));
    }

    #[test]
    fn a_time_is_in_the_years_that_the_driver_binds() {
        for (second, is_stored) in [
            (FIRST_SECOND - 1, false),
            (FIRST_SECOND, true),
            (END_SECOND - 1, true),
            (END_SECOND, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            let seconds = || -> ArrayRef { Arc::new(TimestampSecondArray::from(vec![None, Some(second)])) };
            assert_eq!(encoded(Kind::Date, seconds()).is_ok(), is_stored, "{second}");
            assert_eq!(encoded(Kind::Timestamp(9), seconds()).is_ok(), is_stored, "{second}");
            if let Some(micros) = second.checked_mul(1_000_000) {
                let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("+00:00"));
                assert_eq!(encoded(Kind::TimestampUtc(6, Zone::Kept), micros).is_ok(), is_stored, "{second}");
            }
        }
        let days = |day: i32| -> ArrayRef { Arc::new(Date32Array::from(vec![day])) };
        let bound = encoded(Kind::Date, days(1)).unwrap();
        assert_eq!(bound.as_primitive::<TimestampSecondType>().value(0), 86_400);
        assert!(encoded(Kind::Date, days(i32::MAX)).is_err());
        let micros = |value: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![value])) };
        assert!(encoded(Kind::Timestamp(4), micros(-1_200)).is_ok());
        assert!(encoded(Kind::Timestamp(4), micros(-1_250)).unwrap_err().to_string().contains("4 fractional digits"));
    }

    #[test]
    fn rows_survive_their_chunks() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300_000));
        let decimals: ArrayRef = Arc::new(
            Decimal128Array::from_iter_values((0..300_000).map(|n| n * 7)).with_precision_and_scale(20, 2).unwrap(),
        );
        let batch = RecordBatch::try_from_iter([("0", numbers), ("1", decimals)]).unwrap();
        let (mut rows, mut read, mut out) = (IpcRows { rows: batch.clone(), next: 0 }, Vec::new(), Vec::new());
        while let Some(count) = rows.write(&mut out).unwrap() {
            assert!(out.len() < 2 * CHUNK_BYTES);
            let chunk =
                arrow::ipc::reader::StreamReader::try_new(out.as_slice(), None).unwrap().next().unwrap().unwrap();
            assert_eq!(chunk.num_rows(), count);
            read.push(chunk);
        }
        assert!(read.len() > 2);
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &read).unwrap(), batch);
    }
}
