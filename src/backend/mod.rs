//! The interface of a database: how to write a backend.
//!
//! A backend implements three traits: [`Backend`] for the database, [`BackendFactory`] to open it, and [`Branch`] for
//! each open transaction. The databases of this crate use the same traits; each is one folder and one line in the
//! registry. [`register_backend`](crate::register_backend) makes the names of a backend available in `STORED AS`, and
//! its URLs in the whole process.
//!
//! # The smallest backend
//!
//! A backend that supports INSERT needs eight methods. It appends all rows of a statement or none.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use async_trait::async_trait;
//! use datafusion::arrow::array::RecordBatch;
//! use datafusion::arrow::datatypes::DataType;
//! use datafusion::prelude::SessionContext;
//! use datafusion_landfall::backend::{
//!     Backend, BackendFactory, Branch, Column, Outcome, Table, WriteSpec,
//! };
//! use datafusion_landfall::txn::{DecisionRecord, Xid};
//! use datafusion_landfall::{Result, SinkOptions, register, register_backend, sql};
//!
//! /// A list of batches.
//! #[derive(Debug, Clone, Default)]
//! struct List(Arc<Mutex<Vec<RecordBatch>>>);
//!
//! impl BackendFactory for List {
//!     fn names(&self) -> &'static [&'static str] {
//!         &["list"]
//!     }
//!
//!     fn open(&self, _: &str, _: &SinkOptions) -> Result<Arc<dyn Backend>> {
//!         Ok(Arc::new(self.clone()))
//!     }
//! }
//!
//! #[async_trait]
//! impl Backend for List {
//!     fn location(&self) -> String {
//!         "list:".into()
//!     }
//!
//!     async fn table(&self, name: &str) -> Result<Option<Table>> {
//!         let columns = vec![Column::new("id", "number", DataType::Int64), Column::new("name", "text", DataType::Utf8)];
//!         Ok(Some(Table::new(name, columns)))
//!     }
//!
//!     async fn start(&self, _: &Xid, _: &WriteSpec) -> Result<Box<dyn Branch>> {
//!         Ok(Box::new(Pending { list: self.clone(), batches: Vec::new() }))
//!     }
//! }
//!
//! /// An open transaction. Dropping it forgets its rows.
//! struct Pending {
//!     list: List,
//!     batches: Vec<RecordBatch>,
//! }
//!
//! #[async_trait]
//! impl Branch for Pending {
//!     async fn write(&mut self, batch: RecordBatch) -> Result<()> {
//!         self.batches.push(batch);
//!         Ok(())
//!     }
//!
//!     async fn commit_one_phase(self: Box<Self>, _: Option<DecisionRecord>) -> Result<Outcome> {
//!         self.list.0.lock().unwrap().extend(self.batches);
//!         Ok(Outcome::Committed)
//!     }
//!
//!     async fn rollback(self: Box<Self>) -> Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let (context, list) = (SessionContext::new(), List::default());
//! register(&context);
//! register_backend(&context, Arc::new(list.clone()))?;
//! sql(&context, "CREATE EXTERNAL TABLE people STORED AS LIST LOCATION 'list:'").await?;
//! sql(&context, "INSERT INTO people VALUES (1, 'Ada'), (2, 'Grace')").await?.collect().await?;
//! assert_eq!(list.0.lock().unwrap()[0].num_rows(), 2);
//! let refused = sql(&context, "UPDATE people SET name = 'Alan'").await?.collect().await.unwrap_err();
//! assert!(refused.to_string().contains("UPDATE"), "{refused}");
//! # Ok(())
//! # }
//! ```
//!
//! A batch has the columns that the statement writes, in the types of [`Table`]. Landfall has already assigned the
//! values by its rules. A backend that accepts other Arrow types unchanged implements [`Backend::takes`]. The branch
//! fills in the columns that the statement leaves out. It refuses NULL in a NOT NULL column, and values that the
//! column's type cannot store; [`Error::in_rows`](crate::Error::in_rows) adds the row to the error.
//!
//! # Capabilities
//!
//! Every other method has a default that returns an error, usually when the statement is planned. After a crash, the
//! next run of a job completes prepared branches; so does [`recover`](crate::manager::recover) in a program that
//! registers the backend. `landfall recover` supports only the backends of this crate.
//!
//! | what | methods |
//! | --- | --- |
//! | two-phase commit, recovery | [`Backend::capability`], [`Backend::commit`], [`Backend::rollback`], [`Backend::in_doubt`], [`Branch::prepare`] |
//! | jobs and decisions in the database itself | [`Backend::decision_log`], a [`DecisionLog`]; `Branch::commit_one_phase` also writes the record |
//! | INSERT OVERWRITE, `on_conflict`, REPLACE INTO | [`Backend::check`] accepts them; the branch follows [`WriteSpec`] |
//! | upserts by difference | [`Branch::lookup`] |
//! | rows that are set aside: the option `reject.max` | [`Backend::can_reject`], [`Branch::encode_rows`], [`Branch::attempt`], [`Branch::attempted`], [`Branch::end_statement`] |
//! | UPDATE, DELETE, MERGE, TRUNCATE | [`Backend::check_change`], [`Backend::start_change`] |
//! | several writers of a table | [`Backend::dispatch`], [`Backend::writers_that_pay`] |
//! | SELECT | [`Backend::scan`], a [`Scan`] |
//! | conditions, orders and limits at the server | [`Scan::dialect`], a [`QueryDialect`] |
//! | CREATE TABLE | [`Backend::create_table`] |
//! | attaching all tables | [`Backend::tables`], [`Backend::spelled`] |
//! | statements on a cluster | [`Backend::shared_url`] |
//! | own options | [`BackendFactory::options`], [`SinkOptions::own`](crate::SinkOptions::own) |
//!
//! The module [`sql`](mod@crate::sql) contains the shared parts of SQL databases: statements that change rows through a
//! staging table, with [`SqlDialect`](crate::sql::SqlDialect) for the differences between databases; the ledger; CREATE
//! TABLE; and a branch that encodes rows in one task and sends them in another.
//!
//! # Testing one
//!
//! The feature `testing` contains a conformance suite. The example `examples/backend_parquet.rs` is a backend of
//! Parquet files with two-phase commit. It passes the suite, writes in one transaction with SQLite, and survives being
//! killed between prepare and commit.

mod branch;
mod change;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod database;
mod dialect;
mod dispatch;
mod factory;
pub(crate) mod failpoint;
#[cfg(any(test, feature = "testing"))]
pub mod fault;
mod log;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
#[cfg(any(test, feature = "testing"))]
mod memory_steps;
mod query;
mod scan;
mod spec;
mod stats;
mod table;

pub use branch::{Attempt, Branch, Encoded, LookupAnswer, OpenTransaction, Outcome, Rescue, Savepoint, Versions, Vote};
pub use change::{
    Assignment, Change, Changed, Condition, Done, Join, Operation, Parameter, Repeats, RowChange, Staged,
};
pub use database::{Backend, Capability, InDoubt, Listed, OpenSession, Resolution, Rewrites};
pub use dialect::{Constant, OrderKey, QueryDialect, Spelled};
pub use dispatch::Dispatch;
pub use factory::BackendFactory;
pub use failpoint::POINTS;
pub use log::DecisionLog;
pub(crate) use log::NoLedger;
pub use query::{Aggregates, BatchStream, Query};
pub use scan::{Batches, Scan, read_ahead};
pub use spec::{Existing, Protocol, WriteSpec};
pub(crate) use stats::EpochEvent;
pub use stats::{Compared, WriteStats};
pub(crate) use table::schema_of;
pub use table::{
    Alteration, Characters, Column, ColumnDefault, Comparison, Detail, Holds, NewTable, OtherIndex, Table, TableColumns,
};
