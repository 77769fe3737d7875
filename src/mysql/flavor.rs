//! The differences between MariaDB and Oracle's MySQL, all in this module.
//!
//! | | MariaDB | MySQL |
//! | --- | --- | --- |
//! | prepared branches outlive their session | 10.5 | 8.0 |
//! | `XA RECOVER` needs | nothing | the privilege XA_RECOVER_ADMIN |
//! | settings without a time limit | `max_statement_time`, `idle_…transaction_timeout` | `max_execution_time` |
//! | CHECK constraints can be disabled | `check_constraint_checks` | no |
//! | the new row in `ON DUPLICATE KEY UPDATE` | `VALUES(c)` | an alias, as `VALUES` is deprecated |
//! | collation that compares bytes, including trailing spaces | `utf8mb4_nopad_bin` | `utf8mb4_0900_bin` |
//! | the row of an error | `ROW_NUMBER` in `GET DIAGNOSTICS` (10.7) | in some messages |
//! | `json` | `longtext` with a CHECK | a separate type, in UTF-8 only |
//! | `local_infile` by default | on | off |

use crate::error::{Error, ErrorKind, Result};

/// The product and version of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavor {
    MariaDb(Version),
    MySql(Version),
}

/// Major, minor and patch.
pub(super) type Version = (u16, u16, u16);

impl Flavor {
    /// Reads `@@version`, such as `10.11.14-MariaDB-0+deb12u2` or `8.0.36`.
    ///
    /// # Errors
    /// `Unsupported` for a server that is too old.
    pub(super) fn parse(version: &str) -> Result<Self> {
        // The prefix that MariaDB sends for replication to old servers.
        let digits = version.strip_prefix("5.5.5-").unwrap_or(version);
        let mut numbers = digits.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        let mut number = || numbers.next().unwrap_or(0);
        let found = (number(), number(), number());
        let (flavor, oldest) = match version.contains("MariaDB") {
            true => (Self::MariaDb(found), (10, 2, 1)),
            // Older versions have no alias for the new row.
            false => (Self::MySql(found), (8, 0, 19)),
        };
        if found < oldest {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the server version {version} is not supported: use MariaDB 10.2.1 or newer, or MySQL 8.0.19 or \
                     newer"
                ),
            ));
        }
        Ok(flavor)
    }

    /// Whether another session can complete a prepared branch after its own session has ended.
    pub(super) fn keeps_prepared(self) -> bool {
        match self {
            Self::MariaDb(version) => version >= (10, 5, 0),
            Self::MySql(_) => true,
        }
    }

    /// Whether `GET DIAGNOSTICS` has the row of an error.
    pub(super) fn counts_rows(self) -> bool {
        matches!(self, Self::MariaDb(version) if version >= (10, 7, 0))
    }

    /// Disables time limits and enables constraints, regardless of the server's defaults.
    pub(super) fn session(self) -> &'static str {
        match self {
            Self::MariaDb(version) if version >= (10, 3, 0) => {
                "check_constraint_checks = 1, max_statement_time = 0, idle_transaction_timeout = 0, \
                 idle_write_transaction_timeout = 0, idle_readonly_transaction_timeout = 0"
            }
            Self::MariaDb(_) => "check_constraint_checks = 1, max_statement_time = 0",
            Self::MySql(_) => "max_execution_time = 0",
        }
    }

    /// The alias of the new row, after `VALUES (…)`.
    pub(super) fn new_row(self) -> &'static str {
        match self {
            Self::MariaDb(_) => "",
            Self::MySql(_) => " AS landfall_new",
        }
    }

    /// The value that a column has in the new row.
    pub(super) fn new_value(self, quoted: &str) -> String {
        match self {
            Self::MariaDb(_) => format!("VALUES({quoted})"),
            Self::MySql(_) => format!("landfall_new.{quoted}"),
        }
    }

    /// The collation in which texts are equal if and only if their bytes are.
    pub(super) fn bytewise_collation(self) -> &'static str {
        match self {
            Self::MariaDb(_) => "utf8mb4_nopad_bin",
            Self::MySql(_) => "utf8mb4_0900_bin",
        }
    }

    /// Whether `json` is a separate type.
    pub(super) fn has_json(self) -> bool {
        matches!(self, Self::MySql(_))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_version_says_whose_it_is() {
        assert_eq!(Flavor::parse("10.11.14-MariaDB-0+deb12u2").unwrap(), Flavor::MariaDb((10, 11, 14)));
        assert_eq!(Flavor::parse("5.5.5-10.4.2-MariaDB").unwrap(), Flavor::MariaDb((10, 4, 2)));
        assert_eq!(Flavor::parse("8.0.36-0ubuntu0.22.04.1").unwrap(), Flavor::MySql((8, 0, 36)));
        for old in ["5.7.44-log", "8.0.18", "10.1.48-MariaDB", "what"] {
            assert_eq!(Flavor::parse(old).unwrap_err().kind(), ErrorKind::Unsupported, "{old}");
        }
    }
}
