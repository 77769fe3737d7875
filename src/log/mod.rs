//! Decision logs.

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(crate) mod ledger;
mod objects;

pub use objects::ObjectStoreLog;
