//! What a branch is to write.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::backend::WriteStats;
use crate::options::{OnConflict, Upsert};

/// How a branch is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Its rows, and the decision with them, are committed in one local transaction.
    #[default]
    OnePhase,
    /// It is prepared, and committed when that is decided.
    TwoPhase,
}

/// What happens to the rows that are in the table before the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They stay, but for conflicts.
    Keep,
    /// They are deleted in the same transaction.
    Delete,
    /// The table is truncated in the same transaction, which readers notice.
    Truncate,
}

/// What is written, where and how.
#[derive(Debug, Clone)]
pub struct WriteSpec {
    /// The table, spelled as the database spells it.
    pub table: String,
    /// The schema of the batches; its fields are named as the columns that they go to.
    pub columns: SchemaRef,
    /// What happens to existing rows.
    pub existing: Existing,
    /// What happens to a row whose key is there.
    pub on_conflict: OnConflict,
    /// The columns of that key; empty under [`OnConflict::Error`].
    pub key: Vec<String>,
    /// How existing rows are updated.
    pub upsert: Upsert,
    /// Whether rows that are compared are locked until the end of the transaction.
    pub diff_lock: bool,
    /// How the branch is to end.
    pub protocol: Protocol,
    /// Where the branch counts what it does.
    pub stats: Arc<WriteStats>,
}

impl WriteSpec {
    /// A plain append of these columns, in one phase: what the other fields change is said behind it, by `..`.
    pub fn new(table: impl Into<String>, columns: SchemaRef) -> Self {
        Self {
            table: table.into(),
            columns,
            existing: Existing::Keep,
            on_conflict: OnConflict::Error,
            key: Vec::new(),
            upsert: Upsert::Blind,
            diff_lock: false,
            protocol: Protocol::OnePhase,
            stats: Arc::default(),
        }
    }
}
