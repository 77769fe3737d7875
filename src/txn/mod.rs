//! The transaction protocol: its terms and its messages.
//!
//! A *job* is a named write. Its stream is divided into *epochs*, numbered 1, 2, 3 … A number is never reused.
//! Everything that one epoch writes is a *global transaction*. The part that one connection writes is a *branch*, held
//! by a *resource manager* (a database). One durable record, the *decision record* in a *decision log*, says commit or
//! abort for an epoch. Creating it is put-if-absent: the second proposer receives the record that stands.
//!
//! ```text
//! manager            decision log          resource managers
//!    │  read(job)         │                       │
//!    ├───────────────────▶│ last epoch n          │
//!    │  decide(n+1, ABORT)│                       │     claims the job: an older run's commit
//!    ├───────────────────▶│ stands                │     finds the epoch taken
//!    │  in_doubt, commit | rollback               │
//!    ├───────────────────────────────────────────▶│     branches of earlier runs, as the log says
//!    │  start(n+2, 0), start(n+2, 1) …            │
//!    ├───────────────────────────────────────────▶│ Branch, Branch …
//!    │  write(batch) …                            │
//!    ├───────────────────────────────────────────▶│
//!    │  prepare                                   │     all at once; any "no" aborts the epoch
//!    ├───────────────────────────────────────────▶│ Prepared …
//!    │  decide(n+2, COMMIT)                       │     the returned record is the decision
//!    ├───────────────────▶│ stands                │
//!    │  commit                                    │     repeated until done, from any session
//!    ├───────────────────────────────────────────▶│ Done | Unknown (done before)
//! ```
//!
//! A single branch uses **one-phase commit**: its decision record is a row of the ledger in the same local transaction,
//! with one fsync. A database that cannot prepare is the **last agent** of a transaction with others: the others
//! prepare, it commits with the record in the same transaction, then the others complete. The log is the ledger of the
//! database that can never prepare, otherwise the log that the option `log` names, otherwise the first database's
//! ledger. The choice does not depend on a server's configuration, because the next run must find the same log.
//!
//! A job with checkpoints repeats this for each epoch under one claim. Epoch n+1 is written while n commits, and is
//! decided only after n is complete. Each record stores the position in the input that the epoch reaches. An epoch
//! without rows is a record only. The next run of the job claims the epoch after the last record and resumes at the
//! position of the last commit.
//!
//! A branch that fails or is dropped is rolled back. Nothing is retried inside a branch. An *error* of `decide` leaves
//! the outcome open: the manager proposes it again. If the log is unavailable, the branches stay prepared, and the error
//! contains the command that recovers them. One pure function, [`State::next`], defines the order of the steps. Both
//! [`TransactionManager`](crate::manager::TransactionManager) and [`recover`](crate::manager::recover) use it.
//!
//! No decision depends on a clock: the first proposal for an epoch decides it. A record names the run that proposed it.
//! It identifies the job by a random number, drawn with the job's first record, so that recovery does not touch
//! branches of a job that another log decides. A statement without a job uses a generated name and removes its records
//! when it is complete. With one branch it needs no record.
//!
//! A global transaction is atomic in its outcome, not in time: between the first branch's commit and the last one's, a
//! reader may see some of its rows.

mod claim;
mod decision;
mod state;
mod subject;
mod xid;

pub(crate) use claim::{NextEpoch, next_epoch};
pub use decision::{CommittedBranches, Decision, DecisionRecord, JobEntry, JobState, Positions};
pub use state::{Action, Event, State};
pub use subject::{StatementHash, StatementId, Subject};
pub use xid::{Epoch, Gtrid, JobId, JobNumber, PREFIX, Xid};
