//! A change of existing rows, as data. Each database generates its own statements from it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// An integer.
    Integer(i64),
    /// A finite number.
    Real(f64),
    /// A text.
    Text(String),
}

/// A condition that selects rows of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Condition {
    /// ` WHERE …` in the database's own SQL; empty for all rows.
    pub text: String,
    /// The values of the parameters.
    pub parameters: Vec<Parameter>,
}

/// The meaning of a staged column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staged {
    /// The number of the action, counted from 1; NULL for no action. For rows joined at the server: the action if the
    /// table has a row with the key. Without this column, it is the only action that is not an insert.
    Action,
    /// For rows joined at the server: the action if the table has no row with the key. Without this column, it is the
    /// only insert.
    ActionOfMissing,
    /// A column of the key of the affected row, as stored in the table.
    Key(String),
    /// A new value for a column.
    Value(String),
}

/// A column, and the staged column with its value.
pub type Assignment = (String, usize);

/// The action for a staged row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// Sets these values in the affected row. Without any, updates it with the values that it has.
    Update(Vec<Assignment>),
    /// Deletes the affected row.
    Delete,
    /// Inserts a row with these values. The server fills in the other columns.
    Insert(Vec<Assignment>),
}

/// How the affected rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// By the query, which has read the table while no other transaction could write it.
    InQuery,
    /// By the server, with a unique key.
    AtServer,
}

/// Whether several staged rows may affect one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// They cannot.
    Never,
    /// They may, which is an error before anything is changed.
    Refused,
}

/// The operation of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Deletes these rows.
    Delete(Condition),
    /// Sets the values of the only staged row in these rows. Without any, nothing is staged, and the rows are updated with
    /// the values that they have.
    Update(Vec<Assignment>, Condition),
    /// Deletes all rows, in the fastest way that a transaction permits.
    Truncate,
    /// Applies the action of each staged row.
    ByKey {
        /// The actions, numbered from 1. With a single action, rows need no number.
        actions: Vec<RowChange>,
        /// How the affected rows are found.
        join: Join,
        /// Whether several staged rows may affect one row.
        repeats: Repeats,
    },
}

/// A change of the rows of one table.
#[derive(Debug, Clone)]
pub struct Change {
    /// The statement: DELETE, UPDATE, TRUNCATE or MERGE.
    pub verb: &'static str,
    /// The meaning of each column of the stream.
    pub staged: Vec<Staged>,
    /// The operation, applied when all rows are staged.
    pub operation: Operation,
    /// The rows that the query reads. No other transaction may change them after the branch has started. The branch may
    /// lock more rows.
    pub lock: Option<Condition>,
    /// The counters of the change.
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
    /// The staged columns of the key, and their columns in the table.
    pub fn key(&self) -> impl Iterator<Item = (usize, &str)> {
        self.staged.iter().enumerate().filter_map(|(index, staged)| match staged {
            Staged::Key(name) => Some((index, name.as_str())),
            _ => None,
        })
    }

    /// The column of the table whose type a staged column has; `None` for a number.
    pub fn column_of(&self, index: usize) -> Option<&str> {
        match self.staged.get(index) {
            Some(Staged::Key(name) | Staged::Value(name)) => Some(name),
            _ => None,
        }
    }

    /// Whether the server finds the affected rows.
    pub fn is_joined_at_server(&self) -> bool {
        matches!(self.operation, Operation::ByKey { join: Join::AtServer, .. })
    }

    /// The columns of inserted rows, and the staged columns with their values.
    pub fn inserted(&self) -> impl Iterator<Item = &Assignment> {
        self.actions().iter().flat_map(|action| match action {
            RowChange::Insert(values) => values.as_slice(),
            RowChange::Update(_) | RowChange::Delete => &[],
        })
    }

    /// The columns of inserted or updated rows, and the staged columns with their values.
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

    /// The written columns of the table.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        self.staged.iter().filter_map(|staged| match staged {
            Staged::Value(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// The counters of a change, for its last attempt.
#[derive(Debug, Default)]
pub struct Done {
    inserted: AtomicU64,
    updated: AtomicU64,
    deleted: AtomicU64,
    other: AtomicU64,
}

/// Numbers of rows by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// Inserted rows.
    pub inserted: u64,
    /// Updated rows, also if the values stayed the same.
    pub updated: u64,
    /// Deleted rows.
    pub deleted: u64,
    /// Rows whose outcome the server does not report.
    pub other: u64,
}

impl Changed {
    /// The total.
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.deleted + self.other
    }
}

impl Done {
    /// Stores the counters.
    pub fn set(&self, changed: Changed) {
        self.inserted.store(changed.inserted, Relaxed);
        self.updated.store(changed.updated, Relaxed);
        self.deleted.store(changed.deleted, Relaxed);
        self.other.store(changed.other, Relaxed);
    }

    /// The counters of the change.
    pub fn get(&self) -> Changed {
        Changed {
            inserted: self.inserted.load(Relaxed),
            updated: self.updated.load(Relaxed),
            deleted: self.deleted.load(Relaxed),
            other: self.other.load(Relaxed),
        }
    }
}
