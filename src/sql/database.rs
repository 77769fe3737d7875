//! A database beside its transactions: what tables it has, and what is in them.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::Stream;

use crate::error::Result;
use crate::sql::{NewTable, Table};
use crate::xa::{ResourceManager, WriteSpec};

/// Batches on their way out of a database.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// A value in a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// An integer.
    Integer(i64),
    /// A finite number.
    Real(f64),
    /// A text.
    Text(String),
}

/// A query for one table.
#[derive(Debug, Clone)]
pub struct Query {
    /// The table, as it was described.
    pub table: Arc<Table>,
    /// The columns of it that are wanted, by index.
    pub projection: Vec<usize>,
    /// What follows `FROM <table>`: `WHERE` and `LIMIT`, or nothing.
    pub suffix: String,
    /// The values of `?1`, `?2` … in it.
    pub parameters: Vec<Parameter>,
    /// The schema of the batches: the wanted columns, in their types or in types that hold the same values.
    pub schema: SchemaRef,
    /// Rows in a batch, at most.
    pub batch_size: usize,
}

/// A database that tables live in.
#[async_trait]
pub trait Database: ResourceManager {
    /// Where it is, without secrets: for plans, messages and logs.
    fn location(&self) -> String;

    /// Describes a table; `None` where it is not there.
    async fn table(&self, name: &str) -> Result<Option<Table>>;

    /// Creates a table.
    async fn create_table(&self, table: &NewTable) -> Result<()>;

    /// Checks when the plan is made that each column of `spec` can be written.
    ///
    /// # Errors
    /// `Schema`, naming the column and both types.
    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()>;

    /// Starts a query and streams its rows. The read begins with this call, not with the first poll.
    fn query(&self, query: Query) -> Result<BatchStream>;
}
