//! What INSERT does with rows whose key exists.

/// What INSERT does with a row whose key exists, in the table or earlier in the same statement. Of several rows with
/// one key, `Update` and `Replace` store the last, `Ignore` the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnConflict {
    /// The statement fails.
    #[default]
    Error,
    /// The existing row stays unchanged.
    Ignore,
    /// The written columns are set. The other columns keep their values.
    Update,
    /// The whole row is replaced. Columns that are not written get their defaults.
    Replace,
}

impl OnConflict {
    /// Whether an existing row is updated.
    pub(crate) fn updates(self) -> bool {
        matches!(self, Self::Update | Self::Replace)
    }

    /// The word in options and plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Ignore => "ignore",
            Self::Update => "update",
            Self::Replace => "replace",
        }
    }
}

/// How existing rows are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Upsert {
    /// By difference if few rows change, otherwise without comparing.
    #[default]
    Auto,
    /// Blindly: without reading the existing rows.
    Blind,
    /// By difference: existing rows are read, and equal rows are not written.
    Diff,
}

impl Upsert {
    /// The word in options and plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Blind => "blind",
            Self::Diff => "diff",
        }
    }
}
