//! `enum` and `set`, whose values are members of a list.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, *};

use super::{Codec, Family, Texts, Values};
use crate::backend::Comparison;
use crate::columnar::{first_row_where, misfit};
use crate::error::Result;
use crate::mysql::fields::{self, Fields, Style};

pub(in crate::mysql) const FAMILY: Family = Family {
    codec: |declared| {
        let several = match declared.name {
            "enum" => Several::No,
            "set" => Several::Yes,
            _ => return None,
        };
        let members = members(declared.arguments.unwrap_or_default());
        Some(Arc::new(Members { members, several, texts: declared.texts() }))
    },
    declare: |_| None,
    types: &[
        ("enum('a','b')", "a member of the ENUM, in the same spelling"),
        ("set('a','b')", "members of the SET, separated by commas"),
    ],
    created: &[],
};

/// Whether a value can have several members.
#[derive(Debug, Clone, Copy)]
enum Several {
    /// `enum`.
    No,
    /// `set`.
    Yes,
}

#[derive(Debug)]
struct Members {
    members: HashSet<String>,
    several: Several,
    texts: Texts,
}

impl Codec for Members {
    fn arrow_type(&self) -> DataType {
        Utf8View
    }

    fn comparison(&self) -> Comparison {
        self.texts.comparison()
    }

    fn accepts(&self, from: &DataType) -> Option<DataType> {
        from.is_string().then_some(Utf8View)
    }

    fn encode(&self, array: &ArrayRef, style: Style) -> Result<Box<dyn Fields>> {
        let texts = array.as_string_view();
        let is_member = |text: &str| self.members.contains(text);
        let (wrong, why) = match self.several {
            // The server would interpret a number as the position of a member.
            Several::No => (
                first_row_where(texts, |row| !is_member(texts.value(row))),
                "is not a member of the column's ENUM type",
            ),
            Several::Yes => {
                let is_set = |text: &str| text.is_empty() || text.split(',').all(is_member);
                (
                    first_row_where(texts, |row| !is_set(texts.value(row))),
                    "contains an element that is not a member of the column's SET type",
                )
            }
        };
        match wrong {
            Some(row) => Err(misfit(array, row, why)),
            None => Ok(fields::texts(texts, style)),
        }
    }

    fn decode(&self, values: Values<'_>, to: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(values.texts(to)?))
    }

    fn loaded(&self, variable: &str) -> Option<String> {
        self.texts.loaded(variable)
    }
}

/// The members of a list: `'a','it''s'`.
fn members(list: &str) -> HashSet<String> {
    let mut members = HashSet::new();
    let mut characters = list.chars().peekable();
    while characters.by_ref().any(|character| character == '\'') {
        let mut member = String::new();
        while let Some(character) = characters.next() {
            match character {
                '\'' if characters.next_if_eq(&'\'').is_none() => break,
                // Quotes are doubled regardless of the session's sql_mode.
                '\\' => member.push(match characters.next() {
                    Some('0') => '\0',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    other => other.unwrap_or('\\'),
                }),
                character => member.push(character),
            }
        }
        members.insert(member);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::super::Declared;
    use super::*;

    #[test]
    fn members_are_unescaped() {
        let expected = ["a\\b", "n\nl", "it's", "", "0\0z", "r\r,"].map(str::to_owned);
        let declared = Declared::parse(r"enum('a\\b','n\nl','it''s','','0\0z','r\r,')");
        assert_eq!(members(declared.arguments.unwrap_or_default()), HashSet::from(expected));
    }
}
