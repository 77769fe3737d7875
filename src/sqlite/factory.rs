//! Opens SQLite databases.

use std::sync::Arc;

use super::database::Sqlite;
use super::options::OPTIONS;
use crate::backend::{Backend, BackendFactory};
use crate::error::Result;
use crate::options::{BackendOption, SinkOptions};

/// Opens SQLite databases.
#[derive(Debug)]
pub struct SqliteFactory;

impl BackendFactory for SqliteFactory {
    fn names(&self) -> &'static [&'static str] {
        &["sqlite"]
    }

    fn open(&self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Sqlite::try_new(location, options)?))
    }

    fn options(&self) -> &'static [BackendOption] {
        OPTIONS
    }

    fn example(&self) -> String {
        "sqlite:my.db".into()
    }
}
