//! From a stream of batches to a committed transaction.

mod assignments;
mod attempt;
mod diff;
mod dispatch;
mod epoch;
mod evolved;
mod group;
mod input;
mod interrupt;
mod job;
mod part;
mod prefetch;
mod reject_table;
mod rejecting;
mod rejects;
mod retry;
mod run;
mod start;
mod write;
mod writer;
mod written;

pub use assignments::Assignments;
pub(crate) use assignments::ColumnAssignment;
pub use evolved::Evolved;
pub use group::{OpenMember, write_in};
pub(crate) use input::digest;
pub use input::{Boundary, Fingerprint, Input, Position, Progress, Read};
pub use interrupt::Interrupt;
pub(crate) use interrupt::interrupted;
pub(crate) use job::job_spec_of;
pub use part::{Part, distributed_run, write_part};
pub use run::run;
pub use write::{Counts, RejectSpec, Target, Write, WriteOutcome, WriterCount};
