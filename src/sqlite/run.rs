//! A statement, run once for each list of parameters.

use rusqlite::params_from_iter;

use super::connector::Missing;
use super::database::Sqlite;
use super::scan::value;
use super::thread::blocking;
use crate::backend::Parameter;
use crate::error::Result;

pub(super) async fn run(database: &Sqlite, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()> {
    let database = database.clone();
    blocking(move || {
        let mut connection = database.open(Missing::Create)?;
        let done = (|| {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let mut prepared = transaction.prepare(&statement)?;
            for values in &parameters {
                prepared.execute(params_from_iter(values.iter().map(value)))?;
            }
            drop(prepared);
            transaction.commit()
        })();
        done.map_err(|error| database.error(error))
    })
    .await
}
