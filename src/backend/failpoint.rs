//! Points at which a test can abort the process.
//!
//! With the feature `failpoints`, `FAILPOINTS='decide.after=return' landfall …` aborts the process at that point, like
//! `kill -9`. `3*off->return` passes the point three times first. Without the feature, the points compile to nothing.

/// The points of the protocol, before and after each durable step, in the order in which a statement passes them.
pub const POINTS: &[&str] = &[
    "open.claimed",
    "open.recovered",
    "branch.started",
    "announce.after",
    "postgres.indexes.dropped",
    "branch.written",
    "postgres.indexes.built",
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

/// Aborts the process here if a test asks for it.
#[cfg(feature = "failpoints")]
pub(crate) fn failpoint(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "failpoint {name} is not in the list");
    let _: Option<()> = fail::eval(name, |_| std::process::abort());
}

/// Does nothing.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn failpoint(_: &'static str) {}
