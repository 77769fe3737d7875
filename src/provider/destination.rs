//! What a statement writes on a cluster: a table, or the members of a FANOUT table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_plan::ExecutionPlan;
use serde_json::{Value, json};
use uuid::Uuid;

use super::recipe::{TableRecipe, invalid, list, options_of_json, options_to_json, shared_log, text};
use super::settings::TxnSettings;
use super::{FanoutTable, LandfallTable};
use crate::backend::{Backend, Change, DecisionLog};
use crate::error::{Error, Result};
use crate::options::{Checkpoints, SinkOptions};
use crate::pipeline::Write;
use crate::txn::{JobId, StatementId};

/// What is written, opened in this process.
#[derive(Debug)]
pub(super) enum Destination {
    Table(Box<LandfallTable>),
    Fanout(Box<FanoutTable>),
}

/// What a statement does with the rows of its query.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Insert(InsertOp),
    Change(Box<Change>),
}

impl Destination {
    /// A table that Landfall writes; `None` for any other.
    pub(super) fn of(provider: &dyn TableProvider) -> Option<Self> {
        let table = provider.downcast_ref::<LandfallTable>().map(|table| Self::Table(Box::new(table.another())));
        table.or_else(|| Some(Self::Fanout(Box::new(provider.downcast_ref::<FanoutTable>()?.another()))))
    }

    /// The same for a run of a distributed statement.
    pub(super) fn distributed(self, run: Uuid) -> Self {
        match self {
            Self::Table(table) => Self::Table(Box::new(table.distributed(run))),
            Self::Fanout(fanout) => Self::Fanout(Box::new(fanout.distributed(run))),
        }
    }

    pub(super) fn run(&self) -> Option<Uuid> {
        match self {
            Self::Table(table) => table.run,
            Self::Fanout(fanout) => fanout.run(),
        }
    }

    pub(super) fn into_provider(self) -> Arc<dyn TableProvider> {
        match self {
            Self::Table(table) => Arc::new(*table),
            Self::Fanout(fanout) => Arc::new(*fanout),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Table(table) => &table.table().name,
            Self::Fanout(fanout) => fanout.name(),
        }
    }

    pub(super) fn job(&self) -> Option<JobId> {
        match self {
            Self::Table(table) => table.options().job.clone(),
            Self::Fanout(fanout) => fanout.decision().0,
        }
    }

    /// The name that its jobs record, and their decision log.
    pub(super) async fn decided(&self) -> Result<(String, Arc<dyn DecisionLog>)> {
        match self {
            Self::Table(table) => table.decided(),
            Self::Fanout(fanout) => fanout.decided().await,
        }
    }

    pub(super) fn databases(&self) -> Vec<Arc<dyn Backend>> {
        match self {
            Self::Table(table) => vec![Arc::clone(&table.database)],
            Self::Fanout(fanout) => fanout.tables().map(|table| Arc::clone(&table.database)).collect(),
        }
    }

    /// The write of a query, with up to `most` writers.
    pub(super) async fn write(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        operation: &Operation,
        statement: StatementId,
        most: u16,
    ) -> Result<Write> {
        let table = match (self, operation) {
            (Self::Fanout(fanout), Operation::Insert(op)) => return fanout.write(input, *op, statement, most).await,
            (Self::Fanout(fanout), Operation::Change(change)) => return Err(fanout.is_changed_as_one(change.verb)),
            (Self::Table(table), _) => table,
        };
        let settings = TxnSettings::try_new(table.options())?;
        match operation {
            Operation::Insert(op) => {
                let target = table.target(input, *op, most).await?;
                settings.plan_commit(table.table().name.clone(), statement, vec![target])
            }
            Operation::Change(change) => {
                let target = table.change_target(change.as_ref().clone(), input.schema()).await?;
                let write = settings.plan_commit(table.table().name.clone(), statement, vec![target])?;
                // A change is one transaction; these options are for the INSERTs of the table.
                Ok(Write { checkpoints: Checkpoints::default(), ..write })
            }
        }
    }

    /// The same for another process.
    ///
    /// # Errors
    /// As [`LandfallTable::recipe`].
    pub(super) fn recipe(&self) -> Result<DestinationRecipe> {
        let fanout = match self {
            Self::Table(table) => return Ok(DestinationRecipe::Table(Box::new(table.recipe()?))),
            Self::Fanout(fanout) => fanout,
        };
        let member = |((name, _), table): (&(String, Arc<dyn TableProvider>), &LandfallTable)| {
            let recipe = table.recipe().map_err(|error| error.with_context(format!("member {name}")))?;
            Ok((name.clone(), recipe))
        };
        let mut options = fanout.options().clone();
        options.log = options.log.take().map(|log| shared_log(&log, &options)).transpose()?;
        Ok(DestinationRecipe::Fanout {
            name: fanout.name().to_owned(),
            options: Box::new(options),
            members: fanout.members().iter().zip(fanout.tables()).map(member).collect::<Result<_>>()?,
        })
    }
}

/// What is written, as data.
#[derive(Debug, Clone)]
pub(super) enum DestinationRecipe {
    Table(Box<TableRecipe>),
    Fanout { name: String, options: Box<SinkOptions>, members: Vec<(String, TableRecipe)> },
}

impl DestinationRecipe {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Table(table) => table.table(),
            Self::Fanout { name, .. } => name,
        }
    }

    /// Its columns.
    ///
    /// # Errors
    /// `Decode` for a FANOUT table without members.
    pub(super) fn schema(&self) -> Result<SchemaRef> {
        let table = match self {
            Self::Table(table) => Some(table.as_ref()),
            Self::Fanout { members, .. } => members.first().map(|(_, table)| table),
        };
        table.map(|table| Arc::clone(table.schema())).ok_or_else(invalid)
    }

    pub(super) fn to_json(&self, schemas: &mut Vec<SchemaRef>) -> Value {
        match self {
            Self::Table(table) => table.to_json(schemas),
            Self::Fanout { name, options, members } => {
                let members = members.iter().map(|(name, table)| json!([name, table.to_json(schemas)]));
                json!({ "members": members.collect::<Vec<_>>(), "name": name, "options": options_to_json(options) })
            }
        }
    }

    pub(super) fn of_json(recipe: &Value, schemas: &[SchemaRef]) -> Result<Self> {
        if recipe["members"].is_null() {
            return Ok(Self::Table(Box::new(TableRecipe::of_json(recipe, schemas)?)));
        }
        let member = |member: &Value| Ok((text(&member[0])?, TableRecipe::of_json(&member[1], schemas)?));
        Ok(Self::Fanout {
            name: text(&recipe["name"])?,
            options: Box::new(options_of_json(&recipe["options"], &[])?),
            members: list(&recipe["members"])?.iter().map(member).collect::<Result<_>>()?,
        })
    }

    /// Opens it in this process.
    pub(super) async fn open(&self) -> Result<Destination> {
        let (name, options, recipes) = match self {
            Self::Table(table) => return Ok(Destination::Table(Box::new(table.open().await?))),
            Self::Fanout { name, options, members } => (name, options, members),
        };
        let mut members = Vec::new();
        for (name, recipe) in recipes {
            let table = recipe.open().await.map_err(|error: Error| error.with_context(format!("member {name}")))?;
            members.push((name.clone(), Arc::new(table) as Arc<dyn TableProvider>));
        }
        Ok(Destination::Fanout(Box::new(FanoutTable::try_new(name, members, options)?)))
    }
}
