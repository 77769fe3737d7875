//! From a stream of batches to a committed transaction.

mod dispatch;
mod interrupt;
mod run;
mod start;
mod writer;

pub use interrupt::Interrupt;
pub use run::{Landed, Target, Write, WriterCount, run};
