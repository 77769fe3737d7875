//! An alteration of a table before rows are written to it.

use log::warn;

use crate::backend::Backend;
use crate::error::{Error, Result};

/// An alteration of a table before rows are written to it, in a transaction of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Evolved {
    /// The statements. They can be run again.
    statements: Vec<String>,
    /// The names of the columns that are added.
    added: Vec<String>,
    /// Whether types are changed.
    widens: bool,
}

impl Evolved {
    /// An alteration by these statements, which add these columns, and may change types.
    pub fn new(statements: Vec<String>, added: Vec<String>, widens: bool) -> Self {
        Self { statements, added, widens }
    }

    /// Whether types are changed.
    pub fn widens(&self) -> bool {
        self.widens
    }

    /// The statements.
    pub fn statements(&self) -> &[String] {
        &self.statements
    }

    /// Alters the table, unless another statement has done so since this one was planned.
    ///
    /// # Errors
    /// `Schema` if a column could not be added. Errors of the database.
    pub async fn run(&self, database: &dyn Backend, table: &str) -> Result<()> {
        for statement in &self.statements {
            // One list of no parameters.
            let Err(error) = database.run(statement.clone(), vec![Vec::new()]).await else { continue };
            let now = database.table(table).await?;
            let is_there = |name: &String| now.as_ref().is_some_and(|table| table.column(name).is_some());
            if !self.added.iter().any(is_there) {
                return Err(error.with_context(format!("altering table {table}")));
            }
        }
        let now = database.table(table).await?;
        match self.added.iter().find(|name| now.as_ref().is_none_or(|table| table.column(name).is_none())) {
            Some(missing) => Err(Error::schema(format!("column \"{missing}\" could not be added to table {table}"))),
            None => Ok(()),
        }
    }

    /// Says that the statement has failed, and the new columns stay.
    pub fn stays(&self, table: &str) {
        if !self.added.is_empty() {
            warn!(
                "table {table}: the statement failed, but the columns that it added stay in the table: {}",
                self.added.join(", ")
            );
        }
    }
}
