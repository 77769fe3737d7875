//! Sessions whose statements the processes of a cluster execute.

use datafusion::prelude::SessionConfig;

use crate::error::{Error, ErrorKind, Result};

/// An extension of the configuration of a session whose statements the processes of a cluster execute. They do not know the
/// connections of this process, so the session does not begin a transaction of several statements.
#[derive(Debug, Clone, Copy)]
pub struct OnCluster;

impl OnCluster {
    /// Whether a session is one of a cluster.
    pub(super) fn has(config: &SessionConfig) -> bool {
        config.get_extension::<Self>().is_some()
    }

    /// Refuses a transaction of several statements in such a session.
    pub(super) fn check_begin(config: &SessionConfig) -> Result<()> {
        match Self::has(config) {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Unsupported,
                "BEGIN is not supported in a session of a cluster: begin the transaction in a session of one process",
            )),
        }
    }
}
