//! The trait of a database, and its capabilities.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Schema};
use async_trait::async_trait;

use crate::backend::{
    Alteration, Branch, Change, Column, DecisionLog, Dispatch, Existing, NewTable, OpenTransaction, Parameter,
    Protocol, Scan, Table, TableColumns, WriteSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Indexes, Isolation, OnConflict};
use crate::txn::{JobNumber, Xid};

/// The commit protocol that a resource manager supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Two-phase: prepares a branch, and commits it later from any session.
    TwoPhase {
        /// The maximum number of prepared branches; 0 if the server's configuration forbids them.
        branches: u32,
    },
    /// One-phase only, with any configuration.
    OnePhase,
}

impl Capability {
    /// Whether it can prepare branches with its current configuration.
    pub fn prepares(self) -> bool {
        matches!(self, Self::TwoPhase { branches: 1.. })
    }
}

/// The result of completing a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The branch is completed.
    Done,
    /// The resource manager has no such branch (`XAER_NOTA`): it was completed before, or never prepared.
    Unknown,
}

/// A prepared branch whose outcome the resource manager does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InDoubt {
    /// Its name.
    pub xid: Xid,
    /// The time since it was prepared, by the database's clock.
    pub age: Duration,
}

/// A session of the database with an open transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// The server's number of the session.
    pub session: String,
    /// The time since the transaction began.
    pub age: Duration,
    /// What the session does.
    pub state: String,
}

/// Whether the server rewrites a table, while others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrites {
    /// It changes only the description of the table.
    Never,
    /// It rewrites all rows.
    AllRows,
}

/// A table in the list of a database, or a schema without tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its schema.
    pub schema: String,
    /// Its name in the schema.
    pub table: Option<String>,
    /// Its name for [`Backend::table`].
    pub name: String,
}

/// A database: an XA resource manager with tables. All methods can be called from any session.
///
/// Three methods are required: [`location`](Self::location), [`table`](Self::table) and [`start`](Self::start). With
/// them, a database supports INSERT that appends, with one-phase commit, without a job. Every other method is a capability. Its
/// default returns an error, usually when the statement is planned.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// The location without secrets, for plans, messages and logs. Preferably a URL that the factory can open.
    fn location(&self) -> String;

    /// Describes a table; `None` if it does not exist.
    async fn table(&self, name: &str) -> Result<Option<Table>>;

    /// Starts a branch that writes according to `spec`.
    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>>;

    // Transactions.

    /// The identity of the database, the same for every user: the server's identifier and the database's name if the
    /// server has one, otherwise the location. May query the server.
    async fn identity(&self) -> Result<String> {
        Ok(self.location())
    }

    /// The commit protocol that it supports. May query the server.
    async fn capability(&self) -> Result<Capability> {
        Ok(Capability::OnePhase)
    }

    /// Commits a prepared branch. Idempotent.
    async fn commit(&self, _: &Xid) -> Result<Resolution> {
        match self.capability().await? {
            Capability::OnePhase => Ok(Resolution::Unknown),
            Capability::TwoPhase { .. } => Err(unsupported(
                self.location(),
                "prepared transactions of this database cannot be committed by Landfall",
            )),
        }
    }

    /// Rolls back a prepared branch. Idempotent.
    async fn rollback(&self, _: &Xid) -> Result<Resolution> {
        match self.capability().await? {
            Capability::OnePhase => Ok(Resolution::Unknown),
            Capability::TwoPhase { .. } => Err(unsupported(
                self.location(),
                "prepared transactions of this database cannot be rolled back by Landfall",
            )),
        }
    }

    /// The prepared branches of a job, or of all jobs: only Landfall's branches in this database.
    async fn in_doubt(&self, _: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        match self.capability().await? {
            Capability::OnePhase => Ok(Vec::new()),
            Capability::TwoPhase { .. } => {
                Err(unsupported(self.location(), "prepared transactions of this database cannot be listed by Landfall"))
            }
        }
    }

    /// The sessions with an open transaction that may be Landfall's, as far as the user can see them.
    async fn open_sessions(&self) -> Result<Vec<OpenSession>> {
        Ok(Vec::new())
    }

    /// Releases what this process holds of a prepared branch with an unknown outcome, so that another process can
    /// complete it.
    fn leave(&self, _: &Xid) {}

    /// Closes the idle connections, after a failure that may have broken all of them.
    async fn release(&self) {}

    /// The ledger in this database; `None` if it has none. Then jobs and two-phase commits need the option `log`. A
    /// database that has no ledger and cannot prepare does not support jobs.
    fn decision_log(&self) -> Option<Arc<dyn DecisionLog>> {
        None
    }

    /// Checks that a commit is durable when the database confirms it, because other branches depend on that.
    ///
    /// # Errors
    /// `Config`, naming the setting that makes commits unsafe.
    fn check_decides(&self) -> Result<()> {
        Ok(())
    }

    /// The location as an argument of the program: complete, but without secrets.
    fn url(&self) -> String {
        self.decision_log().map_or_else(|| self.location(), |log| log.url())
    }

    /// The URL with which a process on another machine opens this database, without secrets.
    ///
    /// # Errors
    /// `Unsupported` if it cannot. `Config` if the location has a password, which is not handed over.
    fn shared_url(&self) -> Result<String> {
        Err(unsupported(
            self.location(),
            "only processes of one machine can open this database, so it cannot be used on a cluster",
        ))
    }

    /// The steps that an administrator must take so that the database can prepare. Errors and warnings contain this
    /// text.
    fn how_to_prepare(&self) -> Option<&'static str> {
        None
    }

    // Tables.

    /// The schemas and tables that the user can see, except system schemas.
    async fn tables(&self) -> Result<Vec<Listed>> {
        Err(unsupported(
            self.location(),
            "the tables of this database cannot be listed: register each table with CREATE EXTERNAL TABLE",
        ))
    }

    /// The columns of all tables that [`Backend::tables`] lists, read at once for `information_schema`; `None` if the
    /// database can only describe one table at a time.
    async fn columns(&self) -> Result<Option<Vec<TableColumns>>> {
        Ok(None)
    }

    /// The name of a schema's table for [`Backend::table`].
    fn spelled(&self, _: &str, table: &str) -> String {
        table.to_owned()
    }

    /// The schema of a name without one.
    async fn default_schema(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// The quotation mark around identifiers.
    fn identifier_quote(&self) -> char {
        '"'
    }

    /// The database's name for a type, if it does not know the name that DataFusion's SQL has for it, in upper case.
    fn type_name(&self, _: &str) -> Option<&'static str> {
        None
    }

    /// Creates a table.
    async fn create_table(&self, table: &NewTable) -> Result<()> {
        Err(unsupported(
            self.location(),
            format!("table {} cannot be created by Landfall: create the table in the database", table.name),
        ))
    }

    /// Whether its branches set rows aside that cannot be stored: [`Branch::attempt`].
    fn can_reject(&self) -> bool {
        false
    }

    /// Drops a table if it has no rows; returns whether it did. For a table that was created for a statement that failed.
    async fn drop_if_empty(&self, _: &str) -> Result<bool> {
        Ok(false)
    }

    /// Describes the table that [`WriteSpec::create`] would create, as the database would then describe it, without
    /// creating it; `None` if the database cannot create a table and store its rows in one transaction. With `is_alone`, the
    /// transaction commits in one phase and stores nothing else, such as the record of a job.
    async fn describe_new(&self, _: &NewTable, _is_alone: bool) -> Result<Option<Table>> {
        Ok(None)
    }

    /// Whether the type of a column can be changed so that it stores all values of an Arrow type: whether the server then
    /// rewrites the table. `None` if it cannot, or if the column stores all of them already.
    fn widening(&self, _: &Column, _: &DataType) -> Option<Rewrites> {
        None
    }

    /// Plans statements that add columns, which accept NULL, and that change the types of columns.
    async fn plan_alteration(&self, table: &Table, _added: &Schema, _widened: &Schema) -> Result<Alteration> {
        Err(unsupported(
            self.location(),
            format!("table {} cannot be altered by Landfall: alter the table in the database", table.name),
        ))
    }

    // Writing.

    /// Checks that each column of `spec` can be written. Called when the statement is planned.
    ///
    /// # Errors
    /// `Schema`, naming the column and both types. `Unsupported` for an operation that the database does not support.
    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()> {
        if spec.existing != Existing::Keep {
            return Err(unsupported(self.location(), "INSERT OVERWRITE is not supported: use INSERT INTO"));
        }
        if spec.on_conflict != OnConflict::Error {
            let text = format!(
                "'{}' for existing keys is not supported: use INSERT INTO without the option 'on_conflict'",
                spec.on_conflict.as_str()
            );
            return Err(unsupported(self.location(), text));
        }
        for field in spec.columns.fields() {
            let column = table.column(field.name()).ok_or_else(|| {
                Error::schema(format!(
                    "table {} has no column \"{}\": its columns are {table}",
                    table.name,
                    field.name()
                ))
            })?;
            if !self.takes(column, field.data_type()) {
                return Err(Error::schema(format!(
                    "column \"{}\" (declared {}) cannot store values of Arrow type {}",
                    column.name,
                    column.sql_type,
                    field.data_type()
                )));
            }
        }
        Ok(())
    }

    /// Whether a branch can build the indexes of the table after its rows, as `spec.indexes` requests: the only branch of a
    /// statement that is one transaction. Called when the statement is planned. [`Indexes::Keep`] means that it cannot. With
    /// [`Indexes::Auto`], the branch does so if no other session uses the table, and it never fails for it.
    ///
    /// # Errors
    /// With [`Indexes::Rebuild`], `Unsupported` with the reason.
    async fn plan_indexes(&self, table: &Table, spec: &WriteSpec) -> Result<Indexes> {
        match spec.indexes {
            Indexes::Auto | Indexes::Keep => Ok(Indexes::Keep),
            Indexes::Rebuild => {
                let text = format!(
                    "the indexes of table {} cannot be built after its rows: set the option 'indexes' to 'auto'",
                    table.name
                );
                Err(unsupported(self.location(), text))
            }
        }
    }

    /// Whether branches accept values of an Arrow type for a column, and store each value unchanged or fail. Other
    /// values are converted to the column's type first.
    fn takes(&self, column: &Column, from: &DataType) -> bool {
        column.data_type == *from
    }

    /// The number of fractional digits of a second that a column stores, if that is less than its Arrow type has.
    fn second_digits(&self, _: &Column) -> Option<u32> {
        None
    }

    /// How the rows of a statement can be distributed to several writers.
    fn dispatch(&self, _: &Table, _: &WriteSpec) -> Dispatch {
        Dispatch::OneWriter("the database has one writer at a time")
    }

    /// The number of writers that pay off if this machine and the server have this many cores. More than 4 gain nothing
    /// at one server.
    fn writers_that_pay(&self, cores: u16) -> u16 {
        cores.min(4)
    }

    /// Checks that a change is possible and that each column of `spec` can be staged for it. Called when the statement
    /// is planned.
    ///
    /// # Errors
    /// `Schema`, naming the column and both types. `Unsupported` for a table that cannot be written.
    fn check_change(&self, _: &Table, _: &WriteSpec, change: &Change) -> Result<()> {
        Err(unsupported(self.location(), format!("{} is not supported: use INSERT INTO", change.verb)))
    }

    /// Whether the server finds the affected rows of a change: [`Join::AtServer`](crate::backend::Join::AtServer). Otherwise, the
    /// query finds them.
    fn joins_at_server(&self) -> bool {
        true
    }

    /// Starts a branch that changes existing rows. It stages batches with the columns of `spec`, whose meaning `change`
    /// defines, and applies the change in [`Branch::flush`].
    async fn start_change(&self, _: &Xid, _: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        Err(unsupported(self.location(), format!("{} is not supported: use INSERT INTO", change.verb)))
    }

    /// Begins a transaction in which several statements run, with this isolation level or a stronger one. With two-phase
    /// commit, it can be prepared.
    async fn begin(&self, _: &Xid, _: Protocol, _: Option<Isolation>) -> Result<Box<dyn OpenTransaction>> {
        let text = format!("{} does not support transactions of several statements", self.location());
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    // Reading.

    /// How its tables are read; `None` if they can only be written.
    fn scan(&self) -> Option<&dyn Scan> {
        None
    }

    /// Runs a statement once for each list of parameters, in one transaction. The statement uses the dialect's
    /// placeholders. `landfall bench` measures row-by-row writing with it.
    async fn run(&self, _: String, _: Vec<Vec<Parameter>>) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, format!("{} does not run SQL statements", self.location())))
    }
}

/// The error of an operation that a database does not support.
fn unsupported(location: String, what: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{location}: {}", what.as_ref()))
}
