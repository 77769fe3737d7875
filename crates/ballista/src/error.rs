//! Errors of other processes. They arrive as texts: `Job … failed: … DataFusionError(External(Constraint: writing table …)))`.

use datafusion::common::DataFusionError;
use datafusion_landfall::error::{Error, ErrorKind};
use log::debug;

const KINDS: [ErrorKind; 17] = [
    ErrorKind::Config,
    ErrorKind::Schema,
    ErrorKind::Encode,
    ErrorKind::Decode,
    ErrorKind::Constraint,
    ErrorKind::Locked,
    ErrorKind::Deadlock,
    ErrorKind::Full,
    ErrorKind::Unavailable,
    ErrorKind::Access,
    ErrorKind::Input,
    ErrorKind::Fenced,
    ErrorKind::InDoubt,
    ErrorKind::Interrupted,
    ErrorKind::Unsupported,
    ErrorKind::Database,
    ErrorKind::Internal,
];

/// The error of Landfall that the text of a cluster's error contains; otherwise the same error.
pub(crate) fn of_landfall(error: DataFusionError) -> DataFusionError {
    let text = match error.find_root() {
        // Its text ends with a request to report a bug.
        DataFusionError::Internal(text) => text.clone(),
        _ => error.to_string(),
    };
    if let Some((_, refused)) = text.split_once("failed: DataFusion error: External error: ") {
        // The scheduler could not plan the statement.
        return DataFusionError::Execution(refused.to_owned());
    }
    match found(&text) {
        Some((kind, message)) => {
            debug!("{text}");
            Error::new(kind, message).into()
        }
        None => error,
    }
}

/// The kind and the message of the first such error in a text.
fn found(text: &str) -> Option<(ErrorKind, &str)> {
    let debugged = KINDS.map(|kind| (kind, format!("External({kind:?}: ")));
    let found = debugged.iter().filter_map(|(kind, begin)| Some((text.find(begin)?, *kind, begin.len())));
    let (at, kind, length) = found.min_by_key(|(at, ..)| *at)?;
    // The error is in as many parentheses as were opened before it. They are at the end of the text.
    let before = &text[..at];
    let mut message = text[at + length..].trim_end();
    for _ in 0..opened(before) + 1 {
        message = message.strip_suffix(')')?;
    }
    Some((kind, message))
}

/// The number of parentheses that a text opens, outside of quotation marks.
fn opened(text: &str) -> usize {
    let (mut count, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for character in text.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => count += 1,
            ')' if !is_quoted => count = count.saturating_sub(1),
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_error_of_a_task_is_found_in_that_of_its_job() {
        let message = "writing table t: row 7: the key (id) exists: DETAIL (\"a(\")";
        let error = || Error::new(ErrorKind::Constraint, message);
        let shared = DataFusionError::Shared(Arc::new(error().into()));
        let in_context = DataFusionError::from(error()).context("a \"quoted (\" text");
        for wrapped in [error().into(), shared, in_context] {
            let job = format!("Job x failed: Task failed due to runtime execution error: DataFusionError({wrapped:?})");
            assert_eq!(found(&job), Some((ErrorKind::Constraint, message)), "{job}");
            let of_job = of_landfall(DataFusionError::Execution(job));
            let DataFusionError::External(source) = of_job else { panic!("{of_job:?}") };
            assert_eq!(source.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::Constraint));
        }
        let planning = "Job x failed: DataFusion error: External error: INSERT INTO t: not supported";
        let planned = of_landfall(DataFusionError::Execution(planning.into()));
        assert_eq!(planned.strip_backtrace(), "Execution error: INSERT INTO t: not supported");
        for other in
            ["", "DataFusionError(Plan(\"no\"))", "External(Locked: cut", "DataFusionError(External(Locked: cut"]
        {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
