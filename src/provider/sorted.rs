//! Checkpoints in the rows of a query with ORDER BY: where they can be, and how a run finds them again.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::LexOrdering;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Boundary, Read, digest};

/// Sorted rows after a position, divided where their key changes.
pub(super) fn sorted(
    split: usize,
    rows: SendableRecordBatchStream,
    order: &LexOrdering,
    place: Option<&str>,
) -> Result<BoxStream<'static, Result<Read>>> {
    let mut keys = Keys::try_new(order, rows.schema().as_ref())?;
    let bad = || Error::new(ErrorKind::Decode, "the position in the sorted input, as stored in the ledger, is invalid");
    let (skipped, then) = match place {
        None => (0, String::new()),
        Some(place) => {
            let (rows, then) = place.split_once(':').ok_or_else(bad)?;
            (rows.parse::<u64>().map_err(|_| bad())?, then.to_owned())
        }
    };
    let mut before = 0;
    let mut last: Option<Vec<u8>> = None;
    let reads = rows.map(Some).chain(stream::once(async { None })).map(move |batch| -> Result<Option<Read>> {
        let Some(batch) = batch else {
            return if before < skipped { Err(shorter(before, skipped)) } else { Ok(None) };
        };
        let mut batch = batch.map_err(failed)?;
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        if before < skipped {
            let skip = (skipped - before).min(batch.num_rows() as u64) as usize;
            before += skip as u64;
            if before == skipped {
                let key = keys.of(&batch, skip - 1)?;
                if digest(&key) != then {
                    return Err(moved(skipped));
                }
                last = Some(key);
            }
            batch = batch.slice(skip, batch.num_rows() - skip);
            if batch.num_rows() == 0 {
                return Ok(None);
            }
        }
        if before == skipped && skipped > 0 && last.as_ref() == Some(&keys.of(&batch, 0)?) {
            return Err(moved(skipped));
        }
        let (count, first) = (batch.num_rows(), before);
        before += count as u64;
        let boundary = match keys.last_change(&batch)? {
            None => Boundary::None,
            Some(row) => {
                Boundary::Inside(row, format!("{}:{}", first + row as u64, digest(&keys.of(&batch, row - 1)?)))
            }
        };
        Ok(Some(Read::Rows { split, batch, boundary }))
    });
    Ok(reads.filter_map(async |read| read.transpose()).boxed())
}

fn moved(row: u64) -> Error {
    let text = format!(
        "the input differs from the one that the job started with: its sort key at row {row} has changed; restore the \
         original input, or use a different job name (the rows that are already committed stay in the table)"
    );
    Error::new(ErrorKind::Input, text)
}

/// The sort keys of rows.
struct Keys {
    order: LexOrdering,
    converter: RowConverter,
}

impl Keys {
    fn try_new(order: &LexOrdering, schema: &Schema) -> Result<Self> {
        let fields = order.iter().map(|key| Ok(SortField::new(key.expr.data_type(schema)?)));
        let fields: DfResult<Vec<_>> = fields.collect();
        let converter = fields.and_then(|fields| Ok(RowConverter::new(fields)?)).map_err(failed)?;
        Ok(Self { order: order.clone(), converter })
    }

    fn rows(&mut self, batch: &RecordBatch) -> DfResult<Rows> {
        let columns = self.order.iter().map(|key| key.expr.evaluate(batch)?.into_array(batch.num_rows()));
        Ok(self.converter.convert_columns(&columns.collect::<DfResult<Vec<_>>>()?)?)
    }

    fn of(&mut self, batch: &RecordBatch, row: usize) -> Result<Vec<u8>> {
        Ok(self.rows(&batch.slice(row, 1)).map_err(failed)?.row(0).as_ref().to_vec())
    }

    /// The last row whose key differs from the row before it.
    fn last_change(&mut self, batch: &RecordBatch) -> Result<Option<usize>> {
        // Keys are unique as a rule: the last rows tell.
        for last in [2, 64, batch.num_rows()] {
            let count = batch.num_rows().min(last);
            let first = batch.num_rows() - count;
            let rows = self.rows(&batch.slice(first, count)).map_err(failed)?;
            if let Some(row) = (1..count).rev().find(|row| rows.row(*row) != rows.row(row - 1)) {
                return Ok(Some(first + row));
            }
        }
        Ok(None)
    }
}

/// The error of a query that is read.
pub(super) fn failed(error: DataFusionError) -> Error {
    let kind = match error.find_root() {
        DataFusionError::External(cause) => cause.downcast_ref::<Error>().map(Error::kind),
        _ => None,
    };
    let kind = kind.filter(|kind| kind.is_transient()).unwrap_or(ErrorKind::Input);
    Error::new(kind, "the query failed").with_source(error)
}

/// The error of an input that ends too early.
pub(super) fn shorter(rows: u64, place: u64) -> Error {
    Error::new(
        ErrorKind::Input,
        format!(
            "the input differs from the one that the job started with: it has {rows} rows, but {place} rows were \
             already read; restore the original input, or use a different job name (the rows that are already \
             committed stay in the table)"
        ),
    )
}
