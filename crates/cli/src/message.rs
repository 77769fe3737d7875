//! The messages of failures.

use datafusion::common::DataFusionError;

use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::sql::without_passwords;

/// The reason why the program, or a statement of the shell, failed.
#[derive(Debug)]
pub(crate) struct Failure {
    text: Option<String>,
    status: u8,
    /// The kind of the error, if Landfall reported it.
    kind: Option<ErrorKind>,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), status: 1, kind: None }
    }

    /// The arguments are not those of the command.
    pub(crate) fn of_usage(text: impl Into<String>) -> Self {
        Self { status: 2, ..Self::new(text) }
    }

    /// The reader of the output has closed it, which is not an error.
    pub(crate) fn closed_output() -> Self {
        Self { text: None, status: 0, kind: None }
    }

    pub(crate) fn interrupted() -> Self {
        Self { text: Some("interrupted".into()), status: 130, kind: None }
    }

    /// The text to print, if any.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    /// Whether the same can succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        self.kind.is_some_and(ErrorKind::is_transient)
    }

    /// Whether a value that does not fit its type may be the reason.
    pub(crate) fn may_be_of_a_type(&self) -> bool {
        matches!(self.kind, None | Some(ErrorKind::Input | ErrorKind::Encode | ErrorKind::Schema | ErrorKind::Database))
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
        Self { text: Some(without_passwords(&text(&error))), status, kind }
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
