//! SQLite: one file, one writer at a time, one phase.
//!
//! A branch is a connection with `BEGIN IMMEDIATE`, on a thread of its own. It cannot prepare; the decision record
//! is a row of the ledger table in the same transaction. How types are stored is in [`types`].

mod branch;
mod catalog;
mod decode;
mod encode;
mod error;
mod ledger;
mod present;
mod resource;
mod scan;
mod statement;
pub mod types;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, ErrorKind, Result};
use crate::log::ledger::Ledger;
use crate::options::{SinkOptions, Uint64};

/// A SQLite database.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
    lock_timeout: Duration,
    uint64: Uint64,
    pragmas: Vec<(String, String)>,
    ledger: Ledger,
}

/// Whether a file that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    Refuse,
}

impl Sqlite {
    /// The database at `location`: a path, `sqlite:<path>` or `sqlite://<path>`. Nothing is opened yet.
    ///
    /// # Errors
    /// `Config` when the location cannot be meant.
    pub fn try_new(location: &str, options: &SinkOptions) -> Result<Self> {
        let path = ["sqlite://", "sqlite:", "file://"]
            .iter()
            .find_map(|scheme| location.strip_prefix(scheme))
            .unwrap_or(location);
        if path.is_empty() {
            return Err(Error::config("LOCATION names no file: give the path of the SQLite database"));
        }
        if path == ":memory:" {
            return Err(Error::config(
                "a SQLite database in memory is seen by one connection only and cannot be used: give a path",
            ));
        }
        if let Some((file, _)) = path.split_once('?').filter(|_| !Path::new(path).exists()) {
            return Err(Error::config(format!(
                "LOCATION '{location}' has parameters: give '{file}' and use OPTIONS, for instance \
                 'pragma.synchronous'"
            )));
        }
        Ok(Self {
            path: path.into(),
            lock_timeout: options.lock_timeout,
            uint64: options.uint64,
            pragmas: options.pragmas.clone(),
            ledger: Ledger::try_new(options.ledger_table.as_deref())?,
        })
    }

    /// Opens a connection.
    fn open(&self, missing: Missing) -> Result<Connection> {
        let shown = self.path.display();
        if self.path.is_dir() {
            return Err(Error::new(
                ErrorKind::Access,
                format!("{shown} is a directory: LOCATION must name a SQLite database file"),
            ));
        }
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if missing == Missing::Create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        } else if !self.path.exists() {
            return Err(Error::new(ErrorKind::Access, format!("{shown} does not exist: check LOCATION")));
        }
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| self.error(error))?;
        connection.busy_timeout(self.lock_timeout).map_err(|error| self.error(error))?;
        // The first read finds out whether the file is a database.
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(|error| self.error(error))?;
        Ok(connection)
    }

    /// Opens a connection with the settings that a write has.
    fn open_for_writing(&self) -> Result<Connection> {
        let connection = self.open(Missing::Refuse)?;
        for (name, value) in &self.pragmas {
            self.pragma(&connection, name, value)?;
        }
        Ok(connection)
    }

    fn location_text(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn pragma(&self, connection: &Connection, name: &str, value: &str) -> Result<()> {
        connection
            .pragma_update(None, name, value)
            .map_err(|error| self.error(error).with_context(format!("setting pragma {name} = {value}")))
    }
}

/// Runs what blocks on a thread where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal(format!("the SQLite thread ended: {error}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_path_with_or_without_a_scheme() {
        for (location, path) in [
            ("a.db", "a.db"),
            ("sqlite:a.db", "a.db"),
            ("sqlite://a/b.db", "a/b.db"),
            ("sqlite:///tmp/a.db", "/tmp/a.db"),
        ] {
            assert_eq!(Sqlite::try_new(location, &SinkOptions::new()).unwrap().path, Path::new(path));
        }
        for bad in ["", "sqlite:", "sqlite::memory:", ":memory:", "a.db?mode=ro"] {
            assert_eq!(Sqlite::try_new(bad, &SinkOptions::new()).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }
}
