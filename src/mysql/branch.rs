//! A branch, which encodes batches as the rows of a file or of INSERT statements.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::database::MySql;
use super::encode::Encoder;
use super::existing::ExistingRows;
use super::fields::{AsFile, FieldRows, Frame};
use super::writer::{Encoders, Writer};
use crate::backend::{Change, WriteSpec};
use crate::error::Result;
use crate::sql::{BulkBranch, LookupRequest, RowEncoder, Targets};
use crate::txn::Xid;

pub(super) type MySqlBranch = BulkBranch<TextRows, Writer>;

/// Encodes the rows of one branch.
#[derive(Debug)]
pub(super) struct TextRows {
    pub(super) targets: Targets<Encoder>,
    /// The encoders for rows that are too long for a statement.
    pub(super) large: Option<Arc<Targets<Encoder>>>,
    pub(super) frame: Arc<Frame>,
    pub(super) existing: Option<(ExistingRows, Targets<Encoder>)>,
}

pub(super) async fn start(
    database: MySql,
    xid: &Xid,
    spec: WriteSpec,
    change: Option<&Arc<Change>>,
) -> Result<MySqlBranch> {
    let memory = spec.stats.memory().clone();
    let (writer, Encoders { targets, large, existing }) = Writer::begin(database, xid, spec, change).await?;
    let encoder = TextRows { targets, large: large.map(Arc::new), frame: writer.frame(), existing };
    Ok(BulkBranch::start(xid, encoder, writer, memory))
}

impl RowEncoder for TextRows {
    type Rows = FieldRows;

    fn encode(&mut self, slice: &RecordBatch) -> Result<FieldRows> {
        let columns = self.targets.encode(slice, Encoder::encode)?;
        let as_file = self.large.as_ref().map(|targets| {
            let (targets, slice) = (Arc::clone(targets), slice.clone());
            Box::new(move |row| targets.try_encode(&slice.slice(row, 1), Encoder::encode)) as AsFile
        });
        Ok(FieldRows::new(Arc::clone(&self.frame), columns, slice.num_rows(), as_file))
    }

    fn lookup_request(&mut self, rows: &RecordBatch) -> Result<Option<LookupRequest>> {
        Ok(self.existing.as_ref().and_then(|(existing, keys)| existing.lookup_request(keys, rows)))
    }
}
