//! Sends encoded rows in an open transaction.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use async_trait::async_trait;
use datafusion_landfall::backend::{Change, OpenTransaction, Vote, WriteSpec, WriteStats};
use datafusion_landfall::buffer::Receiver;
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::options::OnConflict;
use datafusion_landfall::sql::{
    BulkBranch, EncodedChunk, FreeList, LookupResult, RowSender, ServerTransaction, check_not_truncated, undone,
};
use datafusion_landfall::txn::{DecisionRecord, Xid};

use crate::change::{self, Plan};
use crate::database::Oracle;
use crate::encode::BoundRows;
use crate::open::{Open, WriterSession};
use crate::session::Failure;
use crate::statements;

/// Why TRUNCATE is refused.
pub(crate) const NO_TRUNCATE: &str = "TRUNCATE commits the open transaction in Oracle";

/// A branch that writes rows.
pub(crate) type OracleBranch = BulkBranch<BoundRows, Sender>;

/// Writes the rows of a statement.
#[derive(Debug)]
pub(crate) struct Sender {
    open: Open,
    /// The statement of a row.
    write: Arc<str>,
    /// Whether a row may exist, and is then not stored.
    ignores: bool,
    rows: u64,
    stats: Arc<WriteStats>,
    /// The change, which is applied when all rows are there.
    plan: Option<Plan>,
}

/// Starts a branch.
pub(crate) async fn start(
    database: Oracle,
    xid: &Xid,
    spec: &WriteSpec,
    change: Option<&Arc<Change>>,
) -> Result<OracleBranch> {
    let mut open = Open::begin(database, xid, spec.protocol).await?;
    let begun = match change {
        None => begin(&mut open, spec).await.map(|(write, encoder)| (write, encoder, None)),
        Some(change) => begin_change(&mut open, spec, change).await,
    };
    let (write, encoder, plan) = match begun {
        Ok(begun) => begun,
        Err(error) => return Err(undone(open, error).await),
    };
    let (ignores, stats) = (spec.on_conflict == OnConflict::Ignore, Arc::clone(&spec.stats));
    let sender = Sender { open, write: write.into(), ignores, rows: 0, stats, plan };
    Ok(BulkBranch::start(xid, encoder, sender, spec.stats.memory().clone()))
}

/// Prepares the write in its transaction.
async fn begin(open: &mut Open, spec: &WriteSpec) -> Result<(String, BoundRows)> {
    check_not_truncated(spec, NO_TRUNCATE)?;
    let database = open.database.clone();
    let table = database.describe_known(&mut open.connection, &spec.table).await?;
    let encoder = BoundRows::new(database.targets(&table, spec)?);
    if let Some(delete) = statements::delete(&table, spec.existing)? {
        open.has_written = true;
        let deleted = open.connection.execute(delete, Vec::new()).await;
        deleted.map_err(|error| error.with_context(format!("emptying table {}", table.name)))?;
    }
    Ok((statements::write(&table, spec)?, encoder))
}

/// Prepares a change in its transaction: locks the table, if the change depends on rows that it reads.
async fn begin_change(
    open: &mut Open,
    spec: &WriteSpec,
    change: &Arc<Change>,
) -> Result<(String, BoundRows, Option<Plan>)> {
    let database = open.database.clone();
    let table = database.describe_known(&mut open.connection, &spec.table).await?;
    let encoder = BoundRows::new(change::targets(&database, &table, spec, change)?);
    if change.lock.is_some() {
        let lock = change::lock(&table)?;
        let locked = open.connection.execute(lock, Vec::new()).await;
        locked.map_err(|error| error.with_context(format!("locking table {}", table.name)))?;
    }
    Ok((String::new(), encoder, Some(Plan::new(table, Arc::clone(change), spec))))
}

#[async_trait]
impl ServerTransaction for Sender {
    type Session = WriterSession;

    fn session(&self) -> WriterSession {
        self.open.session()
    }

    async fn prepare(self, xid: &Xid) -> Result<Vote> {
        self.open.prepare(xid).await
    }

    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord> {
        self.open.decide(record).await
    }

    async fn commit(self) -> Result<()> {
        self.open.commit().await
    }

    async fn undo(&mut self) -> bool {
        self.open.undo().await
    }

    async fn rollback(self) {
        self.open.rollback().await;
    }
}

#[async_trait]
impl RowSender for Sender {
    async fn send_all(
        &mut self,
        mut chunks: Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<()> {
        while let Some(chunk) = chunks.recv().await {
            if abandoned.load(Relaxed) {
                break;
            }
            let (rows, bytes) = (chunk.rows, chunk.bytes().len() as u64);
            if let Some(plan) = &mut self.plan {
                let batch = decoded(chunk.bytes());
                plan.stage(batch.map_err(|failure| Error::new(ErrorKind::Internal, failure.message))?);
                self.stats.add_sent(rows, bytes);
                let _ = free_list.push(chunk.buffer);
                continue;
            }
            let (write, began) = (Arc::clone(&self.write), std::time::Instant::now());
            self.open.has_written = true;
            let sent = self.open.connection.run(move |session| {
                let batch = decoded(chunk.bytes())?;
                Ok((session.execute_batch(&write, &batch)?, chunk))
            });
            let (first, last) = (self.rows + 1, self.rows + rows);
            let (affected, chunk) = sent.await.map_err(|error| match error.kind() {
                ErrorKind::Encode | ErrorKind::Constraint => error.in_rows(first, last, ""),
                _ => error,
            })?;
            self.stats.add_send(began.elapsed());
            self.stats.add_sent(rows, bytes);
            if self.ignores {
                self.stats.add_not_stored(rows.saturating_sub(affected));
            }
            self.rows += rows;
            // If it is full, the buffer is dropped.
            let _ = free_list.push(chunk.buffer);
        }
        Ok(())
    }

    async fn read(&mut self, _: Vec<Vec<u8>>, _: SchemaRef) -> Result<LookupResult> {
        Err(Error::new(ErrorKind::Internal, "existing rows are not compared in Oracle"))
    }

    fn changes(&self) -> bool {
        self.plan.is_some()
    }

    async fn apply(&mut self) -> Result<()> {
        match self.plan.take() {
            Some(plan) => {
                self.open.has_written = true;
                plan.apply(&mut self.open.connection).await
            }
            None => Ok(()),
        }
    }

    async fn end_statement(self) -> Result<Box<dyn OpenTransaction>> {
        self.rollback().await;
        Err(Error::new(ErrorKind::Unsupported, "transactions of several statements are not supported in Oracle"))
    }
}

/// The rows of a chunk.
fn decoded(bytes: &[u8]) -> Result<RecordBatch, Failure> {
    let failed = |text: String| Failure::of_driver(format!("a chunk of rows cannot be read: {text}"));
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(|error| failed(error.to_string()))?;
    match reader.next() {
        Some(Ok(batch)) => Ok(batch),
        Some(Err(error)) => Err(failed(error.to_string())),
        None => Err(failed("it has no batch".to_owned())),
    }
}
