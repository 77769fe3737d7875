//! The differences between the SQL dialects of databases.

use std::fmt::Debug;

use crate::backend::{Assignment, RowChange};
use crate::sql::{Step, Writer, quote};

/// The SQL dialect of a database, for statements that change rows through a staging table. Most databases understand the
/// defaults.
pub trait SqlDialect: Debug + Send + Sync {
    /// UPDATE or INSERT with conflicts as errors, even if a constraint declares another conflict resolution.
    fn verb(&self, verb: &str) -> String {
        verb.to_owned()
    }

    /// `UPDATE … SET …` of rows of the table from the only staged row. A condition with unqualified column names follows.
    fn update_by_the_only_row(&self, writer: &Writer<'_>, set: &[Assignment]) -> String {
        let value = |(column, staged): &Assignment| {
            format!("{} = (SELECT {} FROM {})", quote(column), writer.bare(*staged), writer.stage())
        };
        let set: Vec<_> = set.iter().map(value).collect();
        format!("{} {} SET {}", self.verb("UPDATE"), writer.target(), set.join(", "))
    }

    /// Updates the rows of the table that match staged rows; `only` restricts the staged rows.
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

    /// Deletes the rows of the table that match staged rows; `only` restricts the staged rows.
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

    /// Sets the column `done` of the staging table to a value.
    fn decide(&self, writer: &Writer<'_>, done: &str, value: &str) -> String {
        format!("UPDATE {} AS s SET {done} = {value}", writer.stage())
    }

    /// Statements of this database that join the staging table with the table and apply these actions; `None` if it has none.
    fn native(&self, _: &Writer<'_>, _: &[RowChange]) -> Option<Vec<Step>> {
        None
    }

    /// Whether a row that was read may not be found again by its key, because values can be read differently from how they are
    /// stored.
    fn may_lose_rows(&self) -> bool {
        false
    }

    /// Whether the server replaces NULL in a NOT NULL column by a number.
    fn numbers_nulls(&self) -> bool {
        true
    }

    /// The clause before the values of an INSERT that makes the server store given numbers in columns that it numbers.
    fn keeps_numbers(&self) -> &'static str {
        ""
    }
}
