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
use crate::pipeline::{Interrupt, Landed, Target, Write, WriterCount, run};
use crate::xa::{Existing, OnConflict, Protocol, TransactionManager, WriteStats};

/// A [`DataSink`] that lands a stream in a table, or in several: all of it or nothing, and with a job once.
#[derive(Debug)]
pub struct LandfallSink {
    write: Write,
    schema: SchemaRef,
}

impl LandfallSink {
    pub(super) fn new(write: Write) -> Self {
        // Every column may bring NULL here: the branch refuses one with the row that it is in, DataFusion without.
        let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        let columns = write.targets.iter().take(1).flat_map(|target| target.spec.columns.fields());
        let schema = Arc::new(Schema::new(columns.map(nullable).collect::<Vec<_>>()));
        Self { write, schema }
    }

    /// The tables' names, for messages.
    fn tables(&self) -> String {
        self.write.targets.iter().map(|target| target.spec.table.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl DisplayAs for LandfallSink {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LandfallSink(")?;
        for (index, Target { resource, spec, writers, .. }) in self.write.targets.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}, table={}", resource.location(), spec.table)?;
            if spec.existing != Existing::Keep {
                f.write_str(", overwrite")?;
            }
            if spec.on_conflict != OnConflict::Error {
                write!(f, ", on_conflict={} by ({})", spec.on_conflict.as_str(), spec.key.join(", "))?;
            }
            match writers {
                WriterCount::Exactly(1) | WriterCount::UpTo(1) => {}
                WriterCount::Exactly(writers) => write!(f, ", writers={writers}")?,
                WriterCount::UpTo(writers) => write!(f, ", writers=1 to {writers}")?,
            }
        }
        if let Some(job) = &self.write.job {
            write!(f, ", job={job}")?;
        }
        if self.write.protocol == Protocol::TwoPhase || self.write.targets.len() > 1 {
            write!(f, ", commit=two_phase, log={}", self.write.log.url())?;
        }
        f.write_str(")")
    }
}

#[async_trait]
impl DataSink for LandfallSink {
    /// `rows` and `bytes` of values handed to the database; the times spent encoding, sending and committing them.
    fn metrics(&self) -> Option<MetricsSet> {
        let all = || self.write.targets.iter().map(|target| &target.spec.stats);
        let sum = |of: fn(&WriteStats) -> u64| all().map(|stats| of(stats)).sum();
        let total = |of: fn(&WriteStats) -> Duration| all().map(|stats| of(stats)).sum();
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
            count("rows", sum(WriteStats::rows)),
            count("bytes", sum(WriteStats::bytes)),
            time("encode_time", total(WriteStats::encode_time)),
            time("send_time", total(WriteStats::send_time)),
            time("commit_time", total(WriteStats::commit_time)),
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
        let manager = context.session_config().get_extension::<TransactionManager>().unwrap_or_default();
        let landed = run(&manager, &self.write, input, &interrupt).await;
        let doing = |error: Error| error.with_context(format!("writing table {}", self.tables()));
        match landed.map_err(doing)? {
            Landed::Rows(rows) => Ok(rows),
            Landed::Before(record) => {
                warn!(
                    "job '{}' is finished: its {} rows are in table {} already, nothing was written",
                    record.job,
                    record.rows,
                    self.tables()
                );
                Ok(0)
            }
        }
    }
}
