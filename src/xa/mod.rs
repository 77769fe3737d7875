//! The transaction protocol: words, and who says what to whom.
//!
//! A *job* is a named write. Its stream is cut into *epochs*, numbered 1, 2, 3 … and never reused. All that one
//! epoch writes is a *global transaction*; what one connection writes of it is a *branch*, held by a *resource
//! manager* (a database). One durable fact, the *decision record* in a *decision log*, says commit or abort for an
//! epoch; creating it is put-if-absent, so whoever proposes second learns what stands.
//!
//! ```text
//! manager            decision log          resource manager
//!    │  read(job)         │                       │
//!    ├───────────────────▶│ last epoch n          │
//!    │  decide(n+1, ABORT)│                       │     claims the job: a zombie run's
//!    ├───────────────────▶│ stands                │     own commit will find its slot taken
//!    │  start(n+2)                                │
//!    ├───────────────────────────────────────────▶│ Branch
//!    │  write(batch) …                            │
//!    ├───────────────────────────────────────────▶│
//!    │  commit_one_phase(decide(n+2, COMMIT))     │     one branch: the record is a row of the
//!    ├───────────────────────────────────────────▶│     same local transaction; one fsync
//!    │◀───────────────────────────────────────────┤ Committed | Fenced(what stands)
//! ```
//!
//! A branch that fails, or is dropped, is rolled back; nothing is retried inside it. Without a job nothing is
//! claimed and nothing is remembered: the statement is atomic, and that is all.
//!
//! Several branches in one epoch (prepare all, decide once, complete all) are not driven yet; the traits and the
//! [`conformance`] suite have the steps, and [`memory`] does them.

pub mod conformance;
mod decision;
mod manager;
pub mod memory;
mod resource;
mod xid;

pub use decision::{Decision, DecisionLog, DecisionRecord, JobState, Positions};
pub use manager::{Opened, TransactionManager};
pub use resource::{
    Branch, Capability, Existing, InDoubt, OnConflict, Outcome, Resolution, ResourceManager, Vote, WriteSpec,
    WriteStats,
};
pub use xid::{Epoch, JobId, Xid};
