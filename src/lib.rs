//! Landfall
pub mod error;
#[cfg(feature = "cli")]
pub mod cli;
mod columnar;
mod log;
pub mod options;
pub mod pipeline;
pub mod provider;
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod xa;
pub use error::{Error, ErrorKind, Result};
