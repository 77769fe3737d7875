//! Decision logs in object stores and folders. The ledger of each database is a decision log, too:
//! [`decision_log`](crate::decision_log) opens either by its URL.

mod objects;

pub use objects::{ObjectStoreLog, store_at};
