//! Oracle as a resource manager and as a database of tables.

use std::sync::Arc;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion_landfall::backend::{
    Backend, BatchStream, Branch, Capability, Change, Column, DecisionLog, Dispatch, InDoubt, Listed, NewTable,
    Parameter, Query, QueryDialect, Resolution, Scan, Table, TableColumns, WriteSpec,
};
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::sql::{self, TableName, check_not_truncated};
use datafusion_landfall::txn::{JobNumber, Xid};

use crate::catalog::{Relation, SCHEMA, Stored, text};
use crate::connector::Opened;
use crate::database::Oracle;
use crate::dialect::OracleDialect;
use crate::encode::Encoder;
use crate::error::{GRANTS, NO_TABLE};
use crate::failpoint::failpoint;
use crate::ledger::binds;
use crate::names::shown;
use crate::open::{call, now, refused};
use crate::sender::NO_TRUNCATE;
use crate::session::Bind;
use crate::xa::{self, Code, Pending};
use crate::{change, create, scan, sender};

/// The name of the database and of its container, the same for every user.
pub(crate) const IDENTITY: &str = "SELECT SYS_CONTEXT('USERENV', 'DB_UNIQUE_NAME'), SYS_CONTEXT('USERENV', 'DB_DOMAIN'), \
     SYS_CONTEXT('USERENV', 'CON_NAME') FROM DUAL";

#[async_trait]
impl Backend for Oracle {
    fn location(&self) -> String {
        self.location().to_string()
    }

    fn shared_url(&self) -> Result<String> {
        self.location().shared_url()
    }

    async fn identity(&self) -> Result<String> {
        let mut connection = self.connect().await?;
        let rows = connection.rows(IDENTITY, Vec::new()).await;
        let rows = rows.map_err(|error| error.with_context("reading the name of the database"))?;
        connection.give_back();
        let row = rows.first().map(Vec::as_slice).unwrap_or_default();
        let domain = if text(row, 1).is_empty() { String::new() } else { format!(".{}", text(row, 1)) };
        Ok(format!("Oracle database {}{domain}, container {}", text(row, 0), text(row, 2)))
    }

    async fn capability(&self) -> Result<Capability> {
        if let Some(known) = self.capability.get() {
            return Ok(*known);
        }
        let mut connection = self.connect().await?;
        let can = match self.pending(&mut connection).await {
            Ok(_) => self.asks_xa(&mut connection).await,
            Err(error) => Err(error),
        };
        let branches = match can {
            Ok(()) => u32::MAX,
            Err(error) if error.kind() == ErrorKind::Access => 0,
            Err(error) => return Err(error),
        };
        connection.give_back();
        Ok(*self.capability.get_or_init(|| Capability::TwoPhase { branches }))
    }

    fn how_to_prepare(&self) -> Option<&'static str> {
        Some(GRANTS)
    }

    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>> {
        Ok(Box::new(sender::start(self.clone(), xid, spec, None).await?))
    }

    fn joins_at_server(&self) -> bool {
        false
    }

    fn check_change(&self, table: &Table, spec: &WriteSpec, change: &Change) -> Result<()> {
        Relation::of(table)?.check_writable()?;
        sql::check_change(table, change)?;
        change::targets(self, table, spec, change).map(drop)
    }

    async fn start_change(&self, xid: &Xid, spec: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        Ok(Box::new(sender::start(self.clone(), xid, spec, Some(change)).await?))
    }

    async fn commit(&self, xid: &Xid) -> Result<Resolution> {
        self.complete("XA_COMMIT", xa::COMMIT, Code::ForcedCommit, xid).await
    }

    async fn rollback(&self, xid: &Xid) -> Result<Resolution> {
        self.complete("XA_ROLLBACK", xa::ROLLBACK, Code::ForcedRollback, xid).await
    }

    async fn in_doubt(&self, job: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        if job.is_some() && !self.capability().await?.prepares() {
            // If branches cannot be prepared, the job has left none.
            return Ok(Vec::new());
        }
        let mut connection = self.connect().await?;
        let found = self.pending(&mut connection).await?;
        let now = if found.is_empty() { 0 } else { now(&mut connection).await? };
        connection.give_back();
        let of_job = found.iter().filter(|branch| job.is_none_or(|job| branch.xid.gtrid.job() == job));
        let mut in_doubt: Vec<_> = of_job.map(|branch| branch.in_doubt(now)).collect();
        in_doubt.sort_by_key(|branch| branch.xid);
        Ok(in_doubt)
    }

    async fn release(&self) {
        self.pool.clear().await;
    }

    fn decision_log(&self) -> Option<Arc<dyn DecisionLog>> {
        Some(Arc::new(self.clone()))
    }

    async fn table(&self, name: &str) -> Result<Option<Table>> {
        let mut connection = self.connect().await?;
        let table = self.describe(&mut connection, name).await?;
        connection.give_back();
        Ok(table)
    }

    async fn tables(&self) -> Result<Vec<Listed>> {
        let mut connection = self.connect().await?;
        let tables = self.list(&mut connection).await?;
        connection.give_back();
        Ok(tables)
    }

    async fn columns(&self) -> Result<Option<Vec<TableColumns>>> {
        let mut connection = self.connect().await?;
        let columns = self.describe_all(&mut connection).await?;
        connection.give_back();
        Ok(Some(columns))
    }

    fn spelled(&self, schema: &str, table: &str) -> String {
        TableName { schema: Some(schema.to_owned()), table: table.to_owned() }.to_string()
    }

    async fn default_schema(&self) -> Result<Option<String>> {
        let mut connection = self.connect().await?;
        let rows = connection.rows(SCHEMA, Vec::new()).await?;
        connection.give_back();
        Ok(rows.first().map(|row| shown(text(row, 0))))
    }

    async fn create_table(&self, table: &NewTable) -> Result<()> {
        let statement = create::statement(table)?;
        let mut connection = self.connect().await?;
        let created = connection.execute(statement, Vec::new()).await;
        created.map_err(|error| error.with_context(format!("creating table {}", table.name)))?;
        connection.give_back();
        Ok(())
    }

    fn takes(&self, column: &Column, from: &DataType) -> bool {
        Encoder::try_new(from, column, self.empty_strings).is_ok()
    }

    fn second_digits(&self, column: &Column) -> Option<u32> {
        Stored::of(column).ok()?.kind.second_digits()
    }

    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()> {
        Relation::of(table)?.check_writable()?;
        check_not_truncated(spec, NO_TRUNCATE)?;
        self.targets(table, spec).map(drop)
    }

    fn dispatch(&self, _: &Table, _: &WriteSpec) -> Dispatch {
        Dispatch::OneWriter("several writers of a table in Oracle are not tested yet")
    }

    async fn run(&self, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()> {
        let mut connection = self.pool.acquire_to_write().await?;
        for parameters in &parameters {
            connection.execute(statement.clone(), binds(parameters)).await?;
        }
        connection.run(|session| session.commit()).await?;
        connection.give_back();
        Ok(())
    }

    fn scan(&self) -> Option<&dyn Scan> {
        Some(self)
    }
}

impl Scan for Oracle {
    fn query(&self, query: Query) -> Result<BatchStream> {
        Ok(scan::stream(self.clone(), query))
    }

    fn dialect(&self) -> Option<&dyn QueryDialect> {
        Some(&OracleDialect)
    }
}

impl Oracle {
    /// Landfall's prepared branches in the whole database.
    async fn pending(&self, opened: &mut Opened) -> Result<Vec<Pending>> {
        let rows = opened.rows(xa::PENDING, Vec::new()).await.map_err(|error| match error.code() {
            Some(code) if code == format!("ORA-{NO_TABLE:05}") => {
                Error::new(ErrorKind::Access, GRANTS).with_source(error).with_context("listing prepared branches")
            }
            _ => error.with_context("listing prepared branches"),
        })?;
        Ok(rows.iter().filter_map(|row| Pending::parse(row)).collect())
    }

    /// Checks that the user may call `DBMS_XA`, and see what a DBA did.
    async fn asks_xa(&self, opened: &mut Opened) -> Result<()> {
        opened.call(xa::LAST_ERROR, Vec::new()).await?;
        opened.rows(xa::FORCED, vec![Bind::Text("-".to_owned())]).await.map(drop)
    }

    /// What a DBA has done to a branch that is no longer prepared.
    async fn forced(&self, opened: &mut Opened, xid: &Xid) -> Result<Option<Code>> {
        let rows = opened.rows(xa::FORCED, vec![xa::pattern(xid)]).await;
        let rows = rows.map_err(|error| error.with_context("reading DBA_2PC_PENDING"))?;
        Ok(rows.first().and_then(|row| xa::forced(text(row, 0), text(row, 1))))
    }

    async fn complete(&self, step: &str, block: &'static str, forced: Code, xid: &Xid) -> Result<Resolution> {
        if !self.capability().await?.prepares() {
            return Err(Error::new(ErrorKind::Access, GRANTS).with_context(format!("{step} of branch {xid}")));
        }
        let mut connection = self.pool.acquire_to_end().await?;
        let found = self.pending(&mut connection).await?;
        let Some(branch) = found.into_iter().find(|branch| branch.xid == *xid) else {
            let done = self.forced(&mut connection, xid).await?;
            connection.give_back();
            return match done {
                Some(code) if code != forced => Err(code.error(step, &xid.to_string(), 0)),
                _ => Ok(Resolution::Unknown),
            };
        };
        failpoint("oracle.complete.before");
        let done = call(&mut connection, block, &branch.name).await;
        failpoint("oracle.complete.after");
        let resolution = match done.map_err(|error| error.with_context(format!("{step} of branch {xid}")))? {
            Code::Ok | Code::ReadOnly => Resolution::Done,
            Code::Unknown => Resolution::Unknown,
            // A DBA has done it already: the server may forget that.
            code if code == forced => {
                log::warn!("a DBA has completed branch {xid} by hand, as it was decided");
                call(&mut connection, xa::FORGET, &branch.name).await?;
                Resolution::Done
            }
            code => return Err(refused(&mut connection, step, &xid.to_string(), code).await),
        };
        connection.give_back();
        Ok(resolution)
    }
}
