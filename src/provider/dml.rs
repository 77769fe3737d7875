//! DELETE, UPDATE and MERGE INTO, taken over before the optimizer.
//!
//! DataFusion hands a table the conditions that it finds in the plan that the optimizer has made. Some are gone by then:
//! a subquery has become a join, a condition that is never true an empty relation, a LIMIT is not looked at; and a DELETE
//! of a few rows would be one of all of them. So each statement is made an INSERT of a query into a [`Changes`] before: the
//! query has the keys of the rows that are meant, and their new values, and is planned as any other. What it has come to
//! as a physical plan is what DataFusion asks:
//!
//! * it is the scan of the table alone, whose whole condition the database answers as DataFusion would, and the new values
//!   are constants: it becomes one statement of the database, with the condition of the scan;
//! * anything else: it is executed, and its rows are staged and applied by their keys, in one transaction that locks the
//!   rows before the query reads them.

use std::any::type_name;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult, TableReference, internal_err, not_impl_err, plan_err};
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, TableType, WriteOp, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use crate::error::{Error, ErrorKind, Result};
use crate::provider::assign::Columns;
use crate::provider::checked::checked;
use crate::provider::expressions::rewrite_expressions;
use crate::provider::fingerprint::{Inserted, remembered};
use crate::provider::lists::spelled_out;
use crate::provider::merge::merge;
use crate::provider::operators::check_plan;
use crate::provider::planning::{Planning, boxed, planned};
use crate::provider::scan::ScanExec;
use crate::provider::subqueries::with_unknown;
use crate::provider::{LandfallSink, LandfallTable};
use crate::sql::Table;
use crate::xa::{Change, Condition, Join, Operation, Repeats, RowChange, Staged, StatementId};

/// The rule that takes statements over, for the analyzer of a session.
#[derive(Debug)]
pub(super) struct TakeOver;

impl TakeOver {
    pub(super) const NAME: &str = "landfall_dml";
}

impl AnalyzerRule for TakeOver {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        let taken = plan.transform_up(|node| match &node {
            LogicalPlan::Dml(statement) if is_ours(statement) => {
                // As it was before it is rewritten: how that is done may change.
                let remembered = remember(statement)?;
                let node = answerable(node)?;
                let LogicalPlan::Dml(statement) = &node else { return Ok(Transformed::yes(node)) };
                let taken = taken_over(statement, remembered)?;
                Ok(Transformed::yes(taken.unwrap_or(node)))
            }
            _ => Ok(Transformed::no(node)),
        });
        Ok(taken?.data)
    }
}

/// What the job of a statement's table is to remember of it.
fn remember(statement: &DmlStatement) -> DfResult<Option<StatementId>> {
    match statement.target.downcast_ref::<DefaultTableSource>() {
        Some(source) => remembered(statement, source.table_provider.as_ref()),
        None => Ok(None),
    }
}

fn is_ours(statement: &DmlStatement) -> bool {
    let source = statement.target.downcast_ref::<DefaultTableSource>();
    source.is_some_and(|source| {
        source.table_provider.is::<Changes>() || Columns::of(source.table_provider.as_ref()).is_some()
    })
}

/// A statement of which DataFusion gives the answers that SQL has. What it has wrong in a SELECT can be looked at, and rows
/// that are gone cannot.
fn answerable(statement: LogicalPlan) -> DfResult<LogicalPlan> {
    check_plan(&statement)?;
    rewrite_expressions(with_unknown(statement)?, |expr, schema| {
        spelled_out(expr)?.transform_data(|expr| checked(expr, schema))
    })
}

/// Whether statements of a session are taken over.
pub(super) fn is_taken_over(session: &dyn Session) -> bool {
    let state = session.as_any().downcast_ref::<datafusion::execution::SessionState>();
    state.is_some_and(|state| state.analyzer().rules.iter().any(|rule| rule.name() == TakeOver::NAME))
}

/// The INSERT that a statement becomes; `None` where it is one already, or not of a table of ours.
pub(super) fn taken_over(statement: &DmlStatement, remembered: Option<StatementId>) -> DfResult<Option<LogicalPlan>> {
    let Some(source) = statement.target.downcast_ref::<DefaultTableSource>() else { return Ok(None) };
    let provider = source.table_provider.as_ref();
    if let WriteOp::Insert(_) = &statement.op {
        let query = Columns::of(provider).map(|columns| columns.insert(statement)).transpose()?.flatten();
        if query.is_none() && remembered.is_none() {
            return Ok(None);
        }
        let target = match remembered {
            Some(remembered) => Inserted::source(Arc::clone(&source.table_provider), remembered),
            None => Arc::clone(&statement.target),
        };
        let query = query.map_or_else(|| Arc::clone(&statement.input), Arc::new);
        let insert = DmlStatement::new(statement.table_name.clone(), target, statement.op.clone(), query);
        return Ok(Some(LogicalPlan::Dml(insert)));
    }
    let Some(table) = source.table_provider.downcast_ref::<LandfallTable>() else { return Ok(None) };
    let doing = |verb: &str| format!("{verb} {}", table.table().name);
    if matches!(statement.op, WriteOp::Delete | WriteOp::Update | WriteOp::MergeInto(_)) {
        check_names(statement)?;
    }
    let (request, query) = match &statement.op {
        WriteOp::Delete => delete(table, statement)?,
        WriteOp::Update => update(table, statement).map_err(|error| error.context(doing("UPDATE")))?,
        WriteOp::MergeInto(merging) => {
            merge(table, statement, merging).map_err(|error| error.context(doing("MERGE INTO")))?
        }
        _ => return Ok(None),
    };
    let schema = Arc::clone(query.schema().inner());
    let statement_id = remembered.unwrap_or_else(|| StatementId::of_operation(request.verb));
    let changes = Changes { table: Arc::clone(&source.table_provider), request, statement: statement_id, schema };
    let target = provider_as_source(Arc::new(changes));
    let insert = WriteOp::Insert(InsertOp::Append);
    Ok(Some(LogicalPlan::Dml(DmlStatement::new(statement.table_name.clone(), target, insert, Arc::new(query)))))
}

/// Refuses a statement in which a name means both its table and another: DataFusion takes `orders.id` for a column of
/// whichever of `db.main.orders` and `orders` comes first.
fn check_names(statement: &DmlStatement) -> DfResult<()> {
    let own = &statement.table_name;
    let is_alike = |name: &TableReference| name != own && name.resolved_eq(own);
    statement
        .input
        .apply_with_subqueries(|node| {
            let (name, below) = match node {
                LogicalPlan::TableScan(scan) => (&scan.table_name, TreeNodeRecursion::Continue),
                LogicalPlan::SubqueryAlias(alias) if matches!(&*alias.input, LogicalPlan::TableScan(_)) => {
                    (&alias.alias, TreeNodeRecursion::Jump)
                }
                LogicalPlan::SubqueryAlias(alias) => (&alias.alias, TreeNodeRecursion::Continue),
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            match is_alike(name) {
                true => plan_err!(
                    "{name} and {own} are two tables of one name: give {name} an alias, as in {name} AS other"
                ),
                false => Ok(below),
            }
        })
        .map(drop)
}

/// The change that leaves no row.
pub(super) fn truncation() -> Change {
    let operation = Operation::Truncate;
    Change { verb: "TRUNCATE", staged: Vec::new(), operation, lock: None, done: Arc::default() }
}

/// What a statement wants to be done with the rows of its query.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// DELETE, UPDATE or MERGE.
    pub(super) verb: &'static str,
    /// What the columns of the query are.
    pub(super) staged: Vec<Staged>,
    /// What is done with a row.
    pub(super) actions: Vec<RowChange>,
    pub(super) join: Join,
    pub(super) repeats: Repeats,
}

/// Names for the columns of the query.
pub(super) fn numbered(columns: impl IntoIterator<Item = Expr>) -> Vec<Expr> {
    columns.into_iter().enumerate().map(|(index, column)| column.alias(format!("landfall_{index}"))).collect()
}

/// The key that rows are found by: one without NULL, where there is one.
pub(super) fn key_of(table: &Table) -> &[String] {
    let keys = || std::iter::once(&table.primary_key).chain(&table.unique_keys).filter(|key| !key.is_empty());
    let is_full = |key: &&Vec<String>| key.iter().all(|name| table.column(name).is_some_and(|column| !column.nullable));
    let primary = (!table.primary_key.is_empty()).then_some(&table.primary_key);
    keys().find(is_full).or(primary).map(Vec::as_slice).unwrap_or_default()
}

/// A column of the target, under the name that the statement gives it.
fn target_column(target: &TableReference, name: &str) -> Expr {
    Expr::Column(Column::new(Some(target.clone()), name))
}

fn delete(table: &LandfallTable, statement: &DmlStatement) -> DfResult<(Request, LogicalPlan)> {
    let key = key_of(table.table());
    let columns: Vec<_> = key.iter().map(|name| target_column(&statement.table_name, name)).collect();
    // Of no column, rows are still counted.
    let columns = if columns.is_empty() { vec![lit(true)] } else { columns };
    let query = LogicalPlanBuilder::from(statement.input.as_ref().clone()).project(numbered(columns))?.build()?;
    let request = Request {
        verb: "DELETE",
        staged: key.iter().cloned().map(Staged::Key).collect(),
        actions: vec![RowChange::Delete],
        join: Join::InQuery,
        repeats: Repeats::Never,
    };
    Ok((request, query))
}

fn update(table: &LandfallTable, statement: &DmlStatement) -> DfResult<(Request, LogicalPlan)> {
    let LogicalPlan::Projection(values) = statement.input.as_ref() else {
        return internal_err!("the plan of an UPDATE is {}", statement.input.display());
    };
    let Some(target) = name_of_target(&values.input) else {
        return internal_err!("the plan of an UPDATE does not begin with its table");
    };
    let columns = Columns::of_table(table);
    let mut set = Vec::new();
    for value in &values.expr {
        let Expr::Alias(alias) = value else { return internal_err!("an UPDATE sets {value} to no column") };
        // A column that keeps its value.
        if matches!(&*alias.expr, Expr::Column(column) if column.relation.as_ref() == Some(&target) && column.name == alias.name)
        {
            continue;
        }
        let value = columns.uncast(&alias.name, alias.expr.as_ref().clone(), values.input.schema())?;
        set.push((alias.name.clone(), value));
    }
    if set.is_empty() {
        return not_impl_err!("it sets columns to themselves only: name a new value");
    }
    let key = key_of(table.table());
    let keys = key.iter().map(|name| target_column(&target, name));
    let columns = numbered(keys.chain(set.iter().map(|(_, value)| value.clone())));
    let query = LogicalPlanBuilder::from(values.input.as_ref().clone()).project(columns)?.build()?;
    let staged = key.iter().cloned().map(Staged::Key).chain(set.iter().map(|(name, _)| Staged::Value(name.clone())));
    let assignments = set.iter().zip(key.len()..).map(|((name, _), index)| (name.clone(), index)).collect();
    let request = Request {
        verb: "UPDATE",
        staged: staged.collect(),
        actions: vec![RowChange::Update(assignments)],
        join: Join::InQuery,
        // Another table could bring a row twice; and PostgreSQL's tables that inherit have keys of their own.
        repeats: Repeats::Refused,
    };
    Ok((request, query))
}

/// What a statement calls its target, which is the first of its tables.
fn name_of_target(plan: &LogicalPlan) -> Option<TableReference> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => Some(alias.alias.clone()),
        LogicalPlan::TableScan(scan) => Some(scan.table_name.clone()),
        LogicalPlan::Join(join) => name_of_target(&join.left),
        LogicalPlan::Filter(filter) => name_of_target(&filter.input),
        LogicalPlan::Limit(limit) => name_of_target(&limit.input),
        _ => None,
    }
}

/// What takes the rows that a statement means, and what is to be done with them.
#[derive(Debug)]
pub(super) struct Changes {
    table: Arc<dyn TableProvider>,
    request: Request,
    statement: StatementId,
    schema: SchemaRef,
}

impl TableProvider for Changes {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    boxed! {
        fn scan<'life0, 'life1, 'life2, 'life3>(
            &'life0 self,
            _: &'life1 dyn Session,
            _: Option<&'life2 Vec<usize>>,
            _: &'life3 [Expr],
            _: Option<usize>,
        ) -> Planning {
            planned(internal_err!("{} is not read", type_name::<Self>()))
        }
    }

    boxed! {
        fn insert_into<'life0, 'life1>(
            &'life0 self,
            _: &'life1 dyn Session,
            query: Arc<dyn ExecutionPlan>,
            _: InsertOp,
        ) -> Planning {
            self.changed(query)
        }
    }
}

impl Changes {
    fn changed(&self, query: Arc<dyn ExecutionPlan>) -> Planning<'_> {
        Box::pin(async move {
            let Some(table) = self.table.downcast_ref::<LandfallTable>() else {
                return internal_err!("a table was taken over that is not of Landfall");
            };
            let doing = |error: Error| error.with_context(format!("{} {}", self.request.verb, table.table().name));
            let planned = async {
                let (change, input) = self.request.plan(table, query)?;
                table.change(change, self.statement.clone(), input).await
            };
            planned.await.map_err(|error| doing(error).into())
        })
    }
}

impl Request {
    /// What is done with a query, and what of it is read.
    fn plan(&self, table: &LandfallTable, query: Arc<dyn ExecutionPlan>) -> Result<(Change, Arc<dyn ExecutionPlan>)> {
        let change = |staged: Vec<Staged>, operation, lock| Change {
            verb: self.verb,
            staged,
            operation,
            lock,
            done: Arc::default(),
        };
        let nothing = || Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
        if query.is::<EmptyExec>() {
            // What has no rows needs no key, and locks nobody out.
            let never = Condition { text: " WHERE 1 = 0".into(), parameters: Vec::new() };
            return Ok((change(Vec::new(), Operation::Delete(never), None), nothing()));
        }
        if let Some(condition) = whole_condition(&query, table.table()) {
            match self.actions.as_slice() {
                [RowChange::Delete] if self.join == Join::InQuery => {
                    return Ok((change(Vec::new(), Operation::Delete(condition), None), nothing()));
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
            // What is staged does not depend on what is there.
            (Join::AtServer, []) => None,
            (Join::InQuery, [only]) if only.is_of(table.table()) => Some(only.condition()),
            // What else it reads there may be the table once more, by another name or through a view.
            _ => Some(Condition::default()),
        };
        let (actions, join, repeats) = (self.actions.clone(), self.join, self.repeats);
        Ok((change(self.staged.clone(), Operation::ByKey { actions, join, repeats }, lock), query))
    }
}

/// The error of a statement that cannot find its rows again.
pub(super) fn no_key(table: &Table) -> Error {
    let (has, create) = match table.unique_keys.first() {
        None => ("neither a primary key nor a unique index".to_owned(), "create one"),
        Some(key) => {
            (format!("no unique index but on columns that take NULL ({})", key.join(", ")), "declare them NOT NULL")
        }
    };
    Error::new(
        ErrorKind::Schema,
        format!(
            "table {} has {has}, by which the rows that the statement means could be found again: {create}, or use a \
             condition of comparisons with constants, and constant values",
            table.name
        ),
    )
}

/// The condition of a query that is nothing but the scan of a table, with all of its filters answered by the database.
fn whole_condition(query: &Arc<dyn ExecutionPlan>, table: &Arc<Table>) -> Option<Condition> {
    if let Some(scan) = query.downcast_ref::<ScanExec>() {
        return (scan.is_of(table) && !scan.is_limited()).then(|| scan.condition());
    }
    query.downcast_ref::<ProjectionExec>().and_then(|projection| whole_condition(projection.input(), table))
}

/// What a query scans in a database.
fn scans_of<'p>(query: &'p Arc<dyn ExecutionPlan>, location: &str) -> Vec<&'p ScanExec> {
    let own = query.downcast_ref::<ScanExec>().filter(|scan| scan.location() == location);
    let others = query.children().into_iter().flat_map(|child| scans_of(child, location));
    own.into_iter().chain(others).collect()
}

/// The last columns of a query as a row of their own, where they are the same in all of its rows.
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

impl LandfallTable {
    /// Makes a change of the rows that an input brings.
    pub(super) async fn change(
        &self,
        change: Change,
        statement: StatementId,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let target = self.change_target(change, input.schema()).await?;
        let wishes = crate::provider::agreement::Wishes::try_new(self.options())?;
        LandfallSink::plan_change(input, wishes.agree(self.table().name.clone(), statement, vec![target])?)
    }

    /// The rows of a table that conditions leave, as a plan; for DELETE and UPDATE from code.
    pub(super) fn changed_where(
        self,
        session: &dyn Session,
        set: Option<Vec<(String, Expr)>>,
        filters: Vec<Expr>,
    ) -> Planning<'_> {
        match self.change_where(set, filters) {
            Ok(plan) => Box::pin(async move { session.create_physical_plan(&plan).await }),
            Err(error) => planned(Err(error)),
        }
    }

    fn change_where(self, set: Option<Vec<(String, Expr)>>, filters: Vec<Expr>) -> DfResult<LogicalPlan> {
        let name = TableReference::bare(self.table().name.clone());
        let schema = self.schema();
        let source = provider_as_source(Arc::new(self));
        let mut rows = LogicalPlanBuilder::scan(name.clone(), Arc::clone(&source), None)?;
        for filter in filters {
            rows = rows.filter(filter)?;
        }
        let op = match set {
            None => WriteOp::Delete,
            Some(mut set) => {
                let value = |field: &Arc<arrow::datatypes::Field>| {
                    let at = set.iter().position(|(column, _)| column == field.name());
                    let value = at.map(|at| set.swap_remove(at).1);
                    value.unwrap_or_else(|| target_column(&name, field.name())).alias(field.name())
                };
                let values: Vec<_> = schema.fields().iter().map(value).collect();
                if let Some((column, _)) = set.first() {
                    return Err(Error::schema(format!(
                        "table {name} has no column \"{column}\", or the statement sets it twice"
                    ))
                    .into());
                }
                rows = rows.project(values)?;
                WriteOp::Update
            }
        };
        let statement = DmlStatement::new(name, source, op, Arc::new(rows.build()?));
        match taken_over(&statement, remember(&statement)?)? {
            Some(plan) => Ok(plan),
            None => internal_err!("a statement was not taken over"),
        }
    }
}
