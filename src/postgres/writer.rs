//! One connection's open transaction: sends encoded rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use log::warn;
use sqlx::Row as _;

use super::cells::{HEADER, TRAILER};
use super::change::Plan;
use super::database::{BEGIN, Connection, Postgres};
use super::described::relation;
use super::encode::Encoder;
use super::error::{UNIQUE_VIOLATION, place_in_copy};
use super::existing::{self, ExistingRows};
use super::sequences::Sequences;
use super::statements::{CopyPlan, delete};
use crate::backend::{Change, Existing, OtherIndex, Table, Vote, WriteSpec, failpoint::failpoint};
use crate::buffer::Receiver;
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::pool::Connect;
use crate::sql::{self, DUPLICATE_KEY, EncodedChunk, FreeList, LookupResult, RowSender, TableName, Targets};
use crate::txn::{DecisionRecord, Xid};

/// The server process of a connection, for use from other connections.
#[derive(Debug, Clone)]
pub(super) struct WriterSession {
    database: Postgres,
    pid: i32,
    started: Arc<str>,
}

#[async_trait]
impl sql::ServerSession for WriterSession {
    async fn cancel(&self) -> bool {
        // If this fails, the statement runs to its end.
        let Ok(mut connection) = self.database.pool.beside().await else { return false };
        let canceled = sqlx::query("SELECT pg_cancel_backend($1)").bind(self.pid).execute(&mut *connection).await;
        self.database.pool.connector().close(connection).await;
        canceled.is_ok()
    }

    async fn works(&self) -> bool {
        self.database.pool.connector().works(self.pid).await
    }

    async fn lives(&self) -> bool {
        let Ok(mut connection) = self.database.pool.beside().await else { return false };
        let lives = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)");
        let lives: sqlx::Result<bool> = lives.bind(self.pid).fetch_one(&mut *connection).await;
        self.database.pool.connector().close(connection).await;
        matches!(lives, Ok(true))
    }

    async fn end(&self) {
        let Ok(mut connection) = self.database.pool.beside().await else { return };
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2";
        // It may have ended already.
        let _ = sqlx::query(end).bind(self.pid).bind(&*self.started).execute(&mut *connection).await;
        self.database.pool.connector().close(connection).await;
    }
}

/// Bytes of a chunk that are sent at once. Only a row that is longer makes a longer chunk.
const PIECE_BYTES: usize = 1024 * 1024;

/// An open transaction.
#[derive(Debug)]
pub(super) struct Writer {
    database: Postgres,
    connection: Connection,
    spec: WriteSpec,
    plan: CopyPlan,
    change: Option<Plan>,
    sequences: Arc<Sequences>,
    /// The unique indexes of the table that cannot be keys.
    other_indexes: Vec<OtherIndex>,
    rows: u64,
    not_stored: u64,
    /// Whether its next answer belongs to an earlier request, so that the connection cannot be used again.
    is_out_of_step: bool,
}

impl Writer {
    /// Begins the transaction, and returns the encoders for the table as of then, and how existing rows are read.
    pub(super) async fn begin(
        database: Postgres,
        xid: &Xid,
        spec: WriteSpec,
        change: Option<&Arc<Change>>,
    ) -> Result<(Self, Targets<Encoder>, Option<ExistingRows>)> {
        let mut connection = database.pool.acquire_to_write().await?;
        let begin = format!("{BEGIN}; {}; SELECT current_schema()", database.pool.connector().user_timeout());
        let (pid, conn) = connection.parts();
        let begun = sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).fetch_one(conn);
        let begun = database.answer(pid, "BEGIN", begun).await?;
        let first_schema: Option<String> = begun.try_get(0).map_err(|error| database.error(error))?;
        connection.serve(xid);
        if let Some(new) = &spec.create {
            database.create_in(&mut connection, new).await?;
        }
        let name = TableName::try_parse(&spec.table)?;
        let table = database.describe_in(&mut connection, &name).await?;
        let table = table.ok_or_else(|| Error::schema(format!("table {} no longer exists", spec.table)))?;
        // With an empty search path, a staging table is created beside its table.
        let schema = relation(&table)?.name.schema.clone().filter(|_| first_schema.is_none());
        let schema = schema.as_deref();
        let version = connection.server_version_num().unwrap_or_default();
        let sequences = Arc::new(Sequences::of(&table, &spec, change)?);
        let other_indexes = table.other_indexes.clone();
        let (change, table, spec, targets) = match change {
            Some(change) => {
                let (plan, stage, spec, targets) = Plan::of(&database, version, xid, &table, &spec, change, schema)?;
                (Some(plan), stage, spec, targets)
            }
            None => {
                let targets = database.targets(&table, &spec)?;
                (None, table, spec, targets)
            }
        };
        let plan = match &change {
            Some(_) => CopyPlan::direct(&table, &spec)?,
            None => CopyPlan::of(xid, &table, &spec, &targets, schema)?,
        };
        let existing = ExistingRows::of(&table, &spec, &targets)?;

        make_room(&database, &mut connection, &table, &spec, &plan, change.as_ref()).await?;
        let (rows, not_stored, is_out_of_step) = (0, 0, false);
        let writer = Self {
            database,
            connection,
            spec,
            plan,
            change,
            sequences,
            other_indexes,
            rows,
            not_stored,
            is_out_of_step,
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
        chunks: &mut Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<Option<EncodedChunk>> {
        let rows_before = self.rows;
        let database = self.database.clone();
        let (pid, conn) = self.connection.parts();
        let mut sending = Duration::ZERO;
        let mut copy = database.answer(pid, "COPY", conn.copy_in_raw(self.plan.copy())).await?;
        database.accepted(copy.send(HEADER.as_slice())).await?;
        let (mut chunk, mut bytes) = (first, 0);
        let next = loop {
            let began = Instant::now();
            // The client copies what it sends, and each piece has its own time limit.
            for piece in chunk.bytes().chunks(PIECE_BYTES) {
                database.accepted(copy.send(piece)).await?;
            }
            sending += began.elapsed();
            self.rows += chunk.rows;
            bytes += chunk.bytes().len();
            // If the list is full, the buffer is dropped.
            let _ = free_list.push(chunk.buffer);
            match chunks.recv().await {
                Some(next) if bytes < self.plan.statement_bytes() => chunk = next,
                next => break next,
            }
        };
        if abandoned.load(Relaxed) {
            database.answer(pid, "COPY", copy.abort("the write was canceled")).await?;
            return Ok(None);
        }
        let began = Instant::now();
        database.accepted(copy.send(TRAILER.as_slice())).await?;
        // Its errors name rows.
        let finished = async { Ok(copy.finish().await) };
        let stored = database.answer(pid, "COPY", finished).await?.map_err(|error| self.refused(error, rows_before))?;
        let (expected, stored) = self.merge_stage(rows_before, stored).await?;
        self.not_stored += expected.saturating_sub(stored);
        self.spec.stats.add_not_stored(expected.saturating_sub(stored));
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
            let (pid, conn) = self.connection.parts();
            let counted = counted.fetch_one(conn);
            expected = self.database.answer(pid, "SELECT", counted).await?.unsigned_abs();
        }
        let (merge, (pid, conn)) = (sqlx::AssertSqlSafe(merge.clone()), self.connection.parts());
        // The code of its error means something here only.
        let merged = async { Ok(sqlx::raw_sql(merge).execute(conn).await) };
        let merged = self.database.answer(pid, "INSERT", merged).await?;
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
        let error = self.database.error(error);
        match self.spec.on_conflict {
            OnConflict::Error => error,
            _ => {
                let index = index.as_deref().unwrap_or("another unique index");
                error.reworded(DUPLICATE_KEY, sql::other_key(&self.spec, index))
            }
        }
    }

    /// The error of a row in a COPY to the table: no option resolves a conflict on an index that cannot be a key.
    fn duplicate(&self, index: Option<String>, error: Error) -> Error {
        match self.other_indexes.iter().find(|other| Some(&other.name) == index.as_ref()) {
            Some(other) => error.reworded(DUPLICATE_KEY, not_a_key(&other.to_string())),
            None => error,
        }
    }

    /// The error of a COPY, with the row of the stream that the server names.
    fn refused(&self, error: sqlx::Error, rows_before: u64) -> Error {
        let (place, index) = (place_in_copy(&error), violated_index(&error));
        let error = self.duplicate(index, self.database.error(error));
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

/// The advice for a violated index that cannot be a key.
fn not_a_key(index: &str) -> String {
    format!(
        "the key already exists in the table, or occurs twice in the query (unique index {index}, so REPLACE INTO and the \
         option 'on_conflict' cannot use it: change or delete one of the rows)"
    )
}

/// The error of a constraint that is checked at the end of the transaction.
fn deferred(error: Error) -> Error {
    error.reworded(DUPLICATE_KEY, not_a_key("that is deferred"))
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
            (Existing::Truncate, ErrorKind::Unsupported) => {
                Error::new(ErrorKind::Unsupported, "set the option 'overwrite' to 'delete'").with_source(error)
            }
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
    type Session = WriterSession;

    fn session(&self) -> WriterSession {
        let (pid, started) = (self.connection.pid, Arc::clone(&self.connection.started));
        WriterSession { database: self.database.clone(), pid, started }
    }

    async fn send_all(
        &mut self,
        mut chunks: Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<()> {
        let mut next = chunks.recv().await;
        while let (Some(first), false) = (next.take(), abandoned.load(Relaxed)) {
            next = self.copy(first, &mut chunks, free_list, abandoned).await?;
        }
        if self.not_stored > 0 && self.spec.on_conflict != OnConflict::Ignore && !abandoned.load(Relaxed) {
            warn!(
                "table {} did not store {} rows: a trigger or a rule suppressed them",
                self.spec.table, self.not_stored
            );
        }
        Ok(())
    }

    async fn read(&mut self, statements: Vec<Vec<u8>>, schema: SchemaRef) -> Result<LookupResult> {
        let read = existing::read(&self.database, &mut self.connection, statements, schema).await;
        // If the server refuses a COPY TO STDOUT, sqlx does not read its end: the next request would receive it.
        self.is_out_of_step |= read.is_err();
        read
    }

    fn changes(&self) -> bool {
        self.change.is_some()
    }

    async fn apply(&mut self) -> Result<()> {
        match &self.change {
            Some(change) => change.apply(&self.database, &mut self.connection).await,
            None => Ok(()),
        }
    }

    async fn prepare(mut self, xid: &Xid) -> Result<Vote> {
        // With the option, equal rows stay locked until the commit.
        if self.rows == 0
            && self.spec.create.is_none()
            && self.spec.existing == Existing::Keep
            && !self.spec.diff_lock
            && self.change.is_none()
        {
            self.rollback().await;
            return Ok(Vote::ReadOnly);
        }
        let drop_stage = match (&self.plan, &self.change) {
            (CopyPlan::Staged { drop, .. }, _) => drop,
            (CopyPlan::Direct { .. }, Some(change)) => &change.drop,
            (CopyPlan::Direct { .. }, None) => &None,
        };
        if let Some(drop_stage) = drop_stage {
            self.database.execute(&mut self.connection, drop_stage.clone()).await?;
        }
        self.before_commit().await?;
        failpoint("postgres.prepare.before");
        let prepared = self.database.execute(&mut self.connection, format!("PREPARE TRANSACTION '{xid}'")).await;
        if let Err(error) = prepared {
            if error.kind() == ErrorKind::Unavailable {
                let session = self.session();
                drop(self);
                sql::ServerSession::ended(&session).await;
            }
            let doing = match error.kind() {
                ErrorKind::Unsupported => {
                    "preparing (set the option 'commit' to 'one_phase' to commit without preparing)"
                }
                ErrorKind::Full => "preparing (set the option 'writers' to '1' to commit without preparing)",
                _ => "preparing",
            };
            return Err(deferred(error).with_context(doing));
        }
        failpoint("postgres.prepare.after");
        // If the transaction has failed before, PREPARE rolls it back without an error.
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE gid = $1)");
        let (pid, conn) = self.connection.parts();
        let found = found.bind(xid.to_string()).fetch_one(conn);
        let found = self.database.answer(pid, "SELECT", found).await;
        if !found.map_err(|error| error.with_context("preparing"))? {
            return Err(Error::new(
                ErrorKind::Database,
                "the prepared transaction no longer exists: the server (see its log), another run of the job or a \
                 recovery rolled it back",
            ));
        }
        // The prepared transaction no longer belongs to the session.
        self.connection.give_back();
        Ok(Vote::Prepared)
    }

    async fn before_commit(&mut self) -> Result<()> {
        self.sequences.follow(&self.database, &mut self.connection).await
    }

    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord> {
        self.database.decide_in(&mut self.connection, record).await
    }

    async fn commit(mut self) -> Result<()> {
        failpoint("postgres.commit.before");
        let committed = self.database.execute(&mut self.connection, "COMMIT".into()).await;
        failpoint("postgres.commit.after");
        // It can fail, for example because of a deferred constraint.
        committed.map_err(deferred)?;
        self.connection.give_back();
        Ok(())
    }

    async fn undo(&mut self) -> bool {
        !self.is_out_of_step && self.database.execute(&mut self.connection, "ROLLBACK".into()).await.is_ok()
    }

    async fn rollback(mut self) {
        if self.undo().await {
            self.connection.give_back();
        }
    }
}
