//! The counters of a statement, for its result, its plan and its metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::buffer::Memory;
use crate::metrics::{Phase, SinkMetrics};

/// The counters of one statement. All of its branches add to them.
#[derive(Debug, Default)]
pub struct WriteStats {
    metrics: SinkMetrics,
    memory: Memory,
    rows: AtomicU64,
    not_stored: AtomicU64,
    rejected: AtomicU64,
    bytes: AtomicU64,
    encode_nanos: AtomicU64,
    send_nanos: AtomicU64,
    commit_nanos: AtomicU64,
    compare_nanos: AtomicU64,
    inserted: AtomicU64,
    updated: AtomicU64,
    unchanged: AtomicU64,
    superseded: AtomicU64,
    counts_again: AtomicBool,
    /// The counts of [`WriteStats::counters`] at the last commit.
    committed: [AtomicU64; 6],
}

/// An event of an epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EpochEvent {
    Begun,
    /// Committed, this long after its first row.
    Committed(Duration),
    Aborted,
    Retried,
    /// The outcome of its commit is unknown.
    InDoubt,
    /// The outcome is known now.
    Settled,
}

/// How many keys an upsert by difference inserted, updated or left unchanged. An epoch counts each key once, even if
/// several of its rows have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Inserted keys.
    pub inserted: u64,
    /// Keys that existed with other values.
    pub updated: u64,
    /// Keys that existed with the same values.
    pub unchanged: u64,
    /// Rows that another row with the same key replaced.
    pub superseded: u64,
    /// Whether updated and unchanged keys may be counted more than once. This happens if more than a million keys
    /// arrive in no ascending order, because Landfall does not remember all of them.
    pub counts_again: bool,
}

impl Compared {
    /// The number of compared keys.
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.superseded
    }
}

impl WriteStats {
    /// Creates the counters of a table, which also update its metrics, with a memory limit in bytes.
    pub fn of(table: &str, memory_limit: usize) -> Self {
        let metrics = SinkMetrics::of(table);
        let memory = Memory::new(memory_limit, metrics.memory.clone());
        metrics.memory_limit.set(memory_limit as f64);
        Self { metrics, memory, ..Self::default() }
    }

    /// The memory of its rows.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Counts a batch that a writer took, and the time that it waited.
    pub(crate) fn add_batch(&self, waited: Duration) {
        self.metrics.batches.increment(1);
        self.metrics.spent(Phase::Buffer, waited);
    }

    /// Counts time spent reading and comparing existing rows.
    pub fn add_compare(&self, time: Duration) {
        self.compare_nanos.fetch_add(nanos(time), Relaxed);
        self.metrics.spent(Phase::Compare, time);
    }

    /// Counts rows that were compared with existing rows.
    pub fn add_compared(&self, compared: Compared) {
        self.inserted.fetch_add(compared.inserted, Relaxed);
        self.updated.fetch_add(compared.updated, Relaxed);
        self.unchanged.fetch_add(compared.unchanged, Relaxed);
        self.superseded.fetch_add(compared.superseded, Relaxed);
        self.counts_again.fetch_or(compared.counts_again, Relaxed);
    }

    /// Moves keys from unchanged to updated.
    pub(crate) fn add_changed_later(&self, keys: u64) {
        self.unchanged.fetch_sub(keys, Relaxed);
        self.updated.fetch_add(keys, Relaxed);
    }

    /// Subtracts the counts of an attempt that was rolled back.
    fn counters(&self) -> [&AtomicU64; 6] {
        [&self.rejected, &self.not_stored, &self.inserted, &self.updated, &self.unchanged, &self.superseded]
    }

    /// The result of comparing, without attempts that were rolled back.
    pub fn compared(&self) -> Compared {
        Compared {
            inserted: self.inserted.load(Relaxed),
            updated: self.updated.load(Relaxed),
            unchanged: self.unchanged.load(Relaxed),
            superseded: self.superseded.load(Relaxed),
            counts_again: self.counts_again.load(Relaxed),
        }
    }

    /// Time spent reading and comparing existing rows.
    pub fn compare_time(&self) -> Duration {
        Duration::from_nanos(self.compare_nanos.load(Relaxed))
    }

    /// Counts rows sent to the database, and the bytes of their values.
    pub fn add_sent(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.metrics.rows.increment(rows);
        self.metrics.bytes.increment(bytes);
    }

    /// Counts rows that the database accepted and did not store, as the database reports.
    pub fn add_not_stored(&self, rows: u64) {
        self.not_stored.fetch_add(rows, Relaxed);
    }

    /// Counts rows that were rejected.
    pub(crate) fn add_rejected(&self, rows: u64) {
        self.rejected.fetch_add(rows, Relaxed);
    }

    /// Counts time spent turning Arrow arrays into the database's values.
    pub fn add_encode(&self, time: Duration) {
        self.encode_nanos.fetch_add(nanos(time), Relaxed);
        self.metrics.spent(Phase::Encode, time);
    }

    /// Counts time spent sending values to the database.
    pub fn add_send(&self, time: Duration) {
        self.send_nanos.fetch_add(nanos(time), Relaxed);
        self.metrics.spent(Phase::Send, time);
    }

    /// Counts time spent committing.
    pub fn add_commit(&self, time: Duration) {
        self.commit_nanos.fetch_add(nanos(time), Relaxed);
    }

    /// Updates the metrics with the outcome of an epoch.
    pub(crate) fn note(&self, event: EpochEvent) {
        let metrics = &self.metrics;
        match event {
            EpochEvent::Begun => metrics.epochs.increment(1),
            EpochEvent::Committed(time) => {
                let [rejected_before, ..] = &self.committed;
                metrics.rejected.increment(self.rejected().saturating_sub(rejected_before.load(Relaxed)));
                self.committed
                    .iter()
                    .zip(self.counters())
                    .for_each(|(kept, now)| kept.store(now.load(Relaxed), Relaxed));
                metrics.commits.increment(1);
                metrics.epoch.record(time);
            }
            EpochEvent::Aborted => metrics.aborts.increment(1),
            EpochEvent::Retried => {
                // Rows that were rolled back are written again.
                self.committed
                    .iter()
                    .zip(self.counters())
                    .for_each(|(kept, now)| now.store(kept.load(Relaxed), Relaxed));
                metrics.retries.increment(1);
            }
            EpochEvent::InDoubt => metrics.in_doubt.increment(1),
            EpochEvent::Settled => metrics.in_doubt.decrement(1),
        }
    }

    /// The number of rows sent to the database.
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// The number of these rows that the database did not store, as it reports: with
    /// [`OnConflict::Ignore`](crate::options::OnConflict::Ignore) rows whose key exists, and rows that a trigger or a
    /// rule of the table suppresses.
    pub fn not_stored(&self) -> u64 {
        self.not_stored.load(Relaxed)
    }

    /// The number of rows that were set aside, because they cannot be stored.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    /// The bytes of the values sent to the database, without protocol overhead.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Time spent turning Arrow arrays into the database's values.
    pub fn encode_time(&self) -> Duration {
        Duration::from_nanos(self.encode_nanos.load(Relaxed))
    }

    /// Time spent sending values to the database.
    pub fn send_time(&self) -> Duration {
        Duration::from_nanos(self.send_nanos.load(Relaxed))
    }

    /// Time spent committing.
    pub fn commit_time(&self) -> Duration {
        Duration::from_nanos(self.commit_nanos.load(Relaxed))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
