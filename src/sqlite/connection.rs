//! Runs statements on a connection. They block, so they must be polled on a thread that may block.

use async_trait::async_trait;
use futures::FutureExt;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::database::Sqlite;
use super::scan::value;
use crate::backend::Parameter;
use crate::error::{Error, Result};
use crate::sql::{SqlConnection, TextRow};

/// A connection, and its database.
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

/// The result of a future that only runs [`Statements`], which never wait.
pub(super) fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    work.now_or_never().unwrap_or_else(|| Err(Error::internal("a SQLite statement did not complete immediately")))
}
