//! Random statements, beside who answers them in another way. `LANDFALL_TEST_FUZZ` says how many, `LANDFALL_TEST_SEED` from
//! which number they are made: a failure prints it.

mod columns;
mod predicates;
mod reading;

/// How many statements are tried, where there are so many by default.
pub fn rounds(default: usize) -> usize {
    std::env::var("LANDFALL_TEST_FUZZ")
        .map_or(default, |rounds| rounds.parse().expect("LANDFALL_TEST_FUZZ is a number"))
}

/// The number that all others are made from.
pub fn seed() -> u64 {
    match std::env::var("LANDFALL_TEST_SEED") {
        Ok(seed) => seed.parse().expect("LANDFALL_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}
