//! The version of a table: a text that changes with every change of the table that a plain INSERT depends on.
//!
//! To read the description of a table takes the server longer than to store a row. So a plain INSERT uses the description
//! that an earlier statement has read, if the version is still the same. The server reads it while it begins the
//! transaction.
//!
//! The version consists of the catalog's rows for the table, its columns and its indexes, by the transactions that wrote
//! them. It does not change with a user-defined type, a sequence or a trigger: a table whose columns have such types has no
//! version, and a statement that depends on the others reads the description again.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Row as _};

use super::connector::PostgresConnection;
use super::database::Postgres;
use super::described::{relation, sequence};
use super::queries::{PREPARE_VERSION, VERSION};
use crate::backend::{Change, Existing, Table, WriteSpec};
use crate::error::{Error, Result};
use crate::options::OnConflict;
use crate::sql::{TableName, step};

/// The first oid that the server gives to an object of a user (`FirstNormalObjectId`).
pub(super) const FIRST_USER_OID: i64 = 16_384;

/// What a transaction reads when it begins.
#[derive(Debug)]
pub(super) struct Read {
    /// The first schema of the search path.
    pub(super) schema: Option<String>,
    /// The version of the table, if there is one.
    pub(super) version: Option<String>,
}

impl Postgres {
    /// The description of the table of a plain INSERT, as an earlier statement has read it.
    pub(super) fn known(&self, spec: &WriteSpec, change: Option<&Arc<Change>>) -> Option<Arc<Table>> {
        let is_plain = change.is_none()
            && spec.create.is_none()
            && spec.existing == Existing::Keep
            && spec.on_conflict == OnConflict::Error;
        let known = self.known.get(&spec.table).filter(|_| is_plain).map(|known| Arc::clone(known.value()))?;
        let has_sequence = |name: &str| {
            let column = known.column(name);
            column.is_none_or(|column| sequence(column).is_ok_and(|sequence| sequence.is_some()))
        };
        let is_numbered = spec.columns.fields().iter().any(|field| has_sequence(field.name()));
        (!is_numbered).then_some(known)
    }

    /// Keeps the description of a table for later statements.
    pub(super) fn keep(&self, table: Table) -> Result<Arc<Table>> {
        let table = Arc::new(table);
        if relation(&table)?.version.is_some() {
            self.known.insert(table.name.clone(), Arc::clone(&table));
        }
        Ok(table)
    }

    /// Reads the version of a table, after other statements in the same round trip.
    pub(super) async fn read_version(
        &self,
        connection: &mut PostgresConnection,
        after: &[String],
        table: &TableName,
    ) -> Result<Read> {
        let prepare = (!connection.has_prepared_version).then_some(PREPARE_VERSION);
        let before: String =
            after.iter().map(String::as_str).chain(prepare).map(|before| format!("{before}; ")).collect();
        let literal = |name: &str| format!("'{}'", name.replace('\'', "''"));
        let schema = literal(table.schema.as_deref().unwrap_or_default());
        let statements = format!("{before}EXECUTE {VERSION} ({schema}, {})", literal(&table.table));
        let (pid, conn) = connection.parts();
        let (step, read) = (step(&statements).to_owned(), sqlx::raw_sql(AssertSqlSafe(statements)).fetch_one(conn));
        let row = self.answer(pid, &step, read).await?;
        connection.has_prepared_version = true;
        let read = || Ok(Read { schema: row.try_get(0)?, version: row.try_get(1)? });
        read().map_err(|error| self.error(error))
    }

    /// The description of the table of a write, as its transaction sees it. `version` is the table's, if the transaction has just
    /// read it.
    pub(super) async fn table_in(
        &self,
        connection: &mut PostgresConnection,
        spec: &WriteSpec,
        change: Option<&Arc<Change>>,
        version: Option<String>,
    ) -> Result<Arc<Table>> {
        let name = TableName::try_parse(&spec.table)?;
        if let Some(known) = self.known(spec, change) {
            let version = match version {
                Some(version) => Some(version),
                None => self.read_version(connection, &[], &name).await?.version,
            };
            if relation(&known)?.version == version {
                return Ok(known);
            }
        }
        let table = self.describe_in(connection, &name).await?;
        self.keep(
            table.ok_or_else(|| {
                Error::schema(format!("table {} no longer exists: create the table again", spec.table))
            })?,
        )
    }
}
