//! Statements that change the members of a FANOUT table, one after the other in one transaction.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef, UInt64Type};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult, TableReference, internal_err, not_impl_err};
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, EmptyRelation, Expr, LogicalPlan, TableType, WriteOp};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;

use crate::error::Error;
use crate::manager::TransactionManager;
use crate::provider::counted::{count_schema, counted, properties};
use crate::provider::fingerprint::{in_transaction, merging_expressions};
use crate::provider::planning::{Planning, boxed, planned};
use crate::provider::transaction::{Beginning, Known, OpenDatabases};
use crate::provider::{FanoutTable, LandfallTable};
use crate::txn::StatementId;

/// A statement of one member.
#[derive(Debug, Clone)]
struct OfMember {
    /// The member's name.
    name: String,
    plan: LogicalPlan,
    identity: Arc<StatementId>,
}

/// The target of a statement that changes all members.
#[derive(Debug)]
pub(super) struct AllMembers {
    beginning: Beginning,
    statements: Vec<OfMember>,
}

/// The plan of a statement that changes all members: these are the statements of the members, with their names.
pub(crate) fn change_members(
    table: &FanoutTable,
    name: &TableReference,
    statements: Vec<(String, LogicalPlan)>,
) -> DfResult<LogicalPlan> {
    for (name, plan) in &statements {
        check_same(table, name, plan)?;
    }
    let of_member = |(name, plan): (String, LogicalPlan)| match &plan {
        LogicalPlan::Dml(statement) => Ok(OfMember { name, identity: Arc::new(in_transaction(statement)?), plan }),
        _ => Err(Error::internal("the statement of a member does not write").into()),
    };
    let statements = statements.into_iter().map(of_member).collect::<DfResult<Vec<_>>>()?;
    let target = provider_as_source(Arc::new(AllMembers { beginning: table.beginning(), statements }));
    let nothing = EmptyRelation { produce_one_row: false, schema: Arc::new(DFSchema::empty()) };
    let insert = WriteOp::Insert(InsertOp::Append);
    let input = Arc::new(LogicalPlan::EmptyRelation(nothing));
    Ok(LogicalPlan::Dml(DmlStatement::new(name.clone(), target, insert, input)))
}

/// Refuses a statement that could change the members in different ways: its query runs once for each of them.
fn check_same(fanout: &FanoutTable, member: &str, plan: &LogicalPlan) -> DfResult<()> {
    let refused =
        |why: String| Err(Error::config(format!("{why}: run the statement on each member separately")).into());
    let check_expr = |expr: &Expr| match expr.is_volatile() {
        true => refused(format!(
            "{expr} could have a different value for each member of the FANOUT table {}",
            fanout.name()
        )),
        false => Ok(TreeNodeRecursion::Continue),
    };
    plan.apply_with_subqueries(|node| {
        let source = match node {
            LogicalPlan::TableScan(scan) => scan.source.downcast_ref::<DefaultTableSource>(),
            LogicalPlan::Limit(limit) if !is_sorted(&limit.input) => {
                return refused(
                    "LIMIT without ORDER BY could select different rows for each member of the FANOUT table".into(),
                );
            }
            LogicalPlan::Dml(statement) => {
                if let WriteOp::MergeInto(merging) = &statement.op {
                    for expr in merging_expressions(merging) {
                        check_expr(expr)?;
                    }
                }
                None
            }
            _ => None,
        };
        if let Some(read) = source.and_then(|source| source.table_provider.downcast_ref::<LandfallTable>()) {
            let place = |table: &LandfallTable| (table.location(), table.table().name.clone());
            let others = fanout.members().iter().zip(fanout.tables()).filter(|((name, _), _)| name != member);
            if let Some(((other, _), _)) = others.into_iter().find(|(_, table)| place(table) == place(read)) {
                return refused(format!("the query reads {other}, which the statement also changes"));
            }
        }
        node.apply_expressions(check_expr)
    })
    .map(drop)
}

/// Whether the rows of a plan have an order.
fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_sorted(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_sorted(&alias.input),
        _ => false,
    }
}

impl TableProvider for AllMembers {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
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
            planned(not_impl_err!("a FANOUT table cannot be read"))
        }
    }

    boxed! {
        fn insert_into<'life0, 'life1>(
            &'life0 self,
            session: &'life1 dyn Session,
            _: Arc<dyn ExecutionPlan>,
            _: InsertOp,
        ) -> Planning {
            self.planned(session)
        }
    }
}

impl AllMembers {
    fn planned<'a>(&'a self, session: &'a dyn Session) -> Planning<'a> {
        Box::pin(async move {
            let mut children = Vec::new();
            for statement in &self.statements {
                let plan = session.create_physical_plan(&statement.plan).await;
                children.push(plan.map_err(|error| error.context(format!("member {}", statement.name)))?);
            }
            let statements = self.statements.iter().map(|of| (of.name.clone(), Arc::clone(&of.identity))).collect();
            Ok(Arc::new(TransactionExec::new(self.beginning.clone(), statements, children)) as _)
        })
    }
}

/// Runs its children one after the other, in the session's transaction or in one for all of them. Returns the sum of their
/// counts.
#[derive(Debug)]
struct TransactionExec {
    beginning: Beginning,
    /// The members, and their statements.
    members: Vec<(String, Arc<StatementId>)>,
    children: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl TransactionExec {
    fn new(
        beginning: Beginning,
        members: Vec<(String, Arc<StatementId>)>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Self {
        Self { beginning, members, children, properties: properties(count_schema(), 1) }
    }

    /// The tasks of the children, in a transaction.
    fn tasks(&self, open: &Arc<OpenDatabases>, context: &TaskContext) -> Vec<Task> {
        let task = |((name, identity), plan): (&(String, Arc<StatementId>), &Arc<dyn ExecutionPlan>)| {
            let config = context.session_config().clone();
            let config = config.with_extension(Arc::clone(open)).with_extension(Arc::clone(identity));
            let context = TaskContext::new(
                context.task_id(),
                context.session_id(),
                config,
                context.scalar_functions().clone(),
                context.higher_order_functions().clone(),
                context.aggregate_functions().clone(),
                context.window_functions().clone(),
                context.runtime_env(),
            );
            Task { member: name.clone(), plan: Arc::clone(plan), context: Arc::new(context) }
        };
        self.members.iter().zip(&self.children).map(task).collect()
    }
}

/// A child, and how it is executed.
struct Task {
    member: String,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
}

impl Task {
    /// Returns the number of rows.
    async fn run(self) -> DfResult<u64> {
        let Self { member, plan, context } = self;
        let in_member = |error: DataFusionError| error.context(format!("member {member}"));
        let batches: Vec<RecordBatch> =
            plan.execute(0, context).map_err(in_member)?.try_collect().await.map_err(in_member)?;
        let counts = batches.iter().filter_map(|batch| batch.columns().first()?.as_primitive_opt::<UInt64Type>());
        Ok(counts.map(|counts| counts.values().iter().sum::<u64>()).sum())
    }
}

/// Rolls back if the statement is stopped before its commit.
struct RollBackOnDrop(Option<Arc<OpenDatabases>>);

impl Drop for RollBackOnDrop {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            open.give_up();
        }
    }
}

impl DisplayAs for TransactionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "TransactionExec: members=[{}]", members.join(", "))
    }
}

impl ExecutionPlan for TransactionExec {
    fn name(&self) -> &str {
        "TransactionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.children.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children.len()]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        if children.len() != self.members.len() {
            return internal_err!("TransactionExec has {} children", self.members.len());
        }
        Ok(Arc::new(Self::new(self.beginning.clone(), self.members.clone(), children)))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("TransactionExec has only partition 0, not {partition}");
        }
        let config = context.session_config();
        let outer = config.get_extension::<OpenDatabases>();
        let manager = config.get_extension::<TransactionManager>().unwrap_or_default();
        let is_own = outer.is_none();
        let open = outer.unwrap_or_else(|| OpenDatabases::open(&manager, self.beginning.clone()));
        let tasks = self.tasks(&open, &context);
        let run = async move {
            let mut stopped = RollBackOnDrop(is_own.then(|| Arc::clone(&open)));
            let mut rows = 0;
            for task in tasks {
                rows += task.run().await?;
            }
            stopped.0 = None;
            if is_own {
                open.commit().await?;
            }
            Ok(rows)
        };
        Ok(counted(run))
    }
}

impl FanoutTable {
    /// How a transaction begins that changes the members one after the other.
    fn beginning(&self) -> Beginning {
        let locations: HashSet<_> = self.tables().map(|table| table.database.location()).collect();
        let (job, log) = self.decision();
        Beginning { known: Known::Locations(locations), isolation: None, job, log }
    }
}
