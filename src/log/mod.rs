//! Decision logs.

#[cfg(feature = "sqlite")]
pub(crate) mod ledger;
