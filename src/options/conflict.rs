//! What a write does with rows whose keys are in the table already.

/// What happens to a row whose key is in the table already. A key that comes twice in one stream counts as well:
/// under `Update` and `Replace` its last row stays, under `Ignore` its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnConflict {
    /// The write fails.
    #[default]
    Error,
    /// The row that is there keeps its values.
    Ignore,
    /// The columns that are written are set; the others keep their values.
    Update,
    /// The whole row is replaced: columns that are not written get their defaults.
    Replace,
}

impl OnConflict {
    /// Whether a row whose key is there gets new values.
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

/// How a row whose key is in the table already is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Upsert {
    /// By difference where few rows change, else blindly.
    #[default]
    Auto,
    /// Whatever is there.
    Blind,
    /// By difference: the rows that are there are read, and those that are equal are left alone.
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
