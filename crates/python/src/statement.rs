//! A statement that runs: what is known of it, and how it is stopped.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use datafusion_landfall::Interrupt;
use datafusion_landfall::provider::LandfallSink;
use futures::TryStreamExt;
use pyo3::prelude::*;

use crate::errors::Failure;

/// Stops a statement that another thread waits for.
#[pyclass(frozen, from_py_object, module = "landfall._landfall")]
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    interrupt: Interrupt,
    is_asked: Arc<AtomicBool>,
}

#[pymethods]
impl Stop {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Asks the statement to roll back.
    fn stop(&self) {
        self.is_asked.store(true, Relaxed);
        self.interrupt.stop();
    }
}

/// Whether another thread asked a statement to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Nothing,
    /// It writes, and is told to roll back.
    ToRollBack,
    /// It does not write yet, or only reads: nothing is to be rolled back.
    ToAbort,
}

/// What the waiting thread knows of a statement.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Stop,
    progress: Option<Py<PyAny>>,
    began: Instant,
    written: Arc<OnceLock<Arc<dyn ExecutionPlan>>>,
}

impl Watch {
    /// `progress` is called with the numbers of rows, of rows that earlier runs wrote, of commits, and of seconds.
    pub(crate) fn new(stop: Option<Stop>, progress: Option<Py<PyAny>>) -> Self {
        Self { stop: stop.unwrap_or_default(), progress, began: Instant::now(), written: Arc::default() }
    }

    /// What the task of the statement needs of it.
    pub(crate) fn writer(&self) -> Writer {
        Writer { interrupt: self.stop.interrupt.clone(), began: self.began, plan: Arc::clone(&self.written) }
    }

    /// Whether the statement writes.
    pub(crate) fn is_writing(&self) -> bool {
        self.written.get().is_some()
    }

    /// Asks the statement to roll back.
    pub(crate) fn stop(&self) {
        self.stop.interrupt.stop();
    }

    /// Whether another thread asked it to stop.
    pub(crate) fn ask(&self) -> Asked {
        match (self.stop.is_asked.load(Relaxed), self.is_writing()) {
            (false, _) => Asked::Nothing,
            (true, true) => Asked::ToRollBack,
            (true, false) => Asked::ToAbort,
        }
    }

    /// Calls the progress function.
    ///
    /// # Errors
    /// What it raises.
    pub(crate) fn report(&self, py: Python<'_>) -> PyResult<()> {
        let (Some(progress), Some(plan)) = (&self.progress, self.written.get()) else { return Ok(()) };
        let (rows, resumed, commits) = (counted(plan, "rows"), counted(plan, "resumed"), counted(plan, "epochs"));
        progress.call1(py, (rows, resumed, commits, self.began.elapsed().as_secs_f64())).map(drop)
    }
}

/// The task's part of a [`Watch`].
#[derive(Debug)]
pub(crate) struct Writer {
    interrupt: Interrupt,
    began: Instant,
    plan: Arc<OnceLock<Arc<dyn ExecutionPlan>>>,
}

/// A write that is done.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
}

impl Writer {
    /// Starts a statement that writes. From now on its interrupt stops it.
    pub(crate) async fn start(
        &self,
        context: &SessionContext,
        plan: LogicalPlan,
    ) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream), Failure> {
        let frame = context.execute_logical_plan(plan).await?;
        let task = frame.task_ctx();
        let plan = frame.create_physical_plan().await?;
        let config = task.session_config().clone().with_extension(Arc::new(self.interrupt.clone()));
        let stream = execute_stream(Arc::clone(&plan), Arc::new(task.with_session_config(config)))?;
        // What is not Landfall's knows nothing of an interrupt.
        if sink(&plan).is_some() {
            let _ = self.plan.set(Arc::clone(&plan));
        }
        Ok((plan, stream))
    }

    /// Runs a statement that writes and returns the number of rows.
    pub(crate) async fn write(self, context: &SessionContext, plan: LogicalPlan) -> Result<Written, Failure> {
        let (plan, mut stream) = self.start(context, plan).await?;
        let mut rows = 0;
        while let Some(batch) = stream.try_next().await? {
            let counts = batch.columns().first().and_then(|column| column.as_primitive_opt::<UInt64Type>());
            rows += counts.map_or(0, |counts| counts.values().iter().sum());
        }
        Ok(Written { plan, rows, seconds: self.began.elapsed().as_secs_f64() })
    }
}

/// The node that writes.
fn node(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    match plan.is::<DataSinkExec>() {
        true => Some(plan),
        false => plan.children().into_iter().find_map(node),
    }
}

/// A metric of a plan that writes.
pub(crate) fn counted(plan: &Arc<dyn ExecutionPlan>, name: &str) -> u64 {
    let metrics = node(plan).and_then(|node| node.metrics());
    metrics.and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |sum| sum.as_usize() as u64)
}

/// Landfall's sink in a plan that writes.
pub(crate) fn sink(plan: &Arc<dyn ExecutionPlan>) -> Option<&LandfallSink> {
    node(plan)?.downcast_ref::<DataSinkExec>()?.sink().downcast_ref()
}
