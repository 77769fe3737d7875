//! Landfall
#[cfg(feature = "cli")]
pub mod cli;
mod columnar;
pub mod error;
mod log;
pub mod options;
pub mod pipeline;
pub mod provider;
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod xa;

pub use error::{Error, ErrorKind, Result};
pub use options::SinkOptions;
pub use pipeline::Interrupt;
pub use provider::{LandfallTable, register};
pub use xa::OnConflict;
