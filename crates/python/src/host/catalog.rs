//! A database as a catalog.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion_landfall::LandfallCatalog;

use super::table::{Columns, HostTable};
use super::{ended, spawn, told};
use crate::process::{Owned, Process};

/// The tables of a database in a session of another library.
#[derive(Debug)]
pub(crate) struct HostCatalog(Owned<LandfallCatalog>);

impl HostCatalog {
    pub(crate) fn new(process: &'static Process, catalog: LandfallCatalog) -> Self {
        Self(Owned::new(process, catalog))
    }
}

impl CatalogProvider for HostCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.0.get().map(CatalogProvider::schema_names).unwrap_or_default()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let schema = self.0.get().ok()?.schema(name)?;
        Some(Arc::new(HostSchema(Owned::new(self.0.process(), schema))))
    }
}

/// The tables of a schema.
#[derive(Debug)]
struct HostSchema(Owned<Arc<dyn SchemaProvider>>);

#[async_trait]
impl SchemaProvider for HostSchema {
    fn table_names(&self) -> Vec<String> {
        self.0.get().map(|schema| schema.table_names()).unwrap_or_default()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        let (schema, process) = (Arc::clone(self.0.get().map_err(told)?), self.0.process());
        let name = name.to_owned();
        let Some(table) = ended(spawn(process, async move { schema.table(&name).await })).await? else {
            return Ok(None);
        };
        let table = HostTable::try_new(process, table, &Columns::WithoutDefault).map_err(told)?;
        Ok(Some(Arc::new(table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.get().is_ok_and(|schema| schema.table_exist(name))
    }
}
