//! The specification of a branch's write.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::backend::{NewTable, WriteStats};
use crate::options::{Indexes, OnConflict, Upsert};

/// How a branch commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// One-phase commit: the rows and the decision record are committed in one local transaction.
    #[default]
    OnePhase,
    /// Two-phase commit: the branch is prepared, and committed after the decision.
    TwoPhase,
}

/// What happens to the existing rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They stay, except in conflicts.
    Keep,
    /// They are deleted in the same transaction.
    Delete,
    /// The table is truncated in the same transaction. Readers wait.
    Truncate,
}

/// What a branch writes, where and how.
#[derive(Debug, Clone)]
pub struct WriteSpec {
    /// The table, in the database's spelling.
    pub table: String,
    /// The schema of the batches. Its fields have the names of the table's columns.
    pub columns: SchemaRef,
    /// The table to create at the beginning of the transaction, if [`Backend::describe_new`](crate::backend::Backend::describe_new)
    /// described it.
    pub create: Option<Arc<NewTable>>,
    /// What happens to existing rows.
    pub existing: Existing,
    /// Whether the indexes can be built after the rows: as [`Backend::plan_indexes`](crate::backend::Backend::plan_indexes)
    /// has answered. A branch of several writers, epochs or statements, or one that sets rows aside, always keeps them.
    pub indexes: Indexes,
    /// What happens to a row whose key exists.
    pub on_conflict: OnConflict,
    /// The columns of that key. Empty with [`OnConflict::Error`].
    pub key: Vec<String>,
    /// How existing rows are updated.
    pub upsert: Upsert,
    /// Whether compared rows stay locked until the end of the transaction.
    pub diff_lock: bool,
    /// How the branch commits.
    pub protocol: Protocol,
    /// The counters of the statement.
    pub stats: Arc<WriteStats>,
}

impl WriteSpec {
    /// A plain append of these columns, with one-phase commit. Set other fields with struct update syntax: `WriteSpec { …,
    /// ..WriteSpec::new(…) }`.
    pub fn new(table: impl Into<String>, columns: SchemaRef) -> Self {
        Self {
            table: table.into(),
            columns,
            create: None,
            existing: Existing::Keep,
            indexes: Indexes::Keep,
            on_conflict: OnConflict::Error,
            key: Vec::new(),
            upsert: Upsert::Blind,
            diff_lock: false,
            protocol: Protocol::OnePhase,
            stats: Arc::default(),
        }
    }
}
