//! Indexes that are built after the rows: what databases say about it.

use std::fmt::Display;

use log::warn;

use crate::error::{Error, ErrorKind};

/// The error of the option `indexes` = `rebuild` for a table whose indexes must stay, for this reason.
pub fn cannot_rebuild(table: impl Display, why: impl Display) -> Error {
    let text = format!(
        "the indexes of table {table} cannot be built after its rows, because {why}: set the option 'indexes' to 'auto'"
    );
    Error::new(ErrorKind::Unsupported, text)
}

/// Says that they stay, although the option is `rebuild`.
pub fn indexes_stay(table: impl Display, why: impl Display) {
    warn!(
        "the indexes of table {table} are not built after its rows, although the option 'indexes' is 'rebuild': {why}"
    );
}
