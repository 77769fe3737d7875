//! CREATE TABLE.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};

use crate::backend::NewTable;
use crate::error::{Error, Result};
use crate::sql::{TableName, quote};

/// A column of a new table.
#[derive(Debug, Clone, Copy)]
pub struct NewColumn<'a> {
    /// Its name and its type.
    pub field: &'a Field,
    /// Whether it is NOT NULL.
    pub is_not_null: bool,
    /// Whether it belongs to a key.
    pub is_key: bool,
    /// Its default, an array of one row and of its type.
    pub default: Option<&'a ArrayRef>,
}

/// `CREATE TABLE name (…)`. `declare` returns the part of a column's declaration after its name.
///
/// # Errors
/// Errors of `declare`, with the column.
pub fn create_table(
    table: &NewTable,
    name: &str,
    declare: impl Fn(&NewColumn<'_>) -> Result<String>,
) -> Result<String> {
    let mut parts = Vec::new();
    for field in table.schema.fields() {
        let in_primary_key = table.primary_key.contains(field.name());
        let column = NewColumn {
            field,
            is_not_null: !field.is_nullable() || in_primary_key,
            is_key: in_primary_key || table.unique_keys.iter().any(|key| key.contains(field.name())),
            default: table.defaults.get(field.name()),
        };
        let declared = declare(&column).map_err(|error| error.with_context(format!("column \"{}\"", field.name())))?;
        parts.push(format!("{} {declared}", quote(field.name())));
    }
    let list = |names: &[String]| names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
    if !table.primary_key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(&table.primary_key)));
    }
    parts.extend(table.unique_keys.iter().map(|key| format!("UNIQUE ({})", list(key))));
    Ok(format!("CREATE TABLE {name} (\n    {}\n)", parts.join(",\n    ")))
}

/// Whether a type of numbers has all numbers of another one, and more.
pub fn has_more_numbers(wanted: &DataType, own: &DataType) -> bool {
    use DataType::{Decimal128, Float32, Float64, Int8, Int16, Int32, Int64};
    match (own, wanted) {
        (Int8, Int16 | Int32 | Int64) | (Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) => true,
        (Decimal128(precision, scale), Decimal128(wider, other)) => {
            let digits = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
            digits(*wider, *other) >= digits(*precision, *scale) && other >= scale && own != wanted
        }
        _ => false,
    }
}

/// `"name" declaration` of each column of an ALTER TABLE.
///
/// # Errors
/// Errors of `declare`, with the column.
pub fn column_declarations(columns: &Schema, declare: impl Fn(&Field) -> Result<String>) -> Result<Vec<String>> {
    let declared = columns.fields().iter().map(|field| {
        let declared = declare(field).map_err(|error| error.with_context(format!("column \"{}\"", field.name())))?;
        Ok(format!("{} {declared}", quote(field.name())))
    });
    declared.collect()
}

/// The description of a table that has these columns, and a name that no other table has.
pub fn scratch_table(schema: Option<&str>, columns: &[&Schema]) -> NewTable {
    let table = format!("landfall_new_{}", uuid::Uuid::new_v4().simple());
    let fields = columns.iter().flat_map(|columns| columns.fields().iter().cloned()).collect::<Vec<_>>();
    NewTable {
        name: TableName { schema: schema.map(str::to_owned), table }.to_string(),
        schema: Arc::new(Schema::new(fields)),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        defaults: HashMap::new(),
    }
}

/// Refuses names that the database would truncate. `limit` describes the maximum length.
///
/// # Errors
/// `Schema`, naming the first such name.
pub fn check_identifiers(table: &NewTable, name: &TableName, fits: impl Fn(&str) -> bool, limit: &str) -> Result<()> {
    let columns = table.schema.fields().iter().map(|field| field.name());
    match name.schema.iter().chain([&name.table]).chain(columns).find(|name| !fits(name)) {
        Some(long) => Err(Error::schema(format!("the name \"{long}\" is longer than the {limit}: shorten the name"))),
        None => Ok(()),
    }
}
