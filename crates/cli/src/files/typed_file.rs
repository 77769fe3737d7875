//! Files with types that are read from their beginning to their end: Avro, and Arrow from standard input.

use std::error::Error as StdError;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::Result as DfResult;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::execution::TaskContext;
use futures::{StreamExt, stream};

use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::provider::{PositionedStream, ReplayableSource};

use super::arrow_stream::ArrowStream;
use super::avro::Avro;
use super::columnar::same;
use super::input::Input;
use super::places::{Found, STDIN_NAME, input_error};
use super::position;

/// The name of the number in a position.
const AT: &str = "at";

/// A result of decoding, whose error says what is wrong with the file.
pub(super) type DecodeResult<T> = Result<T, Box<dyn StdError + Send + Sync>>;

/// Makes batches of the parts of a file.
pub(super) trait Decode: Send {
    /// Adds a part.
    fn add(&mut self, part: Bytes);

    /// The columns; `None` before the parts that tell them.
    fn schema(&mut self) -> DecodeResult<Option<SchemaRef>>;

    /// The next batch; `None` if it is not there yet, or the file is at its end.
    fn next(&mut self, is_at_end: bool) -> DecodeResult<Option<RecordBatch>>;

    /// The position after the last batch.
    fn position(&self) -> u64;
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypedFormat {
    Avro,
    ArrowStream,
}

impl TypedFormat {
    /// Begins to read after a position.
    fn decode(self, start: u64) -> Box<dyn Decode> {
        match self {
            Self::Avro => Box::new(Avro::new(start)),
            Self::ArrowStream => Box::new(ArrowStream::new(start)),
        }
    }
}

/// A file with types.
#[derive(Debug)]
pub(super) struct TypedFile {
    name: String,
    url: String,
    input: Input,
    format: TypedFormat,
    compression: FileCompressionType,
    schema: SchemaRef,
}

/// The files, which have the same columns.
pub(super) async fn typed_files(
    found: Vec<Found>,
    format: TypedFormat,
    compression: FileCompressionType,
) -> DfResult<Vec<Arc<TypedFile>>> {
    let mut files: Vec<Arc<TypedFile>> = Vec::new();
    for Found { name, url, input } in found {
        let schema = columns(&name, &input, format, compression).await?;
        let schema = match files.first() {
            Some(first) => {
                same(&first.name, &first.schema, &name, &schema)?;
                Arc::clone(&first.schema)
            }
            None => schema,
        };
        files.push(Arc::new(TypedFile { name, url, input, format, compression, schema }));
    }
    Ok(files)
}

/// What a file is in a message.
fn what(name: &str) -> String {
    if name == STDIN_NAME { name.to_owned() } else { format!("file {name}") }
}

/// An error of a file.
fn wrong(name: &str, why: Box<dyn StdError + Send + Sync>) -> Error {
    Error::new(ErrorKind::Input, format!("{} {}", what(name), Why(why)))
}

/// Our own errors say what the file is; those of the decoders, what was found.
struct Why(Box<dyn StdError + Send + Sync>);

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.downcast_ref::<arrow::error::ArrowError>() {
            Some(error) => write!(f, "could not be read: {error}"),
            None => self.0.fmt(f),
        }
    }
}

/// The columns of a file. Any of them can be NULL: the target decides.
async fn columns(
    name: &str,
    input: &Input,
    format: TypedFormat,
    compression: FileCompressionType,
) -> DfResult<SchemaRef> {
    let (mut parts, _) = input.sample(compression)?;
    let (mut decode, mut is_empty) = (format.decode(0), true);
    while let Some(part) = parts.next().await.transpose()? {
        if part.is_empty() {
            continue;
        }
        is_empty = false;
        decode.add(part);
        if let Some(schema) = decode.schema().map_err(|why| wrong(name, why))? {
            let fields = schema.fields().iter().map(|field| Field::clone(field).with_nullable(true));
            return Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        }
    }
    if is_empty {
        return Err(input_error(format!("{} is empty", what(name))));
    }
    Err(input_error(format!("{} is cut off: it ends before the end of its header", what(name))))
}

impl ReplayableSource for TypedFile {
    fn name(&self) -> String {
        self.url.clone()
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn read(&self, position: Option<&str>, _: Arc<TaskContext>) -> DfResult<PositionedStream> {
        let (name, input, schema) = (self.name.clone(), self.input.clone(), Arc::clone(&self.schema));
        let start = position.map(|position| position::restored(&name, &input, position, [AT])).transpose()?;
        let decode = self.format.decode(start.map_or(0, |[at]| at));
        let parts = input.open(self.compression)?;
        let batches = stream::try_unfold((parts, decode, false), move |(mut parts, mut decode, mut is_at_end)| {
            let (name, input, schema) = (name.clone(), input.clone(), Arc::clone(&schema));
            async move {
                loop {
                    if let Some(batch) = decode.next(is_at_end).map_err(|why| wrong(&name, why))? {
                        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                        let batch = RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options)?;
                        let position = position::stored(&input, [(AT, decode.position())]);
                        return Ok(Some(((batch, position), (parts, decode, is_at_end))));
                    }
                    if is_at_end {
                        return Ok(None);
                    }
                    match parts.next().await {
                        Some(part) => decode.add(part?),
                        None => is_at_end = true,
                    }
                }
            }
        });
        Ok(batches.boxed())
    }
}
