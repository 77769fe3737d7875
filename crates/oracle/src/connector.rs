//! Opens sessions for the pool. They block, so that each call runs on a thread that may block.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::pool;

use crate::error::error;
use crate::location::Location;
use crate::session::{Bind, Connect, Datum, Failure, Session};

/// The settings of a session: TIMESTAMP literals and conversions are in UTC, and texts are compared byte by byte.
pub(crate) const SETTINGS: &[&str] = &[
    "ALTER SESSION SET TIME_ZONE = '+00:00'",
    "ALTER SESSION SET NLS_COMP = BINARY",
    "ALTER SESSION SET NLS_SORT = BINARY",
];

/// How sessions are opened.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) location: Location,
    pub(crate) connect: Arc<dyn Connect>,
}

/// A session that is in use by one caller.
pub(crate) type Connection = pool::Lease<Connector>;

/// An open session.
pub(crate) struct Opened {
    location: String,
    /// `None` while a call runs, and after one was abandoned or has lost the connection.
    session: Option<Box<dyn Session>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({})", self.location)
    }
}

impl Drop for Opened {
    /// Closes the session on a thread that may block: the server is told.
    fn drop(&mut self) {
        if let (Some(session), Ok(runtime)) = (self.session.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || drop(session));
        }
    }
}

impl Opened {
    /// Runs calls of the session on a thread that may block. A caller that stops waiting leaves the session to the thread, which
    /// closes it when the call has ended.
    pub(crate) async fn run<T: Send + 'static>(
        &mut self,
        calls: impl FnOnce(&mut dyn Session) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let mut session = self.session.take().ok_or_else(|| {
            let text = format!("the connection to {} was lost: run the statement again", self.location);
            Error::new(ErrorKind::Unavailable, text)
        })?;
        let done = tokio::task::spawn_blocking(move || {
            let done = calls(session.as_mut());
            (session, done)
        });
        let (session, done) = done.await.map_err(|failed| {
            Error::new(ErrorKind::Internal, format!("the thread of an Oracle session failed: {failed}"))
        })?;
        match done {
            Err(failure) if failure.is_lost => {
                drop(session);
                Err(error(&self.location, &failure))
            }
            done => {
                self.session = Some(session);
                done.map_err(|failure| error(&self.location, &failure))
            }
        }
    }

    /// Runs a statement that is no query.
    pub(crate) async fn execute(&mut self, sql: impl Into<String>, binds: Vec<Bind>) -> Result<u64> {
        let sql = sql.into();
        self.run(move |session| session.execute(&sql, &binds)).await
    }

    /// Runs a PL/SQL block that returns an integer.
    pub(crate) async fn call(&mut self, block: &'static str, binds: Vec<Bind>) -> Result<i64> {
        self.run(move |session| session.call(block, &binds)).await
    }

    /// All rows of a query.
    pub(crate) async fn rows(&mut self, sql: impl Into<String>, binds: Vec<Bind>) -> Result<Vec<Vec<Datum>>> {
        let sql = sql.into();
        self.run(move |session| {
            let mut rows = Vec::new();
            session.query(&sql, &binds, 100, &mut |row| {
                rows.push(row);
                std::ops::ControlFlow::Continue(())
            })?;
            Ok(rows)
        })
        .await
    }
}

impl Connector {
    pub(crate) fn location(&self) -> String {
        self.location.to_string()
    }
}

#[async_trait]
impl pool::Connect for Connector {
    type Connection = Opened;

    async fn connect(&self) -> Result<Opened> {
        let (connect, location) = (Arc::clone(&self.connect), self.location());
        let connected = tokio::task::spawn_blocking(move || {
            let mut session = connect.connect()?;
            for setting in SETTINGS {
                session.execute(setting, &[])?;
            }
            Ok::<_, Failure>(session)
        });
        let connected = connected.await.map_err(|failed| {
            Error::new(ErrorKind::Internal, format!("the thread that connects to {location} failed: {failed}"))
        })?;
        let session = connected.map_err(|failure| error(&location, &failure))?;
        Ok(Opened { location, session: Some(session) })
    }

    async fn is_usable(&self, opened: &mut Opened) -> bool {
        opened.run(|session| session.ping()).await.is_ok()
    }

    async fn close(&self, mut opened: Opened) {
        if let Some(session) = opened.session.take() {
            // The server ends the session in any case.
            let _ = tokio::task::spawn_blocking(move || session.close()).await;
        }
    }

    fn location(&self) -> String {
        Connector::location(self)
    }
}
