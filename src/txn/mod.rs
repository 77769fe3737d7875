//! The transaction protocol: words, and who says what to whom.
//!
//! A *job* is a named write. Its stream is cut into *epochs*, numbered 1, 2, 3 … and never reused. All that one
//! epoch writes is a *global transaction*; what one connection writes of it is a *branch*, held by a *resource
//! manager* (a database). One durable fact, the *decision record* in a *decision log*, says commit or abort for an
//! epoch; creating it is put-if-absent, so whoever proposes second learns what stands.
//!
//! ```text
//! manager            decision log          resource managers
//!    │  read(job)         │                       │
//!    ├───────────────────▶│ last epoch n          │
//!    │  decide(n+1, ABORT)│                       │     claims the job: a zombie run's own commit
//!    ├───────────────────▶│ stands                │     will find its slot taken
//!    │  in_doubt, commit | rollback               │
//!    ├───────────────────────────────────────────▶│     what earlier runs left, as the log says
//!    │  start(n+2, 0), start(n+2, 1) …            │
//!    ├───────────────────────────────────────────▶│ Branch, Branch …
//!    │  write(batch) …                            │
//!    ├───────────────────────────────────────────▶│
//!    │  prepare                                   │     all at once; any "no" aborts the epoch
//!    ├───────────────────────────────────────────▶│ Prepared …
//!    │  decide(n+2, COMMIT)                       │     the one durable fact; what comes back is the truth
//!    ├───────────────────▶│ stands                │
//!    │  commit                                    │     again until done, from any session
//!    ├───────────────────────────────────────────▶│ Done | Unknown (done before)
//! ```
//!
//! One branch only commits in **one phase**: its decision record is a row of the ledger in the same local
//! transaction, one fsync. A database that cannot prepare is the **last agent** beside others that can: they prepare,
//! it commits with the record inside, they complete. The log is the ledger of the database that can never prepare, else
//! the one that the option `log` names, else the first database's ledger; it must not depend on how a server happens to be
//! set up, or a finished job would not be found again.
//!
//! A job whose stream has checkpoints does this for epoch after epoch, under one claim: n+1 is written while n commits, and
//! is decided only when n is complete. The record of each says how far into the input it reaches; an epoch without rows is
//! a record alone. The next run of the job claims the epoch behind the last record, and begins where the last commit says.
//!
//! A branch that fails, or is dropped, is rolled back; nothing is retried inside it. An *error* of `decide` says
//! nothing: it is asked again, and where it stays silent the branches stay prepared, and the error has the command
//! that recovers them. What follows what is one pure function, [`State::next`], by which [`TransactionManager`](crate::manager::TransactionManager) and
//! [`recover`](crate::manager::recover) go alike.
//!
//! No decision depends on a clock: who proposes an epoch first decides it. A record names the run that proposed it,
//! and the job by a number that is drawn with its first record, so that the branches of a job that is decided in
//! another log are told apart, and left alone. A write without a job does the same under a name of its own, and leaves
//! no record when it is complete; with one branch it needs none at all.
//!
//! A global transaction is atomic in outcome, not in instant: between the first branch's commit and the last one's a
//! reader may see some of it.

mod claim;
mod decision;
mod state;
mod subject;
mod xid;

pub(crate) use claim::{NextEpoch, next_epoch};
pub use decision::{Decision, DecisionRecord, JobEntry, JobState, Positions};
pub use state::{Action, Event, State};
pub use subject::{StatementHash, StatementId, Subject};
pub use xid::{Epoch, Gtrid, JobId, JobNumber, PREFIX, Xid};
