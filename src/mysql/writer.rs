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
use super::database::{Connection, MySql, Prepared};
use super::described::{codec_of, relation};
use super::encode::Encoder;
use super::error::row_in;
use super::existing::{self, ExistingRows};
use super::fields::{Frame, LARGE};
use super::large::{LargeRows, large_targets};
use super::load::{Loaded, Sent, Source, load};
use super::row::text;
use super::statements::{
    FILE_BYTES, IGNORED, InsertMethod, OTHER_KEY, delete, has_several_keys, insert_method, other_keys, style,
};
use crate::backend::Table;
use crate::backend::{Change, Existing, Protocol, Vote, WriteSpec, failpoint::failpoint};
use crate::buffer::Receiver;
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::pool::Connect;
use crate::sql::{self, EncodedChunk, FreeList, LookupResult, RowSender, TableName, Targets, step};
use crate::txn::{DecisionRecord, Xid};

/// The server thread of a connection, for use from other connections.
#[derive(Debug, Clone)]
pub(super) struct WriterSession {
    database: MySql,
    id: u32,
    since: Instant,
}

#[async_trait]
impl sql::ServerSession for WriterSession {
    async fn cancel(&self) -> bool {
        let Ok(mut connection) = self.database.pool.beside().await else { return false };
        let canceled = self.database.execute(&mut connection, &format!("KILL QUERY {}", self.id)).await;
        self.database.pool.connector().close(connection).await;
        canceled.is_ok()
    }

    async fn works(&self) -> bool {
        self.database.pool.connector().works(self.id).await
    }

    async fn lives(&self) -> bool {
        let Ok(mut connection) = self.database.pool.beside().await else { return false };
        let lives = "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = ?";
        let lives = self.database.rows(&mut connection, lives, vec![self.id.into()]).await;
        self.database.pool.connector().close(connection).await;
        lives.is_ok_and(|rows| !rows.is_empty())
    }

    async fn end(&self) {
        let Ok(mut connection) = self.database.pool.beside().await else { return };
        // A server that was restarted since may have given the number to another client.
        let uptime = self.database.rows(&mut connection, "SHOW GLOBAL STATUS LIKE 'Uptime'", Vec::new()).await;
        let uptime = uptime.ok().and_then(|rows| text(rows.first()?, 1).ok()?.parse().ok());
        if uptime.is_some_and(|seconds| Duration::from_secs(seconds) > self.since.elapsed()) {
            // It may have ended already.
            let _ = self.database.execute(&mut connection, &format!("KILL {}", self.id)).await;
        }
        self.database.pool.connector().close(connection).await;
    }
}

/// An open transaction.
#[derive(Debug)]
pub(super) struct Writer {
    database: MySql,
    connection: Connection,
    spec: WriteSpec,
    method: InsertMethod,
    frame: Arc<Frame>,
    /// The codecs of the columns that are written.
    columns: Arc<[Arc<dyn Codec>]>,
    /// The keys other than the conflict key; a row that conflicts on one of them is refused.
    guarded: Option<String>,
    /// How rows that are too long for a statement are written.
    large: Option<LargeRows>,
    /// The plan that is applied when all rows are staged.
    change: Option<Plan>,
    /// The name of the branch; `None` if it uses one-phase commit.
    name: Option<String>,
    /// The names of the staging table's columns in messages.
    names: Vec<String>,
    rows: u64,
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
    async fn describe_writable(&self, connection: &mut Connection, name: &str) -> Result<Table> {
        let table = self.describe_on(connection, &TableName::try_parse(name)?).await?;
        let table = table.ok_or_else(|| Error::schema(format!("table {name} no longer exists")))?;
        relation(&table)?.check_writable()?;
        Ok(table)
    }
}

impl Writer {
    /// Begins the transaction, and returns the encoders for the table as of then.
    pub(super) async fn begin(
        database: MySql,
        xid: &Xid,
        spec: WriteSpec,
        change: Option<&Arc<Change>>,
    ) -> Result<(Self, Encoders)> {
        let mut connection = database.pool.acquire_to_write().await?;
        connection.serve(xid);
        let name = match spec.protocol {
            Protocol::OnePhase => None,
            Protocol::TwoPhase => Some(database.name_branch(&mut connection, xid).await?),
        };
        if let Some(change) = change {
            let table = database.describe_writable(&mut connection, &spec.table).await?;
            change::before(&database, &mut connection, &table, change).await?;
        }
        let begin = match &name {
            None => "START TRANSACTION READ WRITE".to_owned(),
            Some(name) => format!("XA START {name}"),
        };
        database
            .execute(&mut connection, &begin)
            .await
            .map_err(|error| error.with_context("beginning a transaction"))?;
        let table = database.describe_writable(&mut connection, &spec.table).await?;
        let (change, table, spec, names) = match change {
            Some(change) => {
                let (plan, stage, stage_spec) = Plan::of(&table, &spec, change)?;
                plan.lock(&database, &mut connection).await?;
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
        warn_if_slow(&database, &connection, &spec);
        make_room(&database, &mut connection, &table, &spec).await?;
        let encoders = Encoders { targets, large: large_targets(&database, &table, &spec)?, existing };
        let large = encoders.large.is_some().then(|| LargeRows::of(&table, &spec)).transpose()?;
        Ok((
            Self { database, connection, spec, method, frame, columns, guarded, large, change, name, names, rows: 0 },
            encoders,
        ))
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
                let (id, conn) = (self.connection.conn.id(), &mut self.connection.conn);
                // Its errors name rows.
                let inserted = async { Ok(conn.query_drop(first.bytes()).await) };
                let done = self.database.answer(id, "INSERT", inserted).await;
                let _ = free_list.push(first.buffer);
                Loaded { done, sent, next: None }
            }
            InsertMethod::Load(statement) => {
                let source = Source { chunks, free_list, abandoned, skip: 0, file_bytes: FILE_BYTES };
                load(&self.database, &mut self.connection, statement, first, source).await
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
        large.clear(&self.database, &mut self.connection).await?;
        let (file, merge) = (large.load.clone(), large.merge.clone());
        let Loaded { done, sent, next } = load(&self.database, &mut self.connection, &file, first, source).await;
        self.rows += sent.rows;
        self.accepted(done?, rows_before).await?;
        self.check_warnings(rows_before).await?;
        let (id, conn) = (self.connection.conn.id(), &mut self.connection.conn);
        let merged = async { Ok(conn.query_drop(merge).await) };
        let merged = self.database.answer(id, "INSERT", merged).await?;
        self.accepted(merged, rows_before).await?;
        self.check(rows_before).await?;
        self.spec.stats.add_sent(sent.rows, sent.bytes as u64);
        self.spec.stats.add_send(began.elapsed().saturating_sub(sent.waited));
        Ok(next)
    }

    /// Replaces the names of the staging table's columns in a message of the server.
    fn with_names(&self, message: String) -> String {
        let renamed = self.spec.columns.fields().iter().zip(&self.names);
        renamed.fold(message, |message, (field, name)| {
            message.replace(&format!("'{}'", field.name()), &format!("'{name}'"))
        })
    }

    /// The result of a statement that writes rows.
    async fn accepted(&self, done: mysql_async::Result<()>, rows_before: u64) -> Result<()> {
        match done {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = self.refused(error, rows_before);
                Err(self.database.pool.connector().with_holder(self.connection.conn.id(), error).await)
            }
        }
    }

    /// The error of a statement, with the row of the stream that the server names.
    fn refused(&self, mut error: mysql_async::Error, rows_before: u64) -> Error {
        let row = match &mut error {
            mysql_async::Error::Server(error) => {
                error.message = self.with_names(std::mem::take(&mut error.message));
                row_in(&error.message)
            }
            _ => return self.database.error(error),
        };
        let error = match (&self.guarded, &error) {
            (Some(keys), mysql_async::Error::Server(error)) if error.code == OTHER_KEY => {
                Error::new(ErrorKind::Constraint, sql::other_key(&self.spec, keys))
            }
            _ => self.database.error(error),
        };
        self.at(error, row, rows_before)
    }

    /// Runs a statement that ends the branch. Any error but `Unavailable` is an answer of the server; `Unavailable` means that
    /// the outcome is unknown.
    async fn run(&mut self, statement: String) -> Result<()> {
        let (id, conn) = (self.connection.conn.id(), &mut self.connection.conn);
        let done = async { Ok(conn.query_drop(&statement).await) };
        self.database.answer(id, step(&statement), done).await?.map_err(|error| {
            let is_answer = matches!(&error, mysql_async::Error::Server(_));
            let error = self.database.error(error);
            match (is_answer, error.kind()) {
                (true, _) | (_, ErrorKind::Unavailable) => error,
                (false, _) => Error::new(ErrorKind::Unavailable, "the connection was lost").with_source(error),
            }
        })
    }

    /// Adds the row of the statement, or all its rows if it is unknown.
    fn at(&self, error: Error, row: Option<u64>, rows_before: u64) -> Error {
        match row.filter(|row| *row > 0 && rows_before + row <= self.rows) {
            Some(row) => error.in_rows(rows_before + row, rows_before + row, ""),
            None => error.in_rows(rows_before + 1, self.rows, ""),
        }
    }

    /// Checks that all rows were stored.
    async fn check(&mut self, rows_before: u64) -> Result<()> {
        let stored = self.connection.conn.affected_rows();
        self.check_warnings(rows_before).await?;
        if self.spec.on_conflict == OnConflict::Error && stored != self.rows - rows_before {
            let sent = self.rows - rows_before;
            let error =
                format!("table {} stored {stored} of {sent} rows, and the server reported no reason", self.spec.table);
            return Err(self.at(Error::new(ErrorKind::Database, error), None, rows_before));
        }
        Ok(())
    }

    /// Turns a warning into an error: with LOAD DATA LOCAL, the server reports errors as warnings only.
    async fn check_warnings(&mut self, rows_before: u64) -> Result<()> {
        if self.connection.conn.get_warnings() > 0 {
            let warnings = self.database.rows(&mut self.connection, "SHOW WARNINGS", Vec::new()).await?;
            if warnings.is_empty() {
                let error = Error::new(ErrorKind::Database, "the server reported warnings, but SHOW WARNINGS is empty");
                return Err(self.at(error, None, rows_before));
            }
            for warning in warnings {
                let (code, message) = (text(&warning, 1)?, text(&warning, 2)?);
                let code = code.parse().unwrap_or(0);
                // Deprecated syntax, and statements that are unsafe for statement-based binary logs.
                if !matches!(code, 1287 | 1592 | 1681) {
                    let message = self.with_names(message);
                    let row = row_in(&message);
                    return Err(self.at(self.database.pool.connector().warned(code, message), row, rows_before));
                }
            }
        }
        Ok(())
    }
}

/// Says once that the server does not permit the fast way.
fn warn_if_slow(database: &MySql, connection: &Connection, spec: &WriteSpec) {
    if !connection.server.local_infile
        && spec.on_conflict == OnConflict::Error
        && !database.said_slow.swap(true, Relaxed)
    {
        warn!(
            "{} has local_infile = OFF, so Landfall writes with INSERT, at about half the speed of LOAD DATA: set \
             local_infile = ON on the server to use LOAD DATA",
            database.location_text()
        );
    }
}

/// Resets the count of ignored rows, and deletes the old rows.
async fn make_room(database: &MySql, connection: &mut Connection, table: &Table, spec: &WriteSpec) -> Result<()> {
    if spec.on_conflict == OnConflict::Ignore {
        database.execute(connection, &format!("SET {IGNORED} = 0")).await?;
    }
    if let Some(delete) = delete(table, spec.existing)? {
        let deleted = database.execute(connection, &delete).await;
        deleted.map_err(|error| error.with_context("deleting the old rows"))?;
    }
    Ok(())
}

#[async_trait]
impl RowSender for Writer {
    type Session = WriterSession;

    fn session(&self) -> WriterSession {
        let (id, since) = (self.connection.conn.id(), self.connection.since);
        WriterSession { database: self.database.clone(), id, since }
    }

    async fn send_all(
        &mut self,
        mut chunks: Receiver<EncodedChunk>,
        free_list: &FreeList,
        abandoned: &AtomicBool,
    ) -> Result<()> {
        let mut next = chunks.recv().await;
        while let (Some(first), false) = (next.take(), abandoned.load(Relaxed)) {
            next = match self.send(first, &mut chunks, free_list, abandoned).await {
                Ok(None) => chunks.recv().await,
                next => next?,
            };
        }
        if let Some(large) = &mut self.large {
            large.drop(&self.database, &mut self.connection).await?;
        }
        if self.spec.on_conflict == OnConflict::Ignore && !abandoned.load(Relaxed) {
            let (id, conn) = (self.connection.conn.id(), &mut self.connection.conn);
            let ignored = conn.query_first::<u64, String>(format!("SELECT {IGNORED}"));
            let ignored = self.database.answer(id, "SELECT", ignored).await?;
            self.spec.stats.add_not_stored(ignored.unwrap_or_default());
        }
        Ok(())
    }

    async fn read(&mut self, statements: Vec<Vec<u8>>, schema: SchemaRef) -> Result<LookupResult> {
        existing::read(&self.database, &mut self.connection, self.columns.clone(), statements, schema).await
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
        let Some(name) = self.name.clone() else {
            return Err(Error::internal("cannot prepare a branch that uses one-phase commit"));
        };
        // With the option, equal rows stay locked until the commit.
        if self.rows == 0 && self.spec.existing == Existing::Keep && !self.spec.diff_lock && self.change.is_none() {
            self.rollback().await;
            return Ok(Vote::ReadOnly);
        }
        failpoint("mysql.prepare.before");
        let prepared = match self.run(format!("XA END {name}")).await {
            Ok(()) => self.run(format!("XA PREPARE {name}")).await,
            Err(error) => Err(error),
        };
        if let Err(error) = prepared {
            if error.kind() == ErrorKind::Unavailable {
                let session = self.session();
                drop(self);
                sql::ServerSession::ended(&session).await;
            } else {
                self.undo().await;
            }
            return Err(error.with_context("preparing"));
        }
        failpoint("mysql.prepare.after");
        self.database.prepared.insert(*xid, Prepared { connection: self.connection, name });
        Ok(Vote::Prepared)
    }

    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord> {
        self.database.decide_in(&mut self.connection, record).await
    }

    async fn commit(mut self) -> Result<()> {
        failpoint("mysql.commit.before");
        let committed = self.run("COMMIT".to_owned()).await;
        failpoint("mysql.commit.after");
        committed?;
        self.connection.give_back();
        Ok(())
    }

    async fn undo(&mut self) -> bool {
        // After an error, the branch may have ended already.
        let rollback = match &self.name {
            None => "ROLLBACK".to_owned(),
            Some(name) => {
                let _ = self.database.execute(&mut self.connection, &format!("XA END {name}")).await;
                format!("XA ROLLBACK {name}")
            }
        };
        self.database.execute(&mut self.connection, &rollback).await.is_ok()
    }

    async fn rollback(mut self) {
        if self.undo().await {
            self.connection.give_back();
        }
    }
}
