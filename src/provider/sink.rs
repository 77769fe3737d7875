//! The sink of `INSERT INTO`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::Result as DfResult;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::metrics::{Count, Metric, MetricValue, MetricsSet, Time};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};
use log::warn;

use crate::backend::{Changed, Compared, Existing, Protocol, WriteStats};
use crate::buffer::Account;
use crate::error::{Error, ErrorKind, Result};
use crate::manager::TransactionManager;
use crate::options::{Checkpoints, Indexes, OnConflict};
use crate::pipeline::{Interrupt, RejectSpec, Target, Write, WriteOutcome, WriterCount, run};
use crate::provider::emptied::warn_of_jobs;
use crate::provider::replay::{Reading, ReplayExec, Source, sort_order};
use crate::provider::scan::reads;
use crate::provider::splits::Splits;
use crate::provider::transaction::OpenDatabases;
use crate::txn::StatementId;

/// A [`DataSink`] that writes a stream to one or several tables: all rows or none, with a job once, and with
/// checkpoints epoch by epoch.
#[derive(Debug)]
pub struct LandfallSink {
    write: Write,
    schema: SchemaRef,
    input: Source,
}

/// The default checkpoint interval of an unbounded stream.
const STREAM_INTERVAL: Duration = Duration::from_secs(10);

impl LandfallSink {
    /// Creates the plan of an INSERT over an input plan. It keeps the order of a sorted input, because the last row of
    /// a key wins.
    ///
    /// # Errors
    /// `Config` or `Unsupported` if the statement or its input does not support checkpoints.
    pub(super) fn plan(input: Arc<dyn ExecutionPlan>, mut write: Write) -> Result<Arc<dyn ExecutionPlan>> {
        let is_unbounded = input.boundedness().is_unbounded();
        if write.targets.iter().any(|target| target.spec.existing != Existing::Keep) {
            let what = match (is_unbounded, write.checkpoints.any()) {
                (true, _) => "its input is unbounded: use INSERT INTO",
                (false, true) => {
                    "the options 'checkpoint.…' divide a statement into several transactions: remove these options, or \
                     use INSERT INTO"
                }
                (false, false) => "",
            };
            if !what.is_empty() {
                return Err(Error::config(format!(
                    "INSERT OVERWRITE replaces all rows in one transaction, but {what}"
                )));
            }
        }
        if is_unbounded && !write.checkpoints.any() {
            write.checkpoints.interval = Some(STREAM_INTERVAL);
        }
        let resumes = write.checkpoints.any();
        if let Some(target) = write.targets.iter().find(|target| resumes && reads(&input, &target.resource.location()))
        {
            return Err(Error::config(format!(
                "the query reads from {}, to which the statement writes, so the query could see rows that the \
                 statement commits at checkpoints: remove the checkpoint options, so that the statement is one \
                 transaction",
                target.resource.location()
            )));
        }
        if resumes && write.job.is_some() {
            Splits::of(&input, sort_order(&input), true)?;
        } else if resumes && !is_unbounded {
            warn!(
                "table {}: if the statement fails after a checkpoint, the rows committed there stay in the table, and \
                 without the option 'job' the statement cannot be resumed after these rows",
                write.name
            );
        }
        // The last row of a key must not depend on which partition is read first.
        let at_once = |target: &Target| {
            let has_several = !matches!(target.writers, WriterCount::Exactly(1) | WriterCount::UpTo(1));
            has_several && target.spec.on_conflict == OnConflict::Error
        };
        let reading = Reading { at_once: write.targets.iter().all(at_once), resumes };
        let sink = Self::new(write);
        let input = ReplayExec::new(input, reading, sink.input.clone());
        let order = input.order().cloned().map(LexRequirement::from);
        Ok(Arc::new(DataSinkExec::new(Arc::new(input), Arc::new(sink), order)))
    }

    /// Creates the plan of a change of rows over an input plan. It is one transaction; the checkpoint options of the
    /// table do not apply.
    ///
    /// # Errors
    /// `Config` for an unbounded input.
    pub(super) fn plan_change(input: Arc<dyn ExecutionPlan>, mut write: Write) -> Result<Arc<dyn ExecutionPlan>> {
        if input.boundedness().is_unbounded() {
            return Err(Error::config(
                "the source is unbounded, but the statement is one transaction: use INSERT INTO",
            ));
        }
        write.checkpoints = Checkpoints::default();
        let sink = Self::new(write);
        let reading = Reading { at_once: false, resumes: false };
        let input = ReplayExec::new(input, reading, sink.input.clone());
        let order = input.order().cloned().map(LexRequirement::from);
        Ok(Arc::new(DataSinkExec::new(Arc::new(input), Arc::new(sink), order)))
    }

    /// The numbers of inserted, updated and deleted rows; `None` for an INSERT.
    pub fn changed(&self) -> Option<Changed> {
        let changes = self.write.targets.iter().filter_map(|target| target.change.as_ref());
        let sum = |sum: Changed, of: Changed| Changed {
            inserted: sum.inserted + of.inserted,
            updated: sum.updated + of.updated,
            deleted: sum.deleted + of.deleted,
            other: sum.other + of.other,
        };
        changes.map(|change| change.done.get()).reduce(sum)
    }

    /// The number of rows that its first table did not store: see [`WriteStats::not_stored`].
    pub fn not_stored(&self) -> u64 {
        self.write.targets.first().map_or(0, |target| target.spec.stats.not_stored())
    }

    /// The number of rows that were set aside: see [`WriteStats::rejected`].
    pub fn rejected(&self) -> u64 {
        self.write.targets.first().map_or(0, |target| target.spec.stats.rejected())
    }

    /// Whether it commits at checkpoints.
    pub fn has_checkpoints(&self) -> bool {
        self.write.checkpoints.any()
    }

    /// The numbers of keys that an upsert by difference inserted, updated and left unchanged.
    pub fn compared(&self) -> Compared {
        let mut sum = Compared::default();
        for found in self.write.targets.iter().map(|target| target.spec.stats.compared()) {
            sum.inserted += found.inserted;
            sum.updated += found.updated;
            sum.unchanged += found.unchanged;
            sum.superseded += found.superseded;
            sum.counts_again |= found.counts_again;
        }
        sum
    }

    fn new(write: Write) -> Self {
        // Every column is nullable here: the branch refuses NULL with the number of the row, DataFusion without it.
        let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        let columns = write.targets.iter().take(1).flat_map(|target| target.spec.columns.fields());
        let schema = Arc::new(Schema::new(columns.map(nullable).collect::<Vec<_>>()));
        Self { write, schema, input: Source::default() }
    }

    /// Drops tables that were created for this statement, which has failed.
    async fn drop_created(&self) {
        for Target { resource, spec, .. } in self.write.targets.iter().filter(|target| target.is_created) {
            match resource.drop_if_empty(&spec.table).await {
                Ok(true) => {}
                Ok(false) => {
                    warn!(
                        "table {} was created for this statement, which failed, but was not dropped, because it \
                         contains rows of other statements",
                        spec.table
                    )
                }
                Err(error) => {
                    warn!(
                        "table {} was created for this statement, which failed, but could not be dropped: {error}",
                        spec.table
                    )
                }
            }
        }
    }

    /// Says how many rows were rejected.
    fn tell_rejected(&self) {
        if let (Some(RejectSpec { table, .. }), rows @ 1..) = (&self.write.rejects, self.rejected()) {
            let were = if rows == 1 { "row was" } else { "rows were" };
            warn!("table {}: {rows} {were} set aside in table {table}", self.tables());
        }
    }

    /// The tables' names, for messages.
    fn tables(&self) -> String {
        self.write.targets.iter().map(|target| target.spec.table.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl DisplayAs for LandfallSink {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LandfallSink(")?;
        for (index, Target { resource, spec, change, writers, evolved, .. }) in self.write.targets.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}, table={}", resource.location(), spec.table)?;
            if let Some(change) = change {
                write!(f, ", {change}")?;
            }
            if spec.existing != Existing::Keep {
                f.write_str(", overwrite")?;
            }
            if spec.indexes != Indexes::Keep {
                write!(f, ", indexes={}", spec.indexes.as_str())?;
            }
            if spec.on_conflict != OnConflict::Error {
                write!(f, ", on_conflict={} by ({})", spec.on_conflict.as_str(), spec.key.join(", "))?;
            }
            if spec.on_conflict.updates() {
                write!(f, ", upsert={}", spec.upsert.as_str())?;
                if spec.diff_lock {
                    f.write_str(", diff.lock=true")?;
                }
            }
            if let Some(evolved) = evolved {
                write!(f, ", ddl=[{}]", evolved.statements().join("; "))?;
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
        let Checkpoints { rows, bytes, interval } = self.write.checkpoints;
        if let Some(rows) = rows {
            write!(f, ", checkpoint.rows={rows}")?;
        }
        if let Some(bytes) = bytes {
            write!(f, ", checkpoint.bytes={bytes}")?;
        }
        if let Some(interval) = interval {
            write!(f, ", checkpoint.interval={interval:?}")?;
        }
        if let Some(RejectSpec { limit, table }) = &self.write.rejects {
            write!(f, ", reject.max={limit}, reject.table={table}")?;
        }
        if self.write.protocol == Protocol::TwoPhase || self.write.targets.len() > 1 {
            write!(f, ", commit=two_phase, log={}", self.write.log.url())?;
        }
        f.write_str(")")?;
        for (index, target) in self.write.targets.iter().enumerate() {
            let of_table = if index > 0 { format!(" of {}", target.spec.table) } else { String::new() };
            if !target.assignments.schema().fields().is_empty() {
                write!(f, ", columns{of_table}=[{}]", target.assignments)?;
            }
        }
        Ok(())
    }
}

/// The memory of a write, in the pool of its session.
struct InPool(MemoryReservation);

impl Account for InPool {
    fn try_grow(&self, bytes: usize) -> Result<(), String> {
        self.0.try_grow(bytes).map_err(|error| error.to_string())
    }

    fn grow(&self, bytes: usize) {
        self.0.grow(bytes);
    }

    fn shrink(&self, bytes: usize) {
        self.0.shrink(bytes);
    }
}

#[async_trait]
impl DataSink for LandfallSink {
    /// * `rows` and `bytes`: sent to the database; `not_stored`: the rows of these that it did not store; `rejected`: rows
    ///   that were set aside;
    /// * `encode_time`, `send_time`, `commit_time`, `compare_time`: the time spent on each;
    /// * `inserted`, `updated`, `unchanged`: keys of an upsert by difference; `superseded`: rows that another row with
    ///   the same key replaced; `deleted`: rows of a DELETE or MERGE;
    /// * `epochs`: commits; `retries`: attempts after a failure; `resumed`: rows that earlier runs of the job had
    ///   written;
    /// * `peak_memory`: the maximum number of bytes of rows in memory.
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
        let (compared, changed) = (self.compared(), self.changed());
        let mut metrics = MetricsSet::new();
        let deleted = changed.map(|changed| count("deleted", changed.deleted));
        let changed = changed.unwrap_or_default();
        for value in [
            count("rows", sum(WriteStats::rows)),
            count("not_stored", sum(WriteStats::not_stored)),
            count("rejected", self.rejected()),
            count("bytes", sum(WriteStats::bytes)),
            count("inserted", compared.inserted + changed.inserted),
            count("updated", compared.updated + changed.updated),
            count("unchanged", compared.unchanged),
            count("superseded", compared.superseded),
            count("resumed", self.write.counts.resumed()),
            count("epochs", self.write.counts.epochs()),
            count("retries", self.write.counts.retries()),
            count("peak_memory", all().map(|stats| stats.memory().most() as u64).max().unwrap_or(0)),
            time("compare_time", total(WriteStats::compare_time)),
            time("encode_time", total(WriteStats::encode_time)),
            time("send_time", total(WriteStats::send_time)),
            time("commit_time", total(WriteStats::commit_time)),
        ]
        .into_iter()
        .chain(deleted)
        {
            metrics.push(Arc::new(Metric::new(value, None)));
        }
        Some(metrics)
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Writes the rows of the plan below it, and ignores the stream, which can be read only once.
    async fn write_all(&self, _: SendableRecordBatchStream, context: &Arc<TaskContext>) -> DfResult<u64> {
        let interrupt = context.session_config().get_extension::<Interrupt>().unwrap_or_default();
        let input = self.input.take().ok_or_else(|| Error::internal("the plan has no ReplayExec"))?;
        let manager = context.session_config().get_extension::<TransactionManager>().unwrap_or_default();
        for target in &self.write.targets {
            target.spec.stats.memory().count_with(|| {
                let consumer = MemoryConsumer::new(format!("landfall, table {}", target.spec.table));
                Box::new(InPool(consumer.register(context.memory_pool())))
            });
        }
        let open = context.session_config().get_extension::<OpenDatabases>();
        for target in self.write.targets.iter().filter(|_| open.is_none()) {
            if let Some(evolved) = &target.evolved {
                evolved.run(target.resource.as_ref(), &target.spec.table).await?;
            }
        }
        let is_transaction = open.is_some();
        let landed = match open {
            Some(open) => {
                let identity = context.session_config().get_extension::<StatementId>();
                open.write(&self.write, &input, &interrupt, identity).await.map(WriteOutcome::Rows)
            }
            None => run(&manager, &self.write, &input, &interrupt).await,
        };
        let verb = self.write.targets.iter().find_map(|target| target.change.as_ref()).map(|change| change.verb);
        let doing = |error: Error| match verb {
            Some(verb) => error.with_context(format!("{verb} {}", self.tables())),
            None => error.with_context(format!("writing table {}", self.tables())),
        };
        let landed = match landed {
            Err(error) if error.kind() != ErrorKind::InDoubt => {
                self.drop_created().await;
                for target in self.write.targets.iter().filter(|_| !is_transaction) {
                    target.evolved.iter().for_each(|evolved| evolved.stays(&target.spec.table));
                }
                Err(error)
            }
            landed => landed,
        };
        match landed.map_err(doing)? {
            WriteOutcome::Rows(rows) => {
                warn_of_jobs(&self.write).await;
                self.tell_rejected();
                let stored = rows.saturating_sub(self.not_stored() + self.rejected());
                Ok(self.changed().map_or(stored, |changed| changed.rows()))
            }
            WriteOutcome::AlreadyFinished(record) => {
                let (job, tables) = (&record.job, self.tables());
                match verb {
                    Some(verb) => {
                        warn!("job '{job}' is finished: its {verb} {tables} has already run; nothing was written");
                    }
                    None => {
                        let rejected = record.positions.rejected;
                        let rows = record.total().saturating_sub(rejected);
                        let set_aside = match rejected {
                            0 => String::new(),
                            _ => format!(", and {rejected} rows to the reject table"),
                        };
                        warn!(
                            "job '{job}' is finished: an earlier run has written {rows} rows to table \
                             {tables}{set_aside}; this time, nothing was written"
                        );
                    }
                }
                Ok(0)
            }
        }
    }
}
