//! Creates tables.

use arrow::datatypes::Schema;
use rusqlite::Connection;

use super::affinity::Affinity;
use super::catalog;
use super::codec::Stored;
use super::connector::Missing;
use super::database::Sqlite;
use super::options::Uint64;
use super::types::{arrow_type, codec, declare};
use crate::backend::{Alteration, NewTable, Table};
use crate::error::{Error, Result};
use crate::sql::{NewColumn, column_declarations, create_table, quote, scratch_table};

impl Sqlite {
    /// Creates a table, and the file if it does not exist.
    pub(super) fn create(&self, table: &NewTable) -> Result<()> {
        self.create_in(&self.open(Missing::Create)?, table)
    }

    /// Drops a table, if it has no rows.
    pub(super) fn drop_empty(&self, table: &str) -> Result<bool> {
        let (connection, table) = (self.open(Missing::Refuse)?, quote(table));
        let dropped = || -> rusqlite::Result<bool> {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let exists = format!("SELECT EXISTS (SELECT 1 FROM {table})");
            let has_rows: bool = connection.query_row(&exists, [], |row| row.get(0))?;
            if !has_rows {
                connection.execute_batch(&format!("DROP TABLE {table}; COMMIT"))?;
            }
            Ok(!has_rows)
        };
        dropped().map_err(|error| self.error(error))
    }

    /// Creates a table, describes it, and rolls back.
    pub(super) fn described_new(&self, table: &NewTable) -> Result<Option<Table>> {
        let connection = self.open(Missing::Create)?;
        // Dropping the connection rolls back.
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| self.error(error))?;
        self.create_in(&connection, table)?;
        catalog::describe(&connection, &table.name).map_err(|error| self.error(error))
    }

    /// Creates a table in the transaction of a connection.
    pub(super) fn create_in(&self, connection: &Connection, table: &NewTable) -> Result<()> {
        let created = connection.execute_batch(&create_statement(table, self.uint64)?);
        created.map_err(|error| self.error(error).with_context(format!("creating table {}", table.name)))
    }
}

impl Sqlite {
    /// Plans statements that add columns. A column of SQLite stores values of every type, so that none is widened.
    pub(super) fn plan_alteration(&self, table: &Table, added: &Schema) -> Result<Alteration> {
        let declared = column_declarations(added, |field| declare(field.data_type(), self.uint64))?;
        let add = declared.iter().map(|column| format!("ALTER TABLE {} ADD COLUMN {column}", quote(&table.name)));
        let described = self.described_new(&scratch_table(None, &[added]))?;
        let described = described.ok_or_else(|| Error::internal("new columns could not be described"))?;
        Ok(Alteration { statements: add.collect(), columns: described.columns })
    }
}

fn create_statement(table: &NewTable, uint64: Uint64) -> Result<String> {
    let created = create_table(table, &quote(&table.name), |column: &NewColumn<'_>| {
        let sql_type = declare(column.field.data_type(), uint64)?;
        let mut declared = sql_type.clone();
        if column.is_not_null {
            declared += " NOT NULL";
        }
        if let Some(default) = column.default {
            let codec = codec(default.data_type(), Affinity::of(&sql_type)).ok_or_else(|| {
                Error::schema(format!(
                    "a default value of Arrow type {} is not supported: create the table in SQLite, not with Landfall",
                    default.data_type()
                ))
            })?;
            declared += &format!(" DEFAULT {}", literal(&codec.store(default)?));
        }
        Ok(declared)
    })?;
    // A single INTEGER key is the rowid itself; any other key would be a second B-tree in addition to the rows.
    let is_rowid =
        |key: &String| table.schema.field_with_name(key).is_ok_and(|field| field.data_type() == &arrow_type("INTEGER"));
    let suffix = match table.primary_key.as_slice() {
        [] => "",
        [only] if is_rowid(only) => "",
        _ => " WITHOUT ROWID",
    };
    Ok(format!("{created}{suffix}"))
}

/// The first value of a column as a SQL literal.
fn literal(stored: &Stored) -> String {
    use rusqlite::types::ValueRef;
    match stored.value(0) {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) if value.is_infinite() => if value > 0.0 { "9e999" } else { "-9e999" }.into(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(value) => format!("'{}'", String::from_utf8_lossy(value).replace('\'', "''")),
        ValueRef::Blob(value) => {
            format!("X'{}'", value.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
        }
    }
}
