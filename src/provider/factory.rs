//! `CREATE EXTERNAL TABLE … STORED AS …`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::catalog::{Session, TableProviderFactory};
use datafusion::common::{Constraint, Result as DfResult, ScalarValue};
use datafusion::logical_expr::{CreateExternalTable, Expr};

use super::table::LandfallTable;
use crate::backend::{BackendFactory, NewTable};
use crate::columnar::LosslessCast;
use crate::error::{Error, Result};
use crate::options::SinkOptions;
use crate::provider::planning::{Creating, boxed};
use crate::registry;
use crate::sql::without_passwords;

/// Creates the tables of one kind of database.
#[derive(Debug)]
pub(super) struct Factory(pub(super) Arc<dyn BackendFactory>);

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
        let options = SinkOptions::try_from_pairs_for(pairs, self.0.options())?;
        let [location] = command.locations.as_slice() else {
            return Err(Error::config("a table is stored in a single database: specify exactly one LOCATION"));
        };
        if !command.table_partition_cols.is_empty() {
            return Err(Error::config("PARTITIONED BY is not supported for a table in a database: remove the clause"));
        }
        if command.unbounded {
            return Err(Error::config("UNBOUNDED is not supported for a table in a database: remove the keyword"));
        }
        let name = options.table.clone().unwrap_or_else(|| command.name.table().to_owned());
        let database = registry::open(self.0.as_ref(), location, &options)?;
        if command.schema.fields().is_empty() {
            return LandfallTable::open(database, &name, options).await;
        }
        LandfallTable::open_or_create(database, declared(&name, command)?, options).await
    }
}

/// Reports databases whose feature is not enabled.
#[derive(Debug)]
pub(super) struct Missing(pub(super) &'static str);

impl TableProviderFactory for Missing {
    boxed! {
        fn create<'life0, 'life1, 'life2>(
            &'life0 self,
            _: &'life1 dyn Session,
            command: &'life2 CreateExternalTable,
        ) -> Creating {
            let error = registry::missing(self.0).unwrap_or_else(|| Error::internal(format!("{} is not missing", self.0)));
            let error = error.with_context(format!("creating external table {}", command.name));
            Box::pin(async move { Err(error.into()) })
        }
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
                    "column \"{column}\": the default value {other} is not a literal; create the table in the \
                     database, and omit the column list of the CREATE EXTERNAL TABLE statement"
                )));
            }
        };
        let value = value.map_err(|error| {
            Error::schema(format!("column \"{column}\": the default value does not fit the type of the column"))
                .with_source(error)
        })?;
        defaults.insert(column.clone(), value);
    }
    Ok(NewTable { name: name.to_owned(), schema, primary_key, unique_keys, defaults })
}

/// A default value as an array of the column's type, converted without loss if it is a number or a time.
fn default_value(value: &ScalarValue, data_type: &DataType) -> DfResult<ArrayRef> {
    let array = value.to_array()?;
    match LosslessCast::try_new(array.data_type(), data_type) {
        Some(conform) => Ok(conform.apply(&array)?),
        None => value.cast_to(data_type)?.to_array(),
    }
}
