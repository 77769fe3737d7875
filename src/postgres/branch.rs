//! A branch, which encodes batches as the rows of a COPY.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::cells::{CellRows, Numbers};
use super::change::Plan;
use super::database::Postgres;
use super::encode::Encoder;
use super::existing::ExistingRows;
use super::open::Open;
use super::scan;
use super::sequences::Sequences;
use super::writer::Writer;
use crate::backend::{Batches, Branch, Change, OpenTransaction, Query, Rescue, Savepoint, WriteSpec};
use crate::error::{Error, Result};
use crate::options::Indexes;
use crate::sql::{
    BulkBranch, EncodedRows, LookupRequest, OpenBranch, RowEncoder, ServerTransaction, TableName, Targets,
};
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
    let table = database.known(&spec, change).is_some().then(|| TableName::try_parse(&spec.table)).transpose()?;
    let open = Open::begin(database, xid, None, table.as_ref()).await?;
    start_in(open, xid, xid, spec, change).await
}

/// Starts a statement of an open transaction. `of_statement` is the name for staging tables.
pub(super) async fn start_in(
    open: Open,
    xid: &Xid,
    of_statement: &Xid,
    spec: WriteSpec,
    change: Option<&Arc<Change>>,
) -> Result<PostgresBranch> {
    let memory = spec.stats.memory().clone();
    let mut open = Some(open);
    let begun = Writer::begin(&mut open, xid, of_statement, spec, change).await;
    if let (Err(_), Some(open)) = (&begun, open) {
        open.rollback().await;
    }
    let (writer, targets, existing) = begun?;
    let (sequences, numbers_rows) = (writer.sequences(), writer.numbers_rows());
    let encoder = CopyRows { targets, existing, sequences, numbers_rows, rows: 0 };
    Ok(BulkBranch::start(xid, encoder, writer, memory))
}

impl RowEncoder for CopyRows {
    type Rows = CellRows;

    fn encode(&mut self, slice: &RecordBatch) -> Result<CellRows> {
        let mut columns = self.targets.encode(slice, Encoder::encode)?;
        if self.numbers_rows {
            columns.push(Box::new(Numbers { first: self.rows as i64 }));
        }
        self.rows += slice.num_rows() as u64;
        Ok(CellRows::new(columns, slice.num_rows()))
    }

    fn note(&mut self, rows: &RecordBatch) {
        self.sequences.note(rows);
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

#[async_trait]
impl OpenTransaction for OpenBranch<Open> {
    async fn lock(&mut self, spec: &WriteSpec, change: &Arc<Change>) -> Result<()> {
        let Open { database, connection, .. } = &mut self.transaction;
        let table = database.describe_in(connection, &TableName::try_parse(&spec.table)?).await?;
        let table = table
            .ok_or_else(|| Error::schema(format!("table {} no longer exists: create the table again", spec.table)))?;
        let version = connection.server_version_num().unwrap_or_default();
        let (plan, ..) = Plan::of(database, version, &self.xid, &table, spec, change, None)?;
        match plan.lock {
            Some(lock) => database.execute(connection, lock).await.map(drop),
            None => Ok(()),
        }
    }

    async fn start(
        self: Box<Self>,
        spec: &WriteSpec,
        change: Option<&Arc<Change>>,
        rescue: Option<Rescue>,
    ) -> Result<Box<dyn Branch>> {
        let Self { xid, mut transaction } = *self;
        transaction.rescue = rescue.map(|rescue| (xid, rescue));
        transaction.statements += 1;
        // Names of staging tables contain it.
        let of_statement = Xid { bqual: xid.bqual.wrapping_add(transaction.statements << 32), ..xid };
        // It may have savepoints, and other statements that need the indexes.
        let spec = WriteSpec { indexes: Indexes::Keep, ..spec.clone() };
        Ok(Box::new(start_in(transaction, &xid, &of_statement, spec, change).await?))
    }

    async fn savepoint(&mut self, step: Savepoint) -> Result<()> {
        let Open { database, connection, .. } = &mut self.transaction;
        database.execute(connection, step.sql()).await.map(drop)
    }

    async fn query(&mut self, query: &Query, batches: &Batches) -> Result<()> {
        scan::read(&self.transaction.database, &mut self.transaction.connection, query, batches).await
    }
}
