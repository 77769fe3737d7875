//! Creates tables.

use arrow::array::{Array, ArrayRef};

use super::codec::Declared;
use super::connector::Server;
use super::database::MySql;
use super::encode::Encoder;
use super::fields::Style;
use super::types::{codec, declare};
use crate::backend::{Column, Comparison, Detail, NewTable};
use crate::error::{Error, Result};
use crate::options::Nanoseconds;
use crate::sql::{NewColumn, TableName, check_identifiers, create_table};

/// Maximum characters of an identifier.
const MAX_IDENTIFIER: usize = 64;

impl MySql {
    pub(super) async fn create(&self, table: &NewTable) -> Result<()> {
        let mut connection = self.connect().await?;
        let statement = create_statement(table, connection.server)?;
        let created = self.execute(&mut connection, &statement).await;
        created.map_err(|error| error.with_context(format!("creating table {}", table.name)))?;
        connection.give_back();
        Ok(())
    }

    /// Drops a table, if it has no rows.
    pub(super) async fn drop_empty(&self, table: &str) -> Result<bool> {
        let name = TableName::try_parse(table)?.quoted();
        let mut connection = self.connect().await?;
        self.execute(&mut connection, &format!("LOCK TABLES {name} WRITE")).await?;
        let has_rows = self.rows(&mut connection, &format!("SELECT 1 FROM {name} LIMIT 1"), Vec::new()).await?;
        if has_rows.is_empty() {
            self.execute(&mut connection, &format!("DROP TABLE {name}")).await?;
        }
        self.execute(&mut connection, "UNLOCK TABLES").await?;
        connection.give_back();
        Ok(has_rows.is_empty())
    }
}

pub(super) fn create_statement(table: &NewTable, server: Server) -> Result<String> {
    let name = TableName::try_parse(&table.name)?;
    check_identifiers(table, &name, |name| name.chars().count() <= MAX_IDENTIFIER, "64 characters that MySQL allows")?;
    let created = create_table(table, &name.quoted(), |column: &NewColumn<'_>| {
        let declared = declare(column.field.data_type(), column.is_key, server.flavor)?;
        // Always explicit: on some servers, a timestamp is NOT NULL by default.
        let null = if column.is_not_null { "NOT NULL" } else { "NULL" };
        let default = match column.default {
            Some(default) => format!(" DEFAULT {}", literal(column.field.name(), default, &declared)?),
            None => String::new(),
        };
        Ok(format!("{declared} {null}{default}"))
    })?;
    Ok(format!("{created} ENGINE = InnoDB"))
}

/// The single value of an array as a literal of a declared type.
fn literal(name: &str, value: &ArrayRef, declared: &str) -> Result<String> {
    if value.is_null(0) {
        return Ok("NULL".into());
    }
    let codec = codec(&Declared::parse(declared));
    let (data_type, is_expression) = (codec.arrow_type(), codec.default_is_expression());
    let column = Column {
        comparison: Comparison::Differs,
        detail: Detail::new(codec),
        ..Column::new(name, declared, data_type)
    };
    let encoder = Encoder::try_new(value.data_type(), &column, Nanoseconds::Error, Style::Literal)?;
    let mut literal = Vec::new();
    encoder.encode(value)?.put(0, &mut literal);
    let literal = String::from_utf8(literal).map_err(|error| Error::internal(error.to_string()))?;
    Ok(if is_expression { format!("({literal})") } else { literal })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::array::{BinaryArray, BooleanArray, Float64Array, StringArray, TimestampMillisecondArray};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use super::super::flavor::Flavor;
    use super::*;

    #[test]
    fn a_new_table_has_keys_and_defaults() {
        let schema = Schema::new(vec![
            Field::new("a \"b\"", DataType::Utf8, false),
            Field::new("t", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
            Field::new("d", DataType::Float64, true),
            Field::new("s", DataType::Utf8, true),
            Field::new("x", DataType::Binary, true),
            Field::new("is", DataType::Boolean, true),
        ]);
        let defaults: [(&str, ArrayRef); 5] = [
            ("t", Arc::new(TimestampMillisecondArray::from(vec![1_500]).with_timezone("UTC"))),
            ("d", Arc::new(Float64Array::from(vec![0.1]))),
            ("s", Arc::new(StringArray::from(vec!["it's"]))),
            ("x", Arc::new(BinaryArray::from_vec(vec![&[0, 255]]))),
            ("is", Arc::new(BooleanArray::from(vec![true]))),
        ];
        let table = NewTable {
            name: "T".into(),
            schema: Arc::new(schema),
            primary_key: vec!["a \"b\"".into()],
            unique_keys: vec![],
            defaults: defaults.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<HashMap<_, _>>(),
        };
        let server = Server { flavor: Flavor::MariaDb((10, 11, 0)), max_allowed_packet: 1, local_infile: true };
        let expected = "CREATE TABLE \"T\" (
    \"a \"\"b\"\"\" varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
    \"t\" timestamp(3) NULL DEFAULT '1970-01-01 00:00:01.500000',
    \"d\" double NULL DEFAULT 0.1e0,
    \"s\" longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL DEFAULT ('it''s'),
    \"x\" longblob NULL DEFAULT (X'00FF'),
    \"is\" tinyint(1) NULL DEFAULT 1,
    PRIMARY KEY (\"a \"\"b\"\"\")
) ENGINE = InnoDB";
        assert_eq!(create_statement(&table, server).unwrap(), expected);
    }
}
