//! The records of a text file that is read in parts, as batches.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringViewBuilder};
use datafusion::common::Result as DfResult;
use memchr::memchr;

use datafusion_landfall::error::{Error, ErrorKind};

use super::csv::{Cell, Malformed, Scanned};
use super::encoding::Decoder;
use super::json_lines::members;
use super::position;
use super::text_file::{Start, TextFile};
use super::text_format::{Layout, TextFormat};

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// Bytes of text in a batch, at most, unless a single row has more.
const BATCH_BYTES: usize = 4 << 20;

/// Bytes of a record, at most: an opening quotation mark that is not closed would make a value of the rest of the file.
const RECORD_BYTES: usize = 256 << 20;

/// The records of a file that is read in parts.
pub(super) struct Records {
    name: String,
    format: TextFormat,
    decoder: Decoder,
    /// Text that is not in a batch yet, from `at` on.
    text: Vec<u8>,
    at: usize,
    /// Bytes of text before `text`.
    before: u64,
    /// Bytes of text still to be skipped before a start.
    skips: u64,
    /// Lines before `at`.
    lines: u64,
    /// Length of text from `at` on that has no whole record.
    tried: usize,
    has_header: bool,
    columns: Vec<StringViewBuilder>,
    places: HashMap<String, usize>,
    /// The first line of each row in the batch.
    row_lines: Vec<u64>,
    batch_bytes: usize,
    cells: Vec<Cell>,
    unescaped: Vec<u8>,
}

impl Records {
    pub(super) fn new(file: &TextFile, start: Option<Start>) -> Self {
        let has_header = start.is_none() && matches!(file.format.layout, Layout::Csv(_, true));
        let columns = file.columns.iter().map(|_| StringViewBuilder::new()).collect();
        let places = file.columns.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        Self {
            name: file.name.clone(),
            format: file.format.clone(),
            decoder: Decoder::new(file.format.encoding),
            text: Vec::new(),
            at: 0,
            before: 0,
            skips: start.map_or(0, |start| start.bytes),
            lines: start.map_or(0, |start| start.lines),
            tried: 0,
            has_header,
            columns,
            places,
            row_lines: Vec::new(),
            batch_bytes: 0,
            cells: Vec::new(),
            unescaped: Vec::new(),
        }
    }

    /// An error of the record that begins at `at`.
    fn error(&self, why: impl AsRef<str>) -> Error {
        let text = format!("file {}, line {}: {}", self.name, self.lines + 1, why.as_ref());
        Error::new(ErrorKind::Input, text)
    }

    /// Adds bytes of the file.
    pub(super) fn add(&mut self, part: &[u8], is_last: bool) -> Result<(), Error> {
        self.before += self.at as u64;
        self.text.drain(..self.at);
        self.at = 0;
        let decoded = self.decoder.decode(part, is_last, &mut self.text);
        decoded.map_err(|error| error.with_context(format!("file {}", self.name)))?;
        if self.skips > 0 {
            let skipped = self.text.len().min(usize::try_from(self.skips).unwrap_or(usize::MAX));
            self.text.drain(..skipped);
            self.skips -= skipped as u64;
            self.before += skipped as u64;
        }
        if self.text.len() > RECORD_BYTES && self.tried > RECORD_BYTES / 2 {
            return Err(
                self.error("the record is longer than 256 MiB: check whether a closing quotation mark is missing")
            );
        }
        Ok(())
    }

    fn malformed(&self, malformed: Malformed) -> Error {
        self.error(match malformed {
            Malformed::Unclosed(number) => format!(
                "value {} has no closing quotation mark; if the opening quotation mark is part of the value, set \
                 another quotation mark",
                number + 1
            ),
            Malformed::AfterQuote(number) => format!(
                "value {} continues after its closing quotation mark: write a quotation mark that is part of the \
                 value twice, or set another quotation mark or escape character",
                number + 1
            ),
        })
    }

    /// Finds the next record, from `at` on. Its values are in `cells`, its text is `at..at + length`.
    fn next(&mut self, is_at_end: bool) -> Result<Option<(usize, u64)>, Error> {
        loop {
            let rest = &self.text[self.at..];
            // What was too short is looked at again when it has grown: else a long value would be read for each part.
            if !is_at_end && self.tried > 0 && rest.len() < self.tried.saturating_mul(2) {
                return Ok(None);
            }
            let found = match self.format.layout {
                Layout::Csv(dialect, _) => {
                    let found = dialect.record(rest, is_at_end, &mut self.cells);
                    found.map_err(|malformed| self.malformed(malformed))?
                }
                Layout::JsonLines => match memchr(b'\n', rest) {
                    Some(length) => Scanned::Record(length + 1, 0),
                    None if is_at_end && rest.is_empty() => Scanned::End,
                    None if is_at_end => Scanned::Record(rest.len(), 0),
                    None => Scanned::More,
                },
            };
            match found {
                Scanned::Record(length, breaks) => {
                    self.tried = 0;
                    let is_empty = match self.format.layout {
                        // A single column has an empty line for a value.
                        Layout::Csv(..) => {
                            self.columns.len() != 1 && matches!(self.cells.as_slice(), [cell] if cell.end == 0)
                        }
                        Layout::JsonLines => rest[..length].trim_ascii().is_empty(),
                    };
                    if !is_empty {
                        return Ok(Some((length, breaks)));
                    }
                    self.skip(length, 0);
                }
                Scanned::Nothing(length) => self.skip(length, 0),
                Scanned::More => {
                    self.tried = rest.len().max(1);
                    return Ok(None);
                }
                Scanned::End => return Ok(None),
            }
        }
    }

    fn skip(&mut self, length: usize, breaks: u64) {
        self.at += length;
        self.lines += 1 + breaks;
    }

    /// A record's text, which is checked to be UTF-8.
    fn record(&self, length: usize) -> Result<&str, Error> {
        let record = &self.text[self.at..self.at + length];
        std::str::from_utf8(record).map_err(|error| {
            let byte = record[error.valid_up_to()];
            self.error(format!(
                "byte 0x{byte:02x} is not valid in UTF-8: specify the encoding of the file, for example windows-1252"
            ))
        })
    }

    /// Collects names of columns; whether they are all known.
    pub(super) fn names(
        &mut self,
        names: &mut Vec<String>,
        seen: &mut usize,
        rows: usize,
        is_at_end: bool,
    ) -> Result<bool, Error> {
        while let Some((length, breaks)) = self.next(is_at_end)? {
            let record = self.record(length)?;
            if let Layout::Csv(dialect, _) = self.format.layout {
                let mut unescaped = Vec::new();
                for cell in &self.cells {
                    dialect.unescaped(&record.as_bytes()[cell.start..cell.end], &mut unescaped);
                    names.push(String::from_utf8_lossy(&unescaped).into_owned());
                }
                return Ok(true);
            }
            for member in members(record).map_err(|why| self.error(why))? {
                if !names.iter().any(|name| *name == member.key) {
                    names.push(member.key.into_owned());
                }
            }
            self.skip(length, breaks);
            *seen += 1;
            if *seen == rows {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next batch, with the position after it; `None` if more of the text is needed, or it is at its end.
    pub(super) fn batch(
        &mut self,
        file: &TextFile,
        is_at_end: bool,
        is_whole: bool,
    ) -> DfResult<Option<(RecordBatch, String)>> {
        while self.row_lines.len() < BATCH_ROWS && self.batch_bytes < BATCH_BYTES {
            // A sample ends where its last record may be cut off.
            let Some((length, breaks)) = self.next(is_at_end && is_whole)? else { break };
            if std::mem::take(&mut self.has_header) {
                self.skip(length, breaks);
                continue;
            }
            self.row(file, length)?;
            self.row_lines.push(self.lines + 1);
            self.batch_bytes += length;
            self.skip(length, breaks);
        }
        let is_full = self.row_lines.len() == BATCH_ROWS || self.batch_bytes >= BATCH_BYTES;
        if self.row_lines.is_empty() || !(is_full || is_at_end) {
            return Ok(None);
        }
        self.batch_bytes = 0;
        let lines = std::mem::take(&mut self.row_lines);
        let columns = self.columns.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
        let columns: Vec<_> = columns.collect();
        let typed = columns.iter().zip(file.types.iter()).enumerate().map(|(index, (texts, from_text))| {
            let Some(from_text) = from_text else { return Ok(Arc::clone(texts)) };
            from_text.apply(texts).map_err(|error| {
                let line = error.row().and_then(|row| lines.get(row)).copied().unwrap_or_default();
                error.with_context(format!("file {}, line {line}, column \"{}\"", self.name, file.columns[index]))
            })
        });
        let typed = typed.collect::<Result<Vec<_>, Error>>()?;
        let typed = file.order.iter().map(|column| Arc::clone(&typed[*column])).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let batch = RecordBatch::try_new_with_options(file.schema(), typed, &options)?;
        let numbers = [("bytes", self.before + self.at as u64), ("lines", self.lines)];
        Ok(Some((batch, position::stored(&file.input, numbers))))
    }

    /// Appends a record to the columns.
    fn row(&mut self, file: &TextFile, length: usize) -> Result<(), Error> {
        let record = std::str::from_utf8(&self.text[self.at..self.at + length]);
        let Ok(record) = record else { return self.record(length).map(drop) };
        let Layout::Csv(dialect, _) = self.format.layout else { return self.object(file, length) };
        if self.cells.len() != self.columns.len() {
            let (found, wanted) = (self.cells.len(), self.columns.len());
            let columns = if wanted == 1 { "column" } else { "columns" };
            let values = if found == 1 { "value" } else { "values" };
            return Err(self.error(format!("expected {wanted} {columns}, but found {found} {values}")));
        }
        let TextFormat { null, null_in_quotes, .. } = &self.format;
        for (cell, column) in self.cells.iter().zip(&mut self.columns) {
            // Both ends are beside a byte of ASCII.
            let value = record.get(cell.start..cell.end).unwrap_or_default();
            if value == null && (!cell.is_quoted || *null_in_quotes) {
                column.append_null();
            } else if cell.has_escapes {
                dialect.unescaped(value.as_bytes(), &mut self.unescaped);
                column.append_value(String::from_utf8_lossy(&self.unescaped));
            } else {
                column.append_value(value);
            }
        }
        Ok(())
    }

    /// Appends the object on a line to the columns.
    fn object(&mut self, file: &TextFile, length: usize) -> Result<(), Error> {
        let record = self.record(length)?;
        let members = members(record).map_err(|why| self.error(why))?;
        let mut values: Vec<Option<Option<Cow<'_, str>>>> = vec![None; file.columns.len()];
        for member in members {
            let Some(index) = self.places.get(member.key.as_ref()) else {
                return Err(self.error(format!(
                    "the object has a member \"{}\", which is not one of the columns {}: list all columns (--columns)",
                    member.key,
                    file.columns.join(", ")
                )));
            };
            let value = match member.is_number && file.reads_numbers(*index) {
                // A number has a decimal point in JSON, whatever the texts have.
                true => member.value.map(|number| self.format.formats.number(&number).into_owned().into()),
                false => member.value,
            };
            if values[*index].replace(value).is_some() {
                return Err(self.error(format!("the object has two members named \"{}\"", member.key)));
            }
        }
        let values: Vec<Option<String>> =
            values.into_iter().map(|value| value.flatten().map(Cow::into_owned)).collect();
        for (value, column) in values.into_iter().zip(&mut self.columns) {
            column.append_option(value);
        }
        Ok(())
    }
}
