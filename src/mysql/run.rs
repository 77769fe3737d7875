//! A statement, run once for each list of parameters.

use super::database::MySql;
use crate::backend::Parameter;
use crate::error::Result;
use crate::sql::execute_many;

pub(super) async fn run(database: &MySql, statement: &str, parameters: &[Vec<Parameter>]) -> Result<()> {
    let mut connection = database.connect().await?;
    database.execute(&mut connection, "START TRANSACTION").await?;
    execute_many(&mut database.statements(&mut connection), statement, parameters).await?;
    database.execute(&mut connection, "COMMIT").await?;
    connection.give_back();
    Ok(())
}
