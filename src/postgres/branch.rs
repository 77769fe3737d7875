//! A branch: encodes rows where they come from, and sends them from a task of its own.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Postgres;
use super::cells::{Numbers, Rows};
use super::encode::Encoder;
use super::writer::{Piece, Session, Writer};
use crate::error::{Error, Result};
use crate::sql::Targets;
use crate::xa::{Branch, DecisionRecord, Outcome, Vote, WriteSpec, Xid};

/// Rows that are looked at together, at most: what a huge batch takes beside itself is bounded by it.
const SLICE_ROWS: usize = 8_192;

/// Pieces that wait to be sent: the next ones are made while this many are on their way.
const QUEUED_PIECES: usize = 4;

/// How long a statement may go on after the write was given up, before the server is told to cancel it.
const GRACE: Duration = Duration::from_millis(200);

/// How long a server may take to roll back before its connection is dropped.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(30);

/// An open branch. Closing the channel lets the task finish what is queued and give the writer back.
pub(super) struct PostgresBranch {
    xid: Xid,
    targets: Targets<Encoder>,
    numbers_rows: bool,
    rows: u64,
    pieces: Option<mpsc::Sender<Piece>>,
    spare: mpsc::Receiver<Vec<u8>>,
    task: Option<JoinHandle<Result<Writer>>>,
    /// What the task gave back.
    writer: Option<Writer>,
    session: Session,
    abandoned: Arc<AtomicBool>,
}

impl PostgresBranch {
    pub(super) async fn start(database: Postgres, xid: &Xid, spec: WriteSpec) -> Result<Self> {
        let (mut writer, targets) = Writer::begin(database, xid, spec).await?;
        let (numbers_rows, session) = (writer.numbers_rows(), writer.session());
        let (pieces, queued) = mpsc::channel(QUEUED_PIECES);
        let (sent, spare) = mpsc::channel(QUEUED_PIECES);
        let abandoned = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&abandoned);
        let task = tokio::spawn(async move {
            writer.send_all(queued, &sent, &seen).await?;
            Ok(writer)
        });
        Ok(Self {
            xid: *xid,
            targets,
            numbers_rows,
            rows: 0,
            pieces: Some(pieces),
            spare,
            task: Some(task),
            writer: None,
            session,
            abandoned,
        })
    }

    /// Waits until all rows are sent; an error has rolled the transaction back.
    async fn finish(&mut self) -> Result<()> {
        self.pieces = None;
        if let Some(task) = &mut self.task {
            let ended = task.await;
            self.task = None;
            let ended = ended.map_err(|error| Error::internal(format!("the task that sends rows ended: {error}")))?;
            self.writer = Some(ended?);
        }
        Ok(())
    }

    async fn take_writer(&mut self) -> Result<Writer> {
        self.finish().await?;
        self.writer.take().ok_or_else(|| Error::internal("the branch failed before and cannot go on"))
    }

    /// The writer, where all rows went to it.
    async fn take_whole_writer(&mut self) -> Result<Writer> {
        let writer = self.take_writer().await?;
        if self.abandoned.load(Relaxed) {
            writer.rollback().await;
            return Err(Error::internal("the branch failed before and cannot be committed"));
        }
        Ok(writer)
    }

    fn encode(&mut self, slice: &RecordBatch) -> Result<Rows> {
        let mut columns = self.targets.encode(slice, Encoder::encode)?;
        if self.numbers_rows {
            columns.push(Box::new(Numbers { first: self.rows as i64 }));
        }
        self.rows += slice.num_rows() as u64;
        Ok(Rows::new(columns, slice.num_rows()))
    }
}

#[async_trait]
impl Branch for PostgresBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        for first in (0..batch.num_rows()).step_by(SLICE_ROWS) {
            let slice = batch.slice(first, SLICE_ROWS.min(batch.num_rows() - first));
            // Rows before this one may be sent: the branch can only be rolled back.
            let mut rows = self.encode(&slice).inspect_err(|_| self.abandoned.store(true, Relaxed))?;
            loop {
                let mut bytes = self.spare.try_recv().unwrap_or_default();
                let Some(count) = rows.write(&mut bytes) else { break };
                let Some(pieces) = &self.pieces else {
                    return Err(Error::internal("the branch is complete, or failed before"));
                };
                if pieces.send(Piece { bytes, rows: count as u64 }).await.is_err() {
                    // The task takes no more: it has failed, and says why.
                    self.finish().await?;
                    return Err(Error::internal("the task that sends rows ended early"));
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.finish().await
    }

    async fn prepare(mut self: Box<Self>) -> Result<Vote> {
        let xid = self.xid;
        self.take_whole_writer().await?.prepare(&xid).await
    }

    async fn commit_one_phase(mut self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        self.take_whole_writer().await?.commit(record).await
    }

    async fn rollback(mut self: Box<Self>) -> Result<()> {
        self.abandoned.store(true, Relaxed);
        let (session, task) = (self.session.clone(), self.task.as_ref().map(JoinHandle::abort_handle));
        let undone = async {
            // A task that failed has rolled back.
            if let Ok(writer) = self.take_writer().await {
                writer.rollback().await;
            }
        };
        let mut undone = pin!(undone);
        if tokio::time::timeout(GRACE, &mut undone).await.is_ok() {
            return Ok(());
        }
        session.cancel().await;
        if tokio::time::timeout(ROLLBACK_TIMEOUT, undone).await.is_err()
            && let Some(task) = task
        {
            // The server does not answer. Without a connection it rolls back by itself.
            task.abort();
        }
        Ok(())
    }
}

impl Drop for PostgresBranch {
    fn drop(&mut self) {
        self.abandoned.store(true, Relaxed);
    }
}
