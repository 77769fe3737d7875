//! INSERT OVERWRITE.

use crate::backend::{Existing, WriteSpec};
use crate::error::{Error, ErrorKind, Result};

/// Refuses TRUNCATE for a database that does not support it, or not within a transaction.
///
/// # Errors
/// `Unsupported`, with the reason `why` and the next step.
pub fn check_not_truncated(spec: &WriteSpec, why: &str) -> Result<()> {
    match spec.existing {
        Existing::Truncate => {
            let text =
                format!("the option 'overwrite' = 'truncate' is not supported, because {why}: remove the option");
            Err(Error::new(ErrorKind::Unsupported, text))
        }
        Existing::Keep | Existing::Delete => Ok(()),
    }
}
