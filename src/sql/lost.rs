//! Errors of lost connections.

use std::io;

use crate::error::{Error, ErrorKind};
use crate::txn::DecisionRecord;

/// The error of a failed connection.
pub fn lost_connection(location: &str, error: io::Error) -> Error {
    let lost = Error::new(ErrorKind::Unavailable, how_lost(location, &error));
    match error.kind() {
        // It says nothing else.
        io::ErrorKind::UnexpectedEof => lost,
        _ => lost.with_source(error),
    }
}

fn how_lost(location: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            format!("could not connect to {location}: check the host and the port, and that the server is running")
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            format!("the connection to {location} was lost: check the server's log, and run the statement again")
        }
        io::ErrorKind::TimedOut => {
            format!("{location} does not respond: check the server and the network, and run the statement again")
        }
        _ => format!("could not reach {location}"),
    }
}

/// The error of a commit whose connection was lost before the server answered.
pub(super) fn lost_commit(record: Option<&DecisionRecord>) -> Error {
    let next = match record {
        Some(record) => {
            format!("run job '{}' again; the job writes the rows only if they are not stored yet", record.job)
        }
        None => {
            "check whether the rows are stored before you run the statement again (a statement with the option 'job' makes this \
                 check itself)"
                .to_owned()
        }
    };
    Error::new(
        ErrorKind::InDoubt,
        format!("the connection was lost during the commit, and the outcome is unknown: {next}"),
    )
}

/// The cause of an unknown outcome, without its advice: a second run could write the rows twice.
pub(super) fn cause(error: &Error) -> String {
    let text = error.to_string();
    ["; run the statement again", ", and run the statement again", ": run the statement again"]
        .iter()
        .fold(text, |text, advice| text.replace(advice, ""))
}
