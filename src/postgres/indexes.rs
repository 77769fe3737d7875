//! Indexes that are built after the rows, which takes less time than to add each row to them.
//!
//! The transaction of the rows drops them before, and builds them again, as the server describes them. From then on to the
//! commit it has an ACCESS EXCLUSIVE lock, so no other session sees the table without them. A rollback restores them, too.

use super::catalog::{Facts, parsed};
use super::connector::PostgresConnection;
use super::database::Postgres;
use super::described::relation;
use super::queries::INDEXES;
use crate::backend::{Existing, Table, WriteSpec, failpoint::failpoint};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Indexes;
use crate::sql::{TableName, cannot_rebuild, indexes_stay, quote};

/// The bytes of encoded rows from which on the indexes are built after them. For fewer rows, building them costs as much as it
/// saves, and the error of a row would not name it.
pub(super) const MANY_BYTES: usize = 512 * 1024;

/// An index of a table.
#[derive(Debug, Clone)]
struct Index {
    name: String,
    /// The statements that build it.
    build: String,
}

/// The indexes of a table, which its transaction has dropped.
#[derive(Debug)]
pub(super) struct Dropped(Vec<Index>);

/// What the catalog says about the indexes of a table.
struct Found {
    /// Why they cannot be built after the rows.
    refused: Option<String>,
    /// The right that the user lacks.
    missing: Option<String>,
    drop: Vec<String>,
    indexes: Vec<Index>,
}

fn read(json: &str) -> sqlx::Result<Found> {
    let found = parsed(json)?;
    let found = Facts(&found);
    let text = |name| found.text(name).ok().map(str::to_owned);
    let index = |index: Facts<'_>| Ok(Index { name: index.text("name")?.into(), build: index.text("build")?.into() });
    Ok(Found {
        refused: text("refused"),
        missing: text("missing"),
        drop: found.names("drop")?,
        indexes: found.list("indexes")?.map(index).collect::<sqlx::Result<_>>()?,
    })
}

/// Why a branch leaves the indexes as they are.
enum Stay {
    /// Nothing is to be done, or another session uses the table, which matters only to a request.
    Silently,
    /// The user learns it.
    Told(String),
    /// The statement fails, if the user requested it.
    Refused(Error),
}

impl Postgres {
    /// Whether the indexes of a table can be built after the rows of a statement.
    pub(super) async fn planned_indexes(&self, table: &Table, spec: &WriteSpec) -> Result<Indexes> {
        if spec.indexes == Indexes::Keep || spec.create.is_some() {
            return Ok(spec.indexes);
        }
        let name = &relation(table)?.name;
        if spec.existing == Existing::Delete {
            indexes_stay(
                name,
                "INSERT OVERWRITE deletes the rows; set the option 'overwrite' to 'truncate' to truncate the table \
                 instead",
            );
            return Ok(Indexes::Keep);
        }
        let mut connection = self.connect().await?;
        let planned = match spec.indexes {
            Indexes::Rebuild => {
                let found = self.indexes(&mut connection, name).await?;
                match (found.refused, found.missing) {
                    (Some(why), _) => Err(cannot_rebuild(name, why)),
                    (None, Some(missing)) => {
                        indexes_stay(name, missing);
                        Ok(Indexes::Keep)
                    }
                    (None, None) if found.indexes.is_empty() && spec.existing == Existing::Keep => Ok(Indexes::Keep),
                    (None, None) => Ok(Indexes::Rebuild),
                }
            }
            indexes => match self.has_rows(&mut connection, name).await {
                Ok(false) => Ok(indexes),
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                // It may be forbidden to read the table.
                Ok(true) | Err(_) => Ok(Indexes::Keep),
            },
        };
        connection.give_back();
        planned
    }

    /// Drops the indexes of a table that has no rows. `None` if they stay.
    ///
    /// # Errors
    /// If the user requested it: `Locked` if another session uses the table, `Unsupported` if it is not possible.
    pub(super) async fn drop_indexes(
        &self,
        connection: &mut PostgresConnection,
        table: &Table,
        spec: &WriteSpec,
    ) -> Result<Option<Dropped>> {
        let name = &relation(table)?.name;
        self.execute(connection, format!("SAVEPOINT {SAVEPOINT}")).await?;
        let stay = match self.try_drop_indexes(connection, name, spec).await {
            Ok(Ok(dropped)) => {
                self.execute(connection, format!("RELEASE SAVEPOINT {SAVEPOINT}")).await?;
                failpoint("postgres.indexes.dropped");
                return Ok(Some(dropped));
            }
            Ok(Err(stay)) => stay,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => Stay::Refused(error.with_context("dropping the indexes before the rows are written")),
        };
        // The lock is released, too.
        let back = format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}");
        self.execute(connection, back).await?;
        match stay {
            Stay::Refused(error) if spec.indexes == Indexes::Rebuild => return Err(error),
            Stay::Told(why) if spec.indexes == Indexes::Rebuild => indexes_stay(name, why),
            _ => {}
        }
        Ok(None)
    }

    async fn try_drop_indexes(
        &self,
        connection: &mut PostgresConnection,
        name: &TableName,
        spec: &WriteSpec,
    ) -> Result<Result<Dropped, Stay>> {
        let at_once = if spec.indexes == Indexes::Auto { " NOWAIT" } else { "" };
        let table = name.quoted();
        self.execute(connection, format!("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE{at_once}")).await?;
        let is_emptied = spec.create.is_some() || spec.existing == Existing::Truncate;
        if !is_emptied && self.has_rows(connection, name).await? {
            return Ok(Err(Stay::Told("the table already has rows".into())));
        }
        let Found { refused: why, missing, drop, indexes } = self.indexes(connection, name).await?;
        if let Some(why) = why {
            return Ok(Err(Stay::Refused(cannot_rebuild(name, why))));
        }
        if let Some(missing) = missing {
            return Ok(Err(Stay::Told(missing)));
        }
        if drop.is_empty() {
            return Ok(Err(Stay::Silently));
        }
        self.execute(connection, drop.join("; ")).await?;
        Ok(Ok(Dropped(indexes)))
    }

    /// Builds indexes again. `refused` completes the error of an index that the rows do not fit.
    ///
    /// # Errors
    /// `Constraint` if a key occurs twice.
    pub(super) async fn build_indexes(
        &self,
        connection: &mut PostgresConnection,
        dropped: Dropped,
        refused: impl Fn(&str, Error) -> Error,
    ) -> Result<()> {
        // A table cannot be altered while checks of its rows are pending.
        self.execute(connection, "SET CONSTRAINTS ALL IMMEDIATE".into()).await?;
        for Index { name, build } in dropped.0 {
            let built = self.execute(connection, build).await;
            built.map_err(|error| {
                let error = if error.is_of_a_row() { refused(&name, error) } else { error };
                error.with_context(format!("building index {} after the rows", quote(&name)))
            })?;
            failpoint("postgres.indexes.built");
        }
        Ok(())
    }

    async fn indexes(&self, connection: &mut PostgresConnection, name: &TableName) -> Result<Found> {
        let (pid, conn) = connection.parts();
        let schema = name.schema.as_deref().unwrap_or_default();
        let found = sqlx::query_scalar(INDEXES).bind(schema).bind(&name.table).fetch_optional(conn);
        let found: Option<String> = self.answer(pid, "SELECT", found).await?;
        let found =
            found.ok_or_else(|| Error::schema(format!("table {name} no longer exists: create the table again")))?;
        read(&found).map_err(|error| self.error(error))
    }

    async fn has_rows(&self, connection: &mut PostgresConnection, name: &TableName) -> Result<bool> {
        let (pid, conn) = connection.parts();
        let has_rows = sqlx::AssertSqlSafe(format!("SELECT EXISTS (SELECT FROM ONLY {})", name.quoted()));
        self.answer(pid, "SELECT", sqlx::query_scalar(has_rows).fetch_one(conn)).await
    }
}

const SAVEPOINT: &str = "landfall_indexes";
