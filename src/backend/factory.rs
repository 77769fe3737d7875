//! Opens databases.

use std::fmt::Debug;
use std::sync::Arc;

use crate::backend::Backend;
use crate::error::Result;
use crate::options::{BackendOption, SinkOptions};

/// Opens the databases of one kind.
pub trait BackendFactory: Debug + Send + Sync {
    /// The names in `STORED AS` and the URL schemes, in lower case, the most common name first.
    fn names(&self) -> &'static [&'static str];

    /// Opens the database at a location: a URL, or the `LOCATION` of a table. Must not connect yet, because statements
    /// that only describe a table also call it.
    ///
    /// # Errors
    /// `Config` for an invalid location or option.
    fn open(&self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>>;

    /// An example of a URL, for messages.
    fn example(&self) -> String {
        format!("{}:…", self.names().first().copied().unwrap_or_default())
    }

    /// The additional options of these databases. [`OPTIONS`](crate::options::OPTIONS) lists the common ones.
    /// [`SinkOptions::own`] returns their values.
    fn options(&self) -> &'static [BackendOption] {
        &[]
    }
}
