//! Opens MySQL and MariaDB databases.

use std::sync::Arc;

use super::database::MySql;
use crate::backend::{Backend, BackendFactory};
use crate::error::Result;
use crate::options::SinkOptions;

/// Opens MySQL and MariaDB databases.
#[derive(Debug)]
pub struct MySqlFactory;

impl BackendFactory for MySqlFactory {
    fn names(&self) -> &'static [&'static str] {
        &["mysql", "mariadb"]
    }

    fn open(&self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(MySql::try_new(location, options)?))
    }

    fn example(&self) -> String {
        "mysql://me@host/my_database".into()
    }
}
