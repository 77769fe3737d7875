//! The metrics of writes and connection pools: their names, and handles to them.
//!
//! The metrics go through the facade crate [`metrics`](https://docs.rs/metrics). A process installs any recorder before it
//! registers tables. Without a recorder, the metrics cost nothing. The program serves them with
//! `landfall sql --metrics 127.0.0.1:9187`. The guide describes [operation](crate::guide::operations).

use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram, Unit};

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Its meaning, in a few words.
    pub meaning: &'static str,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that grows and shrinks.
    Gauge,
    /// A distribution of values.
    Histogram,
}

const TABLE: &[&str] = &["table"];
const PHASE: &[&str] = &["table", "phase"];
const DATABASE: &[&str] = &["database"];

const fn counter(name: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, labels, meaning }
}

const fn gauge(name: &'static str, unit: Unit, labels: &'static [&'static str], meaning: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels, meaning }
}

const fn seconds(name: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, unit: Unit::Seconds, labels, meaning }
}

const ROWS: Metric = counter("landfall_rows_total", TABLE, "rows sent to the database");
const BYTES: Metric =
    Metric { unit: Unit::Bytes, ..counter("landfall_bytes_total", TABLE, "bytes sent to the database, as encoded") };
const REJECTED: Metric = counter("landfall_rejected_rows_total", TABLE, "rows set aside because they cannot be stored");
const BATCHES: Metric = counter("landfall_batches_total", TABLE, "batches that writers received from the query");
const EPOCHS: Metric = counter("landfall_epochs_total", TABLE, "epochs started");
const COMMITS: Metric = counter("landfall_commits_total", TABLE, "epochs committed");
const ABORTS: Metric = counter("landfall_aborts_total", TABLE, "epochs rolled back");
const RETRIES: Metric = counter("landfall_retries_total", TABLE, "retries after a failure");
const IN_DOUBT: Metric = gauge(
    "landfall_in_doubt",
    Unit::Count,
    TABLE,
    "epochs whose outcome is unknown; an epoch of a job counts until this process runs the job again",
);
const PHASES: Metric = seconds("landfall_phase_seconds", PHASE, "how long each step in the phase took");
const EPOCH: Metric = seconds("landfall_epoch_seconds", TABLE, "time from an epoch's first row to its commit");
const MEMORY: Metric = gauge("landfall_memory_bytes", Unit::Bytes, TABLE, "bytes of rows in memory");
const MEMORY_LIMIT: Metric = gauge("landfall_memory_limit_bytes", Unit::Bytes, TABLE, "the option `memory.limit`");
const POOL_IDLE: Metric = gauge("landfall_pool_idle", Unit::Count, DATABASE, "idle connections");
const POOL_BUSY: Metric = gauge("landfall_pool_busy", Unit::Count, DATABASE, "connections in use");
const POOL_MAX: Metric = gauge("landfall_pool_max", Unit::Count, DATABASE, "the option `pool.max`");
const POOL_WAITS: Metric =
    counter("landfall_pool_waits_total", DATABASE, "how often a caller had to wait for a free connection");
const POOL_TIMEOUTS: Metric = counter(
    "landfall_pool_timeouts_total",
    DATABASE,
    "how often no connection became free within `pool.acquire_timeout`",
);
const POOL_OPENED: Metric = counter("landfall_pool_opened_total", DATABASE, "connections opened");
const POOL_ACQUIRE: Metric =
    seconds("landfall_pool_acquire_seconds", DATABASE, "how long callers waited for a connection");

/// All metrics, in the order of the table in the [guide](crate::guide::operations).
pub const METRICS: &[Metric] = &[
    ROWS,
    BYTES,
    REJECTED,
    BATCHES,
    EPOCHS,
    COMMITS,
    ABORTS,
    RETRIES,
    IN_DOUBT,
    PHASES,
    EPOCH,
    MEMORY,
    MEMORY_LIMIT,
    POOL_IDLE,
    POOL_BUSY,
    POOL_MAX,
    POOL_WAITS,
    POOL_TIMEOUTS,
    POOL_OPENED,
    POOL_ACQUIRE,
];

/// A step in which an epoch spends time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A batch waits for its writer.
    Buffer,
    /// A batch is compared with existing rows.
    Compare,
    /// Rows are encoded.
    Encode,
    /// Rows are sent, and the server processes them.
    Send,
    /// A branch prepares.
    Prepare,
    /// The log stores a decision.
    Decide,
    /// A branch commits.
    Commit,
}

impl Phase {
    /// Every phase, in the order in which a batch passes them.
    pub const ALL: [Self; 7] =
        [Self::Buffer, Self::Compare, Self::Encode, Self::Send, Self::Prepare, Self::Decide, Self::Commit];

    /// The value of the label `phase`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::Compare => "compare",
            Self::Encode => "encode",
            Self::Send => "send",
            Self::Prepare => "prepare",
            Self::Decide => "decide",
            Self::Commit => "commit",
        }
    }
}

/// Handles to the metrics of one table. The default handles record nothing.
#[derive(Debug)]
pub(crate) struct SinkMetrics {
    pub(crate) rows: Counter,
    pub(crate) bytes: Counter,
    pub(crate) rejected: Counter,
    pub(crate) batches: Counter,
    pub(crate) epochs: Counter,
    pub(crate) commits: Counter,
    pub(crate) aborts: Counter,
    pub(crate) retries: Counter,
    pub(crate) in_doubt: Gauge,
    pub(crate) epoch: Histogram,
    pub(crate) memory: Gauge,
    pub(crate) memory_limit: Gauge,
    phases: Phases,
}

/// Handles to the phase times of one table.
#[derive(Debug)]
pub(crate) struct Phases([Histogram; Phase::ALL.len()]);

impl Default for Phases {
    fn default() -> Self {
        Self(Phase::ALL.map(|_| Histogram::noop()))
    }
}

impl Phases {
    /// The handles of a table, or of several tables that are written together.
    pub(crate) fn of(table: &str) -> Self {
        Self(
            Phase::ALL.map(
                |phase| ::metrics::histogram!(PHASES.name, "table" => table.to_owned(), "phase" => phase.as_str()),
            ),
        )
    }

    pub(crate) fn spent(&self, phase: Phase, time: Duration) {
        self.0[phase as usize].record(time);
    }
}

impl Default for SinkMetrics {
    fn default() -> Self {
        Self {
            rows: Counter::noop(),
            bytes: Counter::noop(),
            rejected: Counter::noop(),
            batches: Counter::noop(),
            epochs: Counter::noop(),
            commits: Counter::noop(),
            aborts: Counter::noop(),
            retries: Counter::noop(),
            in_doubt: Gauge::noop(),
            epoch: Histogram::noop(),
            memory: Gauge::noop(),
            memory_limit: Gauge::noop(),
            phases: Phases::default(),
        }
    }
}

impl SinkMetrics {
    /// The handles of a table.
    pub(crate) fn of(table: &str) -> Self {
        let counter = |metric: Metric| ::metrics::counter!(metric.name, "table" => table.to_owned());
        let gauge = |metric: Metric| ::metrics::gauge!(metric.name, "table" => table.to_owned());
        Self {
            rows: counter(ROWS),
            bytes: counter(BYTES),
            rejected: counter(REJECTED),
            batches: counter(BATCHES),
            epochs: counter(EPOCHS),
            commits: counter(COMMITS),
            aborts: counter(ABORTS),
            retries: counter(RETRIES),
            in_doubt: gauge(IN_DOUBT),
            epoch: ::metrics::histogram!(EPOCH.name, "table" => table.to_owned()),
            memory: gauge(MEMORY),
            memory_limit: gauge(MEMORY_LIMIT),
            phases: Phases::of(table),
        }
    }

    pub(crate) fn spent(&self, phase: Phase, time: Duration) {
        self.phases.spent(phase, time);
    }
}

/// Handles to the metrics of one pool.
#[derive(Debug)]
pub(crate) struct PoolMetrics {
    pub(crate) idle: Gauge,
    pub(crate) busy: Gauge,
    pub(crate) max: Gauge,
    pub(crate) waits: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) opened: Counter,
    pub(crate) acquire: Histogram,
}

impl PoolMetrics {
    /// The handles of a database.
    pub(crate) fn of(database: &str) -> Self {
        let counter = |metric: Metric| ::metrics::counter!(metric.name, "database" => database.to_owned());
        let gauge = |metric: Metric| ::metrics::gauge!(metric.name, "database" => database.to_owned());
        Self {
            idle: gauge(POOL_IDLE),
            busy: gauge(POOL_BUSY),
            max: gauge(POOL_MAX),
            waits: counter(POOL_WAITS),
            timeouts: counter(POOL_TIMEOUTS),
            opened: counter(POOL_OPENED),
            acquire: ::metrics::histogram!(POOL_ACQUIRE.name, "database" => database.to_owned()),
        }
    }
}

/// Describes all metrics to the process's recorder.
pub fn describe() {
    for Metric { name, kind, unit, meaning, .. } in METRICS {
        match kind {
            Kind::Counter => ::metrics::describe_counter!(*name, *unit, *meaning),
            Kind::Gauge => ::metrics::describe_gauge!(*name, *unit, *meaning),
            Kind::Histogram => ::metrics::describe_histogram!(*name, *unit, *meaning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in the guide is this one.
    #[test]
    fn the_documentation_has_every_metric() {
        let docs = include_str!("../docs/operations.md");
        for metric in METRICS {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let line = format!("| `{}` | {kind} | {} | {} |", metric.name, metric.labels.join(", "), metric.meaning);
            assert!(docs.contains(&line), "docs/operations.md has no line\n{line}");
        }
        assert_eq!(docs.matches("\n| `landfall_").count(), METRICS.len());
    }

    #[test]
    fn a_phase_stands_where_its_histogram_is() {
        assert!(Phase::ALL.iter().enumerate().all(|(index, phase)| *phase as usize == index));
    }
}
