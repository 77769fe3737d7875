//! Sessions whose statements run on a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, UInt64Array};
use async_trait::async_trait;
use ballista_core::extension::SessionStateExt;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, config_err, exec_err, internal_err};
use datafusion::datasource::DefaultTableSource;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{LogicalPlan, WriteOp};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::pipeline::Interrupt;
use datafusion_landfall::provider::remote::{OnCluster, RemoteRun, encode_table, start};
use futures::{TryStreamExt, stream};
use log::warn;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::error::of_landfall;

const PORT: u16 = 50050;

/// The scheduler has accepted a connection by then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A session whose statements run on the cluster of a scheduler, `df://host:50050`. It is
/// [registered](datafusion_landfall::register).
///
/// # Errors
/// If the URL is invalid, or the scheduler does not answer.
pub async fn connect(url: &str) -> Result<SessionContext> {
    let state = SessionStateBuilder::new().with_default_features().with_config(SessionConfig::new()).build();
    connect_with_state(url, state).await
}

/// Like [`connect`], with the configuration, the object stores and the functions of another session.
///
/// # Errors
/// As for [`connect`].
pub async fn connect_with_state(url: &str, state: SessionState) -> Result<SessionContext> {
    let address = Url::parse(url).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port().unwrap_or(PORT))));
    let Some((host, port)) = address else {
        return config_err!("'{url}' is not the URL of a scheduler: use df://host:{PORT}");
    };
    let reached = timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), port))).await;
    if let Err(error) = reached.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
        return exec_err!("the scheduler {host}:{port} does not answer: {error}");
    }
    let config = crate::client(state.config().clone());
    let state = SessionStateBuilder::new_from_existing(state).with_config(config).build();
    let state = state.upgrade_for_ballista(format!("http://{host}:{port}"))?;
    let planner = Arc::new(Planner { ballista: Arc::clone(state.query_planner()) });
    let state = SessionStateBuilder::new_from_existing(state).with_query_planner(planner).build();
    let context = SessionContext::new_with_state(state);
    context.state_ref().write().config_mut().set_extension(Arc::new(OnCluster));
    // Ballista has replaced the functions of the session.
    datafusion_landfall::register(&context);
    // The session may have been registered before.
    context.remove_optimizer_rule(datafusion_landfall::provider::COMPUTE_AGGREGATES);
    Ok(context)
}

/// Plans statements for a cluster, and remembers the run of those that write.
#[derive(Debug)]
struct Planner {
    ballista: Arc<dyn QueryPlanner + Send + Sync>,
}

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        // The database does it alone: there is nothing to distribute.
        if matches!(plan, LogicalPlan::Dml(statement) if statement.op == WriteOp::Truncate) {
            return DefaultPhysicalPlanner::default().create_physical_plan(plan, session).await;
        }
        check_tables(plan)?;
        let (plan, run) = start(plan.clone());
        let plan = self.ballista.create_physical_plan(&plan, session).await?;
        Ok(match run {
            Some(run) => Arc::new(StatementExec { plan, run: Arc::new(run) }),
            None => plan,
        })
    }
}

/// Refuses a table that other processes cannot use, before the plan is sent to them.
fn check_tables(plan: &LogicalPlan) -> Result<()> {
    let checked = plan.apply_with_subqueries(|node| {
        let source = match node {
            LogicalPlan::TableScan(scan) => &scan.source,
            LogicalPlan::Dml(statement) => &statement.target,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        if let Some(source) = source.downcast_ref::<DefaultTableSource>() {
            encode_table(source.table_provider.as_ref())?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    checked.map(drop)
}

/// A statement on a cluster. If its outcome does not arrive, its run is ended.
struct StatementExec {
    plan: Arc<dyn ExecutionPlan>,
    run: Arc<RemoteRun>,
}

impl fmt::Debug for StatementExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementExec").field("run", &self.run).finish_non_exhaustive()
    }
}

impl DisplayAs for StatementExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatementExec")
    }
}

impl ExecutionPlan for StatementExec {
    fn name(&self) -> &str {
        "StatementExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.plan]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([plan]) => Ok(Arc::new(Self { plan, run: Arc::clone(&self.run) })),
            Err(_) => internal_err!("StatementExec has one child"),
        }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.plan.schema();
        let mut running = Running(Some(Arc::clone(&self.run)));
        let interrupt = context.session_config().get_extension::<Interrupt>().unwrap_or_default();
        let rows = self.plan.execute(partition, context);
        let counted = async move {
            let counted = match rows {
                Ok(rows) => tokio::select! {
                    biased;
                    () = interrupt.asked() => Err(interrupted()),
                    rows = rows.try_collect::<Vec<_>>() => rows,
                },
                Err(error) => Err(error),
            };
            match (counted, running.0.take()) {
                (Ok(counted), Some(run)) => {
                    run.note_if_finished(&counted).await;
                    Ok(counted)
                }
                (Ok(counted), None) => Ok(counted),
                (Err(error), Some(run)) => run_ended(&run, of_landfall(error)).await,
                (Err(error), None) => Err(error),
            }
        };
        let batches = stream::once(counted).map_ok(|batches| stream::iter(batches.into_iter().map(Ok))).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

fn interrupted() -> DataFusionError {
    Error::new(ErrorKind::Interrupted, "interrupted: the statement was rolled back, and nothing was written").into()
}

/// Ends the run of a statement that failed. Returns the number of rows if it was committed although its outcome was lost.
async fn run_ended(run: &RemoteRun, error: DataFusionError) -> Result<Vec<RecordBatch>> {
    match run.end().await {
        Ok(None) => Err(error),
        Ok(Some(rows)) => {
            warn!("the statement was committed, although the cluster reported an error: {error}");
            Ok(vec![RecordBatch::try_from_iter([("count", Arc::new(UInt64Array::from(vec![rows])) as _)])?])
        }
        Err(why) => Err(error.context(format!(
            "the statement could not be rolled back ({why}): run it again if it has a job, or run landfall recover"
        ))),
    }
}

/// Ends the run if the statement is stopped before its outcome arrives.
struct Running(Option<Arc<RemoteRun>>);

impl Drop for Running {
    fn drop(&mut self) {
        if let (Some(run), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = run.end().await {
                    warn!("a cancelled statement could not be rolled back: {error}; run landfall recover");
                }
            });
        }
    }
}
