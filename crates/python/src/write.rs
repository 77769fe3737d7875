//! `landfall.write`.

use arrow::datatypes::Schema;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::load::{Load, Mode};
use datafusion_landfall::options::OPTIONS;
use datafusion_landfall::{ErrorKind, backend_options};
use pyo3::prelude::*;

use crate::errors::{Failure, config};
use crate::outcome::WriteResult;
use crate::process::Process;
use crate::source::Source;
use crate::statement::{Stop, Watch, Writer, Written};
use crate::wait::wait;

/// The name of the data in the query. It is part of what a job's record knows of its statement.
const DATA: &str = "data";

/// The columns that are written, and their names in the table.
type Columns = Vec<(String, String)>;

/// Writes data into a table.
#[pyfunction]
#[pyo3(signature = (source, url, table, mode, key, columns, batch_rows, options, progress, stop))]
#[expect(clippy::too_many_arguments, reason = "python/landfall/__init__.py names them")]
pub(crate) fn write(
    py: Python<'_>,
    source: Source,
    url: String,
    table: String,
    mode: &str,
    key: Vec<String>,
    columns: Option<Columns>,
    batch_rows: Option<usize>,
    options: Vec<(String, String)>,
    progress: Option<Py<PyAny>>,
    stop: Option<Stop>,
) -> PyResult<WriteResult> {
    let process = Process::current()?;
    let watch = Watch::new(stop, progress);
    let load = load(&source, url, table, mode, key, options).map_err(|failure| failure.into_exception(py))?;
    let (only_inserts, load) = load;
    let mut session = SessionConfig::new();
    if let Some(rows) = batch_rows {
        if rows == 0 {
            return Err(config("batch_rows must be 1 or more").into_exception(py));
        }
        session = session.with_batch_size(rows);
    }
    if !source.has_partitions() {
        // A checkpoint counts the rows of each partition, and another machine can have another number of cores.
        session = session.with_target_partitions(1);
    }
    let context = process.context(session);
    let writer = watch.writer();
    let run = async move { run(&context, source, load, columns, writer).await };
    let written = wait(py, process, &watch, run)?;
    Ok(WriteResult::new(&written, only_inserts))
}

async fn run(
    context: &SessionContext,
    source: Source,
    load: Load,
    columns: Option<Columns>,
    writer: Writer,
) -> Result<Written, Failure> {
    let load = load.connect().await?;
    let is_new = load.existing().is_none();
    let names = load.existing().map(|table| table.columns.iter().map(|column| column.name.clone()).collect());
    let data = source.open(context, names).await?;
    let nanoseconds = load.nanoseconds();
    let renames = columns.iter().flatten().any(|(column, name)| column != name);
    let typed = |schema: &Schema| match renames {
        // The names are not those of the table.
        true => data.table(),
        false => data.typed(schema, nanoseconds),
    };
    let first = match load.existing() {
        Some(table) => typed(&table.schema())?,
        None => data.sample()?,
    };
    context.register_table(DATA, first)?;
    let query = query(columns.as_deref());
    let plan = match data.are_texts() {
        true => load.plan_texts(context, &query).await?,
        false => load.plan(context, &query).await?,
    };
    let target = plan.target().await?;
    if is_new {
        context.deregister_table(DATA)?;
        context.register_table(DATA, typed(&target.schema())?)?;
    }
    let insert = target.insert(context).await?;
    writer.write(context, insert).await
}

/// The load, and whether each row that it writes is new.
fn load(
    source: &Source,
    url: String,
    table: String,
    mode: &str,
    key: Vec<String>,
    options: Vec<(String, String)>,
) -> Result<(bool, Load), Failure> {
    let mode: Mode = mode.parse()?;
    let mut load = Load::new(url, table).with_mode(mode).with_key(key);
    let options: Vec<_> = options.into_iter().map(|(name, value)| (option(&name), value)).collect();
    let has = |key: &str| options.iter().any(|(known, _)| known == key);
    if source.is_stream() {
        let checkpoint = options.iter().find(|(key, _)| key.starts_with("checkpoint."));
        if let (Some((key, _)), true) = (checkpoint, has("job")) {
            let why = format!(
                "a job with the option '{key}' reads its data again after a failure, but a stream can be read only \
                 once: remove the option, or pass a pyarrow.Table, a polars or pandas DataFrame, or files"
            );
            return Err(datafusion_landfall::Error::new(ErrorKind::Unsupported, why).into());
        }
        if options.iter().any(|(key, value)| key == "retry.max" && value != "0") {
            return Err(config(
                "a stream can be read only once, so writing it cannot be retried: remove the option 'retry.max', or \
                 pass a pyarrow.Table, a polars or pandas DataFrame, or files",
            ));
        }
        load = load.with_option("retry.max", "0");
    }
    let only_inserts = !has("on_conflict") && !matches!(mode, Mode::Update | Mode::ReplaceRows);
    for (key, value) in options.into_iter().filter(|(key, _)| !source.is_stream() || key != "retry.max") {
        load = load.with_option(key, value);
    }
    Ok((only_inserts, load))
}

/// The key of an option: a keyword of Python cannot have its dots.
pub(crate) fn option(name: &str) -> String {
    let own = backend_options();
    let own = own.iter().flat_map(|(_, options)| options.iter().map(|option| option.key));
    let keys = OPTIONS.iter().map(|option| option.key).chain(own).collect::<Vec<_>>();
    let is_it = |key: &&&str| **key == name || key.replace('.', "_") == name;
    keys.iter().find(is_it).map_or_else(|| name.to_owned(), |key| (*key).to_owned())
}

/// The query that reads the data.
fn query(columns: Option<&[(String, String)]>) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let Some(columns) = columns else { return format!("SELECT * FROM {DATA}") };
    let columns = columns.iter().map(|(column, name)| match column == name {
        true => quoted(column),
        false => format!("{} AS {}", quoted(column), quoted(name)),
    });
    format!("SELECT {} FROM {DATA}", columns.collect::<Vec<_>>().join(", "))
}
