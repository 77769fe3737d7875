//! Rows of an upsert that are longer than a packet. They go through a temporary table: a file for LOAD DATA can be longer,
//! but LOAD DATA cannot update rows.

use super::change::no_stage;
use super::database::{Connection, MySql};
use super::described::{Relation, relation};
use super::encode::Encoder;
use super::fields::Style;
use super::statements::{InsertMethod, load, on_duplicate_key};
use crate::backend::{Detail, Table, WriteSpec};
use crate::error::{ErrorKind, Result};
use crate::options::OnConflict;
use crate::sql::{TableName, Targets, quote};

const TABLE: &str = "landfall_large";

/// The statements for such rows.
#[derive(Debug)]
pub(super) struct LargeRows {
    create: String,
    /// Loads a row into the temporary table.
    pub(super) load: String,
    /// Writes the row to its table.
    pub(super) merge: String,
    is_created: bool,
}

/// The encoders for the file of such a row; `None` if the server has no LOAD DATA, or it writes all rows anyway.
pub(super) fn large_targets(database: &MySql, table: &Table, spec: &WriteSpec) -> Result<Option<Targets<Encoder>>> {
    match relation(table)?.server.local_infile && spec.on_conflict != OnConflict::Error {
        true => database.targets(table, spec, Style::File).map(Some),
        false => Ok(None),
    }
}

impl LargeRows {
    pub(super) fn of(table: &Table, spec: &WriteSpec) -> Result<Self> {
        let of_target = relation(table)?;
        let columns: Vec<_> = spec.columns.fields().iter().map(|field| quote(field.name())).collect();
        let selected: Vec<_> = columns.iter().map(|column| format!("t.{column} AS {column}")).collect();
        // Types, character sets and collations are those of the table. The outer join makes every column nullable.
        let create = format!(
            "CREATE TEMPORARY TABLE {TABLE} ENGINE = InnoDB SELECT {} FROM (SELECT 1 AS landfall_one) AS o LEFT JOIN {} AS \
             t ON FALSE WHERE FALSE",
            selected.join(", "),
            of_target.name.quoted()
        );
        let own = Relation {
            name: TableName { schema: None, table: TABLE.into() },
            read_only: None,
            one_writer: None,
            watched: None,
            has_other_keys: false,
            server: of_target.server,
        };
        let load = match load(&Table { detail: Detail::new(own), ..table.clone() }, spec)?.0 {
            InsertMethod::Load(statement) => statement,
            InsertMethod::Insert => String::new(),
        };
        let columns = columns.join(", ");
        let merge = format!(
            "INSERT INTO {} ({columns}) SELECT {columns} FROM {TABLE}{}",
            of_target.name.quoted(),
            on_duplicate_key(table, of_target, spec)
        );
        Ok(Self { create, load, merge, is_created: false })
    }

    /// Makes the temporary table empty.
    pub(super) async fn clear(&mut self, database: &MySql, connection: &mut Connection) -> Result<()> {
        if self.is_created {
            return database.execute(connection, &format!("DELETE FROM {TABLE}")).await.map(drop);
        }
        // It may exist after an earlier branch.
        database.execute(connection, &format!("DROP TEMPORARY TABLE IF EXISTS {TABLE}")).await?;
        match database.execute(connection, &self.create).await {
            Ok(_) => self.is_created = true,
            Err(error) if error.kind() == ErrorKind::Access => {
                return Err(no_stage(database, connection, error).await);
            }
            Err(error) => {
                return Err(
                    error.with_context("creating a temporary table for a row that is longer than max_allowed_packet")
                );
            }
        }
        Ok(())
    }

    /// Drops the temporary table, whose row takes space.
    pub(super) async fn drop(&mut self, database: &MySql, connection: &mut Connection) -> Result<()> {
        if !self.is_created {
            return Ok(());
        }
        self.is_created = false;
        database.execute(connection, &format!("DROP TEMPORARY TABLE {TABLE}")).await.map(drop)
    }
}
