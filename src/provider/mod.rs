//! The DataFusion face: tables that can be registered, written and read.

mod defaults;
mod factory;
mod in_order;
mod pushdown;
mod scan;
mod sink;
mod table;

use datafusion::common::DataFusionError;

use crate::error::Error;

pub use factory::register;
pub use sink::LandfallSink;
pub use table::LandfallTable;

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
