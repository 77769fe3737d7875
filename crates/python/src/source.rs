//! The data of a call from Python, as a table of DataFusion.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Result as DfResult;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion_landfall::options::Nanoseconds;
use landfall::files::{FileOptions, Files};
use pyo3::prelude::*;
use pyo3_arrow::input::AnyRecordBatch;

use crate::errors::Failure;
use crate::stream::{OneTime, Reader};

/// Data as `python/landfall/_source.py` recognizes it.
pub(crate) enum Source {
    /// Paths of files.
    Files(Vec<String>),
    /// All batches of a table in memory, which share its memory.
    Memory(Reader),
    /// A stream that can be read once.
    Stream(Reader),
}

impl<'py> FromPyObject<'_, 'py> for Source {
    type Error = PyErr;

    /// A tuple of the paths or None, the object with the Arrow data or None, and whether it can be read again.
    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let (paths, data, is_in_memory): (Option<Vec<String>>, Option<AnyRecordBatch>, bool) = given.extract()?;
        match (paths, data) {
            (Some(paths), _) => Ok(Self::Files(paths)),
            (None, Some(data)) if is_in_memory => Ok(Self::Memory(data.into_reader()?)),
            (None, Some(data)) => Ok(Self::Stream(data.into_reader()?)),
            (None, None) => Ok(Self::Files(Vec::new())),
        }
    }
}

/// Data that was found.
#[derive(Debug)]
pub(crate) enum Data {
    Files(Box<Files>),
    Table(Arc<dyn TableProvider>),
}

impl Data {
    /// Whether its values are texts, whose types are inferred for a new table.
    pub(crate) fn are_texts(&self) -> bool {
        matches!(self, Self::Files(files) if files.are_texts())
    }

    /// The table. Values of text files are texts.
    pub(crate) fn table(&self) -> DfResult<Arc<dyn TableProvider>> {
        match self {
            Self::Files(files) => files.table(),
            Self::Table(table) => Ok(Arc::clone(table)),
        }
    }

    /// The table, of which only the first rows are read.
    pub(crate) fn sample(&self) -> DfResult<Arc<dyn TableProvider>> {
        match self {
            Self::Files(files) => files.sample(),
            Self::Table(table) => Ok(Arc::clone(table)),
        }
    }

    /// The table, in which a column of text files has the type of the column of this name in `schema`.
    pub(crate) fn typed(&self, schema: &Schema, nanoseconds: Nanoseconds) -> DfResult<Arc<dyn TableProvider>> {
        match self {
            Self::Files(files) => files.typed(schema, nanoseconds),
            Self::Table(table) => Ok(Arc::clone(table)),
        }
    }
}

impl Source {
    /// Whether it can be read only once.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Whether DataFusion should read it in several partitions.
    pub(crate) fn has_partitions(&self) -> bool {
        matches!(self, Self::Files(_))
    }

    /// Finds the data. `columns` are those of the table.
    pub(crate) async fn open(self, context: &SessionContext, columns: Option<Vec<String>>) -> Result<Data, Failure> {
        let table: Arc<dyn TableProvider> = match self {
            Self::Files(paths) => {
                let files = Files::open(context, &paths, &FileOptions::default(), columns).await?;
                return Ok(Data::Files(Box::new(files)));
            }
            Self::Memory(reader) => {
                let schema = reader.schema();
                let read = move || reader.collect::<Result<Vec<RecordBatch>, _>>();
                // The stream of a table may take the GIL.
                let batches = tokio::task::spawn_blocking(read).await;
                let batches = batches.map_err(|error| Failure::internal(error.to_string()))??;
                Arc::new(MemTable::try_new(schema, vec![batches])?)
            }
            Self::Stream(reader) => {
                let partition = OneTime::new(reader);
                let schema = Arc::clone(datafusion::physical_plan::streaming::PartitionStream::schema(&partition));
                Arc::new(StreamingTable::try_new(schema, vec![Arc::new(partition)])?)
            }
        };
        Ok(Data::Table(table))
    }
}
