//! Creates tables.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

use super::database::{BEGIN, Connection, Postgres};
use super::types::declare;
use crate::backend::{NewTable, Table};
use crate::columnar::{LosslessCast, json, recode, to_text, without_nanoseconds};
use crate::error::{Error, Result};
use crate::sql::{NewColumn, TableName, check_identifiers, create_table};

/// Maximum bytes of an identifier: the server silently truncates a longer one.
const MAX_IDENTIFIER: usize = 63;

impl Postgres {
    pub(super) async fn create(&self, table: &NewTable) -> Result<()> {
        let mut connection = self.connect().await?;
        self.create_in(&mut connection, table).await?;
        connection.give_back();
        Ok(())
    }

    /// Drops a table, if it has no rows.
    pub(super) async fn drop_empty(&self, table: &str) -> Result<bool> {
        let name = TableName::try_parse(table)?.quoted();
        let mut connection = self.connect().await?;
        self.execute(&mut connection, format!("{BEGIN}; LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")).await?;
        let (pid, conn) = connection.parts();
        let has_rows = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT EXISTS (SELECT FROM {name})")));
        let has_rows: bool = self.answer(pid, "SELECT", has_rows.fetch_one(conn)).await?;
        let end = if has_rows { "ROLLBACK".into() } else { format!("DROP TABLE {name}; COMMIT") };
        self.execute(&mut connection, end).await?;
        connection.give_back();
        Ok(!has_rows)
    }

    /// Creates a table, describes it, and rolls back.
    pub(super) async fn described_new(&self, table: &NewTable) -> Result<Option<Table>> {
        let name = TableName::try_parse(&table.name)?;
        let mut connection = self.connect().await?;
        self.execute(&mut connection, BEGIN.into()).await?;
        let described = match self.create_in(&mut connection, table).await {
            Ok(()) => self.describe_in(&mut connection, &name).await,
            Err(error) => Err(error),
        };
        self.execute(&mut connection, "ROLLBACK".into()).await?;
        connection.give_back();
        described
    }

    /// Creates a table in the transaction of a connection.
    pub(super) async fn create_in(&self, connection: &mut Connection, table: &NewTable) -> Result<()> {
        let created = self.execute(connection, create_statement(table)?).await;
        created.map_err(|error| error.with_context(format!("creating table {}", table.name))).map(drop)
    }
}

fn create_statement(table: &NewTable) -> Result<String> {
    let name = TableName::try_parse(&table.name)?;
    check_identifiers(table, &name, |name| name.len() <= MAX_IDENTIFIER, "63 bytes that PostgreSQL allows")?;
    create_table(table, &name.quoted(), |column: &NewColumn<'_>| {
        let mut declared = declare(column.field.data_type())?;
        let default = column.default.map(|default| literal(default, &declared)).transpose()?;
        if column.is_not_null {
            declared += " NOT NULL";
        }
        if let Some(default) = default {
            declared += &format!(" DEFAULT {default}");
        }
        Ok(declared)
    })
}

/// A text as an SQL literal with `standard_conforming_strings` on. The text must not contain NUL.
pub(super) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The single value of an array as a literal of a declared type.
fn literal(value: &ArrayRef, declared: &str) -> Result<String> {
    if value.is_null(0) {
        return Ok("NULL".into());
    }
    let micros = without_nanoseconds(value.data_type()).filter(|micros| micros != value.data_type());
    let value = match micros.and_then(|micros| LosslessCast::try_new(value.data_type(), &micros)) {
        Some(conform) => &conform.apply(value)?,
        None => value,
    };
    let text = match value.data_type() {
        t if t.is_nested() && declared == "jsonb" => json::encode(value)?.value(0).to_owned(),
        t if t.is_nested() || matches!(t, DataType::Duration(_)) => {
            return Err(Error::schema(format!(
                "a default value of type {t} is not supported: create the table in PostgreSQL, not with Landfall"
            )));
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let bytes = recode(value, &DataType::Binary)?;
            let bytes = bytes.as_binary::<i32>().value(0);
            format!("\\x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        _ => to_text(value)?.value(0).to_owned(),
    };
    if text.contains('\0') {
        return Err(Error::schema("the default value contains a NUL character, which PostgreSQL cannot store in text"));
    }
    Ok(format!("{}::{declared}", quote_literal(&text)))
}
