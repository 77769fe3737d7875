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
    meaning: "what a value for a column that is GENERATED ALWAYS AS IDENTITY is: an error, or kept (override); advance keeps \
              it too, and moves the sequences of all columns that are written behind the written values, so that later \
              defaults do not collide with them",
    check: |value| match Identity::parse(value) {
        Some(_) => Ok(()),
        None => Err("it takes error, override or advance".into()),
    },
}];
