//! Landfall is a transactional write path for [Apache DataFusion](datafusion). It writes the rows of a query to
//! PostgreSQL, MySQL, MariaDB or SQLite: all rows or none, and exactly once if the statement has a job name.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! use datafusion::prelude::SessionContext;
//! use datafusion_landfall::{register, sql};
//!
//! let context = SessionContext::new();
//! register(&context);
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("people.db").display().to_string();
//! let create = format!(
//!     "CREATE EXTERNAL TABLE people (id BIGINT PRIMARY KEY, name VARCHAR NOT NULL)
//!      STORED AS SQLITE LOCATION '{file}' OPTIONS ('on_conflict' 'update')"
//! );
//! sql(&context, &create).await?;
//! sql(&context, "INSERT INTO people VALUES (1, 'Ada'), (2, 'Grace')").await?.collect().await?;
//! let people = sql(&context, "SELECT name FROM people WHERE id = 2").await?.collect().await?;
//! assert_eq!(people[0].num_rows(), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! # Guide
//!
//! * [Start](guide::start): tables and locations
//! * [Writing rows](guide::writing), [setting bad rows aside](guide::rejects), [changing rows](guide::changing_rows),
//!   [reading](guide::reading)
//! * [Loading files](guide::loading), [attaching a database](guide::attach), [tables that follow their
//!   input](guide::evolution)
//! * [Jobs, checkpoints and streams](guide::jobs), [several databases and writers](guide::several_databases),
//!   [transactions of several statements](guide::transactions), [a cluster](guide::distributed), [Oracle](guide::oracle)
//! * [Python](guide::python), [options](guide::options), [types and values](guide::types)
//! * [Guarantees](guide::guarantees), [operations](guide::operations), [speed](guide::speed)
//! * [Writing a backend](backend), [how Landfall works](guide::how_it_works), with the layout of the code
//!
//! # Features
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `sqlite` | `STORED AS SQLITE` | yes |
//! | `postgres` | `STORED AS POSTGRES` | |
//! | `mysql` | `STORED AS MYSQL`, also for MariaDB | |
//! | `cloud` | decision logs in `s3://`, `gs://` and `az://` | |
//! | `testing` | the conformance suite, an in-memory backend, a backend that injects faults, and the encoders for COPY and LOAD DATA | |
//! | `failpoints` | a test can end the process at a step of the protocol ([`backend::POINTS`]) | |
//!
//! Of DataFusion's features, the library needs only `sql`. The program `landfall` is a separate package, which includes
//! all databases, the feature `cloud`, and DataFusion's functions and file formats.

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("datafusion-landfall needs a database: enable one of its features sqlite, postgres, mysql");

pub mod backend;
pub mod buffer;
pub mod columnar;
pub mod error;
pub mod guide;
pub mod load;
pub mod log;
pub mod manager;
pub mod metrics;
#[cfg(feature = "mysql")]
pub mod mysql;
pub mod options;
pub mod pipeline;
pub mod pool;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod provider;
mod registry;
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod statements;
pub mod txn;

pub use error::{Error, ErrorKind, Result};
pub use options::{Indexes, Isolation, OnConflict, SinkOptions, TransactionOptions, Upsert};
pub use pipeline::Interrupt;
pub use provider::{FanoutTable, LandfallCatalog, LandfallTable, register, register_backend, register_catalog};
pub use registry::{backend_options, database, decision_log, without_ledger};
pub use statements::{Transaction, begin, begin_with, sql};
