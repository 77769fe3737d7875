//! An open transaction of a connection, in which several statements can run.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row as _;

use super::database::{Connection, Postgres};
use super::error::deferred;
use super::version::Read;
use crate::backend::{Rescue, Vote, failpoint::failpoint};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Isolation;
use crate::pool::Connect;
use crate::sql::{self, OpenBranch, ServerTransaction, TableName};
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

impl WriterSession {
    pub(super) fn of(database: &Postgres, connection: &Connection) -> Self {
        Self { database: database.clone(), pid: connection.pid, started: Arc::clone(&connection.started) }
    }
}

/// An open transaction.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) database: Postgres,
    pub(super) connection: Connection,
    /// Whether unqualified names have a schema.
    pub(super) has_schema: bool,
    /// Whether a statement has changed something.
    pub(super) has_written: bool,
    /// The number of statements so far.
    pub(super) statements: u64,
    /// The name of the branch, and what receives it if its statement fails.
    pub(super) rescue: Option<(Xid, Rescue)>,
    /// The version of the table of its first statement, until that statement.
    pub(super) version: Option<String>,
}

impl Open {
    /// Begins a transaction, regardless of the role's settings. Reads the version of a table, if it is wanted.
    pub(super) async fn begin(
        database: Postgres,
        xid: &Xid,
        isolation: Option<Isolation>,
        table: Option<&TableName>,
    ) -> Result<Self> {
        let mut connection = database.pool.acquire_to_write().await?;
        let isolation = isolation.unwrap_or(Isolation::ReadCommitted).as_str();
        let timeout = database.pool.connector().user_timeout();
        let begin = format!("BEGIN ISOLATION LEVEL {isolation} READ WRITE; {timeout}");
        let Read { schema, version } = match table {
            Some(table) => database.read_version(&mut connection, &[begin], table).await?,
            None => {
                let (pid, conn) = connection.parts();
                let begin = format!("{begin}; SELECT current_schema()");
                let begun = sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).fetch_one(conn);
                let begun = database.answer(pid, "BEGIN", begun).await?;
                Read { schema: begun.try_get(0).map_err(|error| database.error(error))?, version: None }
            }
        };
        connection.serve(xid);
        let has_schema = schema.is_some();
        Ok(Self { database, connection, has_schema, has_written: false, statements: 0, rescue: None, version })
    }
}

#[async_trait]
impl ServerTransaction for Open {
    type Session = WriterSession;

    fn session(&self) -> WriterSession {
        WriterSession::of(&self.database, &self.connection)
    }

    async fn prepare(mut self, xid: &Xid) -> Result<Vote> {
        if !self.has_written {
            self.rollback().await;
            return Ok(Vote::ReadOnly);
        }
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
                    "preparing the transaction, which the option 'commit' = 'one_phase' avoids if the statement writes a \
                     single table"
                }
                ErrorKind::Full => {
                    "preparing the transaction, which the option 'writers' = '1' avoids if the statement writes a single \
                     table"
                }
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
                "the prepared transaction no longer exists: another run of the job, a recovery or the server rolled it \
                 back; check the log of the server",
            ));
        }
        // The prepared transaction no longer belongs to the session.
        self.connection.give_back();
        Ok(Vote::Prepared)
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
        self.database.execute(&mut self.connection, "ROLLBACK".into()).await.is_ok()
    }

    async fn rollback(mut self) {
        if let Some((xid, rescue)) = self.rescue.take() {
            rescue.rescue(Box::new(OpenBranch { xid, transaction: self }));
        } else if self.undo().await {
            self.connection.give_back();
        }
    }
}
