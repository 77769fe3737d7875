//! What a branch does to the rows that are in a table, in place of adding some: data, which each database makes its own
//! statements of.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A value in a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// An integer.
    Integer(i64),
    /// A finite number.
    Real(f64),
    /// A text.
    Text(String),
}

/// Some rows of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Condition {
    /// ` WHERE …` in the database's own SQL; empty for all rows.
    pub text: String,
    /// The values of its parameters.
    pub parameters: Vec<Parameter>,
}

/// What a column of the rows that are staged is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staged {
    /// Which action is taken, counted from 1; NULL for none. Of rows that are joined at the server: where the table has
    /// a row with the key; without this column it is the only one that is no insert.
    Action,
    /// Of rows that are joined at the server: which one is taken where the table has no row with the key; without this
    /// column it is the only insert.
    ActionOfMissing,
    /// A column of the key of the row that is meant, as it is in the table.
    Key(String),
    /// A new value for a column.
    Value(String),
}

/// A column, and the staged column that it gets its value from.
pub type Assignment = (String, usize);

/// What is done with a staged row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// The row that it means gets these values.
    Update(Vec<Assignment>),
    /// The row that it means is deleted.
    Delete,
    /// A row with these values is added; the server fills in the others.
    Insert(Vec<Assignment>),
}

/// Who finds out which rows of the table the staged ones mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The query that they come from: it has read the table while nobody else could write there.
    InQuery,
    /// The server, by a unique key.
    AtServer,
}

/// How often the staged rows may mean the same row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// They cannot.
    Never,
    /// They could, and that is an error before anything is changed.
    Refused,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// These rows are deleted.
    Delete(Condition),
    /// These rows get the values of the only staged row.
    Update(Vec<Assignment>, Condition),
    /// All rows are deleted, the quickest way there is within a transaction.
    Truncate,
    /// Each staged row says what is done with a row.
    ByKey {
        /// By number, from 1 on. With one action only, rows need not say which.
        actions: Vec<RowChange>,
        /// Who finds the rows.
        join: Join,
        /// How often one may be meant.
        repeats: Repeats,
    },
}

/// A change of the rows of one table.
#[derive(Debug, Clone)]
pub struct Change {
    /// The word for it: DELETE, UPDATE, TRUNCATE, MERGE.
    pub verb: &'static str,
    /// What the columns of the stream are, one for each of them.
    pub staged: Vec<Staged>,
    /// What is done when all of them are staged.
    pub operation: Operation,
    /// Rows that nobody else may change from the beginning of the branch on, as the query reads them; other rows can be
    /// locked with them.
    pub lock: Option<Condition>,
    /// What was done.
    pub done: Arc<Done>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb)?;
        match &self.operation {
            Operation::Delete(condition) | Operation::Update(_, condition) => {
                f.write_str(&condition.text)?;
                if !condition.parameters.is_empty() {
                    write!(f, " {:?}", condition.parameters)?;
                }
                Ok(())
            }
            Operation::Truncate => Ok(()),
            Operation::ByKey { join, .. } => {
                let key: Vec<_> = self.key().map(|(_, name)| name).collect();
                let how = match join {
                    Join::InQuery => "of the rows that the query finds",
                    Join::AtServer => "joined at the server",
                };
                write!(f, " {how}, by ({})", key.join(", "))
            }
        }
    }
}

impl Change {
    /// The staged columns that are the key, and its columns in the table.
    pub fn key(&self) -> impl Iterator<Item = (usize, &str)> {
        self.staged.iter().enumerate().filter_map(|(index, staged)| match staged {
            Staged::Key(name) => Some((index, name.as_str())),
            _ => None,
        })
    }

    /// The column of the table that a staged one is of the type of; none is a number.
    pub fn column_of(&self, index: usize) -> Option<&str> {
        match self.staged.get(index) {
            Some(Staged::Key(name) | Staged::Value(name)) => Some(name),
            _ => None,
        }
    }

    /// Whether the server finds the rows that are meant.
    pub fn is_joined_at_server(&self) -> bool {
        matches!(self.operation, Operation::ByKey { join: Join::AtServer, .. })
    }

    /// The columns of rows that are added, and what they get their values from.
    pub fn inserted(&self) -> impl Iterator<Item = &Assignment> {
        self.actions().iter().flat_map(|action| match action {
            RowChange::Insert(values) => values.as_slice(),
            RowChange::Update(_) | RowChange::Delete => &[],
        })
    }

    /// The columns of rows that are added or updated, and what they get their values from.
    pub fn assigned(&self) -> impl Iterator<Item = &Assignment> {
        let of_all = match &self.operation {
            Operation::Update(set, _) => set.as_slice(),
            Operation::Delete(_) | Operation::Truncate | Operation::ByKey { .. } => &[],
        };
        let of_rows = self.actions().iter().flat_map(|action| match action {
            RowChange::Insert(values) | RowChange::Update(values) => values.as_slice(),
            RowChange::Delete => &[],
        });
        of_all.iter().chain(of_rows)
    }

    fn actions(&self) -> &[RowChange] {
        match &self.operation {
            Operation::ByKey { actions, .. } => actions,
            Operation::Delete(_) | Operation::Update(..) | Operation::Truncate => &[],
        }
    }

    /// The columns of the table that are written.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        self.staged.iter().filter_map(|staged| match staged {
            Staged::Value(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// What a change has done, in its last attempt.
#[derive(Debug, Default)]
pub struct Done {
    inserted: AtomicU64,
    updated: AtomicU64,
    deleted: AtomicU64,
    other: AtomicU64,
}

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// Rows that were added.
    pub inserted: u64,
    /// Rows that were there and got values, the same or others.
    pub updated: u64,
    /// Rows that were deleted.
    pub deleted: u64,
    /// Rows of which the server does not say which of these it was.
    pub other: u64,
}

impl Changed {
    /// All of them.
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.deleted + self.other
    }
}

impl Done {
    /// Says what was done.
    pub(crate) fn set(&self, changed: Changed) {
        self.inserted.store(changed.inserted, Relaxed);
        self.updated.store(changed.updated, Relaxed);
        self.deleted.store(changed.deleted, Relaxed);
        self.other.store(changed.other, Relaxed);
    }

    /// What was done.
    pub fn get(&self) -> Changed {
        Changed {
            inserted: self.inserted.load(Relaxed),
            updated: self.updated.load(Relaxed),
            deleted: self.deleted.load(Relaxed),
            other: self.other.load(Relaxed),
        }
    }
}
