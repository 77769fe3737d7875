//! Maps error numbers to error kinds, with the next step, in one table:
//! <https://mariadb.com/kb/en/mariadb-error-codes/>.

use std::io;

use mysql_async::{DriverError, IoError, ServerError};

use super::connector::{Connector, LOCK_WAIT_TIMEOUT};
use crate::error::{Error, ErrorKind};
use crate::sql::{DUPLICATE_KEY, lost_connection};

/// A key occurs twice.
pub(super) const DUPLICATE_ENTRY: &str = "1062";

/// The prepared branch does not exist (`XAER_NOTA`).
pub(super) const XAER_NOTA: u16 = 1397;

impl Connector {
    /// An error of this database.
    pub(super) fn error(&self, error: mysql_async::Error) -> Error {
        let location = self.options().location();
        match error {
            mysql_async::Error::Server(error) => self.refused(&error),
            mysql_async::Error::Io(IoError::Tls(error)) => self.no_tls().with_source(error.to_string()),
            // TLS errors are wrapped in I/O errors.
            mysql_async::Error::Io(IoError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                self.no_tls().with_source(error)
            }
            mysql_async::Error::Io(IoError::Io(error)) => lost_connection(&location, error),
            mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => self.no_tls(),
            mysql_async::Error::Driver(DriverError::ConnectionClosed) => Error::new(
                ErrorKind::Unavailable,
                format!("the connection to {location} was lost: check the server's log, and run the statement again"),
            ),
            other => Error::new(ErrorKind::Database, location).with_source(other),
        }
    }

    fn no_tls(&self) -> Error {
        let location = self.options().location();
        Error::new(
            ErrorKind::Access,
            format!(
                "TLS connection to {location} failed: check ssl-mode, ssl-ca, and the name in the server's certificate"
            ),
        )
    }

    fn refused(&self, error: &ServerError) -> Error {
        let (kind, help) = kind_and_help(error.code);
        let help = match error.code {
            LOCK_WAIT_TIMEOUT => format!("{help}, or increase the option 'lock_timeout' ({:?})", self.timeouts.lock),
            _ => help.to_owned(),
        };
        let refused = match help.is_empty() {
            true => Error::new(kind, error.message.clone()),
            false => Error::new(kind, help).with_source(error.message.clone()),
        };
        let refused = refused.with_code(error.code.to_string());
        match duplicate_in(&error.message) {
            Some(value) => refused.with_value(None, value),
            None => refused,
        }
    }

    /// The error for a warning that the server reported in place of an error.
    pub(super) fn warned(&self, code: u16, message: String) -> Error {
        self.refused(&ServerError { code, message, state: String::new() })
    }
}

/// The kind of an error number, and the next step.
fn kind_and_help(code: u16) -> (ErrorKind, &'static str) {
    use ErrorKind::*;
    match code {
        1045 | 1698 | 1251 | 2059 => (
            Access,
            "authentication failed: check the user, and the password in MYSQL_PWD or the option 'password_env'",
        ),
        1049 => (Access, "the database does not exist: check LOCATION"),
        1044 | 1142 | 1143 | 1227 | 1370 => (Access, "the user lacks a privilege: grant the privilege to the user"),
        1290 | 1792 | 1836 => (Access, "the server is read-only: if it is a replica, connect to the primary"),
        1040 | 1203 | 1226 => (
            Unavailable,
            "the server or the user has too many connections: close some connections, or increase the connection limit",
        ),
        1053 | 1077 | 1079 | 1080 | 1927 | 3169 => {
            (Unavailable, "the server closed the connection: run the statement again")
        }
        1062 | 1022 | 1169 | 1586 => (Constraint, DUPLICATE_KEY),
        1216 | 1217 | 1451 | 1452 => (
            Constraint,
            "the row violates a foreign key: the row that it references does not exist, or other rows still reference \
             the row that is deleted or changed",
        ),
        1048 | 1263 | 1364 | 1369 | 3819 | 4025 => (Constraint, "the row violates a constraint of the table"),
        1644 => (Constraint, "a trigger of the table refused the row"),
        LOCK_WAIT_TIMEOUT => {
            (Locked, "another transaction holds a lock: wait until that transaction ends (see SHOW PROCESSLIST)")
        }
        1213 | 1614 | 1020 => (
            Deadlock,
            "the transaction conflicted with another one (a deadlock or serialization failure), and the server rolled \
             it back: run the statement again",
        ),
        1021 | 1114 | 1041 | 1037 | 1038 | 1030 => (
            Full,
            "the server's disk or memory is full, or a limit is reached: free space, or increase the limit, and run \
             the statement again",
        ),
        1153 => (Encode, "a row is larger than the server's max_allowed_packet: increase max_allowed_packet"),
        1264 | 1265 | 1292 | 1366 | 1367 | 1406 | 1411 | 1426 | 1300 | 4078 | 1441 | 1690 | 1916 => {
            (Encode, "the server cannot store a value in the column")
        }
        3140 | 4035..=4040 => (Encode, "the server cannot parse a value as JSON"),
        1317 | 1969 | 3024 => (Database, "the statement was canceled on the server"),
        1050 => (Schema, "the table already exists: drop the table first, or use INSERT INTO"),
        1146 | 1054 => (Schema, "the table was altered or dropped: register the table again"),
        1148 | 3948 | 4166 => (
            Unsupported,
            "the server or a proxy does not allow LOAD DATA LOCAL: run SET GLOBAL local_infile = 1 on the server, or \
             allow LOAD DATA LOCAL in the proxy",
        ),
        1401 => (Unsupported, "the user lacks the privilege XA_RECOVER_ADMIN: grant the privilege to the user"),
        1235 => (Unsupported, ""),
        _ => (Database, ""),
    }
}

/// The value of a key that occurs twice: `Duplicate entry '5' for key …`.
fn duplicate_in(message: &str) -> Option<&str> {
    Some(message.strip_prefix("Duplicate entry '")?.rsplit_once("' for key ")?.0)
}

/// The row of the statement in a message: `… at row 3`.
pub(super) fn row_in(message: &str) -> Option<u64> {
    let (_, rest) = message.rsplit_once(" at row ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_duplicate_is_found() {
        assert_eq!(duplicate_in("Duplicate entry '5' for key 'PRIMARY'"), Some("5"));
        assert_eq!(duplicate_in("Duplicate entry 'it's' for key 't.u'"), Some("it's"));
        assert_eq!(duplicate_in("Column 'a' cannot be null"), None);
    }

    #[test]
    fn the_row_of_a_warning_is_found() {
        assert_eq!(row_in("Out of range value for column 'a at row 9' at row 12"), Some(12));
        assert_eq!(row_in("Incorrect string value: '\\xF0' for column `d`.`t`.`c` at row 3"), Some(3));
        assert_eq!(row_in("Duplicate entry '1' for key 'PRIMARY'"), None);
    }
}
