//! A branch: the asynchronous face of a [`Writer`] on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::writer::{SLICE_ROWS, Writer};
use super::{Sqlite, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::xa::{Branch, DecisionRecord, Outcome, Vote, WriteSpec};

/// Batches that wait for the writer: the query works on the next one while this many are on their way.
const QUEUED_BATCHES: usize = 2;

/// An open branch. Closing the channel lets the thread finish what is queued and give the writer back.
pub(super) struct SqliteBranch {
    batches: Option<mpsc::Sender<RecordBatch>>,
    thread: Option<JoinHandle<Result<Writer>>>,
    abandoned: Arc<AtomicBool>,
}

impl SqliteBranch {
    pub(super) async fn start(database: Sqlite, spec: WriteSpec) -> Result<Self> {
        let writer = blocking(move || Writer::begin(database, spec)).await?;
        let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
        let abandoned = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&abandoned);
        let thread = tokio::task::spawn_blocking(move || write_all(writer, receiver, &seen));
        Ok(Self { batches: Some(sender), thread: Some(thread), abandoned })
    }

    /// Waits until all batches are written; an error has rolled the transaction back.
    async fn finish(&mut self) -> Result<Writer> {
        self.batches = None;
        let Some(thread) = self.thread.take() else {
            return Err(Error::internal("the branch failed before and cannot go on"));
        };
        thread.await.map_err(|error| Error::internal(format!("the SQLite thread ended: {error}")))?
    }
}

fn write_all(
    mut writer: Writer,
    mut batches: mpsc::Receiver<RecordBatch>,
    abandoned: &AtomicBool,
) -> Result<Writer> {
    while let Some(batch) = batches.blocking_recv() {
        for first in (0..batch.num_rows()).step_by(SLICE_ROWS) {
            if abandoned.load(Relaxed) {
                return Err(Error::new(ErrorKind::Interrupted, "the write was abandoned"));
            }
            writer.insert(&batch.slice(first, SLICE_ROWS.min(batch.num_rows() - first)))?;
        }
    }
    Ok(writer)
}

#[async_trait]
impl Branch for SqliteBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if let Some(batches) = &self.batches
            && batches.send(batch).await.is_ok()
        {
            return Ok(());
        }
        // The thread takes no more: it has failed, and says why.
        self.finish().await?;
        Err(Error::internal("the SQLite thread ended early"))
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        self.rollback().await?;
        Err(Error::new(ErrorKind::Unsupported, "SQLite cannot prepare a transaction: it commits in one phase"))
    }

    async fn commit_one_phase(mut self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        let writer = self.finish().await?;
        blocking(move || writer.commit(record)).await
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        self.abandoned.store(true, Relaxed);
        // Whether it was written or failed, dropping the writer, here or on its thread, undoes it.
        let _ = self.finish().await;
        Ok(())
    }
}

impl Drop for SqliteBranch {
    fn drop(&mut self) {
        self.abandoned.store(true, Relaxed);
    }
}
