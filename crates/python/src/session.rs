//! A session: databases and data that statements name.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{LogicalPlan, Statement as PlanOf};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion_landfall::statements::{Attach, Planned, Statement, parse, plan};
use futures::TryStreamExt;
use pyo3::prelude::*;

use crate::errors::{Failure, config};
use crate::outcome::WriteResult;
use crate::process::{Owned, Process};
use crate::result::{QueryResult, Rows};
use crate::source::Source;
use crate::statement::{Stop, Watch, Writer, Written};
use crate::wait::wait;
use crate::write::option;

/// A DataFusion session.
#[pyclass(frozen, module = "landfall._landfall")]
pub(crate) struct Session {
    context: Owned<SessionContext>,
}

/// What a statement did.
enum Ran {
    Written(Written),
    Read(Rows, SchemaRef),
}

#[pymethods]
impl Session {
    #[new]
    fn new() -> PyResult<Self> {
        let process = Process::current()?;
        Ok(Self { context: Owned::new(process, process.context(SessionConfig::new())) })
    }

    /// Registers the tables of a database.
    fn attach(&self, py: Python<'_>, url: String, name: String, options: Vec<(String, String)>) -> PyResult<()> {
        let context = self.context(py)?;
        let options = options.into_iter().map(|(name, value)| (option(&name), value)).collect();
        let attach = Attach { url, name: Some(name), options, if_not_exists: false };
        wait(py, self.context.process(), &Watch::new(None, None), async move {
            plan(&context, Statement::Attach(attach)).await?;
            Ok(())
        })
    }

    /// Registers data as a table. It replaces data of the same name.
    fn register(&self, py: Python<'_>, name: String, source: Source) -> PyResult<()> {
        let context = self.context(py)?;
        wait(py, self.context.process(), &Watch::new(None, None), async move {
            let table = source.open(&context, None).await?.table()?;
            let name = datafusion::common::TableReference::bare(name);
            context.deregister_table(name.clone())?;
            context.register_table(name, table)?;
            Ok(())
        })
    }

    /// Runs a statement.
    fn sql<'py>(
        &self,
        py: Python<'py>,
        text: String,
        progress: Option<Py<PyAny>>,
        stop: Option<Stop>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let context = self.context(py)?;
        let (watch, process) = (Watch::new(stop, progress), self.context.process());
        let (of_task, writer) = (context.clone(), watch.writer());
        let ran = wait(py, process, &watch, async move { run(&of_task, &text, writer).await })?;
        match ran {
            Ran::Written(written) => Ok(Bound::new(py, WriteResult::new(&written, false))?.into_any()),
            Ran::Read(rows, schema) => {
                Ok(Bound::new(py, QueryResult::new(Owned::new(process, context), rows, schema))?.into_any())
            }
        }
    }
}

impl Session {
    fn context(&self, py: Python<'_>) -> PyResult<SessionContext> {
        self.context.get().cloned().map_err(|failure| failure.into_exception(py))
    }
}

async fn run(context: &SessionContext, text: &str, writer: Writer) -> Result<Ran, Failure> {
    let mut statements = parse(text, &GenericDialect {})?;
    let count = statements.len();
    let (Some(statement), 1) = (statements.pop(), count) else {
        let found = if count == 0 { "no statement".to_owned() } else { format!("{count} statements") };
        return Err(config(format!(
            "sql() runs one statement, but the text contains {found}: call sql() once for each statement"
        )));
    };
    let mut plan = match plan(context, statement).await? {
        Planned::Plan(plan) => plan,
        Planned::Done(_) => return Ok(Ran::Read(Rows::Batches(Vec::new()), Arc::new(Schema::empty()))),
    };
    if matches!(&plan, LogicalPlan::Statement(PlanOf::Execute(_))) {
        // What it executes is known now.
        plan = context.execute_logical_plan(plan).await?.into_unoptimized_plan();
    }
    match plan {
        plan @ (LogicalPlan::Dml(_) | LogicalPlan::Copy(_)) => Ok(Ran::Written(writer.write(context, plan).await?)),
        LogicalPlan::Analyze(analyze) if matches!(*analyze.input, LogicalPlan::Dml(_)) => {
            let (_, stream) = writer.start(context, LogicalPlan::Analyze(analyze)).await?;
            done(stream).await
        }
        plan @ (LogicalPlan::Ddl(_) | LogicalPlan::Statement(_)) => {
            done(context.execute_logical_plan(plan).await?.execute_stream().await?).await
        }
        plan => {
            let schema = Arc::clone(plan.schema().inner());
            Ok(Ran::Read(Rows::Query(Box::new(plan)), schema))
        }
    }
}

/// The rows of a statement that ran.
async fn done(stream: SendableRecordBatchStream) -> Result<Ran, Failure> {
    let schema = stream.schema();
    let batches: Vec<RecordBatch> = stream.try_collect().await?;
    Ok(Ran::Read(Rows::Batches(batches), schema))
}
