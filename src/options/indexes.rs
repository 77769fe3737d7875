//! When the indexes of a table are built.

/// When the indexes of a table, including those of its keys, are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Indexes {
    /// After the rows for a table that Landfall creates, otherwise with the rows.
    #[default]
    Auto,
    /// After the rows, if the table is empty or truncated by the statement. No other session can read it until the commit.
    Rebuild,
    /// With the rows.
    Keep,
}

impl Indexes {
    /// The word in options and plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rebuild => "rebuild",
            Self::Keep => "keep",
        }
    }
}
