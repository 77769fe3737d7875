//! A database beside its transactions: what tables it has, and what is in them.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use futures::Stream;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use futures::stream;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use tokio::sync::mpsc;

use crate::columnar::Conform;
use crate::error::{Error, Result};
use crate::sql::{Column, NewTable, Table, TableName, quote};
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::sql::{Comparison, Filled};
use crate::xa::Existing;
use crate::xa::{Change, Parameter, ResourceManager, WriteSpec};

/// Batches on their way out of a database.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// Whose SQL a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Values stand in a query as parameters `?1`, `?2` ….
    Sqlite,
    /// Values stand in a query as literals: COPY takes no parameters.
    Postgres,
    /// Values stand in a query as parameters `?`, in the order in which they come.
    MySql,
}

/// Refuses a TRUNCATE that a database has not, or not within a transaction.
///
/// # Errors
/// `Unsupported`, with what to do.
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(crate) fn check_not_truncated(spec: &WriteSpec, why: &str) -> Result<()> {
    match spec.existing {
        Existing::Truncate => {
            let text = format!("the option 'overwrite' cannot be 'truncate' here, as {why}: leave it out");
            Err(Error::new(crate::error::ErrorKind::Unsupported, text))
        }
        Existing::Keep | Existing::Delete => Ok(()),
    }
}

/// How rows are dealt out to several writers of one transaction, which do not see each other's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatch {
    /// They are not: one writer takes them all, for this reason.
    OneWriter(&'static str),
    /// Batch by batch.
    RoundRobin,
    /// Rows that are equal in these columns go to the same writer.
    ByKey(Vec<String>),
}

impl Dispatch {
    /// How rows of a table can be dealt out; `one_writer` says why they cannot, beside what is in its description, and
    /// `is_text` whether a column takes every text.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn of(
        table: &Table,
        spec: &WriteSpec,
        one_writer: Option<&'static str>,
        is_text: impl Fn(&Column) -> bool,
    ) -> Self {
        if spec.existing != Existing::Keep {
            return Self::OneWriter("one transaction empties the table and fills it");
        }
        if let Some(reason) = one_writer {
            return Self::OneWriter(reason);
        }
        let keys: Vec<_> =
            std::iter::once(&table.primary_key).filter(|key| !key.is_empty()).chain(&table.unique_keys).collect();
        let key = match keys.as_slice() {
            [] => return Self::RoundRobin,
            [key] => *key,
            _ => return Self::OneWriter("it has several unique keys"),
        };
        // Equal here must be equal there.
        let compares_alike = |name: &String| {
            let (Some(column), Ok(field)) = (table.column(name), spec.columns.field_with_name(name)) else {
                return false;
            };
            let is_alike = *field.data_type() == column.data_type && !field.data_type().is_string()
                || field.data_type().is_string() && is_text(column);
            is_alike
                && !column.data_type.is_floating()
                && matches!(column.comparison, Comparison::Exact | Comparison::Equality)
        };
        if key.iter().all(compares_alike) {
            return Self::ByKey(key.clone());
        }
        // A column of the key that is not written has a default, such as a number that is never given twice.
        let is_numbered = |name: &String| {
            spec.columns.field_with_name(name).is_err()
                && table.column(name).is_some_and(|column| column.filled == Filled::Numbered)
        };
        match key.iter().any(is_numbered) {
            true => Self::RoundRobin,
            false => Self::OneWriter("the server may find values of its key equal that are not spelled alike"),
        }
    }
}

/// A table in the list of a database, or a schema without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its schema.
    pub schema: String,
    /// Its name there.
    pub table: Option<String>,
    /// What [`Database::table`] calls it.
    pub name: String,
}

/// A column that rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderKey {
    /// The column of the table, by index.
    pub column: usize,
    /// From the largest value to the smallest.
    pub descending: bool,
    /// NULL comes before all values.
    pub nulls_first: bool,
}

/// A query for one table.
#[derive(Debug, Clone)]
pub struct Query {
    /// The table, as it was described.
    pub table: Arc<Table>,
    /// The columns of it that are wanted, by index.
    pub projection: Vec<usize>,
    /// ` WHERE …`, or nothing.
    pub condition: String,
    /// The values of `?1`, `?2` … in it.
    pub parameters: Vec<Parameter>,
    /// What rows are sorted by, the most significant first; none is in no order.
    pub order: Vec<OrderKey>,
    /// How many rows are wanted, at most.
    pub limit: Option<usize>,
    /// The schema of the batches: the wanted columns, in their types or in types that hold the same values.
    pub schema: SchemaRef,
    /// Rows in a batch, at most.
    pub batch_size: usize,
}

/// Batches on their way to whoever consumes them; closed when nobody does any more.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) type Batches = mpsc::Sender<Result<RecordBatch>>;

/// Reads in a task of its own, a few batches ahead of whoever consumes them.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn read_ahead<F>(table: String, read: impl FnOnce(Batches) -> F + Send + 'static) -> BatchStream
where
    F: Future<Output = Result<()>> + Send,
{
    const BATCHES: usize = 2;
    let (sender, receiver) = mpsc::channel(BATCHES);
    tokio::spawn(async move {
        if let Err(error) = read(sender.clone()).await {
            // Nobody waits for it any more where this fails.
            let _ = sender.send(Err(error.with_context(format!("reading table {table}")))).await;
        }
    });
    Box::pin(stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
}

impl Query {
    /// What follows `FROM <table>`.
    pub(crate) fn suffix(&self, dialect: Dialect) -> String {
        let mut suffix = self.condition.clone();
        for (index, key) in self.order.iter().enumerate() {
            let name = quote(&self.table.columns[key.column].name);
            suffix += if index == 0 { " ORDER BY " } else { ", " };
            // It has no words for it: NULL is its smallest value.
            if dialect == Dialect::MySql && key.nulls_first == key.descending {
                suffix += &format!("{name} IS NULL{}, ", if key.nulls_first { " DESC" } else { "" });
            }
            suffix += &name;
            suffix += if key.descending { " DESC" } else { " ASC" };
            if dialect != Dialect::MySql {
                suffix += if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" };
            }
        }
        if let Some(limit) = self.limit {
            suffix += &format!(" LIMIT {limit}");
        }
        suffix
    }

    /// The ways of the wanted columns from the types that they are read as to those of the batches.
    ///
    /// # Errors
    /// `Schema` where there is none.
    pub(crate) fn conforms(&self) -> Result<Vec<Conform>> {
        let columns = self.projection.iter().map(|index| &self.table.columns[*index]);
        let ways = columns.zip(self.schema.fields()).map(|(column, field)| {
            Conform::try_new(&column.data_type, field.data_type()).ok_or_else(|| {
                Error::schema(format!(
                    "column \"{}\" is read as {}, which cannot stand for {}",
                    column.name,
                    column.data_type,
                    field.data_type()
                ))
            })
        });
        ways.collect()
    }

    /// A batch of so many rows.
    pub(crate) fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Error::internal(error.to_string()))
    }
}

/// A database that tables live in.
#[async_trait]
pub trait Database: ResourceManager {
    /// Whose SQL it speaks.
    fn dialect(&self) -> Dialect;

    /// Describes a table; `None` where it is not there.
    async fn table(&self, name: &str) -> Result<Option<Table>>;

    /// The schemas and tables that the user can see, but for the database's own.
    async fn tables(&self) -> Result<Vec<Listed>>;

    /// What [`Database::table`] calls a table of a schema.
    fn spelled(&self, schema: &str, table: &str) -> String {
        TableName { schema: Some(schema.to_owned()), table: table.to_owned() }.to_string()
    }

    /// Creates a table.
    async fn create_table(&self, table: &NewTable) -> Result<()>;

    /// The column as it is when it is read as another type; `None` where it cannot be, and values have to be converted
    /// when they are there.
    fn read_as(&self, column: &Column, wanted: &DataType) -> Option<Column> {
        (column.data_type == *wanted).then(|| column.clone())
    }

    /// Whether its writers take values of an Arrow type for a column as they are, and store each unchanged or fail.
    fn takes(&self, column: &Column, from: &DataType) -> bool {
        Conform::try_new(from, &column.data_type).is_some()
    }

    /// How many digits behind the point of a second a column keeps, where that is less than its Arrow type does.
    fn second_digits(&self, _: &Column) -> Option<u32> {
        None
    }

    /// Checks when the plan is made that each column of `spec` can be written.
    ///
    /// # Errors
    /// `Schema`, naming the column and both types.
    fn check(&self, table: &Table, spec: &WriteSpec) -> Result<()>;

    /// Checks when the plan is made that a change can be made, and each column of `spec` be staged for it.
    ///
    /// # Errors
    /// `Schema`, naming the column and both types; `Unsupported` for a table that cannot be written.
    fn check_change(&self, table: &Table, spec: &WriteSpec, change: &Change) -> Result<()>;

    /// How rows of a write can be dealt out to several writers.
    fn dispatch(&self, _: &Table, _: &WriteSpec) -> Dispatch {
        Dispatch::OneWriter("the database has one writer at a time")
    }

    /// How many writers of one table are worth their while, where this machine has so many cores and the server may
    /// have as many: more than 4 gain nothing at one server.
    fn writers_that_pay(&self, cores: u16) -> u16 {
        cores.min(4)
    }

    /// Runs a statement once for each list of parameters, in one transaction: what writing row by row is. The dialect's
    /// own placeholders stand for them.
    async fn run(&self, statement: String, parameters: Vec<Vec<Parameter>>) -> Result<()>;

    /// Starts a query and streams its rows. The read begins with this call, not with the first poll.
    fn query(&self, query: Query) -> Result<BatchStream>;
}
