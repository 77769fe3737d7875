//! The errors of keys that a statement would store twice.

use crate::backend::WriteSpec;
use crate::error::Error;
use crate::options::OnConflict;

/// The message for an INSERT that does not say what happens to existing keys.
pub const DUPLICATE_KEY: &str = "the key already exists in the table, or occurs twice in the query (to update or keep \
                                 the existing row, use REPLACE INTO, or set the option 'on_conflict' to 'update' or \
                                 'ignore'; both apply to the primary key, or to the key that the option 'conflict_key' \
                                 names)";

/// The message if a row conflicts with an existing row that has another key. `index` describes the violated index.
pub fn other_key(spec: &WriteSpec, index: &str) -> String {
    let what = match spec.on_conflict {
        OnConflict::Replace => "REPLACE INTO",
        _ => "the option 'on_conflict'",
    };
    format!(
        "a row conflicts with another row on {index} of table {}, but {what} applies only to the key ({}): change or \
         delete one of the two rows, or set the option 'conflict_key' to the columns of that index",
        spec.table,
        spec.key.join(", ")
    )
}

/// The error of a statement that changes rows. The advice for an INSERT does not apply to it.
pub fn duplicate_in_change(error: Error, verb: &str) -> Error {
    let advice = format!(
        "{verb} would store a key twice: change the new values, or first delete the existing row with the same key; if \
         several rows of a source have the same key, combine them"
    );
    error.reworded(DUPLICATE_KEY, advice)
}
