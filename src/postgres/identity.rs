//! Values for columns that the server numbers.

use super::options::Identity;
use crate::backend::{ColumnDefault, Table};
use crate::error::{Error, ErrorKind, Result};

/// Refuses values for columns that are GENERATED ALWAYS AS IDENTITY, as INSERT does; COPY would not.
///
/// # Errors
/// `Schema`, with what to do.
pub(super) fn check_identity<'a>(
    table: &Table,
    mut written: impl Iterator<Item = &'a str>,
    identity: Identity,
) -> Result<()> {
    let is_always = |name: &&str| table.column(name).is_some_and(|column| column.default == ColumnDefault::Numbered);
    match (identity, written.find(is_always)) {
        (Identity::Error, Some(name)) => Err(Error::schema(format!(
            "column \"{name}\" of table {} is GENERATED ALWAYS AS IDENTITY: leave it out, and the server numbers the rows; \
             or keep the values that are given with the option 'identity' = 'override', or 'advance' to move its sequence \
             behind them too",
            table.name
        ))),
        _ => Ok(()),
    }
}

/// Refuses to move the sequences of a view, which stays unknown.
///
/// # Errors
/// `Unsupported`, with what to do.
pub(super) fn check_advance(table: &Table, is_table: bool, identity: Identity) -> Result<()> {
    if identity == Identity::Advance && !is_table {
        let text = format!(
            "the option 'identity' = 'advance' moves the sequences of a table, and {} is none, or has rules: write to the \
             table itself",
            table.name
        );
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(())
}
