//! A statement, run once for each list of parameters.

use super::database::{BEGIN, Postgres};
use crate::backend::Parameter;
use crate::error::Result;
use crate::sql::execute_many;

pub(super) async fn run(database: &Postgres, statement: &str, parameters: &[Vec<Parameter>]) -> Result<()> {
    let mut connection = database.begin(database.connect().await?, BEGIN).await?;
    execute_many(&mut database.statements(&mut connection), statement, parameters).await?;
    database.execute(&mut connection, "COMMIT".into()).await?;
    connection.give_back();
    Ok(())
}
