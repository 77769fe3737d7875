//! A statement, run once for each list of parameters.

use sqlx::{AssertSqlSafe, SqlSafeStr, Statement};

use super::database::{BEGIN, Postgres};
use crate::backend::Parameter;
use crate::error::Result;

pub(super) async fn run(database: &Postgres, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()> {
    use sqlx::Executor;

    let mut connection = database.begin(database.connect().await?, BEGIN).await?;
    let prepared = connection.prepare(AssertSqlSafe(statement).into_sql_str()).await;
    let prepared = prepared.map_err(|error| database.error(error))?;
    for values in parameters {
        let mut query = prepared.query();
        for value in values {
            query = match value {
                Parameter::Integer(value) => query.bind(value),
                Parameter::Real(value) => query.bind(value),
                Parameter::Text(value) => query.bind(value),
            };
        }
        query.execute(&mut *connection).await.map_err(|error| database.error(error))?;
    }
    database.execute(&mut connection, "COMMIT".into()).await?;
    connection.give_back();
    Ok(())
}
