//! A query for one table.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use futures::Stream;

use crate::backend::{OrderKey, Parameter, QueryDialect, Table};
use crate::columnar::LosslessCast;
use crate::error::{Error, Result};

/// A stream of batches from a database.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// Aggregates of the rows of a table, in the SQL of its database.
#[derive(Debug, PartialEq, Eq)]
pub struct Aggregates {
    /// The expressions, with the names of their columns: `count(*) AS "0", "kind" AS "1"`.
    pub select: String,
    /// ` GROUP BY …`, or empty.
    pub group_by: String,
}

/// A query for one table.
#[derive(Debug, Clone)]
pub struct Query {
    /// The description of the table, or of its aggregates.
    pub table: Arc<Table>,
    /// The indices of the requested columns.
    pub projection: Vec<usize>,
    /// The aggregates that the database computes of the rows; the columns of `table` are these.
    pub aggregates: Option<Arc<Aggregates>>,
    /// ` WHERE …`, or empty.
    pub condition: String,
    /// The values of the parameters `?1`, `?2` … of the condition.
    pub parameters: Vec<Parameter>,
    /// The sort order, the most significant column first. Empty for no order.
    pub order: Vec<OrderKey>,
    /// The maximum number of rows.
    pub limit: Option<usize>,
    /// The schema of the batches: the requested columns, in their types or in types that store the same values.
    pub schema: SchemaRef,
    /// The maximum number of rows of a batch.
    pub batch_size: usize,
}

impl Query {
    /// The SQL after the selected columns: ` FROM …`. The name of the table must be quoted.
    pub fn from(&self, table: &str, dialect: &dyn QueryDialect) -> String {
        let from = match self.aggregates.as_deref() {
            None => format!(" FROM {table}{}", self.condition),
            Some(Aggregates { select, group_by }) => {
                format!(" FROM (SELECT {select} FROM {table}{}{group_by}) AS landfall", self.condition)
            }
        };
        from + &self.order_and_limit(dialect)
    }

    /// The SQL after `FROM <table>`, of a query without aggregates.
    pub fn suffix(&self, dialect: &dyn QueryDialect) -> String {
        self.condition.clone() + &self.order_and_limit(dialect)
    }

    fn order_and_limit(&self, dialect: &dyn QueryDialect) -> String {
        let mut sql = String::new();
        for (index, key) in self.order.iter().enumerate() {
            sql += if index == 0 { " ORDER BY " } else { ", " };
            sql += &dialect.order_by(&self.table.columns[key.column].name, key);
        }
        if let Some(limit) = self.limit {
            sql += &format!(" LIMIT {limit}");
        }
        sql
    }

    /// The conversions of the requested columns from the types in which they are read to the types of the batches.
    ///
    /// # Errors
    /// `Schema` if a conversion does not exist.
    pub(crate) fn conforms(&self) -> Result<Vec<LosslessCast>> {
        let columns = self.projection.iter().map(|index| &self.table.columns[*index]);
        let ways = columns.zip(self.schema.fields()).map(|(column, field)| {
            LosslessCast::try_new(&column.data_type, field.data_type()).ok_or_else(|| {
                Error::schema(format!(
                    "column \"{}\" is read as {}, which cannot be converted to {}",
                    column.name,
                    column.data_type,
                    field.data_type()
                ))
            })
        });
        ways.collect()
    }

    /// Creates a batch from the requested columns, in the types of the table, in which they are read.
    ///
    /// # Errors
    /// `Schema` if a type cannot be converted to that of [`Query::schema`]. `Decode` for a value that it cannot store.
    pub fn conformed(&self, columns: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
        let ways = self.conforms()?;
        let columns = ways.iter().zip(columns).map(|(way, column)| way.apply(column));
        self.batch(columns.collect::<Result<_>>()?, rows)
    }

    /// Creates a batch from these columns, which must have the types of [`Query::schema`].
    ///
    /// # Errors
    /// `Internal` if the columns have other types.
    pub fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Error::internal(error.to_string()))
    }
}
