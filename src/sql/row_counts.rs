//! The statements of a change, and the meaning of the numbers that they return.

use crate::backend::{Changed, Parameter};
use crate::error::{Error, ErrorKind, Result};

/// Says that rows were sent to a table and not stored.
pub fn suppressed(table: &str, rows: u64, by: &str) -> String {
    match rows {
        1 => format!("1 row of table {table} was not stored, because {by} suppressed it"),
        rows => format!("{rows} rows of table {table} were not stored, because {by} suppressed them"),
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The statement.
    pub sql: String,
    /// The values of its parameters.
    pub parameters: Vec<Parameter>,
    /// The meaning of its number.
    pub counts: RowCount,
}

impl Step {
    /// A statement without parameters.
    pub fn new(sql: String, counts: RowCount) -> Self {
        Self { sql, parameters: Vec::new(), counts }
    }
}

/// The meaning of a statement's number: the number of rows that it changed, or the number that it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowCount {
    /// No meaning.
    Nothing,
    /// It returns the number of rows that the next statement must change.
    Expects,
    /// The number of rows that it inserted.
    Inserted,
    /// The number of rows that it updated.
    Updated,
    /// The number of rows that it deleted.
    Deleted,
    /// The number of rows that it changed; other statements return how.
    Changed,
    /// It returns the number of rows inserted before the change.
    HadInserted,
    /// It returns the number of rows updated before the change.
    HadUpdated,
    /// It returns the number of rows deleted before the change.
    HadDeleted,
    /// It returns the number of rows inserted, including those before the change.
    SaysInserted,
    /// It returns the number of rows updated, including those before the change.
    SaysUpdated,
    /// It returns the number of rows deleted, including those before the change.
    SaysDeleted,
    /// It returns the number of rows of the table before the change.
    Before,
    /// It returns the number of rows of the table after the change.
    After,
    /// If it returns a row, the statement fails with this error.
    Refuses(String),
}

impl RowCount {
    /// Whether the statement is a query.
    pub fn asks(&self) -> bool {
        use RowCount::*;
        !matches!(self, Nothing | Inserted | Updated | Deleted | Changed)
    }
}

/// Adds up the numbers of the statements.
#[derive(Debug, Default)]
pub struct RowCounts {
    changed: Changed,
    had: Changed,
    all: Option<u64>,
    expected: Option<u64>,
    before: u64,
    added: Option<u64>,
}

impl RowCounts {
    /// Adds the number of a step; `None` if its query returned no row.
    ///
    /// # Errors
    /// `Constraint` if a staged row matches no row of the table, or two match the same row.
    pub fn note(&mut self, counts: &RowCount, number: Option<u64>) -> Result<()> {
        let number = match (counts, number) {
            (RowCount::Refuses(why), Some(_)) => return Err(Error::new(ErrorKind::Constraint, why.clone())),
            (RowCount::Refuses(_), None) => return Ok(()),
            (_, number) => number.unwrap_or_default(),
        };
        match counts {
            RowCount::Nothing | RowCount::Refuses(_) => {}
            RowCount::Expects => self.expected = Some(number),
            RowCount::Inserted => self.changed.inserted += number,
            RowCount::Updated => self.changed.updated += number,
            RowCount::Deleted => self.changed.deleted += number,
            RowCount::HadInserted => self.had.inserted = number,
            RowCount::HadUpdated => self.had.updated = number,
            RowCount::HadDeleted => self.had.deleted = number,
            RowCount::SaysInserted => self.changed.inserted = number.saturating_sub(self.had.inserted),
            RowCount::SaysUpdated => self.changed.updated = number.saturating_sub(self.had.updated),
            RowCount::SaysDeleted => self.changed.deleted = number.saturating_sub(self.had.deleted),
            RowCount::Changed => self.all = Some(number),
            RowCount::Before => self.before = number,
            RowCount::After => self.added = Some(number.saturating_sub(self.before)),
        }
        if matches!(counts, RowCount::Inserted | RowCount::Updated | RowCount::Deleted)
            && let Some(expected) = self.expected.take()
            && expected != number
        {
            return Err(Error::new(
                ErrorKind::Constraint,
                format!(
                    "the database changed {number} rows instead of {expected}: a trigger or a rule of the table \
                     suppressed some changes, or one change undid another change (ON DELETE CASCADE)"
                ),
            ));
        }
        Ok(())
    }

    /// The changed rows.
    pub fn changed(self) -> Changed {
        let said = self.changed.inserted + self.changed.updated + self.changed.deleted;
        match (self.all, self.added) {
            // For an upsert, rows that were not inserted existed.
            (Some(all), Some(inserted)) => {
                Changed { inserted, updated: all.saturating_sub(inserted), ..Changed::default() }
            }
            (Some(all), None) if said != all => Changed { other: all, ..Changed::default() },
            _ => self.changed,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_or_are_an_error() {
        let mut row_counts = RowCounts::default();
        row_counts.note(&RowCount::Expects, Some(3)).unwrap();
        row_counts.note(&RowCount::Deleted, Some(3)).unwrap();
        row_counts.note(&RowCount::Expects, Some(2)).unwrap();
        assert_eq!(row_counts.note(&RowCount::Updated, Some(1)).unwrap_err().kind(), ErrorKind::Constraint);

        let mut upsert = RowCounts::default();
        for (counts, number) in [(RowCount::Before, 10), (RowCount::Changed, 5), (RowCount::After, 12)] {
            upsert.note(&counts, Some(number)).unwrap();
        }
        assert_eq!(upsert.changed(), Changed { inserted: 2, updated: 3, ..Changed::default() });

        // A server that does not count reports only this number.
        let mut merge = RowCounts::default();
        for (counts, number) in [(RowCount::HadInserted, 7), (RowCount::Changed, 5), (RowCount::SaysInserted, 7)] {
            merge.note(&counts, Some(number)).unwrap();
        }
        assert_eq!(merge.changed(), Changed { other: 5, ..Changed::default() });

        let mut refused = RowCounts::default();
        refused.note(&RowCount::Refuses("twice".into()), None).unwrap();
        assert!(refused.note(&RowCount::Refuses("twice".into()), Some(1)).is_err());
    }
}
