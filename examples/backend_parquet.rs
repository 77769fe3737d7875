//! A backend of another crate: a folder of Parquet files, which takes part in two-phase commit.
//!
//! `cargo run --example backend_parquet` writes such a folder and a SQLite file in one transaction. If arguments are
//! given, the program runs them as SQL statements instead, in a session that supports `STORED AS PARQUETDIR`.
//!
//! A table is a folder. A branch writes a file in this folder under a name that readers ignore, and renames the file twice:
//!
//! | file | content |
//! | --- | --- |
//! | `_schema.parquet` | the columns of the table, without rows |
//! | `<xid>.tmp` | a branch that is being written |
//! | `<xid>.prepared` | a prepared branch: complete and synced to disk |
//! | `<xid>.parquet` | a committed branch |

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, new_null_array};
use datafusion::arrow::datatypes::Field;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::SessionContext;
use datafusion_landfall::backend::{
    Backend, BackendFactory, BatchStream, Batches, Branch, Capability, Column, InDoubt, NewTable, Outcome, Query,
    Resolution, Scan, Table, Vote, WriteSpec, read_ahead,
};
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::options::{BackendOption, SinkOptions};
use datafusion_landfall::txn::{DecisionRecord, JobNumber, Xid};
use datafusion_landfall::{register, register_backend, sql};

const SCHEMA: &str = "_schema.parquet";
const PREPARED: &str = "prepared";
const COMMITTED: &str = "parquet";

/// Opens folders as databases.
#[derive(Debug)]
pub struct FolderFactory;

impl BackendFactory for FolderFactory {
    fn names(&self) -> &'static [&'static str] {
        &["parquetdir"]
    }

    fn open(&self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>> {
        let folder = location.strip_prefix("parquetdir:").unwrap_or(location);
        let rows = options.own(ROW_GROUP).and_then(|rows| rows.parse().ok()).unwrap_or(1_048_576);
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
        Ok(Arc::new(Folder { path: folder.into(), properties }))
    }

    fn options(&self) -> &'static [BackendOption] {
        &[BackendOption {
            key: ROW_GROUP,
            values: "a number of rows",
            default: "1048576",
            meaning: "how many rows a row group has",
            check: |text| match text.parse() {
                Ok(1_usize..) => Ok(()),
                _ => Err("use a number, 1 or more".into()),
            },
        }]
    }
}

const ROW_GROUP: &str = "row_group.rows";

/// A folder that contains a folder for each table.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    properties: WriterProperties,
}

#[async_trait]
impl Backend for Folder {
    fn location(&self) -> String {
        format!("parquetdir:{}", self.path.display())
    }

    async fn table(&self, name: &str) -> Result<Option<Table>> {
        let file = self.path.join(name).join(SCHEMA);
        if !file.exists() {
            return Ok(None);
        }
        let reader = reader(&file)?;
        let column =
            |field: &Arc<Field>| Column::new(field.name(), field.data_type().to_string(), field.data_type().clone());
        Ok(Some(Table::new(name, reader.schema().fields().iter().map(column).collect())))
    }

    async fn create_table(&self, table: &NewTable) -> Result<()> {
        let has_keys = !table.primary_key.is_empty() || !table.unique_keys.is_empty();
        if has_keys || !table.defaults.is_empty() || table.schema.fields().iter().any(|field| !field.is_nullable()) {
            return Err(Error::new(ErrorKind::Unsupported, "a folder of files has no NOT NULL, defaults and keys"));
        }
        let folder = self.path.join(&table.name);
        done(fs::create_dir_all(&folder), &folder)?;
        let file = folder.join(SCHEMA);
        let writer = ArrowWriter::try_new(done(File::create(&file), &file)?, Arc::clone(&table.schema), None);
        sync(writer.and_then(ArrowWriter::into_inner), &file)
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        let folder = self.path.join(&spec.table);
        let file = folder.join(format!("{xid}.tmp"));
        let created = done(File::create(&file), &file)?;
        let writer = ArrowWriter::try_new(created, Arc::clone(&spec.columns), Some(self.properties.clone()));
        Ok(Box::new(FolderBranch { file, writer: Some(done(writer, &folder)?), rows: 0 }))
    }

    async fn capability(&self) -> Result<Capability> {
        Ok(Capability::TwoPhase { branches: u32::MAX })
    }

    async fn commit(&self, xid: &Xid) -> Result<Resolution> {
        self.end(xid, |file| rename(file, COMMITTED))
    }

    async fn rollback(&self, xid: &Xid) -> Result<Resolution> {
        self.end(xid, |file| done(fs::remove_file(file), file))
    }

    async fn in_doubt(&self, job: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        let mut found = Vec::new();
        for file in self.files(PREPARED)? {
            let Some(xid) = file.file_stem().and_then(|name| Xid::parse(name.to_str()?)) else { continue };
            let since = done(fs::metadata(&file).and_then(|file| file.modified()), &file)?;
            let age = SystemTime::now().duration_since(since).unwrap_or(Duration::ZERO);
            found.push(InDoubt { xid, age });
        }
        found.retain(|branch| job.is_none_or(|job| branch.xid.gtrid.job() == job));
        Ok(found)
    }

    fn scan(&self) -> Option<&dyn Scan> {
        Some(self)
    }
}

impl Scan for Folder {
    fn query(&self, query: Query) -> Result<BatchStream> {
        // Files that are committed later are not read.
        let files = files(&self.path.join(&query.table.name), COMMITTED)?;
        Ok(read_ahead(query.table.name.clone(), async move |batches: Batches| {
            let read = tokio::task::spawn_blocking(move || read(&files, &query, &batches)).await;
            read.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?
        }))
    }
}

fn read(files: &[PathBuf], query: &Query, batches: &Batches) -> Result<()> {
    let mut left = query.limit.unwrap_or(usize::MAX);
    for file in files {
        for batch in done(reader(file)?.with_batch_size(query.batch_size).build(), file)? {
            let batch = done(batch, file)?;
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            let null = |field: &Arc<Field>| new_null_array(field.data_type(), batch.num_rows());
            let found = |name: &str| batch.column_by_name(name).cloned();
            let column = |field: &Arc<Field>| found(field.name()).unwrap_or_else(|| null(field));
            let columns = query.schema.fields().iter().map(column);
            let is_unread = batches.blocking_send(query.batch(columns.collect(), batch.num_rows())).is_err();
            if is_unread || left == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Folder {
    /// The files of all tables that have this state.
    fn files(&self, extension: &str) -> Result<Vec<PathBuf>> {
        let tables = if self.path.exists() { entries(&self.path)? } else { Vec::new() };
        let of_tables = tables.iter().filter(|table| table.is_dir()).map(|table| files(table, extension));
        Ok(of_tables.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Ends a prepared branch, if it exists.
    fn end(&self, xid: &Xid, end: impl FnOnce(&Path) -> Result<()>) -> Result<Resolution> {
        let name = format!("{xid}.{PREPARED}");
        match self.files(PREPARED)?.into_iter().find(|file| file.ends_with(&name)) {
            Some(file) => end(&file).map(|()| Resolution::Done),
            None => Ok(Resolution::Unknown),
        }
    }
}

struct FolderBranch {
    file: PathBuf,
    writer: Option<ArrowWriter<File>>,
    rows: usize,
}

impl FolderBranch {
    /// Completes the file and renames it.
    fn finish(&mut self, extension: &str) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            sync(writer.into_inner(), &self.file)?;
        }
        rename(&self.file, extension)
    }
}

#[async_trait]
impl Branch for FolderBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        match &mut self.writer {
            Some(writer) => done(writer.write(&batch), &self.file),
            None => Err(Error::new(ErrorKind::Internal, "the file is complete")),
        }
    }

    async fn prepare(mut self: Box<Self>) -> Result<Vote> {
        if self.rows == 0 {
            return Ok(Vote::ReadOnly);
        }
        self.finish(PREPARED).map(|()| Vote::Prepared)
    }

    async fn commit_one_phase(mut self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        if record.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "a folder has no ledger"));
        }
        self.finish(COMMITTED).map(|()| Outcome::Committed)
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Drop for FolderBranch {
    fn drop(&mut self) {
        // The file no longer exists if the branch was prepared or committed.
        let _ = fs::remove_file(&self.file);
    }
}

/// The result of an operation on a path.
fn done<T, E: std::error::Error + Send + Sync + 'static>(result: Result<T, E>, path: &Path) -> Result<T> {
    result.map_err(|error| Error::new(ErrorKind::Access, path.display().to_string()).with_source(error))
}

fn reader(file: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    done(ParquetRecordBatchReaderBuilder::try_new(done(File::open(file), file)?), file)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    done(fs::read_dir(folder), folder)?.map(|entry| Ok(done(entry, folder)?.path())).collect()
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = entries(folder)?;
    files.retain(|file| file.extension().is_some_and(|found| found == extension) && !file.ends_with(SCHEMA));
    files.sort();
    Ok(files)
}

fn sync<E: std::error::Error + Send + Sync + 'static>(file: Result<File, E>, path: &Path) -> Result<()> {
    done(done(file, path)?.sync_all(), path)
}

fn rename(file: &Path, extension: &str) -> Result<()> {
    done(fs::rename(file, file.with_extension(extension)), file)?;
    let folder = file.parent().unwrap_or(file);
    let in_doubt = |error| Error::new(ErrorKind::InDoubt, "its rename may not be on the disk").with_source(error);
    sync(File::open(folder), folder).map_err(in_doubt)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let context = SessionContext::new();
    register(&context);
    register_backend(&context, Arc::new(FolderFactory))?;
    let mut statements: Vec<_> = std::env::args().skip(1).collect();
    let folder = tempfile::tempdir()?;
    let path = folder.path().display();
    if statements.is_empty() {
        statements = vec![
            format!("CREATE EXTERNAL TABLE files (id BIGINT, name VARCHAR) STORED AS PARQUETDIR LOCATION '{path}'"),
            format!("CREATE EXTERNAL TABLE lite (id BIGINT, name VARCHAR) STORED AS SQLITE LOCATION '{path}/lite.db'"),
            "CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'files, lite' OPTIONS ('job' 'names')".into(),
            "INSERT INTO both VALUES (1, 'Ada'), (2, 'Grace')".into(),
            "SELECT * FROM files JOIN lite USING (id) ORDER BY id".into(),
        ];
    }
    for statement in statements {
        sql(&context, &statement).await?.show().await?;
    }
    Ok(())
}
