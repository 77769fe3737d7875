//! Files as tables: Parquet, Arrow, CSV and JSON lines, compressed or not, here or in an object store, and standard input.
//!
//! The values of text files are texts. [`Files::typed`] reads them as the types of a table's columns; its errors name the
//! file, the line and the column.

mod csv;
mod encoding;
mod input;
mod json_lines;
mod text;
mod url_table;

use std::path::Path;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use clap::ValueEnum;
use datafusion::catalog::TableProvider;
use datafusion::common::GetExt;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use url::Url;

use datafusion_landfall::columnar::infer_type;
use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::load::SAMPLE_ROWS;
use datafusion_landfall::log::store_at;
use datafusion_landfall::options::Nanoseconds;
use datafusion_landfall::provider::{ReplayableSource, ReplayableTable};

use self::csv::Dialect;
use self::input::{Input, Stdin};
use self::text::{Layout, TextFile, TextFormat};

pub(crate) use self::url_table::with_files_by_name;

/// The name of standard input among files.
const STDIN: &str = "-";

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileType {
    /// Values separated by commas
    Csv,
    /// Values separated by tabs
    Tsv,
    /// A JSON object on each line
    Json,
    /// Apache Parquet
    Parquet,
    /// The Arrow IPC format: files and streams
    Arrow,
}

impl FileType {
    const ENDINGS: [(&str, Self); 10] = [
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("tab", Self::Tsv),
        ("json", Self::Json),
        ("jsonl", Self::Json),
        ("ndjson", Self::Json),
        ("parquet", Self::Parquet),
        ("arrow", Self::Arrow),
        ("feather", Self::Arrow),
        ("ipc", Self::Arrow),
    ];

    /// The type that a name ends in, before the ending of its compression.
    fn of(path: &str) -> Option<Self> {
        let (path, _) = uncompressed(path);
        let ending = path.rsplit_once('.')?.1.to_ascii_lowercase();
        Self::ENDINGS.into_iter().find(|(known, _)| *known == ending).map(|(_, of)| of)
    }

    /// Whether its values are texts.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::Json)
    }

    fn ending(self) -> &'static str {
        Self::ENDINGS.into_iter().find(|(_, of)| *of == self).map_or("", |(ending, _)| ending)
    }
}

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
        }
    }
}

impl FileOptions {
    fn text(&self, file_type: FileType, compression: FileCompressionType) -> Result<TextFormat, Error> {
        let byte = |what: &str, char: char| {
            u8::try_from(char).ok().filter(u8::is_ascii).ok_or_else(|| {
                let text = format!("the {what} '{char}' is not an ASCII character: use one such as ',' or ';'");
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
                        "the quotation mark is also the delimiter: use another one",
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
        })
    }
}

/// Files that are one table.
#[derive(Debug)]
pub struct Files {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Texts(Vec<TextFile>),
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
        let compression = compression(places)?;
        let urls = urls(context, places)?;
        // A specified file is read whatever its extension is; a folder, only its files with the extension of the type.
        let is_folder = places.iter().any(|place| Path::new(place).is_dir());
        let ending =
            if is_folder { format!(".{}{}", file_type.ending(), compression.get_ext()) } else { String::new() };
        let kind = match file_type {
            FileType::Parquet => {
                Kind::Columnar(columnar(context, urls, Arc::new(ParquetFormat::default()), &ending).await?)
            }
            FileType::Arrow => Kind::Columnar(columnar(context, urls, Arc::new(ArrowFormat), &ending).await?),
            FileType::Csv | FileType::Tsv | FileType::Json => {
                let format = options.text(file_type, compression)?;
                let found = inputs(context, &urls, places, &ending).await?;
                let names = match (&format.layout, options.columns.is_empty(), columns) {
                    (Layout::Csv(_, true), ..) | (Layout::JsonLines, true, _) => None,
                    (_, false, _) => Some(options.columns.clone()),
                    (Layout::Csv(..), true, Some(columns)) => Some(columns),
                    (Layout::Csv(..), true, None) => {
                        let text = "a file without a header for a new table needs column names: set the columns";
                        return Err(Error::new(ErrorKind::Config, text).into());
                    }
                };
                Kind::Texts(texts(found, &format, names).await?)
            }
        };
        Ok(Self { kind })
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
        let fields = texts.fields().iter().zip(first.columns());
        let fields = fields.map(|(field, column)| Ok(Field::new(field.name(), infer_type(column)?, true)));
        let types = Schema::new(fields.collect::<Result<Vec<_>, Error>>()?);
        self.typed(&types, Nanoseconds::Error)
    }

    fn mapped(&self, map: impl Fn(&TextFile) -> TextFile) -> DfResult<Arc<dyn TableProvider>> {
        match &self.kind {
            Kind::Columnar(table) => Ok(Arc::clone(table) as Arc<dyn TableProvider>),
            Kind::Texts(files) => {
                let sources = files.iter().map(|file| Arc::new(map(file)) as Arc<dyn ReplayableSource>);
                Ok(Arc::new(ReplayableTable::try_new(sources.collect())?))
            }
        }
    }
}

/// A path without the ending of its compression, and that.
fn uncompressed(path: &str) -> (&str, FileCompressionType) {
    let types = [
        (".gz", FileCompressionType::GZIP),
        (".zst", FileCompressionType::ZSTD),
        (".bz2", FileCompressionType::BZIP2),
        (".xz", FileCompressionType::XZ),
    ];
    let found = types.into_iter().find_map(|(ending, compression)| Some((path.strip_suffix(ending)?, compression)));
    found.unwrap_or((path, FileCompressionType::UNCOMPRESSED))
}

fn input_error(text: impl Into<String>) -> DataFusionError {
    Error::new(ErrorKind::Input, text).into()
}

/// The one type of all files.
fn file_type(places: &[String], given: Option<FileType>) -> DfResult<FileType> {
    if let Some(given) = given {
        return Ok(given);
    }
    let mut types = places.iter().map(|place| {
        let what = if place == STDIN { "standard input".into() } else { format!("file {place}") };
        let unknown = || {
            input_error(format!("could not infer the file type of {what}: set it, for example to csv (--file-type)"))
        };
        FileType::of(place).ok_or_else(unknown)
    });
    let first = types.next().transpose()?.ok_or_else(|| input_error("a load needs a file"))?;
    for (other, place) in types.zip(&places[1..]) {
        if other? != first {
            return Err(input_error(format!(
                "{place} and {} have different file types: load them separately",
                places[0]
            )));
        }
    }
    Ok(first)
}

/// The one compression of all files.
fn compression(places: &[String]) -> DfResult<FileCompressionType> {
    let compressions: Vec<_> = places.iter().map(|file| uncompressed(file).1).collect();
    let first = compressions.first().copied().unwrap_or(FileCompressionType::UNCOMPRESSED);
    match compressions.iter().position(|other| *other != first) {
        None => Ok(first),
        Some(other) => Err(input_error(format!(
            "{} and {} have different compressions: load them separately",
            places[other], places[0]
        ))),
    }
}

/// The URLs of files, whose stores are then known to the session.
fn urls(context: &SessionContext, places: &[String]) -> DfResult<Vec<ListingTableUrl>> {
    let mut urls = Vec::new();
    for place in places.iter().filter(|place| *place != STDIN) {
        let is_pattern = place.contains(['*', '?', '[']) || place.contains("://");
        if !is_pattern && !Path::new(place).exists() {
            return Err(input_error(format!("file {place} does not exist")));
        }
        let url = listing_url(place)?;
        if urls.contains(&url) {
            return Err(input_error(format!("file {place} is specified twice")));
        }
        let store_url = url.object_store();
        let of_store: &Url = store_url.as_ref();
        if of_store.scheme() != "file" {
            let parsed =
                Url::parse(place).map_err(|error| input_error(format!("{place} is not a valid URL: {error}")))?;
            let (store, _) = store_at(&parsed).map_err(|error| {
                input_error(format!("{place} cannot be opened: {error}; use s3://, gs://, az:// or https://"))
            })?;
            context.runtime_env().register_object_store(of_store, store);
        }
        urls.push(url);
    }
    match places.iter().filter(|place| *place == STDIN).count() {
        0 => Ok(urls),
        1 if urls.is_empty() => Ok(urls),
        _ => Err(input_error("standard input cannot be loaded together with files: load them separately")),
    }
}

/// The URL of a file, a folder or a pattern. DataFusion reads patterns in paths, but not in URLs.
fn listing_url(place: &str) -> DfResult<ListingTableUrl> {
    let at = place.find(['*', '?', '[']);
    let Some(at) = at.filter(|at| place.find("://").is_some_and(|scheme| scheme < *at)) else {
        return ListingTableUrl::parse(place);
    };
    let (folder, pattern) = place.split_at(place[..at].rfind('/').map_or(0, |slash| slash + 1));
    ListingTableUrl::parse(folder)?.with_glob(pattern)
}

/// A text file that was found.
struct Found {
    name: String,
    url: String,
    input: Input,
}

/// The text files of URLs.
async fn inputs(
    context: &SessionContext,
    urls: &[ListingTableUrl],
    places: &[String],
    ending: &str,
) -> DfResult<Vec<Found>> {
    if urls.is_empty() {
        let input = Input::Stdin(Arc::new(Stdin::start().await?));
        return Ok(vec![Found { name: "standard input".into(), url: "stdin".into(), input }]);
    }
    let state = context.state();
    let mut inputs = Vec::new();
    for (url, place) in urls.iter().zip(places) {
        let store = state.runtime_env().object_store(url)?;
        let mut found: Vec<ObjectMeta> =
            url.list_all_files(&state, store.as_ref(), ending).await?.try_collect().await?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        missing(found.len(), place, ending)?;
        for listed in found {
            // A list shows versions in another form.
            let meta = store.head(&listed.location).await?;
            let url = format!("{}{}", url.object_store().as_str(), meta.location);
            let name = match Path::new(place).is_file() {
                true => place.clone(),
                false => url.replace("file:///", "/"),
            };
            if meta.size == 0 {
                return Err(input_error(format!("file {name} is empty")));
            }
            inputs.push(Found { name, url, input: Input::File { store: Arc::clone(&store), meta: Box::new(meta) } });
        }
    }
    Ok(inputs)
}

fn missing(count: usize, place: &str, ending: &str) -> DfResult<()> {
    if count > 0 {
        return Ok(());
    }
    let of_type = if ending.is_empty() { String::new() } else { format!(" whose name ends in {ending}") };
    Err(input_error(format!("no file{of_type} matches {place}")))
}

/// The text files, with their columns.
async fn texts(inputs: Vec<Found>, format: &TextFormat, names: Option<Vec<String>>) -> DfResult<Vec<TextFile>> {
    let mut files = Vec::new();
    for Found { name, url, input } in inputs {
        let mut file = TextFile::new(name, url, input, format.clone());
        let columns = match &names {
            Some(names) => names.clone(),
            None => file.names(SAMPLE_ROWS).await?,
        };
        if let Some(twice) = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(name)) {
            return Err(input_error(format!("file {} has two columns \"{}\": set other names", file.name, twice.1)));
        }
        if columns.is_empty() {
            return Err(input_error(format!("file {} has no columns", file.name)));
        }
        file.set_columns(columns);
        files.push(file);
    }
    let first = &files[0];
    if format.layout == Layout::JsonLines {
        let mut all: Vec<String> = Vec::new();
        for name in files.iter().flat_map(|file| file.columns.iter()) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        files.iter_mut().for_each(|file| file.set_columns(all.clone()));
        return Ok(files);
    }
    let (columns, name) = (Arc::clone(&first.columns), first.name.clone());
    for file in &mut files {
        file.order_as(&columns).map_err(|()| {
            input_error(format!(
                "the files have different columns: {} has ({}), but {name} has ({}); load the files separately",
                file.name,
                file.columns.join(", "),
                columns.join(", ")
            ))
        })?;
    }
    Ok(files)
}

/// Files of Parquet or Arrow.
async fn columnar(
    context: &SessionContext,
    urls: Vec<ListingTableUrl>,
    format: Arc<dyn FileFormat>,
    ending: &str,
) -> DfResult<Arc<ListingTable>> {
    if urls.is_empty() {
        return Err(input_error("standard input can be CSV, TSV or JSON: save other formats to a file first"));
    }
    let options = ListingOptions::new(format).with_file_extension(ending);
    let state = context.state();
    let mut first: Option<(String, SchemaRef)> = None;
    for url in &urls {
        let store = state.runtime_env().object_store(url)?;
        let found: Vec<_> = url.list_all_files(&state, store.as_ref(), ending).await?.try_collect().await?;
        missing(found.len(), url.as_str(), ending)?;
        let schema = options.infer_schema(&state, url).await?;
        match &first {
            None => first = Some((url.to_string(), schema)),
            Some((first, wanted)) => same(first, wanted, url.as_str(), &schema)?,
        }
    }
    let schema = first.map(|(_, schema)| schema).ok_or_else(|| input_error("a load needs a file"))?;
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// Refuses files whose values would be cast to the types of others.
fn same(first: &str, wanted: &SchemaRef, other: &str, found: &SchemaRef) -> DfResult<()> {
    let columns = |schema: &SchemaRef| {
        let columns = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        columns.collect::<Vec<_>>()
    };
    match columns(wanted) == columns(found) {
        true => Ok(()),
        false => Err(input_error(format!(
            "the files have different columns: {other} has ({}), but {first} has ({}); load the files separately",
            columns(found).join(", "),
            columns(wanted).join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is() {
        for (name, expected) in [
            ("a.csv", Some(FileType::Csv)),
            ("b/a.CSV.gz", Some(FileType::Csv)),
            ("a.tsv.zst", Some(FileType::Tsv)),
            ("a.jsonl.xz", Some(FileType::Json)),
            ("https://host/a.parquet", Some(FileType::Parquet)),
            ("a.feather", Some(FileType::Arrow)),
            ("a.gz", None),
            ("a", None),
        ] {
            assert_eq!(FileType::of(name), expected, "{name}");
        }
    }
}
