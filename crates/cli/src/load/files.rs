//! Registers files as a table that can be queried.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use clap::ValueEnum;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, GetExt};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};

use crate::message::Failure;

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileType {
    /// Values separated by commas, or by --delimiter
    Csv,
    /// Values separated by tabs
    Tsv,
    /// Apache Parquet
    Parquet,
    /// Arrow's IPC format, also called Feather 2
    Arrow,
}

/// How a text file is split into values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) delimiter: Option<char>,
    pub(crate) quote: char,
    pub(crate) escape: Option<char>,
    pub(crate) comment: Option<char>,
}

/// The source of the column names of a text file.
#[derive(Debug, Clone)]
pub(crate) enum Header {
    /// The first line.
    FirstLine,
    /// The file has no header, and its columns have these names.
    None(Vec<String>),
}

impl FileType {
    /// The file type of a name's extension, without the extension of a compression.
    fn of(path: &str) -> Option<Self> {
        let (path, _) = uncompressed(path);
        Some(match path.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "parquet" => Self::Parquet,
            "arrow" | "feather" | "ipc" => Self::Arrow,
            _ => return None,
        })
    }

    /// Whether its values are texts, whose types the table determines.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv)
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }
}

/// A path without the extension of its compression, and the compression.
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

/// The common type of the files.
pub(crate) fn file_type(files: &[String], given: Option<FileType>) -> Result<FileType, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let mut types = files.iter().map(|file| {
        let unknown = || {
            Failure::new(format!(
                "could not infer the file type from the name {file}: use --file-type csv, tsv, parquet or arrow"
            ))
        };
        FileType::of(file).ok_or_else(unknown)
    });
    let first = types.next().transpose()?.ok_or_else(|| Failure::new("specify at least one file"))?;
    for (other, file) in types.zip(&files[1..]) {
        if other? != first {
            return Err(Failure::new(format!(
                "{file} and {} have different file types: load them one after the other",
                files[0]
            )));
        }
    }
    Ok(first)
}

/// The files as a table. All columns of text files are texts.
pub(crate) async fn table(
    context: &SessionContext,
    files: &[String],
    file_type: FileType,
    dialect: Dialect,
    header: &Header,
) -> Result<Arc<dyn TableProvider>, Failure> {
    let mut urls = Vec::new();
    for file in files {
        let is_pattern = file.contains(['*', '?', '[']) || file.contains("://");
        if !is_pattern && !Path::new(file).exists() {
            return Err(Failure::new(format!("file {file} does not exist")));
        }
        let url = ListingTableUrl::parse(file)?;
        if urls.contains(&url) {
            return Err(Failure::new(format!("file {file} is specified twice")));
        }
        urls.push(url);
    }
    let compressions: Vec<_> = files.iter().map(|file| uncompressed(file).1).collect();
    let compression = compressions.first().copied().unwrap_or(FileCompressionType::UNCOMPRESSED);
    if compressions.iter().any(|other| *other != compression) {
        return Err(Failure::new("the files have different compressions: load them one after the other"));
    }
    let format: Arc<dyn FileFormat> = match file_type {
        FileType::Csv | FileType::Tsv => Arc::new(csv(file_type, dialect, header, compression)?),
        FileType::Parquet => Arc::new(ParquetFormat::default()),
        FileType::Arrow => Arc::new(ArrowFormat),
    };
    // A specified file is read whatever its extension is; a folder, only its files with the extension of the type.
    let is_folder = files.iter().any(|file| Path::new(file).is_dir());
    let ending = if is_folder { format!(".{}{}", file_type.ending(), compression.get_ext()) } else { String::new() };
    let options = ListingOptions::new(format).with_file_extension(&ending);
    let state = context.state();
    for (url, file) in urls.iter().zip(files) {
        let store = state.runtime_env().object_store(url)?;
        let found: Vec<_> = url.list_all_files(&state, store.as_ref(), &ending).await?.try_collect().await?;
        if found.is_empty() {
            let of_type = if is_folder { format!(" whose name ends in {ending}") } else { String::new() };
            return Err(Failure::new(format!("no file{of_type} matches {file}")));
        }
        for found in found.iter().filter(|_| file_type.is_text()) {
            if found.size == 0 {
                return Err(Failure::new(format!(
                    "{} is empty: a text file must begin with a header line of column names",
                    found.location
                )));
            }
            check_quotes(store.as_ref(), found, dialect, compression).await?;
        }
    }
    let schema = match header {
        Header::None(names) if file_type.is_text() => texts(names),
        _ => {
            let mut schemas: Vec<(String, SchemaRef)> = Vec::new();
            for url in &urls {
                let schema = options.infer_schema(&state, url).await?;
                schemas.push((url.to_string(), schema));
            }
            same(schemas, file_type)?
        }
    };
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// Refuses a text file with an unterminated quoted value, which would contain the rest of the file and lose its rows.
async fn check_quotes(
    store: &dyn ObjectStore,
    file: &ObjectMeta,
    dialect: Dialect,
    compression: FileCompressionType,
) -> Result<(), Failure> {
    if dialect.escape.is_some() || dialect.comment.is_some() {
        // Only the reader knows then which quotation marks count.
        return Ok(());
    }
    let bytes = store.get(&file.location).await.map_err(DataFusionError::from)?.into_stream();
    let mut bytes = compression.convert_stream(bytes.map_err(DataFusionError::from).boxed())?;
    let mut quotes = 0;
    while let Some(part) = bytes.try_next().await? {
        quotes += part.iter().filter(|byte| char::from(**byte) == dialect.quote).count();
    }
    match quotes % 2 {
        0 => Ok(()),
        _ => Err(Failure::new(format!(
            "{} has an unterminated quoted value, or is truncated: its number of quotation marks is odd, {quotes} ({}); if \
             they are part of the values, set another character with --quote",
            file.location, dialect.quote
        ))),
    }
}

fn csv(
    file_type: FileType,
    dialect: Dialect,
    header: &Header,
    compression: FileCompressionType,
) -> Result<CsvFormat, Failure> {
    let byte = |what: &str, char: char| {
        u8::try_from(char).ok().filter(u8::is_ascii).ok_or_else(|| {
            Failure::new(format!("--{what} '{char}' is not an ASCII character: use one such as ',' or ';'"))
        })
    };
    let usual = if file_type == FileType::Tsv { '\t' } else { ',' };
    Ok(CsvFormat::default()
        // Without type inference, all columns are texts.
        .with_schema_infer_max_rec(0)
        .with_has_header(matches!(header, Header::FirstLine))
        .with_delimiter(byte("delimiter", dialect.delimiter.unwrap_or(usual))?)
        .with_quote(byte("quote", dialect.quote)?)
        .with_escape(dialect.escape.map(|char| byte("escape", char)).transpose()?)
        .with_comment(dialect.comment.map(|char| byte("comment", char)).transpose()?)
        // Quoted values may contain line breaks without an option, because a file is read from beginning to end.
        .with_newlines_in_values(true)
        .with_file_compression_type(compression))
}

fn texts(names: &[String]) -> SchemaRef {
    let fields = names.iter().map(|name| Field::new(name, arrow::datatypes::DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns of the files. They must be the same, because text files are read by column position.
fn same(schemas: Vec<(String, SchemaRef)>, file_type: FileType) -> Result<SchemaRef, Failure> {
    let mut schemas = schemas.into_iter();
    let Some((first, schema)) = schemas.next() else { return Err(Failure::new("specify at least one file")) };
    let names = |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    for (other, of_other) in schemas {
        let types = |schema: &SchemaRef| {
            schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>()
        };
        if names(&of_other) == names(&schema) && types(&of_other) != types(&schema) {
            return Err(Failure::new(format!(
                "{other} has the columns {}, and {first} has {}: load them one after the other, because the types of one \
                 file would be cast to those of the other",
                types(&of_other).join(", "),
                types(&schema).join(", ")
            )));
        }
        if names(&of_other) != names(&schema) {
            return Err(Failure::new(format!(
                "{other} has the columns {}, and {first} has {}: load them one after the other",
                names(&of_other).join(", "),
                names(&schema).join(", ")
            )));
        }
    }
    if !file_type.is_text() {
        return Ok(schema);
    }
    // The byte order mark at the beginning of some UTF-8 files is not part of the first name.
    let mut names = names(&schema);
    if let Some(first) = names.first_mut() {
        *first = first.trim_start_matches('\u{feff}').trim_matches('"').to_owned();
    }
    Ok(texts(&names))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is() {
        for (name, expected) in [
            ("a.csv", Some(FileType::Csv)),
            ("b/a.CSV.gz", Some(FileType::Csv)),
            ("a.tsv.zst", Some(FileType::Tsv)),
            ("https://host/a.parquet", Some(FileType::Parquet)),
            ("a.feather", Some(FileType::Arrow)),
            ("a.gz", None),
            ("a", None),
        ] {
            assert_eq!(FileType::of(name), expected, "{name}");
        }
    }
}
