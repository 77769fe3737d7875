//! The rows of a query.

#![expect(clippy::disallowed_types, reason = "taken when a query failed")]

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arrow::array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::DefaultTableSource;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::{PyRecordBatchReader, PySchema};
use tokio::time::timeout;

use crate::errors::Failure;
use crate::gil::with_gil;
use crate::logs;
use crate::process::Owned;
use crate::statement::Watch;
use crate::wait::wait;

/// The rows that a representation shows.
const SHOWN: usize = 10;

/// How often signals are looked at.
const POLL: Duration = Duration::from_millis(50);

/// Where rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// A query, which runs each time that its rows are read.
    Query(Box<LogicalPlan>),
    /// A statement that ran.
    Batches(Vec<RecordBatch>),
}

/// The rows of a query. The query runs each time that the rows are read.
///
/// Every library that reads Arrow data accepts a result: `pyarrow.table(result)`, `polars.DataFrame(result)`.
#[pyclass(frozen, name = "Result", module = "landfall")]
pub(crate) struct QueryResult {
    context: Owned<SessionContext>,
    rows: Owned<Rows>,
    schema: SchemaRef,
    first: OnceLock<Vec<RecordBatch>>,
    failed: Failed,
}

impl QueryResult {
    pub(crate) fn new(context: Owned<SessionContext>, rows: Rows, schema: SchemaRef) -> Self {
        let rows = Owned::new(context.process(), rows);
        Self { context, rows, schema, first: OnceLock::new(), failed: Failed::default() }
    }

    fn reader(&self, py: Python<'_>, most: Option<usize>) -> PyResult<Box<dyn RecordBatchReader + Send>> {
        let process = self.context.process();
        let owned = self.rows.get().and_then(|rows| Ok((rows, self.context.get()?.clone())));
        let (rows, context) = owned.map_err(|failure| failure.into_exception(py))?;
        let plan = match rows {
            Rows::Batches(batches) => {
                let batches = batches.clone().into_iter().map(Ok);
                return Ok(Box::new(RecordBatchIterator::new(batches, Arc::clone(&self.schema))));
            }
            Rows::Query(plan) => plan.as_ref().clone(),
        };
        let stream = wait(py, process, &Watch::new(None, None), async move {
            let frame = context.execute_logical_plan(plan).await?;
            let frame = if most.is_some() { frame.limit(0, most)? } else { frame };
            Ok(frame.execute_stream().await?)
        })?;
        let (failed, schema) = (Arc::clone(&self.failed), stream.schema());
        Ok(Box::new(Reader { failed, schema, stream: Owned::new(process, Some(stream)) }))
    }

    /// The first rows, and one more than are shown where there are more. They are read once.
    ///
    /// # Errors
    /// What the query raises.
    fn first(&self, py: Python<'_>) -> PyResult<&[RecordBatch]> {
        if let Some(first) = self.first.get() {
            return Ok(first);
        }
        let read = self.reader(py, Some(SHOWN + 1))?.collect::<std::result::Result<Vec<_>, _>>();
        let read = read.map_err(|error| self.why(py, Failure::from(error).into_exception(py)))?;
        Ok(self.first.get_or_init(|| read))
    }

    /// The rows that are shown, and whether there are more; `None` for a stream, which must not be read to be shown.
    fn shown(&self, py: Python<'_>) -> PyResult<Option<(Vec<RecordBatch>, bool)>> {
        if matches!(self.rows.get(), Ok(Rows::Query(plan)) if reads_stream(plan)) {
            return Ok(None);
        }
        let (mut shown, mut left) = (Vec::new(), SHOWN);
        let first = self.first(py)?;
        for batch in first {
            let rows = batch.num_rows().min(left);
            shown.push(batch.slice(0, rows));
            left -= rows;
        }
        let rows: usize = first.iter().map(RecordBatch::num_rows).sum();
        Ok(Some((shown, rows > SHOWN)))
    }

    /// What a signal handler raises, or the error of the query, in the place of what a consumer says of it.
    fn why(&self, py: Python<'_>, raised: PyErr) -> PyErr {
        let failure = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Err(signal) = py.check_signals() {
            return signal;
        }
        failure.map_or(raised, |failure| failure.into_exception(py))
    }

    /// What a library makes of the rows.
    fn read_by<'py>(slf: &Bound<'py, Self>, module: &str, function: &str) -> PyResult<Bound<'py, PyAny>> {
        let read = slf.py().import(module)?.call_method1(function, (slf,));
        read.map_err(|raised| slf.get().why(slf.py(), raised))
    }

    fn names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }
}

#[pymethods]
impl QueryResult {
    /// The names of the columns.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.names()
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Bound::new(py, PySchema::new(Arc::clone(&self.schema)))?.call_method0("__arrow_c_schema__")
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let reader = PyRecordBatchReader::new(self.reader(py, None)?);
        Bound::new(py, reader)?.call_method1("__arrow_c_stream__", (requested_schema,))
    }

    /// The rows as a pyarrow.Table.
    fn to_arrow<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::read_by(&slf, "pyarrow", "table")
    }

    /// The rows as a pandas.DataFrame. This method requires pyarrow.
    fn to_pandas<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::to_arrow(slf)?.call_method0("to_pandas")
    }

    /// The rows as a polars.DataFrame.
    fn to_polars<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::read_by(&slf, "polars", "DataFrame")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        if self.schema.fields().is_empty() {
            return Ok("Result without columns".to_owned());
        }
        let Some((shown, has_more)) = self.shown(py)? else {
            return Ok(format!("Result({}) of a stream that has not been read yet", self.names().join(", ")));
        };
        let empty = [RecordBatch::new_empty(Arc::clone(&self.schema))];
        let table = pretty_format_batches(if shown.is_empty() { &empty } else { &shown });
        let table = table.map_err(|error| Failure::from(error).into_exception(py))?;
        Ok(format!("{table}{}", if has_more { "\nand more rows" } else { "" }))
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let Some((shown, has_more)) = self.shown(py)? else {
            return Ok(format!("<p>{}</p>", escaped(&self.__repr__(py)?)));
        };
        let names = self.names().iter().map(|name| format!("<th>{}</th>", escaped(name))).collect::<String>();
        let mut html = format!("<table><thead><tr>{names}</tr></thead><tbody>");
        let rows = shown.iter().try_for_each(|batch| {
            let options = FormatOptions::default().with_null("NULL");
            let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
            let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                html += "<tr>";
                for column in &columns {
                    html += &format!("<td>{}</td>", escaped(&column.value(row).try_to_string()?));
                }
                html += "</tr>";
            }
            Ok::<_, ArrowError>(())
        });
        rows.map_err(|error| Failure::from(error).into_exception(py))?;
        Ok(html + "</tbody></table>" + if has_more { "<p>and more rows</p>" } else { "" })
    }
}

/// Whether a query reads a stream, which can be read once.
fn reads_stream(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(TreeNodeRecursion::Continue) };
        let source = scan.source.downcast_ref::<DefaultTableSource>();
        found |= source.is_some_and(|source| source.table_provider.is::<StreamingTable>());
        Ok(TreeNodeRecursion::Continue)
    });
    found || visited.is_err()
}

/// Why reading failed. A consumer gets the text of an error only: an exception must not be touched without the GIL.
type Failed = Arc<Mutex<Option<Failure>>>;

/// Reads the batches of a query on the thread that asks for them.
struct Reader {
    failed: Failed,
    schema: SchemaRef,
    stream: Owned<Option<SendableRecordBatchStream>>,
}

impl Iterator for Reader {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    /// A consumer can hold the GIL or not. Here it is held to look at signals, and released while the query runs, which may
    /// read a stream of Python on another thread.
    fn next(&mut self) -> Option<Self::Item> {
        let process = self.stream.process();
        let stream = match self.stream.get_mut() {
            Ok(stream) => stream,
            Err(failure) => return Some(Err(ArrowError::ExternalError(failure.text().into()))),
        };
        let rows = stream.as_mut()?;
        let next = with_gil(|py| {
            loop {
                let next = py.detach(|| process.runtime.block_on(async { timeout(POLL, rows.next()).await }));
                logs::deliver(py);
                match next {
                    Ok(Some(Ok(batch))) => return Some(Ok(batch)),
                    Ok(Some(Err(error))) => {
                        let failure = Failure::from(error);
                        let text = failure.text();
                        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                        return Some(Err(ArrowError::ExternalError(text.into())));
                    }
                    Ok(None) => return None,
                    Err(_) => {}
                }
                if py.check_signals().is_err() {
                    // The consumer reports an error of its own; the signal is raised when it has returned to Python.
                    if let Ok(thread) = py.import("_thread") {
                        let _ = thread.call_method0("interrupt_main");
                    }
                    return Some(Err(ArrowError::ExternalError("interrupted".into())));
                }
            }
        });
        if !matches!(next, Some(Ok(_))) {
            *stream = None;
        }
        next
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
