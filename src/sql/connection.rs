//! Runs statements.

use async_trait::async_trait;

use crate::backend::{Change, Parameter};
use crate::error::{Error, Result};
use crate::sql::{RowCount, RowCounts, Step, duplicate_in_change};

/// A row of a result, as texts. Booleans are `1` and `0`.
pub type TextRow = Vec<Option<String>>;

/// A connection that runs SQL statements, one after the other.
#[async_trait]
pub trait SqlConnection: Send {
    /// Runs a statement that returns no rows. Returns the number of rows that it changed.
    async fn execute(&mut self, sql: &str, parameters: &[Parameter]) -> Result<u64>;

    /// Runs a query. Its columns are texts, integers or booleans.
    async fn query(&mut self, sql: &str, parameters: &[Parameter]) -> Result<Vec<TextRow>>;

    /// Whether the ledger table exists.
    async fn has_ledger(&mut self) -> Result<bool>;
}

/// Runs a statement once for each list of parameters.
///
/// # Errors
/// The database's error for the first execution that fails.
pub async fn execute_many(connection: &mut dyn SqlConnection, sql: &str, parameters: &[Vec<Parameter>]) -> Result<()> {
    for parameters in parameters {
        connection.execute(sql, parameters).await?;
    }
    Ok(())
}

/// Runs the statements of a change, and counts the changed rows.
///
/// # Errors
/// Errors of the database. `Constraint` if a staged row matches no row of the table, or two match the same row.
pub async fn apply(connection: &mut dyn SqlConnection, steps: &[Step], change: &Change) -> Result<()> {
    let applied = run(connection, steps, change).await;
    applied.map_err(|error| duplicate_in_change(error, change.verb))
}

async fn run(connection: &mut dyn SqlConnection, steps: &[Step], change: &Change) -> Result<()> {
    let mut row_counts = RowCounts::default();
    for Step { sql, parameters, counts } in steps {
        let number = match counts.asks() {
            true => match connection.query(sql, parameters).await?.first() {
                Some(_) if matches!(counts, RowCount::Refuses(_)) => Some(0),
                Some(row) => Some(number(row, 0)?.unsigned_abs()),
                None => None,
            },
            false => Some(connection.execute(sql, parameters).await?),
        };
        row_counts.note(counts, number)?;
    }
    change.done.set(row_counts.changed());
    Ok(())
}

/// A text of a row. NULL is an empty text.
pub(super) fn text(row: &TextRow, index: usize) -> &str {
    row.get(index).and_then(Option::as_deref).unwrap_or_default()
}

/// A number of a row.
pub(super) fn number(row: &TextRow, index: usize) -> Result<i64> {
    let text = text(row, index);
    text.parse().map_err(|_| Error::internal(format!("the server sent '{text}' where a number was expected")))
}
