//! The declaration of a column.

use crate::backend::Comparison;

/// The type of a column in `information_schema`.
#[derive(Debug, Clone, Copy)]
pub(in crate::mysql) struct Declared<'a> {
    pub(in crate::mysql) name: &'a str,
    /// The text in parentheses after it.
    pub(in crate::mysql) arguments: Option<&'a str>,
    pub(in crate::mysql) is_unsigned: bool,
    character_set: &'a str,
    collation: &'a str,
}

/// How the server stores and compares the texts of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::mysql) enum Texts {
    /// In UTF-8, compared byte by byte.
    Bytewise,
    /// In UTF-8, with a collation in which different texts can be equal.
    Folded,
    /// In another character set, which the server converts.
    Converted,
}

impl<'a> Declared<'a> {
    /// Reads `COLUMN_TYPE`.
    pub(in crate::mysql) fn parse(sql_type: &'a str) -> Self {
        let (name, rest) = sql_type.split_at(sql_type.find(['(', ' ']).unwrap_or(sql_type.len()));
        let arguments = rest.strip_prefix('(').and_then(|rest| rest.rsplit_once(')')).map(|(arguments, _)| arguments);
        Self { name, arguments, is_unsigned: rest.contains("unsigned"), character_set: "", collation: "" }
    }

    /// With `CHARACTER_SET_NAME` and `COLLATION_NAME`.
    pub(in crate::mysql) fn with_collation(self, character_set: &'a str, collation: &'a str) -> Self {
        Self { character_set, collation, ..self }
    }

    /// Its only argument as a number.
    pub(in crate::mysql) fn number(&self, default: usize) -> usize {
        self.arguments.and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    pub(in crate::mysql) fn has_character_set(&self) -> bool {
        !self.character_set.is_empty()
    }

    pub(in crate::mysql) fn texts(&self) -> Texts {
        if !["", "utf8mb4", "utf8mb3", "utf8"].contains(&self.character_set) {
            Texts::Converted
        } else if self.collation.ends_with("_nopad_bin") || self.collation == "utf8mb4_0900_bin" {
            Texts::Bytewise
        } else {
            Texts::Folded
        }
    }
}

impl Texts {
    /// How texts compare whose equality is not that of their bytes.
    pub(in crate::mysql) fn comparison(self) -> Comparison {
        match self {
            // A text with characters outside the column's character set is an error on the server.
            Self::Converted => Comparison::Differs,
            Self::Bytewise | Self::Folded => Comparison::Folded,
        }
    }

    /// The expression for a field that LOAD DATA reads into a variable, whose bytes have no character set.
    pub(in crate::mysql) fn loaded(self, variable: &str) -> Option<String> {
        (self == Self::Converted).then(|| format!("CONVERT({variable} USING utf8mb4)"))
    }
}
