//! Files of Parquet and Arrow.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::ObjectMeta;

use super::file_type::FileType;
use super::places::{input_error, missing};
use super::reading::Reading;

/// Files of Parquet or Arrow as a table.
pub(super) async fn columnar(
    context: &SessionContext,
    urls: Vec<ListingTableUrl>,
    file_type: FileType,
    ending: &str,
) -> DfResult<(Arc<ListingTable>, Reading)> {
    let mut reading = Reading::of_files();
    let format: Arc<dyn FileFormat> = match file_type {
        FileType::Arrow => Arc::new(ArrowFormat),
        _ => Arc::new(ParquetFormat::default()),
    };
    let options = ListingOptions::new(format).with_file_extension(ending);
    let state = context.state();
    let mut first: Option<(String, SchemaRef)> = None;
    for url in &urls {
        let store = state.runtime_env().object_store(url)?;
        let found: Vec<ObjectMeta> = url.list_all_files(&state, store.as_ref(), ending).await?.try_collect().await?;
        missing(found.len(), url.as_str(), ending)?;
        reading.add_file(found.iter().map(|file| file.size).sum());
        let schema = options.infer_schema(&state, url).await?;
        match &first {
            None => first = Some((url.to_string(), schema)),
            Some((first, wanted)) => same(first, wanted, url.as_str(), &schema)?,
        }
    }
    let schema = first.map(|(_, schema)| schema).ok_or_else(|| input_error("no files to load are specified"))?;
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok((Arc::new(ListingTable::try_new(config)?), reading))
}

/// Refuses files whose values would be cast to the types of others.
pub(super) fn same(first: &str, wanted: &SchemaRef, other: &str, found: &SchemaRef) -> DfResult<()> {
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
