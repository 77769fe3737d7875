//! The transaction manager: drives the branches of a job's epochs by the protocol of [`txn`](crate::txn), and ends those
//! that an earlier run left.

mod claimed;
mod live;
mod open;
mod recovery;
mod retry;
mod run;
mod transaction;

pub use claimed::JobSpec;
pub use live::TransactionManager;
pub use recovery::{Mode, Recovered, RecoveryOutcome, Selection, recover};
pub use run::{Opened, Run};
pub use transaction::{EpochExtent, Member, Transaction};
