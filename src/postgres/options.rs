//! Options of PostgreSQL only.

use crate::options::{BackendOption, SinkOptions};

/// The handling of values for columns that are numbered by a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Identity {
    /// A value for a GENERATED ALWAYS AS IDENTITY column is an error; others are stored without advancing the sequence.
    #[default]
    Error,
    /// All values are stored without advancing the sequence.
    Override,
    /// All values are stored, and the sequence is advanced past them.
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
    values: "'error', 'override', 'advance'",
    default: "'error'",
    meaning: "how to handle values for a GENERATED ALWAYS AS IDENTITY column: 'error' makes the statement fail; \
              'override' inserts the values; 'advance' inserts the values and advances the sequence of each column \
              past the largest inserted value, so that later default values do not collide with inserted values",
    check: |value| match Identity::parse(value) {
        Some(_) => Ok(()),
        None => Err("use 'error', 'override' or 'advance'".into()),
    },
}];
