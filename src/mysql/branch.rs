//! A branch: batches to the rows of a file or of INSERT statements.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::MySql;
use super::encode::Encoder;
use super::fields::{Frame, Rows};
use super::writer::Writer;
use crate::error::Result;
use crate::sql::{BulkBranch, RowEncoder, Targets};
use crate::xa::{WriteSpec, Xid};

pub(super) type MySqlBranch = BulkBranch<TextRows, Writer>;

/// Encodes the rows of one branch.
#[derive(Debug)]
pub(super) struct TextRows {
    targets: Targets<Encoder>,
    frame: Arc<Frame>,
}

pub(super) async fn start(database: MySql, xid: &Xid, spec: WriteSpec) -> Result<MySqlBranch> {
    let (writer, targets) = Writer::begin(database, xid, spec).await?;
    let encoder = TextRows::new(targets, writer.frame());
    Ok(BulkBranch::start(xid, encoder, writer))
}

impl TextRows {
    pub(super) fn new(targets: Targets<Encoder>, frame: Arc<Frame>) -> Self {
        Self { targets, frame }
    }
}

impl RowEncoder for TextRows {
    type Rows = Rows;

    fn encode(&mut self, slice: &RecordBatch) -> Result<Rows> {
        let columns = self.targets.encode(slice, Encoder::encode)?;
        Ok(Rows::new(Arc::clone(&self.frame), columns, slice.num_rows()))
    }
}
