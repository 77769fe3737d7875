//! A distributed statement, as each of its processes knows it.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::manager::DistributedRun;
use crate::pipeline::{Write, distributed_run};
use crate::provider::change_recipe::{change_of_json, change_to_json};
use crate::provider::destination::{Destination, DestinationRecipe, Operation};
use crate::provider::planning::inserting;
use crate::provider::recipe::{add, invalid, schema_at};
use crate::provider::scan_recipe::scans;
use crate::txn::StatementId;

/// A write, and its run. The process that plans it has opened its table; the others open it when they execute a node.
#[derive(Debug)]
pub(super) struct DistributedWrite {
    destination: Source,
    /// The columns that are written.
    columns: SchemaRef,
    operation: Operation,
    statement: StatementId,
    /// The number of writers, if the table does not say it.
    most: u16,
    /// The number of scans in its query.
    scans: usize,
    run: Uuid,
    write: OnceCell<Write>,
}

#[derive(Debug)]
enum Source {
    Opened(Destination),
    ToOpen(DestinationRecipe),
}

impl DistributedWrite {
    /// Plans the write of a query.
    pub(super) async fn plan(
        destination: Destination,
        input: &Arc<dyn ExecutionPlan>,
        operation: Operation,
        statement: StatementId,
        most: u16,
        run: Uuid,
    ) -> Result<Self> {
        let write = destination.write(input, &operation, statement.clone(), most).await?;
        Ok(Self {
            destination: Source::Opened(destination),
            columns: input.schema(),
            operation,
            statement,
            most,
            scans: scans(input),
            run,
            write: OnceCell::new_with(Some(write)),
        })
    }

    /// The write, whose table is opened the first time.
    pub(super) async fn write(&self) -> Result<&Write> {
        let opened = self.write.get_or_try_init(|| async {
            let input: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::clone(&self.columns)));
            let (operation, statement, most) = (&self.operation, self.statement.clone(), self.most);
            match &self.destination {
                Source::Opened(table) => table.write(&input, operation, statement, most).await,
                Source::ToOpen(recipe) => recipe.open().await?.write(&input, operation, statement, most).await,
            }
        });
        opened.await.map_err(|error| error.with_context("opening the table of a distributed statement"))
    }

    /// The write, if its table is open.
    pub(super) fn opened(&self) -> Option<&Write> {
        self.write.get()
    }

    pub(super) async fn run(&self) -> Result<DistributedRun> {
        distributed_run(self.write().await?, self.run).await
    }

    /// Refuses a change whose query has read rows before its branch locks them: in an earlier stage, which is not below the
    /// node that writes.
    pub(super) fn check_locks(&self, query: &Arc<dyn ExecutionPlan>) -> Result<()> {
        match &self.operation {
            Operation::Change(change) if change.lock.is_some() && scans(query) < self.scans => {
                let text = format!(
                    "{} {self}: the query is executed in several stages, so the query reads rows before they are \
                     locked; run the statement in one process",
                    change.verb
                );
                Err(Error::new(ErrorKind::Unsupported, text))
            }
            Operation::Insert(_) | Operation::Change(_) => Ok(()),
        }
    }

    /// Adds what was done to an error.
    pub(super) fn doing(&self, error: Error) -> Error {
        match self.opened() {
            Some(write) => error.with_context(format!("writing table {}", write.name)),
            None => error,
        }
    }

    /// # Errors
    /// As [`LandfallTable::recipe`].
    pub(super) fn to_json(&self, schemas: &mut Vec<SchemaRef>) -> Result<Value> {
        let table = match &self.destination {
            Source::Opened(table) => table.recipe()?.to_json(schemas),
            Source::ToOpen(recipe) => recipe.to_json(schemas),
        };
        Ok(json!({
            "table": table,
            "columns": add(&self.columns, schemas),
            "operation": match &self.operation {
                Operation::Insert(op) => json!(inserting(*op)),
                Operation::Change(change) => change_to_json(change),
            },
            "statement": self.statement.to_json(),
            "writers": self.most,
            "scans": self.scans,
            "run": self.run.to_string(),
        }))
    }

    pub(super) fn of_json(recipe: &Value, schemas: &[SchemaRef]) -> Result<Self> {
        let op = [InsertOp::Append, InsertOp::Overwrite, InsertOp::Replace];
        let operation = match op.into_iter().find(|op| recipe["operation"] == inserting(*op)) {
            Some(op) => Operation::Insert(op),
            None => Operation::Change(Box::new(change_of_json(&recipe["operation"])?)),
        };
        let most = recipe["writers"].as_u64().and_then(|most| u16::try_from(most).ok());
        let scans = recipe["scans"].as_u64().and_then(|scans| usize::try_from(scans).ok());
        Ok(Self {
            destination: Source::ToOpen(DestinationRecipe::of_json(&recipe["table"], schemas)?),
            columns: schema_at(&recipe["columns"], schemas)?,
            operation,
            statement: StatementId::of_json(&recipe["statement"]).ok_or_else(invalid)?,
            most: most.ok_or_else(invalid)?,
            scans: scans.ok_or_else(invalid)?,
            run: recipe["run"].as_str().and_then(|run| run.parse().ok()).ok_or_else(invalid)?,
            write: OnceCell::new(),
        })
    }
}

/// The table, for EXPLAIN.
impl fmt::Display for DistributedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.destination {
            Source::Opened(table) => f.write_str(table.name()),
            Source::ToOpen(recipe) => f.write_str(recipe.name()),
        }
    }
}
