//! Identifiers. They are quoted only here.

use std::fmt;

use crate::error::{Error, Result};

/// Quotes `name` as a delimited identifier of the SQL standard.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name with its schema, both in the database's spelling. Displays in the form that
/// [`TableName::try_parse`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The schema; `None` for the schemas in which the server looks by default.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
}

impl TableName {
    /// Parses `table` or `schema.table`. A part that contains a dot is in double quotes.
    ///
    /// # Errors
    /// `Config` for other texts.
    pub fn try_parse(text: &str) -> Result<Self> {
        let mut parts = vec![String::new()];
        let mut characters = text.chars().peekable();
        let mut quoted = false;
        while let Some(character) = characters.next() {
            let Some(part) = parts.last_mut() else { break };
            match character {
                '"' if quoted && characters.next_if_eq(&'"').is_some() => part.push('"'),
                '"' if quoted || part.is_empty() => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                character => part.push(character),
            }
        }
        let none_is_empty = parts.iter().all(|part| !part.is_empty());
        match (parts.as_mut_slice(), none_is_empty && !quoted) {
            ([table], true) => Ok(Self { schema: None, table: std::mem::take(table) }),
            ([schema, table], true) => Ok(Self { schema: Some(std::mem::take(schema)), table: std::mem::take(table) }),
            _ => Err(Error::config(format!(
                "invalid table name '{text}': use table or schema.table, and put a part that contains a dot in double \
                 quotes"
            ))),
        }
    }

    /// Quoted, as in a statement.
    pub fn quoted(&self) -> String {
        let schema = self.schema.as_ref().map(|schema| quote(schema) + ".").unwrap_or_default();
        schema + &quote(&self.table)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: &str| if name.contains(['.', '"']) { quote(name) } else { name.to_owned() };
        if let Some(schema) = &self.schema {
            write!(f, "{}.", part(schema))?;
        }
        f.write_str(&part(&self.table))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_is_doubled() {
        assert_eq!(quote("a\"; DROP TABLE t; --"), "\"a\"\"; DROP TABLE t; --\"");
    }

    #[test]
    fn a_name_is_read_as_it_is_shown() {
        for (text, schema, table) in [
            ("events", None, "events"),
            ("Sales.Order Lines", Some("Sales"), "Order Lines"),
            ("\"a.b\".\"c\"\"d\"", Some("a.b"), "c\"d"),
        ] {
            let name = TableName::try_parse(text).unwrap();
            assert_eq!((name.schema.as_deref(), name.table.as_str()), (schema, table));
            assert_eq!(TableName::try_parse(&name.to_string()).unwrap(), name);
        }
        for bad in ["", ".", "a.", ".a", "a.b.c", "\"a"] {
            assert!(TableName::try_parse(bad).is_err(), "{bad}");
        }
    }
}
