//! PostgreSQL as a resource manager and as a database of tables.

use std::sync::Arc;

use arrow::datatypes::DataType;
use async_trait::async_trait;

use super::branch::PostgresBranch;
use super::{Postgres, catalog, scan};
use crate::error::Result;
use crate::sql::{BatchStream, Column, Comparison, Database, Dialect, NewTable, Query, Table};
use crate::xa::{Branch, Capability, DecisionLog, InDoubt, JobId, Resolution, ResourceManager, WriteSpec, Xid};

#[async_trait]
impl ResourceManager for Postgres {
    fn capability(&self) -> Capability {
        Capability::OnePhase
    }

    async fn start(&self, _: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        Ok(Box::new(PostgresBranch::start(self.clone(), spec.clone()).await?))
    }

    // Nothing is ever prepared.

    async fn commit(&self, _: &Xid) -> Result<Resolution> {
        Ok(Resolution::Unknown)
    }

    async fn rollback(&self, _: &Xid) -> Result<Resolution> {
        Ok(Resolution::Unknown)
    }

    async fn in_doubt(&self, _: Option<&JobId>) -> Result<Vec<InDoubt>> {
        Ok(Vec::new())
    }

    fn decision_log(&self) -> Arc<dyn DecisionLog> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Database for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn location(&self) -> String {
        self.location_text()
    }

    async fn table(&self, name: &str) -> Result<Option<Table>> {
        self.describe(name).await
    }

    async fn create_table(&self, table: &NewTable) -> Result<()> {
        self.create(table).await
    }

    fn read_as(&self, column: &Column, wanted: &DataType) -> Option<Column> {
        let server = catalog::server_type(column).ok()?;
        let column = column.clone();
        server.reads_as(wanted).then(|| match *wanted == column.data_type {
            true => column,
            // JSON's null is read as NULL, which it is not in the database.
            false if wanted.is_nested() => {
                Column { data_type: wanted.clone(), comparison: Comparison::Nothing, ..column }
            }
            false => Column { data_type: wanted.clone(), comparison: Comparison::Differs, ..column },
        })
    }

    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()> {
        self.targets(table, spec).map(drop)
    }

    fn query(&self, query: Query) -> Result<BatchStream> {
        Ok(scan::stream(self.clone(), query))
    }
}
