//! A SQLite database.

use std::path::Path;
use std::time::Duration;

use super::connector::{Connector, Missing};
use super::options::{Uint64, pragmas};
use crate::error::{Error, Result};
use crate::options::{PoolOptions, SinkOptions};
use crate::pool::{Connect, Lease, Pool};
use crate::sql::ledger::{Ledger, STANDARD};

/// A SQLite database.
#[derive(Debug, Clone)]
pub struct Sqlite {
    pub(super) pool: Pool<Connector>,
    pub(super) uint64: Uint64,
    pub(super) ledger: Ledger,
}

/// A connection with the settings for writing.
pub(super) type Connection = Lease<Connector>;

impl Sqlite {
    /// The database at `location`: a path, `sqlite:<path>` or `sqlite://<path>`. Nothing is opened yet.
    ///
    /// # Errors
    /// `Config` if the location is invalid.
    pub fn try_new(location: &str, options: &SinkOptions) -> Result<Self> {
        let path = ["sqlite://", "sqlite:", "file://"]
            .iter()
            .find_map(|scheme| location.strip_prefix(scheme))
            .unwrap_or(location);
        if path.is_empty() {
            return Err(Error::config("LOCATION contains no path: specify the path of the SQLite database file"));
        }
        if path == ":memory:" {
            return Err(Error::config(
                "an in-memory SQLite database is visible to only one connection, so Landfall cannot use it: specify a \
                 path",
            ));
        }
        if let Some((file, _)) = path.split_once('?').filter(|_| !Path::new(path).exists()) {
            return Err(Error::config(format!(
                "LOCATION '{location}' contains parameters: specify '{file}' and set OPTIONS, for example \
                 'pragma.synchronous'"
            )));
        }
        let connector = Connector::new(path.into(), options.lock_timeout, pragmas(options));
        Ok(Self {
            // The file can be replaced at any time.
            pool: Pool::new(connector, PoolOptions { idle_check: Duration::ZERO, ..options.pool()? }),
            uint64: Uint64::of(options),
            ledger: Ledger::try_new(options.ledger_table.as_deref(), &STANDARD)?,
        })
    }

    /// Opens a connection that only reads or describes.
    pub(super) fn open(&self, missing: Missing) -> Result<rusqlite::Connection> {
        self.pool.connector().open(missing)
    }

    pub(super) fn path(&self) -> &Path {
        self.pool.connector().path()
    }

    /// An error of this database.
    pub(super) fn error(&self, error: rusqlite::Error) -> Error {
        self.pool.connector().error(error)
    }

    pub(super) fn location_text(&self) -> String {
        self.pool.connector().location()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_location_is_a_path_with_or_without_a_scheme() {
        for (location, path) in [
            ("a.db", "a.db"),
            ("sqlite:a.db", "a.db"),
            ("sqlite://a/b.db", "a/b.db"),
            ("sqlite:///tmp/a.db", "/tmp/a.db"),
        ] {
            assert_eq!(Sqlite::try_new(location, &SinkOptions::new()).unwrap().path(), Path::new(path));
        }
        for bad in ["", "sqlite:", "sqlite::memory:", ":memory:", "a.db?mode=ro"] {
            assert_eq!(Sqlite::try_new(bad, &SinkOptions::new()).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }
}
