//! Errors as Python exceptions.

use datafusion::common::DataFusionError;
use datafusion_landfall::sql::without_passwords;
use datafusion_landfall::{Error as LandfallError, ErrorKind};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

macro_rules! exceptions {
    ($($name:ident($base:ident): $doc:literal;)*) => {
        $(create_exception!(landfall, $name, $base, $doc);)*

        /// Adds the exceptions to the module.
        pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add(stringify!($name), module.py().get_type::<$name>())?;)*
            Ok(())
        }
    };
}

exceptions! {
    Error(PyException): "The base class of all exceptions of Landfall.

Attributes: `kind` is the kind of the error in one word. `row` is the number of the row that caused the error, counted
from 1. `rows` contains the first and the last row of the range that contains this row; with several writers, the range
is a batch of rows. `column` is the name of the column that caused the error. An attribute is None if it is not known.";
    ConfigError(Error): "An invalid option, URL, name or statement text.";
    SchemaError(Error): "The columns of the data do not match the table, the table does not exist, or the table to \
                         be created already exists.";
    SqlError(Error): "A statement that cannot be parsed or planned.";
    EncodeError(Error): "A value that the column of the table cannot store unchanged.";
    DecodeError(Error): "A stored value whose type differs from the type that its column is read as.";
    ConstraintError(Error): "A row violates a key, NOT NULL, CHECK or foreign key constraint of the database.";
    TransientError(Error): "A lock timeout, a deadlock, or a lost connection: the same call can succeed later.";
    AccessError(Error): "The database cannot be opened, read or written: it is missing, or the user lacks a privilege.";
    InputError(Error): "Reading the data failed.";
    FencedError(Error): "Another run of the same job took over. This run did not commit.";
    InDoubtError(Error): "A commit was sent, and its outcome is unknown. The message says how to find \
                          out the outcome.";
    StoppedError(Error): "The statement was stopped, and rolled back.";
    UnsupportedError(Error): "The database does not support the operation, or the operation does not support this kind \
                              of data.";
    DatabaseError(Error): "Any other error of the database.";
    InternalError(Error): "A bug in Landfall.";
}

/// The exception for each kind of error, and the kind in one word.
fn exception(kind: ErrorKind, message: String) -> (&'static str, PyErr) {
    match kind {
        ErrorKind::Config => ("config", ConfigError::new_err(message)),
        ErrorKind::Schema => ("schema", SchemaError::new_err(message)),
        ErrorKind::Encode => ("encode", EncodeError::new_err(message)),
        ErrorKind::Decode => ("decode", DecodeError::new_err(message)),
        ErrorKind::Constraint => ("constraint", ConstraintError::new_err(message)),
        ErrorKind::Locked => ("locked", TransientError::new_err(message)),
        ErrorKind::Deadlock => ("deadlock", TransientError::new_err(message)),
        ErrorKind::Unavailable => ("unavailable", TransientError::new_err(message)),
        ErrorKind::Full => ("full", DatabaseError::new_err(message)),
        ErrorKind::Access => ("access", AccessError::new_err(message)),
        ErrorKind::Input => ("input", InputError::new_err(message)),
        ErrorKind::Fenced => ("fenced", FencedError::new_err(message)),
        ErrorKind::InDoubt => ("in_doubt", InDoubtError::new_err(message)),
        ErrorKind::Interrupted => ("interrupted", StoppedError::new_err(message)),
        ErrorKind::Unsupported => ("unsupported", UnsupportedError::new_err(message)),
        ErrorKind::Internal => ("internal", InternalError::new_err(message)),
        _ => ("database", DatabaseError::new_err(message)),
    }
}

/// A failure on its way to Python.
#[derive(Debug)]
pub(crate) struct Failure(DataFusionError);

impl Failure {
    /// A bug.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        LandfallError::new(ErrorKind::Internal, message).into()
    }

    /// A statement that was stopped before it wrote.
    pub(crate) fn stopped() -> Self {
        LandfallError::new(ErrorKind::Interrupted, "stopped: nothing was written").into()
    }

    /// The message.
    pub(crate) fn text(&self) -> String {
        without_passwords(&own(&self.0).map_or_else(|| self.0.strip_backtrace(), ToString::to_string))
    }

    /// Whether the statement was stopped by its `Interrupt`.
    pub(crate) fn is_interrupted(&self) -> bool {
        own(&self.0).is_some_and(|error| error.kind() == ErrorKind::Interrupted)
    }

    /// The exception. Passwords in its text are replaced by `***`.
    pub(crate) fn into_exception(self, py: Python<'_>) -> PyErr {
        let message = |text: String| without_passwords(&text);
        let ((kind, exception), rows, column) = match (own(&self.0), self.0.find_root()) {
            (Some(error), _) => {
                (exception(error.kind(), message(error.to_string())), error.rows(), error.column().map(str::to_owned))
            }
            (None, DataFusionError::Plan(text)) => (("sql", SqlError::new_err(message(text.clone()))), None, None),
            (None, DataFusionError::Configuration(text)) => {
                (exception(ErrorKind::Config, message(text.clone())), None, None)
            }
            (None, DataFusionError::SQL(error, _)) => {
                (("sql", SqlError::new_err(message(error.to_string()))), None, None)
            }
            (None, error @ (DataFusionError::SchemaError(..) | DataFusionError::NotImplemented(_))) => {
                (("sql", SqlError::new_err(message(error.strip_backtrace()))), None, None)
            }
            (None, DataFusionError::Internal(text)) => {
                (exception(ErrorKind::Internal, message(text.clone())), None, None)
            }
            (None, DataFusionError::Execution(text)) => {
                (exception(ErrorKind::Input, message(text.clone())), None, None)
            }
            (None, other) => (exception(ErrorKind::Input, message(other.strip_backtrace())), None, None),
        };
        let value = exception.value(py);
        let row = rows.filter(|(first, last)| first == last).map(|(row, _)| row);
        let set = value.setattr("kind", kind).and_then(|()| value.setattr("row", row));
        match set.and_then(|()| value.setattr("rows", rows)).and_then(|()| value.setattr("column", column)) {
            Ok(()) => exception,
            Err(error) => error,
        }
    }
}

/// Landfall's own error, at the root of one of DataFusion.
fn own(error: &DataFusionError) -> Option<&LandfallError> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref(),
        _ => None,
    }
}

impl<E: Into<DataFusionError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// An error of the arguments.
pub(crate) fn config(message: impl Into<String>) -> Failure {
    LandfallError::new(ErrorKind::Config, message).into()
}
