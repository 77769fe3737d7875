//! Batches as the data of a COPY statement, for callers that send it themselves.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::{CellRows, HEADER, TRAILER};
use super::codec::Form;
use super::database::Postgres;
use super::encode::Encoder;
use crate::backend::WriteSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::Targets;

/// Encodes batches for `COPY … FROM STDIN (FORMAT BINARY)` into one table. The data of a statement is
/// [`CopyEncoder::HEADER`], any number of encoded batches, and [`CopyEncoder::TRAILER`].
#[derive(Debug)]
pub struct CopyEncoder {
    targets: Targets<Encoder>,
    buffer: Vec<u8>,
}

impl CopyEncoder {
    /// The start of a statement's data.
    pub const HEADER: &[u8] = HEADER;

    /// The end of a statement's data.
    pub const TRAILER: &[u8] = TRAILER;

    /// Creates an encoder for batches with these columns; reads the types of `table` from the catalog.
    ///
    /// # Errors
    /// `Schema` if the table does not exist or a column has no encoder, `Unsupported` if COPY cannot write a column.
    pub async fn connect(database: &Postgres, table: &str, columns: SchemaRef) -> Result<Self> {
        let Some(table) = database.describe(table).await? else {
            return Err(Error::schema(format!("table {table} does not exist")));
        };
        let targets = database.targets(&table, &WriteSpec::new(&table.name, columns))?;
        if targets.encoders().any(|encoder| encoder.form() == Form::Text) {
            return Err(Error::new(ErrorKind::Unsupported, "the binary format of a column's type is unknown"));
        }
        Ok(Self { targets, buffer: Vec::new() })
    }

    /// Encodes a batch, and calls `piece` with its bytes in pieces of whole rows.
    ///
    /// # Errors
    /// `Encode` or `Constraint`, naming row and column, if a value cannot be stored.
    pub fn encode(&mut self, batch: &RecordBatch, mut piece: impl FnMut(&[u8])) -> Result<()> {
        let mut rows = CellRows::new(self.targets.encode(batch, Encoder::encode)?, batch.num_rows());
        while rows.write(&mut self.buffer).is_some() {
            piece(&self.buffer);
        }
        Ok(())
    }
}
