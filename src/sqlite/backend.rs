//! SQLite as a resource manager and as a database of tables.

use std::sync::Arc;

use arrow::datatypes::Schema;
use async_trait::async_trait;

use super::branch::{SqliteBranch, SqliteTransaction};
use super::database::Sqlite;
use super::dialect::SqliteDialect;
use super::encode::Encoder;
use super::existing::ExistingRows;
use super::run::run;
use super::thread::blocking;
use super::{change, scan};
use crate::backend::{
    Alteration, Backend, BatchStream, Branch, Capability, Change, DecisionLog, InDoubt, Listed, NewTable,
    OpenTransaction, Parameter, Protocol, Query, QueryDialect, Resolution, Scan, Table, TableColumns, WriteSpec,
};
use crate::error::{Error, Result};
use crate::options::{Indexes, Isolation};
use crate::sql::{Targets, check_not_truncated};
use crate::txn::{JobNumber, Xid};

#[async_trait]
impl Backend for Sqlite {
    fn location(&self) -> String {
        self.location_text()
    }

    async fn identity(&self) -> Result<String> {
        // The next run can have another working directory.
        let path = self.path().canonicalize().unwrap_or_else(|_| self.path().to_owned());
        Ok(format!("sqlite:{}", path.display()))
    }

    async fn capability(&self) -> Result<Capability> {
        Ok(Capability::OnePhase)
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        Ok(Box::new(SqliteBranch::start(self.clone(), xid, spec.clone(), None).await?))
    }

    async fn start_change(&self, xid: &Xid, spec: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        Ok(Box::new(SqliteBranch::start(self.clone(), xid, spec.clone(), Some(Arc::clone(change))).await?))
    }

    async fn begin(&self, xid: &Xid, _: Protocol, _: Option<Isolation>) -> Result<Box<dyn OpenTransaction>> {
        Ok(Box::new(SqliteTransaction::begin(self.clone(), xid).await?))
    }

    // SQLite never prepares a transaction, but a missing file is an error.

    async fn commit(&self, _: &Xid) -> Result<Resolution> {
        Ok(Resolution::Unknown)
    }

    async fn rollback(&self, _: &Xid) -> Result<Resolution> {
        Ok(Resolution::Unknown)
    }

    async fn in_doubt(&self, _: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        let database = self.clone();
        blocking(move || database.open(super::connector::Missing::Refuse)).await?;
        Ok(Vec::new())
    }

    fn check_decides(&self) -> Result<()> {
        match self.pool.connector().is_weak() {
            true => Err(Error::config(
                "the option 'pragma.synchronous' is lower than 'full', but the commit of this table also decides the \
                 commit of the other tables: remove the option",
            )),
            false => Ok(()),
        }
    }

    async fn release(&self) {
        self.pool.clear().await;
    }

    fn decision_log(&self) -> Option<Arc<dyn DecisionLog>> {
        Some(Arc::new(self.clone()))
    }

    async fn table(&self, name: &str) -> Result<Option<Table>> {
        let (database, name) = (self.clone(), name.to_owned());
        blocking(move || database.describe(&name)).await
    }

    async fn tables(&self) -> Result<Vec<Listed>> {
        let database = self.clone();
        blocking(move || database.list()).await
    }

    async fn columns(&self) -> Result<Option<Vec<TableColumns>>> {
        let database = self.clone();
        blocking(move || database.describe_all()).await.map(Some)
    }

    fn spelled(&self, _: &str, table: &str) -> String {
        table.to_owned()
    }

    async fn default_schema(&self) -> Result<Option<String>> {
        Ok(Some("main".into()))
    }

    fn type_name(&self, name: &str) -> Option<&'static str> {
        Some(match name {
            // It would be one of numbers.
            "STRING" => "TEXT",
            "BYTEA" | "BINARY" | "VARBINARY" => "BLOB",
            _ => return None,
        })
    }

    async fn create_table(&self, table: &NewTable) -> Result<()> {
        let (database, table) = (self.clone(), table.clone());
        blocking(move || database.create(&table)).await
    }

    fn can_reject(&self) -> bool {
        true
    }

    async fn drop_if_empty(&self, table: &str) -> Result<bool> {
        let (database, table) = (self.clone(), table.to_owned());
        blocking(move || database.drop_empty(&table)).await
    }

    async fn describe_new(&self, table: &NewTable, _: bool) -> Result<Option<Table>> {
        let (database, table) = (self.clone(), table.clone());
        blocking(move || database.described_new(&table)).await
    }

    async fn plan_alteration(&self, table: &Table, added: &Schema, _: &Schema) -> Result<Alteration> {
        let (database, table, added) = (self.clone(), table.clone(), added.clone());
        blocking(move || database.plan_alteration(&table, &added)).await
    }

    async fn plan_indexes(&self, table: &Table, spec: &WriteSpec) -> Result<Indexes> {
        let (database, table, spec) = (self.clone(), table.clone(), spec.clone());
        blocking(move || database.planned_indexes(&table, &spec)).await
    }

    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()> {
        check_not_truncated(spec, "SQLite has no TRUNCATE")?;
        Targets::try_new(table, spec, Encoder::try_new)?;
        ExistingRows::of(table, spec).map(drop)
    }

    async fn run(&self, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()> {
        run(self, &statement, &parameters).await
    }

    fn check_change(&self, table: &Table, spec: &WriteSpec, change: &Change) -> Result<()> {
        change::check(table, spec, change)
    }

    fn scan(&self) -> Option<&dyn Scan> {
        Some(self)
    }
}

impl Scan for Sqlite {
    fn query(&self, query: Query) -> Result<BatchStream> {
        Ok(scan::stream(self.clone(), query))
    }

    fn dialect(&self) -> Option<&dyn QueryDialect> {
        Some(&SqliteDialect)
    }
}
