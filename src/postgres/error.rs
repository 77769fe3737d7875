//! Maps SQLSTATE to error kinds, with the next step, in one table:
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::io;

use sqlx::postgres::PgDatabaseError;

use super::connector::Connector;
use super::pooler::USE_THE_SERVER;
use crate::error::{Error, ErrorKind};
use crate::sql::{DUPLICATE_KEY, lost_connection};

impl Connector {
    /// An error of this database.
    pub(super) fn error(&self, error: sqlx::Error) -> Error {
        let location = self.location_text();
        match error {
            sqlx::Error::Database(error) => match error.try_downcast::<PgDatabaseError>() {
                Ok(error) => self.refused(&error),
                Err(error) => Error::new(ErrorKind::Database, location).with_source(error.to_string()),
            },
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => self.no_tls().with_source(error),
            sqlx::Error::Io(error) => lost_connection(&location, error),
            sqlx::Error::Tls(error) => self.no_tls().with_source(error),
            sqlx::Error::Configuration(error) => {
                Error::config(format!("could not connect to {location}: check LOCATION")).with_source(error)
            }
            other => Error::new(ErrorKind::Database, location).with_source(other),
        }
    }

    pub(super) fn connect_error(&self, error: sqlx::Error) -> Error {
        let error = self.error(error);
        match error.kind() {
            ErrorKind::Unavailable => error,
            _ => error.with_context(format!("connecting to {}", self.location_text())),
        }
    }

    fn no_tls(&self) -> Error {
        let location = self.location_text();
        Error::new(
            ErrorKind::Access,
            format!(
                "TLS connection to {location} failed: check sslmode, sslrootcert, and the name in the server's certificate"
            ),
        )
    }

    fn refused(&self, error: &PgDatabaseError) -> Error {
        let (kind, help) = kind_and_help(error.code());
        let mut said = error.message().to_owned();
        for more in [error.detail(), error.hint()].into_iter().flatten() {
            said += &format!(" ({more})");
        }
        let help = match kind {
            ErrorKind::Locked => format!("{help}, or increase the option 'lock_timeout' ({:?})", self.timeouts.lock),
            _ => help.to_owned(),
        };
        let refused = if help.is_empty() { Error::new(kind, said) } else { Error::new(kind, help).with_source(said) };
        let refused = refused.with_code(error.code());
        match error.detail().and_then(key_in) {
            Some((column, value)) => refused.with_value(Some(column), value),
            None => refused,
        }
    }
}

/// A key occurs twice.
pub(super) const UNIQUE_VIOLATION: &str = "23505";

/// The next step for a server that cannot be written.
pub(super) const READ_ONLY: &str = "the server is read-only: if it is a standby, connect to the primary";

/// The kind of an SQLSTATE, and the next step.
fn kind_and_help(code: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::*;
    match code {
        "57P01" | "57P02" => (Unavailable, "the server closed the connection: run the statement again"),
        "57P03" => (Unavailable, "the server is starting up or shutting down: run the statement again later"),
        "53300" => (
            Unavailable,
            "the server or the user has too many connections: close some connections, or increase max_connections or \
             the connection limit of the user",
        ),
        _ if code.starts_with("08") => (Unavailable, "the connection was lost: run the statement again"),
        "28P01" | "28000" => (
            Access,
            "authentication failed: check the user, and the password in PGPASSWORD, ~/.pgpass or the option \
             'password_env'",
        ),
        "3D000" => (Access, "the database does not exist: check LOCATION"),
        "42501" => (Access, "the user lacks a privilege: grant the privilege to the user"),
        "25006" => (Access, READ_ONLY),
        // Names of prepared statements are unique in a session.
        "42P05" | "26000" => (Unsupported, USE_THE_SERVER),
        "08P01" => (
            Unsupported,
            "the server or a connection pooler does not support the protocol or one of the connection parameters: \
             connect directly to the server",
        ),
        UNIQUE_VIOLATION => (Constraint, DUPLICATE_KEY),
        "23503" => (
            Constraint,
            "the row violates a foreign key: the row that it references does not exist, or other rows still reference \
             the row that is deleted or changed",
        ),
        "21000" => (
            Constraint,
            "the query returns two keys that are spelled differently, but that the server considers equal: return only \
             one of the two rows",
        ),
        _ if code.starts_with("23") => (Constraint, "the row violates a constraint of the table"),
        _ if code.starts_with("44") => {
            (Constraint, "the row violates the WITH CHECK OPTION of the view: the view would not contain the row")
        }
        // RAISE EXCEPTION in a trigger.
        "P0001" => (Constraint, ""),
        "55P03" => {
            (Locked, "another transaction holds a lock: wait until that transaction ends (see pg_stat_activity)")
        }
        "40P01" | "40001" => (
            Deadlock,
            "the transaction conflicted with another one (a deadlock or serialization failure), and the server rolled \
             it back: run the statement again",
        ),
        "53100" | "53400" => (
            Full,
            "the server's disk is full, or a limit is reached: free space, or increase the limit, and run the \
             statement again",
        ),
        _ if code.starts_with("53") => {
            (Full, "the server is out of resources: free resources, and run the statement again")
        }
        _ if code.starts_with("22") => (Encode, "the server cannot store a value in the column"),
        "57P05" | "25P03" | "25P04" => (Unavailable, "the server closed the connection: run the statement again"),
        "57014" => (Database, "the statement was canceled on the server"),
        "42P01" | "42703" => (Schema, "the table was altered or dropped: register the table again"),
        _ if code.starts_with("0A") => (Unsupported, ""),
        _ => (Database, ""),
    }
}

/// The column and the value of a key in the detail of an error: `Key (a)=(5) …`.
fn key_in(detail: &str) -> Option<(&str, &str)> {
    let (column, rest) = detail.strip_prefix("Key (")?.split_once(")=(")?;
    let (value, _) = rest.rsplit_once(") ").filter(|_| !column.contains(", "))?;
    Some((column, value))
}

/// The position of an error in a COPY: `COPY t, line 3, column c: …`.
pub(super) fn place_in_copy(error: &sqlx::Error) -> Option<(u64, Option<String>)> {
    let sqlx::Error::Database(error) = error else { return None };
    let context = error.try_downcast_ref::<PgDatabaseError>()?.r#where()?;
    parse_place(context)
}

fn parse_place(context: &str) -> Option<(u64, Option<String>)> {
    // The lines of a trigger or domain come first.
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let (_, rest) = line.rsplit_once(", line ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let column = rest[digits..]
        .strip_prefix(", column ")
        .map(|column| column.split_once(':').map_or(column, |(column, _)| column).to_owned());
    Some((rest[..digits].parse().ok()?, column))
}

/// The advice for a violated index that cannot be a key.
pub(super) fn not_a_key(index: &str) -> String {
    format!(
        "the key already exists in the table, or occurs twice in the query (the unique index {index}, so REPLACE INTO \
         and the option 'on_conflict' cannot use the index: change or delete one of the rows)"
    )
}

/// The error of a constraint that is checked at the end of the transaction.
pub(super) fn deferred(error: Error) -> Error {
    error.reworded(DUPLICATE_KEY, not_a_key("is deferred"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_error_is_found_in_its_detail() {
        assert_eq!(key_in("Key (a)=(5) is not present in table \"p\"."), Some(("a", "5")));
        assert_eq!(key_in("Key (a)=(x) (y)) already exists."), Some(("a", "x) (y)")));
        assert_eq!(key_in("Key (a, b)=(1, 2) already exists."), None);
        assert_eq!(key_in("Failing row contains (1)."), None);
    }

    #[test]
    fn the_place_of_an_error_is_found_in_its_context() {
        for (context, place) in [
            ("COPY t, line 3", Some((3, None))),
            ("COPY t, line 1200000, column mood", Some((1_200_000, Some("mood".to_owned())))),
            ("PL/pgSQL function f() line 3 at RAISE\nCOPY a, line b, line 7", Some((7, None))),
            ("SQL statement", None),
        ] {
            assert_eq!(parse_place(context), place, "{context}");
        }
    }
}
