//! Options that only PostgreSQL has.

use crate::options::{BackendOption, SinkOptions};

/// What is done with values for columns that are numbered by a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Identity {
    /// A value for a column that is GENERATED ALWAYS AS IDENTITY is an error; others are kept, and the sequence stays.
    #[default]
    Error,
    /// All are kept, and the sequence stays.
    Override,
    /// All are kept, and the sequence is moved behind them.
    Advance,
}

impl Identity {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "error" => Some(Self::Error),
            "override" => Some(Self::Override),
            "advance" => Some(Self::Advance),
            _ => None,
        }
    }

    pub(super) fn of(options: &SinkOptions) -> Self {
        options.own(IDENTITY).and_then(Self::parse).unwrap_or_default()
    }
}

const IDENTITY: &str = "identity";

/// The options.
pub(super) const OPTIONS: &[BackendOption] = &[BackendOption {
    key: IDENTITY,
    values: "error, override, advance",
    default: "error",
    meaning: "what happens to a value for a column that is GENERATED ALWAYS AS IDENTITY: error refuses it, override \
              stores it; advance also stores it, and advances the sequences of all written columns past the written \
              values, so that later default values do not collide with them",
    check: |value| match Identity::parse(value) {
        Some(_) => Ok(()),
        None => Err("use error, override or advance".into()),
    },
}];
