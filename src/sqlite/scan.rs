//! Reads rows as batches, on a separate thread, a few batches ahead of the consumer.

use futures::stream;
use rusqlite::Connection;
use rusqlite::types::Value;
use tokio::sync::mpsc;

use super::connector::Missing;
use super::database::Sqlite;
use super::decode::Decoder;
use super::dialect::SqliteDialect;
use crate::backend::{BatchStream, Batches, Parameter, Query, QueryDialect};
use crate::error::Result;
use crate::sql::quote;

/// The number of batches that are read ahead.
const READ_AHEAD: usize = 2;

pub(super) fn stream(database: Sqlite, query: Query) -> BatchStream {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || {
        // The connection is closed, and its lock released, before the consumer sees the end of the stream.
        let done = database.open(Missing::Refuse).and_then(|connection| read(&database, &connection, &query, &sender));
        if let Err(error) = done {
            let error = error.with_context(format!("reading table {}", query.table.name));
            // Sending fails only if the consumer no longer waits.
            let _ = sender.blocking_send(Err(error));
        }
    });
    Box::pin(stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
}

/// A value of the driver.
pub(super) fn value(parameter: &Parameter) -> Value {
    match parameter {
        Parameter::Integer(value) => Value::Integer(*value),
        Parameter::Real(value) => Value::Real(*value),
        Parameter::Text(value) => Value::Text(value.clone()),
    }
}

/// Reads on a connection. It blocks.
pub(super) fn read(database: &Sqlite, connection: &Connection, query: &Query, batches: &Batches) -> Result<()> {
    let columns: Vec<_> = query.projection.iter().map(|index| &query.table.columns[*index]).collect();
    let mut decoders = columns.iter().map(|column| Decoder::try_new(column)).collect::<Result<Vec<_>>>()?;
    let ways = query.conforms()?;
    let select = match columns.as_slice() {
        // Only the number of rows is needed.
        [] => "NULL".to_owned(),
        columns => columns.iter().map(|column| SqliteDialect.identifier(&column.name)).collect::<Vec<_>>().join(", "),
    };
    let sql = format!("SELECT {select}{}", query.from(&quote(&query.table.name), &SqliteDialect));
    let mut statement = connection.prepare(&sql).map_err(|error| database.error(error))?;
    let parameters = rusqlite::params_from_iter(query.parameters.iter().map(value));
    let mut rows = statement.query(parameters).map_err(|error| database.error(error))?;
    let mut count = 0;
    loop {
        let row = rows.next().map_err(|error| database.error(error))?;
        if let Some(row) = row {
            for (index, decoder) in decoders.iter_mut().enumerate() {
                decoder.push(row.get_ref(index).map_err(|error| database.error(error))?)?;
            }
            count += 1;
        }
        let is_last = row.is_none();
        if count == query.batch_size || (is_last && count > 0) {
            let arrays = decoders.iter_mut().zip(&ways).map(|(decoder, way)| way.apply(&decoder.finish()?));
            let batch = query.batch(arrays.collect::<Result<Vec<_>>>()?, count)?;
            if batches.blocking_send(Ok(batch)).is_err() {
                return Ok(());
            }
            count = 0;
        }
        if is_last {
            return Ok(());
        }
    }
}
