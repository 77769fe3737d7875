//! How files are read.

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use datafusion_landfall::columnar::ValueFormats;
use datafusion_landfall::error::{Error, ErrorKind};

use super::csv::Dialect;
use super::encoding;
use super::file_type::FileType;
use super::text_format::{Layout, TextFormat};

/// How files are read. What the names of the files say, and what is usual, by default.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// The type of the files, if their names do not tell it.
    pub file_type: Option<FileType>,
    /// Whether the first line of a CSV file has the names of the columns.
    pub has_header: bool,
    /// The names of the columns of a file without a header; the members of JSON objects that are read.
    pub columns: Vec<String>,
    /// The character between two values; a comma, or a tab in a TSV file.
    pub delimiter: Option<char>,
    /// The character around values that contain a delimiter or a line break; `None` if there is none.
    pub quote: Option<char>,
    /// The character before a quotation mark inside a quoted value; `None` if it is doubled.
    pub escape: Option<char>,
    /// The first character of lines that are ignored.
    pub comment: Option<char>,
    /// The value that means NULL, unless it is in quotation marks.
    pub null: String,
    /// Whether it means NULL in quotation marks, too.
    pub null_in_quotes: bool,
    /// The encoding of text files without a byte order mark; UTF-8 by default.
    pub encoding: Option<String>,
    /// The formats of dates, timestamps and numbers in text files.
    pub formats: ValueFormats,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            file_type: None,
            has_header: true,
            columns: Vec::new(),
            delimiter: None,
            quote: Some('"'),
            escape: None,
            comment: None,
            null: String::new(),
            null_in_quotes: false,
            encoding: None,
            formats: ValueFormats::default(),
        }
    }
}

impl FileOptions {
    pub(super) fn text(&self, file_type: FileType, compression: FileCompressionType) -> Result<TextFormat, Error> {
        let byte = |what: &str, char: char| {
            u8::try_from(char).ok().filter(u8::is_ascii).ok_or_else(|| {
                let text =
                    format!("the {what} '{char}' is not an ASCII character: use an ASCII character such as ',' or ';'");
                Error::new(ErrorKind::Config, text)
            })
        };
        let layout = match file_type {
            FileType::Json => Layout::JsonLines,
            _ => {
                let usual = if file_type == FileType::Tsv { '\t' } else { ',' };
                let dialect = Dialect {
                    delimiter: byte("delimiter", self.delimiter.unwrap_or(usual))?,
                    quote: self.quote.map(|char| byte("quotation mark", char)).transpose()?,
                    escape: self.escape.map(|char| byte("escape character", char)).transpose()?,
                    comment: self.comment.map(|char| byte("comment character", char)).transpose()?,
                };
                if dialect.quote == Some(dialect.delimiter) {
                    return Err(Error::new(
                        ErrorKind::Config,
                        "the quotation mark and the delimiter are the same character: change one of them",
                    ));
                }
                Layout::Csv(dialect, self.has_header)
            }
        };
        Ok(TextFormat {
            layout,
            compression,
            encoding: self.encoding.as_deref().map(encoding::named).transpose()?,
            null: self.null.clone(),
            null_in_quotes: self.null_in_quotes,
            formats: self.formats.clone(),
        })
    }
}
