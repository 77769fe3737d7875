//! An open transaction of a connection, in which several statements can run.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use mysql_async::prelude::Queryable;

use super::change;
use super::database::{Connection, MySql, Prepared};
use super::row::text;
use crate::backend::{Protocol, Rescue, Vote, failpoint::failpoint};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::Connect;
use crate::sql::{self, OpenBranch, ServerTransaction, step};
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

impl WriterSession {
    pub(super) fn of(database: &MySql, connection: &Connection) -> Self {
        Self { database: database.clone(), id: connection.conn.id(), since: connection.since }
    }
}

/// An open transaction.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) database: MySql,
    pub(super) connection: Connection,
    /// The name of the branch; `None` if it uses one-phase commit.
    pub(super) name: Option<String>,
    /// Whether a statement has changed something.
    pub(super) has_written: bool,
    /// The name of the branch, and what receives it if its statement fails.
    pub(super) rescue: Option<(Xid, Rescue)>,
}

impl Open {
    /// A connection for a transaction, and the name of the branch.
    pub(super) async fn connect(
        database: &MySql,
        xid: &Xid,
        protocol: Protocol,
    ) -> Result<(Connection, Option<String>)> {
        let mut connection = database.pool.acquire_to_write().await?;
        connection.serve(xid);
        let name = match protocol {
            Protocol::OnePhase => None,
            Protocol::TwoPhase => Some(database.name_branch(&mut connection, xid).await?),
        };
        Ok((connection, name))
    }

    pub(super) async fn begin(database: MySql, mut connection: Connection, name: Option<String>) -> Result<Self> {
        let begin = match &name {
            None => "START TRANSACTION READ WRITE".to_owned(),
            Some(name) => format!("XA START {name}"),
        };
        let begun = database.execute(&mut connection, &begin).await;
        begun.map_err(|error| error.with_context("beginning a transaction"))?;
        Ok(Self { database, connection, name, has_written: false, rescue: None })
    }

    /// Begins a transaction of several statements. Rows that one of them reads do not change until it ends.
    pub(super) async fn begin_several(database: MySql, xid: &Xid, protocol: Protocol) -> Result<Self> {
        let (mut connection, name) = Self::connect(&database, xid, protocol).await?;
        database.execute(&mut connection, change::SERIALIZABLE).await?;
        Self::begin(database, connection, name).await
    }

    /// Runs a statement that ends the branch. Any error but `Unavailable` is an answer of the server; `Unavailable` means that
    /// the outcome is unknown.
    pub(super) async fn run(&mut self, statement: String) -> Result<()> {
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

    /// Commits, and keeps the connection.
    pub(super) async fn commit_in_place(&mut self) -> Result<()> {
        failpoint("mysql.commit.before");
        let committed = match self.name.clone() {
            None => self.run("COMMIT".to_owned()).await,
            // A branch that stayed alone.
            Some(name) => match self.run(format!("XA END {name}")).await {
                Ok(()) => self.run(format!("XA COMMIT {name} ONE PHASE")).await,
                Err(error) => Err(error),
            },
        };
        failpoint("mysql.commit.after");
        committed
    }
}

#[async_trait]
impl ServerTransaction for Open {
    type Session = WriterSession;

    fn session(&self) -> WriterSession {
        WriterSession::of(&self.database, &self.connection)
    }

    async fn prepare(mut self, xid: &Xid) -> Result<Vote> {
        let Some(name) = self.name.clone() else {
            return Err(Error::internal("cannot prepare a branch that uses one-phase commit"));
        };
        if !self.has_written {
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
        self.commit_in_place().await?;
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
        if let Some((xid, rescue)) = self.rescue.take() {
            rescue.rescue(Box::new(OpenBranch { xid, transaction: self }));
        } else if self.undo().await {
            self.connection.give_back();
        }
    }
}
