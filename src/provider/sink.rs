//! Where `INSERT INTO` ends.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::Result as DfResult;
use datafusion::datasource::sink::DataSink;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{Count, Metric, MetricValue, MetricsSet, Time};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};
use futures::TryStreamExt;
use log::warn;

use crate::error::{Error, ErrorKind};
use crate::pipeline::{Interrupt, Landed, run};
use crate::sql::Database;
use crate::xa::{Existing, JobId, OnConflict, WriteSpec};

/// A [`DataSink`] that lands a stream in a table: all of it or nothing, and with a job once.
#[derive(Debug)]
pub struct LandfallSink {
    database: Arc<dyn Database>,
    spec: WriteSpec,
    schema: SchemaRef,
    job: Option<JobId>,
}

impl LandfallSink {
    pub(super) fn new(database: Arc<dyn Database>, spec: WriteSpec, job: Option<JobId>) -> Self {
        // Every column may bring NULL here: the branch refuses one with the row that it is in, DataFusion without.
        let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        let schema = Arc::new(Schema::new(spec.columns.fields().iter().map(nullable).collect::<Vec<_>>()));
        Self { database, spec, schema, job }
    }
}

impl DisplayAs for LandfallSink {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LandfallSink({}, table={}", self.database.location(), self.spec.table)?;
        if self.spec.existing != Existing::Keep {
            f.write_str(", overwrite")?;
        }
        if self.spec.on_conflict != OnConflict::Error {
            write!(f, ", on_conflict={} by ({})", self.spec.on_conflict.as_str(), self.spec.key.join(", "))?;
        }
        if let Some(job) = &self.job {
            write!(f, ", job={job}")?;
        }
        f.write_str(")")
    }
}

#[async_trait]
impl DataSink for LandfallSink {
    /// `rows` and `bytes` of values handed to the database; the times spent encoding, sending and committing them.
    fn metrics(&self) -> Option<MetricsSet> {
        let stats = &self.spec.stats;
        let count = |name: &'static str, value: u64| {
            let count = Count::new();
            count.add(usize::try_from(value).unwrap_or(usize::MAX));
            MetricValue::Count { name: Cow::Borrowed(name), count }
        };
        let time = |name: &'static str, value: Duration| {
            let time = Time::new();
            time.add_duration(value);
            MetricValue::Time { name: Cow::Borrowed(name), time }
        };
        let mut metrics = MetricsSet::new();
        for value in [
            count("rows", stats.rows()),
            count("bytes", stats.bytes()),
            time("encode_time", stats.encode_time()),
            time("send_time", stats.send_time()),
            time("commit_time", stats.commit_time()),
        ] {
            metrics.push(Arc::new(Metric::new(value, None)));
        }
        Some(metrics)
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(&self, data: SendableRecordBatchStream, context: &Arc<TaskContext>) -> DfResult<u64> {
        let interrupt = context.session_config().get_extension::<Interrupt>().unwrap_or_default();
        let input = data.map_err(|error| Error::new(ErrorKind::Input, "the query failed").with_source(error));
        let landed = run(self.database.as_ref(), &self.spec, self.job.as_ref(), input, &interrupt).await;
        let doing = |error: Error| error.with_context(format!("writing table {}", self.spec.table));
        match landed.map_err(doing)? {
            Landed::Rows(rows) => Ok(rows),
            Landed::Before(record) => {
                warn!(
                    "job '{}' is finished: its {} rows are in table {} already, nothing was written",
                    record.job, record.rows, self.spec.table
                );
                Ok(0)
            }
        }
    }
}
