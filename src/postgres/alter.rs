//! Alters tables so that they fit the columns of a query.

use arrow::datatypes::{DataType, Schema};

use super::database::Postgres;
use super::described::{relation, staging};
use super::types::declare;
use crate::backend::{Alteration, Column, Rewrites, Table};
use crate::error::{Error, Result};
use crate::sql::{column_declarations, has_more_numbers, quote, scratch_table};

impl Postgres {
    pub(super) async fn plan_alteration(&self, table: &Table, added: &Schema, widened: &Schema) -> Result<Alteration> {
        let name = &relation(table)?.name;
        let added_columns = column_declarations(added, |field| declare(field.data_type()))?;
        let add = added_columns.iter().map(|column| format!("ADD COLUMN IF NOT EXISTS {column}"));
        let widen = widened.fields().iter().map(|field| {
            let to = declare(field.data_type())?;
            let column = table.column(field.name()).ok_or_else(|| Error::internal("an unknown column is widened"))?;
            let collate = &staging(column)?.collate;
            Ok(format!("ALTER COLUMN {} TYPE {to}{collate}", quote(field.name())))
        });
        let steps = add.map(Ok).chain(widen).collect::<Result<Vec<_>>>()?;
        let statement = format!("ALTER TABLE {} {}", name.quoted(), steps.join(", "));
        let described = self.described_new(&scratch_table(name.schema.as_deref(), &[added, widened])).await?;
        let described = described.ok_or_else(|| Error::internal("new columns could not be described"))?;
        Ok(Alteration { statements: vec![statement], columns: described.columns })
    }
}

/// Whether a column stores fewer values than an Arrow type has.
pub(super) fn widening(column: &Column, to: &DataType) -> Option<Rewrites> {
    let is_number = match &column.data_type {
        DataType::Decimal128(..) => column.sql_type.starts_with("numeric("),
        // Not a domain, whose constraints a base type does not have.
        _ => matches!(column.sql_type.as_str(), "smallint" | "integer" | "real"),
    };
    match (&column.data_type, to) {
        (own, wanted) if is_number && has_more_numbers(wanted, own) => Some(match (own, wanted) {
            (DataType::Decimal128(_, scale), DataType::Decimal128(_, other)) if scale == other => Rewrites::Never,
            _ => Rewrites::AllRows,
        }),
        (_, wanted) if wanted.is_string() && column.sql_type.starts_with("character varying(") => Some(Rewrites::Never),
        _ => None,
    }
}
