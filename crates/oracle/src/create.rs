//! CREATE TABLE: SQL Language Reference, "CREATE TABLE". It commits.

use datafusion_landfall::backend::NewTable;
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::sql::{TableName, check_identifiers, create_table};

use crate::names::{stored, stored_table};
use crate::types::Kind;

/// The longest identifier, in bytes, from Oracle 12.2 on.
const MAX_BYTES: usize = 128;

/// The statement that creates a table.
pub(crate) fn statement(table: &NewTable) -> Result<String> {
    if let Some(column) = table.defaults.keys().next() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "column \"{column}\" has a default, which Landfall does not create in Oracle: create the table there"
            ),
        ));
    }
    let name = stored_table(&TableName::try_parse(&table.name)?);
    check_identifiers(table, &name, |name| name.len() <= MAX_BYTES, "128 bytes of a name in Oracle")?;
    // `create_table` quotes the names as they are.
    let names = |names: &[String]| names.iter().map(|name| stored(name)).collect::<Vec<_>>();
    let fields = table.schema.fields().iter().map(|field| field.as_ref().clone().with_name(stored(field.name())));
    let as_stored = NewTable {
        name: table.name.clone(),
        schema: std::sync::Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>())),
        primary_key: names(&table.primary_key),
        unique_keys: table.unique_keys.iter().map(|key| names(key)).collect(),
        defaults: std::collections::HashMap::new(),
    };
    create_table(&as_stored, &name.quoted(), |column| {
        let kind = Kind::new(column.field.data_type(), column.is_key).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("Landfall creates no column for Arrow type {}", column.field.data_type()),
            )
        })?;
        Ok(format!("{kind}{}", if column.is_not_null { " NOT NULL" } else { "" }))
    })
}
