//! A table of a database as a table of DataFusion.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Constraint, Constraints};
use datafusion::logical_expr::Expr;
use log::warn;
use uuid::Uuid;

use crate::backend::{Backend, ColumnDefault, Comparison, NewTable, Table};
use crate::backend::{Capability, DecisionLog};
use crate::columnar::{LosslessCast, fraction_digits};
use crate::error::{Error, Result};
use crate::options::{Commit, OnConflict, SinkOptions};
use crate::pipeline::Evolved;
use crate::provider::defaults::server_default;
use crate::provider::settings::TxnSettings;
use crate::registry::{database, without_ledger};

/// A table in a database. Register it in a session, then INSERT INTO it and SELECT from it.
#[derive(Debug)]
pub struct LandfallTable {
    pub(super) database: Arc<dyn Backend>,
    pub(super) table: Arc<Table>,
    pub(super) schema: SchemaRef,
    pub(super) constraints: Constraints,
    pub(super) defaults: Arc<dyn Defaults>,
    pub(super) options: SinkOptions,
    pub(super) definition: Option<String>,
    /// The alteration before rows are written to it.
    pub(super) evolved: Option<Arc<Evolved>>,
    /// What it will be created as by the transaction that writes it.
    pub(super) new: Option<Arc<NewTable>>,
    /// Whether it was created for the statement that writes it, before that.
    pub(super) is_created: bool,
    /// Whether it was created when it was opened, and no statement has found rows in it.
    pub(super) is_new: Arc<AtomicBool>,
    noted: AtomicBool,
    /// The run of the distributed INSERT for which the table was opened.
    pub(super) run: Option<Uuid>,
}

impl LandfallTable {
    /// Connects to the table `table` in the database at `url`, for example `sqlite:my.db`.
    ///
    /// # Errors
    /// `Config` for an invalid URL, and for the option `table`, which the argument replaces. `Access` if the database
    /// cannot be opened. `Schema` if the table does not exist.
    pub async fn connect(url: &str, table: &str, options: SinkOptions) -> Result<Self> {
        check_unnamed(table, &options)?;
        Self::open(database(url, &options)?, table, options).await
    }

    /// Like [`LandfallTable::connect`], but creates a missing table. An existing table must have these columns.
    ///
    /// # Errors
    /// As for `connect`. `Schema` if the table has other columns.
    pub async fn connect_or_create(url: &str, table: NewTable, options: SinkOptions) -> Result<Self> {
        check_unnamed(&table.name, &options)?;
        Self::open_or_create(database(url, &options)?, table, options).await
    }

    /// Opens the table `name` of a database, for example of a backend in another crate: see
    /// [`backend`](crate::backend).
    ///
    /// # Errors
    /// `Schema` if the table does not exist. Errors of the database.
    pub async fn open(database: Arc<dyn Backend>, name: &str, options: SinkOptions) -> Result<Self> {
        let Some(table) = database.table(name).await? else {
            return Err(Error::schema(format!(
                "{} has no table \"{name}\": specify columns to create the table, or set the option 'table' to the \
                 name of an existing table",
                database.location()
            )));
        };
        Self::described(database, table, options)
    }

    /// Opens a table that the database has just described.
    pub(crate) fn described(database: Arc<dyn Backend>, table: Table, options: SinkOptions) -> Result<Self> {
        let schema = table.schema();
        Self::new(database, table, schema, options)
    }

    /// The table is altered before rows are written to it.
    pub(super) fn with_alteration(self, evolved: Option<Arc<Evolved>>) -> Self {
        Self { evolved, ..self }
    }

    /// A missing table, for one statement. The transaction that writes its rows creates it, if the database can do that and
    /// the statement is one transaction of one writer. Otherwise it is created now.
    pub(crate) async fn create(database: Arc<dyn Backend>, new: NewTable, options: SinkOptions) -> Result<Self> {
        let is_one = !options.checkpoints().any() && options.writers.is_none_or(|writers| writers == 1);
        let is_alone = options.job.is_none()
            && options.log.is_none()
            && options.commit != Commit::TwoPhase
            && options.reject_max.is_none();
        match if is_one { database.describe_new(&new, is_alone).await? } else { None } {
            Some(table) => {
                let schema = table.schema();
                Ok(Self { new: Some(Arc::new(new)), ..Self::new(database, table, schema, options)? })
            }
            None => {
                database.create_table(&new).await?;
                Ok(Self { is_created: true, ..Self::open(database, &new.name, options).await? })
            }
        }
    }

    pub(super) async fn open_or_create(
        database: Arc<dyn Backend>,
        wanted: NewTable,
        options: SinkOptions,
    ) -> Result<Self> {
        let (there, is_new) = match database.table(&wanted.name).await? {
            Some(there) => (there, false),
            None => {
                database.create_table(&wanted).await?;
                let created = database.table(&wanted.name).await?;
                let lost = || Error::schema(format!("table \"{}\" was created but not found", wanted.name));
                (created.ok_or_else(lost)?, true)
            }
        };
        // Columns that are read with the statement's types need no conversion later.
        let mut there = there;
        for (column, field) in there.columns.iter_mut().zip(wanted.schema.fields()) {
            let as_wanted = database.scan().and_then(|scan| scan.read_as(column, field.data_type()));
            if let Some(as_wanted) = as_wanted {
                *column = as_wanted;
            }
        }
        if !same_columns(&there, &wanted) {
            return Err(Error::schema(format!(
                "table \"{}\" already exists with different columns: it has {there}, but the statement specifies \
                 {wanted}; omit the column list to use the columns of the table",
                there.name
            )));
        }
        // The types are the statement's. The branch refuses NULL, as in `Table::schema`.
        let fields = wanted.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let table = Self::new(database, there, schema, options)?;
        table.is_new.store(is_new, Relaxed);
        Ok(table)
    }

    pub(super) fn new(
        database: Arc<dyn Backend>,
        mut table: Table,
        schema: SchemaRef,
        options: SinkOptions,
    ) -> Result<Self> {
        // A missing key is reported now, not at the first write.
        table.conflict_key(&options.conflict_key, options.on_conflict)?;
        for (column, field) in table.columns.iter_mut().zip(schema.fields()) {
            let alike = |t: &DataType| (t.is_integer(), t.is_string(), t.is_temporal());
            if *field.data_type() != column.data_type
                && (field.data_type().is_floating() || alike(field.data_type()) != alike(&column.data_type))
            {
                column.comparison = Comparison::Differs;
            }
        }
        // DataFusion assumes that the rows of a key are distinct. Rows with NULL are not: SQLite allows several.
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
            new: None,
            evolved: None,
            is_created: false,
            is_new: Arc::default(),
            noted: AtomicBool::new(false),
            run: None,
        })
    }

    pub(super) fn with_definition(mut self, definition: Option<String>) -> Self {
        self.definition = definition;
        self
    }

    /// Whether the server fills the column in where an INSERT leaves it out: by a default, a sequence or a formula. An upsert
    /// never leaves its key out.
    pub fn is_filled_in(&self, column: &str) -> bool {
        let Self { table, options, .. } = self;
        let key = table.conflict_key(&options.conflict_key, options.on_conflict).unwrap_or_default();
        table.column(column).is_some_and(|column| column.default != ColumnDefault::Null && !key.contains(&column.name))
    }

    /// The table that its jobs record, and their decision log.
    pub(super) fn decided(&self) -> Result<(String, Arc<dyn DecisionLog>)> {
        let log = TxnSettings::try_new(&self.options)?.log;
        let log = log.or_else(|| self.database.decision_log());
        Ok((self.table.name.clone(), log.ok_or_else(|| without_ledger(self.database.as_ref()))?))
    }

    /// Its database and the database's capability.
    pub(super) async fn resource(&self) -> Result<(Arc<dyn Backend>, Capability)> {
        Ok((Arc::clone(&self.database), self.database.capability().await?))
    }

    /// The same table with another action for existing keys.
    pub(crate) fn with_conflict(&self, on_conflict: OnConflict, key: Vec<String>) -> Result<Self> {
        self.table.conflict_key(&key, on_conflict)?;
        let mut table = self.another();
        (table.options.on_conflict, table.options.conflict_key) = (on_conflict, key);
        Ok(table)
    }

    /// What happens to a row whose key exists.
    pub(crate) fn on_conflict(&self) -> OnConflict {
        self.options.on_conflict
    }

    pub(crate) fn options(&self) -> &SinkOptions {
        &self.options
    }

    /// The description of the table.
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The number of fractional seconds digits that a column stores, if it is less than that of its type.
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

    /// The location of its database.
    pub(super) fn location(&self) -> String {
        self.database.location()
    }

    /// Another instance of the same table.
    pub(super) fn another(&self) -> Self {
        Self {
            database: Arc::clone(&self.database),
            table: Arc::clone(&self.table),
            schema: Arc::clone(&self.schema),
            constraints: self.constraints.clone(),
            defaults: Arc::clone(&self.defaults),
            options: self.options.clone(),
            definition: self.definition.clone(),
            new: self.new.clone(),
            evolved: self.evolved.clone(),
            is_created: self.is_created,
            is_new: Arc::clone(&self.is_new),
            noted: AtomicBool::new(false),
            run: self.run,
        }
    }

    /// Logs a warning about the table, once.
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
            "the table is \"{name}\", but the option 'table' is \"{other}\": remove the option, which is only for \
             CREATE EXTERNAL TABLE"
        ))),
    }
}

/// Whether an existing table has the requested columns, compatible types and the requested key.
fn same_columns(there: &Table, wanted: &NewTable) -> bool {
    let same_key = |a: &[String], b: &[String]| a.len() == b.len() && a.iter().all(|name| b.contains(name));
    there.columns.len() == wanted.schema.fields().len()
        && (wanted.primary_key.is_empty() || same_key(&there.primary_key, &wanted.primary_key))
        && there.columns.iter().zip(wanted.schema.fields()).all(|(column, field): (_, &Arc<Field>)| {
            column.name == *field.name()
                && LosslessCast::try_new(&column.data_type, field.data_type()).is_some()
                && LosslessCast::try_new(field.data_type(), &column.data_type).is_some()
        })
}

/// The default values of columns. A trait, because an `Expr` refers to every type of a plan: see [`Planning`].
pub(super) trait Defaults: std::fmt::Debug + Send + Sync {
    fn of(&self, column: &str) -> Option<&Expr>;
}

impl Defaults for HashMap<String, Expr> {
    fn of(&self, column: &str) -> Option<&Expr> {
        self.get(column)
    }
}
