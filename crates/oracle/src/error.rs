//! Maps the numbers of Oracle's errors to kinds of errors and their next steps, in one table. Oracle Database Error Messages
//! describes each: <https://docs.oracle.com/en/error-help/db/ora-00001/>.

use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::sql::DUPLICATE_KEY;

use crate::session::Failure;

/// The table or view does not exist, or the user may not see it.
pub(crate) const NO_TABLE: u32 = 942;

/// The name is already used by an object.
pub(crate) const NAME_IN_USE: u32 = 955;

/// The package or its function is not declared, or the user may not execute it: PL/SQL does not compile.
pub(crate) const NOT_COMPILED: u32 = 6550;

/// The privileges for two-phase commit.
pub(crate) const GRANTS: &str = "two-phase commit requires these privileges, which a DBA grants to the user:\n\
     GRANT EXECUTE ON SYS.DBMS_XA TO <user>;\n\
     GRANT SELECT ON SYS.DBA_PENDING_TRANSACTIONS TO <user>;\n\
     GRANT SELECT ON SYS.PENDING_TRANS$ TO <user>;\n\
     GRANT SELECT ON SYS.DBA_2PC_PENDING TO <user>;\n\
     and, to complete branches that another user has prepared: GRANT FORCE ANY TRANSACTION TO <user>";

/// An error of the database at `location`.
pub(crate) fn error(location: &str, failure: &Failure) -> Error {
    let Some(code) = failure.code.or_else(|| code_in(&failure.message)) else {
        return match failure.is_lost {
            true => Error::new(
                ErrorKind::Unavailable,
                format!(
                    "could not reach {location}, or the connection was lost: check the host, the port and the server, and run \
                     the statement again"
                ),
            ),
            false => Error::new(ErrorKind::Database, location),
        }
        .with_source(failure.message.clone());
    };
    let (kind, help) = kind_and_help(code);
    let error = match help.is_empty() {
        true => Error::new(kind, failure.message.clone()),
        false => Error::new(kind, help).with_source(failure.message.clone()),
    };
    error.with_code(format!("ORA-{code:05}"))
}

/// The number in a text of the listener or the driver: `ORA-12514: …`.
fn code_in(message: &str) -> Option<u32> {
    let (_, rest) = message.split_once("ORA-")?;
    rest.get(..5)?.parse().ok()
}

/// The kind of an error's number, and the next step.
fn kind_and_help(code: u32) -> (ErrorKind, &'static str) {
    use ErrorKind::*;
    match code {
        1 => (Constraint, DUPLICATE_KEY),
        1_400 | 1_407 => (Constraint, "the column is NOT NULL; Oracle stores an empty string as NULL"),
        2_290 => (Constraint, "the row violates a check constraint of the table"),
        2_291 | 2_292 => (
            Constraint,
            "a foreign key references a row that does not exist, or the row that was to be deleted or changed is still referenced",
        ),
        2_091 => (Constraint, "the server has rolled the transaction back, as a deferred constraint is violated"),
        20_000..=20_999 => (Constraint, "a trigger of the table refused the row"),
        12_899 => (Encode, "a text is longer than its column"),
        1_438 => (Encode, "a number has more digits than its column"),
        1_426 | 1_455 => (Encode, "a number is out of range"),
        1_722 | 1_821..=1_899 | 1_461 | 1_465 | 1_704 | 932 | 2_359 | 2_376 => {
            (Encode, "the server cannot store a value in its column")
        }
        40_441 | 40_587 | 40_834 => (Encode, "the server cannot parse a value as JSON"),
        60 => (
            Deadlock,
            "the transaction conflicted with another one (a deadlock), and the server rolled its statement back: run the \
             statement again",
        ),
        8_177 => {
            (Deadlock, "the transaction conflicted with another one (it cannot be serialized): run the statement again")
        }
        54 | 2_049 | 30_006 => {
            (Locked, "another transaction holds a lock: wait until it ends (see V$LOCK), and run the statement again")
        }
        1_555 => (
            Locked,
            "the server no longer has the rows as they were when the query began: run the statement again, or increase \
             UNDO_RETENTION",
        ),
        1_013 => (Database, "the statement was canceled on the server"),
        1_017 | 1_045 | 1_005 | 28_000 | 28_001 | 28_007 => {
            (Access, "authentication failed: check the user, and the password in the option 'password_env'")
        }
        1_031 | 1_720 | 1_749 | 1_950 | 41_900 => (Access, "the user lacks a privilege: grant it to the user"),
        NO_TABLE => (Access, "the table does not exist, or the user lacks a privilege on it"),
        16_000 | 1_552 => (Access, "the database is read-only: connect to the primary"),
        1_536 | 1_652..=1_656 | 1_658 | 1_691 | 1_692 | 30_036 | 4_031 | 19_809 | 257 => (
            Full,
            "the server's disk, memory or quota is full: free space, or increase the limit, and run the statement again",
        ),
        904 | 913 | 947 | 957 => (Schema, "the table was altered or dropped: register it again"),
        NAME_IN_USE => (Schema, "drop it first, or use INSERT INTO"),
        12_541 | 12_545 | 12_170 | 12_543 => {
            (Unavailable, "could not connect: check the host and the port, and that the listener is running")
        }
        12_514 | 12_505 | 12_516 | 12_519 | 12_520 | 12_528 => {
            (Unavailable, "the listener does not know the service, or it accepts no connections: check LOCATION")
        }
        18 | 20 | 2_391 => {
            (Unavailable, "the server or the user has too many sessions: close some, or increase the limit")
        }
        28
        | 1_012
        | 1_033
        | 1_034
        | 1_041
        | 1_089
        | 1_090
        | 1_092
        | 2_396
        | 3_106
        | 3_113
        | 3_114
        | 3_135
        | 12_150..=12_699 => (
            Unavailable,
            "the connection was lost, or the server is starting or stopping: check the server's log, and run the statement again",
        ),
        NOT_COMPILED => (Access, GRANTS),
        902 | 907 => {
            (Unsupported, "this version of the server does not have the type: BOOLEAN needs 23ai, and JSON 21c")
        }
        2_089 => (Internal, "a branch was to be committed with COMMIT"),
        _ => (Database, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_a_kind_and_its_text_the_next_step() {
        for (code, kind, part) in [
            (1, ErrorKind::Constraint, "already exists"),
            (1_400, ErrorKind::Constraint, "empty string as NULL"),
            (12_899, ErrorKind::Encode, "longer than its column"),
            (60, ErrorKind::Deadlock, "run the statement again"),
            (54, ErrorKind::Locked, "holds a lock"),
            (1_555, ErrorKind::Locked, "UNDO_RETENTION"),
            (3_113, ErrorKind::Unavailable, "lost"),
            (12_541, ErrorKind::Unavailable, "listener is running"),
            (1_653, ErrorKind::Full, "free space"),
            (6_550, ErrorKind::Access, "GRANT EXECUTE ON SYS.DBMS_XA"),
            (12_345, ErrorKind::Unavailable, ""),
            (99_999, ErrorKind::Database, "the server's text"),
        ] {
            let error = error("oracle://me@h:1521/s", &Failure::of_server(code, "the server's text"));
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.code(), Some(format!("ORA-{code:05}").as_str()));
        }
    }

    #[test]
    fn the_number_is_found_in_a_text_of_the_listener() {
        let refused = Failure::lost("listener refused: ORA-12514: no such service");
        assert_eq!(error("l", &refused).code(), Some("ORA-12514"));
        let lost = error("oracle://me@h:1521/s", &Failure::lost("reset by peer"));
        assert_eq!(lost.kind(), ErrorKind::Unavailable);
        assert!(lost.to_string().contains("oracle://me@h:1521/s"), "{lost}");
    }
}
