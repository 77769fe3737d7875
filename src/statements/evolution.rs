//! An INSERT without a column list into a table with the option `schema.evolution`: the columns of the query are matched by
//! name, and the table is altered to fit them.

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Ident, Insert, ObjectName, SetExpr, Statement as Sql, TableObject};

use super::names::in_attached;
use crate::load::matched;
use crate::options::Evolution;
use crate::provider::{LandfallTable, Registered, SessionSchema, plan_statement, table_reference};

/// The name of the table as it is after it was altered.
const TARGET: &str = "landfall_evolved_target";

/// Replaces the table and the columns of such an INSERT. The table is registered for this statement.
pub(super) async fn rewrite<'c>(context: &'c SessionContext, statement: &mut Sql) -> DfResult<Option<Registered<'c>>> {
    let Sql::Insert(insert) = statement else { return Ok(None) };
    let (TableObject::TableName(name), true, Some(source)) = (&insert.table, insert.columns.is_empty(), &insert.source)
    else {
        return Ok(None);
    };
    // VALUES has no names: its columns are those of the table, in their order.
    if matches!(source.body.as_ref(), SetExpr::Values(_)) {
        return Ok(None);
    }
    // To look up a table of an attached database asks the server.
    if in_attached(context, name).is_some_and(|(catalog, ..)| catalog.options().evolution == Evolution::Off) {
        return Ok(None);
    }
    let Ok(provider) = context.table_provider(table_reference(context, name)?).await else { return Ok(None) };
    let Some(table) = provider.downcast_ref::<LandfallTable>() else { return Ok(None) };
    if table.options().evolution == Evolution::Off {
        return Ok(None);
    }
    let query = DfStatement::Statement(Box::new(Sql::Query(source.clone())));
    let schema = Arc::clone(plan_statement(context, query).await?.schema().inner());
    let Some(evolved) = table.evolved(&schema).await? else { return Ok(None) };
    let columns = matched(&schema, evolved.table())?;
    let own = SessionSchema::own(context);
    let registered = Registered::new(context, TARGET, Arc::new(evolved))?;
    let Insert { table, columns: written, .. } = insert;
    *written = columns.into_iter().map(|name| ObjectName::from(vec![Ident::with_quote('"', name)])).collect();
    let parts = [own.catalog.as_str(), own.schema.as_str(), TARGET].map(|part| Ident::with_quote('"', part));
    *table = TableObject::TableName(ObjectName::from(parts.to_vec()));
    Ok(Some(registered))
}
