//! A statement, run once for each list of parameters.

use mysql_async::Params;
use mysql_async::prelude::Queryable;

use super::database::MySql;
use super::scan;
use crate::backend::Parameter;
use crate::error::Result;

pub(super) async fn run(database: &MySql, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()> {
    let mut connection = database.connect().await?;
    database.execute(&mut connection, "START TRANSACTION").await?;
    let conn = &mut connection.conn;
    let prepared = conn.prep(statement).await.map_err(|error| database.error(error))?;
    for values in parameters {
        let values = if values.is_empty() { Params::Empty } else { Params::Positional(scan::parameters(&values)) };
        conn.exec_drop(&prepared, values).await.map_err(|error| database.error(error))?;
    }
    conn.close(prepared).await.map_err(|error| database.error(error))?;
    database.execute(&mut connection, "COMMIT").await?;
    connection.give_back();
    Ok(())
}
