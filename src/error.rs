//! The error type of the crate: its kind, the operation that failed, the next step, and the cause.

use std::error::Error as StdError;
use std::fmt;

/// A result whose failure is an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error, for programs. The text of an [`Error`] is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An invalid option, location or name.
    Config,
    /// The columns of a statement do not match the table. Found when the statement is planned.
    Schema,
    /// A value that the target column cannot store unchanged.
    Encode,
    /// A stored value whose type differs from the type that its column is read as.
    Decode,
    /// A row violates a key, NOT NULL, CHECK or foreign key constraint of the database.
    Constraint,
    /// Another transaction held a lock for longer than `lock_timeout`.
    Locked,
    /// The server aborted the transaction because of a deadlock.
    Deadlock,
    /// The database's disk is full, or its size limit is reached.
    Full,
    /// The server cannot be reached, is starting or stopping, accepts no more connections, or the connection was lost.
    Unavailable,
    /// The database cannot be opened, read or written: it is missing or damaged, or the user lacks a privilege.
    Access,
    /// The query whose rows are written failed.
    Input,
    /// Another run of the same job took over. This run did not commit.
    Fenced,
    /// A commit was sent, and its outcome is unknown. The message says how to proceed.
    InDoubt,
    /// The user interrupted the statement.
    Interrupted,
    /// This database, or this version of it, does not support the operation.
    Unsupported,
    /// Any other error of the database.
    Database,
    /// A bug in Landfall.
    Internal,
}

impl ErrorKind {
    /// Whether the same statement may succeed if it runs again unchanged, from the start.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Locked | Self::Deadlock | Self::Unavailable)
    }
}

/// An error. It displays as `operation: what happened: cause`, and the text contains the next step.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<Context>,
    row: Option<usize>,
    code: Option<Box<str>>,
    value: Option<Box<Value>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A value of the row that an error is about, as text, and its column if the database names it.
struct Value {
    column: Option<String>,
    text: String,
}

/// A part of the text in front of the message.
enum Context {
    Doing(String),
    /// Rows of the stream, counted from 1, and what follows their numbers.
    Rows(u64, u64, String),
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doing(doing) => f.write_str(doing),
            Self::Rows(first, last, more) if first == last => write!(f, "row {first}{more}"),
            Self::Rows(first, last, more) => write!(f, "rows {first} to {last}{more}"),
        }
    }
}

impl Error {
    /// Creates an error of a kind. The message names the object and the next step.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            row: None,
            code: None,
            value: None,
            source: None,
        }))
    }

    /// Adds the cause. Its text is appended to the message.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Prepends the operation to the message.
    pub fn with_context(mut self, doing: impl Into<String>) -> Self {
        self.0.context.push(Context::Doing(doing.into()));
        self
    }

    /// Prepends the numbers of the affected rows to the message, followed by `more`. Rows are counted from 1, in the
    /// order in which a writer receives them.
    pub fn in_rows(mut self, first: u64, last: u64, more: impl Into<String>) -> Self {
        self.0.context.push(Context::Rows(first, last, more.into()));
        self
    }

    /// The error with another message, if it has this one.
    pub(crate) fn reworded(mut self, message: &str, to: impl Into<String>) -> Self {
        if self.0.message == message {
            self.0.message = to.into();
        }
        self
    }

    /// The error of a statement of a transaction, which is run again as a whole. `databases` is the number of databases.
    pub(crate) fn of_transaction(mut self, databases: usize) -> Self {
        self.0.message = self.0.message.replace("run the statement again", "run the transaction again");
        if self.0.kind == ErrorKind::Locked && databases > 1 {
            self.0.message += "; a deadlock between two databases also causes this error: run the transaction again";
        }
        self
    }

    /// Replaces the row numbers of a writer with those of the stream: `place` returns the first and the last row of the
    /// stream that a row of the writer can be.
    pub(crate) fn map_rows(mut self, place: impl Fn(u64) -> (u64, u64)) -> Self {
        for context in &mut self.0.context {
            if let Context::Rows(first, last, _) = context {
                (*first, *last) = (place(*first).0, place(*last).1);
            }
        }
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The first and the last row of the stream that the error is about, counted from 1.
    pub fn rows(&self) -> Option<(u64, u64)> {
        self.0.context.iter().find_map(|context| match context {
            Context::Rows(first, last, _) => Some((*first, *last)),
            Context::Doing(_) => None,
        })
    }

    /// The column that the error is about, if its text names one before the message.
    pub fn column(&self) -> Option<&str> {
        self.0.context.iter().find_map(|context| {
            let (Context::Doing(text) | Context::Rows(_, _, text)) = context;
            let name = text.trim_start_matches(", ").strip_prefix("column \"")?;
            let (name, _) = name.rsplit_once("\" (declared ").or_else(|| name.rsplit_once('"'))?;
            Some(name)
        })
    }

    /// The affected row, counted from 0 in the current array or batch.
    pub fn row(&self) -> Option<usize> {
        self.0.row
    }

    /// Notes the affected row, counted from 0 in the current array or batch.
    pub fn at_row(mut self, row: usize) -> Self {
        self.0.row = Some(row);
        self
    }

    /// The code of an error that the database reported: PostgreSQL's SQLSTATE, the number of MySQL's error, SQLite's extended
    /// result code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Adds the code of an error that the database reported.
    pub fn with_code(mut self, code: impl Into<Box<str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// A value of the row that it is about, as text, and the column if the database names it.
    pub(crate) fn value(&self) -> Option<(Option<&str>, &str)> {
        let Value { column, text } = self.0.value.as_deref()?;
        Some((column.as_deref(), text))
    }

    // Only servers name the value.
    #[cfg(feature = "_socket")]
    pub(crate) fn with_value(mut self, column: Option<&str>, text: &str) -> Self {
        self.0.value = Some(Box::new(Value { column: column.map(str::to_owned), text: text.to_owned() }));
        self
    }

    /// Whether it is about the values of a row: another row may be stored.
    pub(crate) fn is_of_a_row(&self) -> bool {
        matches!(self.kind(), ErrorKind::Encode | ErrorKind::Constraint)
    }

    /// The error without the numbers of the affected rows.
    pub(crate) fn without_rows(mut self) -> Self {
        for context in &mut self.0.context {
            if let Context::Rows(_, _, more) = context {
                *context = Context::Doing(std::mem::take(more).trim_start_matches(", ").to_owned());
            }
        }
        self.0.context.retain(|context| !matches!(context, Context::Doing(doing) if doing.is_empty()));
        self
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn schema(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Schema, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for doing in self.0.context.iter().rev() {
            write!(f, "{doing}: ")?;
        }
        f.write_str(&self.0.message)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_from_the_outside_in() {
        let error = Error::new(ErrorKind::Locked, "the database is locked")
            .with_source("SQLITE_BUSY")
            .with_context("beginning a transaction")
            .with_context("writing to table t");
        assert_eq!(
            error.to_string(),
            "writing to table t: beginning a transaction: the database is locked: SQLITE_BUSY"
        );
        assert!(error.kind().is_transient());
    }

    #[test]
    fn an_error_knows_its_row_and_its_column() {
        let refused = || Error::new(ErrorKind::Encode, "too large");
        let error =
            refused().in_rows(7, 7, ", column \"a \"b\"\" (declared numeric(3,1))").with_context("writing table t");
        assert_eq!((error.rows(), error.column()), (Some((7, 7)), Some("a \"b\"")));
        let error = refused().in_rows(1, 9, ", column \"v\"");
        assert_eq!((error.rows(), error.column()), (Some((1, 9)), Some("v")));
        let error = refused().with_context("column \"v\" (declared text)");
        assert_eq!((error.rows(), error.column()), (None, Some("v")));
        assert_eq!(refused().with_context("writing table t").column(), None);
    }

    #[test]
    fn rows_are_counted_anew() {
        let error = Error::new(ErrorKind::Constraint, "refused").in_rows(3, 3, ", column c").with_context("writing");
        assert_eq!(error.to_string(), "writing: row 3, column c: refused");
        assert_eq!((error.rows(), error.column()), (Some((3, 3)), None));
        let error = error.map_rows(|row| (row * 10, row * 10 + 1));
        assert_eq!(error.to_string(), "writing: rows 30 to 31, column c: refused");
        assert_eq!(error.without_rows().to_string(), "writing: column c: refused");
        let error = Error::new(ErrorKind::Constraint, "refused").in_rows(3, 4, "").with_code("23505");
        assert_eq!((error.code(), error.is_of_a_row()), (Some("23505"), true));
        assert_eq!(error.without_rows().to_string(), "refused");
    }
}
