//! A DataFusion session that runs statements one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use futures::StreamExt;
use tokio::time::MissedTickBehavior;

use super::arguments::Format;
use super::message::Failure;
use super::output::{Printer, status};
use super::progress::Progress;
use crate::pipeline::Interrupt;
use crate::provider::register;

/// The session of one run of the program.
pub(super) struct Session {
    context: SessionContext,
    format: Format,
}

impl Session {
    pub(super) fn new(format: Format) -> Self {
        let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(true));
        register(&context);
        // A file's name can stand where a table's does.
        Self { context: context.enable_url_table(), format }
    }

    /// Runs statements; all of them are parsed before the first one runs, and the first error ends it.
    pub(super) async fn run_script(&mut self, script: &str) -> Result<(), Failure> {
        let dialect = self.context.state().config_options().sql_parser.dialect;
        let dialect = dialect_from_str(dialect).ok_or_else(|| Failure::new("the SQL dialect is not known"))?;
        let statements = DFParser::parse_sql_with_dialect(script, dialect.as_ref())?;
        let several = statements.len() > 1;
        for (index, statement) in statements.into_iter().enumerate() {
            let text = shortened(&statement.to_string());
            self.run(statement).await.map_err(|failure| match several {
                true => failure.within(&format!("statement {} ({text})", index + 1)),
                false => failure,
            })?;
        }
        Ok(())
    }

    async fn run(&mut self, statement: Statement) -> Result<(), Failure> {
        let began = Instant::now();
        let planned = async {
            let plan = self.context.state().statement_to_plan(statement).await?;
            let done = ddl_done(&plan);
            let is_write = matches!(plan, LogicalPlan::Dml(_) | LogicalPlan::Copy(_));
            let frame = self.context.execute_logical_plan(plan).await?;
            let task = frame.task_ctx();
            Ok::<_, Failure>((done, is_write, task, frame.create_physical_plan().await?))
        };
        let (done, is_write, task, plan) = tokio::select! {
            planned = planned => planned?,
            () = stop_signal() => return Err(Failure::interrupted()),
        };
        if let Some(done) = done {
            return status(self.format, &done);
        }
        let interrupt = Interrupt::new();
        let config = task.session_config().clone().with_extension(Arc::new(interrupt.clone()));
        let task = Arc::new(task.with_session_config(config));
        if is_write {
            let rows = write(plan, task, interrupt).await?;
            let noun = if rows == 1 { "row" } else { "rows" };
            return status(self.format, &format!("{rows} {noun} written in {:.3} s", began.elapsed().as_secs_f64()));
        }
        let mut stream = execute_stream(Arc::clone(&plan), task)?;
        if stream.schema().fields().is_empty() {
            while stream.next().await.transpose()?.is_some() {}
            return Ok(());
        }
        let mut printer = Printer::try_new(self.format, stream.schema())?;
        loop {
            let batch = tokio::select! {
                batch = stream.next() => batch,
                () = stop_signal() => {
                    interrupt.stop();
                    return Err(Failure::interrupted());
                }
            };
            match batch.transpose()? {
                Some(batch) => printer.print(&batch)?,
                None => return printer.finish(),
            }
        }
    }
}

/// Runs a write to its end. The first Ctrl-C asks it to roll back, and what it answers is the truth: when the commit
/// had begun already, it succeeds. The second one ends the process; the database then rolls back by itself.
async fn write(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<datafusion::execution::TaskContext>,
    interrupt: Interrupt,
) -> Result<u64, Failure> {
    let mut progress = Progress::new(Arc::clone(&plan));
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stream = execute_stream(plan, task)?;
    let mut asked = false;
    let mut rows = 0;
    loop {
        tokio::select! {
            batch = stream.next() => match batch.transpose()? {
                Some(batch) => {
                    let counts = batch.columns().first().and_then(|column| column.as_primitive_opt::<UInt64Type>());
                    rows += counts.map_or(0, |counts| counts.values().iter().sum());
                }
                None => return Ok(rows),
            },
            () = stop_signal() => {
                if asked {
                    std::process::exit(130);
                }
                asked = true;
                interrupt.stop();
                eprintln!("rolling back; Ctrl-C again to leave at once");
            }
            _ = ticks.tick() => progress.tick(),
        }
    }
}

/// Ctrl-C, or the signal that asks a service to end.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let terminated = async {
            match signal(SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// What to say of a statement that is done when it is planned.
fn ddl_done(plan: &LogicalPlan) -> Option<String> {
    Some(match plan {
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(create)) => format!("table {} is registered", create.name),
        LogicalPlan::Ddl(DdlStatement::DropTable(drop)) => {
            format!("table {} is no longer registered; the database still has it", drop.name)
        }
        LogicalPlan::Ddl(ddl) => format!("{} done", ddl.name()),
        LogicalPlan::Statement(statement) => format!("{} done", statement.name()),
        _ => return None,
    })
}

fn shortened(statement: &str) -> String {
    const MAX_CHARS: usize = 60;
    let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
