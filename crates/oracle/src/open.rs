//! An open transaction of a session.

use async_trait::async_trait;
use datafusion_landfall::backend::{Protocol, Vote};
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::sql::{ServerSession, ServerTransaction};
use datafusion_landfall::txn::{DecisionRecord, Xid};

use crate::connector::{Connection, Opened};
use crate::database::Oracle;
use crate::failpoint::failpoint;
use crate::session::Bind;
use crate::xa::{self, BranchName, Code};

/// The server's session of a connection. Other connections cannot cancel its statement without the privilege ALTER SYSTEM: a
/// rollback waits until the statement has ended.
#[derive(Debug, Clone)]
pub(crate) struct WriterSession;

#[async_trait]
impl ServerSession for WriterSession {
    async fn cancel(&self) -> bool {
        true
    }

    async fn works(&self) -> bool {
        true
    }

    async fn lives(&self) -> bool {
        false
    }
}

/// An open transaction: a branch of a global one, or a local one.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) database: Oracle,
    pub(crate) connection: Connection,
    /// The name of the branch; `None` if it uses one-phase commit.
    name: Option<BranchName>,
    /// Whether a statement may have changed something.
    pub(crate) has_written: bool,
}

/// Calls a function of XA.
pub(crate) async fn call(opened: &mut Opened, block: &'static str, name: &BranchName) -> Result<Code> {
    Ok(Code::from(opened.call(block, name.binds()).await?))
}

/// The error of a code, with the session's last error.
pub(crate) async fn refused(opened: &mut Opened, call: &str, xid: &str, code: Code) -> Error {
    let last = opened.call(xa::LAST_ERROR, Vec::new()).await.unwrap_or_default();
    code.error(call, xid, last)
}

/// The seconds since 1970 on the server's clock.
pub(crate) async fn now(opened: &mut Opened) -> Result<u64> {
    let rows = opened.rows(xa::NOW, Vec::new()).await?;
    let now = rows.first().map(|row| crate::catalog::text(row, 0).to_owned()).unwrap_or_default();
    now.parse().map_err(|_| Error::new(ErrorKind::Database, format!("the server returned '{now}' as the current time")))
}

impl Open {
    pub(crate) async fn begin(database: Oracle, xid: &Xid, protocol: Protocol) -> Result<Self> {
        let mut connection = database.pool.acquire_to_write().await?;
        connection.serve(xid);
        let name = match protocol {
            // A statement begins the transaction.
            Protocol::OnePhase => None,
            Protocol::TwoPhase => Some(Self::start(&database, &mut connection, xid).await?),
        };
        Ok(Self { database, connection, name, has_written: false })
    }

    async fn start(database: &Oracle, opened: &mut Opened, xid: &Xid) -> Result<BranchName> {
        let name = BranchName::try_new(xid, now(opened).await?)?;
        let timeout = vec![Bind::Integer(database.xa_timeout.into())];
        let doing = |error: Error| error.with_context("beginning a branch");
        match Code::from(opened.call(xa::SET_TIMEOUT, timeout).await.map_err(doing)?) {
            Code::Ok => {}
            code => return Err(refused(opened, "XA_SETTIMEOUT", &xid.to_string(), code).await),
        }
        match call(opened, xa::START, &name).await.map_err(doing)? {
            Code::Ok => Ok(name),
            code => Err(refused(opened, "XA_START", &xid.to_string(), code).await),
        }
    }

    /// Calls a function that ends the branch. Any error but `Unavailable` is an answer of the server.
    async fn end(&mut self, step: &str, block: &'static str, name: &BranchName, xid: &str) -> Result<Code> {
        match call(&mut self.connection, xa::END, name).await? {
            Code::Ok => {}
            code => return Err(refused(&mut self.connection, "XA_END", xid, code).await),
        }
        match call(&mut self.connection, block, name).await? {
            code @ (Code::Ok | Code::ReadOnly) => Ok(code),
            code => Err(refused(&mut self.connection, step, xid, code).await),
        }
    }
}

#[async_trait]
impl ServerTransaction for Open {
    type Session = WriterSession;

    fn session(&self) -> WriterSession {
        WriterSession
    }

    async fn prepare(mut self, xid: &Xid) -> Result<Vote> {
        let Some(name) = self.name.clone() else {
            return Err(Error::new(ErrorKind::Internal, "cannot prepare a branch that uses one-phase commit"));
        };
        if !self.has_written {
            self.rollback().await;
            return Ok(Vote::ReadOnly);
        }
        failpoint("oracle.prepare.before");
        let vote = match self.end("XA_PREPARE", xa::PREPARE, &name, &xid.to_string()).await {
            Ok(Code::ReadOnly) => Vote::ReadOnly,
            Ok(_) => Vote::Prepared,
            Err(error) => {
                // A lost connection answers nothing more.
                if error.kind() != ErrorKind::Unavailable {
                    self.undo().await;
                }
                return Err(error.with_context("preparing"));
            }
        };
        failpoint("oracle.prepare.after");
        self.connection.give_back();
        Ok(vote)
    }

    async fn decide(&mut self, record: &DecisionRecord) -> Result<DecisionRecord> {
        self.database.decide_in(&mut self.connection, record).await
    }

    async fn commit(mut self) -> Result<()> {
        failpoint("oracle.commit.before");
        match self.name.clone() {
            None => self.connection.run(|session| session.commit()).await?,
            // A branch that stayed alone. Without a change, it has ended with XA_RDONLY.
            Some(name) => {
                let shown = format!("{name:?}");
                if let Err(error) = self.end("XA_COMMIT", xa::COMMIT_ONE_PHASE, &name, &shown).await {
                    if error.kind() != ErrorKind::Unavailable {
                        self.undo().await;
                    }
                    return Err(error);
                }
            }
        }
        failpoint("oracle.commit.after");
        self.connection.give_back();
        Ok(())
    }

    async fn undo(&mut self) -> bool {
        match self.name.clone() {
            None => self.connection.run(|session| session.rollback()).await.is_ok(),
            Some(name) => {
                // After an error, the branch may have ended already.
                let _ = call(&mut self.connection, xa::END, &name).await;
                matches!(
                    call(&mut self.connection, xa::ROLLBACK, &name).await,
                    Ok(Code::Ok | Code::Unknown | Code::ReadOnly)
                )
            }
        }
    }

    async fn rollback(mut self) {
        if self.undo().await {
            self.connection.give_back();
        }
    }
}
