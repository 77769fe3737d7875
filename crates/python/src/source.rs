//! The data of a call from Python, as a table of DataFusion.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use pyo3::prelude::*;
use pyo3_arrow::input::AnyRecordBatch;

use crate::errors::Failure;
use crate::files;
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

/// A table, and what is known of it.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) table: Arc<dyn TableProvider>,
    /// Whether its values are texts of a file, whose types are inferred for a new table.
    pub(crate) is_text: bool,
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

    /// The data as a table.
    pub(crate) async fn into_table(self, context: &SessionContext) -> Result<Data, Failure> {
        let table: Arc<dyn TableProvider> = match self {
            Self::Files(paths) => return files::table(context, &paths).await,
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
        Ok(Data { table, is_text: false })
    }
}
