//! A database as a catalog of DataFusion.

#![expect(clippy::disallowed_types, reason = "held only while a table is looked up when a statement is planned")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use dashmap::DashMap;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableProvider,
};
use datafusion::common::Result as DfResult;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;

use crate::backend::{Backend, Listed, schema_of};
use crate::error::{Error, Result};
use crate::options::SinkOptions;
use crate::provider::listed::{ListedTable, TableOpener};
use crate::provider::register::register;
use crate::registry::database;

/// Registers every table of the database at `url` as `name.schema.table`. The schemas are the schemas of a PostgreSQL
/// database, the databases of a MySQL server, or `main` in SQLite. Also calls [`register`](crate::register).
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("people.db");
/// # rusqlite::Connection::open(&file)?.execute_batch("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")?;
/// # let url = format!("sqlite:{}", file.display());
/// use datafusion::prelude::SessionContext;
///
/// let context = SessionContext::new();
/// datafusion_landfall::register_catalog(&context, "lite", &url).await?;
/// context.sql("INSERT INTO lite.main.people VALUES (1, 'Ada')").await?.collect().await?;
/// context.sql("UPDATE lite.main.people SET name = 'Grace' WHERE id = 1").await?.collect().await?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
///
/// # Errors
/// Like [`LandfallCatalog::connect`].
pub async fn register_catalog(context: &SessionContext, name: &str, url: &str) -> Result<()> {
    let catalog = LandfallCatalog::connect(url, SinkOptions::new()).await?;
    attach(context, name, catalog);
    Ok(())
}

/// The databases of a session by the names of their catalogs; `None` for one that was detached. A session may hand out its
/// catalogs in others of its own, and cannot remove one.
#[derive(Debug, Default)]
struct Attached(DashMap<String, Option<LandfallCatalog>>);

impl Attached {
    fn of(context: &SessionContext) -> Arc<Self> {
        let state = context.state_ref();
        if let Some(attached) = state.read().config().get_extension::<Self>() {
            return attached;
        }
        let attached = Arc::<Self>::default();
        state.write().config_mut().set_extension(Arc::clone(&attached));
        attached
    }
}

/// Registers a database as a catalog of a session.
pub(crate) fn attach(context: &SessionContext, name: &str, catalog: LandfallCatalog) {
    register(context);
    context.register_catalog(name, Arc::new(catalog.clone()));
    Attached::of(context).0.insert(name.to_owned(), Some(catalog));
}

/// Leaves an empty catalog of this name.
pub(crate) fn detach(context: &SessionContext, name: &str) {
    context.register_catalog(name, Arc::new(MemoryCatalogProvider::new()));
    Attached::of(context).0.insert(name.to_owned(), None);
}

/// The database that is attached by a name.
pub(crate) fn attached_as(context: &SessionContext, name: &str) -> Option<LandfallCatalog> {
    match Attached::of(context).0.get(name) {
        Some(attached) => attached.value().clone(),
        None => context.catalog(name)?.downcast_ref::<LandfallCatalog>().cloned(),
    }
}

/// Whether a catalog of this name is none that was detached.
pub(crate) fn has_catalog(context: &SessionContext, name: &str) -> bool {
    let is_detached = matches!(Attached::of(context).0.get(name).as_deref(), Some(None));
    !is_detached && context.catalog(name).is_some()
}

/// The names of all attached databases.
pub(crate) fn attached(context: &SessionContext) -> Vec<String> {
    context.catalog_names().into_iter().filter(|name| attached_as(context, name).is_some()).collect()
}

/// The session in which `information_schema` finds the columns of all attached databases, each read at once.
pub(crate) async fn with_columns(context: &SessionContext) -> Result<SessionContext> {
    let catalogs = MemoryCatalogProviderList::new();
    for name in context.catalog_names() {
        let provider = match attached_as(context, &name) {
            Some(catalog) => Some(Arc::new(catalog.with_columns().await?) as Arc<dyn CatalogProvider>),
            None => context.catalog(&name),
        };
        if let Some(provider) = provider {
            catalogs.register_catalog(name, provider);
        }
    }
    let state = SessionStateBuilder::new_from_existing(context.state()).with_catalog_list(Arc::new(catalogs)).build();
    Ok(SessionContext::new_with_state(state))
}

/// The tables of a database. Their names are read once. A table is described when a statement names it, including
/// tables created later. All tables share one connection pool.
#[derive(Debug, Clone)]
pub struct LandfallCatalog {
    database: Arc<dyn Backend>,
    options: SinkOptions,
    default_schema: Option<String>,
    schemas: Arc<RwLock<Schemas>>,
}

type Schemas = BTreeMap<String, Arc<Schema>>;

impl LandfallCatalog {
    /// Connects to the database at `url`. The options apply to all of its tables.
    ///
    /// # Errors
    /// `Config` for an invalid URL, and for options that apply to one table only. `Access` or `Unavailable` if the
    /// database cannot be read.
    pub async fn connect(url: &str, options: SinkOptions) -> Result<Self> {
        let own = [
            ("table", options.table.is_some()),
            ("job", options.job.is_some()),
            ("conflict_key", !options.conflict_key.is_empty()),
        ];
        if let Some((option, _)) = own.into_iter().find(|(_, is_set)| *is_set) {
            return Err(Error::config(format!(
                "the option '{option}' applies to a single table, but a catalog has many tables: register the table \
                 separately, with CREATE EXTERNAL TABLE or LandfallTable::connect"
            )));
        }
        let database = database(url, &options)?;
        let schemas = Arc::new(RwLock::new(schemas(&database, &options).await?));
        let default_schema = database.default_schema().await?;
        Ok(Self { database, options, default_schema, schemas })
    }

    /// Lists the schemas and tables again.
    ///
    /// # Errors
    /// As for [`LandfallCatalog::connect`].
    pub async fn refresh(&self) -> Result<()> {
        let schemas = schemas(&self.database, &self.options).await?;
        *self.schemas.write().unwrap_or_else(PoisonError::into_inner) = schemas;
        Ok(())
    }

    /// The same tables, listed with their columns, if the database can read the columns of all tables at once.
    async fn with_columns(&self) -> Result<Self> {
        let doing = |error: Error| error.with_context(format!("listing the columns of {}", self.database.location()));
        let columns = self.database.columns().await.map_err(doing)?;
        let mut schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner).clone();
        for table in columns.into_iter().flatten() {
            // A schema that has been created since is shown by the next statement.
            if let Some(schema) = schemas.get_mut(&table.schema) {
                Arc::make_mut(schema).columns.insert(table.table, schema_of(&table.columns));
            }
        }
        Ok(Self { schemas: Arc::new(RwLock::new(schemas)), ..self.clone() })
    }

    /// The answer to ATTACH: the schemas of the database, and how to name its tables.
    pub(crate) fn description(&self, name: &str) -> String {
        let schemas = self.schema_names();
        let noun = if schemas.len() == 1 { "schema" } else { "schemas" };
        let default = if self.default_schema.is_some() { format!("{name}.table, or ") } else { String::new() };
        format!(
            "{name} has the {noun} {}; to read a table, use SELECT … FROM {default}{name}.schema.table",
            schemas.join(", ")
        )
    }

    /// The schema of names without one.
    pub fn default_schema(&self) -> Option<String> {
        self.default_schema.clone()
    }

    pub(crate) fn database(&self) -> &Arc<dyn Backend> {
        &self.database
    }

    pub(crate) fn options(&self) -> &SinkOptions {
        &self.options
    }
}

/// The schemas of a database, with the names of their tables.
async fn schemas(database: &Arc<dyn Backend>, options: &SinkOptions) -> Result<Schemas> {
    let listed = database.tables().await;
    let listed =
        listed.map_err(|error| error.with_context(format!("listing the tables of {}", database.location())))?;
    let mut schemas: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for Listed { schema, table, name } in listed {
        let tables = schemas.entry(schema).or_default();
        if let Some(table) = table {
            tables.insert(table, name);
        }
    }
    let schema = |(name, tables): (String, _)| {
        let opener = TableOpener { database: Arc::clone(database), options: options.clone() };
        (name.clone(), Arc::new(Schema { name, tables, columns: HashMap::new(), opener }))
    };
    Ok(schemas.into_iter().map(schema).collect())
}

impl CatalogProvider for LandfallCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.schemas.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        schemas.get(name).map(|schema| Arc::clone(schema) as _)
    }
}

/// A schema of a database, with the names of its tables.
#[derive(Debug, Clone)]
struct Schema {
    name: String,
    tables: BTreeMap<String, String>,
    /// Of the tables whose columns have been read already.
    columns: HashMap<String, SchemaRef>,
    opener: TableOpener,
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        let known = self.tables.get(name).cloned();
        let spelled = known.unwrap_or_else(|| self.opener.database.spelled(&self.name, name));
        if let Some(columns) = self.columns.get(name) {
            let (opener, columns) = (self.opener.clone(), Arc::clone(columns));
            return Ok(Some(Arc::new(ListedTable { opener, name: spelled, columns })));
        }
        Ok(self.opener.open(&spelled).await?.map(|table| Arc::new(table) as _))
    }

    async fn table_type(&self, name: &str) -> DfResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }
}
