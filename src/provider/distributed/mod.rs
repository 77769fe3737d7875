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
mod statement;
mod writer;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use serde_json::{Value, json};
use uuid::Uuid;

use self::commit::CommitExec;
use self::statement::DistributedWrite;
use self::writer::WriterExec;
use super::destination::{Destination, Operation};
use super::recipe::{Recipe, invalid};
use super::settings::how_to_prepare;
use super::{FanoutTable, LandfallTable};
use crate::backend::{Change, Dispatch, Existing};
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::pipeline::{Target, Write, WriterCount};
use crate::txn::StatementId;

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
        let destination = Destination::Table(Box::new(self.another()));
        let planned = planned(destination, session, input, Operation::Insert(op), statement, run);
        planned.await.map_err(|error| doing(error).into())
    }

    /// The plan of a distributed UPDATE, DELETE or MERGE.
    pub(super) async fn changed_distributed(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        change: Change,
        statement: StatementId,
        run: Uuid,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let destination = Destination::Table(Box::new(self.another()));
        planned(destination, session, input, Operation::Change(Box::new(change)), statement, run).await
    }
}

impl FanoutTable {
    /// The plan of a distributed INSERT.
    pub(super) async fn inserted_distributed(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
        statement: StatementId,
        run: Uuid,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let destination = Destination::Fanout(Box::new(self.another()));
        planned(destination, session, input, Operation::Insert(op), statement, run).await
    }
}

async fn planned(
    destination: Destination,
    session: &dyn Session,
    input: Arc<dyn ExecutionPlan>,
    operation: Operation,
    statement: StatementId,
    run: Uuid,
) -> Result<Arc<dyn ExecutionPlan>> {
    let most = u16::try_from(session.config().target_partitions()).unwrap_or(u16::MAX);
    let statement = DistributedWrite::plan(destination, &input, operation, statement, most, run).await?;
    let write = statement.write().await?;
    check(write, &input)?;
    let divisions = write.targets.iter().map(|target| Division::of(target, &input));
    let division = divisions.reduce(Division::and).unwrap_or(Division::One);
    let statement = Arc::new(statement);
    let writers = WriterExec::try_new(input, division, Arc::clone(&statement));
    let writers = writers.map_err(|error| Error::internal(error.to_string()))?;
    Ok(Arc::new(CommitExec::new(Arc::new(CoalescePartitionsExec::new(Arc::new(writers))), statement)))
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
    fn of(target: &Target, input: &Arc<dyn ExecutionPlan>) -> Self {
        let most = usize::from(target.writers.most());
        let is_one = target.spec.existing != Existing::Keep
            || (target.spec.on_conflict != OnConflict::Error && matches!(target.writers, WriterCount::UpTo(_)));
        match &target.dispatch {
            Dispatch::OneWriter(_) => Self::One,
            _ if is_one || most <= 1 || !is_repeatable(input) => Self::One,
            Dispatch::ByKey(key) => Self::ByKey(key.clone(), most),
            Dispatch::RoundRobin => Self::Any(most),
        }
    }

    /// The division that suits two tables.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any(one), Self::Any(other)) => Self::Any(one.min(other)),
            (Self::ByKey(key, one), Self::Any(other)) | (Self::Any(one), Self::ByKey(key, other)) => {
                Self::ByKey(key, one.min(other))
            }
            (Self::ByKey(key, one), Self::ByKey(other_key, other)) if key == other_key => {
                Self::ByKey(key, one.min(other))
            }
            (Self::One | Self::ByKey(..), _) | (_, Self::One) => Self::One,
        }
    }

    /// The query with a partition for each writer. The optimizer removes and adds repartitions, so each new input is divided
    /// again.
    fn divide(&self, input: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let has = input.output_partitioning().partition_count();
        let partitioning = match self {
            _ if has <= 1 => return Ok(input),
            Self::One => return Ok(Arc::new(CoalescePartitionsExec::new(input))),
            Self::Any(most) if has <= *most => return Ok(input),
            // By their values, so that a partition that is computed again has the same rows.
            Self::Any(most) => match by_value(&input)? {
                columns if columns.is_empty() => return Ok(Arc::new(CoalescePartitionsExec::new(input))),
                columns => Partitioning::Hash(columns, *most),
            },
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

/// The columns that can be hashed.
fn by_value(input: &Arc<dyn ExecutionPlan>) -> DfResult<Vec<Arc<dyn PhysicalExpr>>> {
    let schema = input.schema();
    let is_plain = |field: &&Arc<Field>| {
        let of = field.data_type();
        of.is_primitive() || of.is_string() || of.is_binary() || *of == DataType::Boolean
    };
    schema.fields().iter().filter(is_plain).map(|field| col(field.name(), &schema)).collect()
}

/// Whether a query returns the same rows in each partition when a part of it is computed again, because a process was lost.
/// Several writers must not write parts of different results.
fn is_repeatable(query: &Arc<dyn ExecutionPlan>) -> bool {
    let is_limited = query.fetch().is_some() && !is_sorted(query);
    let mut is_volatile = false;
    let looked = query.apply_expressions(&mut |expr| {
        is_volatile |= is_volatile_expression(expr);
        Ok(TreeNodeRecursion::Continue)
    });
    looked.is_ok() && !is_limited && !is_volatile && query.children().into_iter().all(is_repeatable)
}

/// Whether the rows of a query have an order that the statement asks for. An order of a source says nothing yet: it is lost
/// when partitions are merged.
fn is_sorted(query: &Arc<dyn ExecutionPlan>) -> bool {
    if query.is::<SortExec>() || query.is::<SortPreservingMergeExec>() {
        return true;
    }
    let keeps_order = query.is::<GlobalLimitExec>() || query.is::<LocalLimitExec>() || query.is::<ProjectionExec>();
    keeps_order && query.children().into_iter().all(is_sorted)
}

fn is_volatile_expression(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is_volatile_node() || expr.children().into_iter().any(is_volatile_expression)
}

/// The node that a name and a statement describe, above a query.
fn node(name: &str, statement: DistributedWrite, input: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
    let statement = Arc::new(statement);
    match name {
        // The query has been divided where it was planned.
        WRITER => Ok(Arc::new(WriterExec::try_new(input, Division::Any(usize::MAX), statement)?)),
        COMMIT => Ok(Arc::new(CommitExec::new(input, statement))),
        _ => Err(invalid().into()),
    }
}

const WRITER: &str = "WriterExec";
const COMMIT: &str = "CommitExec";

/// A node of a distributed INSERT as data; `None` for other nodes.
///
/// # Errors
/// As [`LandfallTable::recipe`].
pub(super) fn encode(plan: &dyn ExecutionPlan) -> Result<Option<Recipe>> {
    let (name, statement) = match (plan.downcast_ref::<WriterExec>(), plan.downcast_ref::<CommitExec>()) {
        (Some(writer), _) => (WRITER, writer.statement()),
        (_, Some(commit)) => (COMMIT, commit.statement()),
        (None, None) => return Ok(None),
    };
    let mut schemas = Vec::new();
    let statement = statement.to_json(&mut schemas)?;
    Ok(Some(Recipe::new(json!({ "node": name, "statement": statement }), schemas)))
}

/// The node that a recipe describes; `None` if it describes no node of a distributed INSERT.
pub(super) fn decode(
    recipe: &Value,
    schemas: &[SchemaRef],
    inputs: &[Arc<dyn ExecutionPlan>],
) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
    let Some(name) = recipe["node"].as_str().filter(|name| [WRITER, COMMIT].contains(name)) else { return Ok(None) };
    let [input] = inputs else { return Err(invalid().into()) };
    let statement = DistributedWrite::of_json(&recipe["statement"], schemas)?;
    node(name, statement, Arc::clone(input)).map(Some)
}

/// Refuses what a distributed INSERT does not support.
fn check(write: &Write, input: &Arc<dyn ExecutionPlan>) -> Result<()> {
    if input.boundedness().is_unbounded() {
        return Err(Error::config(
            "a distributed statement is one transaction, but its input is unbounded: run the statement in one process",
        ));
    }
    if write.checkpoints.any() {
        return Err(Error::config(
            "a distributed statement is one transaction: remove the options 'checkpoint.…', or run the statement in \
             one process",
        ));
    }
    if write.rejects.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a distributed statement does not support the option 'reject.max': remove the option, or run the statement \
             in one process",
        ));
    }
    for target in &write.targets {
        if !target.capability.prepares() {
            let how = how_to_prepare([&target.resource]);
            let location = target.resource.location();
            let text = format!(
                "a distributed statement needs two-phase commit, but {location} cannot prepare transactions{how}"
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
    }
    Ok(())
}
