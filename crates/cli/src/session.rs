//! A DataFusion session that runs statements one after the other.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::datasource::sink::DataSinkExec;
#[cfg(feature = "ballista")]
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement as Plan};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use futures::StreamExt;
use tokio::time::MissedTickBehavior;

use crate::arguments::Format;
use crate::files::{Reading, with_files_by_name};
use crate::message::Failure;
use crate::output::{Output, Printer, status, written};
use crate::progress::Progress;
use crate::signal::StopSignal;
use crate::target::TargetArguments;
use datafusion_landfall::backend::{Changed, Compared};
use datafusion_landfall::pipeline::Interrupt;
use datafusion_landfall::provider::{LandfallSink, identified, register};
use datafusion_landfall::sql::without_passwords;
use datafusion_landfall::statements::{Attach, Planned, Statement, TransactionStatement, parse, plan};
use datafusion_landfall::{Transaction, begin_with};

/// The session of one run of the program.
pub(crate) struct Session {
    context: SessionContext,
    format: Format,
    /// Whether the counts of a write are printed as JSON.
    counts_as_json: bool,
    stopped: bool,
    /// The files that a write reads, if it loads files.
    reading: Reading,
    /// Whether a statement since BEGIN has changed the session or a file, which would be changed twice if it were run again.
    has_side_effects: bool,
    /// The transaction that BEGIN began.
    transaction: Option<Transaction>,
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new().with_information_schema(true);
    // Without a session time zone, DataFusion treats TIMESTAMP WITH TIME ZONE as TIMESTAMP.
    config.options_mut().execution.time_zone = Some("+00:00".into());
    config
}

/// A transaction of a script that is a job, which is run again after a transient failure.
struct JobInScript {
    /// The number of its BEGIN.
    begin: usize,
    /// The pauses before the next attempts, the last one first.
    pauses: Vec<Duration>,
}

impl JobInScript {
    /// The job to which a statement belongs.
    fn of(statement: &Statement, number: usize, before: Option<Self>) -> Option<Self> {
        match (statement, before) {
            (_, Some(job)) if job.begin == number => Some(job),
            (Statement::Transaction(TransactionStatement::Begin(options)), _) => {
                let pauses = [800, 400, 200].map(Duration::from_millis).to_vec();
                options.job.is_some().then_some(Self { begin: number, pauses })
            }
            (_, before) => before,
        }
    }
}

/// The execution of a planned statement: what it has done already, its kind, and how the rest is done.
type Execution = (Option<String>, Kind, TaskContext, Arc<dyn ExecutionPlan>);

impl Session {
    pub(crate) fn new(format: Format) -> Self {
        let context = SessionContext::new_with_config(config());
        register(&context);
        Self::with_context(context, format)
    }

    /// A session whose statements run on the cluster of a scheduler.
    #[cfg(feature = "ballista")]
    pub(crate) async fn on_cluster(scheduler: &str, format: Format) -> Result<Self, Failure> {
        let state = SessionStateBuilder::new().with_default_features().with_config(config()).build();
        let context = datafusion_landfall_ballista::connect_with_state(scheduler, state).await?;
        Ok(Self::with_context(context, format))
    }

    #[cfg(not(feature = "ballista"))]
    pub(crate) async fn on_cluster(_: &str, _: Format) -> Result<Self, Failure> {
        let text = "this program is built without Ballista: build it with cargo install --locked --path crates/cli --features ballista";
        Err(Failure::new(text))
    }

    fn with_context(context: SessionContext, format: Format) -> Self {
        // A file name can be used in place of a table name.
        Self {
            context: with_files_by_name(context),
            format,
            counts_as_json: false,
            stopped: false,
            reading: Reading::default(),
            has_side_effects: false,
            transaction: None,
        }
    }

    /// A session for one write.
    pub(crate) fn of(target: &TargetArguments) -> Self {
        Self { counts_as_json: target.json, ..Self::new(Format::Table) }
    }

    /// Shows how much of these files has been read.
    pub(crate) fn shows(&mut self, reading: Reading) {
        self.reading = reading;
    }

    /// Says what is done, to people.
    pub(crate) fn status(&self, text: &str) -> Result<(), Failure> {
        status(if self.counts_as_json { Format::Json } else { self.format }, text)
    }

    /// DataFusion's own session.
    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Whether the user stopped a write, whose committed rows stay. Its input may wait forever.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Runs statements. All of them are parsed before the first one runs, and the first error ends the script. The first
    /// lines can be `\attach name url`.
    pub(crate) async fn run_script(&mut self, mut script: &str) -> Result<(), Failure> {
        loop {
            script = script.trim_start();
            let (line, more) = script.split_once('\n').unwrap_or((script, ""));
            match line.strip_prefix("\\attach") {
                Some(words) => self.attach(words).await?,
                None if line.starts_with("--") => {}
                None => break,
            }
            script = more;
        }
        let dialect = self.context.state().config_options().sql_parser.dialect;
        let dialect = dialect_from_str(dialect).ok_or_else(|| Failure::new("unknown SQL dialect"))?;
        let statements = parse(script, dialect.as_ref())?;
        let several = statements.len() > 1;
        self.stopped = false;
        // A signal between two statements, or during a commit that it could not stop, ends the script.
        let mut stop = StopSignal::listen()?;
        let (mut next, mut job) = (0, None);
        while let Some(statement) = statements.get(next) {
            job = JobInScript::of(statement, next, job);
            let ran = self.run(statement.clone()).await;
            if let (Err(failure), Some(job)) = (&ran, &mut job)
                && failure.is_transient()
                && !self.has_side_effects
                && let Some(pause) = job.pauses.pop()
            {
                if let Some(open) = self.transaction.take() {
                    open.rollback().await;
                }
                let why = failure.text().unwrap_or_default();
                eprintln!("note: {why}; the job runs again from its BEGIN in {pause:?}");
                tokio::time::sleep(pause).await;
                next = job.begin;
                continue;
            }
            let text = || shortened(&without_passwords(&statement.to_string()));
            ran.map_err(|failure| match several {
                true => failure.within(&format!("statement {} ({})", next + 1, text())),
                false => failure,
            })?;
            if self.stopped {
                break;
            }
            if stop.has_arrived().await {
                return Err(Failure::interrupted());
            }
            next += 1;
        }
        Ok(())
    }

    /// Registers the tables of a database: `name url`.
    async fn attach(&mut self, line: &str) -> Result<(), Failure> {
        let words: Vec<_> = line.trim().trim_end_matches(';').split_whitespace().collect();
        let [name, url] = words.as_slice() else {
            return Err(Failure::new("\\attach requires a name and a URL: \\attach pg postgres://me@host/my_database"));
        };
        let (name, url) = (Some((*name).to_owned()), (*url).to_owned());
        self.run(Statement::Attach(Attach { url, name, options: Vec::new(), if_not_exists: false })).await
    }

    /// Runs one statement.
    pub(crate) async fn run(&mut self, statement: Statement) -> Result<(), Failure> {
        if let Statement::Transaction(statement) = statement {
            return self.run_transaction(statement).await;
        }
        let context = self.current().clone();
        self.run_planned(async move { Ok(plan(&context, statement).await?) }).await
    }

    /// DataFusion's session of the open transaction, or of all statements.
    fn current(&self) -> &SessionContext {
        self.transaction.as_ref().map_or(&self.context, Transaction::context)
    }

    /// Begins or ends a transaction.
    async fn run_transaction(&mut self, statement: TransactionStatement) -> Result<(), Failure> {
        if let TransactionStatement::Begin(options) = statement {
            // Refused in the session of another transaction.
            self.transaction = Some(begin_with(self.current(), options).await?);
            self.has_side_effects = false;
            return self.status("transaction begun");
        }
        let Some(open) = &self.transaction else {
            return Err(Failure::new(format!("{statement}: no transaction is open; use BEGIN first")));
        };
        let done = match &statement {
            TransactionStatement::Savepoint(name) => open.savepoint(name).await.map(|()| "savepoint set"),
            TransactionStatement::RollbackTo(name) => {
                open.rollback_to(name).await.map(|()| "rolled back to the savepoint")
            }
            TransactionStatement::Release(name) => open.release(name).await.map(|()| "savepoint released"),
            _ => return self.end_transaction(statement == TransactionStatement::Commit).await,
        };
        self.status(done?)
    }

    async fn end_transaction(&mut self, commits: bool) -> Result<(), Failure> {
        match self.transaction.take() {
            Some(open) if commits => self.commit(open).await,
            Some(open) => {
                open.rollback().await;
                self.status("rolled back")
            }
            None => Ok(()),
        }
    }

    async fn commit(&mut self, open: Transaction) -> Result<(), Failure> {
        let began = Instant::now();
        let was_committed = open.is_finished();
        let mut stop = StopSignal::listen()?;
        let mut committing = std::pin::pin!(open.commit());
        let mut is_asked = false;
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => {
                    if is_asked {
                        std::process::exit(130);
                    }
                    is_asked = true;
                    eprintln!("the commit has begun; press Ctrl-C again to exit immediately (then run landfall status)");
                }
                committed = &mut committing => {
                    committed?;
                    if was_committed {
                        return self.status("an earlier run committed the job; nothing was written");
                    }
                    return self.status(&format!("committed in {:.3} s", began.elapsed().as_secs_f64()));
                }
            }
        }
    }

    /// Rolls back a transaction that the statements have not ended.
    pub(crate) async fn end(&mut self) -> Result<(), Failure> {
        let Some(open) = self.transaction.take() else { return Ok(()) };
        open.rollback().await;
        Err(Failure::new("the statements ended without COMMIT, so the transaction was rolled back"))
    }

    /// Runs the plan of a statement.
    pub(crate) async fn run_plan(&mut self, plan: LogicalPlan) -> Result<(), Failure> {
        self.run_planned(std::future::ready(Ok(Planned::Plan(plan)))).await
    }

    async fn run_planned(
        &mut self,
        plan: impl Future<Output = Result<Planned, Failure>> + Send + 'static,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        self.stopped = false;
        // One listener for the whole statement: a signal between two turns of a loop must not be lost.
        let mut stop = StopSignal::listen()?;
        // In a task, because the optimizer computes constants, which can take long.
        let context = self.current().clone();
        let mut planning = tokio::spawn(async move {
            match plan.await? {
                Planned::Plan(plan) => execution(&context, plan).await.map(Ok),
                Planned::Done(done) => Ok(Err(done)),
            }
        });
        let planned = tokio::select! {
            biased;
            () = stop.asked() => {
                planning.abort();
                return Err(Failure::interrupted());
            }
            planned = &mut planning => planned.map_err(|error| Failure::new(format!("planning failed: {error}")))??,
        };
        let execution = match planned {
            Ok(execution) => execution,
            Err(done) => {
                self.has_side_effects = true;
                return self.status(&done);
            }
        };
        let is_query = matches!(execution.1, Kind::Read | Kind::AnalyzedWrite) && execution.0.is_none();
        self.has_side_effects |= !is_query && sink(&execution.3).is_none();
        if let Some(done) = &execution.0 {
            return self.status(done);
        }
        let plan = Arc::clone(&execution.3);
        let (rows, printer) = self.execute(execution, &mut stop).await?;
        match printer {
            Some(printer) => printing(&mut stop, printer.output(), move || printer.finish()).await,
            None if self.counts_as_json => {
                let counts = as_json(&plan, rows, began.elapsed(), self.stopped);
                written(writeln!(io::stdout().lock(), "{counts}"))
            }
            None => self.status(&counted(&plan, rows, began.elapsed(), self.stopped)),
        }
    }

    /// Executes a plan: prints the rows of a query, and returns the count of a write.
    async fn execute(
        &mut self,
        (_, kind, task, plan): Execution,
        stop: &mut StopSignal,
    ) -> Result<(u64, Option<Printer>), Failure> {
        let interrupt = Interrupt::new();
        let config = task.session_config().clone().with_extension(Arc::new(interrupt.clone()));
        let mut stream = execute_stream(Arc::clone(&plan), Arc::new(task.with_session_config(config)))?;
        let mut progress = Progress::new(Arc::clone(&plan), self.reading.clone());
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut printer = match kind.answers_with_count() {
            true => None,
            false => Some(Printer::try_new(self.format, stream.schema())?),
        };
        let mut rows = 0;
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.asked() => {
                    self.interrupt(kind, &plan, &interrupt)?;
                    continue;
                }
                batch = stream.next() => batch,
                _ = ticks.tick(), if kind.answers_with_count() => {
                    progress.tick();
                    continue;
                }
            };
            match (batch.transpose()?, printer.take()) {
                (Some(batch), Some(mut layout)) => {
                    let output = layout.output();
                    let print = move || layout.print(&batch).map(|()| layout);
                    printer = Some(printing(stop, output, print).await?);
                }
                (Some(batch), None) => {
                    let counts = batch.columns().first().and_then(|column| column.as_primitive_opt::<UInt64Type>());
                    rows += counts.map_or(0, |counts| counts.values().iter().sum());
                }
                (None, printer) => return Ok((rows, printer)),
            }
        }
    }

    /// Stops a statement. A write is asked to roll back, and returns its outcome: if its commit has already begun, it
    /// succeeds. A second signal ends the process; the database then rolls back.
    fn interrupt(&mut self, kind: Kind, plan: &Arc<dyn ExecutionPlan>, interrupt: &Interrupt) -> Result<(), Failure> {
        if kind == Kind::Read || kind == Kind::Copy {
            return Err(Failure::interrupted());
        }
        if self.stopped {
            std::process::exit(130);
        }
        self.stopped = true;
        interrupt.stop();
        let what = match has_checkpoints(plan) {
            true => "the rows read so far are committed",
            false => "the statement is rolled back, unless its commit has begun",
        };
        eprintln!("stopping: {what}; press Ctrl-C again to exit immediately (then run landfall status)");
        Ok(())
    }
}

/// Plans the execution of a statement, and runs it if it is DDL.
async fn execution(context: &SessionContext, plan: LogicalPlan) -> Result<Execution, Failure> {
    let is_execute = matches!(&plan, LogicalPlan::Statement(Plan::Execute(_)));
    let done = if is_execute { None } else { ddl_done(&plan) };
    let kind = Kind::of(&plan);
    let frame = identified(context.execute_logical_plan(plan).await?)?;
    // The executed statement is known now.
    let kind = if is_execute { Kind::of(frame.logical_plan()) } else { kind };
    let task = frame.task_ctx();
    Ok((done, kind, task, frame.create_physical_plan().await?))
}

/// Prints on a thread, which ends early if the user stops it: the layout of a large table takes long, and a reader of the
/// output may not read.
async fn printing<T: Send + 'static>(
    stop: &mut StopSignal,
    output: Output,
    print: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let printed = tokio::task::spawn_blocking(print);
    tokio::select! {
        biased;
        () = stop.asked() => {
            output.stop();
            Err(Failure::interrupted())
        }
        printed = printed => {
            printed.map_err(|error| Failure::new(format!("could not print the rows: {error}")))?
        }
    }
}

/// The kind of a statement, which decides how it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    /// Writes files, which do not support an [`Interrupt`].
    Copy,
    Write,
    /// Reports on a write.
    AnalyzedWrite,
}

impl Kind {
    fn of(plan: &LogicalPlan) -> Self {
        match plan {
            LogicalPlan::Dml(_) => Self::Write,
            LogicalPlan::Copy(_) => Self::Copy,
            LogicalPlan::Analyze(analyze) if matches!(*analyze.input, LogicalPlan::Dml(_)) => Self::AnalyzedWrite,
            _ => Self::Read,
        }
    }

    fn answers_with_count(self) -> bool {
        matches!(self, Self::Write | Self::Copy)
    }
}

/// The node of a plan that writes.
fn sink(plan: &Arc<dyn ExecutionPlan>) -> Option<&LandfallSink> {
    let own = plan.downcast_ref::<DataSinkExec>().and_then(|exec| exec.sink().downcast_ref());
    own.or_else(|| plan.children().into_iter().find_map(sink))
}

/// What a statement changed, in all members of a FANOUT table.
fn changed(plan: &Arc<dyn ExecutionPlan>) -> Option<Changed> {
    let own = plan.downcast_ref::<DataSinkExec>().and_then(|exec| exec.sink().downcast_ref::<LandfallSink>());
    if let Some(sink) = own {
        return sink.changed();
    }
    plan.children().into_iter().filter_map(changed).reduce(|one, other| Changed {
        inserted: one.inserted + other.inserted,
        updated: one.updated + other.updated,
        deleted: one.deleted + other.deleted,
        other: one.other + other.other,
    })
}

/// Whether a plan is a write that commits at checkpoints.
fn has_checkpoints(plan: &Arc<dyn ExecutionPlan>) -> bool {
    sink(plan).is_some_and(LandfallSink::has_checkpoints)
}

/// The outcome of rows that were compared with existing ones.
fn found(rows: u64, compared: Compared) -> String {
    let Compared { inserted, updated, unchanged, superseded, counts_again } = compared;
    if compared.rows() == 0 {
        return String::new();
    }
    let at_most = if counts_again { "at most " } else { "" };
    let mut found = format!(" ({inserted} inserted, {at_most}{updated} updated, {at_most}{unchanged} unchanged");
    if superseded > 0 {
        found += &format!(", {superseded} replaced by a later row with the same key");
    }
    if compared.rows() < rows {
        found += &format!(", {} not compared", rows - compared.rows());
    }
    found + ")"
}

/// The outcome of rows that a statement changed.
fn became(changed: Changed) -> String {
    let Changed { inserted, updated, deleted, other } = changed;
    let parts =
        [(inserted, "inserted"), (updated, "updated"), (deleted, "deleted"), (other, "inserted, updated or deleted")];
    let parts = parts.into_iter().filter(|(rows, _)| *rows > 0).map(|(rows, how)| format!("{rows} {how}"));
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// The result of a statement that writes.
fn counted(plan: &Arc<dyn ExecutionPlan>, rows: u64, took: Duration, stopped: bool) -> String {
    let noun = if rows == 1 { "row" } else { "rows" };
    let how = if stopped && has_checkpoints(plan) { ", then stopped" } else { "" };
    let seconds = took.as_secs_f64();
    let (done, found) = match sink(plan).map(|sink| (changed(plan), sink.compared(), sink.not_stored())) {
        Some((Some(changed), ..)) => ("changed", became(changed)),
        Some((None, compared, _)) if compared.rows() > 0 => ("read", found(rows, compared)),
        Some((None, _, not_stored @ 1..)) => ("written", format!(" ({not_stored} not stored)")),
        _ => ("written", String::new()),
    };
    let set_aside = match sink(plan).map_or(0, |sink| sink.rejected()) {
        0 => String::new(),
        rejected => format!(", {rejected} set aside"),
    };
    format!("{rows} {noun} {done} in {seconds:.3} s{found}{set_aside}{how}")
}

/// The message for a statement that is complete when it is planned.
fn ddl_done(plan: &LogicalPlan) -> Option<String> {
    Some(match plan {
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(create)) => format!("table {} is registered", create.name),
        LogicalPlan::Ddl(DdlStatement::DropTable(drop)) => {
            format!("table {} is no longer registered; if it is stored in a database, it still exists there", drop.name)
        }
        LogicalPlan::Ddl(ddl) => format!("{} done", ddl.name()),
        LogicalPlan::Statement(statement) => format!("{} done", statement.name()),
        _ => return None,
    })
}

/// The counts of a write, for programs.
fn as_json(plan: &Arc<dyn ExecutionPlan>, rows: u64, took: Duration, stopped: bool) -> serde_json::Value {
    let mut counts = serde_json::json!({"rows": rows, "seconds": took.as_secs_f64(), "stopped": stopped});
    if let Some(sink) = sink(plan) {
        let Compared { inserted, updated, unchanged, .. } = sink.compared();
        if sink.compared().rows() > 0 {
            counts["inserted"] = inserted.into();
            counts["updated"] = updated.into();
            counts["unchanged"] = unchanged.into();
        }
        counts["not_stored"] = sink.not_stored().into();
        counts["rejected"] = sink.rejected().into();
    }
    counts
}

fn shortened(statement: &str) -> String {
    const MAX_CHARS: usize = 60;
    let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
