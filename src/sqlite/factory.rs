//! Opens databases of SQLite.

use std::sync::Arc;

use super::database::Sqlite;
use crate::backend::{Backend, BackendFactory};
use crate::error::Result;
use crate::options::SinkOptions;

/// Opens databases of SQLite.
#[derive(Debug)]
pub struct SqliteFactory;

impl BackendFactory for SqliteFactory {
    fn names(&self) -> &'static [&'static str] {
        &["sqlite"]
    }

    fn open(&self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Sqlite::try_new(location, options)?))
    }

    fn example(&self) -> String {
        "sqlite:my.db".into()
    }
}
