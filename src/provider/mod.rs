//! The DataFusion interface: tables that can be registered, written and read.

mod aggregates;
mod assign;
mod bounds;
mod catalog;
mod change_recipe;
mod checked;
mod checkpoints;
mod classes;
mod cluster;
mod comparisons;
mod counted;
mod defaults;
mod destination;
mod distributed;
mod dml;
mod each;
mod emptied;
mod evolution;
mod expressions;
mod factory;
mod fanout;
mod files;
mod fingerprint;
mod functions;
mod grouping;
mod indexes;
mod insert;
mod listed;
mod lists;
mod merge;
mod numbers;
mod opening;
mod operators;
mod own;
mod planning;
mod precedence;
mod prepared;
mod provided;
mod pushdown;
mod readers;
mod recipe;
mod register;
pub mod remote;
mod remote_run;
mod replay;
mod request;
mod savepoints;
mod scan;
mod scan_recipe;
mod semi_join;
mod server_join;
mod settings;
mod sink;
mod sorted;
mod source;
mod splits;
mod spool;
mod statement;
mod subqueries;
mod table;
mod target;
mod transacted;
mod transaction;
mod transaction_commit;
mod transaction_job;
mod transaction_progress;
mod values;

use datafusion::common::DataFusionError;

use crate::error::Error;

pub use aggregates::COMPUTE_AGGREGATES;
pub use catalog::{LandfallCatalog, register_catalog};
pub(crate) use catalog::{attach, attached, attached_as, detach, has_catalog, with_columns};
pub(crate) use each::change_members;
pub use fanout::FanoutTable;
pub(crate) use own::{Registered, SessionSchema};
pub use register::{register, register_backend};
pub use sink::LandfallSink;
pub use source::{PositionedStream, ReplayableSource, ReplayableTable};
pub use statement::plan_statement;
pub(crate) use statement::table_reference;
pub use table::LandfallTable;
pub use transacted::identified;
pub(crate) use transaction::{OpenDatabases, is_in_transaction};

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
