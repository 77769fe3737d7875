//! How a database says what the SQL standard has no words for.

use std::fmt::Debug;

use crate::backend::{Assignment, RowChange};
use crate::sql::{Step, Writer, quote};

/// How a database says what the SQL standard has no words for, in statements that change rows by a stage. The defaults are
/// what most of them understand.
pub trait SqlDialect: Debug + Send + Sync {
    /// UPDATE or INSERT, where a conflict is an error, whatever a constraint says of it.
    fn verb(&self, verb: &str) -> String {
        verb.to_owned()
    }

    /// `UPDATE … SET …` of rows of the table by the only staged row; a condition of bare column names follows.
    fn update_by_the_only_row(&self, writer: &Writer<'_>, set: &[Assignment]) -> String {
        let value = |(column, staged): &Assignment| {
            format!("{} = (SELECT {} FROM {})", quote(column), writer.bare(*staged), writer.stage())
        };
        let set: Vec<_> = set.iter().map(value).collect();
        format!("{} {} SET {}", self.verb("UPDATE"), writer.target(), set.join(", "))
    }

    /// Updates the rows of the table that staged ones mean; `only` says which of those.
    fn update_joined(&self, writer: &Writer<'_>, set: &[Assignment], only: Option<&str>) -> String {
        format!(
            "{} {} AS t SET {} FROM {} AS s WHERE {}{}",
            self.verb("UPDATE"),
            writer.target(),
            writer.set("", set),
            writer.stage(),
            writer.same_key(),
            only.map(|only| format!(" AND {only}")).unwrap_or_default()
        )
    }

    /// Deletes the rows of the table that staged ones mean; `only` says which of those.
    fn delete_joined(&self, writer: &Writer<'_>, only: Option<&str>) -> String {
        let key: Vec<_> = writer.key().map(quote).collect();
        format!(
            "DELETE FROM {} WHERE ({}) IN (SELECT {} FROM {} AS s{})",
            writer.target(),
            key.join(", "),
            writer.staged_keys(),
            writer.stage(),
            only.map(|only| format!(" WHERE {only}")).unwrap_or_default()
        )
    }

    /// Sets the column `done` of the stage to a value.
    fn decide(&self, writer: &Writer<'_>, done: &str, value: &str) -> String {
        format!("UPDATE {} AS s SET {done} = {value}", writer.stage())
    }

    /// A statement of its own that joins stage and table, and applies these actions; `None` where it has none for them.
    fn native(&self, _: &Writer<'_>, _: &[RowChange]) -> Option<Vec<Step>> {
        None
    }

    /// Whether a row that was read may not be found again by its key, as values are read as what they are not stored as.
    fn may_lose_rows(&self) -> bool {
        false
    }

    /// Whether the server makes a number of a NULL, in a column that takes none.
    fn numbers_nulls(&self) -> bool {
        true
    }

    /// What stands before the values of an INSERT so that the server keeps numbers which it would draw itself.
    fn keeps_numbers(&self) -> &'static str {
        ""
    }
}
