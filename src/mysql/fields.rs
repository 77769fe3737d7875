//! Encodes the rows of a batch as text: the lines of a file for LOAD DATA, or the rows of an INSERT.
//!
//! A row is encoded field by field, each by a function for its column's type: dispatch on the type happens once per
//! column, not once per value. Numbers are written with their shortest digits. All fields are written directly to the
//! buffer that is sent.

use std::sync::Arc;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, BinaryViewArray, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Decimal128Type, Decimal256Type, Float32Type, Float64Type, TimeUnit, i256};

use crate::columnar::IsoText;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::EncodedRows;

/// The form of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Style {
    /// Fields of a file that end with a tab, escaped by `\`.
    File,
    /// SQL literals, in which `\` is an ordinary character.
    Literal,
}

impl Style {
    fn null(self) -> &'static [u8] {
        match self {
            Self::File => br"\N",
            Self::Literal => b"NULL",
        }
    }

    /// The quote around a text that needs no escape.
    fn quote(self) -> &'static [u8] {
        match self {
            Self::File => b"",
            Self::Literal => b"'",
        }
    }
}

/// The first byte of a row that is too long for a statement, in place of a statement. No statement begins with it.
pub(super) const LARGE: u8 = 0;

/// A column whose fields can be written.
pub(super) trait Fields: Send {
    /// Appends the field of a row.
    fn put(&mut self, row: usize, out: &mut Vec<u8>);
}

/// The text around rows, and the limits for a piece.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) style: Style,
    /// The text before and after the rows.
    pub(super) head: String,
    pub(super) tail: String,
    /// Maximum bytes of a piece, unless a single row is longer.
    pub(super) bytes: usize,
    /// Maximum bytes of a piece that the server accepts.
    pub(super) most: usize,
}

/// Rows that are written to buffers.
pub(super) struct FieldRows {
    frame: Arc<Frame>,
    columns: Vec<Box<dyn Fields>>,
    count: usize,
    next: usize,
    as_file: Option<AsFile>,
}

/// Returns the fields of a row for a file.
pub(super) type AsFile = Box<dyn Fn(usize) -> Option<Vec<Box<dyn Fields>>> + Send>;

impl FieldRows {
    /// `as_file` is for rows that are too long for a statement.
    pub(super) fn new(frame: Arc<Frame>, columns: Vec<Box<dyn Fields>>, count: usize, as_file: Option<AsFile>) -> Self {
        Self { frame, columns, count, next: 0, as_file }
    }

    /// Replaces a row that is too long for a statement by its line of a file; `false` if this is impossible.
    fn put_as_file(&self, out: &mut Vec<u8>) -> bool {
        let Some(mut columns) = self.as_file.as_ref().and_then(|fields| fields(self.next)) else { return false };
        out.clear();
        out.push(LARGE);
        put_row(Style::File, &mut columns, 0, out);
        true
    }
}

fn put_row(style: Style, columns: &mut [Box<dyn Fields>], row: usize, out: &mut Vec<u8>) {
    let (begin, between, end): (&[u8], u8, &[u8]) = match style {
        Style::File => (b"", b'\t', b"\n"),
        Style::Literal => (b"(", b',', b"),"),
    };
    out.extend_from_slice(begin);
    for (index, column) in columns.iter_mut().enumerate() {
        if index > 0 {
            out.push(between);
        }
        column.put(row, out);
    }
    out.extend_from_slice(end);
}

impl EncodedRows for FieldRows {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<Option<usize>> {
        let first = self.next;
        if first == self.count {
            return Ok(None);
        }
        out.clear();
        out.extend_from_slice(self.frame.head.as_bytes());
        while self.next < self.count {
            let before = out.len();
            put_row(self.frame.style, &mut self.columns, self.next, out);
            let size = out.len() + self.frame.tail.len();
            if size > self.frame.bytes && self.next > first {
                out.truncate(before);
                break;
            }
            if size > self.frame.most {
                if self.put_as_file(out) {
                    self.next += 1;
                    return Ok(Some(1));
                }
                // The server rounds the setting down to a multiple of this, and counts more than the statement.
                let needed = (size + 1_024).next_multiple_of(1_024);
                let why = format!(
                    "the statement that writes this row has {size} bytes: increase the server's max_allowed_packet to \
                     {needed} or more"
                );
                return Err(Error::new(ErrorKind::Encode, why).at_row(self.next));
            }
            self.next += 1;
        }
        if self.frame.style == Style::Literal {
            // The comma after the last row.
            out.pop();
        }
        out.extend_from_slice(self.frame.tail.as_bytes());
        Ok(Some(self.next - first))
    }
}

/// Fields that are NULL according to `nulls`, and otherwise appended by `put`.
struct Nullable<F> {
    nulls: Option<NullBuffer>,
    null: &'static [u8],
    put: F,
}

impl<F: FnMut(usize, &mut Vec<u8>) + Send> Fields for Nullable<F> {
    #[inline]
    fn put(&mut self, row: usize, out: &mut Vec<u8>) {
        match &self.nulls {
            Some(nulls) if nulls.is_null(row) => out.extend_from_slice(self.null),
            _ => (self.put)(row, out),
        }
    }
}

fn fields(array: &dyn Array, style: Style, put: impl FnMut(usize, &mut Vec<u8>) + Send + 'static) -> Box<dyn Fields> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
    Box::new(Nullable { nulls, null: style.null(), put })
}

/// A column of NULLs.
pub(super) struct Nulls(pub(super) Style);

impl Fields for Nulls {
    fn put(&mut self, _: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.null());
    }
}

pub(super) fn booleans(array: &dyn Array, style: Style) -> Box<dyn Fields> {
    let values = array.as_boolean().values().clone();
    fields(array, style, move |row, out| out.push(b'0' + u8::from(values.value(row))))
}

pub(super) fn integers<T: ArrowPrimitiveType>(array: &dyn Array, style: Style) -> Box<dyn Fields>
where
    T::Native: itoa::Integer,
{
    let values = array.as_primitive::<T>().values().clone();
    let mut digits = itoa::Buffer::new();
    fields(array, style, move |row, out| out.extend_from_slice(digits.format(values[row]).as_bytes()))
}

/// Years as four digits: with fewer, the server would guess the century.
pub(super) fn years(array: &dyn Array, style: Style) -> Box<dyn Fields> {
    let values = array.as_primitive::<arrow::datatypes::UInt16Type>().values().clone();
    let mut digits = itoa::Buffer::new();
    fields(array, style, move |row, out| match values[row] {
        0 => out.extend_from_slice(if style == Style::File { b"0000" } else { b"0" }),
        year => out.extend_from_slice(digits.format(year).as_bytes()),
    })
}

/// A finite number with its shortest digits.
fn put_float(digits: &mut zmij::Buffer, value: f64, style: Style, out: &mut Vec<u8>) {
    let digits = digits.format_finite(value).as_bytes();
    out.extend_from_slice(digits);
    // A literal without an exponent is a decimal.
    if style == Style::Literal && !digits.contains(&b'e') {
        out.extend_from_slice(b"e0");
    }
}

pub(super) fn doubles(array: &dyn Array, style: Style) -> Box<dyn Fields> {
    let values = array.as_primitive::<Float64Type>().values().clone();
    let mut digits = zmij::Buffer::new();
    fields(array, style, move |row, out| put_float(&mut digits, values[row], style, out))
}

/// The server parses a double and rounds it, so the digits are those of the double with the same value.
pub(super) fn floats(array: &dyn Array, style: Style) -> Box<dyn Fields> {
    let values = array.as_primitive::<Float32Type>().values().clone();
    let mut digits = zmij::Buffer::new();
    fields(array, style, move |row, out| put_float(&mut digits, values[row].into(), style, out))
}

/// Digits with a decimal point before the last `scale` of them.
fn put_decimal(is_negative: bool, digits: &[u8], scale: usize, out: &mut Vec<u8>) {
    if is_negative {
        out.push(b'-');
    }
    let whole = digits.len().saturating_sub(scale);
    match whole {
        0 => out.push(b'0'),
        _ => out.extend_from_slice(&digits[..whole]),
    }
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
        out.extend_from_slice(&digits[whole..]);
    }
}

pub(super) fn decimals(array: &dyn Array, scale: i8, style: Style) -> Box<dyn Fields> {
    let scale = usize::try_from(scale).unwrap_or(0);
    if let Some(decimals) = array.as_primitive_opt::<Decimal128Type>() {
        let values = decimals.values().clone();
        let mut digits = itoa::Buffer::new();
        return fields(array, style, move |row, out| {
            let value: i128 = values[row];
            let digits = match u64::try_from(value.unsigned_abs()) {
                Ok(short) => digits.format(short),
                Err(_) => digits.format(value.unsigned_abs()),
            };
            put_decimal(value < 0, digits.as_bytes(), scale, out);
        });
    }
    let values = array.as_primitive::<Decimal256Type>().values().clone();
    fields(array, style, move |row, out| {
        let value: i256 = values[row];
        let digits = value.to_string();
        put_decimal(value < i256::ZERO, digits.trim_start_matches('-').as_bytes(), scale, out);
    })
}

/// Texts that `text` formats from units, in years that it supports.
fn iso<T: ArrowPrimitiveType>(
    array: &dyn Array,
    style: Style,
    text: impl for<'t> Fn(&'t mut IsoText, T::Native) -> Option<&'t str> + Send + 'static,
) -> Box<dyn Fields> {
    let values = array.as_primitive::<T>().values().clone();
    let mut iso = IsoText::new();
    fields(array, style, move |row, out| {
        out.extend_from_slice(style.quote());
        out.extend_from_slice(text(&mut iso, values[row]).unwrap_or_default().as_bytes());
        out.extend_from_slice(style.quote());
    })
}

pub(super) fn dates(array: &dyn Array, style: Style) -> Box<dyn Fields> {
    iso::<arrow::datatypes::Date32Type>(array, style, |text, days| text.date(days.into()))
}

pub(super) fn timestamps(array: &dyn Array, style: Style) -> Box<dyn Fields> {
    iso::<arrow::datatypes::TimestampMicrosecondType>(array, style, |text, micros| {
        text.timestamp(micros, TimeUnit::Microsecond, "")
    })
}

pub(super) fn times(array: &dyn Array, style: Style) -> Box<dyn Fields> {
    iso::<arrow::datatypes::Time64MicrosecondType>(array, style, |text, micros| {
        text.time(micros, TimeUnit::Microsecond)
    })
}

const MICROS_PER_HOUR: u64 = 3_600_000_000;

/// Times of more than a day, or negative ones.
pub(super) fn durations(array: &dyn Array, style: Style) -> Box<dyn Fields> {
    let values = array.as_primitive::<arrow::datatypes::DurationMicrosecondType>().values().clone();
    let (mut digits, mut iso) = (itoa::Buffer::new(), IsoText::new());
    fields(array, style, move |row, out| {
        let micros = values[row].unsigned_abs();
        let (hours, of_hour) = (micros / MICROS_PER_HOUR, micros % MICROS_PER_HOUR);
        // The hours of the time are `00`, which the actual hours replace.
        let time = iso.time(of_hour as i64, TimeUnit::Microsecond).unwrap_or_default();
        out.extend_from_slice(style.quote());
        out.extend_from_slice(if values[row] < 0 { b"-" } else { b"" });
        out.extend_from_slice(digits.format(hours).as_bytes());
        out.extend_from_slice(time.trim_start_matches('0').as_bytes());
        out.extend_from_slice(style.quote());
    })
}

/// Appends bytes as a field of a file.
#[inline]
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let is_special = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\\' | b'\0');
    // Checks all bytes without a branch, because most texts are short.
    if !bytes.iter().fold(false, |found, byte| found | is_special(byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    for byte in bytes {
        match byte {
            b'\t' => out.extend_from_slice(br"\t"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\\' => out.extend_from_slice(br"\\"),
            b'\0' => out.extend_from_slice(br"\0"),
            byte => out.push(*byte),
        }
    }
}

pub(super) fn texts(array: &StringViewArray, style: Style) -> Box<dyn Fields> {
    let texts = array.clone();
    match style {
        Style::File => fields(array, style, move |row, out| escape(texts.value(row).as_bytes(), out)),
        Style::Literal => fields(array, style, move |row, out| {
            out.push(b'\'');
            for byte in texts.value(row).bytes() {
                if byte == b'\'' {
                    out.push(b'\'');
                }
                out.push(byte);
            }
            out.push(b'\'');
        }),
    }
}

pub(super) fn blobs(array: &BinaryViewArray, style: Style) -> Box<dyn Fields> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let blobs = array.clone();
    match style {
        Style::File => fields(array, style, move |row, out| escape(blobs.value(row), out)),
        Style::Literal => fields(array, style, move |row, out| {
            out.extend_from_slice(b"X'");
            out.extend(blobs.value(row).iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|d| DIGITS[usize::from(d)]));
            out.push(b'\'');
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, DurationMicrosecondArray, Float32Array, Float64Array};

    use super::*;

    fn shown(mut fields: Box<dyn Fields>, rows: usize) -> Vec<String> {
        let field = |row| {
            let mut out = Vec::new();
            fields.put(row, &mut out);
            String::from_utf8(out).expect("UTF-8")
        };
        (0..rows).map(field).collect()
    }

    #[test]
    fn numbers_have_the_fewest_digits_that_mean_them() {
        let doubles_of = |style| shown(doubles(&Float64Array::from(vec![0.1, -0.0, 1e300, 5e-324]), style), 4);
        assert_eq!(doubles_of(Style::File), ["0.1", "-0.0", "1e+300", "5e-324"]);
        assert_eq!(doubles_of(Style::Literal), ["0.1e0", "-0.0e0", "1e+300", "5e-324"]);
        let float = floats(&Float32Array::from(vec![Some(0.1), None]), Style::File);
        assert_eq!(shown(float, 2), ["0.10000000149011612", "\\N"]);
        let values = vec![Some(0), Some(-5), Some(123_456), None, Some(-i128::pow(10, 37))];
        let decimal = Decimal128Array::from(values).with_precision_and_scale(38, 3).expect("a decimal");
        let texts = ["0.000", "-0.005", "123.456", "NULL", "-10000000000000000000000000000000000.000"];
        assert_eq!(shown(decimals(&decimal, 3, Style::Literal), 5), texts);
    }

    #[test]
    fn texts_are_escaped() {
        let nasty = StringViewArray::from(vec!["plain", "tab\tline\nback\\slash\0", "it's", "", "NULL", "ü\r"]);
        let file = ["plain", "tab\\tline\\nback\\\\slash\\0", "it's", "", "NULL", "ü\r"];
        assert_eq!(shown(texts(&nasty, Style::File), 6), file);
        let literals = ["'plain'", "'tab\tline\nback\\slash\0'", "'it''s'", "''", "'NULL'", "'ü\r'"];
        assert_eq!(shown(texts(&nasty, Style::Literal), 6), literals);
    }

    #[test]
    fn durations_are_times() {
        let values = DurationMicrosecondArray::from(vec![0, -1, 3_020_399_000_000]);
        let texts = ["0:00:00.000000", "-0:00:00.000001", "838:59:59.000000"];
        assert_eq!(shown(durations(&values, Style::File), 3), texts);
    }

    #[test]
    fn rows_come_in_pieces_and_a_row_too_long_is_named() {
        let values = StringViewArray::from(vec!["a", "bb", "ccc", "dddddddddddddddddddddddddddddddddddd"]);
        let pieces = |bytes, most| {
            let (head, tail) = ("H ".to_owned(), " T".to_owned());
            let frame = Frame { style: Style::Literal, head, tail, bytes, most };
            let mut rows = FieldRows::new(Arc::new(frame), vec![texts(&values, Style::Literal)], 4, None);
            let mut out = Vec::new();
            let mut pieces = Vec::new();
            while let Some(count) = rows.write(&mut out)? {
                pieces.push((count, String::from_utf8(out.clone()).expect("UTF-8")));
            }
            Ok::<_, Error>(pieces)
        };
        let all = pieces(20, 100).expect("pieces");
        let texts: Vec<_> = all.iter().map(|(count, text)| (*count, text.as_str())).collect();
        let long = "H ('dddddddddddddddddddddddddddddddddddd') T";
        assert_eq!(texts, [(2, "H ('a'),('bb') T"), (1, "H ('ccc') T"), (1, long)]);
        let error = pieces(20, 30).expect_err("too long");
        assert_eq!((error.row(), error.kind()), (Some(3), ErrorKind::Encode));
    }
}
