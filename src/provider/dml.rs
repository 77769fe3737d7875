//! DELETE, UPDATE and MERGE INTO, rewritten before the optimizer.
//!
//! DataFusion passes a table the conditions of the optimized plan. Some conditions are lost by then: a subquery has
//! become a join, a condition that is never true an empty relation, and a LIMIT is ignored. A DELETE of some rows would
//! delete all of them. So each statement is first rewritten to an INSERT of a query into a [`Changes`]. The query
//! returns the keys of the affected rows and their new values, and is planned like any other. Its physical plan
//! decides:
//!
//! * If it is only a scan of the table, the database evaluates the whole condition as DataFusion does, and the new
//!   values are constants, it becomes one statement of the database with the condition of the scan.
//! * If the rows are those of a subquery's keys, and the new values are constants, it becomes a join at the server, as for a
//!   MERGE: see [`semi_join`].
//! * Otherwise it is executed. Its rows are staged and applied by their keys, in one transaction that locks the rows
//!   before the query reads them.

use std::any::type_name;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult, TableReference, internal_err, plan_err};
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, TableType, WriteOp, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_plan::ExecutionPlan;

use crate::backend::{Change, Condition, Join, Operation, Repeats, RowChange, Staged, WriteSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::assign::Columns;
use crate::provider::checked::checked;
use crate::provider::expressions::rewrite_expressions;
use crate::provider::fingerprint::{Inserted, remembered};
use crate::provider::insert::DML_REWRITE;
use crate::provider::lists::spelled_out;
use crate::provider::merge::merge;
use crate::provider::operators::check_plan;
use crate::provider::planning::{Planning, boxed, planned};
use crate::provider::request::{Request, key_of, numbered};
use crate::provider::semi_join;
use crate::provider::subqueries::with_unknown;
use crate::provider::{FanoutTable, LandfallSink, LandfallTable};
use crate::txn::StatementId;

/// The analyzer rule that rewrites statements.
#[derive(Debug)]
pub(super) struct DmlRewrite;

impl DmlRewrite {
    pub(super) const NAME: &str = DML_REWRITE;
}

impl AnalyzerRule for DmlRewrite {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        let taken = plan.transform_up(|node| match &node {
            LogicalPlan::Dml(statement) if is_ours(statement) => {
                // The statement before the rewrite, which may change between versions.
                let remembered = remember(statement)?;
                let node = answerable(node)?;
                let LogicalPlan::Dml(statement) = &node else { return Ok(Transformed::yes(node)) };
                let taken = rewritten(statement, remembered)?;
                Ok(Transformed::yes(taken.unwrap_or(node)))
            }
            _ => Ok(Transformed::no(node)),
        });
        Ok(taken?.data)
    }
}

/// The hash of a statement that the table's job remembers.
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

/// A statement whose results are those of standard SQL. A wrong result of a SELECT can be seen, but deleted rows are
/// lost.
fn answerable(statement: LogicalPlan) -> DfResult<LogicalPlan> {
    check_plan(&statement)?;
    rewrite_expressions(with_unknown(statement)?, |expr, schema| {
        spelled_out(expr)?.transform_data(|expr| checked(expr, schema))
    })
}

/// The INSERT to which a statement is rewritten; `None` if it is an INSERT already, or does not write a Landfall table.
pub(super) fn rewritten(statement: &DmlStatement, remembered: Option<StatementId>) -> DfResult<Option<LogicalPlan>> {
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
    if let (Some(fanout), WriteOp::Delete | WriteOp::Update | WriteOp::MergeInto(_)) =
        (provider.downcast_ref::<FanoutTable>(), &statement.op)
    {
        let op = if matches!(&statement.op, WriteOp::MergeInto(_)) { "MERGE INTO" } else { statement.op.name() };
        return Err(fanout.is_changed_as_one(&op.to_uppercase()).into());
    }
    let Some(table) = source.table_provider.downcast_ref::<LandfallTable>() else { return Ok(None) };
    let doing = |verb: &str| format!("{verb} {}", table.table().name);
    if matches!(&statement.op, WriteOp::Delete | WriteOp::Update | WriteOp::MergeInto(_)) {
        let verb = match &statement.op {
            WriteOp::Delete => "DELETE",
            WriteOp::Update => "UPDATE",
            _ => "MERGE INTO",
        };
        check_changes(table, verb).map_err(|error| error.with_context(doing(verb)))?;
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

/// Refuses a table whose rows cannot be changed.
fn check_changes(table: &LandfallTable, verb: &'static str) -> Result<()> {
    if table.database.scan().is_none() {
        let location = table.location();
        let text = format!(
            "{location} does not support reading rows, so the rows of its tables cannot be changed: use INSERT INTO"
        );
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    let nothing = WriteSpec::new(&table.table().name, Arc::new(Schema::empty()));
    let operation = Operation::Delete(Condition::default());
    let any = Change { verb, staged: Vec::new(), operation, lock: None, done: Arc::default() };
    table.database.check_change(table.table(), &nothing, &any)
}

/// Refuses a statement in which a name means both its table and another one: DataFusion resolves `orders.id` to the
/// first of `db.main.orders` and `orders`.
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
                    "the table references {name} and {own} are ambiguous: give {name} an alias, as in {name} AS other"
                ),
                false => Ok(below),
            }
        })
        .map(drop)
}

/// A column of the target, with the name that the statement uses.
fn target_column(target: &TableReference, name: &str) -> Expr {
    Expr::Column(Column::new(Some(target.clone()), name))
}

fn delete(table: &LandfallTable, statement: &DmlStatement) -> DfResult<(Request, LogicalPlan)> {
    if let Some(target) = name_of_target(&statement.input)
        && table.database.joins_at_server()
        && let Some(planned) = semi_join::at_server(table.table(), "DELETE", &target, &statement.input, None)?
    {
        return Ok(planned);
    }
    let key = key_of(table.table());
    let columns: Vec<_> = key.iter().map(|name| target_column(&statement.table_name, name)).collect();
    // Rows are counted even if there is no column.
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
        return internal_err!("unexpected plan of an UPDATE: {}", statement.input.display());
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
    if table.database.joins_at_server()
        && let Some(planned) = semi_join::at_server(table.table(), "UPDATE", &target, &values.input, Some(&set))?
    {
        return Ok(planned);
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
        // A join could return a row twice, and PostgreSQL's inheriting tables have separate keys.
        repeats: Repeats::Refused,
    };
    Ok((request, query))
}

/// The statement's name for its target, which is the first of its tables.
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

/// The target of the rows that a statement affects, and the operation.
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
            planned(internal_err!("{} cannot be read", type_name::<Self>()))
        }
    }

    boxed! {
        fn insert_into<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            query: Arc<dyn ExecutionPlan>,
            _: InsertOp,
        ) -> Planning {
            self.changed(session, query)
        }
    }
}

impl Changes {
    fn changed<'a>(&'a self, session: &'a dyn Session, query: Arc<dyn ExecutionPlan>) -> Planning<'a> {
        match self.table.downcast_ref::<LandfallTable>() {
            Some(table) => table.changed(session, &self.request, self.statement.clone(), query),
            None => planned(internal_err!("the target of a rewritten statement is not a LandfallTable")),
        }
    }

    pub(super) fn parts(&self) -> (&Arc<dyn TableProvider>, &Request, &StatementId) {
        (&self.table, &self.request, &self.statement)
    }

    /// The same statement with another instance of its table.
    pub(super) fn with_table(&self, table: Arc<dyn TableProvider>) -> Self {
        let Self { request, statement, schema, .. } = self;
        Self { table, request: request.clone(), statement: statement.clone(), schema: Arc::clone(schema) }
    }
}

impl LandfallTable {
    /// The plan of a statement that changes rows.
    pub(super) fn changed<'a>(
        &'a self,
        session: &'a dyn Session,
        request: &'a Request,
        statement: StatementId,
        query: Arc<dyn ExecutionPlan>,
    ) -> Planning<'a> {
        Box::pin(async move {
            let doing = |error: Error| error.with_context(format!("{} {}", request.verb, self.table().name));
            let planned = async {
                let (change, input) = request.plan(self, query)?;
                match self.run {
                    Some(run) => self.changed_distributed(session, input, change, statement, run).await,
                    None => self.change(change, statement, input).await,
                }
            };
            planned.await.map_err(|error| doing(error).into())
        })
    }

    /// Plans a change from the rows of an input.
    pub(super) async fn change(
        &self,
        change: Change,
        statement: StatementId,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let target = self.change_target(change, input.schema()).await?;
        let settings = crate::provider::settings::TxnSettings::try_new(self.options())?;
        LandfallSink::plan_change(input, settings.plan_commit(self.table().name.clone(), statement, vec![target])?)
    }

    /// A plan of the rows of a table that satisfy conditions, for DELETE and UPDATE from code.
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
                        "table {name} has no column \"{column}\", or the statement sets the column twice"
                    ))
                    .into());
                }
                rows = rows.project(values)?;
                WriteOp::Update
            }
        };
        let statement = DmlStatement::new(name, source, op, Arc::new(rows.build()?));
        match rewritten(&statement, remember(&statement)?)? {
            Some(plan) => Ok(plan),
            None => internal_err!("a statement was not rewritten"),
        }
    }
}
