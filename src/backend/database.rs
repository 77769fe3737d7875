//! A database: what it can do, and how it is asked to.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;
use async_trait::async_trait;

use crate::backend::{
    Branch, Change, Column, DecisionLog, Dispatch, Existing, NewTable, Parameter, Scan, Table, WriteSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::txn::{JobNumber, Xid};

/// What a resource manager can promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Prepares, and commits later from any session.
    TwoPhase {
        /// As many branches at once, at most; none where it is set up so.
        branches: u32,
    },
    /// Commits at once or not at all, however it is set up.
    OnePhase,
}

impl Capability {
    /// Whether it can prepare now.
    pub fn prepares(self) -> bool {
        matches!(self, Self::TwoPhase { branches: 1.. })
    }
}

/// How the completion of a branch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It is done now.
    Done,
    /// The resource manager has no such branch (`XAER_NOTA`): it was done before, or never prepared.
    Unknown,
}

/// A prepared branch whose outcome the resource manager does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InDoubt {
    /// Its name.
    pub xid: Xid,
    /// How long ago it was prepared, by the database's clock.
    pub age: Duration,
}

/// A table in the list of a database, or a schema without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its schema.
    pub schema: String,
    /// Its name there.
    pub table: Option<String>,
    /// What [`Backend::table`] calls it.
    pub name: String,
}

/// A database, seen as an XA resource manager and as a place of tables. All methods can be called from any session.
///
/// Three methods are required: [`location`](Self::location), [`table`](Self::table) and [`start`](Self::start). With them a
/// database takes INSERTs that append, in one phase, and without a job. Everything else is a capability; its default
/// refuses, as a rule when the plan is made, with an error that says so.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// Where it is, without secrets: for plans, messages and logs. Best a URL that its factory opens again.
    fn location(&self) -> String;

    /// Describes a table; `None` where it is not there.
    async fn table(&self, name: &str) -> Result<Option<Table>>;

    /// Begins a branch that writes as `spec` says.
    async fn start(&self, xid: &Xid, spec: &WriteSpec) -> Result<Box<dyn Branch>>;

    // Transactions.

    /// What tells it from all other databases, whoever connects to it: the server's own identifier with the name of the
    /// database, where it has one, else where it is. May ask the server.
    async fn identity(&self) -> Result<String> {
        Ok(self.location())
    }

    /// What it can promise. May ask the server.
    async fn capability(&self) -> Result<Capability> {
        Ok(Capability::OnePhase)
    }

    /// Commits a prepared branch; idempotent.
    async fn commit(&self, _: &Xid) -> Result<Resolution> {
        match self.capability().await? {
            Capability::OnePhase => Ok(Resolution::Unknown),
            Capability::TwoPhase { .. } => {
                Err(unsupported(self.location(), "its prepared branches cannot be committed"))
            }
        }
    }

    /// Rolls a prepared branch back; idempotent.
    async fn rollback(&self, _: &Xid) -> Result<Resolution> {
        match self.capability().await? {
            Capability::OnePhase => Ok(Resolution::Unknown),
            Capability::TwoPhase { .. } => {
                Err(unsupported(self.location(), "its prepared branches cannot be rolled back"))
            }
        }
    }

    /// The prepared branches of a job, or of all jobs. Only Landfall's own, only this database's.
    async fn in_doubt(&self, _: Option<JobNumber>) -> Result<Vec<InDoubt>> {
        match self.capability().await? {
            Capability::OnePhase => Ok(Vec::new()),
            Capability::TwoPhase { .. } => Err(unsupported(self.location(), "its prepared branches cannot be found")),
        }
    }

    /// Gives up what this process holds of a prepared branch whose end it does not know: another process is to end it.
    fn leave(&self, _: &Xid) {}

    /// Closes idle connections: after a failure that may have broken all of them.
    async fn release(&self) {}

    /// The ledger in this database; `None` where it keeps none. Then a job, and a write that commits in two phases, needs
    /// the option `log`, and a database that cannot prepare either takes no jobs.
    fn decision_log(&self) -> Option<Arc<dyn DecisionLog>> {
        None
    }

    /// Checks that what it commits is durable when it is answered, as others act on that.
    ///
    /// # Errors
    /// `Config`, with the option that says otherwise.
    fn check_decides(&self) -> Result<()> {
        Ok(())
    }

    /// Where it is, as the program takes it: with what finds it again, and without secrets.
    fn url(&self) -> String {
        self.decision_log().map_or_else(|| self.location(), |log| log.url())
    }

    /// What an administrator has to do so that it can prepare: added to errors and warnings that are about it.
    fn how_to_prepare(&self) -> Option<&'static str> {
        None
    }

    // Tables.

    /// The schemas and tables that the user can see, but for the database's own.
    async fn tables(&self) -> Result<Vec<Listed>> {
        Err(unsupported(self.location(), "its tables cannot be listed: name one with CREATE EXTERNAL TABLE"))
    }

    /// What [`Backend::table`] calls a table of a schema.
    fn spelled(&self, _: &str, table: &str) -> String {
        table.to_owned()
    }

    /// Creates a table.
    async fn create_table(&self, table: &NewTable) -> Result<()> {
        Err(unsupported(self.location(), format!("table {} cannot be created from here: create it there", table.name)))
    }

    // Writing.

    /// Checks when the plan is made that each column of `spec` can be written.
    ///
    /// # Errors
    /// `Schema`, naming the column and both types; `Unsupported` for what the database cannot do.
    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()> {
        if spec.existing != Existing::Keep {
            return Err(unsupported(self.location(), "it has no INSERT OVERWRITE: use INSERT INTO"));
        }
        if spec.on_conflict != OnConflict::Error {
            let text = format!("it finds no rows by their keys, as on_conflict = {} asks", spec.on_conflict.as_str());
            return Err(unsupported(self.location(), text));
        }
        for field in spec.columns.fields() {
            let column = table.column(field.name()).ok_or_else(|| {
                Error::schema(format!("table {} has no column \"{}\": it has {table}", table.name, field.name()))
            })?;
            if !self.takes(column, field.data_type()) {
                return Err(Error::schema(format!(
                    "column \"{}\" (declared {}) is not written from {}",
                    column.name,
                    column.sql_type,
                    field.data_type()
                )));
            }
        }
        Ok(())
    }

    /// Whether its branches take values of an Arrow type for a column as they are, and store each unchanged or fail. What
    /// they do not take comes in the column's own type.
    fn takes(&self, column: &Column, from: &DataType) -> bool {
        column.data_type == *from
    }

    /// How many digits behind the point of a second a column keeps, where that is less than its Arrow type does.
    fn second_digits(&self, _: &Column) -> Option<u32> {
        None
    }

    /// How rows of a write can be dealt out to several writers.
    fn dispatch(&self, _: &Table, _: &WriteSpec) -> Dispatch {
        Dispatch::OneWriter("the database has one writer at a time")
    }

    /// How many writers of one table are worth their while, where this machine has so many cores and the server may
    /// have as many: more than 4 gain nothing at one server.
    fn writers_that_pay(&self, cores: u16) -> u16 {
        cores.min(4)
    }

    /// Checks when the plan is made that a change can be made, and each column of `spec` be staged for it.
    ///
    /// # Errors
    /// `Schema`, naming the column and both types; `Unsupported` for a table that cannot be written.
    fn check_change(&self, _: &Table, _: &WriteSpec, change: &Change) -> Result<()> {
        Err(unsupported(self.location(), format!("{} is not known there: use INSERT INTO", change.verb)))
    }

    /// Begins a branch that changes existing rows. It stages batches of the columns of `spec`, whose meaning `change` gives,
    /// and applies the change at [`Branch::flush`].
    async fn start_change(&self, _: &Xid, _: &WriteSpec, change: &Arc<Change>) -> Result<Box<dyn Branch>> {
        Err(unsupported(self.location(), format!("{} is not known there: use INSERT INTO", change.verb)))
    }

    // Reading.

    /// How its tables are read; `None` where they are only written.
    fn scan(&self) -> Option<&dyn Scan> {
        None
    }

    /// Runs a statement once for each list of parameters, in one transaction: what writing row by row is. The dialect's
    /// own placeholders stand for them.
    async fn run(&self, _: String, _: Vec<Vec<Parameter>>) -> Result<()> {
        Err(unsupported(self.location(), "it takes no statements of SQL"))
    }
}

/// The error of what a database cannot do.
fn unsupported(location: String, what: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{location}: {}", what.as_ref()))
}
