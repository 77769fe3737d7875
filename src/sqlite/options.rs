//! Options that only SQLite has.

use crate::options::{BackendOption, SinkOptions};

/// How unsigned 64-bit integers are stored, for which SQLite has no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Uint64 {
    /// Store it as an integer; a value beyond the signed range is an error.
    #[default]
    Error,
    /// A column that Landfall creates stores every value as decimal text.
    Text,
}

const UINT64: &str = "uint64";

impl Uint64 {
    pub(super) fn of(options: &SinkOptions) -> Self {
        match options.own(UINT64) {
            Some("text") => Self::Text,
            _ => Self::Error,
        }
    }
}

macro_rules! pragmas {
    ($($name:literal: $check:expr;)*) => {
        /// The options.
        pub(super) const OPTIONS: &[BackendOption] = &[
            BackendOption {
                key: UINT64,
                values: "'error', 'text'",
                default: "'error'",
                meaning: "how to handle UInt64 values greater than 9223372036854775807: 'error' makes the statement \
                          fail; 'text' declares UInt64 columns of new tables as text, so that they can store these \
                          values",
                check: |value| match value {
                    "error" | "text" => Ok(()),
                    _ => Err("use 'error' or 'text'".into()),
                },
            },
            $(BackendOption {
                key: concat!("pragma.", $name),
                values: "a number or a keyword",
                default: "SQLite's default",
                meaning: concat!("the value of PRAGMA ", $name, " on the connection that writes"),
                check: $check,
            },)*
        ];
    };
}

pragmas! {
    "cache_size": is_word;
    "foreign_keys": is_word;
    "journal_mode": keeps_a_journal;
    "max_page_count": is_word;
    "mmap_size": is_word;
    "recursive_triggers": is_word;
    "secure_delete": is_word;
    "synchronous": is_word;
    "temp_store": is_word;
    "wal_autocheckpoint": is_word;
}

fn is_word(value: &str) -> Result<(), String> {
    match !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        true => Ok(()),
        false => Err("use a number or a keyword".into()),
    }
}

fn keeps_a_journal(value: &str) -> Result<(), String> {
    match ["off", "memory"].iter().any(|mode| value.eq_ignore_ascii_case(mode)) {
        true => {
            Err("SQLite cannot roll back a failed write in this journal mode; use wal, delete, truncate or persist"
                .into())
        }
        false => is_word(value),
    }
}

/// The pragmas that the options set, and their values.
pub(super) fn pragmas(options: &SinkOptions) -> Vec<(&'static str, String)> {
    let pragma =
        |option: &BackendOption| Some((option.key.strip_prefix("pragma.")?, options.own(option.key)?.to_owned()));
    OPTIONS.iter().filter_map(pragma).collect()
}

/// Whether a commit may be confirmed before it is on disk.
pub(super) fn is_weak((pragma, value): &(&str, String)) -> bool {
    *pragma == "synchronous" && ["off", "normal", "0", "1"].contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_could_be_a_statement_or_lose_rows_is_refused() {
        let check = |key: &str, value: &str| {
            let option = OPTIONS.iter().find(|option| option.key == key).expect("it is an option");
            (option.check)(value)
        };
        assert!(check("pragma.synchronous", "off; DROP TABLE t").is_err());
        assert!(check("pragma.synchronous", "off").is_ok());
        assert!(check("pragma.journal_mode", "OFF").is_err_and(|why| why.contains("cannot roll back a failed write")));
        assert!(check("uint64", "maybe").is_err());
    }
}
