//! An Oracle database.

use std::sync::{Arc, OnceLock};

use datafusion_landfall::backend::{Capability, Table, WriteSpec};
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::options::SinkOptions;
use datafusion_landfall::pool::Pool;
use datafusion_landfall::sql::Targets;
use datafusion_landfall::sql::ledger::Ledger;

use crate::connector::{Connection, Connector, Opened};
use crate::dialect::LEDGER;
use crate::encode::Encoder;
use crate::location::Location;
use crate::options::{EmptyStrings, xa_timeout};
use crate::session::Connect;

/// An Oracle database.
#[derive(Debug, Clone)]
pub struct Oracle {
    pub(crate) pool: Pool<Connector>,
    pub(crate) ledger: Ledger,
    pub(crate) empty_strings: EmptyStrings,
    /// The seconds of the option `xa_timeout`.
    pub(crate) xa_timeout: u32,
    /// The server's capability, once it was read.
    pub(crate) capability: Arc<OnceLock<Capability>>,
    /// Whether the database stores all characters, once it was read.
    pub(crate) unicode: Arc<OnceLock<bool>>,
}

impl Oracle {
    /// The database at a location, whose sessions `connect` opens. This does not connect yet.
    ///
    /// # Errors
    /// `Config` for options that contradict each other.
    pub fn try_new(location: Location, connect: Arc<dyn Connect>, options: &SinkOptions) -> Result<Self> {
        Ok(Self {
            pool: Pool::new(Connector { location, connect }, options.pool()?),
            ledger: Ledger::try_new(options.ledger_table(), &LEDGER)?,
            empty_strings: EmptyStrings::of(options),
            xa_timeout: xa_timeout(options),
            capability: Arc::default(),
            unicode: Arc::default(),
        })
    }

    /// A session without an open transaction.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        self.pool.acquire().await
    }

    pub(crate) fn location(&self) -> &Location {
        &self.pool.connector().location
    }

    /// Describes a table that a statement writes.
    pub(crate) async fn describe_known(&self, opened: &mut Opened, name: &str) -> Result<Table> {
        let table = self.describe(opened, name).await?;
        table.ok_or_else(|| Error::new(ErrorKind::Schema, format!("table {name} does not exist: it was dropped")))
    }

    /// The encoders of a write.
    pub(crate) fn targets(&self, table: &Table, spec: &WriteSpec) -> Result<Targets<Encoder>> {
        Targets::try_new(table, spec, |from, column| Encoder::try_new(from, column, self.empty_strings))
    }
}
