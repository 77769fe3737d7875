//! One connection's open transaction: sends encoded rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use log::warn;

use super::cells::{HEADER, TRAILER};
use super::change::Plan;
use super::database::{Connection, Postgres};
use super::described::relation;
use super::encode::Encoder;
use super::error::{UNIQUE_VIOLATION, not_a_key, place_in_copy};
use super::existing::{self, ExistingRows};
use super::indexes::{Dropped, MANY_BYTES};
use super::open::{Open, WriterSession};
use super::sequences::Sequences;
use super::statements::{CopyPlan, delete};
use crate::backend::{Change, Existing, NewTable, OpenTransaction, OtherIndex, Table, Vote, WriteSpec};
use crate::buffer::Receiver;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Indexes, OnConflict};
use crate::sql::{
    self, Chunks, DUPLICATE_KEY, EncodedChunk, FreeList, LookupResult, OpenBranch, RowSender, Savepoint, SentRows,
    ServerTransaction, Targets,
};
use crate::txn::{DecisionRecord, Xid};

/// Bytes of a chunk that are sent at once. Only a row that is longer makes a longer chunk.
const PIECE_BYTES: usize = 1024 * 1024;

/// Constraints that are deferred to the commit would fail the whole transaction there.
const SAVEPOINT: Savepoint = Savepoint::new(
    "SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT landfall",
    "RELEASE SAVEPOINT landfall; SAVEPOINT landfall",
);

/// Bytes that are kept to be sent with the next ones. Each message wakes the server up, so a small statement is one message.
const KEPT_BYTES: usize = 64 * 1024;

/// A statement of an open transaction.
#[derive(Debug)]
pub(super) struct Writer {
    open: Open,
    /// The name of the transaction.
    xid: Xid,
    spec: WriteSpec,
    plan: CopyPlan,
    change: Option<Plan>,
    sequences: Arc<Sequences>,
    /// The unique indexes of the table that cannot be keys.
    other_indexes: Vec<OtherIndex>,
    /// The table, until it is known whether its indexes are built after the rows.
    undecided: Option<Arc<Table>>,
    /// The indexes that are built after the rows.
    dropped: Option<Dropped>,
    rows: u64,
    not_stored: u64,
    savepoint: Savepoint,
    /// Whether its next answer belongs to an earlier request, so that the connection cannot be used again.
    is_out_of_step: bool,
}

fn ended() -> Error {
    Error::internal("the transaction has ended")
}

impl Writer {
    /// Begins the statement, and returns the encoders for the table as of then, and how existing rows are read.
    /// `of_statement` is the name for staging tables. After an error, the transaction stays where it was.
    pub(super) async fn begin(
        transaction: &mut Option<Open>,
        xid: &Xid,
        of_statement: &Xid,
        spec: WriteSpec,
        change: Option<&Arc<Change>>,
    ) -> Result<(Self, Targets<Encoder>, Option<ExistingRows>)> {
        let open = transaction.as_mut().ok_or_else(ended)?;
        let (database, connection) = (&open.database, &mut open.connection);
        if let Some(new) = &spec.create {
            database.create_in(connection, new).await?;
        }
        let table = database.table_in(connection, &spec, change, open.version.take()).await?;
        // With an empty search path, a staging table is created beside its table.
        let schema = relation(&table)?.name.schema.clone().filter(|_| !open.has_schema);
        let schema = schema.as_deref();
        let version = connection.server_version_num().unwrap_or_default();
        let sequences = Arc::new(Sequences::of(&table, &spec, change)?);
        let other_indexes = table.other_indexes.clone();
        let undecided = Some(&table).filter(|_| change.is_none() && may_rebuild(&spec)).cloned();
        let (change, table, spec, targets) = match change {
            Some(change) => {
                let (plan, stage, spec, targets) =
                    Plan::of(database, version, of_statement, &table, &spec, change, schema)?;
                (Some(plan), Arc::new(stage), spec, targets)
            }
            None => {
                let targets = database.targets(&table, &spec)?;
                (None, table, spec, targets)
            }
        };
        let plan = match &change {
            Some(_) => CopyPlan::direct(&table, &spec)?,
            None => CopyPlan::of(of_statement, &table, &spec, &targets, schema)?,
        };
        let existing = ExistingRows::of(&table, &spec, &targets)?;

        make_room(database, connection, &table, &spec, &plan, change.as_ref()).await?;
        let open = transaction.take().ok_or_else(ended)?;
        let writer = Self {
            open,
            xid: *xid,
            spec,
            plan,
            change,
            sequences,
            other_indexes,
            undecided,
            dropped: None,
            rows: 0,
            not_stored: 0,
            savepoint: SAVEPOINT,
            is_out_of_step: false,
        };
        Ok((writer, targets, existing))
    }

    /// The sequences of the columns that are written.
    pub(super) fn sequences(&self) -> Arc<Sequences> {
        Arc::clone(&self.sequences)
    }

    /// Whether rows carry their number as a last column.
    pub(super) fn numbers_rows(&self) -> bool {
        self.plan.numbers_rows()
    }

    /// Runs one COPY statement and the merge after it; returns the first chunk of the next one.
    async fn copy(
        &mut self,
        first: EncodedChunk,
        chunks: &mut Chunks,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<Option<EncodedChunk>> {
        let (rows_before, database) = (self.rows, self.open.database.clone());
        let (pid, conn) = self.open.connection.parts();
        let mut copy = database.answer(pid, "COPY", conn.copy_in_raw(self.plan.copy())).await?;
        let (mut chunk, mut bytes, mut kept, mut sending) = (first, 0, HEADER.to_vec(), Duration::ZERO);
        let next = loop {
            let began = Instant::now();
            if kept.len() + chunk.bytes().len() <= KEPT_BYTES {
                kept.extend_from_slice(chunk.bytes());
            } else {
                // The client copies what it sends, and each piece has its own time limit.
                for piece in [kept.as_slice()].into_iter().chain(chunk.bytes().chunks(PIECE_BYTES)) {
                    // The end of a COPY that failed is not read then.
                    let accepted = database.accepted(copy.send(piece)).await;
                    accepted.inspect_err(|_| self.is_out_of_step = true)?;
                }
                kept.clear();
            }
            sending += began.elapsed();
            self.rows += chunk.rows;
            bytes += chunk.bytes().len();
            // If the list is full, the buffer is dropped.
            let _ = free_list.push(chunk.buffer);
            match chunks.next().await {
                Some(next) if bytes < self.plan.statement_bytes() => chunk = next,
                next => break next,
            }
        };
        if abandoned.load(Relaxed) {
            // If the server has refused a row before, sqlx does not read the end of the COPY.
            let aborted = database.answer(pid, "COPY", copy.abort("the write was canceled")).await;
            return aborted.map(|()| None).inspect_err(|_| self.is_out_of_step = true);
        }
        let began = Instant::now();
        kept.extend_from_slice(TRAILER.as_slice());
        let accepted = database.accepted(copy.send(kept.as_slice())).await;
        accepted.inspect_err(|_| self.is_out_of_step = true)?;
        // Its errors name rows.
        let finished = async { Ok(copy.finish().await) };
        let stored = database.answer(pid, "COPY", finished).await?.map_err(|error| self.refused(error, rows_before))?;
        let (expected, stored) = self.merge_stage(rows_before, stored).await?;
        self.not_stored += expected.saturating_sub(stored);
        self.spec.stats.add_sent(self.rows - rows_before, bytes as u64);
        self.spec.stats.add_send(sending + began.elapsed());
        Ok(next)
    }

    /// Moves staged rows to their table; returns how many rows it should store, and how many it stored.
    async fn merge_stage(&mut self, rows_before: u64, copied: u64) -> Result<(u64, u64)> {
        let sent = self.rows - rows_before;
        let CopyPlan::Staged { merge, count, .. } = &self.plan else { return Ok((sent, copied)) };
        let mut expected = sent;
        if let Some(count) = count {
            let counted = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count.clone()));
            let (pid, conn) = self.open.connection.parts();
            let counted = counted.fetch_one(conn);
            expected = self.open.database.answer(pid, "SELECT", counted).await?.unsigned_abs();
        }
        let (merge, (pid, conn)) = (sqlx::AssertSqlSafe(merge.clone()), self.open.connection.parts());
        // The code of its error means something here only.
        let merged = async { Ok(sqlx::raw_sql(merge).execute(conn).await) };
        let merged = self.open.database.answer(pid, "INSERT", merged).await?;
        let merged = merged.map_err(|error| self.not_merged(error).in_rows(rows_before + 1, self.rows, ""));
        let stored = merged?.rows_affected();
        if count.is_none() && self.spec.on_conflict.updates() {
            // Rows with the same key count once, and no trigger suppresses any.
            expected = stored;
        }
        Ok((expected, stored))
    }

    /// The error of moving staged rows.
    fn not_merged(&self, error: sqlx::Error) -> Error {
        let index = violated_index(&error).map(|name| format!("unique index \"{name}\""));
        let error = self.open.database.error(error);
        match self.spec.on_conflict {
            OnConflict::Error => error,
            _ => {
                let index = index.as_deref().unwrap_or("another unique index");
                error.reworded(DUPLICATE_KEY, sql::other_key(&self.spec, index))
            }
        }
    }

    /// The error of a COPY, with the row of the stream that the server names.
    fn refused(&self, error: sqlx::Error, rows_before: u64) -> Error {
        let (place, index) = (place_in_copy(&error), violated_index(&error));
        let error = duplicate(&self.other_indexes, index.as_deref(), self.open.database.error(error));
        let Some((line, column)) = place else { return error };
        let row = rows_before + line;
        // The columns of a staging table are numbered.
        let index = |name: &str| match self.plan {
            CopyPlan::Direct { .. } => self.spec.columns.index_of(name).ok(),
            CopyPlan::Staged { .. } => name.strip_prefix('c')?.parse().ok(),
        };
        let named = column.and_then(|column| self.spec.columns.fields().get(index(&column)?));
        match named {
            Some(field) => error.in_rows(row, row, format!(", column \"{}\"", field.name())),
            None => error.in_rows(row, row, ""),
        }
    }
}

/// Whether a write may build the indexes of its table after its rows.
fn may_rebuild(spec: &WriteSpec) -> bool {
    let has_indexes = |new: &NewTable| !new.primary_key.is_empty() || !new.unique_keys.is_empty();
    spec.indexes != Indexes::Keep && spec.create.as_deref().is_none_or(has_indexes)
}

/// The error of a row: no option resolves a conflict on an index that cannot be a key.
fn duplicate(others: &[OtherIndex], index: Option<&str>, error: Error) -> Error {
    match others.iter().find(|other| Some(other.name.as_str()) == index) {
        Some(other) => error.reworded(DUPLICATE_KEY, not_a_key(&other.to_string())),
        None => error,
    }
}

/// The unique index that a row violates.
fn violated_index(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error().filter(|error| error.code().as_deref() == Some(UNIQUE_VIOLATION))?;
    error.constraint().map(str::to_owned)
}

/// Deletes the old rows, creates the tables that rows are staged in, and locks the rows that a change reads.
async fn make_room(
    database: &Postgres,
    connection: &mut Connection,
    table: &Table,
    spec: &WriteSpec,
    plan: &CopyPlan,
    change: Option<&Plan>,
) -> Result<()> {
    if let Some(delete) = delete(table, spec.existing)? {
        let deleted = database.execute(connection, delete).await;
        deleted.map_err(|error| match (spec.existing, error.kind()) {
            // A foreign key references it.
            (Existing::Truncate, ErrorKind::Unsupported) => Error::new(
                ErrorKind::Unsupported,
                "the server cannot truncate the table: set the option 'overwrite' to 'delete'",
            )
            .with_source(error),
            _ => error.with_context("deleting the old rows"),
        })?;
    }
    if let CopyPlan::Staged { create, .. } = plan {
        let created = database.execute(connection, create.clone()).await;
        created.map_err(|error| database.no_stage(error, spec.protocol))?;
    }
    if let Some(change) = change {
        if let Some(lock) = &change.lock {
            database.execute(connection, lock.clone()).await?;
        }
        if let Some(create) = &change.create {
            let created = database.execute(connection, create.clone()).await;
            created.map_err(|error| database.no_stage(error, spec.protocol))?;
        }
    }
    Ok(())
}

#[async_trait]
impl RowSender for Writer {
    async fn send_all(
        &mut self,
        chunks: Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<()> {
        let mut chunks = Chunks::new(chunks);
        if let Some(table) = self.undecided.take()
            && chunks.have(MANY_BYTES).await
        {
            let Open { database, connection, .. } = &mut self.open;
            self.dropped = database.drop_indexes(connection, &table, &self.spec).await?;
        }
        let mut next = chunks.next().await;
        while let (Some(first), false) = (next.take(), abandoned.load(Relaxed)) {
            next = self.copy(first, &mut chunks, free_list, abandoned).await?;
        }
        Ok(())
    }

    async fn set_savepoint(&mut self) -> Result<()> {
        let before = SentRows { sent: self.rows, not_stored: self.not_stored };
        let Some(statement) = self.savepoint.set(before) else { return Ok(()) };
        self.open.database.execute(&mut self.open.connection, statement.into()).await.map(drop)
    }

    async fn rollback_to_savepoint(&mut self) -> Result<()> {
        self.open.database.execute(&mut self.open.connection, Savepoint::ROLLBACK.into()).await?;
        SentRows { sent: self.rows, not_stored: self.not_stored } = self.savepoint.rolled_back();
        Ok(())
    }

    async fn read(&mut self, statements: Vec<Vec<u8>>, schema: SchemaRef) -> Result<LookupResult> {
        let read = existing::read(&self.open.database, &mut self.open.connection, statements, schema).await;
        // If the server refuses a COPY TO STDOUT, sqlx does not read its end: the next request would receive it.
        self.is_out_of_step |= read.is_err();
        read
    }

    fn changes(&self) -> bool {
        self.change.is_some() || self.dropped.is_some()
    }

    async fn apply(&mut self) -> Result<()> {
        self.build_indexes().await?;
        match &self.change {
            Some(change) => change.apply(&self.open.database, &mut self.open.connection).await,
            None => Ok(()),
        }
    }

    async fn end_statement(mut self) -> Result<Box<dyn OpenTransaction>> {
        let xid = self.xid;
        if let Err(error) = self.end().await {
            return Err(sql::undone(self, error).await);
        }
        self.open.rescue = None;
        Ok(Box::new(OpenBranch { xid, transaction: self.open }))
    }
}

#[async_trait]
impl ServerTransaction for Writer {
    type Session = WriterSession;

    fn session(&self) -> WriterSession {
        self.open.session()
    }

    async fn prepare(mut self, xid: &Xid) -> Result<Vote> {
        self.end().await?;
        self.open.prepare(xid).await
    }

    async fn before_commit(&mut self) -> Result<()> {
        self.build_indexes().await?;
        self.spec.stats.add_not_stored(self.not_stored);
        if self.not_stored > 0 && self.spec.on_conflict != OnConflict::Ignore {
            let (table, rows) = (&self.spec.table, self.not_stored);
            warn!("{}", sql::suppressed(table, rows, "a trigger or a rule"));
        }
        self.sequences.follow(&self.open.database, &mut self.open.connection).await
    }

    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord> {
        self.open.decide(record).await
    }

    async fn commit(mut self) -> Result<()> {
        self.open.commit().await
    }

    async fn undo(&mut self) -> bool {
        !self.is_out_of_step && self.open.undo().await
    }

    async fn rollback(self) {
        if !self.is_out_of_step {
            self.open.rollback().await;
        }
    }
}

impl Writer {
    /// Builds the indexes that were dropped before the rows.
    async fn build_indexes(&mut self) -> Result<()> {
        let Some(dropped) = self.dropped.take() else { return Ok(()) };
        let began = Instant::now();
        let refused = |index: &str, error: Error| {
            let error = duplicate(&self.other_indexes, Some(index), error);
            error.in_rows(1, self.rows, ", set the option 'indexes' to 'keep' so that the error names the row")
        };
        let built = self.open.database.build_indexes(&mut self.open.connection, dropped, refused).await;
        self.spec.stats.add_send(began.elapsed());
        built
    }

    /// Ends the statement in its transaction.
    async fn end(&mut self) -> Result<()> {
        let drop_stage = match (&self.plan, &self.change) {
            (CopyPlan::Staged { drop, .. }, _) => drop,
            (CopyPlan::Direct { .. }, Some(change)) => &change.drop,
            (CopyPlan::Direct { .. }, None) => &None,
        };
        if let Some(drop_stage) = drop_stage.clone() {
            self.open.database.execute(&mut self.open.connection, drop_stage).await?;
        }
        self.before_commit().await?;
        // With the option, equal rows stay locked until the commit.
        self.open.has_written |= self.rows > 0
            || self.spec.create.is_some()
            || self.spec.existing != Existing::Keep
            || self.spec.diff_lock
            || self.change.is_some();
        Ok(())
    }
}
