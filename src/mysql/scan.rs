//! Reads rows as batches, in a separate task, a few batches ahead of the consumer.

use arrow::array::ArrayRef;
use mysql_async::prelude::Queryable;
use mysql_async::{Params, Row, Value};

use super::codec::Values;
use super::connector::MySqlConnection;
use super::database::MySql;
use super::described::{codec_of, relation};
use super::dialect::MySqlDialect;
use super::statements::select;
use crate::backend::{BatchStream, Batches, Parameter, Query, read_ahead};
use crate::error::Result;
use crate::pool::Connect;

/// Maximum bytes of texts and blobs that are decoded at once, unless one row has more.
const MAX_BYTES: usize = 32 * 1024 * 1024;

pub(super) fn stream(database: MySql, query: Query) -> BatchStream {
    let table = query.table.name.clone();
    read_ahead(table, async move |batches| {
        let mut connection = database.connect().await?;
        read(&database, &mut connection, &query, &batches).await?;
        if !batches.is_closed() {
            connection.give_back();
        }
        Ok(())
    })
}

/// Values in the driver's type.
pub(super) fn parameters(values: &[Parameter]) -> Vec<Value> {
    let value = |parameter: &Parameter| match parameter {
        Parameter::Integer(value) => Value::Int(*value),
        Parameter::Real(value) => Value::Double(*value),
        Parameter::Text(value) => Value::Bytes(value.clone().into_bytes()),
    };
    values.iter().map(value).collect()
}

/// Reads on a connection. If the channel is closed before the last row, the server kills the connection.
pub(super) async fn read(
    database: &MySql,
    connection: &mut MySqlConnection,
    query: &Query,
    batches: &Batches,
) -> Result<()> {
    let ways = query.conforms()?;
    let columns: Vec<_> = query.projection.iter().map(|index| &query.table.columns[*index]).collect();
    let from = query.from(&relation(&query.table)?.name.quoted(), &MySqlDialect);
    let select = select(&query.table, &query.projection, &from)?;
    let parameters = parameters(&query.parameters);
    let parameters = if parameters.is_empty() { Params::Empty } else { Params::Positional(parameters) };
    let id = connection.conn.id();
    let mut result = database.answer(id, "SELECT", connection.conn.exec_iter(select, parameters)).await?;
    let (mut rows, mut bytes) = (Vec::with_capacity(query.batch_size), 0);
    loop {
        let row = tokio::select! {
            row = database.answer(id, "SELECT", result.next()) => row?,
            () = batches.closed() => {
                end(database, id).await;
                return Ok(());
            }
        };
        let is_last = row.is_none();
        if let Some(row) = row {
            let row: Row = row;
            bytes += size(&row);
            rows.push(row);
        }
        if rows.len() >= query.batch_size || bytes >= MAX_BYTES || (is_last && !rows.is_empty()) {
            let arrays = columns.iter().zip(&ways).enumerate().map(|(index, (column, way))| -> Result<ArrayRef> {
                let decoded = codec_of(column)?.decode(Values::new(&rows, index), &column.data_type);
                decoded.and_then(|decoded| way.apply(&decoded)).map_err(|error| {
                    error.with_context(format!("reading column \"{}\" ({})", column.name, column.sql_type))
                })
            });
            let batch = query.batch(arrays.collect::<Result<Vec<_>>>()?, rows.len())?;
            rows.clear();
            bytes = 0;
            if batches.send(Ok(batch)).await.is_err() {
                if !is_last {
                    end(database, id).await;
                }
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Kills a connection whose result was not read to its end: the client would read the rest before it closes it.
async fn end(database: &MySql, id: u32) {
    // If this fails, the rest is read.
    if let Ok(mut other) = database.pool.beside().await {
        let _ = database.execute(&mut other, &format!("KILL CONNECTION {id}")).await;
        database.pool.connector().close(other).await;
    }
}

/// Bytes of a row's texts and blobs.
pub(super) fn size(row: &Row) -> usize {
    let bytes = (0..row.len()).map(|index| match row.as_ref(index) {
        Some(Value::Bytes(bytes)) => bytes.len(),
        _ => 0,
    });
    bytes.sum()
}
