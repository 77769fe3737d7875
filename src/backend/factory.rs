//! Opens databases.

use std::fmt::Debug;
use std::sync::Arc;

use crate::backend::Backend;
use crate::error::Result;
use crate::options::{BackendOption, SinkOptions};

/// Opens the databases of one kind.
pub trait BackendFactory: Debug + Send + Sync {
    /// What `STORED AS` calls them, and what their URLs begin with: in lower case, the most usual name first.
    fn names(&self) -> &'static [&'static str];

    /// The database at a location: a URL, or under `STORED AS` whatever `LOCATION` says. Nothing is connected yet, as
    /// statements that only describe a table open it, too.
    ///
    /// # Errors
    /// `Config` if the location or an option is invalid.
    fn open(&self, location: &str, options: &SinkOptions) -> Result<Arc<dyn Backend>>;

    /// An example of a URL, for messages.
    fn example(&self) -> String {
        format!("{}:…", self.names().first().copied().unwrap_or_default())
    }

    /// The options that these databases have beside those of [`OPTIONS`](crate::options::OPTIONS);
    /// [`SinkOptions::own`] gives their values.
    fn options(&self) -> &'static [BackendOption] {
        &[]
    }
}
