//! How a database spells what a query pushes down to it.

use std::fmt::Debug;

use arrow::datatypes::DataType;

use crate::backend::{Column, Parameter};

/// A value that a column is compared with; never NULL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant<'a> {
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A number, NaN too.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A decimal, a date or a timestamp, as ISO 8601 and SQL write it; UTC ends with a `Z`.
    Other(&'a DataType, &'a str),
}

/// A constant as it stands in a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Spelled {
    /// As this piece of SQL.
    Sql(String),
    /// As a parameter.
    Parameter(Parameter),
}

/// A column that rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderKey {
    /// The column of the table, by index.
    pub column: usize,
    /// From the largest value to the smallest.
    pub descending: bool,
    /// NULL comes before all values.
    pub nulls_first: bool,
}

/// How a database spells what is pushed down to it. Conditions are comparisons of columns with constants, `IN`, `BETWEEN`,
/// `IS NULL`, `AND`, `OR` and `NOT`, as the SQL standard has them. Which columns are compared there at all says
/// [`Column::comparison`]: a collation that knows no case, or floats without NaN, must not be called `Exact`.
pub trait QueryDialect: Debug + Send + Sync {
    /// A constant that a column is compared with; `None` where the database would not compare the two as DataFusion does.
    fn constant(&self, constant: Constant<'_>, column: &Column) -> Option<Spelled>;

    /// What stands on both sides of an identifier, and is doubled in one.
    fn quote(&self) -> char {
        '"'
    }

    /// An identifier.
    fn identifier(&self, name: &str) -> String {
        let quote = self.quote();
        let doubled = name.replace(quote, &format!("{quote}{quote}"));
        format!("{quote}{doubled}{quote}")
    }

    /// The place of a parameter, counted from 1, for a value of a type.
    fn parameter(&self, number: usize, _: &DataType) -> String {
        format!("?{number}")
    }

    /// A column in an ORDER BY.
    fn order_by(&self, name: &str, key: &OrderKey) -> String {
        let direction = if key.descending { "DESC" } else { "ASC" };
        let nulls = if key.nulls_first { "NULLS FIRST" } else { "NULLS LAST" };
        format!("{} {direction} {nulls}", self.identifier(name))
    }

    /// Whether two columns of texts compare as DataFusion compares them: their collations have to be the same, too.
    fn compares_texts(&self) -> bool {
        false
    }

    /// Whether IS NULL is true of a column just where it is read as NULL.
    fn finds_null(&self, _: &Column) -> bool {
        true
    }

    /// A condition that a value of a column which [holds](Column::holds) any type is one of its own, or NULL.
    fn is_of_its_type(&self, _: &Column) -> Option<String> {
        None
    }
}
