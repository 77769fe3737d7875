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

/// A query for one table.
#[derive(Debug, Clone)]
pub struct Query {
    /// The description of the table.
    pub table: Arc<Table>,
    /// The indices of the requested columns.
    pub projection: Vec<usize>,
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
    /// The SQL after `FROM <table>`.
    pub fn suffix(&self, dialect: &dyn QueryDialect) -> String {
        let mut suffix = self.condition.clone();
        for (index, key) in self.order.iter().enumerate() {
            suffix += if index == 0 { " ORDER BY " } else { ", " };
            suffix += &dialect.order_by(&self.table.columns[key.column].name, key);
        }
        if let Some(limit) = self.limit {
            suffix += &format!(" LIMIT {limit}");
        }
        suffix
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
