//! Points at which a test can abort the process: `FAILPOINTS='oracle.prepare.after=return' …`

/// The points, in the order in which a statement passes them.
pub const POINTS: &[&str] = &[
    "oracle.prepare.before",
    "oracle.prepare.after",
    "oracle.ledger.before",
    "oracle.ledger.after",
    "oracle.commit.before",
    "oracle.commit.after",
    "oracle.complete.before",
    "oracle.complete.after",
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
