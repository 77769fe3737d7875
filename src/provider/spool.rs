//! The rows of a query, kept until they are read: in memory up to a limit, then in a file.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::spill_file::SpillFile;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::backend::{OpenTransaction, Query};
use crate::columnar::batch_bytes;
use crate::error::{Error, ErrorKind, Result};

/// The most bytes in memory.
const IN_MEMORY: u64 = 32 * 1024 * 1024;

/// The batches that are read ahead of the spool.
const READ_AHEAD: usize = 2;

/// Rows in their order. They can be read several times.
pub(super) struct Spool {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
    /// The rows after those in memory.
    file: Option<Arc<dyn SpillFile>>,
    manager: SpillManager,
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spool({} batches in memory, {} bytes)", self.batches.len(), self.reservation.size())
    }
}

impl Spool {
    /// Reads a query in an open transaction to its end.
    ///
    /// # Errors
    /// The transaction cannot be used any more.
    pub(super) async fn read(
        transaction: &mut dyn OpenTransaction,
        query: &Query,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Self> {
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let read = async {
            let read = transaction.query(query, &sender).await;
            drop(sender);
            read.map_err(|error| error.with_context(format!("reading table {}", query.table.name)))
        };
        let keep = async {
            let consumer = MemoryConsumer::new(format!("landfall, table {}", query.table.name));
            let (env, schema) = (context.runtime_env(), Arc::clone(&query.schema));
            let mut spool = Self {
                schema: Arc::clone(&schema),
                batches: Vec::new(),
                reservation: consumer.register(context.memory_pool()),
                file: None,
                manager: SpillManager::new(env, SpillMetrics::new(metrics, 0), schema),
            };
            let mut file = None;
            let full = |error| {
                Error::new(ErrorKind::Full, "could not write the rows of a query to a temporary file")
                    .with_source(error)
            };
            while let Some(batch) = receiver.recv().await {
                let batch: RecordBatch = batch?;
                let bytes = batch_bytes(&batch);
                let has_room = file.is_none()
                    && spool.reservation.size() as u64 + bytes <= IN_MEMORY
                    && usize::try_from(bytes).is_ok_and(|bytes| spool.reservation.try_grow(bytes).is_ok());
                if has_room {
                    spool.batches.push(batch);
                    continue;
                }
                let file = match &mut file {
                    Some(file) => file,
                    None => file.insert(spool.manager.create_in_progress_file("rows of a transaction").map_err(full)?),
                };
                file.append_batch(&batch).map_err(full)?;
            }
            if let Some(mut file) = file {
                spool.file = file.finish().map_err(full)?;
            }
            Ok(spool)
        };
        let (read, kept) = tokio::join!(read, keep);
        read.and(kept)
    }

    /// The rows.
    pub(super) fn stream(self: Arc<Self>) -> DfResult<SendableRecordBatchStream> {
        let (schema, file) = (Arc::clone(&self.schema), self.file.clone());
        let of_file = file.map(|file| self.manager.read_spill_as_stream(file, None)).transpose()?;
        let in_memory = stream::iter(0..self.batches.len()).map(move |index| Ok(self.batches[index].clone()));
        let rows = match of_file {
            Some(of_file) => in_memory.chain(of_file).boxed(),
            None => in_memory.boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
