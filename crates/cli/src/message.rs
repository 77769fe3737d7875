//! The messages of failures.

use datafusion::common::DataFusionError;

use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::sql::without_passwords;

/// The reason why the program, or a statement of the shell, failed.
#[derive(Debug)]
pub(crate) struct Failure {
    text: Option<String>,
    status: u8,
    /// Whether the same can succeed later.
    is_transient: bool,
    /// Whether rows violate a constraint of their table.
    is_of_a_constraint: bool,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), status: 1, is_transient: false, is_of_a_constraint: false }
    }

    /// The reader of the output has closed it, which is not an error.
    pub(crate) fn closed_output() -> Self {
        Self { text: None, status: 0, is_transient: false, is_of_a_constraint: false }
    }

    pub(crate) fn interrupted() -> Self {
        Self { text: Some("interrupted".into()), status: 130, is_transient: false, is_of_a_constraint: false }
    }

    /// The text to print, if any.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    pub(crate) fn is_transient(&self) -> bool {
        self.is_transient
    }

    pub(crate) fn is_of_a_constraint(&self) -> bool {
        self.is_of_a_constraint
    }

    /// Appends to the text.
    pub(crate) fn followed_by(mut self, more: &str) -> Self {
        self.text = self.text.map(|text| text + more);
        self
    }

    /// Prepends the name of the script.
    pub(crate) fn within(mut self, script: &str) -> Self {
        self.text = self.text.map(|text| format!("{script}: {text}"));
        self
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        let kind = landfall_error(&error).map(Error::kind);
        let status = if kind == Some(ErrorKind::Interrupted) { 130 } else { 1 };
        let is_transient = kind.is_some_and(ErrorKind::is_transient);
        let is_of_a_constraint = kind == Some(ErrorKind::Constraint);
        Self { text: Some(without_passwords(&text(&error))), status, is_transient, is_of_a_constraint }
    }
}

/// The error of Landfall, if it is one.
pub(crate) fn landfall_error(error: &DataFusionError) -> Option<&Error> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref(),
        _ => None,
    }
}

/// One message, without DataFusion's prefixes for the place in its code where an error arose.
fn text(error: &DataFusionError) -> String {
    if let Some(own) = landfall_error(error) {
        return own.to_string();
    }
    match error.find_root() {
        DataFusionError::Plan(text) | DataFusionError::Execution(text) | DataFusionError::Configuration(text) => {
            text.clone()
        }
        DataFusionError::SQL(error, _) => error.to_string(),
        other => other.strip_backtrace(),
    }
}
