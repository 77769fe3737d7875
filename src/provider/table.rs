//! A table of a database as a table of DataFusion.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraint, Constraints, DFSchemaRef, Result as DfResult};
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use log::warn;

use crate::columnar::{Conform, fraction_digits};
use crate::error::{Error, ErrorKind, Result};
use crate::options::SinkOptions;
use crate::provider::agreement::Wishes;
use crate::provider::defaults::{server_default, without_server_defaults};
use crate::provider::dml::{is_taken_over, truncation};
use crate::provider::factory::database;
use crate::provider::fingerprint::inserting;
use crate::provider::planning::{Planning, boxed, planned};
use crate::provider::pushdown::{Pushed, condition, push};
use crate::provider::scan::ScanExec;
use crate::provider::sink::LandfallSink;
use crate::sql::{Comparison, Database, Filled, NewTable, Query, Table};
use crate::xa::{Capability, DecisionLog, StatementId};

/// A table in a database: register it in a session, INSERT INTO it, SELECT from it.
#[derive(Debug)]
pub struct LandfallTable {
    pub(super) database: Arc<dyn Database>,
    pub(super) table: Arc<Table>,
    schema: SchemaRef,
    constraints: Constraints,
    defaults: Arc<dyn Defaults>,
    pub(super) options: SinkOptions,
    definition: Option<String>,
    noted: AtomicBool,
}

impl LandfallTable {
    /// The table `table` in the database at `url`, for instance `sqlite:my.db`.
    ///
    /// # Errors
    /// `Config` for the URL, and for the option `table`, whose place the argument takes; `Access` where the database
    /// cannot be opened, `Schema` where the table is not there.
    pub async fn connect(url: &str, table: &str, options: SinkOptions) -> Result<Self> {
        check_unnamed(table, &options)?;
        Self::open(database(url, &options)?, table, options).await
    }

    /// As [`LandfallTable::connect`], but a table that is not there is created; one that is must have these columns.
    ///
    /// # Errors
    /// As for `connect`, and `Schema` where the table has other columns.
    pub async fn connect_or_create(url: &str, table: NewTable, options: SinkOptions) -> Result<Self> {
        check_unnamed(&table.name, &options)?;
        Self::open_or_create(database(url, &options)?, table, options).await
    }

    pub(super) async fn open(database: Arc<dyn Database>, name: &str, options: SinkOptions) -> Result<Self> {
        let Some(table) = database.table(name).await? else {
            return Err(Error::schema(format!(
                "{} has no table \"{name}\": give the columns, so that it is created, or its name with the option \
                 'table'",
                database.location()
            )));
        };
        let schema = table.schema();
        Self::new(database, table, schema, options)
    }

    pub(super) async fn open_or_create(
        database: Arc<dyn Database>,
        wanted: NewTable,
        options: SinkOptions,
    ) -> Result<Self> {
        let there = match database.table(&wanted.name).await? {
            Some(there) => there,
            None => {
                database.create_table(&wanted).await?;
                database
                    .table(&wanted.name)
                    .await?
                    .ok_or_else(|| Error::schema(format!("table \"{}\" was created and is not there", wanted.name)))?
            }
        };
        // Columns that are read as what the statement says need no conversion later.
        let mut there = there;
        for (column, field) in there.columns.iter_mut().zip(wanted.schema.fields()) {
            if let Some(as_wanted) = database.read_as(column, field.data_type()) {
                *column = as_wanted;
            }
        }
        if !same_columns(&there, &wanted) {
            return Err(Error::schema(format!(
                "table \"{}\" is there with other columns: it has {there}, and the statement says {wanted}; leave \
                 the columns out to take the table's own",
                there.name
            )));
        }
        // The types are the statement's; NULL is for the branch to refuse, as in `Table::schema`.
        let fields = wanted.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self::new(database, there, schema, options)
    }

    pub(super) fn new(
        database: Arc<dyn Database>,
        mut table: Table,
        schema: SchemaRef,
        options: SinkOptions,
    ) -> Result<Self> {
        // A key that does not exist is told now, not at the first write.
        table.conflict_key(&options.conflict_key, options.on_conflict)?;
        for (column, field) in table.columns.iter_mut().zip(schema.fields()) {
            let alike = |t: &DataType| (t.is_integer(), t.is_string(), t.is_temporal());
            if *field.data_type() != column.data_type
                && (field.data_type().is_floating() || alike(field.data_type()) != alike(&column.data_type))
            {
                column.comparison = Comparison::Differs;
            }
        }
        // DataFusion takes a key's rows for distinct, which they are not where NULL is: SQLite has many of them.
        let index = |name: &String| {
            table.column(name).filter(|column| !column.nullable)?;
            schema.index_of(name).ok()
        };
        let key = |names: &Vec<String>| names.iter().map(index).collect::<Option<Vec<_>>>();
        let primary = (!table.primary_key.is_empty()).then(|| key(&table.primary_key)).flatten();
        let constraints = primary
            .map(Constraint::PrimaryKey)
            .into_iter()
            .chain(table.unique_keys.iter().filter_map(key).map(Constraint::Unique))
            .collect();
        let defaults: HashMap<_, _> = table
            .columns
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| (column.name.clone(), server_default(field.data_type())))
            .collect();
        Ok(Self {
            database,
            table: Arc::new(table),
            schema,
            constraints: Constraints::new_unverified(constraints),
            defaults: Arc::new(defaults),
            options,
            definition: None,
            noted: AtomicBool::new(false),
        })
    }

    pub(super) fn with_definition(mut self, definition: Option<String>) -> Self {
        self.definition = definition;
        self
    }

    /// An empty query has lost which columns it was to write: no generated ones, in any case.
    fn without_generated(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        if !input.is::<EmptyExec>() {
            return input;
        }
        let schema = input.schema();
        let written = |field: &&Arc<Field>| {
            self.table.column(field.name()).is_none_or(|column| column.filled != Filled::Generated)
        };
        let fields: Vec<_> = schema.fields().iter().filter(written).cloned().collect();
        Arc::new(EmptyExec::new(Arc::new(Schema::new(fields))))
    }

    /// What its jobs say that they write, and the log that decides them.
    pub(super) fn decided(&self) -> Result<(String, Arc<dyn DecisionLog>)> {
        let log = Wishes::try_new(&self.options)?.log;
        Ok((self.table.name.clone(), log.unwrap_or_else(|| self.database.decision_log())))
    }

    /// Its database, and what that can promise.
    pub(super) async fn resource(&self) -> Result<(Arc<dyn Database>, Capability)> {
        Ok((Arc::clone(&self.database), self.database.capability().await?))
    }

    pub(super) fn options(&self) -> &SinkOptions {
        &self.options
    }

    /// The columns of a plan that are written: not those that are left to the server.
    pub(super) fn written(&self, input: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self.without_generated(without_server_defaults(input)?))
    }

    /// The table, as it was described.
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// How many digits of a second a column keeps, where that is less than its type does.
    pub(super) fn second_digits(&self, column: &str) -> Option<u32> {
        let column = self.table.column(column)?;
        let of_type = match column.data_type {
            DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => {
                u32::try_from(fraction_digits(unit)).ok()
            }
            _ => None,
        };
        self.database.second_digits(column).into_iter().chain(of_type).min()
    }

    /// Where its database is.
    pub(super) fn location(&self) -> String {
        self.database.location()
    }

    /// The same table once more.
    fn another(&self) -> Self {
        Self {
            database: Arc::clone(&self.database),
            table: Arc::clone(&self.table),
            schema: Arc::clone(&self.schema),
            constraints: self.constraints.clone(),
            defaults: Arc::clone(&self.defaults),
            options: self.options.clone(),
            definition: self.definition.clone(),
            noted: AtomicBool::new(false),
        }
    }

    /// Refuses a statement whose conditions may be lost on the way.
    fn check_session(&self, verb: &str, session: &dyn Session) -> DfResult<()> {
        if is_taken_over(session) {
            return Ok(());
        }
        let text = format!(
            "{verb} {}: this session does not hand over all conditions of a statement: call \
             datafusion_landfall::register(&context) before it is run",
            self.table.name
        );
        Err(Error::new(ErrorKind::Unsupported, text).into())
    }

    /// Says something about the table, once.
    pub(super) fn note(&self, what: String) {
        if !self.noted.swap(true, Relaxed) {
            warn!("table {} {what}", self.table.name);
        }
    }
}

/// Refuses a second name for a table.
fn check_unnamed(name: &str, options: &SinkOptions) -> Result<()> {
    match &options.table {
        None => Ok(()),
        Some(other) => Err(Error::config(format!(
            "the table is \"{name}\", and the option 'table' says \"{other}\": leave the option out, which is for SQL"
        ))),
    }
}

/// Whether a plan reads from a database; a view there can show any table.
pub(super) fn reads(plan: &Arc<dyn ExecutionPlan>, location: &str) -> bool {
    plan.downcast_ref::<ScanExec>().is_some_and(|scan| scan.location() == location)
        || plan.children().into_iter().any(|child| reads(child, location))
}

/// Whether a table that is there has the columns, types that can stand for each other, and the key that are wanted.
fn same_columns(there: &Table, wanted: &NewTable) -> bool {
    let same_key = |a: &[String], b: &[String]| a.len() == b.len() && a.iter().all(|name| b.contains(name));
    there.columns.len() == wanted.schema.fields().len()
        && (wanted.primary_key.is_empty() || same_key(&there.primary_key, &wanted.primary_key))
        && there.columns.iter().zip(wanted.schema.fields()).all(|(column, field): (_, &Arc<Field>)| {
            column.name == *field.name()
                && Conform::try_new(&column.data_type, field.data_type()).is_some()
                && Conform::try_new(field.data_type(), &column.data_type).is_some()
        })
}

/// Values that columns have by default. A trait, as an `Expr` reaches every type of a plan: see [`Planning`].
trait Defaults: std::fmt::Debug + Send + Sync {
    fn of(&self, column: &str) -> Option<&Expr>;
}

impl Defaults for HashMap<String, Expr> {
    fn of(&self, column: &str) -> Option<&Expr> {
        self.get(column)
    }
}

impl LandfallTable {
    /// The plan of a query.
    fn scanned(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let projection: Vec<usize> = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let (condition, parameters, limit) = condition(filters, &self.table, limit, self.database.dialect())?;
        let query = Query {
            schema: Arc::new(self.schema.project(&projection)?),
            table: Arc::clone(&self.table),
            projection,
            condition,
            parameters,
            order: Vec::new(),
            limit,
            batch_size: state.config().batch_size(),
        };
        Ok(Arc::new(ScanExec::new(Arc::clone(&self.database), query)))
    }

    /// The plan of an INSERT.
    pub(super) fn inserted(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
        statement: StatementId,
    ) -> Planning<'_> {
        if !is_taken_over(session) {
            self.note(
                "is written from a session with DataFusion's casts, which cut 1.7 to 1 without a word: call \
                 datafusion_landfall::register(&context) before"
                    .into(),
            );
        }
        Box::pin(async move {
            let doing = |error: Error| error.with_context(format!("INSERT INTO {}", self.table.name));
            let input = self.written(input)?;
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let writers = self.database.writers_that_pay(u16::try_from(cores).unwrap_or(u16::MAX));
            let target = self.target(&input, op, writers).await.map_err(doing)?;
            let wishes = Wishes::try_new(&self.options).map_err(doing)?;
            let write = wishes.agree(self.table.name.clone(), statement, vec![target]).map_err(doing)?;
            LandfallSink::plan(input, write).map_err(|error| doing(error).into())
        })
    }

    /// The plan of a TRUNCATE.
    fn emptied(&self) -> Planning<'_> {
        Box::pin(async move {
            let doing = |error: Error| error.with_context(format!("TRUNCATE TABLE {}", self.table.name));
            let nothing = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
            self.change(truncation(), StatementId::of_operation("TRUNCATE"), nothing)
                .await
                .map_err(|error| doing(error).into())
        })
    }
}

impl TableProvider for LandfallTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.definition.as_deref()
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.defaults.of(column)
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            state: &'life1 dyn Session,
            projection: Option<&'life2 Vec<usize>>,
            filters: &'life3 [Expr],
            limit: Option<usize>,
        ) -> Planning {
            planned(self.scanned(state, projection, filters, limit))
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let dialect = self.database.dialect();
        let support = filters.iter().map(|filter| match push(filter, &self.table, dialect) {
            Some(Pushed::Exact(_)) => TableProviderFilterPushDown::Exact,
            Some(Pushed::Superset(_)) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        });
        Ok(support.collect())
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
        /// From code: a statement of SQL is taken over before it comes here.
        fn delete_from<'life0, 'life1>(&'life0 self, session: &'life1 dyn Session, filters: Vec<Expr>) -> Planning {
            match self.check_session("DELETE FROM", session) {
                Ok(()) => self.another().changed_where(session, None, filters),
                Err(error) => planned(Err(error)),
            }
        }
    }

    boxed! {
        fn update<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            assignments: Vec<(String, Expr)>,
            filters: Vec<Expr>,
        ) -> Planning {
            match self.check_session("UPDATE", session) {
                Ok(()) => self.another().changed_where(session, Some(assignments), filters),
                Err(error) => planned(Err(error)),
            }
        }
    }

    boxed! {
        fn truncate<'life0, 'life1>(&'life0 self, _: &'life1 dyn Session) -> Planning {
            self.emptied()
        }
    }

    boxed! {
        fn merge_into<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            _: Arc<dyn ExecutionPlan>,
            _: DFSchemaRef,
            _: Expr,
            _: Vec<MergeIntoClause>,
        ) -> Planning {
            let text = format!("MERGE INTO {}: plan it as a statement, by SessionContext::sql", self.table.name);
            let unsupported = || Err(Error::new(ErrorKind::Unsupported, text).into());
            planned(self.check_session("MERGE INTO", session).and_then(|()| unsupported()))
        }
    }
}
