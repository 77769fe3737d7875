//! Files as a table.

use std::path::Path;
use std::sync::Arc;

use datafusion::common::GetExt;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;

use crate::errors::{Failure, config};
use crate::source::Data;

/// The name of a path without the ending of its compression, and the compression.
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

/// The ending of a file's name, in lower case.
fn ending(path: &str) -> String {
    uncompressed(path).0.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
}

/// Files of one type and with the same columns as one table. The columns of CSV files are all texts.
pub(crate) async fn table(context: &SessionContext, paths: &[String]) -> Result<Data, Failure> {
    let Some(first) = paths.first() else { return Err(config("the list of paths is empty: name a file")) };
    let (_, compression) = uncompressed(first);
    let mut is_text = false;
    let format: Arc<dyn FileFormat> = match ending(first).as_str() {
        "parquet" => Arc::new(ParquetFormat::default()),
        "arrow" | "feather" | "ipc" => Arc::new(ArrowFormat),
        "json" | "ndjson" | "jsonl" => Arc::new(JsonFormat::default().with_file_compression_type(compression)),
        kind @ ("csv" | "tsv" | "tab") => {
            is_text = true;
            // Without a look at the values, all columns are texts: 00701 stays 00701.
            let csv = CsvFormat::default().with_schema_infer_max_rec(0).with_has_header(true);
            let csv = csv.with_delimiter(if kind == "csv" { b',' } else { b'\t' });
            Arc::new(csv.with_newlines_in_values(true).with_file_compression_type(compression))
        }
        _ => {
            return Err(config(format!(
                "the name of {first} does not tell its format: it must end in .parquet, .csv, .tsv, .json, .ndjson or \
                 .arrow, which .gz, .zst, .bz2 or .xz can follow"
            )));
        }
    };
    let mut urls = Vec::new();
    for path in paths {
        if ending(path) != ending(first) || uncompressed(path).1.get_ext() != compression.get_ext() {
            return Err(config(format!("{path} is not of the format of {first}: write them one after the other")));
        }
        let is_pattern = path.contains(['*', '?', '[']) || path.contains("://");
        if !is_pattern && !Path::new(path).exists() {
            return Err(config(format!("file {path} does not exist")));
        }
        urls.push(ListingTableUrl::parse(path)?);
    }
    // A file that is named is read whatever its name ends in.
    let options = ListingOptions::new(format).with_file_extension("");
    let state = context.state();
    let mut schema = None;
    for (url, path) in urls.iter().zip(paths) {
        let found = options.infer_schema(&state, url).await?;
        match &schema {
            None => schema = Some(found),
            Some(known) if *known == found => {}
            Some(_) => {
                return Err(config(format!("{path} has other columns than {first}: write them one after the other")));
            }
        }
    }
    let mut listing = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options);
    if let Some(schema) = schema {
        listing = listing.with_schema(schema);
    }
    Ok(Data { table: Arc::new(ListingTable::try_new(listing)?), is_text })
}
