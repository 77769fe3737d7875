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
const LOB_BYTES: usize = 32_767;

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
