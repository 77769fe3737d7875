//! The files of a scan, as they were when it was planned.

use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{CsvSource, FileGroup, FileScanConfig};
use datafusion::execution::TaskContext;
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::error::{Error, ErrorKind, Result};

/// A file as it was when the query was planned. A session caches the files that it has listed.
#[derive(Debug, Clone)]
pub(super) struct PlannedFile {
    store: ObjectStoreUrl,
    meta: ObjectMeta,
}

impl PlannedFile {
    pub(super) fn new(scan: &FileScanConfig, file: &PartitionedFile) -> Self {
        Self { store: scan.object_store_url.clone(), meta: file.object_meta.clone() }
    }

    /// Checks that it has not changed.
    pub(super) async fn check(&self, context: &TaskContext) -> Result<()> {
        let store = context.runtime_env().object_store(&self.store);
        let store = store.map_err(|error| Error::new(ErrorKind::Input, "the query failed").with_source(error))?;
        let changed = |how: &str| {
            Error::new(
                ErrorKind::Input,
                format!(
                    "file {} {how} after the query was planned: plan the query again, in a new session if this session \
                     caches the list of files",
                    self.meta.location
                ),
            )
        };
        let now = store.head(&self.meta.location).await;
        let now = now.map_err(|error| changed("could not be found").with_source(error))?;
        // A list and a look at one object tell times and tags in different forms.
        let tag = |meta: &ObjectMeta| meta.e_tag.as_deref().map(|tag| tag.trim_matches('"').to_owned());
        let is_same = now.size == self.meta.size
            && match (tag(&now), tag(&self.meta)) {
                (Some(now), Some(then)) => now == then,
                _ => now.last_modified.timestamp() == self.meta.last_modified.timestamp(),
            };
        if is_same { Ok(()) } else { Err(changed("was changed")) }
    }
}

/// The properties that determine how the bytes of files become rows.
pub(super) fn file_format(config: &FileScanConfig) -> String {
    let source = &config.file_source;
    // Lines and documents of JSON, and values with line breaks in them, differ in whether a file can be cut.
    let can_be_cut = source.supports_repartitioning();
    let format = format!("{} {:?} cut={can_be_cut}", source.file_type(), config.file_compression_type);
    let Some(csv) = source.downcast_ref::<CsvSource>() else { return format };
    let of = (csv.has_header(), csv.delimiter(), csv.quote(), csv.escape(), csv.comment(), csv.terminator());
    format!("{format} {of:?} {} {}", csv.newlines_in_values(), csv.truncate_rows())
}

/// The whole files, before they were divided into ranges for the cores of this machine.
pub(super) fn whole_files(config: &FileScanConfig) -> Vec<PartitionedFile> {
    let mut files: Vec<&PartitionedFile> = config.file_groups.iter().flat_map(FileGroup::iter).collect();
    let start = |file: &PartitionedFile| file.range.as_ref().map_or(0, |range| range.start);
    files.sort_by(|a, b| (&a.object_meta.location, start(a)).cmp(&(&b.object_meta.location, start(b))));
    let mut whole: Vec<PartitionedFile> = Vec::new();
    for ranges in files.chunk_by(|a, b| a.object_meta.location == b.object_meta.location) {
        let size = i64::try_from(ranges[0].object_meta.size).unwrap_or(i64::MAX);
        let mut end = 0;
        let all = |file: &&PartitionedFile| match &file.range {
            None => ranges.len() == 1,
            Some(FileRange { start, end: until }) => std::mem::replace(&mut end, *until) == *start,
        };
        let is_tiled = ranges.iter().all(all) && (ranges[0].range.is_none() || end == size);
        match is_tiled {
            true => whole.push(PartitionedFile { range: None, ..ranges[0].clone() }),
            false => whole.extend(ranges.iter().map(|file| (*file).clone())),
        }
    }
    whole
}
