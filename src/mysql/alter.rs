//! Alters tables so that they fit the columns of a query.

use arrow::datatypes::{DataType, Schema};

use super::database::MySql;
use super::described::relation;
use super::row::text;
use super::types::declare;
use super::unpublished::Unpublished;
use crate::backend::{Alteration, Column, Rewrites, Table};
use crate::error::{Error, Result};
use crate::sql::{TableName, column_declarations, has_more_numbers, quote, scratch_table};

impl MySql {
    /// Each column is altered by a statement of its own, because MySQL has no IF NOT EXISTS for columns.
    pub(super) async fn plan_alteration(&self, table: &Table, added: &Schema, widened: &Schema) -> Result<Alteration> {
        relation(table)?.check_writable()?;
        let name = TableName::try_parse(&table.name)?;
        let mut connection = self.connect().await?;
        let flavor = connection.server.flavor;
        let added_columns =
            column_declarations(added, |field| Ok(format!("{} NULL", declare(field.data_type(), false, flavor)?)))?;
        let add = added_columns.iter().map(|column| format!("ADD COLUMN {column}"));
        let created = match widened.fields().is_empty() {
            true => String::new(),
            false => {
                let rows =
                    self.rows(&mut connection, &format!("SHOW CREATE TABLE {}", name.quoted()), Vec::new()).await?;
                rows.first().map(|row| text(row, 1)).transpose()?.unwrap_or_default()
            }
        };
        let modify = widened.fields().iter().map(|field| {
            let to = declare(field.data_type(), false, flavor)?;
            let column = table.column(field.name()).ok_or_else(|| Error::internal("an unknown column is widened"))?;
            Ok(format!("MODIFY COLUMN {}", retyped(&created, column, &to)?))
        });
        let steps = add.map(Ok).chain(modify).collect::<Result<Vec<_>>>()?;
        connection.give_back();
        let statements = steps.iter().map(|step| format!("ALTER TABLE {} {step}", name.quoted())).collect();
        let described = Unpublished::describe(self, &scratch_table(name.schema.as_deref(), &[added, widened])).await?;
        let described = described.ok_or_else(|| {
            Error::config(format!(
                "table {table} cannot be altered: grant the privileges CREATE, ALTER and DROP to the user",
                table = table.name
            ))
        })?;
        Ok(Alteration { statements, columns: described.columns })
    }
}

/// The declaration of a column in `SHOW CREATE TABLE`, with another type. Its other attributes stay.
fn retyped(created: &str, column: &Column, to: &str) -> Result<String> {
    let quoted = quote(&column.name);
    let backticks = format!("`{}`", column.name.replace('`', "``"));
    let line = created.lines().map(str::trim).find_map(|line| {
        let rest = line.strip_prefix(&quoted).or_else(|| line.strip_prefix(&backticks))?;
        rest.trim_start().strip_prefix(&column.sql_type)
    });
    let rest = line.ok_or_else(|| {
        Error::schema(format!(
            "column \"{}\" cannot be widened by Landfall: alter the column in the database",
            column.name
        ))
    })?;
    Ok(format!("{quoted} {to}{}", rest.trim_end_matches(',')))
}

/// Whether a column stores fewer values than an Arrow type has.
pub(super) fn widening(column: &Column, to: &DataType) -> Option<Rewrites> {
    // UNSIGNED, ZEROFILL and FLOAT(7, 2) also limit the values, which stays so.
    let declared = column.sql_type.to_lowercase();
    let is_plain =
        !["unsigned", "zerofill"].iter().any(|limit| declared.contains(limit)) && !declared.starts_with("float(");
    (is_plain && has_more_numbers(to, &column.data_type)).then_some(Rewrites::AllRows)
}
