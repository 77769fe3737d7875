//! Explicit values for identity columns.

use super::options::Identity;
use crate::backend::{ColumnDefault, Table};
use crate::error::{Error, ErrorKind, Result};

/// Refuses values for columns that are GENERATED ALWAYS AS IDENTITY, as INSERT does and COPY does not.
///
/// # Errors
/// `Schema`, with the next step.
pub(super) fn check_identity<'a>(
    table: &Table,
    mut written: impl Iterator<Item = &'a str>,
    identity: Identity,
) -> Result<()> {
    let is_always = |name: &&str| table.column(name).is_some_and(|column| column.default == ColumnDefault::Numbered);
    match (identity, written.find(is_always)) {
        (Identity::Error, Some(name)) => Err(Error::schema(format!(
            "column \"{name}\" of table {} is GENERATED ALWAYS AS IDENTITY: omit the column to let the server number \
             the rows, or set the option 'identity' to 'override' to store the given values, or to 'advance' to store \
             them and also advance the sequence past them",
            table.name
        ))),
        _ => Ok(()),
    }
}

/// Refuses `identity` = `advance` for a view, whose sequences are unknown.
///
/// # Errors
/// `Unsupported`, with the next step.
pub(super) fn check_advance(table: &Table, is_table: bool, identity: Identity) -> Result<()> {
    if identity == Identity::Advance && !is_table {
        let text = format!(
            "the option 'identity' = 'advance' cannot be used with {}, which is not an ordinary table or has rules: \
             write to the underlying table",
            table.name
        );
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(())
}
