//! How SQLite converts values of a column.

use crate::backend::Column;

/// How SQLite converts values of a column: <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    /// The affinity of a column. It is stored in the column's detail if the declared type does not determine it.
    pub(super) fn of_column(column: &Column) -> Self {
        column.detail.get().copied().unwrap_or_else(|| Self::of(&column.sql_type))
    }

    /// The affinity of a column of a STRICT table, where `ANY` converts nothing.
    pub(super) fn of_strict(declared: &str) -> Self {
        if declared.eq_ignore_ascii_case("ANY") { Self::Blob } else { Self::of(declared) }
    }

    pub(super) fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |word| declared.contains(word);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || declared.is_empty() {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// A declared type with this affinity.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Text => "TEXT",
            Self::Blob => "BLOB",
            Self::Real => "REAL",
            Self::Numeric => "NUMERIC",
        }
    }

    /// Whether text that looks like a number is stored as a number.
    pub(super) fn makes_numbers(self) -> bool {
        !matches!(self, Self::Text | Self::Blob)
    }
}
