//! Indexes that are built after the rows, which takes less time than to add each row to them. Unique indexes stay, because a
//! refused row and a foreign key need them.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::catalog;
use super::connector::Missing;
use super::database::Sqlite;
use crate::backend::{Table, WriteSpec};
use crate::error::Result;
use crate::options::Indexes;
use crate::sql::{cannot_rebuild, indexes_stay, quote};

/// The tables in which ANALYZE stores what it finds. The column `idx` of a row is the name of an index.
const STATISTICS: [&str; 2] = ["sqlite_stat1", "sqlite_stat4"];

/// The indexes of a table, which its transaction has dropped.
#[derive(Debug)]
pub(super) struct Dropped {
    /// Their names, and the statements that build them.
    indexes: Vec<(String, String)>,
    /// The rows about them, each with its table.
    statistics: Vec<(&'static str, Vec<Value>)>,
}

/// Drops the indexes of a table, except unique ones. `None` if there is none, or if the table has rows.
pub(super) fn drop_indexes(connection: &Connection, table: &str) -> rusqlite::Result<Option<Dropped>> {
    let has_rows = format!("SELECT EXISTS (SELECT 1 FROM {})", quote(table));
    if connection.query_row(&has_rows, [], |row| row.get(0))? {
        indexes_stay(table, "the table already has rows");
        return Ok(None);
    }
    let mut found = connection.prepare(
        "SELECT i.name, s.sql FROM pragma_index_list(?1) AS i JOIN sqlite_schema AS s ON s.name = i.name \
         WHERE s.type = 'index' AND NOT i.\"unique\" AND s.sql IS NOT NULL ORDER BY s.rowid",
    )?;
    let indexes = found.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let indexes: Vec<(String, String)> = indexes.collect::<rusqlite::Result<_>>()?;
    if indexes.is_empty() {
        return Ok(None);
    }
    let mut statistics = Vec::new();
    for source in STATISTICS {
        let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
        if !connection.query_row(exists, [source], |row| row.get(0))? {
            continue;
        }
        let mut found = connection.prepare(&format!("SELECT * FROM {source} WHERE idx = ?1 ORDER BY rowid"))?;
        let columns = found.column_count();
        for (index, _) in &indexes {
            let rows = found.query_map([index], |row| (0..columns).map(|column| row.get(column)).collect())?;
            for row in rows {
                statistics.push((source, row?));
            }
        }
    }
    // This deletes the statistics, too.
    for (index, _) in &indexes {
        connection.execute_batch(&format!("DROP INDEX {}", quote(index)))?;
    }
    Ok(Some(Dropped { indexes, statistics }))
}

/// Builds indexes again.
pub(super) fn build_indexes(connection: &Connection, dropped: Dropped) -> rusqlite::Result<()> {
    for (_, build) in dropped.indexes {
        connection.execute_batch(&build)?;
    }
    for (table, row) in dropped.statistics {
        let places = vec!["?"; row.len()].join(", ");
        connection.execute(&format!("INSERT INTO {table} VALUES ({places})"), params_from_iter(row))?;
    }
    Ok(())
}

impl Sqlite {
    /// Whether indexes can be built after the rows of a statement: only if that is requested, because the tables that Landfall
    /// creates have unique ones only.
    pub(super) fn planned_indexes(&self, table: &Table, spec: &WriteSpec) -> Result<Indexes> {
        if spec.indexes != Indexes::Rebuild || spec.create.is_some() {
            return Ok(Indexes::Keep);
        }
        let connection = self.open(Missing::Refuse)?;
        let has = |has: rusqlite::Result<bool>| has.map_err(|error| self.error(error));
        let why = match (
            has(catalog::is_view(&connection, &table.name))?,
            has(catalog::has_triggers(&connection, &table.name))?,
        ) {
            (true, _) => "the table is a view",
            (_, true) => "the table has triggers, which may need the indexes",
            _ => return Ok(Indexes::Rebuild),
        };
        Err(cannot_rebuild(&table.name, why))
    }
}
