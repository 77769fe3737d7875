//! `CREATE EXTERNAL TABLE … STORED AS …`, and which database a location means.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::catalog::{Session, TableProviderFactory};
use datafusion::common::{Constraint, Result as DfResult, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{CreateExternalTable, Expr};
use datafusion::prelude::SessionContext;

use crate::columnar::Conform;
use crate::error::{Error, Result};
use crate::options::SinkOptions;
use crate::provider::comparisons::Comparisons;
use crate::provider::dml::TakeOver;
use crate::provider::fanout::FanoutFactory;
use crate::provider::functions::{WRITTEN, local_time, written};
use crate::provider::planning::{Creating, boxed};
use crate::provider::values::ValuesPlanner;
use crate::provider::{LandfallTable, checkpoints};
use crate::sql::{Database, NewTable, without_passwords};
use crate::xa::TransactionManager;

/// Teaches a session `CREATE EXTERNAL TABLE … STORED AS SQLITE LOCATION '…' OPTIONS (…)`, DELETE, UPDATE and MERGE INTO
/// such a table, and the table function `landfall_checkpoints('t')`: how far the jobs that write a table have come.
///
/// The columns can be left out; they are then taken from the table in the database. Given, the table is created
/// where it is not there, and must have these columns where it is.
pub fn register(context: &SessionContext) {
    let state = context.state_ref();
    let mut state = state.write();
    state.config_mut().set_extension(Arc::new(TransactionManager::default()));
    state.table_factories_mut().insert("FANOUT".into(), Arc::new(FanoutFactory));
    if !state.analyzer().rules.iter().any(|rule| rule.name() == TakeOver::NAME) {
        state.add_analyzer_rule(Arc::new(TakeOver));
    }
    if !state.analyzer().function_rewrites().iter().any(|rewrite| rewrite.name() == Comparisons::NAME) {
        let _ = state.register_function_rewrite(Arc::new(Comparisons));
    }
    if !state.scalar_functions().contains_key(WRITTEN) {
        let _ = state.register_udf(Arc::new(written()));
        let _ = state.register_udf(Arc::new(local_time()));
        let _ = state.register_relation_planner(Arc::new(ValuesPlanner));
    }
    state.register_udtf(checkpoints::NAME, Arc::new(checkpoints::Checkpoints));
    for backend in Backend::ALL {
        // SQL and URLs have the same names for a database.
        for name in backend.schemes() {
            let factories = state.table_factories_mut();
            let factory = Arc::new(Factory(backend));
            match backend.opener() {
                Some(_) => drop(factories.insert(name.to_uppercase(), factory)),
                // It only says what is missing, which must not take the place of another crate's.
                None => drop(factories.entry(name.to_uppercase()).or_insert(factory)),
            }
        }
    }
}

/// The databases that Landfall knows; each is a feature of the crate.
#[derive(Debug, Clone, Copy)]
enum Backend {
    Sqlite,
    Postgres,
    MySql,
}

type Open = fn(&str, &SinkOptions) -> Result<Arc<dyn Database>>;

impl Backend {
    const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MySql];

    /// What its URLs begin with, and STORED AS says; the first is also the name of the feature.
    fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["sqlite"],
            Self::Postgres => &["postgres", "postgresql"],
            Self::MySql => &["mysql", "mariadb"],
        }
    }

    /// An example of a URL.
    fn example(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite:my.db",
            Self::Postgres => "postgres://me@host/my_database",
            Self::MySql => "mysql://me@host/my_database",
        }
    }

    /// How it is opened, where this build has it.
    fn opener(self) -> Option<Open> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => Some(|location, options| Ok(Arc::new(crate::sqlite::Sqlite::try_new(location, options)?))),
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                Some(|location, options| Ok(Arc::new(crate::postgres::Postgres::try_new(location, options)?)))
            }
            #[cfg(feature = "mysql")]
            Self::MySql => Some(|location, options| Ok(Arc::new(crate::mysql::MySql::try_new(location, options)?))),
            #[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
            _ => None,
        }
    }

    fn open(self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Database>> {
        let opener = self.opener().ok_or_else(|| self.is_missing())?;
        opener(location, options)
    }

    /// The error of a build without it.
    fn is_missing(self) -> Error {
        let name = self.schemes()[0];
        Error::config(format!(
            "this build of datafusion-landfall has no {}: add the feature \"{name}\" to it in Cargo.toml",
            name.to_uppercase()
        ))
    }
}

/// The database that a URL means.
///
/// # Errors
/// `Config` for a scheme that Landfall does not know, or whose feature this build lacks.
pub fn database(url: &str, options: &SinkOptions) -> Result<Arc<dyn Database>> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match Backend::ALL.iter().find(|backend| backend.schemes().contains(&scheme)) {
        Some(backend) => backend.open(url, options),
        None => {
            let known: Vec<_> = Backend::ALL.iter().map(|backend| backend.example()).collect();
            Err(Error::config(format!("a URL must be one such as {}", known.join(" or "))))
        }
    }
}

#[derive(Debug)]
struct Factory(Backend);

impl TableProviderFactory for Factory {
    boxed! {
        fn create<'life0, 'life1, 'life2>(
            &'life0 self,
            _: &'life1 dyn Session,
            command: &'life2 CreateExternalTable,
        ) -> Creating {
            self.created(command)
        }
    }
}

impl Factory {
    fn created<'a>(&'a self, command: &'a CreateExternalTable) -> Creating<'a> {
        Box::pin(async move {
            let doing = |error: Error| error.with_context(format!("creating external table {}", command.name));
            let table = self.table(command).await.map_err(doing)?;
            Ok(Arc::new(table.with_definition(command.definition.as_deref().map(without_passwords))) as _)
        })
    }

    async fn table(&self, command: &CreateExternalTable) -> Result<LandfallTable> {
        let pairs = command.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let options = SinkOptions::try_from_pairs(pairs)?;
        let [location] = command.locations.as_slice() else {
            return Err(Error::config("one table lives in one database: give one LOCATION"));
        };
        if !command.table_partition_cols.is_empty() {
            return Err(Error::config("PARTITIONED BY has no meaning for a table in a database: leave it out"));
        }
        if command.unbounded {
            return Err(Error::config("a table in a database is not UNBOUNDED: leave the word out"));
        }
        let name = options.table.clone().unwrap_or_else(|| command.name.table().to_owned());
        let database = self.0.open(location, &options)?;
        if command.schema.fields().is_empty() {
            return LandfallTable::open(database, &name, options).await;
        }
        LandfallTable::open_or_create(database, declared(&name, command)?, options).await
    }
}

/// The table that the statement's columns describe.
fn declared(name: &str, command: &CreateExternalTable) -> Result<NewTable> {
    let schema = Arc::new(command.schema.as_arrow().clone());
    let names = |key: &[usize]| key.iter().map(|index| schema.field(*index).name().clone()).collect::<Vec<_>>();
    let mut primary_key = Vec::new();
    let mut unique_keys = Vec::new();
    for constraint in command.constraints.iter() {
        match constraint {
            Constraint::PrimaryKey(key) => primary_key = names(key),
            Constraint::Unique(key) => unique_keys.push(names(key)),
        }
    }
    let mut defaults = HashMap::new();
    for (column, default) in &command.column_defaults {
        let field = schema.field_with_name(column).map_err(|error| Error::schema(error.to_string()))?;
        let value = match default {
            Expr::Literal(value, _) => default_value(value, field.data_type()),
            other => {
                return Err(Error::schema(format!(
                    "column \"{column}\": the default {other} is not a literal; create the table in the database \
                     itself, and leave the columns out here"
                )));
            }
        };
        let value = value.map_err(|error| {
            Error::schema(format!("column \"{column}\": the default does not fit its type")).with_source(error)
        })?;
        defaults.insert(column.clone(), value);
    }
    Ok(NewTable { name: name.to_owned(), schema, primary_key, unique_keys, defaults })
}

/// A default as an array of the column's type, unchanged where it is a number or a time already.
fn default_value(value: &ScalarValue, data_type: &DataType) -> DfResult<ArrayRef> {
    let array = value.to_array()?;
    match Conform::try_new(array.data_type(), data_type) {
        Some(conform) => Ok(conform.apply(&array)?),
        None => value.cast_to(data_type)?.to_array(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_not_built_names_its_feature() {
        let manifest = include_str!("../../Cargo.toml");
        for backend in Backend::ALL {
            let name = backend.schemes()[0];
            assert!(manifest.contains(&format!("\n{name} = [")), "Cargo.toml has no feature {name}");
            let error = match backend.opener() {
                Some(_) => backend.is_missing(),
                None => database(backend.example(), &SinkOptions::new()).map(drop).expect_err("it is not built"),
            };
            assert!(error.to_string().contains(&format!("add the feature \"{name}\"")), "{error}");
        }
    }
}
