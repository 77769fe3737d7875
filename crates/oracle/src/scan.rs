//! Reads rows as batches, in a separate task, a few batches ahead of the consumer.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion_landfall::backend::{BatchStream, Batches, Query, QueryDialect, read_ahead};
use datafusion_landfall::error::{Error, Result};
use datafusion_landfall::sql::quote;

use crate::catalog::{Relation, Stored};
use crate::database::Oracle;
use crate::decode::Decoder;
use crate::dialect::OracleDialect;
use crate::ledger::binds;
use crate::session::Datum;

/// The most rows that are fetched at a time.
const FETCHED_ROWS: usize = 1_000;

/// The maximum bytes of texts and blobs of a batch, unless one row has more.
const MAX_BYTES: usize = 32 * 1024 * 1024;

pub(crate) fn stream(database: Oracle, query: Query) -> BatchStream {
    let table = query.table.name.clone();
    read_ahead(table, async move |batches| {
        let mut connection = database.connect().await?;
        let sql = select(&query)?;
        let reader = Reader::try_new(Arc::new(query), batches)?;
        let read = connection.run(move |session| {
            let mut reader = reader;
            let (parameters, fetch) = (binds(&reader.query.parameters), reader.query.batch_size.min(FETCHED_ROWS));
            session.query(&sql, &parameters, fetch, &mut |row| reader.take(row))?;
            Ok(reader)
        });
        let done = read.await?.finish().await;
        connection.give_back();
        done
    })
}

/// `SELECT …`: SQL Language Reference, "SELECT".
pub(crate) fn select(query: &Query) -> Result<String> {
    let columns = query.projection.iter().map(|index| {
        let Stored { name, kind, .. } = Stored::of(&query.table.columns[*index])?;
        Ok(kind.selected(&quote(name)))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    // Without columns, the rows are still counted.
    let columns = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
    let mut sql = format!("SELECT {columns} FROM {}{}", Relation::of(&query.table)?.name.quoted(), query.condition);
    for (index, key) in query.order.iter().enumerate() {
        sql += if index == 0 { " ORDER BY " } else { ", " };
        sql += &OracleDialect.order_by(&query.table.columns[key.column].name, key);
    }
    if let Some(limit) = query.limit {
        sql += &format!(" FETCH FIRST {limit} ROWS ONLY");
    }
    Ok(sql)
}

/// Collects rows into batches, and sends them.
struct Reader {
    query: Arc<Query>,
    decoders: Vec<Decoder>,
    rows: usize,
    bytes: usize,
    batches: Batches,
    error: Option<Error>,
}

impl Reader {
    fn try_new(query: Arc<Query>, batches: Batches) -> Result<Self> {
        let decoders = query.projection.iter().map(|index| Decoder::try_new(&query.table.columns[*index]));
        let decoders = decoders.collect::<Result<_>>()?;
        Ok(Self { query, decoders, rows: 0, bytes: 0, batches, error: None })
    }

    /// Adds a row to the batch. Stops the query if a value cannot be read, or if the reader of the batches has gone.
    fn take(&mut self, row: Vec<Datum>) -> ControlFlow<()> {
        self.bytes += row
            .iter()
            .map(|datum| match datum {
                Datum::Text(text) => text.len(),
                Datum::Bytes(bytes) => bytes.len(),
                _ => 0,
            })
            .sum::<usize>();
        for (decoder, datum) in self.decoders.iter_mut().zip(row) {
            if let Err(error) = decoder.push(datum) {
                self.error = Some(error);
                return ControlFlow::Break(());
            }
        }
        self.rows += 1;
        if self.rows < self.query.batch_size && self.bytes < MAX_BYTES {
            return ControlFlow::Continue(());
        }
        let batch = match self.batch() {
            Ok(batch) => batch,
            Err(error) => {
                self.error = Some(error);
                return ControlFlow::Break(());
            }
        };
        match self.batches.blocking_send(Ok(batch)) {
            Ok(()) => ControlFlow::Continue(()),
            // The reader has gone.
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn batch(&mut self) -> Result<arrow::array::RecordBatch> {
        let arrays: Vec<_> = self.decoders.iter_mut().map(Decoder::finish).collect();
        self.bytes = 0;
        self.query.conformed(&arrays, std::mem::take(&mut self.rows))
    }

    /// Sends the last rows.
    async fn finish(mut self) -> Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.rows > 0 {
            let batch = self.batch()?;
            // Sending fails only if the consumer no longer waits.
            let _ = self.batches.send(Ok(batch)).await;
        }
        Ok(())
    }
}
