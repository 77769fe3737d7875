//! Reads rows as batches, in a separate task, a few batches ahead of the consumer.

use arrow::array::ArrayRef;
use futures::TryStreamExt;

use super::connector::PostgresConnection;
use super::database::Postgres;
use super::described::{relation, server_type};
use super::dialect::PostgresDialect;
use super::rows::ReceivedRows;
use super::statements::select;
use crate::backend::{BatchStream, Batches, Query, read_ahead};
use crate::error::{Error, ErrorKind, Result};

/// A message of this size is decoded at once, without a copy.
const LARGE: usize = 1024 * 1024;

pub(super) fn stream(database: Postgres, query: Query) -> BatchStream {
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

/// The error of a sum that the server cannot return.
fn too_large(query: &Query, error: Error) -> Error {
    const OUT_OF_RANGE: &str = "22003";
    if query.aggregates.is_none() || error.code() != Some(OUT_OF_RANGE) {
        return error;
    }
    let text = "the result of sum needs more than 64 bits: use sum(CAST(column AS DECIMAL(38, 0)))";
    Error::new(ErrorKind::Decode, text).with_source(error)
}

/// Reads on a connection. If the channel is closed before the last row, the COPY stays open: close the connection then.
pub(super) async fn read(
    database: &Postgres,
    connection: &mut PostgresConnection,
    query: &Query,
    batches: &Batches,
) -> Result<()> {
    let ways = query.conforms()?;
    let columns: Vec<_> = query.projection.iter().map(|index| &query.table.columns[*index]).collect();
    let from = query.from(&relation(&query.table)?.name.quoted(), &PostgresDialect);
    let select = select(&query.table, &query.projection, &from)?;
    let copy = format!("COPY ({select}) TO STDOUT (FORMAT BINARY)");
    let (pid, conn) = connection.parts();
    let mut messages = database.answer(pid, "COPY", conn.copy_out_raw(&copy)).await?;
    let mut rows = ReceivedRows::new(columns.len());
    let mut sent = 0;
    loop {
        let message = tokio::select! {
            message = database.answer(pid, "COPY", messages.try_next()) => message.map_err(|error| too_large(query, error))?,
            // Dropping the connection during the COPY makes the server end it.
            () = batches.closed() => return Ok(()),
        };
        let large = message.as_deref().filter(|message| rows.count() == 0 && message.len() >= LARGE);
        match (large, &message) {
            (Some(message), _) => rows.locate(message)?,
            (None, Some(message)) => rows.push(message)?,
            (None, None) => {}
        }
        if large.is_some() || rows.is_full(query.batch_size) || (message.is_none() && rows.count() > 0) {
            let arrays = columns.iter().zip(&ways).enumerate().map(|(index, (column, way))| -> Result<ArrayRef> {
                let values = large.map_or_else(|| rows.column(index), |message| rows.column_in(message, index));
                let decoded = server_type(column)?.decode(values, &column.data_type);
                decoded.and_then(|decoded| way.apply(&decoded)).map_err(|error| {
                    let column = format!("column \"{}\" ({})", column.name, column.sql_type);
                    let reading = match error.row() {
                        Some(row) => format!("reading {column}, row {} of the result", sent + row + 1),
                        None => format!("reading {column}"),
                    };
                    error.with_context(reading)
                })
            });
            let batch = query.batch(arrays.collect::<Result<Vec<_>>>()?, rows.count())?;
            sent += rows.count();
            rows.clear();
            if batches.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        if message.is_none() {
            return Ok(());
        }
    }
}
