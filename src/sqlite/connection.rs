//! Runs statements in a connection, and does not wait: whoever polls it is on a thread where it may block.

use async_trait::async_trait;
use futures::FutureExt;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::database::Sqlite;
use super::scan::value;
use crate::backend::Parameter;
use crate::error::{Error, Result};
use crate::sql::{SqlConnection, TextRow};

/// A connection, and whose it is.
pub(super) struct Statements<'a> {
    pub(super) database: &'a Sqlite,
    pub(super) connection: &'a mut Connection,
}

#[async_trait]
impl SqlConnection for Statements<'_> {
    async fn execute(&mut self, sql: &str, parameters: &[Parameter]) -> Result<u64> {
        let execute = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.execute(params_from_iter(parameters.iter().map(value)))
        };
        execute().map(|changed| changed as u64).map_err(|error| self.database.error(error))
    }

    async fn query(&mut self, sql: &str, parameters: &[Parameter]) -> Result<Vec<TextRow>> {
        let query = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map(params_from_iter(parameters.iter().map(value)), |row| {
                (0..columns).map(|index| row.get_ref(index).map(text)).collect()
            })?;
            rows.collect::<rusqlite::Result<Vec<TextRow>>>()
        };
        query().map_err(|error| self.database.error(error))
    }

    async fn has_ledger(&mut self) -> Result<bool> {
        self.database.has_ledger(self.connection)
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) => Some(value.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
    }
}

/// The outcome of what only runs statements of [`Statements`].
pub(super) fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    work.now_or_never().unwrap_or_else(|| Err(Error::internal("a statement of SQLite waits")))
}
