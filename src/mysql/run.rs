//! A statement, run once for each list of parameters.

use mysql_async::prelude::Queryable;
use mysql_async::{Params, Value};

use super::MySql;
use crate::error::Result;
use crate::sql::Parameter;

pub(super) async fn run(database: &MySql, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()> {
    let mut connection = database.connect().await?;
    database.execute(&mut connection, "START TRANSACTION").await?;
    let conn = &mut connection.conn;
    let prepared = conn.prep(statement).await.map_err(|error| database.error(error))?;
    for values in parameters {
        conn.exec_drop(&prepared, bound(&values)).await.map_err(|error| database.error(error))?;
    }
    conn.close(prepared).await.map_err(|error| database.error(error))?;
    database.execute(&mut connection, "COMMIT").await?;
    connection.give_back();
    Ok(())
}

/// Values as the client sends them.
pub(super) fn bound(values: &[Parameter]) -> Params {
    let values = values.iter().map(|value| match value {
        Parameter::Integer(value) => Value::Int(*value),
        Parameter::Real(value) => Value::Double(*value),
        Parameter::Text(value) => Value::Bytes(value.clone().into_bytes()),
    });
    let values: Vec<_> = values.collect();
    if values.is_empty() { Params::Empty } else { Params::Positional(values) }
}
