//! A table in the list of a database, of which only the columns are known.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::logical_expr::{Expr, TableType};

use super::planning::{Planning, boxed};
use super::table::LandfallTable;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::options::SinkOptions;

/// Opens the tables of a database.
#[derive(Debug, Clone)]
pub(super) struct TableOpener {
    pub(super) database: Arc<dyn Backend>,
    pub(super) options: SinkOptions,
}

impl TableOpener {
    /// The table of this name; `None` if it does not exist.
    pub(super) async fn open(&self, name: &str) -> Result<Option<LandfallTable>> {
        let doing = |error: Error| error.with_context(format!("reading the description of {name}"));
        let Some(table) = self.database.table(name).await.map_err(doing)? else { return Ok(None) };
        let schema = table.schema();
        LandfallTable::new(Arc::clone(&self.database), table, schema, self.options.clone()).map(Some).map_err(doing)
    }
}

/// What `information_schema` shows of a table. The database describes it in full when a query reads it.
#[derive(Debug)]
pub(super) struct ListedTable {
    pub(super) opener: TableOpener,
    /// The name for [`Backend::table`].
    pub(super) name: String,
    pub(super) columns: SchemaRef,
}

impl ListedTable {
    async fn opened(&self) -> Result<LandfallTable> {
        let opened = self.opener.open(&self.name).await?.filter(|table| table.schema() == self.columns);
        opened.ok_or_else(|| {
            Error::schema(format!(
                "table {} has changed since the statement was planned: run the statement again",
                self.name
            ))
        })
    }
}

#[async_trait]
impl TableProvider for ListedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            session: &'life1 dyn Session,
            projection: Option<&'life2 Vec<usize>>,
            filters: &'life3 [Expr],
            limit: Option<usize>,
        ) -> Planning {
            let filters = filters.to_vec();
            Box::pin(async move { self.opened().await?.scan(session, projection, &filters, limit).await })
        }
    }
}
