//! Loads the rows of a query into a table, which can be a new one: `landfall load` and `landfall.write` of Python.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! use datafusion::prelude::SessionContext;
//! use datafusion_landfall::load::{Load, Mode};
//!
//! let context = SessionContext::new();
//! context.sql("CREATE VIEW people AS SELECT 1 AS id, 'Ada' AS name").await?;
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite:{}", folder.path().join("people.db").display());
//! let load = Load::new(url, "people").with_mode(Mode::Create).with_key(["id"]);
//! let plan = load.connect().await?.plan(&context, "SELECT * FROM people").await?;
//! let insert = plan.target().await?.insert(&context).await?;
//! context.execute_logical_plan(insert).await?.collect().await?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```

mod mode;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;

use crate::backend::{Backend, ColumnDefault, NewTable, Table};
use crate::columnar::{ValueFormats, infer_type};
use crate::error::{Error, Result};
use crate::options::{Nanoseconds, SinkOptions};
use crate::provider::{LandfallTable, Registered, plan_statement};
use crate::registry::{database, options_of};

pub use self::mode::Mode;

/// The name of the table in the statement that a load runs.
const TARGET: &str = "landfall_target";

/// Number of rows from which the types of a new table's columns are inferred.
pub const SAMPLE_ROWS: usize = 20_000;

/// A load into one table. Nothing is read or written before [`Load::connect`].
#[derive(Debug, Clone)]
pub struct Load {
    url: String,
    table: String,
    mode: Mode,
    key: Vec<String>,
    types: Vec<(String, DataType)>,
    options: Vec<(String, String)>,
    sample: usize,
    formats: ValueFormats,
}

impl Load {
    /// A load that appends rows to a table in the database at `url`, for example `sqlite:my.db`.
    pub fn new(url: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            table: table.into(),
            mode: Mode::Append,
            key: Vec::new(),
            types: Vec::new(),
            options: Vec::new(),
            sample: SAMPLE_ROWS,
            formats: ValueFormats::default(),
        }
    }

    /// Sets the mode.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the columns of the key: the conflict key of `update`, `ignore` and `replace_rows`, the primary key of a new table.
    pub fn with_key(mut self, key: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.key = key.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the type of a column of a new table. Other types are those of the query, or inferred from text.
    pub fn with_type(mut self, column: impl Into<String>, data_type: DataType) -> Self {
        self.types.push((column.into(), data_type));
        self
    }

    /// Sets an option of the table, for example `job` or `writers`. See [the options](crate::guide::options).
    pub fn with_option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    /// Sets the number of rows from which [`Connected::plan_texts`] infers the types of a new table.
    pub fn with_sample(mut self, rows: usize) -> Self {
        self.sample = rows;
        self
    }

    /// Sets the formats of dates, timestamps and numbers in the texts from which the types of a new table are inferred. The
    /// source converts the texts, with [`FromText`](crate::columnar::FromText).
    pub fn with_value_formats(mut self, formats: ValueFormats) -> Self {
        self.formats = formats;
        self
    }

    /// Connects to the database, and describes the table.
    ///
    /// # Errors
    /// `Config` for an invalid URL, option or key. `Schema` if the mode needs a table that is missing, or a new one and the
    /// table exists. Errors of the database.
    pub async fn connect(self) -> Result<Connected> {
        let options = self.sink_options()?;
        let database = database(&self.url, &options)?;
        self.connect_to(database, options).await
    }

    /// Like [`Load::connect`], to a database that is open, with its options.
    pub(crate) async fn connect_to(self, database: Arc<dyn Backend>, options: SinkOptions) -> Result<Connected> {
        let existing = database.table(&self.table).await?;
        let (mode, name) = (self.mode, &self.table);
        match &existing {
            Some(_) if mode == Mode::Create => {
                return Err(Error::schema(format!(
                    "table {name} already exists: use mode append or overwrite, or create_or_append, which creates the \
                     table only if it does not exist"
                )));
            }
            None if !mode.creates() => {
                return Err(Error::schema(format!(
                    "table {name} does not exist in {}: use mode create to create it",
                    database.location()
                )));
            }
            Some(_) if !self.types.is_empty() => {
                return Err(Error::config(format!(
                    "column types apply only to a new table, but table {name} already exists: remove the column types, \
                     or drop the table first"
                )));
            }
            _ => {}
        }
        Ok(Connected { load: self, options, database, existing })
    }

    fn sink_options(&self) -> Result<SinkOptions> {
        let mut pairs: Vec<_> = self.options.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        match self.mode {
            Mode::Update => pairs.push(("on_conflict", "update".into())),
            Mode::Ignore => pairs.push(("on_conflict", "ignore".into())),
            _ => {}
        }
        if !self.key.is_empty() {
            if self.mode.has_conflicts() {
                pairs.push(("conflict_key", self.key.join(", ")));
            } else if !self.mode.creates() {
                return Err(Error::config(format!(
                    "mode {} uses no key: remove the key, or use mode update, ignore, replace_rows, create or \
                     create_or_append",
                    self.mode
                )));
            }
        }
        SinkOptions::try_from_pairs_for(pairs.iter().map(|(key, value)| (*key, value.as_str())), options_of(&self.url))
    }
}

/// A load whose table is known.
#[derive(Debug)]
pub struct Connected {
    load: Load,
    options: SinkOptions,
    database: Arc<dyn Backend>,
    existing: Option<Table>,
}

impl Connected {
    /// The table, unless it will be created.
    pub fn existing(&self) -> Option<&Table> {
        self.existing.as_ref()
    }

    /// How times with nanoseconds are stored, as the table's options say.
    pub fn nanoseconds(&self) -> Nanoseconds {
        self.options.nanoseconds
    }

    /// Plans the load of a query's rows. Columns are matched by name, ignoring case if no name is the same. A new table has
    /// the types of the query.
    ///
    /// # Errors
    /// `Schema`, naming a column that the table does not have or computes. The errors of the query.
    pub async fn plan(self, context: &SessionContext, query: &str) -> DfResult<LoadPlan> {
        self.planned(context, query, false).await
    }

    /// Plans like [`Connected::plan`]. A text column of a new table gets the type that stores all of its first values
    /// unchanged: for files of text.
    ///
    /// # Errors
    /// As for `plan`.
    pub async fn plan_texts(self, context: &SessionContext, query: &str) -> DfResult<LoadPlan> {
        self.planned(context, query, true).await
    }

    async fn planned(self, context: &SessionContext, query: &str, infers: bool) -> DfResult<LoadPlan> {
        let rows = frame(context, query).await?;
        let schema = Arc::clone(rows.schema().inner());
        if schema.fields().is_empty() {
            return Err(Error::schema("the query returns no columns: select at least one column").into());
        }
        let (columns, target) = match self.existing.clone() {
            Some(table) => {
                let open = LandfallTable::described(Arc::clone(&self.database), table, self.options.clone())?;
                let open = open.evolved(&schema).await?.unwrap_or(open);
                (matched(&schema, open.table())?, Target::Existing(Box::new(open)))
            }
            None => {
                let new = self.new_table(rows, infers).await?;
                (schema.fields().iter().map(|field| field.name().clone()).collect(), Target::New(new))
            }
        };
        let Self { load, options, database, .. } = self;
        Ok(LoadPlan { mode: load.mode, options, database, target, columns, query: query.to_owned() })
    }

    /// The table that stores all values of the query.
    async fn new_table(&self, rows: DataFrame, infers: bool) -> DfResult<NewTable> {
        let schema = Arc::clone(rows.schema().inner());
        let mut types = HashMap::new();
        for (column, data_type) in &self.load.types {
            types.insert(column_of(&schema, column)?, data_type);
        }
        let key = self.load.key.iter().map(|name| column_of(&schema, name)).collect::<Result<Vec<_>>>()?;
        let first = match infers {
            true => {
                let batches = rows.limit(0, Some(self.load.sample))?.collect().await?;
                Some(arrow::compute::concat_batches(&schema, &batches)?)
            }
            false => None,
        };
        let mut fields = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let data_type = match (types.get(field.name()), &first) {
                (Some(given), _) => (*given).clone(),
                (None, Some(first)) if field.data_type().is_string() => {
                    infer_type(first.column(index), &self.load.formats)?
                }
                (None, _) => field.data_type().clone(),
            };
            fields.push(Field::new(field.name(), data_type, !key.contains(field.name())));
        }
        Ok(NewTable {
            name: self.load.table.clone(),
            schema: Arc::new(Schema::new(fields)),
            primary_key: key,
            unique_keys: Vec::new(),
            defaults: HashMap::new(),
        })
    }
}

/// The table of a load.
#[derive(Debug)]
enum Target {
    Existing(Box<LandfallTable>),
    New(NewTable),
}

/// A planned load.
#[derive(Debug)]
pub struct LoadPlan {
    mode: Mode,
    options: SinkOptions,
    database: Arc<dyn Backend>,
    target: Target,
    columns: Vec<String>,
    query: String,
}

impl LoadPlan {
    /// The table that will be created.
    pub fn new_table(&self) -> Option<&NewTable> {
        match &self.target {
            Target::New(new) => Some(new),
            Target::Existing(_) => None,
        }
    }

    /// The columns of the table, in the order of the query's columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The table to load into. A new one is created now, unless the transaction that loads the rows can create it.
    ///
    /// # Errors
    /// Errors of the database.
    pub async fn target(self) -> Result<LoadTarget> {
        let Self { mode, options, database, target, columns, query } = self;
        let table = match target {
            Target::New(new) => LandfallTable::create(database, new, options).await?,
            Target::Existing(table) => *table,
        };
        Ok(LoadTarget { table: Arc::new(table), mode, columns, query })
    }
}

/// A table that is about to be loaded.
#[derive(Debug)]
pub struct LoadTarget {
    table: Arc<LandfallTable>,
    mode: Mode,
    columns: Vec<String>,
    query: String,
}

impl LoadTarget {
    /// The columns of the table.
    pub fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    /// The statement that loads the rows.
    ///
    /// # Errors
    /// The errors of planning an INSERT.
    pub async fn insert(self, context: &SessionContext) -> DfResult<LogicalPlan> {
        self.statement(context, "").await
    }

    /// The statement that explains [`LoadTarget::insert`].
    ///
    /// # Errors
    /// The errors of planning an INSERT.
    pub async fn explain(self, context: &SessionContext) -> DfResult<LogicalPlan> {
        self.statement(context, "EXPLAIN ").await
    }

    async fn statement(self, context: &SessionContext, explain: &str) -> DfResult<LogicalPlan> {
        let columns: Vec<_> = self.columns.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        let target = Registered::new(context, TARGET, self.table)?;
        let sql = format!("{explain}{} {} ({}) {}", self.mode.verb(), target.name(), columns.join(", "), self.query);
        plan_statement(context, statement(&sql)?).await
    }
}

fn statement(sql: &str) -> DfResult<Statement> {
    let mut statements = DFParser::parse_sql(sql)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Error::config("a load runs exactly one query").into()),
    }
}

async fn frame(context: &SessionContext, query: &str) -> DfResult<DataFrame> {
    let statement = statement(query)?;
    if !matches!(&statement, Statement::Statement(sql) if matches!(**sql, Sql::Query(_))) {
        return Err(Error::config("a load requires a query, for example SELECT … FROM file").into());
    }
    let plan = plan_statement(context, statement).await?;
    context.execute_logical_plan(plan).await
}

/// The columns of the table for those of the query: of the same name, or of the same name in another case.
pub(crate) fn matched(schema: &SchemaRef, table: &Table) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for field in schema.fields() {
        let wanted = field.name();
        let named = |is_it: &dyn Fn(&str) -> bool| {
            table.columns.iter().filter(|column| is_it(&column.name)).collect::<Vec<_>>()
        };
        let mut columns = named(&|name| name == wanted);
        if columns.is_empty() {
            columns = named(&|name| name.to_lowercase() == wanted.to_lowercase());
        }
        let problem = match columns.as_slice() {
            [column] if column.default == ColumnDefault::Generated => {
                format!(
                    "column \"{wanted}\" of table {} is generated by the database: omit the column from the query",
                    table.name
                )
            }
            [column] if found.contains(&column.name) => {
                format!("two source columns are named \"{wanted}\": rename or omit one of them in the query")
            }
            [column] => {
                found.push(column.name.clone());
                continue;
            }
            [] => {
                let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
                format!(
                    "table {} has no column \"{wanted}\": its columns are {}; rename or omit the source column in the \
                     query",
                    table.name,
                    names.join(", ")
                )
            }
            _ => format!(
                "table {} has several columns that differ from \"{wanted}\" only in case: rename the source column in \
                 the query to match one of them exactly",
                table.name
            ),
        };
        return Err(Error::schema(problem));
    }
    Ok(found)
}

/// The name of a source column, given in any case.
fn column_of(schema: &Schema, name: &str) -> Result<String> {
    let is_alike = |field: &&Arc<Field>| field.name().to_lowercase() == name.to_lowercase();
    let exact = schema.fields().iter().find(|field| field.name() == name);
    let found = exact.or_else(|| schema.fields().iter().find(is_alike));
    let names = || schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
    let unknown =
        || Error::schema(format!("the source has no column \"{name}\": specify one of the columns {}", names()));
    Ok(found.ok_or_else(unknown)?.name().clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_modes_that_find_rows_use_a_key() {
        let error = Load::new("sqlite:x.db", "t").with_key(["id"]).sink_options().unwrap_err().to_string();
        assert!(error.contains("mode append uses no key"), "{error}");
        let options = Load::new("sqlite:x.db", "t").with_mode(Mode::Update).with_key(["id"]).sink_options().unwrap();
        assert_eq!(options.conflict_key, ["id"]);
    }
}
