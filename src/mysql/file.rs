//! Batches as the file of a LOAD DATA statement, for callers that send it themselves.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::branch::TextRows;
use super::database::MySql;
use super::fields::Style;
use super::statements::{InsertMethod, load};
use crate::error::{Error, Result};
use crate::sql::{EncodedRows, RowEncoder};

/// Encodes batches for the LOAD DATA statement of one table. Its file is any number of encoded batches.
#[derive(Debug)]
pub struct FileEncoder {
    statement: String,
    rows: TextRows,
    buffer: Vec<u8>,
}

impl FileEncoder {
    /// Creates an encoder for batches with these columns; reads the types of `table` from the catalog.
    ///
    /// # Errors
    /// `Schema` if the table does not exist or a column has no encoder.
    pub async fn connect(database: &MySql, table: &str, columns: SchemaRef) -> Result<Self> {
        let Some(table) = database.describe(table).await? else {
            return Err(Error::schema(format!("table {table} does not exist")));
        };
        let spec = crate::backend::WriteSpec::new(&table.name, columns);
        let targets = database.targets(&table, &spec, Style::File)?;
        let (InsertMethod::Load(statement), frame) = load(&table, &spec)? else {
            return Err(Error::internal("LOAD DATA was expected, not INSERT"));
        };
        Ok(Self {
            statement,
            rows: TextRows { targets, large: None, frame: Arc::clone(&frame), existing: None },
            buffer: Vec::new(),
        })
    }

    /// The LOAD DATA statement for the file. The session's `sql_mode` must include ANSI_QUOTES and NO_BACKSLASH_ESCAPES.
    pub fn statement(&self) -> &str {
        &self.statement
    }

    /// Encodes a batch, and calls `piece` with its bytes in pieces of whole rows.
    ///
    /// # Errors
    /// `Encode` or `Constraint`, naming row and column, if a value cannot be stored.
    pub fn encode(&mut self, batch: &RecordBatch, mut piece: impl FnMut(&[u8])) -> Result<()> {
        let mut rows = self.rows.encode(batch)?;
        while rows.write(&mut self.buffer)?.is_some() {
            piece(&self.buffer);
        }
        Ok(())
    }
}
