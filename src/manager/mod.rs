//! The transaction manager: drives the branches of a job's epochs by the protocol of [`txn`](crate::txn), and ends those
//! that an earlier run left.

mod claimed;
mod live;
mod open;
mod recovery;
mod retry;
mod run;
mod transaction;

pub use claimed::Undertaking;
pub use live::TransactionManager;
pub use recovery::{Fate, Mode, Recovered, Selection, recover};
pub use run::{Opened, Run};
pub use transaction::{Covered, Member, Transaction};
