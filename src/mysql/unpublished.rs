//! A table that exists under another name until its rows are committed, because MySQL commits DDL at once.

use log::warn;
use mysql_async::Value;

use super::connector::MySqlConnection;
use super::create::create_statement;
use super::database::MySql;
use super::row::text;
use crate::backend::{NewTable, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::TableName;

/// The comment that such a table has. A table without it is never dropped.
const COMMENT: &str = "Landfall: rows of a statement that is not finished";

/// Characters of a table's name that its other name repeats: identifiers have 64.
const REPEATED: usize = 51;

/// Seconds to wait for a statement that creates the same table.
const WAIT: u32 = 10;

/// A new table until it has its name.
#[derive(Debug)]
pub(super) struct Unpublished {
    name: TableName,
    until_then: TableName,
}

impl Unpublished {
    /// Creates the table. It belongs to the connection: another one that creates a table of this name waits, then replaces what
    /// a statement that died has left.
    ///
    /// # Errors
    /// `Locked` if another connection is creating it. `Schema` if a table that is not Landfall's has its name.
    pub(super) async fn create(database: &MySql, connection: &mut MySqlConnection, new: &NewTable) -> Result<Self> {
        let name = TableName::try_parse(&new.name)?;
        let until_then = format!("landfall_new_{}", name.table.chars().take(REPEATED).collect::<String>());
        let until_then = TableName { schema: name.schema.clone(), table: until_then };
        let new = NewTable { name: until_then.to_string(), ..new.clone() };
        let created = Self { name, until_then };
        created.lock(database, connection).await?;
        let done = async {
            created.drop(database, connection).await?;
            let statement = format!("{} COMMENT = '{COMMENT}'", create_statement(&new, connection.server)?);
            database.execute(connection, &statement).await
        };
        match done.await {
            Ok(_) => Ok(created),
            Err(error) => {
                created.unlock(database, connection).await;
                Err(error.with_context(format!("creating table {}", created.name)))
            }
        }
    }

    /// Describes the table that [`Unpublished::create`] would create; `None` if the user may not rename or drop it.
    pub(super) async fn describe(database: &MySql, new: &NewTable) -> Result<Option<Table>> {
        let mut connection = database.connect().await?;
        let described = async {
            let created = Self::create(database, &mut connection, new).await?;
            let described = async {
                let described = database.describe_on(&mut connection, &created.until_then).await?;
                // Needs the privilege that renaming needs.
                let alter = format!("ALTER TABLE {} COMMENT = '{COMMENT}'", created.until_then.quoted());
                database.execute(&mut connection, &alter).await?;
                Ok(described)
            };
            let described: Result<_> = described.await;
            created.end(database, &mut connection).await;
            described
        };
        match described.await {
            Ok(table) => {
                connection.give_back();
                Ok(table.map(|table| Table { name: new.name.clone(), ..table }))
            }
            Err(error) if error.kind() == ErrorKind::Access => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The name that the table has until it is published.
    pub(super) fn until_then(&self) -> &TableName {
        &self.until_then
    }

    /// The statement that gives the table its name.
    pub(super) fn publish(&self) -> String {
        format!("ALTER TABLE {} RENAME TO {}, COMMENT = ''", self.until_then.quoted(), self.name.quoted())
    }

    /// A message of the server, with the table's name.
    pub(super) fn named(&self, message: &str) -> String {
        message.replace(&self.until_then.table, &self.name.table)
    }

    /// Drops the table of a statement that has failed.
    pub(super) async fn end(&self, database: &MySql, connection: &mut MySqlConnection) {
        if let Err(error) = self.drop(database, connection).await {
            warn!(
                "table {}, which this statement created for its rows, could not be dropped, so drop the table \
                 yourself: {error}",
                self.until_then
            );
        }
        self.unlock(database, connection).await;
    }

    /// The same on another connection.
    pub(super) async fn give_up(&self, database: &MySql) {
        let Ok(mut connection) = database.connect().await else { return };
        if self.lock(database, &mut connection).await.is_ok() {
            self.end(database, &mut connection).await;
            connection.give_back();
        }
    }

    async fn drop(&self, database: &MySql, connection: &mut MySqlConnection) -> Result<()> {
        let comment = "SELECT TABLE_COMMENT FROM information_schema.TABLES \
                       WHERE TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND TABLE_NAME = ?";
        let schema = self.until_then.schema.as_deref().unwrap_or_default();
        let place = vec![Value::from(schema), Value::from(self.until_then.table.as_str())];
        let Some(found) = database.rows(connection, comment, place).await?.into_iter().next() else { return Ok(()) };
        if text(&found, 0)? != COMMENT {
            return Err(Error::schema(format!(
                "table {} already exists, but Landfall needs this name while it fills table {}: rename the existing table",
                self.until_then, self.name
            )));
        }
        database.execute(connection, &format!("DROP TABLE {}", self.until_then.quoted())).await.map(drop)
    }

    /// A lock of the connection, which ends with it. Locks belong to the server, not to a database.
    fn lock_name(&self) -> String {
        // At most 64 characters.
        self.until_then.to_string().chars().rev().take(64).collect()
    }

    async fn lock(&self, database: &MySql, connection: &mut MySqlConnection) -> Result<()> {
        let lock = vec![Value::from(self.lock_name()), Value::from(WAIT)];
        let locked = database.rows(connection, "SELECT GET_LOCK(?, ?)", lock).await?;
        let is_locked = locked.first().and_then(|row| row.get_opt::<u8, _>(0)?.ok()) == Some(1);
        match is_locked {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "another statement is creating table {}: wait until that statement ends (see SHOW PROCESSLIST)",
                    self.name
                ),
            )),
        }
    }

    /// Lets other connections create the table.
    pub(super) async fn unlock(&self, database: &MySql, connection: &mut MySqlConnection) {
        // A connection that fails loses its locks.
        let _ = database.rows(connection, "SELECT RELEASE_LOCK(?)", vec![Value::from(self.lock_name())]).await;
    }
}
