//! INSERT OVERWRITE.

use crate::backend::{Existing, WriteSpec};
use crate::error::{Error, ErrorKind, Result};

/// Refuses a TRUNCATE that a database has not, or not within a transaction.
///
/// # Errors
/// `Unsupported`, with what to do.
pub fn check_not_truncated(spec: &WriteSpec, why: &str) -> Result<()> {
    match spec.existing {
        Existing::Truncate => {
            let text = format!("the option 'overwrite' cannot be 'truncate' here, as {why}: leave it out");
            Err(Error::new(ErrorKind::Unsupported, text))
        }
        Existing::Keep | Existing::Delete => Ok(()),
    }
}
