//! What a load does with a table and its rows.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// What a load does with the table and its existing rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Adds rows. An existing key is an error.
    #[default]
    Append,
    /// Adds rows. If a key already exists, sets the loaded columns of the existing row.
    Update,
    /// Adds rows. If a key already exists, keeps the existing row.
    Ignore,
    /// Adds rows. If a key already exists, replaces the existing row. Columns that are not loaded get their default values.
    ReplaceRows,
    /// Deletes all existing rows and adds the new ones, in one transaction.
    Overwrite,
    /// Creates the table. An existing table is an error.
    Create,
    /// Creates the table if it does not exist.
    CreateOrAppend,
}

impl Mode {
    /// All modes, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Append,
        Self::Update,
        Self::Ignore,
        Self::ReplaceRows,
        Self::Overwrite,
        Self::Create,
        Self::CreateOrAppend,
    ];

    /// The name: `append`, `update`, `ignore`, `replace_rows`, `overwrite`, `create`, `create_or_append`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Update => "update",
            Self::Ignore => "ignore",
            Self::ReplaceRows => "replace_rows",
            Self::Overwrite => "overwrite",
            Self::Create => "create",
            Self::CreateOrAppend => "create_or_append",
        }
    }

    /// Whether a missing table is created.
    pub fn creates(self) -> bool {
        matches!(self, Self::Create | Self::CreateOrAppend)
    }

    /// Whether rows are found by their keys.
    pub(super) fn has_conflicts(self) -> bool {
        matches!(self, Self::Update | Self::Ignore | Self::ReplaceRows)
    }

    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Overwrite => "INSERT OVERWRITE",
            Self::ReplaceRows => "REPLACE INTO",
            _ => "INSERT INTO",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = Error;

    /// Reads a name; words can be joined by `-` or `_`.
    fn from_str(name: &str) -> Result<Self> {
        let known = name.replace('-', "_").to_ascii_lowercase();
        Self::ALL.into_iter().find(|mode| mode.as_str() == known).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            // pandas and DuckDB call it replace.
            let hint = if known == "replace" {
                "; 'overwrite' replaces all rows, and 'replace_rows' replaces only the rows with the same key"
            } else {
                ""
            };
            Error::config(format!("mode '{name}' does not exist: the modes are {names}{hint}"))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_found_by_its_name() {
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse::<Mode>().unwrap(), mode);
            assert_eq!(mode.as_str().replace('_', "-").parse::<Mode>().unwrap(), mode);
        }
        let error = "replace".parse::<Mode>().unwrap_err().to_string();
        assert!(error.contains("'overwrite' replaces all rows"), "{error}");
    }
}
