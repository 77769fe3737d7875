//! Reads tables from `information_schema`.

use std::collections::HashMap;

use mysql_async::{Row, Value};

use super::codec::Declared;
use super::connector::MySqlConnection;
use super::database::MySql;
use super::described::Relation;
use super::row::text;
use super::types::codec;
use crate::backend::{Characters, Column, ColumnDefault, Detail, Holds, Listed, OtherIndex, Table, TableColumns};
use crate::error::Result;
use crate::sql::{TableName, quote};

/// Parameters: the schema or an empty text, and the table, three times, because MariaDB opens every table unless it
/// compares with constants.
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

/// As [`COLUMNS`], with the table at the end.
const ALL_COLUMNS: &str = "
    SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, CHARACTER_SET_NAME, COLLATION_NAME,
        TABLE_SCHEMA, TABLE_NAME
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')
    ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION";

const KEYS: &str = "
    SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX";

/// Every database with its tables; a NULL table if it has none.
const TABLES: &str = "
    SELECT s.SCHEMA_NAME, t.TABLE_NAME
    FROM information_schema.SCHEMATA s LEFT JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = s.SCHEMA_NAME
        AND t.TABLE_COMMENT <> 'Landfall: rows of a statement that is not finished'
    WHERE s.SCHEMA_NAME NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')
    ORDER BY s.SCHEMA_NAME, t.TABLE_NAME";

/// MariaDB's `json` is a text with such a CHECK constraint.
const JSON_CHECKS: &str = "
    SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ?";

const ALL_JSON_CHECKS: &str = "
    SELECT CHECK_CLAUSE, CONSTRAINT_SCHEMA, TABLE_NAME FROM information_schema.CHECK_CONSTRAINTS
    WHERE CHECK_CLAUSE LIKE '%json_valid(%'";

/// Why a table cannot be written.
fn read_only(table_type: &str, engine: &str, transactional: &str, name: &TableName) -> Option<String> {
    match (table_type, transactional) {
        ("VIEW" | "SYSTEM VIEW", _) => Some(
            "is a view, and MySQL does not report whether the underlying tables are transactional: write to an \
             underlying table"
                .to_owned(),
        ),
        ("BASE TABLE" | "SYSTEM VERSIONED", "YES") => None,
        ("BASE TABLE" | "SYSTEM VERSIONED", _) => Some(format!(
            "uses the storage engine {engine}, which is not transactional and cannot roll back a failed write: run \
             ALTER TABLE {} ENGINE = InnoDB",
            name.table
        )),
        (other, _) => Some(format!("is a {other}, which cannot be written")),
    }
}

/// The unique keys of a table.
struct Keys {
    primary_key: Vec<String>,
    unique_keys: Vec<Vec<String>>,
    /// Those on expressions or column prefixes.
    others: Vec<OtherIndex>,
}

impl Keys {
    /// Reads the rows of [`KEYS`].
    fn read(rows: &[Row]) -> Result<Self> {
        let mut keys: Vec<(String, Option<Vec<String>>)> = Vec::new();
        for row in rows {
            let (index, column, part) = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
            if keys.last().is_none_or(|(last, _)| *last != index) {
                keys.push((index, Some(Vec::new())));
            }
            let Some((_, key)) = keys.last_mut() else { continue };
            match key {
                Some(columns) if part.is_empty() && !column.is_empty() => columns.push(column),
                // A column prefix, or an expression.
                key => *key = None,
            }
        }
        let (mut primary_key, mut unique_keys, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (index, key) in keys {
            match (index.as_str(), key) {
                ("PRIMARY", Some(key)) => primary_key = key,
                (_, Some(key)) => unique_keys.push(key),
                (_, None) => others.push(OtherIndex { name: index, why: "contains an expression or a column prefix" }),
            }
        }
        Ok(Self { primary_key, unique_keys, others })
    }
}

impl MySql {
    /// Reads the description of a table; `None` if it does not exist.
    pub(super) async fn describe(&self, name: &str) -> Result<Option<Table>> {
        let name = TableName::try_parse(name)?;
        let mut connection = self.connect().await?;
        let described = self.describe_on(&mut connection, &name).await?;
        self.ask_capability(&mut connection).await?;
        connection.give_back();
        Ok(described)
    }

    pub(super) async fn describe_on(
        &self,
        connection: &mut MySqlConnection,
        name: &TableName,
    ) -> Result<Option<Table>> {
        let schema = name.schema.as_deref().unwrap_or_default();
        let mut wanted: Vec<Value> = [schema, &name.table].repeat(3).into_iter().map(Value::from).collect();
        wanted.push(name.table.as_str().into());
        let Some(found) = self.rows(connection, RELATION, wanted).await?.into_iter().next() else { return Ok(None) };
        let schema = text(&found, 0)?;
        let name = TableName { schema: Some(schema.clone()), table: text(&found, 1)? };
        let (table_type, engine) = (text(&found, 2)?, text(&found, 3)?);
        let read_only = read_only(&table_type, &engine, &text(&found, 4)?, &name);

        let place = || vec![Value::from(schema.as_str()), Value::from(name.table.as_str())];
        let mut json = String::new();
        if !connection.server.flavor.has_json() {
            for row in self.rows(connection, JSON_CHECKS, place()).await? {
                json += &text(&row, 0)?;
            }
        }
        let columns = self.rows(connection, COLUMNS, place()).await?;
        let columns = columns.iter().map(|row| read_column(row, &json)).collect::<Result<Vec<_>>>()?;

        let keys = self.rows(connection, KEYS, place()).await?;
        let Keys { primary_key, unique_keys, others: other_indexes } = Keys::read(&keys)?;
        let has_other_keys = !other_indexes.is_empty();
        let one_writer = [
            (text(&found, 5)? == "1", "the table has triggers"),
            (text(&found, 6)? == "1", "the table has a foreign key to itself"),
            (has_other_keys, "the table has a unique key on expressions or column prefixes"),
            (text(&found, 7)? == "NO", "the storage engine of the table does not support XA"),
        ];
        let one_writer = one_writer.into_iter().find_map(|(holds, reason)| holds.then_some(reason));
        let watched = (text(&found, 5)? == "1").then_some("the table has triggers");
        let server = connection.server;
        let relation = Relation { name: name.clone(), server, read_only, one_writer, watched, has_other_keys };
        let own = self.options().database == schema;
        let shown = if own { TableName { schema: None, ..name } } else { name };
        let detail = Detail::new(relation);
        Ok(Some(Table { name: shown.to_string(), columns, primary_key, unique_keys, other_indexes, detail }))
    }

    /// The columns of all tables of the databases that the user can see.
    pub(super) async fn describe_all(&self) -> Result<Vec<TableColumns>> {
        let mut connection = self.connect().await?;
        let mut json: HashMap<(String, String), String> = HashMap::new();
        if !connection.server.flavor.has_json() {
            for row in self.rows(&mut connection, ALL_JSON_CHECKS, Vec::new()).await? {
                *json.entry((text(&row, 1)?, text(&row, 2)?)).or_default() += &text(&row, 0)?;
            }
        }
        let rows = self.rows(&mut connection, ALL_COLUMNS, Vec::new()).await?;
        connection.give_back();
        let mut tables: Vec<TableColumns> = Vec::new();
        for row in &rows {
            let place = (text(row, 7)?, text(row, 8)?);
            let column = read_column(row, json.get(&place).map_or("", String::as_str))?;
            match tables.last_mut().filter(|last| (&last.schema, &last.table) == (&place.0, &place.1)) {
                Some(table) => table.columns.push(column),
                None => tables.push(TableColumns { schema: place.0, table: place.1, columns: vec![column] }),
            }
        }
        Ok(tables)
    }

    /// The databases that the user can see, with their tables.
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
}

fn read_column(row: &Row, json_checks: &str) -> Result<Column> {
    let (name, sql_type, extra) = (text(row, 0)?, text(row, 1)?, text(row, 4)?.to_ascii_uppercase());
    let (character_set, collation) = (text(row, 5)?, text(row, 6)?);
    let default = match row.as_ref(3) {
        // In MariaDB, the text NULL means no default value.
        Some(Value::Bytes(default)) => default != b"NULL",
        _ => false,
    };
    let codec_of = |sql_type| codec(&Declared::parse(sql_type).with_collation(&character_set, &collation));
    let mut codec = codec_of(&sql_type);
    // The server quotes the name according to the session's sql_mode.
    if codec.is_text() && json_checks.contains(&format!("json_valid({})", quote(&name))) {
        codec = codec_of("json");
    }
    let nullable = text(row, 2)? == "YES";
    let is_generated = extra.contains("GENERATED") && !extra.contains("DEFAULT_GENERATED");
    let default = match is_generated {
        true => ColumnDefault::Generated,
        false if extra.contains("AUTO_INCREMENT") => ColumnDefault::Numbered,
        // The server fills in columns that cannot be written, even if with NULL.
        false if default || !codec.is_written() || codec.rounds().is_some() => ColumnDefault::ByDefault,
        false => ColumnDefault::Null,
    };
    Ok(Column {
        name,
        sql_type,
        data_type: codec.arrow_type(),
        nullable,
        default,
        comparison: codec.comparison(),
        holds: Holds::OfItsType,
        // A four-byte character is an error if the column's character set has three bytes.
        characters: Characters::Basic,
        detail: Detail::new(codec),
    })
}
