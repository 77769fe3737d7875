//! Decision logs.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod ledger;
