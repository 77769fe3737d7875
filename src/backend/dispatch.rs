//! How the rows of one statement are distributed to several writers.

use crate::backend::{Column, ColumnDefault, Comparison, Existing, Table, WriteSpec};

/// How rows are distributed to the writers of one transaction. The writers do not see each other's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatch {
    /// One writer writes all rows, for this reason.
    OneWriter(&'static str),
    /// Each writer takes the next batch.
    RoundRobin,
    /// Rows that are equal in these columns go to the same writer.
    ByKey(Vec<String>),
}

impl Dispatch {
    /// Chooses the distribution for a table. `one_writer` gives a further reason for a single writer. `is_text` tells
    /// whether a column stores any text.
    pub fn of(
        table: &Table,
        spec: &WriteSpec,
        one_writer: Option<&'static str>,
        is_text: impl Fn(&Column) -> bool,
    ) -> Self {
        if spec.existing != Existing::Keep {
            return Self::OneWriter("the transaction that deletes the old rows must also write the new rows");
        }
        if let Some(reason) = one_writer {
            return Self::OneWriter(reason);
        }
        let keys: Vec<_> = table.keys().collect();
        let key = match keys.as_slice() {
            [] => return Self::RoundRobin,
            [key] => *key,
            _ => return Self::OneWriter("the table has several unique keys"),
        };
        // Values that are equal here must be equal in the database.
        let compares_alike = |name: &String| {
            let (Some(column), Ok(field)) = (table.column(name), spec.columns.field_with_name(name)) else {
                return false;
            };
            let is_alike = *field.data_type() == column.data_type && !field.data_type().is_string()
                || field.data_type().is_string() && is_text(column);
            is_alike
                && !column.data_type.is_floating()
                && matches!(column.comparison, Comparison::Exact | Comparison::Equality)
        };
        if key.iter().all(compares_alike) {
            return Self::ByKey(key.clone());
        }
        // A column of the key that is not written has a default value, such as a number that is unique.
        let is_numbered = |name: &String| {
            spec.columns.field_with_name(name).is_err()
                && table.column(name).is_some_and(|column| column.default == ColumnDefault::Numbered)
        };
        match key.iter().any(is_numbered) {
            true => Self::RoundRobin,
            false => Self::OneWriter("the server may treat different spellings of a key value as equal"),
        }
    }
}
