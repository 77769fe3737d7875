//! `CREATE EXTERNAL TABLE … STORED AS …` in a session of another library.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::CreateExternalTable;
use datafusion_landfall::{Error, ErrorKind};

use super::table::{Columns, HostTable};
use super::{check_options, ended, own_session, spawn, told};
use crate::errors::config;
use crate::process::{Owned, Process};

/// Creates the tables of each kind of database: the statement names the kind.
#[derive(Debug)]
pub(crate) struct HostFactory(Owned<()>);

impl HostFactory {
    pub(crate) fn new(process: &'static Process) -> Self {
        Self(Owned::new(process, ()))
    }
}

#[async_trait]
impl TableProviderFactory for HostFactory {
    async fn create(&self, session: &dyn Session, command: &CreateExternalTable) -> DfResult<Arc<dyn TableProvider>> {
        check_options(command.options.keys().map(String::as_str)).map_err(told)?;
        if let Some(column) = command.column_defaults.keys().min() {
            let text = format!(
                "column \"{column}\" has a DEFAULT, but a session of the package datafusion does not pass the default \
                 on, so NULL would be stored: create the table with landfall.connect(), or in the database"
            );
            return Err(told(Error::new(ErrorKind::Unsupported, text)));
        }
        self.0.get().map_err(told)?;
        let process = self.0.process();
        let (state, command) = (own_session(process, session).state(), command.clone());
        let kind = command.file_type.to_uppercase();
        let Some(factory) = state.table_factories().get(&kind).map(Arc::clone) else {
            let text = format!(
                "{kind} in STORED AS is not a kind of database: register the factory under the name POSTGRES, MYSQL or \
                 SQLITE"
            );
            return Err(told(config(text)));
        };
        // Columns that the statement lists are seen.
        let columns = if command.schema.fields().is_empty() { Columns::WithoutDefault } else { Columns::All };
        let table = ended(spawn(process, async move { factory.create(&state, &command).await })).await?;
        Ok(Arc::new(HostTable::try_new(process, table, &columns).map_err(told)?))
    }
}
