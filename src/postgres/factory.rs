//! Opens PostgreSQL databases.

use std::sync::Arc;

use super::database::Postgres;
use super::options::OPTIONS;
use crate::backend::{Backend, BackendFactory};
use crate::error::Result;
use crate::options::{BackendOption, SinkOptions};

/// Opens PostgreSQL databases.
#[derive(Debug)]
pub struct PostgresFactory;

impl BackendFactory for PostgresFactory {
    fn names(&self) -> &'static [&'static str] {
        &["postgres", "postgresql"]
    }

    fn open(&self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Postgres::try_new(location, options)?))
    }

    fn options(&self) -> &'static [BackendOption] {
        OPTIONS
    }

    fn example(&self) -> String {
        "postgres://me@host/my_database".into()
    }
}
