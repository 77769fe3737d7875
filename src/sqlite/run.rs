//! Runs a statement once for each list of parameters.

use super::connection::at_once;
use super::connector::Missing;
use super::database::Sqlite;
use super::thread::blocking;
use crate::backend::Parameter;
use crate::error::Result;
use crate::sql::execute_many;

pub(super) async fn run(database: &Sqlite, statement: &str, parameters: &[Vec<Parameter>]) -> Result<()> {
    let (database, statement, parameters) = (database.clone(), statement.to_owned(), parameters.to_vec());
    blocking(move || {
        let mut connection = database.open(Missing::Create)?;
        let error = |error| database.error(error);
        connection.execute_batch("BEGIN IMMEDIATE").map_err(error)?;
        at_once(execute_many(&mut database.statements(&mut connection), &statement, &parameters))?;
        connection.execute_batch("COMMIT").map_err(error)
    })
    .await
}
