//! Descriptions of tables: existing ones, read from the server's catalog, and new ones.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::options::OnConflict;

/// How a comparison with a literal in the database differs from the same comparison in DataFusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The result is the same.
    Exact,
    /// The result is the same, except for zeros of different signs and for NaN, which is always the largest number in
    /// the database.
    Float,
    /// The result is the same, except for zeros of different signs. The database has no NaN.
    SignedZero,
    /// Equality is the same. The order can differ.
    Equality,
    /// Values that are equal in DataFusion are equal in the database, and others may be, too: a case-insensitive
    /// collation.
    Folded,
    /// The column stores ISO 8601 text. Only a range of days around the literal can be pushed down.
    IsoText,
    /// The result can differ. DataFusion compares.
    Differs,
    /// Even NULL can differ.
    Nothing,
}

/// The values that a column can store besides NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Values of its type.
    OfItsType,
    /// Values of any type. A value of another type is an error when it is read, and no comparison finds it.
    OfAnyType,
}

/// The characters that a constant may contain when the server compares it with a column. Others are an error at the
/// server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Characters {
    /// All characters.
    All,
    /// Up to U+FFFF.
    Basic,
    /// Up to U+00FF.
    Latin1,
    /// Up to U+007F.
    Ascii,
}

impl Characters {
    /// Whether a text contains only these characters.
    pub(crate) fn have(self, text: &str) -> bool {
        let last = match self {
            Self::All => char::MAX,
            Self::Basic => '\u{ffff}',
            Self::Latin1 => '\u{ff}',
            Self::Ascii => '\u{7f}',
        };
        text.chars().all(|character| character <= last)
    }
}

/// The value of a column that a statement leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnDefault {
    /// NULL.
    Null,
    /// The server's default, or a number from the server.
    ByDefault,
    /// A number from the server. A given number is stored, and cannot be changed later.
    Numbered,
    /// The server computes it from other columns. It cannot be written.
    Generated,
}

/// Private data of the backend about a table or column.
#[derive(Clone, Default)]
pub struct Detail(Option<Arc<dyn Any + Send + Sync>>);

impl Detail {
    /// Stores the data.
    pub fn new(detail: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(detail)))
    }

    /// The data, if it has this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Detail" } else { "None" })
    }
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// The name, in the database's spelling.
    pub name: String,
    /// The type, as the server declares it.
    pub sql_type: String,
    /// The Arrow type of the column.
    pub data_type: DataType,
    /// Whether it accepts NULL.
    pub nullable: bool,
    /// The value if a statement leaves the column out.
    pub default: ColumnDefault,
    /// How comparisons in the database behave.
    pub comparison: Comparison,
    /// The values that it can store.
    pub holds: Holds,
    /// The characters that its texts can be compared with.
    pub characters: Characters,
    /// Private data of its backend.
    pub detail: Detail,
}

impl Column {
    /// Creates a column that accepts NULL and has no default. Integers, decimals and booleans compare as in DataFusion,
    /// other types do not. Set other fields with struct update syntax: `Column { …, ..Column::new(…) }`.
    pub fn new(name: impl Into<String>, sql_type: impl Into<String>, data_type: DataType) -> Self {
        let is_plain = data_type.is_integer() || data_type.is_decimal() || data_type == DataType::Boolean;
        let comparison = if is_plain { Comparison::Exact } else { Comparison::Differs };
        Self {
            name: name.into(),
            sql_type: sql_type.into(),
            data_type,
            nullable: true,
            default: ColumnDefault::Null,
            comparison,
            holds: Holds::OfItsType,
            characters: Characters::All,
            detail: Detail::default(),
        }
    }

    /// The column, read as another type by its backend.
    pub fn read_as(&self, wanted: &DataType) -> Self {
        let comparison = match *wanted == self.data_type {
            true => self.comparison,
            // JSON's null is read as NULL, but is not NULL in the database.
            false if wanted.is_nested() => Comparison::Nothing,
            false => Comparison::Differs,
        };
        Self { data_type: wanted.clone(), comparison, ..self.clone() }
    }
}

/// A unique index that cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherIndex {
    /// Its name.
    pub name: String,
    /// Why, as a predicate: `is deferrable`, `is partial`.
    pub why: &'static str,
}

impl fmt::Display for OtherIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" {}", self.name, self.why)
    }
}

/// An existing table.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name, in the database's spelling.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The columns of its primary key, in key order. Empty without a primary key.
    pub primary_key: Vec<String>,
    /// The columns of each other unique key.
    pub unique_keys: Vec<Vec<String>>,
    /// Unique indexes that are no keys: they do not identify every row.
    pub other_indexes: Vec<OtherIndex>,
    /// Private data of its backend.
    pub detail: Detail,
}

/// The schema that DataFusion sees of a table with these columns.
pub(crate) fn schema_of(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| Field::new(&column.name, column.data_type.clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// The columns of a table in the list of a database.
#[derive(Debug, Clone)]
pub struct TableColumns {
    /// The schema of the table.
    pub schema: String,
    /// Its name in the schema.
    pub table: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
}

impl Table {
    /// A table without keys.
    pub fn new(name: impl Into<String>, columns: Vec<Column>) -> Self {
        Self {
            name: name.into(),
            columns,
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            other_indexes: Vec::new(),
            detail: Detail::default(),
        }
    }

    /// The schema that DataFusion sees. All columns are nullable in it, so that NULL reaches the branch, whose error
    /// names the row and the column. DataFusion's error would name neither.
    pub fn schema(&self) -> SchemaRef {
        schema_of(&self.columns)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns of each key: the primary key first, if there is one, then the other unique keys.
    pub fn keys(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.primary_key).chain(&self.unique_keys).filter(|key| !key.is_empty())
    }

    /// The key that detects conflicts: `wanted`, the primary key, or the only unique key.
    ///
    /// # Errors
    /// `Schema` if the table has no such key.
    pub fn conflict_key(&self, wanted: &[String], on_conflict: OnConflict) -> Result<Vec<String>> {
        let what = match on_conflict {
            OnConflict::Error => return Ok(Vec::new()),
            OnConflict::Replace => "REPLACE INTO",
            OnConflict::Ignore => "the option 'on_conflict' = 'ignore'",
            OnConflict::Update => "the option 'on_conflict' = 'update'",
        };
        let mut keys = self.keys();
        if wanted.is_empty() {
            if !self.primary_key.is_empty() {
                return Ok(self.primary_key.clone());
            }
            return match self.unique_keys.as_slice() {
                [only] => Ok(only.clone()),
                [] => Err(Error::schema(format!(
                    "{what} requires a key, but table {} has {}: {}",
                    self.name,
                    self.has_no_key(),
                    self.create_key()
                ))),
                several => Err(Error::schema(format!(
                    "{what} requires a key, but table {} has {} unique keys: set the option 'conflict_key' to the \
                     columns of one of the keys",
                    self.name,
                    several.len()
                ))),
            };
        }
        let same = |key: &&Vec<String>| key.len() == wanted.len() && wanted.iter().all(|name| key.contains(name));
        keys.find(same).cloned().ok_or_else(|| {
            let others = match self.other_indexes.as_slice() {
                [] => String::new(),
                others => format!(" ({})", unusable(others)),
            };
            Error::schema(format!(
                "the option 'conflict_key' names ({}), but table {} has no unique key on exactly these columns{others}: \
                 {}",
                wanted.join(", "),
                self.name,
                self.create_key()
            ))
        })
    }

    /// What a table without keys has instead.
    pub(crate) fn has_no_key(&self) -> String {
        match self.other_indexes.as_slice() {
            [] => "neither a primary key nor a unique index".to_owned(),
            others => format!("no key that can be used: {}", unusable(others)),
        }
    }

    /// How the table gets a key.
    pub(crate) fn create_key(&self) -> &'static str {
        match self.other_indexes.as_slice() {
            [] => "create a unique index on the columns that identify a row",
            _ => {
                "create a unique index on columns only, without expressions or WHERE, or a unique constraint that is not DEFERRABLE"
            }
        }
    }
}

fn unusable(others: &[OtherIndex]) -> String {
    let others: Vec<_> = others.iter().map(|index| format!("unique index {index}")).collect();
    others.join(", ")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns.iter().map(|column| {
            let null = if column.nullable { "" } else { " NOT NULL" };
            format!("{} {} [{}]{null}", column.name, column.sql_type, column.data_type)
        });
        write_columns(f, columns, &self.primary_key)
    }
}

/// A new table.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// The columns of its primary key. Empty without a primary key.
    pub primary_key: Vec<String>,
    /// The columns of each other unique key.
    pub unique_keys: Vec<Vec<String>>,
    /// Default values by column: arrays of one row, in the column's type.
    pub defaults: HashMap<String, ArrayRef>,
}

impl fmt::Display for NewTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.schema.fields().iter().map(|field| {
            let null = if field.is_nullable() { "" } else { " NOT NULL" };
            format!("{} [{}]{null}", field.name(), field.data_type())
        });
        write_columns(f, columns, &self.primary_key)
    }
}

/// An alteration of a table that exists.
#[derive(Debug, Clone)]
pub struct Alteration {
    /// The statements. They can be run again.
    pub statements: Vec<String>,
    /// The columns that are added or changed, as the database then describes them.
    pub columns: Vec<Column>,
}

fn write_columns(
    f: &mut fmt::Formatter<'_>,
    columns: impl Iterator<Item = String>,
    primary_key: &[String],
) -> fmt::Result {
    write!(f, "({}", columns.collect::<Vec<_>>().join(", "))?;
    if !primary_key.is_empty() {
        write!(f, ", PRIMARY KEY ({})", primary_key.join(", "))?;
    }
    f.write_str(")")
}
