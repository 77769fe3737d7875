//! The transaction manager. It drives the branches of a job's epochs by the protocol of [`txn`](crate::txn), and
//! completes branches that an earlier run left prepared.

mod claimed;
mod distributed;
mod group;
mod late;
mod live;
mod open;
mod recovery;
mod retry;
mod run;
mod spec;
mod transaction;

pub use distributed::{DistributedRun, DistributedTransaction, Joined};
pub use group::GroupName;
pub(crate) use late::Late;
pub use live::TransactionManager;
pub use recovery::{Mode, Recovered, RecoveryOutcome, Selection, recover};
pub use run::{Opened, Run};
pub use spec::JobSpec;
pub use transaction::{EpochExtent, Member, Transaction};
