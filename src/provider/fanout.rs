//! One INSERT into several tables of any databases, in one transaction.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::{DFSchemaRef, TableReference};
use datafusion::execution::SessionState;
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{CreateExternalTable, Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use uuid::Uuid;

use crate::backend::DecisionLog;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{OPTIONS, Scope, SinkOptions};
use crate::pipeline::Write;
use crate::provider::LandfallTable;
use crate::provider::planning::{Creating, Planning, boxed, inserting, planned};
use crate::provider::request::truncation;
use crate::provider::settings::{TxnSettings, decides};
use crate::provider::sink::LandfallSink;
use crate::registry::without_ledger;
use crate::sql::without_passwords;
use crate::txn::{JobId, StatementId};

/// A write-only table. Every row is written to each of its members, in one transaction.
#[derive(Debug)]
pub struct FanoutTable {
    name: String,
    members: Vec<(String, Arc<dyn TableProvider>)>,
    options: SinkOptions,
    settings: TxnSettings,
    definition: Option<String>,
    /// The run of the distributed INSERT for which the table was opened.
    run: Option<Uuid>,
}

impl FanoutTable {
    /// Creates a table from its members, which must be [`LandfallTable`]s with the same column names. Its columns have
    /// the types of the first member's. It has the options of [`Scope::Transaction`]; its members have the others.
    ///
    /// # Errors
    /// `Config` for fewer than two members, members that are not Landfall tables, or members with a job. `Schema` if a
    /// member does not have a column.
    pub fn try_new(
        name: impl Into<String>,
        members: Vec<(String, Arc<dyn TableProvider>)>,
        options: &SinkOptions,
    ) -> Result<Self> {
        if members.len() < 2 {
            return Err(Error::config(
                "a FANOUT table needs at least two members: use LOCATION 'one_table, another_table'",
            ));
        }
        let columns: Vec<_> = members[0].1.schema().fields().iter().map(|field| field.name().clone()).collect();
        for (index, (name, provider)) in members.iter().enumerate() {
            let Some(table) = provider.downcast_ref::<LandfallTable>() else {
                return Err(Error::config(format!(
                    "table {name} is not in a database to which Landfall can write, so it cannot be a member \
                     of a FANOUT table"
                )));
            };
            table.database.check_decides().map_err(|error| error.with_context(format!("table {name}")))?;
            let of_member = table.options();
            if of_member.job.is_some() || of_member.log.is_some() || of_member.checkpoints().any() {
                return Err(Error::config(format!(
                    "table {name} has an option 'job', 'log' or 'checkpoint.…': set the option on the FANOUT table \
                     instead"
                )));
            }
            if members[..index].iter().any(|(other, _)| other == name) {
                return Err(Error::config(format!("table {name} is specified more than once")));
            }
            let schema = provider.schema();
            let lacks = |column: &&String| schema.field_with_name(column).is_err();
            if let Some(column) = columns.iter().find(lacks) {
                return Err(Error::schema(format!(
                    "table {name} has no column \"{column}\", which exists in table {}: all members of a FANOUT table \
                     must have the same columns",
                    members[0].0
                )));
            }
        }
        let settings = TxnSettings::try_new(options)?;
        Ok(Self { name: name.into(), members, options: options.clone(), settings, definition: None, run: None })
    }

    /// The same table, for one INSERT whose partitions are written by several processes: see [`LandfallTable::distributed`].
    /// Each partition is written by a branch of every member.
    pub fn distributed(mut self, run: Uuid) -> Self {
        for (_, member) in &mut self.members {
            if let Some(table) = member.downcast_ref::<LandfallTable>() {
                *member = Arc::new(table.another().distributed(run));
            }
        }
        self.run = Some(run);
        self
    }

    pub(super) fn run(&self) -> Option<Uuid> {
        self.run
    }

    /// Another instance of the same table.
    pub(super) fn another(&self) -> Self {
        Self {
            name: self.name.clone(),
            members: self.members.clone(),
            options: self.options.clone(),
            settings: self.settings.clone(),
            definition: self.definition.clone(),
            run: self.run,
        }
    }

    pub(super) fn options(&self) -> &SinkOptions {
        &self.options
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The members, by their names.
    pub(crate) fn members(&self) -> &[(String, Arc<dyn TableProvider>)] {
        &self.members
    }

    /// Its job, and the decision log that was chosen for it.
    pub(super) fn decision(&self) -> (Option<JobId>, Option<Arc<dyn DecisionLog>>) {
        (self.settings.job.clone(), self.settings.log.clone())
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &LandfallTable> {
        self.members.iter().filter_map(|(_, provider)| provider.downcast_ref())
    }

    /// The tables that its jobs record, and their decision log.
    pub(super) async fn decided(&self) -> Result<(String, Arc<dyn DecisionLog>)> {
        let (mut names, mut databases) = (Vec::new(), Vec::new());
        for table in self.tables() {
            let (name, _) = table.decided()?;
            let (database, capability) = table.resource().await?;
            names.push(format!("{name} in {}", database.location()));
            databases.push((database, capability));
        }
        let log = match &self.settings.log {
            Some(log) => Arc::clone(log),
            None => {
                let database = decides(databases.iter().map(|(database, capability)| (database, *capability)));
                let database = database.ok_or_else(|| Error::internal("a FANOUT table has no members"))?;
                database.decision_log().ok_or_else(|| without_ledger(database.as_ref()))?
            }
        };
        Ok((names.join(", "), log))
    }

    /// The error of a statement that changes rows, if it was not divided into statements of the members.
    pub(super) fn is_changed_as_one(&self, verb: &str) -> Error {
        let members: Vec<_> = self.members.iter().map(|(name, _)| name.as_str()).collect();
        let text = format!(
            "{verb} {}: run the statement with datafusion_landfall::sql, which changes all members of the FANOUT table \
             ({}) in one transaction",
            self.name,
            members.join(", ")
        );
        Error::new(ErrorKind::Unsupported, text)
    }

    /// Whether its transactions are a job.
    pub(super) fn has_job(&self) -> bool {
        self.settings.job.is_some()
    }

    /// The write of an INSERT, with up to `writers` writers for each member.
    pub(super) async fn write(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        op: InsertOp,
        statement: StatementId,
        writers: u16,
    ) -> Result<Write> {
        let mut targets = Vec::new();
        let mut names = Vec::new();
        for ((name, _), table) in self.members.iter().zip(self.tables()) {
            let target = table.target(input, op, writers).await;
            let target = target.map_err(|error| error.with_context(format!("member {name}")))?;
            names.push(format!("{} in {}", target.spec.table, target.resource.location()));
            targets.push(target);
        }
        self.settings.clone().plan_commit(names.join(", "), statement, targets)
    }
}

impl FanoutTable {
    /// The plan of an INSERT.
    pub(super) fn inserted<'a>(
        &'a self,
        session: &'a dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
        statement: StatementId,
    ) -> Planning<'a> {
        Box::pin(async move {
            let first = self.tables().next().ok_or_else(|| Error::internal("a FANOUT table has no members"))?;
            let input = first.written(input)?;
            let plan = match self.run {
                Some(run) => self.inserted_distributed(session, input, op, statement, run).await,
                None => {
                    let write = self.write(&input, op, statement, 1).await;
                    write.and_then(|write| LandfallSink::plan(input, write))
                }
            };
            plan.map_err(|error| error.with_context(format!("INSERT INTO {}", self.name)).into())
        })
    }

    /// The plan of a TRUNCATE.
    fn emptied(&self) -> Planning<'_> {
        Box::pin(async move {
            let plan = async {
                let (mut targets, mut names) = (Vec::new(), Vec::new());
                for table in self.tables() {
                    let target = table.change_target(truncation(), Arc::new(Schema::empty())).await?;
                    names.push(format!("{} in {}", target.spec.table, target.resource.location()));
                    targets.push(target);
                }
                let nothing = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
                let statement = StatementId::of_operation("TRUNCATE");
                LandfallSink::plan_change(
                    nothing,
                    self.settings.clone().plan_commit(names.join(", "), statement, targets)?,
                )
            };
            plan.await.map_err(|error| error.with_context(format!("TRUNCATE TABLE {}", self.name)).into())
        })
    }
}

impl TableProvider for FanoutTable {
    fn schema(&self) -> SchemaRef {
        self.members[0].1.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.definition.as_deref()
    }

    /// An omitted column is filled in by each member's database.
    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.members.iter().find_map(|(_, provider)| provider.get_column_default(column))
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            _: &'life1 dyn Session,
            _: Option<&'life2 Vec<usize>>,
            _: &'life3 [Expr],
            _: Option<usize>,
        ) -> Planning {
            let members: Vec<_> = self.members.iter().map(|(name, _)| name.as_str()).collect();
            let text = format!("FANOUT table {} cannot be read: read {} instead", self.name, members.join(" or "));
            planned(Err(Error::new(ErrorKind::Unsupported, text).into()))
        }
    }

    boxed! {
        fn insert_into<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            input: Arc<dyn ExecutionPlan>,
            op: InsertOp,
        ) -> Planning {
            self.inserted(session, input, op, StatementId::of_operation(inserting(op)))
        }
    }

    boxed! {
        fn delete_from<'life0, 'life1>(&'life0 self, _: &'life1 dyn Session, _: Vec<Expr>) -> Planning {
            planned(Err(self.is_changed_as_one("DELETE FROM").into()))
        }
    }

    boxed! {
        fn update<'life0, 'life1>(
            &'life0 self,
            _: &'life1 dyn Session,
            _: Vec<(String, Expr)>,
            _: Vec<Expr>,
        ) -> Planning {
            planned(Err(self.is_changed_as_one("UPDATE").into()))
        }
    }

    boxed! {
        fn merge_into<'life0, 'life1>(
            &'life0 self,
            _: &'life1 dyn Session,
            _: Arc<dyn ExecutionPlan>,
            _: DFSchemaRef,
            _: Expr,
            _: Vec<MergeIntoClause>,
        ) -> Planning {
            planned(Err(self.is_changed_as_one("MERGE INTO").into()))
        }
    }

    boxed! {
        /// Empties all members, or none.
        fn truncate<'life0, 'life1>(&'life0 self, _: &'life1 dyn Session) -> Planning {
            self.emptied()
        }
    }
}

/// `CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b'`.
#[derive(Debug)]
pub(super) struct FanoutFactory;

impl TableProviderFactory for FanoutFactory {
    boxed! {
        fn create<'life0, 'life1, 'life2>(
            &'life0 self,
            session: &'life1 dyn Session,
            command: &'life2 CreateExternalTable,
        ) -> Creating {
            self.created(session, command)
        }
    }
}

impl FanoutFactory {
    fn created<'a>(&'a self, session: &'a dyn Session, command: &'a CreateExternalTable) -> Creating<'a> {
        Box::pin(async move {
            let mut members = Vec::new();
            for name in command.locations.iter().flat_map(|location| location.split(',')).map(str::trim) {
                let found = match session.as_any().downcast_ref::<SessionState>() {
                    Some(state) => {
                        let reference = TableReference::parse_str(name);
                        let table = reference.table().to_owned();
                        state.schema_for_ref(reference)?.table(&table).await?
                    }
                    None => None,
                };
                let missing = || Error::config(format!("table {name} does not exist: create it first"));
                members.push((name.to_owned(), found.ok_or_else(missing).map_err(|error| doing(error, command))?));
            }
            let table = table(command, members).map_err(|error| doing(error, command))?;
            Ok(Arc::new(table) as _)
        })
    }
}

fn doing(error: Error, command: &CreateExternalTable) -> Error {
    error.with_context(format!("creating external table {}", command.name))
}

fn table(command: &CreateExternalTable, members: Vec<(String, Arc<dyn TableProvider>)>) -> Result<FanoutTable> {
    if !command.schema.fields().is_empty() || command.unbounded || !command.table_partition_cols.is_empty() {
        return Err(Error::config("a FANOUT table has the columns of its members: specify only LOCATION and OPTIONS"));
    }
    let own = OPTIONS.iter().filter(|option| option.scope == Scope::Transaction).map(|option| option.key);
    let known: Vec<_> = own.collect();
    let plain: HashMap<_, _> = command
        .options
        .iter()
        .map(|(key, value)| (key.strip_prefix("format.").unwrap_or(key), value.as_str()))
        .collect();
    if let Some(other) = plain.keys().find(|key| !known.contains(*key)) {
        return Err(Error::config(format!(
            "'{other}' is not an option of a FANOUT table, whose options are {}: set this option on the members",
            known.join(", ")
        )));
    }
    if plain.contains_key("ledger_table") && !plain.contains_key("log") {
        return Err(Error::config(
            "the option 'ledger_table' of a FANOUT table requires the option 'log': to name the ledger of a member, \
             set 'ledger_table' on the member",
        ));
    }
    let options = SinkOptions::try_from_pairs(plain)?;
    let mut table = FanoutTable::try_new(command.name.to_string(), members, &options)?;
    table.definition = command.definition.as_deref().map(without_passwords);
    Ok(table)
}

/// The locations of the databases of a table, if it is one of Landfall.
pub(crate) fn locations_of(provider: &dyn TableProvider) -> Vec<String> {
    match (provider.downcast_ref::<LandfallTable>(), provider.downcast_ref::<FanoutTable>()) {
        (Some(table), _) => vec![table.database.location()],
        (None, Some(fanout)) => fanout.tables().map(|table| table.database.location()).collect(),
        (None, None) => Vec::new(),
    }
}
