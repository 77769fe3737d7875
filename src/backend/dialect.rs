//! The SQL spelling of pushed-down conditions and orders.

use std::fmt::Debug;

use arrow::datatypes::DataType;

use crate::backend::{Column, Parameter};

/// A constant that a column is compared with. Never NULL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant<'a> {
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A number, including NaN.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A decimal, a date or a timestamp in ISO 8601. UTC times end with a `Z`.
    Other(&'a DataType, &'a str),
}

/// A constant in a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Spelled {
    /// This SQL text.
    Sql(String),
    /// A parameter.
    Parameter(Parameter),
}

/// A column of an ORDER BY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderKey {
    /// The column of the table, by index.
    pub column: usize,
    /// Whether the order is descending.
    pub descending: bool,
    /// Whether NULL comes first.
    pub nulls_first: bool,
}

/// The SQL spelling of pushed-down conditions and orders. Conditions are comparisons of columns with constants, `IN`,
/// `BETWEEN`, `IS NULL`, `AND`, `OR` and `NOT` of the SQL standard. [`Column::comparison`] says which columns are
/// compared by the database: columns with a case-insensitive collation, or floats without NaN, must not be `Exact`.
pub trait QueryDialect: Debug + Send + Sync {
    /// The spelling of a constant that a column is compared with; `None` if the database does not compare the two as
    /// DataFusion does.
    fn constant(&self, constant: Constant<'_>, column: &Column) -> Option<Spelled>;

    /// The quotation mark of identifiers. It is doubled inside an identifier.
    fn quote(&self) -> char {
        '"'
    }

    /// The name of a column in the database, if it is not the one that [`Column`] shows.
    fn stored_name(&self, _: &str) -> Option<String> {
        None
    }

    /// Quotes the name of a column.
    fn identifier(&self, name: &str) -> String {
        let quote = self.quote();
        let stored = self.stored_name(name);
        let name = stored.as_deref().unwrap_or(name);
        let doubled = name.replace(quote, &format!("{quote}{quote}"));
        format!("{quote}{doubled}{quote}")
    }

    /// The placeholder of a parameter, counted from 1, for a value of a type.
    fn parameter(&self, number: usize, _: &DataType) -> String {
        format!("?{number}")
    }

    /// The spelling of a column in an ORDER BY.
    fn order_by(&self, name: &str, key: &OrderKey) -> String {
        let direction = if key.descending { "DESC" } else { "ASC" };
        let nulls = if key.nulls_first { "NULLS FIRST" } else { "NULLS LAST" };
        format!("{} {direction} {nulls}", self.identifier(name))
    }

    /// Whether the database compares two text columns as DataFusion does. Their collations must also be the same.
    fn compares_texts(&self) -> bool {
        false
    }

    /// A column of 64-bit integers with this name, which the database computes; `None` if it computes no aggregates.
    fn number(&self, _: &str) -> Option<Column> {
        None
    }

    /// The sum of a column of integers, as a 64-bit integer. It is an error if it is too large. `None` if the database cannot do
    /// that.
    fn sum(&self, _: &Column) -> Option<String> {
        None
    }

    /// Whether IS NULL is true for a column exactly if its value is read as NULL.
    fn finds_null(&self, _: &Column) -> bool {
        true
    }

    /// For a column that [holds](Column::holds) values of any type: a condition that the value has the column's type or
    /// is NULL.
    fn is_of_its_type(&self, _: &Column) -> Option<String> {
        None
    }
}
