//! What only some databases can do in the transaction of the rows.

use crate::backend::{Existing, WriteSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Indexes;

/// Refuses TRUNCATE for a database that does not support it, or not within a transaction.
///
/// # Errors
/// `Unsupported`, with the reason `why` and the next step.
pub fn check_not_truncated(spec: &WriteSpec, why: &str) -> Result<()> {
    match spec.existing {
        Existing::Truncate => {
            let text = format!("the option 'overwrite' = 'truncate' is not supported: {why}; remove the option");
            Err(Error::new(ErrorKind::Unsupported, text))
        }
        Existing::Keep | Existing::Delete => Ok(()),
    }
}

/// Answers [`Backend::plan_indexes`](crate::backend::Backend::plan_indexes) for a database that cannot build indexes after the
/// rows within their transaction.
///
/// # Errors
/// `Unsupported`, with the reason `why` and the next step, if that is requested.
pub fn keep_indexes(spec: &WriteSpec, why: &str) -> Result<Indexes> {
    match spec.indexes {
        Indexes::Rebuild => {
            let text = format!("the option 'indexes' = 'rebuild' is not supported: {why}; remove the option");
            Err(Error::new(ErrorKind::Unsupported, text))
        }
        Indexes::Auto | Indexes::Keep => Ok(Indexes::Keep),
    }
}
