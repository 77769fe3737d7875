//! One connection's open transaction: sends encoded rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arrow::datatypes::{Field, SchemaRef};
use async_trait::async_trait;
use log::warn;
use mysql_async::prelude::Queryable;

use super::change::{self, Plan};
use super::codec::Codec;
use super::database::{Connection, MySql};
use super::described::{codec_of, relation};
use super::encode::Encoder;
use super::existing::{self, ExistingRows};
use super::fields::{Frame, LARGE};
use super::large::{LargeRows, large_targets};
use super::load::{Loaded, Sent, Source, load};
use super::open::{Open, WriterSession};
use super::statements::{
    FILE_BYTES, IGNORED, InsertMethod, delete, has_several_keys, insert_method, other_keys, style,
};
use super::unpublished::Unpublished;
use crate::backend::Table;
use crate::backend::{Change, Existing, OpenTransaction, Vote, WriteSpec};
use crate::buffer::Receiver;
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::sql::{
    self, EncodedChunk, FreeList, LookupResult, OpenBranch, RowSender, Savepoint, SentRows, ServerTransaction,
    TableName, Targets,
};
use crate::txn::{DecisionRecord, Xid};

/// A statement of an open transaction.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) open: Open,
    /// The name of the transaction.
    xid: Xid,
    pub(super) spec: WriteSpec,
    method: InsertMethod,
    frame: Arc<Frame>,
    /// The codecs of the columns that are written.
    columns: Arc<[Arc<dyn Codec>]>,
    /// The keys other than the conflict key; a row that conflicts on one of them is refused.
    pub(super) guarded: Option<String>,
    /// How rows that are too long for a statement are written.
    large: Option<LargeRows>,
    /// The plan that is applied when all rows are staged.
    change: Option<Plan>,
    /// The table, if this transaction creates it.
    pub(super) new: Option<Unpublished>,
    /// The names of the staging table's columns in messages.
    pub(super) names: Vec<String>,
    pub(super) rows: u64,
    not_stored: u64,
    savepoint: Savepoint,
}

/// The encoders of a branch.
pub(super) struct Encoders {
    pub(super) targets: Targets<Encoder>,
    /// For rows that are too long for a statement.
    pub(super) large: Option<Targets<Encoder>>,
    /// How existing rows are read, and the encoders of their keys.
    pub(super) existing: Option<(ExistingRows, Targets<Encoder>)>,
}

impl MySql {
    /// Reads the description of a table, and checks that it can be written.
    pub(super) async fn describe_writable(&self, connection: &mut Connection, name: &str) -> Result<Table> {
        let table = self.describe_on(connection, &TableName::try_parse(name)?).await?;
        let table =
            table.ok_or_else(|| Error::schema(format!("table {name} no longer exists: create the table again")))?;
        relation(&table)?.check_writable()?;
        Ok(table)
    }
}

fn ended() -> Error {
    Error::internal("the transaction has ended")
}

/// A statement, with the encoders for its table.
pub(super) type Begun = (Writer, Encoders);

impl Writer {
    /// Begins a transaction of one statement.
    pub(super) async fn begin(
        database: MySql,
        xid: &Xid,
        spec: WriteSpec,
        change: Option<&Arc<Change>>,
    ) -> Result<Begun> {
        let (mut connection, name) = Open::connect(&database, xid, spec.protocol).await?;
        if let Some(change) = change {
            let table = database.describe_writable(&mut connection, &spec.table).await?;
            change::before(&database, &mut connection, &table, change).await?;
        }
        let Some(new) = &spec.create else {
            let open = Open::begin(database, connection, name).await?;
            return Self::begin_in(&mut Some(open), xid, spec, change).await;
        };
        let new = Unpublished::create(&database, &mut connection, new).await?;
        let until_then = WriteSpec { table: new.until_then().to_string(), ..spec.clone() };
        let begun = async {
            let open = Open::begin(database.clone(), connection, name).await?;
            Self::begin_in(&mut Some(open), xid, until_then, change).await
        };
        match begun.await {
            Ok((writer, encoders)) => Ok((Self { new: Some(new), spec, ..writer }, encoders)),
            Err(error) => {
                new.give_up(&database).await;
                Err(error)
            }
        }
    }

    /// Begins a statement of an open transaction. After an error, the transaction stays where it was.
    pub(super) async fn begin_in(
        transaction: &mut Option<Open>,
        xid: &Xid,
        spec: WriteSpec,
        change: Option<&Arc<Change>>,
    ) -> Result<Begun> {
        let open = transaction.as_mut().ok_or_else(ended)?;
        let (database, connection) = (&open.database, &mut open.connection);
        let table = database.describe_writable(connection, &spec.table).await?;
        let (change, table, spec, names) = match change {
            Some(change) => {
                let (plan, stage, stage_spec) = Plan::of(&table, &spec, change)?;
                plan.lock(database, connection).await?;
                (Some(plan), stage, stage_spec, sql::shown_names(change).collect::<Vec<_>>())
            }
            None => (None, table, spec, Vec::new()),
        };
        let (method, frame) = insert_method(&table, &spec)?;
        let is_guarded = spec.on_conflict != OnConflict::Error && has_several_keys(&table, relation(&table)?);
        let guarded = is_guarded.then(|| other_keys(&table, &spec.key));
        let targets = database.targets(&table, &spec, style(connection.server, &spec))?.named(names.iter().cloned());
        let existing = match ExistingRows::of(&table, &spec)? {
            Some(existing) => Some((existing, database.key_targets(&table, &spec)?)),
            None => None,
        };
        let of_column = |field: &Arc<Field>| table.column(field.name()).and_then(|column| codec_of(column).ok());
        let columns = spec.columns.fields().iter().filter_map(of_column).cloned().collect();
        warn_if_slow(database, connection, &spec);
        make_room(database, connection, &table, &spec).await?;
        let encoders = Encoders { targets, large: large_targets(database, &table, &spec)?, existing };
        let large = encoders.large.is_some().then(|| LargeRows::of(&table, &spec)).transpose()?;
        let open = transaction.take().ok_or_else(ended)?;
        let writer = Self {
            open,
            xid: *xid,
            spec,
            method,
            frame,
            columns,
            guarded,
            large,
            change,
            new: None,
            names,
            rows: 0,
            not_stored: 0,
            savepoint: Savepoint::new("SAVEPOINT landfall", "SAVEPOINT landfall"),
        };
        Ok((writer, encoders))
    }

    pub(super) fn frame(&self) -> Arc<Frame> {
        Arc::clone(&self.frame)
    }

    /// Runs one statement; returns the first chunk of the next one.
    async fn send(
        &mut self,
        first: EncodedChunk,
        chunks: &mut Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<Option<EncodedChunk>> {
        let began = Instant::now();
        let Loaded { done, sent, next } = match &self.method {
            InsertMethod::Insert if first.bytes().first() == Some(&LARGE) => {
                let source = Source { chunks, free_list, abandoned, skip: 1, file_bytes: 0 };
                return self.send_large(first, source).await;
            }
            InsertMethod::Insert => {
                let sent = Sent { rows: first.rows, bytes: first.bytes().len(), waited: Duration::ZERO };
                let (id, conn) = (self.open.connection.conn.id(), &mut self.open.connection.conn);
                // Its errors name rows.
                let inserted = async { Ok(conn.query_drop(first.bytes()).await) };
                let done = self.open.database.answer(id, "INSERT", inserted).await;
                let _ = free_list.push(first.buffer);
                Loaded { done, sent, next: None }
            }
            InsertMethod::Load(statement) => {
                let source = Source { chunks, free_list, abandoned, skip: 0, file_bytes: FILE_BYTES };
                load(&self.open.database, &mut self.open.connection, statement, first, source).await
            }
        };
        let Sent { rows, bytes, waited } = sent;
        let rows_before = self.rows;
        self.rows += rows;
        self.accepted(done?, rows_before).await?;
        self.check(rows_before).await?;
        self.spec.stats.add_sent(rows, bytes as u64);
        self.spec.stats.add_send(began.elapsed().saturating_sub(waited));
        Ok(next)
    }

    /// Writes a row that is too long for a statement; returns the next chunk.
    async fn send_large(&mut self, first: EncodedChunk, source: Source<'_>) -> Result<Option<EncodedChunk>> {
        let Some(large) = &mut self.large else { return Err(Error::internal("a row is too long for a statement")) };
        let (began, rows_before) = (Instant::now(), self.rows);
        large.clear(&self.open.database, &mut self.open.connection).await?;
        let (file, merge) = (large.load.clone(), large.merge.clone());
        let Loaded { done, sent, next } =
            load(&self.open.database, &mut self.open.connection, &file, first, source).await;
        self.rows += sent.rows;
        self.accepted(done?, rows_before).await?;
        self.check_warnings(rows_before).await?;
        let (id, conn) = (self.open.connection.conn.id(), &mut self.open.connection.conn);
        let merged = async { Ok(conn.query_drop(merge).await) };
        let merged = self.open.database.answer(id, "INSERT", merged).await?;
        self.accepted(merged, rows_before).await?;
        self.check(rows_before).await?;
        self.spec.stats.add_sent(sent.rows, sent.bytes as u64);
        self.spec.stats.add_send(began.elapsed().saturating_sub(sent.waited));
        Ok(next)
    }
}

/// Says once that the server does not permit the fast way.
fn warn_if_slow(database: &MySql, connection: &Connection, spec: &WriteSpec) {
    if !connection.server.local_infile
        && spec.on_conflict == OnConflict::Error
        && !database.said_slow.swap(true, Relaxed)
    {
        warn!(
            "{} has local_infile = OFF, so Landfall writes rows with INSERT, at about half the speed of LOAD DATA: set \
             local_infile = ON on the server to use LOAD DATA",
            database.location_text()
        );
    }
}

/// Deletes the old rows.
async fn make_room(database: &MySql, connection: &mut Connection, table: &Table, spec: &WriteSpec) -> Result<()> {
    if let Some(delete) = delete(table, spec.existing)? {
        let deleted = database.execute(connection, &delete).await;
        deleted.map_err(|error| error.with_context("deleting the old rows"))?;
    }
    Ok(())
}

#[async_trait]
impl RowSender for Writer {
    async fn send_all(
        &mut self,
        mut chunks: Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<()> {
        if self.spec.on_conflict == OnConflict::Ignore {
            self.open.database.execute(&mut self.open.connection, &format!("SET {IGNORED} = 0")).await?;
        }
        let mut next = chunks.recv().await;
        while let (Some(first), false) = (next.take(), abandoned.load(Relaxed)) {
            next = match self.send(first, &mut chunks, free_list, abandoned).await {
                Ok(None) => chunks.recv().await,
                next => next?,
            };
        }
        if let Some(large) = &mut self.large {
            large.drop(&self.open.database, &mut self.open.connection).await?;
        }
        if self.spec.on_conflict == OnConflict::Ignore && !abandoned.load(Relaxed) {
            let (id, conn) = (self.open.connection.conn.id(), &mut self.open.connection.conn);
            let ignored = conn.query_first::<u64, String>(format!("SELECT {IGNORED}"));
            let ignored = self.open.database.answer(id, "SELECT", ignored).await?;
            self.not_stored += ignored.unwrap_or_default();
        }
        Ok(())
    }

    async fn set_savepoint(&mut self) -> Result<()> {
        let before = SentRows { sent: self.rows, not_stored: self.not_stored };
        let Some(statement) = self.savepoint.set(before) else { return Ok(()) };
        self.open.database.execute(&mut self.open.connection, statement).await.map(drop)
    }

    async fn rollback_to_savepoint(&mut self) -> Result<()> {
        self.open.database.execute(&mut self.open.connection, Savepoint::ROLLBACK).await?;
        SentRows { sent: self.rows, not_stored: self.not_stored } = self.savepoint.rolled_back();
        Ok(())
    }

    async fn read(&mut self, statements: Vec<Vec<u8>>, schema: SchemaRef) -> Result<LookupResult> {
        existing::read(&self.open.database, &mut self.open.connection, self.columns.clone(), statements, schema).await
    }

    fn changes(&self) -> bool {
        self.change.is_some()
    }

    async fn apply(&mut self) -> Result<()> {
        match &self.change {
            Some(change) => change.apply(&self.open.database, &mut self.open.connection).await,
            None => Ok(()),
        }
    }

    async fn end_statement(mut self) -> Result<Box<dyn OpenTransaction>> {
        self.end();
        self.open.rescue = None;
        Ok(Box::new(OpenBranch { xid: self.xid, transaction: self.open }))
    }
}

#[async_trait]
impl ServerTransaction for Writer {
    type Session = WriterSession;

    fn session(&self) -> WriterSession {
        self.open.session()
    }

    async fn prepare(mut self, xid: &Xid) -> Result<Vote> {
        self.end();
        self.open.prepare(xid).await
    }

    async fn before_commit(&mut self) -> Result<()> {
        self.spec.stats.add_not_stored(self.not_stored);
        Ok(())
    }

    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord> {
        self.open.decide(record).await
    }

    async fn commit(mut self) -> Result<()> {
        self.open.commit_in_place().await?;
        if let Some(new) = self.new.take() {
            if let Err(error) = self.open.run(new.publish()).await {
                if error.kind() != ErrorKind::Unavailable {
                    new.end(&self.open.database, &mut self.open.connection).await;
                }
                return Err(error.with_context(format!("creating table {}", self.spec.table)));
            }
            new.unlock(&self.open.database, &mut self.open.connection).await;
        }
        self.open.connection.give_back();
        Ok(())
    }

    async fn undo(&mut self) -> bool {
        let is_undone = self.open.undo().await;
        if let Some(new) = self.new.take_if(|_| is_undone) {
            new.end(&self.open.database, &mut self.open.connection).await;
        }
        is_undone
    }

    async fn rollback(mut self) {
        if self.new.is_none() {
            self.open.rollback().await;
        } else if self.undo().await {
            self.open.connection.give_back();
        }
    }
}

impl Writer {
    /// Ends the statement in its transaction.
    fn end(&mut self) {
        self.spec.stats.add_not_stored(self.not_stored);
        // With the option, equal rows stay locked until the commit.
        self.open.has_written |=
            self.rows > 0 || self.spec.existing != Existing::Keep || self.spec.diff_lock || self.change.is_some();
    }
}
