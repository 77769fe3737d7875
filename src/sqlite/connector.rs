//! Opens connections.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};

use super::options::is_weak;
use super::thread::blocking;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::Connect;

/// Whether a missing file is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Refuse,
}

/// SQLite's cache for a writing connection, in KiB.
const CACHE_KIB: u32 = 16 * 1024;

/// How connections are opened.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) path: PathBuf,
    pub(super) lock_timeout: Duration,
    pragmas: Vec<(&'static str, String)>,
}

/// A connection for writing, and the file that it opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    file: Option<File>,
}

/// The identity of a file, independent of its name: device and inode.
type File = (u64, u64);

/// The file at a path; `None` if the system does not identify files.
fn file(path: &Path) -> Option<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

impl Connector {
    pub(super) fn new(path: PathBuf, lock_timeout: Duration, pragmas: Vec<(&'static str, String)>) -> Self {
        Self { path, lock_timeout, pragmas }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a connection.
    pub(super) fn open(&self, missing: Missing) -> Result<Connection> {
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

    /// Whether a commit may be confirmed before it is on disk.
    pub(super) fn is_weak(&self) -> bool {
        self.pragmas.iter().any(is_weak)
    }

    /// Opens a connection with the settings for writing.
    fn open_for_writing(&self) -> Result<Opened> {
        let file = file(&self.path);
        let connection = self.open(Missing::Refuse)?;
        let cache = ("cache_size", format!("-{CACHE_KIB}"));
        for (name, value) in [&cache].into_iter().chain(&self.pragmas) {
            connection
                .pragma_update(None, name, value)
                .map_err(|error| self.error(error).with_context(format!("setting pragma {name} = {value}")))?;
        }
        Ok(Opened { connection, file })
    }
}

#[async_trait]
impl Connect for Connector {
    type Connection = Opened;

    async fn connect(&self) -> Result<Opened> {
        let connector = self.clone();
        blocking(move || connector.open_for_writing()).await
    }

    /// A connection whose file was removed or replaced is not usable, because its writes would be lost.
    async fn is_usable(&self, opened: &mut Opened) -> bool {
        opened.file.is_some() && opened.file == file(&self.path)
    }

    async fn close(&self, opened: Opened) {
        // The last connection may write its journal back to the file.
        let _ = blocking(move || {
            drop(opened);
            Ok(())
        })
        .await;
    }

    fn location(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }
}
