//! The parts of statements that change rows through a staging table.

use crate::backend::{Assignment, Change, Column, ColumnDefault, Staged, Table};
use crate::sql::{Stage, quote};

/// The parts of the statements of one change: names, joins and values.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) target: &'a str,
    pub(super) table: &'a Table,
    pub(super) change: &'a Change,
    pub(super) stage: &'a Stage,
}

impl Writer<'_> {
    /// The table, quoted as in a statement.
    pub fn target(&self) -> &str {
        self.target
    }

    /// The staging table, quoted as in a statement.
    pub fn stage(&self) -> &str {
        &self.stage.name
    }

    /// The columns of the key, by which staged rows match rows of the table.
    pub fn key(&self) -> impl Iterator<Item = &str> {
        self.change.key().map(|(_, name)| name)
    }

    /// The first column of the key, and the index of its staged column.
    pub fn staged_key(&self) -> Option<(usize, &str)> {
        self.change.key().next()
    }

    /// The number of staged columns.
    pub fn staged_columns(&self) -> usize {
        self.change.staged.len()
    }

    /// A staged column, quoted as in a statement.
    pub fn column(&self, index: usize) -> String {
        quote(&self.stage.columns[index])
    }

    /// A staged value.
    pub fn bare(&self, index: usize) -> String {
        self.cast(self.column(index), index)
    }

    /// A staged value, qualified with the alias `s` of the staging table.
    pub fn value(&self, index: usize) -> String {
        self.cast(format!("s.{}", self.column(index)), index)
    }

    fn cast(&self, column: String, index: usize) -> String {
        match &self.stage.casts[index] {
            Some(cast) => format!("CAST({column} AS {cast})"),
            None => column,
        }
    }

    /// The condition that a row of the table matches a staged row.
    pub fn same_key(&self) -> String {
        let same = |(index, name): (usize, &str)| format!("t.{} = {}", quote(name), self.value(index));
        self.change.key().map(same).collect::<Vec<_>>().join(" AND ")
    }

    /// The staged values of the key.
    pub fn staged_keys(&self) -> String {
        self.change.key().map(|(index, _)| self.value(index)).collect::<Vec<_>>().join(", ")
    }

    /// The index of the staged column with this meaning.
    pub fn staged(&self, wanted: &Staged) -> Option<usize> {
        self.change.staged.iter().position(|staged| staged == wanted)
    }

    /// `a = a`, for a column that is neither in the key nor numbered by the server, if there is one.
    pub(super) fn to_itself(&self, prefix: &str, own: &str) -> String {
        let columns = || self.table.columns.iter().filter(|column| column.default != ColumnDefault::Generated);
        let is_plain = |column: &&Column| {
            column.default != ColumnDefault::Numbered && !self.table.primary_key.contains(&column.name)
        };
        let column = columns().find(is_plain).or_else(|| columns().next());
        let name = column.map(|column| quote(&column.name)).unwrap_or_default();
        format!("{prefix}{name} = {own}{name}")
    }

    /// `a = s.x, b = s.y`, with `prefix` before each column; `a = t.a` without values.
    pub fn set(&self, prefix: &str, values: &[Assignment]) -> String {
        if values.is_empty() {
            return self.to_itself(prefix, "t.");
        }
        let one = |(column, staged): &Assignment| format!("{prefix}{} = {}", quote(column), self.value(*staged));
        values.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// `s.x, s.y`.
    pub fn values(&self, values: &[Assignment]) -> String {
        values.iter().map(|(_, staged)| self.value(*staged)).collect::<Vec<_>>().join(", ")
    }

    /// `(a, b) `, and the clause that makes the server store given numbers in columns that it numbers.
    pub fn columns(&self, values: &[Assignment], keeps_numbers: &str) -> String {
        let names: Vec<_> = values.iter().map(|(column, _)| quote(column)).collect();
        let is_numbered = |(column, _): &Assignment| {
            self.table.column(column).is_some_and(|column| column.default == ColumnDefault::Numbered)
        };
        let keeps = if values.iter().any(is_numbered) { keeps_numbers } else { "" };
        format!("({}) {keeps}", names.join(", "))
    }
}
