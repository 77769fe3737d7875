//! Where a test can have the process die.
//!
//! With the feature `failpoints`, `FAILPOINTS='decide.after=return' landfall …` aborts the process at that point, as
//! `kill -9` would; `3*off->return` passes it three times before. Without the feature the points are nothing.

/// The points of the protocol and around each act that makes something durable, in the order in which a write passes
/// them.
pub const POINTS: &[&str] = &[
    "open.claimed",
    "open.recovered",
    "branch.started",
    "announce.after",
    "branch.written",
    "epoch.written",
    "prepare.before",
    "postgres.prepare.before",
    "postgres.prepare.after",
    "mysql.prepare.before",
    "mysql.prepare.after",
    "prepare.one",
    "prepare.all",
    "decide.before",
    "ledger.decide.before",
    "ledger.decide.after",
    "log.put.before",
    "log.put.after",
    "decide.after",
    "last_agent.before",
    "postgres.commit.before",
    "postgres.commit.after",
    "mysql.commit.before",
    "mysql.commit.after",
    "sqlite.commit.before",
    "sqlite.commit.after",
    "last_agent.after",
    "complete.before",
    "postgres.complete.before",
    "postgres.complete.after",
    "mysql.complete.before",
    "mysql.complete.after",
    "complete.one",
    "complete.all",
    "forget.after",
];

/// Dies here if a test says so.
#[cfg(feature = "failpoints")]
pub(crate) fn failpoint(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "failpoint {name} is not in the list");
    let _: Option<()> = fail::eval(name, |_| std::process::abort());
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn failpoint(_: &'static str) {}
