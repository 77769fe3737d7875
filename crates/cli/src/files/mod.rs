//! Files as tables: Parquet, Avro, Arrow, CSV and JSON lines, compressed or not, here or in an object store, and standard input.
//!
//! The values of text files are texts. [`Files::typed`] reads them as the types of a table's columns; its errors name the
//! file, the line and the column.

mod arrow_stream;
mod avro;
mod columnar;
mod csv;
mod encoding;
mod file_type;
mod input;
mod json_lines;
mod options;
mod places;
mod position;
mod reading;
mod records;
mod spool;
mod text;
mod text_file;
mod text_format;
mod typed_file;
mod url_table;

use std::path::Path;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::{GetExt, Result as DfResult};
use datafusion::datasource::listing::ListingTable;
use datafusion::prelude::SessionContext;

use datafusion_landfall::columnar::{ValueFormats, infer_type};
use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::load::SAMPLE_ROWS;
use datafusion_landfall::options::Nanoseconds;
use datafusion_landfall::provider::{ReplayableSource, ReplayableTable};

use self::arrow_stream::FILE_MAGIC;
use self::columnar::columnar;
use self::file_type::{compression, file_type};
use self::input::Stdin;
use self::places::{Found, input_error, inputs, urls};
use self::spool::Spool;
use self::text::texts;
use self::text_file::TextFile;
use self::text_format::Layout;
use self::typed_file::{TypedFile, TypedFormat, typed_files};

pub use self::file_type::FileType;
pub use self::options::FileOptions;
pub(crate) use self::reading::Reading;
pub(crate) use self::text_file::NUMBER;
pub(crate) use self::url_table::with_files_by_name;

/// Files that are one table.
#[derive(Debug)]
pub struct Files {
    kind: Kind,
    reading: Reading,
    /// Held until the files are read.
    _spool: Option<Spool>,
}

#[derive(Debug)]
enum Kind {
    Texts(Vec<TextFile>),
    Typed(Vec<Arc<TypedFile>>),
    Columnar(Arc<ListingTable>),
}

impl Files {
    /// Finds the files: names, folders, patterns such as `day/*.csv`, URLs (`s3://`, `gs://`, `az://`, `https://`), or `-` for
    /// standard input. `columns` are the names for text files without a header and names.
    ///
    /// # Errors
    /// `Config` for an option that does not fit the files. `Input` for a file that is missing, or differs from the others.
    pub async fn open(
        context: &SessionContext,
        places: &[String],
        options: &FileOptions,
        columns: Option<Vec<String>>,
    ) -> DfResult<Self> {
        let file_type = file_type(places, options.file_type)?;
        if !file_type.is_text() && options.formats != ValueFormats::default() {
            let text = "formats of dates, timestamps and numbers apply only to text files, and these files are not \
                        text files: omit the formats";
            return Err(Error::new(ErrorKind::Config, text).into());
        }
        let compression = compression(places)?;
        let urls = urls(context, places)?;
        // A specified file is read whatever its extension is; a folder, only its files with the extension of the type.
        let is_folder = places.iter().any(|place| Path::new(place).is_dir());
        let ending =
            if is_folder { format!(".{}{}", file_type.ending(), compression.get_ext()) } else { String::new() };
        let (kind, reading, spool) = match file_type {
            FileType::Csv | FileType::Tsv | FileType::Json => {
                let format = options.text(file_type, compression)?;
                let names = names(&format.layout, &options.columns, columns)?;
                let (found, reading) = inputs(context, &urls, places, &ending).await?;
                (Kind::Texts(texts(found, &format, names).await?), reading, None)
            }
            FileType::Avro => {
                let (found, reading) = inputs(context, &urls, places, &ending).await?;
                (Kind::Typed(typed_files(found, TypedFormat::Avro, compression).await?), reading, None)
            }
            FileType::Parquet | FileType::Arrow if urls.is_empty() => {
                let stdin = Stdin::start().await?;
                if stdin.first().is_empty() {
                    return Err(input_error("standard input is empty"));
                }
                match file_type == FileType::Arrow && !stdin.first().starts_with(FILE_MAGIC) {
                    true => {
                        let found = vec![Found::stdin(stdin)];
                        let files = typed_files(found, TypedFormat::ArrowStream, compression).await?;
                        (Kind::Typed(files), Reading::default(), None)
                    }
                    false => {
                        let spool = Spool::fill(context, &stdin).await?;
                        let (table, reading) = columnar(context, vec![spool.url.clone()], file_type, "").await?;
                        (Kind::Columnar(table), reading, Some(spool))
                    }
                }
            }
            FileType::Parquet | FileType::Arrow => {
                let (table, reading) = columnar(context, urls, file_type, &ending).await?;
                (Kind::Columnar(table), reading, None)
            }
        };
        Ok(Self { kind, reading, _spool: spool })
    }

    /// How much of them has been read.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Whether their values are texts.
    pub fn are_texts(&self) -> bool {
        matches!(self.kind, Kind::Texts(_))
    }

    /// The table, in which values of text files are texts.
    ///
    /// # Errors
    /// None for files that were found.
    pub fn table(&self) -> DfResult<Arc<dyn TableProvider>> {
        self.mapped(TextFile::clone)
    }

    /// The table, of which only the first rows are read: standard input can be read again.
    ///
    /// # Errors
    /// As for `table`.
    pub fn sample(&self) -> DfResult<Arc<dyn TableProvider>> {
        self.mapped(TextFile::sample)
    }

    /// The table, in which a column of text files has the type that the column of this name has in `schema`.
    ///
    /// # Errors
    /// As for `table`.
    pub fn typed(&self, schema: &Schema, nanoseconds: Nanoseconds) -> DfResult<Arc<dyn TableProvider>> {
        self.mapped(|file| file.typed(schema, nanoseconds))
    }

    /// The table, in which a column of text files has the type that stores all of its first values unchanged.
    ///
    /// # Errors
    /// Errors of reading the first rows.
    pub async fn inferred(&self, context: &SessionContext) -> DfResult<Arc<dyn TableProvider>> {
        let sample = context.read_table(self.sample()?)?.limit(0, Some(SAMPLE_ROWS))?;
        let texts = Arc::clone(sample.schema().inner());
        let first = concat_batches(&texts, &sample.collect().await?)?;
        let formats = match &self.kind {
            Kind::Texts(files) => files[0].format.formats.clone(),
            Kind::Columnar(_) | Kind::Typed(_) => ValueFormats::default(),
        };
        let fields = texts.fields().iter().zip(first.columns());
        let fields = fields.map(|(field, column)| Ok(Field::new(field.name(), infer_type(column, &formats)?, true)));
        let types = Schema::new(fields.collect::<Result<Vec<_>, Error>>()?);
        self.typed(&types, Nanoseconds::Error)
    }

    fn mapped(&self, map: impl Fn(&TextFile) -> TextFile) -> DfResult<Arc<dyn TableProvider>> {
        match &self.kind {
            Kind::Columnar(table) => Ok(Arc::clone(table) as Arc<dyn TableProvider>),
            Kind::Typed(files) => {
                let sources = files.iter().map(|file| Arc::clone(file) as Arc<dyn ReplayableSource>);
                Ok(Arc::new(ReplayableTable::try_new(sources.collect())?))
            }
            Kind::Texts(files) => {
                let sources = files.iter().map(|file| Arc::new(map(file)) as Arc<dyn ReplayableSource>);
                Ok(Arc::new(ReplayableTable::try_new(sources.collect())?))
            }
        }
    }
}

/// The names of the columns, if the files do not have them.
fn names(layout: &Layout, given: &[String], columns: Option<Vec<String>>) -> Result<Option<Vec<String>>, Error> {
    match (layout, given.is_empty(), columns) {
        (Layout::Csv(_, true), ..) | (Layout::JsonLines, true, _) => Ok(None),
        (_, false, _) => Ok(Some(given.to_vec())),
        (Layout::Csv(..), true, Some(columns)) => Ok(Some(columns)),
        (Layout::Csv(..), true, None) => {
            let text = "a new table needs column names, but the file has no header line: specify the names of the \
                        columns (--columns)";
            Err(Error::new(ErrorKind::Config, text))
        }
    }
}
