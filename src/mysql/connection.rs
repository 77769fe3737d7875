//! Runs statements in a connection.

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};

use super::connector::MySqlConnection;
use super::database::MySql;
use super::row;
use super::scan::parameters as values;
use crate::backend::Parameter;
use crate::error::Result;
use crate::sql::{SqlConnection, TextRow, step};

/// A connection and its database.
pub(super) struct Statements<'a> {
    pub(super) database: &'a MySql,
    pub(super) session: &'a mut MySqlConnection,
}

#[async_trait]
impl SqlConnection for Statements<'_> {
    async fn execute(&mut self, sql: &str, parameters: &[Parameter]) -> Result<u64> {
        let (id, conn) = (self.session.conn.id(), &mut self.session.conn);
        let done = async {
            match parameters.is_empty() {
                true => conn.query_drop(sql).await,
                false => conn.exec_drop(sql, values(parameters)).await,
            }
        };
        self.database.answer(id, step(sql), done).await?;
        Ok(self.session.conn.affected_rows())
    }

    async fn query(&mut self, sql: &str, parameters: &[Parameter]) -> Result<Vec<TextRow>> {
        let rows = self.database.rows(self.session, sql, values(parameters)).await?;
        rows.iter().map(texts).collect()
    }

    async fn has_ledger(&mut self) -> Result<bool> {
        self.database.has_ledger(self.session).await
    }
}

fn texts(row: &Row) -> Result<TextRow> {
    let text = |index| match row.as_ref(index) {
        Some(Value::NULL) => Ok(None),
        _ => row::text(row, index).map(Some),
    };
    (0..row.len()).map(text).collect()
}
