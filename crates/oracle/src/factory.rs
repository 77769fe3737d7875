//! Opens Oracle databases.

use std::fmt;
use std::sync::Arc;

use datafusion_landfall::backend::{Backend, BackendFactory};
use datafusion_landfall::error::Result;
use datafusion_landfall::options::{BackendOption, SinkOptions};

use crate::database::Oracle;
use crate::location::Location;
use crate::options::OPTIONS;
use crate::session::Connect;

/// How the sessions of a location are opened.
type Connecting = dyn Fn(&Location, &SinkOptions) -> Result<Arc<dyn Connect>> + Send + Sync;

/// Opens Oracle databases.
pub struct OracleFactory {
    connecting: Arc<Connecting>,
}

impl fmt::Debug for OracleFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OracleFactory")
    }
}

impl OracleFactory {
    /// Opens databases with sessions of another driver than Oracle's.
    pub fn new(
        connecting: impl Fn(&Location, &SinkOptions) -> Result<Arc<dyn Connect>> + Send + Sync + 'static,
    ) -> Self {
        Self { connecting: Arc::new(connecting) }
    }
}

#[cfg(feature = "driver")]
impl Default for OracleFactory {
    /// Opens databases with Oracle's driver.
    fn default() -> Self {
        Self::new(|location, options| Ok(Arc::new(crate::driver::Driver::try_new(location, options)?)))
    }
}

impl BackendFactory for OracleFactory {
    fn names(&self) -> &'static [&'static str] {
        &["oracle"]
    }

    fn open(&self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>> {
        let location = Location::try_new(location, options)?;
        let connect = (self.connecting)(&location, options)?;
        Ok(Arc::new(Oracle::try_new(location, connect, options)?))
    }

    fn example(&self) -> String {
        "oracle://me@host/service".into()
    }

    fn options(&self) -> &'static [BackendOption] {
        OPTIONS
    }
}
