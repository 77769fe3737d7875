//! What `information_schema` says of a table, and how one is created.

use arrow::array::{Array, ArrayRef};
use mysql_async::prelude::Queryable;
use mysql_async::{Params, Row, Value};

use super::MySql;
use super::connector::{Server, Session};
use super::encode::Encoder;
use super::fields::Style;
use super::types::{Kind, ServerType, declare, kind, rounds};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Nanoseconds;
use crate::sql::{Characters, Column, Comparison, Detail, Filled, Holds, Listed, NewTable, Table, TableName, quote};

/// What a write has to know of a table beside its columns.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) name: TableName,
    pub(super) server: Server,
    /// Why it cannot be written.
    pub(super) read_only: Option<String>,
    /// Why its rows cannot be dealt out to several transactions, beside its keys.
    pub(super) one_writer: Option<&'static str>,
    /// What sees an update that changes nothing.
    pub(super) watched: Option<&'static str>,
    /// A unique key is not plain columns.
    pub(super) has_other_keys: bool,
}

/// Characters of an identifier.
const MAX_IDENTIFIER: usize = 64;

/// Schema or nothing, and table; three times, as MariaDB opens every table that there is where it is to compare with
/// anything but constants.
const RELATION: &str = "
    SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, t.ENGINE, e.TRANSACTIONS,
        EXISTS (SELECT 1 FROM information_schema.TRIGGERS g
            WHERE g.EVENT_OBJECT_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND g.EVENT_OBJECT_TABLE = ?),
        EXISTS (SELECT 1 FROM information_schema.KEY_COLUMN_USAGE k
            WHERE k.TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND k.TABLE_NAME = ?
                AND k.REFERENCED_TABLE_SCHEMA = k.TABLE_SCHEMA AND k.REFERENCED_TABLE_NAME = k.TABLE_NAME),
        e.XA
    FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
    WHERE t.TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND t.TABLE_NAME = ?
        AND (BINARY t.TABLE_NAME = BINARY ? OR @@lower_case_table_names <> 0)";

const COLUMNS: &str = "
    SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, CHARACTER_SET_NAME, COLLATION_NAME
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";

const KEYS: &str = "
    SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX";

/// Every database with its tables; NULL in one that has none.
const TABLES: &str = "
    SELECT s.SCHEMA_NAME, t.TABLE_NAME
    FROM information_schema.SCHEMATA s LEFT JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = s.SCHEMA_NAME
    WHERE s.SCHEMA_NAME NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')
    ORDER BY s.SCHEMA_NAME, t.TABLE_NAME";

/// MariaDB's `json` is a text with such a constraint.
const JSON_CHECKS: &str = "
    SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ?";

/// The type that a column was described with.
///
/// # Errors
/// `Internal` for a column of another database.
pub(super) fn server_type(column: &Column) -> Result<&ServerType> {
    column.detail.get().ok_or_else(|| Error::internal(format!("column \"{}\" was not described by MySQL", column.name)))
}

/// A column of numbers that is not of a table.
pub(super) fn number_column() -> Column {
    let server = ServerType { kind: kind("bigint"), is_converted: false };
    Column {
        name: "number".into(),
        sql_type: "bigint".into(),
        data_type: server.arrow_type(),
        nullable: true,
        filled: Filled::Null,
        comparison: Comparison::Exact,
        holds: Holds::OfItsType,
        characters: Characters::All,
        detail: Detail::new(server),
    }
}

/// What a table was described with.
pub(super) fn relation(table: &Table) -> Result<&Relation> {
    table.detail.get().ok_or_else(|| Error::internal(format!("table {} was not described by MySQL", table.name)))
}

/// A column of a row as text; NULL is empty.
///
/// # Errors
/// `Internal` where the row has no such column, or it is no text.
pub(super) fn text(row: &Row, index: usize) -> Result<String> {
    match row.as_ref(index) {
        Some(Value::NULL) => Ok(String::new()),
        Some(Value::Bytes(bytes)) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Some(Value::Int(value)) => Ok(value.to_string()),
        Some(Value::UInt(value)) => Ok(value.to_string()),
        other => Err(Error::internal(format!("the server sent {other:?} where a text was expected"))),
    }
}

impl MySql {
    /// The rows that a query brings.
    pub(super) async fn rows(&self, connection: &mut Session, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>> {
        let parameters = if parameters.is_empty() { Params::Empty } else { Params::Positional(parameters) };
        connection.conn.exec(sql, parameters).await.map_err(|error| self.error(error))
    }

    /// Reads the description of a table; `None` where it is not there.
    pub(super) async fn describe(&self, name: &str) -> Result<Option<Table>> {
        let name = TableName::try_parse(name)?;
        let mut connection = self.connect().await?;
        let described = self.describe_on(&mut connection, &name).await?;
        self.ask_capability(&mut connection).await?;
        connection.give_back();
        Ok(described)
    }

    pub(super) async fn describe_on(&self, connection: &mut Session, name: &TableName) -> Result<Option<Table>> {
        let schema = name.schema.as_deref().unwrap_or_default();
        let mut wanted: Vec<Value> = [schema, &name.table].repeat(3).into_iter().map(Value::from).collect();
        wanted.push(name.table.as_str().into());
        let Some(found) = self.rows(connection, RELATION, wanted).await?.into_iter().next() else { return Ok(None) };
        let schema = text(&found, 0)?;
        let name = TableName { schema: Some(schema.clone()), table: text(&found, 1)? };
        let (table_type, engine) = (text(&found, 2)?, text(&found, 3)?);
        let read_only = match (table_type.as_str(), text(&found, 4)?.as_str()) {
            ("VIEW" | "SYSTEM VIEW", _) => Some(
                "is a view, and nobody says whether the tables behind it are transactional: write to the table itself"
                    .to_owned(),
            ),
            ("BASE TABLE" | "SYSTEM VERSIONED", "YES") => None,
            ("BASE TABLE" | "SYSTEM VERSIONED", _) => Some(format!(
                "is of the engine {engine}, which is not transactional, so that a failed write could not be undone: \
                 ALTER TABLE {} ENGINE = InnoDB",
                name.table
            )),
            (other, _) => Some(format!("is a {other}, which cannot be written")),
        };

        let place = || vec![Value::from(schema.as_str()), Value::from(name.table.as_str())];
        let mut json = String::new();
        if !connection.server.flavor.has_json() {
            for row in self.rows(connection, JSON_CHECKS, place()).await? {
                json += &text(&row, 0)?;
            }
        }
        let columns = self.rows(connection, COLUMNS, place()).await?;
        let columns = columns.iter().map(|row| read_column(row, &json)).collect::<Result<Vec<_>>>()?;

        let mut keys: Vec<(String, Option<Vec<String>>)> = Vec::new();
        for row in self.rows(connection, KEYS, place()).await? {
            let (index, column, part) = (text(&row, 0)?, text(&row, 1)?, text(&row, 2)?);
            if keys.last().is_none_or(|(last, _)| *last != index) {
                keys.push((index, Some(Vec::new())));
            }
            let Some((_, key)) = keys.last_mut() else { continue };
            match key {
                Some(columns) if part.is_empty() && !column.is_empty() => columns.push(column),
                // A part of a column, or an expression.
                key => *key = None,
            }
        }
        let has_other_keys = keys.iter().any(|(_, key)| key.is_none());
        let (mut primary_key, mut unique_keys) = (Vec::new(), Vec::new());
        for (index, key) in keys {
            match (index.as_str(), key) {
                ("PRIMARY", Some(key)) => primary_key = key,
                (_, Some(key)) => unique_keys.push(key),
                (_, None) => {}
            }
        }
        let one_writer = [
            (text(&found, 5)? == "1", "it has triggers"),
            (text(&found, 6)? == "1", "its rows refer to each other"),
            (has_other_keys, "it has a unique key that is not plain"),
            (text(&found, 7)? == "NO", "its engine cannot prepare"),
        ];
        let one_writer = one_writer.into_iter().find_map(|(holds, reason)| holds.then_some(reason));
        let watched = (text(&found, 5)? == "1").then_some("it has triggers");
        let server = connection.server;
        let relation = Relation { name: name.clone(), server, read_only, one_writer, watched, has_other_keys };
        let own = self.options().database == schema;
        let shown = if own { TableName { schema: None, ..name } } else { name };
        Ok(Some(Table { name: shown.to_string(), columns, primary_key, unique_keys, detail: Detail::new(relation) }))
    }

    /// The databases that the user can see, and what is in them.
    pub(super) async fn list(&self) -> Result<Vec<Listed>> {
        let mut connection = self.connect().await?;
        let rows = self.rows(&mut connection, TABLES, Vec::new()).await?;
        connection.give_back();
        let listed = rows.iter().map(|row| {
            let (schema, table) = (text(row, 0)?, text(row, 1)?);
            let name = TableName { schema: Some(schema.clone()), table: table.clone() }.to_string();
            Ok(Listed { schema, table: Some(table).filter(|table| !table.is_empty()), name })
        });
        listed.collect()
    }

    pub(super) async fn create(&self, table: &NewTable) -> Result<()> {
        let mut connection = self.connect().await?;
        let statement = create_statement(table, connection.server)?;
        let created = self.execute(&mut connection, &statement).await;
        created.map_err(|error| error.with_context(format!("creating table {}", table.name)))?;
        connection.give_back();
        Ok(())
    }
}

fn read_column(row: &Row, json_checks: &str) -> Result<Column> {
    let (name, sql_type, extra) = (text(row, 0)?, text(row, 1)?, text(row, 4)?.to_ascii_uppercase());
    let (character_set, collation) = (text(row, 5)?, text(row, 6)?);
    let default = match row.as_ref(3) {
        // MariaDB writes it so where there is none.
        Some(Value::Bytes(default)) => default != b"NULL",
        _ => false,
    };
    let mut kind = kind(&sql_type);
    // The server quotes as the session does.
    if matches!(kind, Kind::Text(_)) && json_checks.contains(&format!("json_valid({})", quote(&name))) {
        kind = Kind::Json;
    }
    let nullable = text(row, 2)? == "YES";
    let is_generated = extra.contains("GENERATED") && !extra.contains("DEFAULT_GENERATED");
    let filled = match is_generated {
        true => Filled::Generated,
        false if extra.contains("AUTO_INCREMENT") => Filled::Numbered,
        // What is not written has to be left to the server, if it is NULL too.
        false if default || kind == Kind::Other || rounds(&kind, &sql_type) => Filled::ByDefault,
        false => Filled::Null,
    };
    let is_converted = match kind {
        // A text in its own right, which must be of UTF-8.
        Kind::Json => character_set.is_empty(),
        // Bytes would be taken for the value itself.
        Kind::Uuid | Kind::Inet => true,
        _ => !["", "utf8mb4", "utf8mb3", "utf8"].contains(&character_set.as_str()),
    };
    let by_bytes = collation.ends_with("_nopad_bin") || collation == "utf8mb4_0900_bin";
    let server = ServerType { kind, is_converted };
    Ok(Column {
        name,
        sql_type,
        data_type: server.arrow_type(),
        nullable,
        filled,
        comparison: server.comparison(by_bytes && !is_converted),
        holds: Holds::OfItsType,
        // A character of four bytes is an error where the column's character set has three.
        characters: Characters::Basic,
        detail: Detail::new(server),
    })
}

fn create_statement(table: &NewTable, server: Server) -> Result<String> {
    let name = TableName::try_parse(&table.name)?;
    let columns = table.schema.fields().iter().map(|field| field.name());
    for name in name.schema.iter().chain([&name.table]).chain(columns) {
        if name.chars().count() > MAX_IDENTIFIER {
            return Err(Error::schema(format!(
                "the name \"{name}\" is longer than the {MAX_IDENTIFIER} characters that MySQL takes: shorten it"
            )));
        }
    }
    let mut parts = Vec::new();
    for field in table.schema.fields() {
        let of_column = |error: Error| error.with_context(format!("column \"{}\"", field.name()));
        let in_primary_key = table.primary_key.contains(field.name());
        let is_key = in_primary_key || table.unique_keys.iter().any(|key| key.contains(field.name()));
        let declared = declare(field.data_type(), is_key, server.flavor).map_err(of_column)?;
        // Said in any case: a timestamp would be NOT NULL otherwise on some servers.
        let null = if !field.is_nullable() || in_primary_key { "NOT NULL" } else { "NULL" };
        let mut part = format!("{} {declared} {null}", quote(field.name()));
        if let Some(default) = table.defaults.get(field.name()) {
            part += &format!(" DEFAULT {}", literal(field.name(), default, &declared).map_err(of_column)?);
        }
        parts.push(part);
    }
    let list = |names: &[String]| names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
    if !table.primary_key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(&table.primary_key)));
    }
    parts.extend(table.unique_keys.iter().map(|key| format!("UNIQUE ({})", list(key))));
    Ok(format!("CREATE TABLE {} (\n    {}\n) ENGINE = InnoDB", name.quoted(), parts.join(",\n    ")))
}

/// The only value of an array as a literal of a declared type.
fn literal(name: &str, value: &ArrayRef, declared: &str) -> Result<String> {
    if value.is_null(0) {
        return Ok("NULL".into());
    }
    let server = ServerType { kind: kind(declared), is_converted: false };
    let takes_no_literal =
        matches!(server.kind, Kind::Json | Kind::Text(crate::columnar::Limit::Bytes(_))) || declared.ends_with("blob");
    let column = Column {
        name: name.to_owned(),
        sql_type: declared.to_owned(),
        data_type: server.arrow_type(),
        nullable: true,
        filled: Filled::Null,
        comparison: Comparison::Differs,
        holds: Holds::OfItsType,
        characters: Characters::All,
        detail: Detail::new(server),
    };
    let encoder = Encoder::try_new(value.data_type(), &column, Nanoseconds::Error, Style::Literal)?;
    let mut literal = Vec::new();
    encoder.encode(value)?.put(0, &mut literal);
    let literal = String::from_utf8(literal).map_err(|error| Error::internal(error.to_string()))?;
    Ok(if takes_no_literal { format!("({literal})") } else { literal })
}

impl Relation {
    /// Refuses a table that cannot be written.
    ///
    /// # Errors
    /// `Unsupported`, with what to do.
    pub(super) fn check_writable(&self) -> Result<()> {
        match &self.read_only {
            Some(why) => Err(Error::new(ErrorKind::Unsupported, format!("table {} {why}", self.name.table))),
            None => Ok(()),
        }
    }
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
