//! Random statements, answered by Landfall and by somebody else. `LANDFALL_TEST_FUZZ` says how many, `LANDFALL_TEST_SEED`
//! from which number they are made: a failure prints it.

mod aggregates;
mod clients;
mod columns;
mod expressions;
mod predicates;
mod reading;
mod statements;
mod writing;

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// How many statements are tried, where there are so many by default.
pub fn rounds(default: usize) -> usize {
    number("LANDFALL_TEST_FUZZ").unwrap_or(default)
}

/// The number that all others are made from.
pub fn seed() -> u64 {
    number("LANDFALL_TEST_SEED").unwrap_or_else(|| fastrand::u64(..))
}

/// Fails if an answer differs, and says how to get it again.
pub fn none_differs(failures: Vec<String>, rounds: usize, seed: u64) {
    let count = failures.len();
    assert!(
        failures.is_empty(),
        "{count} of {rounds} queries differ; LANDFALL_TEST_SEED={seed} LANDFALL_TEST_FUZZ={rounds} brings them again:\n\n{}",
        failures.into_iter().take(5).collect::<Vec<_>>().join("\n\n")
    );
}

/// The seeds of a run of statements that have one each, the next one; they are printed.
pub fn seeds(what: &str, by_default: u64) -> std::ops::Range<u64> {
    let count = number("LANDFALL_TEST_FUZZ").unwrap_or(by_default);
    let first = number("LANDFALL_TEST_SEED").unwrap_or_else(|| u64::from(fastrand::u32(..)));
    println!("{what}: {count} statements, LANDFALL_TEST_SEED={first}");
    first..first + count
}
