//! A branch, which encodes batches as the rows of a file or of INSERT statements.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::change::{self, Plan};
use super::database::MySql;
use super::encode::Encoder;
use super::existing::ExistingRows;
use super::fields::{AsFile, FieldRows, Frame};
use super::open::Open;
use super::scan;
use super::writer::{Begun, Encoders, Writer};
use crate::backend::{Batches, Branch, Change, OpenTransaction, Query, Rescue, Savepoint, WriteSpec};
use crate::buffer::Memory;
use crate::error::Result;
use crate::sql::{BulkBranch, LookupRequest, OpenBranch, RowEncoder, ServerTransaction, Targets};
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
    Ok(branch(xid, Writer::begin(database, xid, spec, change).await?, memory))
}

/// Creates the staging table of a change.
async fn stage(open: &mut Open, spec: &WriteSpec, change: &Change) -> Result<()> {
    let table = open.database.describe_writable(&mut open.connection, &spec.table).await?;
    change::stage(&open.database, &mut open.connection, &table, change).await
}

/// Starts a statement of an open transaction.
pub(super) async fn start_in(
    mut open: Open,
    xid: &Xid,
    spec: WriteSpec,
    change: Option<&Arc<Change>>,
) -> Result<MySqlBranch> {
    let memory = spec.stats.memory().clone();
    let staged = match change {
        Some(change) => stage(&mut open, &spec, change).await,
        None => Ok(()),
    };
    let mut open = Some(open);
    let begun = match staged {
        Ok(()) => Writer::begin_in(&mut open, xid, spec, change).await,
        Err(error) => Err(error),
    };
    if let (Err(_), Some(open)) = (&begun, open) {
        open.rollback().await;
    }
    Ok(branch(xid, begun?, memory))
}

fn branch(xid: &Xid, (writer, encoders): Begun, memory: Memory) -> MySqlBranch {
    let Encoders { targets, large, existing } = encoders;
    let encoder = TextRows { targets, large: large.map(Arc::new), frame: writer.frame(), existing };
    BulkBranch::start(xid, encoder, writer, memory)
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

#[async_trait]
impl OpenTransaction for OpenBranch<Open> {
    async fn lock(&mut self, spec: &WriteSpec, change: &Arc<Change>) -> Result<()> {
        let Open { database, connection, .. } = &mut self.transaction;
        let table = database.describe_writable(connection, &spec.table).await?;
        let (plan, ..) = Plan::of(&table, spec, change)?;
        plan.lock(database, connection).await
    }

    async fn start(
        self: Box<Self>,
        spec: &WriteSpec,
        change: Option<&Arc<Change>>,
        rescue: Option<Rescue>,
    ) -> Result<Box<dyn Branch>> {
        let Self { xid, mut transaction } = *self;
        transaction.rescue = rescue.map(|rescue| (xid, rescue));
        Ok(Box::new(start_in(transaction, &xid, spec.clone(), change).await?))
    }

    async fn savepoint(&mut self, step: Savepoint) -> Result<()> {
        let Open { database, connection, .. } = &mut self.transaction;
        database.execute(connection, &step.sql()).await.map(drop)
    }

    async fn query(&mut self, query: &Query, batches: &Batches) -> Result<()> {
        scan::read(&self.transaction.database, &mut self.transaction.connection, query, batches).await
    }
}
