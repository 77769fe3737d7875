//! Decision logs.

mod objects;

pub use objects::ObjectStoreLog;
