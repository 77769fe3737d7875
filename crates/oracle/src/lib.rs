//! Oracle Database for [Landfall](datafusion_landfall): a backend on its public interface, with two-phase commit by `DBMS_XA`,
//! on Oracle's own driver.
//!
//! **Experimental: not yet run against a live server by its authors.** Its tests run on a double of the server, which its
//! authors wrote from Oracle's manuals. `docs/oracle.md` lists what is known only from there.
//!
//! ```
//! # #[cfg(feature = "driver")]
//! # fn main() -> datafusion::error::Result<()> {
//! use std::sync::Arc;
//!
//! use datafusion::prelude::SessionContext;
//! use datafusion_landfall::{register, register_backend};
//! use datafusion_landfall_oracle::OracleFactory;
//!
//! let context = SessionContext::new();
//! register(&context);
//! register_backend(&context, Arc::new(OracleFactory::default()))?;
//! // CREATE EXTERNAL TABLE people STORED AS ORACLE LOCATION 'oracle://me@host/service' OPTIONS ('password_env' 'ORACLE_PASSWORD')
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "driver"))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `driver` | Oracle's own driver, `oracledb` | yes |
//! | `failpoints` | a test can end the process at a step of the protocol ([`POINTS`]) | |

mod backend;
mod catalog;
mod change;
mod connector;
mod create;
mod database;
mod decode;
mod dialect;
#[cfg(feature = "driver")]
mod driver;
mod encode;
mod error;
mod factory;
mod failpoint;
mod ledger;
mod location;
mod names;
mod open;
mod options;
mod scan;
mod sender;
pub mod session;
mod statements;
mod types;
mod xa;

pub use database::Oracle;
#[cfg(feature = "driver")]
pub use driver::Driver;
pub use factory::OracleFactory;
pub use failpoint::POINTS;
pub use location::Location;
pub use options::EmptyStrings;

/// Registers `oracle` with Oracle's driver, for the sessions that call [`register`](datafusion_landfall::register) later, and for
/// URLs in the whole process.
///
/// # Errors
/// Errors of [`register_backend`](datafusion_landfall::register_backend).
#[cfg(feature = "driver")]
pub fn register() -> datafusion_landfall::Result<()> {
    let context = datafusion::prelude::SessionContext::new();
    datafusion_landfall::register_backend(&context, std::sync::Arc::new(OracleFactory::default()))
}
