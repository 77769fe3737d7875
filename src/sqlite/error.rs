//! Maps SQLite's result codes to kinds of errors and their next steps, in one table.

use std::path::Path;

use rusqlite::ffi::ErrorCode;

use super::connector::Connector;
use crate::error::{Error, ErrorKind};
use crate::sql::DUPLICATE_KEY;

impl Connector {
    /// An error of this database.
    pub(super) fn error(&self, error: rusqlite::Error) -> Error {
        let path = self.path.display();
        let Some(code) = error.sqlite_error_code() else {
            return Error::new(ErrorKind::Database, format!("SQLite database {path}")).with_source(error);
        };
        let (kind, message) = match code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                return Error::new(ErrorKind::Locked, self.locked());
            }
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => (
                ErrorKind::Access,
                format!("could not write to {path}: check the permissions of the file and of its directory"),
            ),
            ErrorCode::CannotOpen => (
                ErrorKind::Access,
                format!(
                    "could not open {path}: check that the directory exists, and check the permissions of the file and \
                     of the directory"
                ),
            ),
            ErrorCode::NotADatabase => {
                (ErrorKind::Access, format!("{path} is not a SQLite database, or is encrypted: check LOCATION"))
            }
            ErrorCode::DatabaseCorrupt => {
                (ErrorKind::Access, format!("{path} is damaged: run PRAGMA integrity_check in sqlite3"))
            }
            ErrorCode::DiskFull => (
                ErrorKind::Full,
                format!(
                    "could not extend {path}: the disk is full, or pragma.max_page_count is reached; free space, or \
                     increase the limit, and run the statement again"
                ),
            ),
            ErrorCode::ConstraintViolation => (ErrorKind::Constraint, constraint_help(&error).to_owned()),
            ErrorCode::TypeMismatch | ErrorCode::TooBig => {
                (ErrorKind::Encode, "SQLite cannot store a value in the column".to_owned())
            }
            ErrorCode::OperationInterrupted => (ErrorKind::Interrupted, "the statement was interrupted".to_owned()),
            ErrorCode::SystemIoFailure => {
                (ErrorKind::Access, format!("could not read or write {path}: check the system's log"))
            }
            _ => (ErrorKind::Database, format!("SQLite database {path}")),
        };
        let refused = Error::new(kind, message);
        let refused = match error.sqlite_error() {
            Some(code) => refused.with_code(code.extended_code.to_string()),
            None => refused,
        };
        refused.with_source(error)
    }

    fn locked(&self) -> String {
        let who = match lock_holders(&self.path).as_slice() {
            [] => format!("find the process that holds the lock with fuser -v {}", self.path.display()),
            holders => format!("the lock is held by {}", holders.join(", ")),
        };
        format!(
            "{} is still locked by another connection after {:?}: {who}; wait until the lock is released, or increase \
             the option 'lock_timeout'",
            self.path.display(),
            self.lock_timeout
        )
    }
}

fn constraint_help(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ffi::{
        SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE,
    };
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID | SQLITE_CONSTRAINT_UNIQUE) => DUPLICATE_KEY,
        Some(SQLITE_CONSTRAINT_FOREIGNKEY) => {
            "the row violates a foreign key: the row that it references does not exist, or other rows still reference \
             the row that is deleted or changed"
        }
        _ => "the row violates a constraint of the table",
    }
}

/// The processes that hold a lock on the database, from Linux's list of file locks.
#[cfg(target_os = "linux")]
fn lock_holders(path: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;

    let inode_of = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).ok().map(|metadata| metadata.ino().to_string())
    };
    let inodes: Vec<String> = ["", "-shm"].into_iter().filter_map(inode_of).collect();
    let mut holders: Vec<String> = std::fs::read_to_string("/proc/locks")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            // 1: POSIX  ADVISORY  WRITE 1234 fe:00:5678 1073741825 1073741825
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (kind, pid, file) = (fields.get(3)?, fields.get(4)?, fields.get(5)?);
            let ours = *kind == "WRITE" && inodes.iter().any(|inode| file.rsplit(':').next() == Some(inode));
            ours.then(|| describe_process(pid))
        })
        .collect();
    holders.sort();
    holders.dedup();
    holders
}

#[cfg(not(target_os = "linux"))]
fn lock_holders(_: &Path) -> Vec<String> {
    Vec::new()
}

#[cfg(target_os = "linux")]
fn describe_process(pid: &str) -> String {
    if pid == std::process::id().to_string() {
        return format!("this process ({pid})");
    }
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}
