//! Reads descriptions of tables from SQLite's catalog.

use std::path::Path;

use arrow::datatypes::DataType;
use rusqlite::{Connection, OptionalExtension};

use super::affinity::Affinity;
use super::change::Upserts;
use super::connector::Missing;
use super::database::Sqlite;
use super::types::{arrow_type, codec};
use crate::backend::{
    Characters, Column, ColumnDefault, Comparison, Detail, Holds, Listed, OtherIndex, Table, TableColumns,
};
use crate::error::Result;

/// The schema of the tables of a file.
const SCHEMA: &str = "main";

/// The names of the tables and views.
fn listed(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut tables = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY name",
    )?;
    tables.query_map([], |row| row.get(0))?.collect()
}

/// Reads the description of a table or view; `None` if it does not exist.
pub(super) fn describe(connection: &Connection, name: &str) -> rusqlite::Result<Option<Table>> {
    let found = connection
        .query_row(
            "SELECT name, type = 'view', wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'",
            [name],
            |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?, row.get::<_, bool>(3)?))
            },
        )
        .optional()?;
    let Some((name, is_view, without_rowid, is_strict)) = found else { return Ok(None) };

    let (mut columns, mut key) = read_columns(connection, &name, is_view, without_rowid, is_strict)?;
    key.sort();
    let primary_key: Vec<String> = key.into_iter().map(|(_, name)| name).collect();
    // INTEGER PRIMARY KEY is another name of the rowid: never NULL, and numbered by SQLite if it is omitted.
    if let ([only], false) = (primary_key.as_slice(), without_rowid)
        && let Some(column) = columns.iter_mut().find(|column| column.name == *only)
        && column.sql_type.eq_ignore_ascii_case("INTEGER")
    {
        (column.nullable, column.default, column.holds) = (false, ColumnDefault::ByDefault, Holds::OfItsType);
    }
    let (unique_keys, other_indexes) = unique_indexes(connection, &name)?;
    let folded = folded(connection, &name)?;
    for column in columns.iter_mut().filter(|column| folded.contains(&column.name)) {
        column.comparison = Comparison::Differs;
    }
    Ok(Some(Table { name, columns, primary_key, unique_keys, other_indexes, detail: Detail::default() }))
}

/// Columns of a primary key, with their places in it.
type KeyColumns = Vec<(i64, String)>;

/// The columns of a table, and those of its primary key.
fn read_columns(
    connection: &Connection,
    name: &str,
    is_view: bool,
    without_rowid: bool,
    is_strict: bool,
) -> rusqlite::Result<(Vec<Column>, KeyColumns)> {
    let mut statement = connection.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1) WHERE hidden <> 1",
    )?;
    let encoding: String = connection.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    let text_compares = if encoding == "UTF-8" && !is_view { TextCompares::ByUtf8 } else { TextCompares::Otherwise };
    let mut key = KeyColumns::new();
    let mut columns = Vec::new();
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let column: String = row.get(0)?;
        let sql_type: String = row.get(1)?;
        let (not_null, has_default) = (row.get::<_, bool>(2)?, row.get::<_, Option<String>>(3)?.is_some());
        let (key_position, hidden): (i64, i64) = (row.get(4)?, row.get(5)?);
        if key_position > 0 {
            key.push((key_position, column.clone()));
        }
        let data_type = arrow_type(&sql_type);
        let default = match (hidden, has_default) {
            (2 | 3, _) => ColumnDefault::Generated,
            (_, true) => ColumnDefault::ByDefault,
            (_, false) => ColumnDefault::Null,
        };
        let affinity = if is_strict { Affinity::of_strict(&sql_type) } else { Affinity::of(&sql_type) };
        let comparison = comparison(connection, name, &column, (&data_type, affinity), text_compares);
        columns.push(Column {
            name: column,
            sql_type,
            data_type,
            nullable: !(not_null || (without_rowid && key_position > 0)),
            default,
            comparison,
            holds: if is_strict { Holds::OfItsType } else { Holds::OfAnyType },
            characters: Characters::All,
            detail: Detail::new(affinity),
        });
    }
    Ok((columns, key))
}

/// Whether SQLite compares the texts of a table as DataFusion does, byte by byte in UTF-8, if the column's collation is
/// BINARY.
#[derive(Debug, Clone, Copy, PartialEq)]
enum TextCompares {
    ByUtf8,
    Otherwise,
}

fn comparison(
    connection: &Connection,
    table: &str,
    column: &str,
    (data_type, affinity): (&DataType, Affinity),
    text_compares: TextCompares,
) -> Comparison {
    let Some(codec) = codec(data_type, affinity) else { return Comparison::Differs };
    if data_type.is_string() {
        let binary = text_compares == TextCompares::ByUtf8
            && matches!(
                connection.column_metadata(None, table, column),
                Ok((_, Some(collation), ..)) if collation.to_bytes().eq_ignore_ascii_case(b"BINARY")
            );
        if affinity != Affinity::Text || !binary {
            return Comparison::Differs;
        }
    }
    codec.comparison()
}

/// Whether a table has triggers.
pub(super) fn has_triggers(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)",
        [table],
        |row| row.get(0),
    )
}

/// Whether a table is a view.
pub(super) fn is_view(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE)",
        [table],
        |row| row.get(0),
    )
}

/// What an upsert into a table does.
pub(super) fn upserts(connection: &Connection, table: &Table) -> rusqlite::Result<Upserts> {
    let (indexes, of_primary): (i64, i64) = connection.query_row(
        "SELECT count(*) FILTER (WHERE \"unique\"), count(*) FILTER (WHERE origin = 'pk') FROM pragma_index_list(?1)",
        [&table.name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let is_rowid = !table.primary_key.is_empty() && of_primary == 0;
    let has_checks: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE AND type <> 'index' \
         AND (type <> 'table' OR sql LIKE '%check%'))",
        [&table.name],
        |row| row.get(0),
    )?;
    Ok(match indexes + i64::from(is_rowid) == 1 && !has_checks {
        true => Upserts::Plain,
        false => Upserts::Watched,
    })
}

/// The columns whose collation in a unique index is not BINARY: the index can consider values equal that differ in the
/// column.
fn folded(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut folded = connection.prepare(
        "SELECT c.name FROM pragma_index_list(?1) i JOIN pragma_index_xinfo(i.name) c \
         WHERE i.\"unique\" AND c.key AND c.name IS NOT NULL AND c.coll <> 'BINARY' COLLATE NOCASE",
    )?;
    folded.query_map([table], |row| row.get(0))?.collect()
}

/// The columns of each unique key but the primary key, and the unique indexes that are no keys.
fn unique_indexes(connection: &Connection, table: &str) -> rusqlite::Result<(Vec<Vec<String>>, Vec<OtherIndex>)> {
    let mut indexes = connection
        .prepare("SELECT name, partial FROM pragma_index_list(?1) WHERE \"unique\" AND origin <> 'pk' ORDER BY seq")?;
    let mut columns = connection.prepare("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
    let indexes = indexes.query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
    let (mut keys, mut others) = (Vec::new(), Vec::new());
    for index in indexes {
        let (name, is_partial) = index?;
        // A NULL name is an expression, which a list of columns cannot express.
        let key = columns.query_map([&name], |row| row.get::<_, Option<String>>(0))?;
        match key.collect::<rusqlite::Result<Option<Vec<_>>>>()? {
            _ if is_partial => others.push(OtherIndex { name, why: "is partial" }),
            Some(key) => keys.push(key),
            None => others.push(OtherIndex { name, why: "contains an expression" }),
        }
    }
    Ok((keys, others))
}

impl Sqlite {
    /// Reads the description of a table. A missing file has no tables.
    pub(super) fn describe(&self, name: &str) -> Result<Option<Table>> {
        if !self.path().exists() {
            return Ok(None);
        }
        describe(&self.open(Missing::Refuse)?, name).map_err(|error| self.error(error))
    }

    /// The columns of all tables and views.
    pub(super) fn describe_all(&self) -> Result<Vec<TableColumns>> {
        if !self.path().exists() {
            return Ok(Vec::new());
        }
        let connection = self.open(Missing::Refuse)?;
        let read = || -> rusqlite::Result<Vec<TableColumns>> {
            let described = |name: &String| describe(&connection, name);
            let described = listed(&connection)?.iter().map(described).collect::<rusqlite::Result<Vec<_>>>()?;
            let columns = |Table { name, columns, .. }| TableColumns { schema: SCHEMA.into(), table: name, columns };
            Ok(described.into_iter().flatten().map(columns).collect())
        };
        read().map_err(|error| self.error(error))
    }

    /// Lists the tables and views. A missing file in an existing folder has none; the first table creates it.
    pub(super) fn list(&self) -> Result<Vec<Listed>> {
        let none = Listed { schema: SCHEMA.into(), table: None, name: String::new() };
        let has_folder = |path: &Path| path.parent().is_some_and(|parent| parent == Path::new("") || parent.is_dir());
        if !self.path().exists() && has_folder(self.path()) {
            return Ok(vec![none]);
        }
        let connection = self.open(Missing::Refuse)?;
        let tables = listed(&connection).map_err(|error| self.error(error))?;
        let listed = |table: String| Listed { schema: SCHEMA.into(), table: Some(table.clone()), name: table };
        Ok(tables.into_iter().map(listed).chain([none]).collect())
    }
}
