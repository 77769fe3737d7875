//! From a stream of batches to a committed transaction.

mod interrupt;
mod run;

pub use interrupt::Interrupt;
pub use run::{Landed, run};
