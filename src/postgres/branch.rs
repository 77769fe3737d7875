//! A branch, which encodes batches as the rows of a COPY.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::cells::{CellRows, Numbers};
use super::database::Postgres;
use super::encode::Encoder;
use super::existing::ExistingRows;
use super::sequences::Sequences;
use super::writer::Writer;
use crate::backend::{Change, WriteSpec};
use crate::error::Result;
use crate::sql::{BulkBranch, EncodedRows, LookupRequest, RowEncoder, Targets};
use crate::txn::Xid;

pub(super) type PostgresBranch = BulkBranch<CopyRows, Writer>;

/// Encodes the rows of one branch.
pub(super) struct CopyRows {
    targets: Targets<Encoder>,
    existing: Option<ExistingRows>,
    sequences: Arc<Sequences>,
    numbers_rows: bool,
    rows: u64,
}

pub(super) async fn start(
    database: Postgres,
    xid: &Xid,
    spec: WriteSpec,
    change: Option<&Arc<Change>>,
) -> Result<PostgresBranch> {
    let memory = spec.stats.memory().clone();
    let (writer, targets, existing) = Writer::begin(database, xid, spec, change).await?;
    let (sequences, numbers_rows) = (writer.sequences(), writer.numbers_rows());
    let encoder = CopyRows { targets, existing, sequences, numbers_rows, rows: 0 };
    Ok(BulkBranch::start(xid, encoder, writer, memory))
}

impl RowEncoder for CopyRows {
    type Rows = CellRows;

    fn encode(&mut self, slice: &RecordBatch) -> Result<CellRows> {
        let mut columns = self.targets.encode(slice, Encoder::encode)?;
        self.sequences.note(slice);
        if self.numbers_rows {
            columns.push(Box::new(Numbers { first: self.rows as i64 }));
        }
        self.rows += slice.num_rows() as u64;
        Ok(CellRows::new(columns, slice.num_rows()))
    }

    fn lookup_request(&mut self, rows: &RecordBatch) -> Result<Option<LookupRequest>> {
        Ok(self.existing.as_ref().and_then(|existing| existing.lookup_request(&self.targets, rows)))
    }
}

impl EncodedRows for CellRows {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<Option<usize>> {
        Ok(CellRows::write(self, out))
    }
}
