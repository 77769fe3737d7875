//! Runs statements in a connection.

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgRow, PgValueFormat};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Row as _, TypeInfo as _, ValueRef as _};

use super::connector::PostgresConnection;
use super::database::Postgres;
use crate::backend::Parameter;
use crate::error::Result;
use crate::sql::{SqlConnection, TextRow, step};

/// A connection and its database.
pub(super) struct Statements<'a> {
    pub(super) database: &'a Postgres,
    pub(super) connection: &'a mut PostgresConnection,
}

#[async_trait]
impl SqlConnection for Statements<'_> {
    async fn execute(&mut self, sql: &str, parameters: &[Parameter]) -> Result<u64> {
        if parameters.is_empty() {
            return self.database.execute(self.connection, sql.to_owned()).await;
        }
        let (pid, conn) = self.connection.parts();
        let done = bound(sql, parameters).execute(conn);
        Ok(self.database.answer(pid, step(sql), done).await?.rows_affected())
    }

    async fn query(&mut self, sql: &str, parameters: &[Parameter]) -> Result<Vec<TextRow>> {
        let (pid, conn) = self.connection.parts();
        let rows = async {
            let rows = match parameters.is_empty() {
                true => sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(conn).await,
                false => bound(sql, parameters).fetch_all(conn).await,
            };
            rows.and_then(|rows| rows.iter().map(texts).collect())
        };
        self.database.answer(pid, step(sql), rows).await
    }

    async fn has_ledger(&mut self) -> Result<bool> {
        self.database.has_ledger(self.connection).await
    }
}

fn bound<'q>(sql: &str, parameters: &[Parameter]) -> Query<'q, sqlx::Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    parameters.iter().fold(query, |query, parameter| match parameter {
        Parameter::Integer(value) => query.bind(*value),
        Parameter::Real(value) => query.bind(*value),
        Parameter::Text(value) => query.bind(value.clone()),
    })
}

fn texts(row: &PgRow) -> sqlx::Result<TextRow> {
    (0..row.len()).map(|index| text(row, index)).collect()
}

fn text(row: &PgRow, index: usize) -> sqlx::Result<Option<String>> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    if value.format() == PgValueFormat::Text {
        let text = value.as_str().map_err(sqlx::Error::Decode)?;
        return Ok(Some(match (value.type_info().name(), text) {
            ("BOOL", "t") => "1".to_owned(),
            ("BOOL", _) => "0".to_owned(),
            (_, text) => text.to_owned(),
        }));
    }
    let type_info = value.type_info().into_owned();
    Ok(Some(match type_info.name() {
        "INT8" => row.try_get::<i64, _>(index)?.to_string(),
        "INT4" => row.try_get::<i32, _>(index)?.to_string(),
        "BOOL" => u8::from(row.try_get::<bool, _>(index)?).to_string(),
        _ => row.try_get::<String, _>(index)?,
    }))
}
