//! What can be watched while it runs: the names of all metrics, and handles to them.
//!
//! They go through the facade of the crate [`metrics`](https://docs.rs/metrics): the process decides who records them, with any
//! exporter, before tables are registered. Without a recorder they cost nothing. The program serves them with
//! `landfall sql --metrics 127.0.0.1:9187`; `examples/monitoring` has alert rules and a dashboard.

use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram, Unit};

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub meaning: &'static str,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that grows.
    Counter,
    /// A number.
    Gauge,
    /// How often values were how large.
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

const ROWS: Metric = counter("landfall_rows_total", TABLE, "rows handed to the database");
const BYTES: Metric = Metric {
    unit: Unit::Bytes,
    ..counter("landfall_bytes_total", TABLE, "bytes of them, as they are encoded for the database")
};
const BATCHES: Metric = counter("landfall_batches_total", TABLE, "batches that writers took from the stream");
const EPOCHS: Metric = counter("landfall_epochs_total", TABLE, "epochs that were begun");
const COMMITS: Metric = counter("landfall_commits_total", TABLE, "epochs that were committed");
const ABORTS: Metric = counter("landfall_aborts_total", TABLE, "epochs that were rolled back");
const RETRIES: Metric = counter("landfall_retries_total", TABLE, "writes that were tried again after a failure");
const IN_DOUBT: Metric = gauge(
    "landfall_in_doubt",
    Unit::Count,
    TABLE,
    "epochs whose commit was sent and not answered, until their job is opened again by this process",
);
const PHASES: Metric = seconds("landfall_phase_seconds", PHASE, "time that one step of a phase takes");
const EPOCH: Metric = seconds("landfall_epoch_seconds", TABLE, "time from an epoch's first row to its commit");
const MEMORY: Metric = gauge("landfall_memory_bytes", Unit::Bytes, TABLE, "bytes of rows that are held");
const MEMORY_LIMIT: Metric = gauge("landfall_memory_limit_bytes", Unit::Bytes, TABLE, "bytes that may be held");
const POOL_IDLE: Metric = gauge("landfall_pool_idle", Unit::Count, DATABASE, "connections that wait to be used");
const POOL_BUSY: Metric = gauge("landfall_pool_busy", Unit::Count, DATABASE, "connections that are in use");
const POOL_MAX: Metric = gauge("landfall_pool_max", Unit::Count, DATABASE, "connections that there can be");
const POOL_WAITS: Metric =
    counter("landfall_pool_waits_total", DATABASE, "times that somebody waited for a connection to become free");
const POOL_TIMEOUTS: Metric =
    counter("landfall_pool_timeouts_total", DATABASE, "times that none did within `pool.acquire_timeout`");
const POOL_OPENED: Metric = counter("landfall_pool_opened_total", DATABASE, "connections that were opened");
const POOL_ACQUIRE: Metric = seconds(
    "landfall_pool_acquire_seconds",
    DATABASE,
    "time until a connection was had, where it was not there at once",
);

/// All metrics, as the table in the crate's documentation has them.
pub const METRICS: &[Metric] = &[
    ROWS,
    BYTES,
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

/// What an epoch spends its time with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A batch waits for its writer.
    Buffer,
    /// A batch is compared with existing rows.
    Compare,
    /// Rows are encoded.
    Encode,
    /// Rows are sent, and the server takes them.
    Send,
    /// A branch prepares.
    Prepare,
    /// The log decides.
    Decide,
    /// A branch commits.
    Commit,
}

impl Phase {
    /// Every phase, in the order of a batch's way.
    pub const ALL: [Self; 7] =
        [Self::Buffer, Self::Compare, Self::Encode, Self::Send, Self::Prepare, Self::Decide, Self::Commit];

    /// As the label `phase` has it.
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

/// Handles to the metrics of what is written to one table; by default to nobody's.
#[derive(Debug)]
pub(crate) struct SinkMetrics {
    pub(crate) rows: Counter,
    pub(crate) bytes: Counter,
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

/// Handles to the times that the phases of a table's writes take.
#[derive(Debug)]
pub(crate) struct Phases([Histogram; Phase::ALL.len()]);

impl Default for Phases {
    fn default() -> Self {
        Self(Phase::ALL.map(|_| Histogram::noop()))
    }
}

impl Phases {
    /// Those of a table, or of several that are written together.
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
    /// Those of a table.
    pub(crate) fn of(table: &str) -> Self {
        let counter = |metric: Metric| ::metrics::counter!(metric.name, "table" => table.to_owned());
        let gauge = |metric: Metric| ::metrics::gauge!(metric.name, "table" => table.to_owned());
        Self {
            rows: counter(ROWS),
            bytes: counter(BYTES),
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
    /// Those of a database.
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

/// Tells the recorder of the process what the metrics mean.
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

    /// The table in the crate's documentation is this one.
    #[test]
    fn the_documentation_has_every_metric() {
        let docs = include_str!("lib.rs");
        for metric in METRICS {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let line =
                format!("//! | `{}` | {kind} | {} | {} |", metric.name, metric.labels.join(", "), metric.meaning);
            assert!(docs.contains(&line), "lib.rs has no line\n{line}");
        }
        assert_eq!(docs.matches("//! | `landfall_").count(), METRICS.len());
    }

    #[test]
    fn a_phase_stands_where_its_histogram_is() {
        assert!(Phase::ALL.iter().enumerate().all(|(index, phase)| *phase as usize == index));
    }
}
