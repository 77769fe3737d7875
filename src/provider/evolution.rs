//! Tables that are altered to fit the columns of a query.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use crate::backend::{Column, ColumnDefault, Rewrites, Table};
use crate::error::{Error, Result};
use crate::options::Evolution;
use crate::pipeline::Evolved;
use crate::provider::LandfallTable;

impl LandfallTable {
    /// This table as it is after it was altered to fit the columns of a query; `None` without the option `schema.evolution`.
    ///
    /// # Errors
    /// `Unsupported` for a database that Landfall does not alter. Errors of the database.
    pub(crate) async fn evolved(&self, query: &Schema) -> Result<Option<Self>> {
        let evolution = self.options().evolution;
        if evolution == Evolution::Off {
            return Ok(None);
        }
        // Another statement may have altered it.
        let Some(mut table) = self.database.table(&self.table().name).await? else { return Ok(None) };
        let (mut added, mut widened) = (Vec::new(), Vec::new());
        for field in query.fields() {
            if *field.data_type() == DataType::Null {
                return Err(Error::schema(format!(
                    "column \"{}\" of the query is an untyped NULL: use CAST(NULL AS …), or omit the column",
                    field.name()
                )));
            }
            match column_like(&table, field.name()) {
                None => added.push(Field::new(field.name(), field.data_type().clone(), true)),
                Some(column) if self.is_widened(column, field) => {
                    widened.push(Field::new(&column.name, field.data_type().clone(), column.nullable));
                }
                Some(_) => {}
            }
        }
        let mut evolved = None;
        if !added.is_empty() || !widened.is_empty() {
            let names = added.iter().map(|field| field.name().clone()).collect();
            let (added, widened) = (Schema::new(added), Schema::new(widened));
            let planned = self.database.plan_alteration(&table, &added, &widened).await;
            let planned = planned.map_err(|error| error.with_context(format!("altering table {}", table.name)))?;
            for column in planned.columns {
                match table.columns.iter_mut().find(|known| known.name == column.name) {
                    Some(known) => {
                        let Column { nullable, default, .. } = known.clone();
                        *known = Column { nullable, default, ..column };
                    }
                    None => table.columns.push(column),
                }
            }
            evolved = Some(Arc::new(Evolved::new(planned.statements, names, !widened.fields().is_empty())));
        }
        let schema = table.schema();
        let new = Self::new(Arc::clone(&self.database), table, schema, self.options().clone())?;
        Ok(Some(new.with_alteration(evolved)))
    }

    fn is_widened(&self, column: &Column, field: &Field) -> bool {
        let evolution = self.options().evolution;
        let rewrites = match evolution {
            Evolution::Widen | Evolution::Rewrite if column.default != ColumnDefault::Generated => {
                self.database.widening(column, field.data_type())
            }
            _ => None,
        };
        match rewrites {
            Some(Rewrites::Never) => true,
            Some(Rewrites::AllRows) => evolution == Evolution::Rewrite,
            None => false,
        }
    }
}

/// The column of a name, or of the same name in another case.
fn column_like<'t>(table: &'t Table, name: &str) -> Option<&'t Column> {
    let alike = || table.columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase());
    table.column(name).or_else(alike)
}
