//! UPDATE, DELETE and MERGE of a FANOUT table: one statement for each member, in one transaction.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{Result as DfResult, TableReference};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, FromTable, Ident, ObjectName, ObjectNamePart, Statement as Sql, TableFactor, VisitMut, VisitorMut,
};

use super::names::in_attached;
use super::{Planned, Statement, plan};
use crate::error::{Error, ErrorKind};
use crate::provider::{FanoutTable, change_members, table_reference};

/// Plans such a statement; `None` for any other.
pub(super) async fn plan_change(context: &SessionContext, sql: &Sql) -> DfResult<Option<LogicalPlan>> {
    if !matches!(sql, Sql::Update(_) | Sql::Delete(_) | Sql::Merge(_)) {
        return Ok(None);
    }
    let mut sql = sql.clone();
    let Some(target) = target(&mut sql) else { return Ok(None) };
    let name = target.clone();
    // A table of an attached database is none, and looking it up asks the server.
    if in_attached(context, &name).is_some() {
        return Ok(None);
    }
    let reference = table_reference(context, &name)?;
    let Ok(provider) = context.table_provider(reference.clone()).await else { return Ok(None) };
    let Some(fanout) = provider.downcast_ref::<FanoutTable>() else { return Ok(None) };
    let mut statements = Vec::new();
    for (member, table) in fanout.members() {
        let own = TableReference::parse_str(member);
        if !context.table_provider(own.clone()).await.is_ok_and(|known| Arc::ptr_eq(&known, table)) {
            let text = format!(
                "member {member} was registered again after table {name} was created: create table {name} again"
            );
            return Err(Error::new(ErrorKind::Config, text).into());
        }
        let parts = [own.catalog(), own.schema(), Some(own.table())].into_iter().flatten();
        let parts: Vec<_> = parts.map(|part| Ident::with_quote('"', part)).collect();
        let mut of_member = sql.clone();
        let _ = of_member.visit(&mut Qualified { from: idents(&name), to: &parts });
        if let Some(target) = self::target(&mut of_member) {
            *target = ObjectName::from(parts);
        }
        let statement = Statement::DataFusion(DfStatement::Statement(Box::new(of_member)));
        match Box::pin(plan(context, statement)).await.map_err(|error| error.context(format!("member {member}")))? {
            Planned::Plan(plan) => statements.push((member.clone(), plan)),
            Planned::Done(_) => return Err(Error::internal("a statement that changes rows has run early").into()),
        }
    }
    change_members(fanout, &reference, statements).map(Some)
}

/// The table that UPDATE, DELETE or MERGE changes.
fn target(sql: &mut Sql) -> Option<&mut ObjectName> {
    let table = match sql {
        Sql::Update(update) => &mut update.table.relation,
        Sql::Delete(delete) => match &mut delete.from {
            FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from) => &mut from.first_mut()?.relation,
        },
        Sql::Merge(merge) => &mut merge.table,
        _ => return None,
    };
    match table {
        TableFactor::Table { name, .. } => Some(name),
        _ => None,
    }
}

fn idents(name: &ObjectName) -> Vec<&Ident> {
    name.0.iter().filter_map(ObjectNamePart::as_ident).collect()
}

/// Replaces the name of the table in the names of columns.
struct Qualified<'n> {
    from: Vec<&'n Ident>,
    to: &'n [Ident],
}

impl VisitorMut for Qualified<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let Some((column, table)) = parts.split_last()
            && !table.is_empty()
            && self.from.ends_with(&table.iter().collect::<Vec<_>>())
        {
            *parts = self.to.iter().chain([column]).cloned().collect();
        }
        ControlFlow::Continue(())
    }
}
