//! Alters tables so that they fit the columns of a query.

use arrow::datatypes::{DataType, Schema};

use super::database::Postgres;
use super::described::{relation, staging};
use super::types::declare;
use crate::backend::{Alteration, Column, Rewrites, Table};
use crate::error::{Error, Result};
use crate::sql::{column_declarations, quote, scratch_table};

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
    use DataType::{Decimal128, Float32, Float64, Int16, Int32, Int64, LargeUtf8, Utf8, Utf8View};
    // Not a domain, whose constraints a base type does not have.
    let is_number = matches!(column.sql_type.as_str(), "smallint" | "integer" | "real");
    match (&column.data_type, to) {
        (Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) if is_number => Some(Rewrites::AllRows),
        (Decimal128(precision, scale), Decimal128(wider, other)) if column.sql_type.starts_with("numeric(") => {
            let digits = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
            match (digits(*wider, *other) > digits(*precision, *scale), other > scale) {
                (true, false) if other == scale => Some(Rewrites::Never),
                (_, true) if digits(*wider, *other) >= digits(*precision, *scale) => Some(Rewrites::AllRows),
                _ => None,
            }
        }
        (_, Utf8 | LargeUtf8 | Utf8View) if column.sql_type.starts_with("character varying(") => Some(Rewrites::Never),
        _ => None,
    }
}
