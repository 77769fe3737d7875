//! An INSERT whose parts are written by several processes: [`WriterExec`] writes and prepares them, [`CommitExec`] decides.
//!
//! ```text
//! CommitExec                one partition: decides once, completes the branches, returns the count
//!   CoalescePartitionsExec
//!     WriterExec            each partition writes one part, and prepares its branch
//!       RepartitionExec     if the table has a key, or more partitions than writers
//!         query
//! ```

mod commit;
mod writer;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties};
use uuid::Uuid;

use self::commit::CommitExec;
use self::writer::WriterExec;
use super::settings::{TxnSettings, how_to_prepare};
use super::table::LandfallTable;
use crate::backend::{Dispatch, Existing};
use crate::error::{Error, ErrorKind, Result};
use crate::manager::DistributedRun;
use crate::options::OnConflict;
use crate::pipeline::{Target, Write, WriterCount, distributed_run};
use crate::txn::StatementId;

/// A write, and its run.
#[derive(Debug)]
struct DistributedWrite {
    write: Write,
    run: Uuid,
}

impl DistributedWrite {
    async fn run(&self) -> Result<DistributedRun> {
        distributed_run(&self.write, self.run).await
    }

    /// Adds what was done to an error.
    fn doing(&self, error: Error) -> Error {
        error.with_context(format!("writing table {}", self.write.name))
    }
}

/// The properties of a node that returns its rows at the end.
fn properties(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Final,
        Boundedness::Bounded,
    ))
}

impl LandfallTable {
    /// The same table, for one INSERT whose partitions are written by several processes, as one transaction. `run` is drawn
    /// once for each execution of the statement, and is the same in every process: a part that is written again, or a plan
    /// that is executed again, stores no row twice.
    ///
    /// Each partition of the query is written by its own branch, and the database must be able to prepare transactions.
    /// Checkpoints are not supported. A table with a key is written by the partitions of the key's hash; an upsert, INSERT
    /// OVERWRITE and a table that only one writer may write, by one partition.
    ///
    /// ```no_run
    /// # async fn example(context: datafusion::prelude::SessionContext) -> Result<(), Box<dyn std::error::Error>> {
    /// use datafusion_landfall::{LandfallTable, SinkOptions};
    ///
    /// let table = LandfallTable::connect("postgres://me@db/sales", "orders", SinkOptions::new()).await?;
    /// context.register_table("orders", std::sync::Arc::new(table.distributed(uuid::Uuid::new_v4())))?;
    /// context.sql("INSERT INTO orders SELECT * FROM 'orders/*.parquet'").await?.collect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn distributed(mut self, run: Uuid) -> Self {
        self.run = Some(run);
        self
    }

    /// The plan of a distributed INSERT.
    pub(super) async fn inserted_distributed(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
        statement: StatementId,
        run: Uuid,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let doing = |error: Error| error.with_context(format!("INSERT INTO {}", self.table().name));
        let input = self.written(input)?;
        let most = u16::try_from(session.config().target_partitions()).unwrap_or(u16::MAX);
        let target = self.target(&input, op, most).await.map_err(doing)?;
        let division = Division::of(&target);
        let settings = TxnSettings::try_new(self.options()).map_err(doing)?;
        let write = settings.plan_commit(self.table().name.clone(), statement, vec![target]).map_err(doing)?;
        check(&write, &input).map_err(doing)?;
        let statement = Arc::new(DistributedWrite { write, run });
        let writers = Arc::new(WriterExec::try_new(input, division, Arc::clone(&statement))?);
        Ok(Arc::new(CommitExec::new(Arc::new(CoalescePartitionsExec::new(writers)), statement)))
    }
}

/// How the rows of a query are divided among the writers.
#[derive(Debug, Clone, PartialEq)]
enum Division {
    /// One writer.
    One,
    /// At most this many writers.
    Any(usize),
    /// At most this many writers; rows with the same values of these columns go to the same one.
    ByKey(Vec<String>, usize),
}

impl Division {
    fn of(target: &Target) -> Self {
        let most = usize::from(target.writers.most());
        let is_one = target.spec.existing != Existing::Keep
            || (target.spec.on_conflict != OnConflict::Error && matches!(target.writers, WriterCount::UpTo(_)));
        match &target.dispatch {
            Dispatch::OneWriter(_) => Self::One,
            _ if is_one || most <= 1 => Self::One,
            Dispatch::ByKey(key) => Self::ByKey(key.clone(), most),
            Dispatch::RoundRobin => Self::Any(most),
        }
    }

    /// The query with a partition for each writer. The optimizer removes and adds repartitions, so each new input is divided
    /// again.
    fn divide(&self, input: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let has = input.output_partitioning().partition_count();
        let partitioning = match self {
            _ if has <= 1 => return Ok(input),
            Self::One => return Ok(Arc::new(CoalescePartitionsExec::new(input))),
            Self::Any(most) if has > *most => Partitioning::RoundRobinBatch(*most),
            Self::Any(_) => return Ok(input),
            Self::ByKey(key, most) => {
                let schema = input.schema();
                let key = key.iter().map(|name| col(name, &schema)).collect::<DfResult<Vec<_>>>()?;
                match input.output_partitioning() {
                    Partitioning::Hash(by, count) if *by == key && count <= most => return Ok(input),
                    _ => Partitioning::Hash(key, *most),
                }
            }
        };
        Ok(Arc::new(RepartitionExec::try_new(input, partitioning)?))
    }
}

/// Refuses what a distributed INSERT does not support.
fn check(write: &Write, input: &Arc<dyn ExecutionPlan>) -> Result<()> {
    if input.boundedness().is_unbounded() {
        return Err(Error::config("a distributed INSERT is one transaction, but its input is unbounded"));
    }
    if write.checkpoints.any() {
        return Err(Error::config(
            "a distributed INSERT is one transaction: remove the options 'checkpoint.…', or write it in one process",
        ));
    }
    for target in &write.targets {
        if !target.capability.prepares() {
            let how = how_to_prepare([&target.resource]);
            let location = target.resource.location();
            let text =
                format!("a distributed INSERT needs two-phase commit, but {location} cannot prepare transactions{how}");
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
    }
    Ok(())
}
