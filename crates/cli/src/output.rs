//! Prints the rows of a query.

use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json;
use arrow::util::pretty::pretty_format_batches_with_schema;

use crate::arguments::Format;
use crate::cut::cut;
use crate::message::Failure;
use crate::readable::{self, readable};

/// The number of rows of a table that are printed on a terminal.
const TERMINAL_ROWS: usize = 500;

/// The bytes that are written at once. Between them, a signal can stop the output.
const PIECE: usize = 64 * 1024;

/// The standard output, until it is stopped.
#[derive(Clone)]
pub(crate) struct Output {
    out: Arc<Stdout>,
    is_stopped: Arc<AtomicBool>,
}

impl Output {
    fn new() -> Self {
        Self { out: Arc::new(io::stdout()), is_stopped: Arc::default() }
    }

    /// Ends the output: nothing more is written.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.is_stopped.load(Relaxed) {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => self.out.as_ref().write(&bytes[..bytes.len().min(PIECE)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_ref().flush()
    }
}

/// Prints batches, at once or, if the column widths must be known, at the end. It blocks.
pub(crate) struct Printer {
    layout: Layout,
    output: Output,
}

enum Layout {
    Table { schema: SchemaRef, batches: Vec<RecordBatch>, kept: usize, rows: usize, limit: usize },
    Csv(Box<csv::Writer<Output>>),
    Json(json::ArrayWriter<Output>),
}

impl Printer {
    pub(crate) fn try_new(format: Format, schema: SchemaRef) -> Result<Self, Failure> {
        let output = Output::new();
        Ok(Self { layout: Layout::try_new(format, schema, output.clone())?, output })
    }

    /// What it prints to.
    pub(crate) fn output(&self) -> Output {
        self.output.clone()
    }

    pub(crate) fn print(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.layout.print(batch)
    }

    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.layout.finish(self.output)
    }
}

impl Layout {
    fn try_new(format: Format, schema: SchemaRef, out: Output) -> Result<Self, Failure> {
        Ok(match format {
            Format::Table => {
                let limit = if io::stdout().is_terminal() { TERMINAL_ROWS } else { usize::MAX };
                Self::Table { schema: readable::schema(&schema), batches: Vec::new(), kept: 0, rows: 0, limit }
            }
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
                // An empty result has a header, too.
                writer.write(&RecordBatch::new_empty(readable::schema(&schema))).map_err(failed)?;
                Self::Csv(Box::new(writer))
            }
            Format::Json => Self::Json(
                json::WriterBuilder::new().with_explicit_nulls(true).build::<_, json::writer::JsonArray>(out),
            ),
        })
    }

    fn print(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        // JSON has its own formats.
        let printed = match self {
            Self::Json(_) => None,
            _ => Some(readable(batch).map_err(failed)?),
        };
        let batch = printed.as_ref().unwrap_or(batch);
        match self {
            Self::Table { batches, kept, rows, limit, .. } => {
                *rows += batch.num_rows();
                let take = batch.num_rows().min(*limit - *kept);
                if take > 0 {
                    batches.push(cut(&batch.slice(0, take)).map_err(failed)?);
                    *kept += take;
                }
                Ok(())
            }
            Self::Csv(writer) => writer.write(batch).map_err(failed),
            Self::Json(writer) => writer.write(batch).map_err(failed),
        }
    }

    fn finish(self, mut out: Output) -> Result<(), Failure> {
        match self {
            Self::Table { schema, batches, kept, rows, .. } => {
                let table = pretty_format_batches_with_schema(schema, &batches).map_err(failed)?;
                let more = match rows - kept {
                    0 => String::new(),
                    more => format!(", of which {more} are not shown; --format csv prints all rows"),
                };
                let noun = if rows == 1 { "row" } else { "rows" };
                written(writeln!(out, "{table}\n{rows} {noun}{more}").and_then(|()| out.flush()))
            }
            Self::Csv(writer) => written(writer.into_inner().flush()),
            Self::Json(mut writer) => {
                writer.finish().map_err(failed)?;
                let mut out = writer.into_inner();
                written(writeln!(out).and_then(|()| out.flush()))
            }
        }
    }
}

/// Prints the outcome of a statement without rows: on stdout for people, on stderr if programs read the rows.
pub(crate) fn status(format: Format, text: &str) -> Result<(), Failure> {
    match format {
        Format::Table => written(writeln!(io::stdout().lock(), "{text}")),
        Format::Csv | Format::Json => {
            eprintln!("{text}");
            Ok(())
        }
    }
}

pub(crate) fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::closed_output(),
        _ => Failure::new(format!("could not write the output: {error}")),
    })
}

fn failed(error: ArrowError) -> Failure {
    match error {
        ArrowError::IoError(_, error) => match written(Err(error)) {
            Err(failure) => failure,
            Ok(()) => Failure::closed_output(),
        },
        ArrowError::CsvError(text) if text.contains("Broken pipe") => Failure::closed_output(),
        other => Failure::new(format!("could not print the rows: {other}")),
    }
}
