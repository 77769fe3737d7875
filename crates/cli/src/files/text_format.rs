//! How a text file is read.

use std::fmt;

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use encoding_rs::Encoding;

use datafusion_landfall::columnar::ValueFormats;

use super::csv::Dialect;

/// How the lines of a file become records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// CSV, with or without a line of column names.
    Csv(Dialect, bool),
    /// An object of JSON on each line.
    JsonLines,
}

/// How a text file is read.
#[derive(Debug, Clone)]
pub(super) struct TextFormat {
    pub(super) layout: Layout,
    pub(super) compression: FileCompressionType,
    pub(super) encoding: Option<&'static Encoding>,
    /// The text that means NULL where it is not in quotation marks.
    pub(super) null: String,
    /// Whether it means NULL in quotation marks, too.
    pub(super) null_in_quotes: bool,
    /// How dates, timestamps and numbers are written.
    pub(super) formats: ValueFormats,
}

impl fmt::Display for TextFormat {
    /// What is unusual about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layout, encoding, null, null_in_quotes, formats, .. } = self;
        if let Layout::Csv(Dialect { delimiter, quote, escape, comment }, has_header) = layout {
            let marks = [
                ("delimiter", Some(*delimiter), b','),
                ("quote", *quote, b'"'),
                ("escape", *escape, 0),
                ("comment", *comment, 0),
            ];
            for (what, mark, usual) in marks {
                match mark {
                    Some(mark) if mark != usual => write!(f, ", {what} {:?}", char::from(mark))?,
                    None if usual != 0 => write!(f, ", no {what}")?,
                    _ => {}
                }
            }
            if !has_header {
                f.write_str(", no header")?;
            }
        }
        if !null.is_empty() {
            write!(f, ", NULL is {null:?}")?;
        }
        if *null_in_quotes {
            f.write_str(", NULL in quotation marks")?;
        }
        write!(f, "{formats}")?;
        match encoding {
            Some(encoding) => write!(f, ", {}", encoding.name()),
            None => Ok(()),
        }
    }
}
