//! How a statement that changes rows uses the rows of its query.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::scan::ScanExec;
use super::table::LandfallTable;
use crate::backend::{Change, Condition, Join, Operation, Repeats, RowChange, Staged, Table};
use crate::error::{Error, ErrorKind, Result};

/// How a statement uses the rows of its query.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// DELETE, UPDATE or MERGE.
    pub(super) verb: &'static str,
    /// The meaning of the columns of the query.
    pub(super) staged: Vec<Staged>,
    /// The actions for rows.
    pub(super) actions: Vec<RowChange>,
    pub(super) join: Join,
    pub(super) repeats: Repeats,
}

/// Names for the columns of the query.
pub(super) fn numbered(columns: impl IntoIterator<Item = Expr>) -> Vec<Expr> {
    columns.into_iter().enumerate().map(|(index, column)| column.alias(format!("landfall_{index}"))).collect()
}

/// The key that identifies rows: a key without NULL, if one exists.
pub(super) fn key_of(table: &Table) -> &[String] {
    let is_full = |key: &&Vec<String>| key.iter().all(|name| table.column(name).is_some_and(|column| !column.nullable));
    let primary = (!table.primary_key.is_empty()).then_some(&table.primary_key);
    table.keys().find(is_full).or(primary).map(Vec::as_slice).unwrap_or_default()
}

impl Request {
    /// Plans the change of a query, and the part of the query that is executed.
    pub(super) fn plan(
        &self,
        table: &LandfallTable,
        query: Arc<dyn ExecutionPlan>,
    ) -> Result<(Change, Arc<dyn ExecutionPlan>)> {
        let change = |staged: Vec<Staged>, operation, lock| Change {
            verb: self.verb,
            staged,
            operation,
            lock,
            done: Arc::default(),
        };
        let nothing = || Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
        if query.is::<EmptyExec>() {
            // A query without rows needs no key and no lock.
            let never = Condition { text: " WHERE 1 = 0".into(), parameters: Vec::new() };
            return Ok((change(Vec::new(), Operation::Delete(never), None), nothing()));
        }
        if let Some(condition) = whole_condition(&query, table) {
            match self.actions.as_slice() {
                [RowChange::Delete] if self.join == Join::InQuery => {
                    return Ok((change(Vec::new(), Operation::Delete(condition), None), nothing()));
                }
                [RowChange::Update(set)] if set.is_empty() && self.verb == "UPDATE" => {
                    return Ok((change(Vec::new(), Operation::Update(Vec::new(), condition), None), nothing()));
                }
                [RowChange::Update(set)] if self.join == Join::InQuery && self.verb == "UPDATE" => {
                    if let Some(values) = constants(&query, set.len())? {
                        let set: Vec<_> = set.iter().map(|(name, _)| name).zip(0..).collect();
                        let staged = set.iter().map(|(name, _)| Staged::Value((*name).clone())).collect();
                        let set = set.into_iter().map(|(name, index)| (name.clone(), index)).collect();
                        return Ok((change(staged, Operation::Update(set, condition), None), values));
                    }
                }
                _ => {}
            }
        }
        if !self.staged.iter().any(|staged| matches!(staged, Staged::Key(_)))
            && self.actions.iter().any(|action| !matches!(action, RowChange::Insert(_)))
        {
            return Err(no_key(table.table()));
        }
        let lock = match (self.join, scans_of(&query, &table.location()).as_slice()) {
            // The staged rows do not depend on existing rows.
            (Join::AtServer, []) => None,
            (Join::InQuery, [only]) if only.is_of(table.table(), &table.location()) => Some(only.condition()),
            // Another scan may read the same table under another name or through a view.
            _ => Some(Condition::default()),
        };
        let (actions, join, repeats) = (self.actions.clone(), self.join, self.repeats);
        Ok((change(self.staged.clone(), Operation::ByKey { actions, join, repeats }, lock), query))
    }
}

/// The error of a statement that cannot identify its rows.
pub(super) fn no_key(table: &Table) -> Error {
    let (has, create) = match table.unique_keys.first() {
        None => (table.has_no_key(), table.create_key()),
        Some(key) => {
            (format!("unique indexes only on columns that allow NULL ({})", key.join(", ")), "declare them NOT NULL")
        }
    };
    Error::new(
        ErrorKind::Schema,
        format!(
            "table {} has {has}, so the rows that the statement changes cannot be identified: {create}, or use only \
             conditions that compare columns with constants, and constants as new values",
            table.name
        ),
    )
}

/// The condition of a query that is nothing but the scan of a table, with all of its filters answered by the database.
fn whole_condition(query: &Arc<dyn ExecutionPlan>, table: &LandfallTable) -> Option<Condition> {
    if let Some(scan) = query.downcast_ref::<ScanExec>() {
        return (scan.is_of(table.table(), &table.location()) && !scan.is_limited()).then(|| scan.condition());
    }
    query.downcast_ref::<ProjectionExec>().and_then(|projection| whole_condition(projection.input(), table))
}

/// The scans of a query in a database.
fn scans_of<'p>(query: &'p Arc<dyn ExecutionPlan>, location: &str) -> Vec<&'p ScanExec> {
    let own = query.downcast_ref::<ScanExec>().filter(|scan| scan.location() == location);
    let others = query.children().into_iter().flat_map(|child| scans_of(child, location));
    own.into_iter().chain(others).collect()
}

/// The last columns of a query as a single row, if they are the same in all of its rows.
fn constants(query: &Arc<dyn ExecutionPlan>, count: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(projection) = query.downcast_ref::<ProjectionExec>() else { return Ok(None) };
    let columns = projection.expr();
    let last: Vec<ProjectionExpr> = columns[columns.len().saturating_sub(count)..].to_vec();
    if last.len() < count || !last.iter().all(|column| column.expr.is::<Literal>()) {
        return Ok(None);
    }
    let row = Arc::new(PlaceholderRowExec::new(Arc::new(Schema::empty())));
    let values = ProjectionExec::try_new(last, row).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Some(Arc::new(values)))
}

/// The change that deletes all rows.
pub(super) fn truncation() -> Change {
    let operation = Operation::Truncate;
    Change { verb: "TRUNCATE", staged: Vec::new(), operation, lock: None, done: Arc::default() }
}
