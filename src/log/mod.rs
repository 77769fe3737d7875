//! Decision logs.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod ledger;
mod objects;

pub use objects::ObjectStoreLog;
