//! The columns of a file that a query selects without computing anything.

use arrow::datatypes::{Field, Schema};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion_landfall::backend::{Column as TableColumn, Table};

use crate::files::NUMBER;

/// The columns of the one table in FROM, in the order of the query's columns. `None` if the query does anything else than
/// select and rename columns, each of them once.
pub(crate) async fn selected(context: &SessionContext, query: &str) -> Option<Vec<String>> {
    let plan = context.state().create_logical_plan(query).await.ok()?;
    let LogicalPlan::Projection(projection) = plan else { return None };
    let LogicalPlan::TableScan(scan) = projection.input.as_ref() else { return None };
    if !scan.filters.is_empty() || scan.fetch.is_some() {
        return None;
    }
    let mut columns = Vec::new();
    for expr in &projection.expr {
        let Expr::Column(Column { name, .. }) = expr.clone().unalias() else { return None };
        if columns.contains(&name) {
            return None;
        }
        columns.push(name);
    }
    Some(columns)
}

/// The columns of a table that hold numbers of any size, which Landfall reads and writes as texts.
pub(crate) fn number_texts(table: &Table) -> Vec<String> {
    let declared = |column: &&TableColumn| ["numeric", "decimal"].contains(&column.sql_type.as_str());
    let texts = table.columns.iter().filter(|column| column.data_type.is_string());
    texts.filter(declared).map(|column| column.name.clone()).collect()
}

/// The schema in which a column of the file has the type of the table's column that it is written to.
pub(crate) fn types_of(selected: Vec<String>, columns: &[String], table: &Schema, numbers: &[String]) -> Schema {
    let pairs = selected.into_iter().zip(columns);
    let typed = pairs.filter_map(|(name, column)| {
        let field = table.field_with_name(column).ok()?;
        let typed = Field::new(name, field.data_type().clone(), true);
        let metadata = numbers.contains(column).then(|| (NUMBER.to_owned(), String::new()));
        Some(typed.with_metadata(metadata.into_iter().collect()))
    });
    Schema::new(typed.collect::<Vec<_>>())
}
