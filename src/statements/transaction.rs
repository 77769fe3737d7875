//! A transaction of several statements.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::prelude::{DataFrame, SessionContext};
use tokio::runtime::Handle;

use super::sql;
use crate::error::Result;
use crate::provider::{LandfallCatalog, OpenDatabases, locations_of};

/// A transaction of several statements, in one or several databases: all of them take effect, or none. [`begin`] begins it.
///
/// Its statements run one after the other. A statement that fails rolls the transaction back, and the next ones fail.
/// Dropping the transaction rolls it back.
pub struct Transaction {
    context: SessionContext,
    open: Arc<OpenDatabases>,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transaction").field(&self.open).finish()
    }
}

/// Begins a transaction. Its statements see the tables and the settings that the session has now, and what the
/// transaction has written.
///
/// A database becomes a part of the transaction when a statement writes to it. Queries of other databases are not a part
/// of it. [The guide](crate::guide::transactions) has an example.
///
/// # Errors
/// `Config` in the session of another transaction.
pub async fn begin(context: &SessionContext) -> Result<Transaction> {
    let known = locations(context).await;
    let (context, open) = OpenDatabases::begin(context, known)?;
    Ok(Transaction { context, open })
}

/// The locations of the databases that a session knows.
async fn locations(context: &SessionContext) -> HashSet<String> {
    let mut locations = HashSet::new();
    let catalogs = context.catalog_names().into_iter().filter_map(|name| context.catalog(&name));
    for catalog in catalogs {
        if let Some(attached) = catalog.downcast_ref::<LandfallCatalog>() {
            locations.insert(attached.database().location());
            continue;
        }
        let schemas = catalog.schema_names().into_iter().filter_map(|name| catalog.schema(&name));
        for schema in schemas {
            for name in schema.table_names() {
                if let Ok(Some(table)) = schema.table(&name).await {
                    locations.extend(locations_of(table.as_ref()));
                }
            }
        }
    }
    locations
}

impl Transaction {
    /// Runs a statement like [`sql`](fn@crate::sql). A statement that writes runs when its result is collected.
    ///
    /// # Errors
    /// The errors of [`sql`](fn@crate::sql). `Config` if an earlier statement has failed.
    pub async fn sql(&self, text: &str) -> DfResult<DataFrame> {
        self.open.check()?;
        sql(&self.context, text).await
    }

    /// The session of the transaction, for example for [`DataFrame::write_table`].
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Commits all statements.
    ///
    /// # Errors
    /// `Config` if a statement has failed: everything is rolled back. Otherwise the errors of a statement that commits:
    /// everything is rolled back, except with `InDoubt`.
    pub async fn commit(self) -> Result<()> {
        if let Err(error) = self.open.check() {
            self.open.roll_back().await;
            return Err(error.with_context("COMMIT"));
        }
        self.open.commit().await
    }

    /// Rolls all statements back.
    pub async fn rollback(self) {
        self.open.roll_back().await;
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.open.has_ended(), Handle::try_current()) {
            let open = Arc::clone(&self.open);
            open.end();
            runtime.spawn(async move { open.roll_back().await });
        }
    }
}
