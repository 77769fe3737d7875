//! Upserts by difference: existing rows are read and compared with the new ones, and only new or changed rows are
//! written. They are written as without a comparison. Only rows that were found equal are skipped, so the result does
//! not depend on whether a row was found.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::error::ArrowError;

use crate::backend::{Branch, Compared, LookupAnswer, Versions, WriteSpec, WriteStats};
use crate::buffer::Reservation;
use crate::columnar::compare::{Zeros, changed_rows};
use crate::columnar::{Alignment, Counted, KeyCounts, KeyForm, Keys, LastRows, Seen, batch_bytes};
use crate::error::{Error, Result};
use crate::options::{OnConflict, Upsert};

/// The maximum number of rows that are compared together, with one query to the server.
const WINDOW_ROWS: usize = 32_768;

/// Their maximum size in bytes.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;

/// The number of rows that are compared to find out whether comparing is faster.
const PROBE_ROWS: usize = 8_192;

/// The number of rows below which comparing is not worth a query.
const FEW_ROWS: usize = 256;

/// The size in bytes of the rows that are held until they are written together. The next read waits until they are in
/// the table.
const HELD_BYTES: u64 = 4 * 1024 * 1024;

/// The cost of comparing a row relative to writing one, until both are measured.
const USUAL_COST: f64 = 0.3;

/// The number of rows after which both costs are known.
const MEASURED_ROWS: u64 = 16_384;

/// The number of rows that are written blindly before rows are compared again. It doubles each time.
const PAUSE_ROWS: u64 = 512 * 1024;

/// The maximum of this number.
const LONGEST_PAUSE: u64 = 16 * PAUSE_ROWS;

/// Whether rows are compared, as found by all writers of a table in all epochs of a write.
#[derive(Debug)]
pub(super) struct Policy {
    is_fixed: bool,
    /// Whether comparing was faster at the last attempt.
    pays: AtomicBool,
    /// The number of rows to write blindly.
    blind: AtomicU64,
    pause: AtomicU64,
}

impl Policy {
    /// The initial policy of a write; `None` if it never compares.
    pub(super) fn of(spec: &WriteSpec) -> Option<Self> {
        let is_fixed = match (spec.on_conflict, spec.upsert) {
            (OnConflict::Error | OnConflict::Ignore, _) | (_, Upsert::Blind) => return None,
            (_, upsert) => upsert == Upsert::Diff,
        };
        let (blind, pause) = (AtomicU64::new(0), AtomicU64::new(PAUSE_ROWS));
        Some(Self { is_fixed, pays: AtomicBool::new(is_fixed), blind, pause })
    }

    /// Whether the next rows are compared.
    fn compares(&self, rows: usize) -> bool {
        let take = |left: u64| left.checked_sub(1).map(|_| left.saturating_sub(rows as u64));
        self.blind.fetch_update(Relaxed, Relaxed, take).is_err()
    }

    /// Whether comparing was faster at the last attempt.
    fn pays(&self) -> bool {
        self.pays.load(Relaxed)
    }

    /// The number of rows to compare together.
    fn window(&self) -> usize {
        if self.pays() { WINDOW_ROWS } else { PROBE_ROWS }
    }

    /// Whether this many rows are worth comparing.
    fn is_worth(&self, rows: usize) -> bool {
        self.is_fixed || rows >= FEW_ROWS
    }

    /// Records how many of some rows must be written. Comparing is worth it if comparing all of them takes less time
    /// than writing the equal ones would.
    fn note(&self, rows: usize, written: usize, stats: &WriteStats) {
        if self.is_fixed {
            return;
        }
        let pays = written as f64 + cost(stats) * rows as f64 <= rows as f64;
        self.pays.store(pays, Relaxed);
        if pays {
            self.pause.store(PAUSE_ROWS, Relaxed);
        } else {
            let pause = self.pause.load(Relaxed);
            self.pause.store((2 * pause).min(LONGEST_PAUSE), Relaxed);
            self.blind.store(pause, Relaxed);
        }
    }
}

/// The cost of comparing a row relative to writing one.
fn cost(stats: &WriteStats) -> f64 {
    let (compared, written) = (stats.compared().rows(), stats.rows());
    if compared.min(written) < MEASURED_ROWS {
        return USUAL_COST;
    }
    let of_a_row = |time: Duration, rows: u64| time.as_secs_f64() / rows as f64;
    of_a_row(stats.compare_time(), compared) / of_a_row(stats.send_time(), written)
}

/// The rows of one branch before they are written.
pub(super) struct Differ {
    policy: Option<Arc<Policy>>,
    stats: Arc<WriteStats>,
    window: Vec<RecordBatch>,
    window_rows: usize,
    window_bytes: u64,
    asked: Option<Asked>,
    held: Held,
    form: Option<KeyForm>,
    key_counts: KeyCounts,
    sent: Sent,
    /// The memory of the rows that are held.
    kept: Option<Reservation>,
}

/// Rows whose existing rows are being read, while the next rows arrive and the previous ones are compared.
struct Asked {
    rows: RecordBatch,
    answer: LookupAnswer,
}

/// Rows that must be written. The table's rows with their keys are outdated.
#[derive(Debug, Default)]
struct Held {
    batches: Vec<RecordBatch>,
    bytes: u64,
    keys: Seen,
    /// Whether they include rows whose keys the table does not have.
    has_others: bool,
}

impl Held {
    fn add(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.bytes += batch_bytes(&batch);
            self.batches.push(batch);
        }
    }
}

impl fmt::Debug for Differ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Differ({} rows waiting, {:?})", self.window_rows, self.held)
    }
}

impl Differ {
    pub(super) fn new(policy: Option<Arc<Policy>>, stats: Arc<WriteStats>) -> Self {
        Self {
            policy,
            stats,
            window: Vec::new(),
            window_rows: 0,
            window_bytes: 0,
            asked: None,
            held: Held::default(),
            form: None,
            key_counts: KeyCounts::default(),
            sent: Sent::default(),
            kept: None,
        }
    }

    /// The statistics that it updates.
    pub(super) fn stats(&self) -> &WriteStats {
        &self.stats
    }

    /// Writes rows, or holds them until more arrive.
    pub(super) async fn write(&mut self, branch: &mut dyn Branch, batch: RecordBatch) -> Result<()> {
        let Some(policy) = self.policy.clone() else { return branch.write(batch).await };
        let written = self.write_what_differs(branch, policy, batch).await;
        let asked = self.asked.as_ref().map_or(0, |asked| batch_bytes(&asked.rows));
        let kept = usize::try_from(self.window_bytes + self.held.bytes + asked).unwrap_or(usize::MAX);
        self.kept = Some(self.stats.memory().reserve_now(kept.saturating_add(self.key_counts.bytes())));
        written
    }

    async fn write_what_differs(
        &mut self,
        branch: &mut dyn Branch,
        policy: Arc<Policy>,
        batch: RecordBatch,
    ) -> Result<()> {
        let mut next = 0;
        while next < batch.num_rows() {
            let rest = batch.slice(next, batch.num_rows() - next);
            if !policy.compares(rest.num_rows()) {
                self.lookup(branch, &policy).await?;
                return self.write_blindly(branch, &policy, rest).await;
            }
            let room = policy.window().saturating_sub(self.window_rows).max(1);
            let slice = rest.slice(0, room.min(rest.num_rows()));
            next += slice.num_rows();
            self.window_rows += slice.num_rows();
            self.window_bytes += batch_bytes(&slice);
            self.window.push(slice);
            if self.window_rows >= policy.window() || self.window_bytes >= WINDOW_BYTES {
                self.lookup(branch, &policy).await?;
            }
        }
        Ok(())
    }

    /// Writes the held rows.
    pub(super) async fn flush(&mut self, branch: &mut dyn Branch) -> Result<()> {
        if let Some(policy) = self.policy.clone() {
            self.lookup(branch, &policy).await?;
            self.release(branch, &policy).await?;
        }
        Ok(())
    }

    /// The number of the writer's row, counted from 1, for a row of the branch.
    pub(super) fn place(&self, row: u64) -> u64 {
        self.sent.place(row)
    }

    /// Queries the existing rows of new rows, and compares the rows of the previous query.
    async fn lookup(&mut self, branch: &mut dyn Branch, policy: &Policy) -> Result<()> {
        let Some(first) = self.window.first() else { return Ok(()) };
        let rows = match self.window.as_slice() {
            [only] => only.clone(),
            several => concat_batches(&first.schema(), several).map_err(failed)?,
        };
        self.window.clear();
        (self.window_rows, self.window_bytes) = (0, 0);
        if !policy.is_worth(rows.num_rows()) {
            return self.write_blindly(branch, policy, rows).await;
        }
        let began = Instant::now();
        let answer = branch.lookup(&rows).await?;
        self.stats.add_compare(began.elapsed());
        self.compare(policy).await?;
        let Some(answer) = answer else {
            policy.note(rows.num_rows(), rows.num_rows(), &self.stats);
            return self.write_blindly(branch, policy, rows).await;
        };
        self.asked = Some(Asked { rows, answer });
        if !policy.pays() {
            self.compare(policy).await?;
        }
        match self.held.bytes >= HELD_BYTES {
            true => self.release(branch, policy).await,
            false => Ok(()),
        }
    }

    async fn write_blindly(&mut self, branch: &mut dyn Branch, policy: &Policy, rows: RecordBatch) -> Result<()> {
        self.release(branch, policy).await?;
        self.sent.add(rows.num_rows(), None);
        branch.write(rows).await
    }

    /// Compares the queried rows. Rows that must be written are held, in their order.
    async fn compare(&mut self, policy: &Policy) -> Result<()> {
        let Some(Asked { rows, answer }) = self.asked.take() else { return Ok(()) };
        let began = Instant::now();
        let differing = match answer.await? {
            Some(versions) if !self.held.has_others => self.differing(&versions)?,
            _ => None,
        };
        match differing {
            Some((is_written, compared)) => {
                let written = BooleanArray::new(is_written.clone(), None);
                self.held.add(filter_record_batch(&rows, &written).map_err(failed)?);
                self.stats.add_compared(compared);
                self.stats.add_compare(began.elapsed());
                policy.note(rows.num_rows(), is_written.count_set_bits(), &self.stats);
                self.sent.add(rows.num_rows(), Some(is_written));
            }
            None => {
                policy.note(rows.num_rows(), rows.num_rows(), &self.stats);
                self.sent.add(rows.num_rows(), None);
                self.held.has_others = true;
                self.held.add(rows);
            }
        }
        Ok(())
    }

    /// Writes the held rows. Later queries see them.
    async fn release(&mut self, branch: &mut dyn Branch, policy: &Policy) -> Result<()> {
        self.compare(policy).await?;
        for batch in std::mem::take(&mut self.held).batches {
            branch.write(batch).await?;
        }
        Ok(())
    }

    /// The rows that must be written; `None` if a key contains NULL, which the branch refuses.
    fn differing(&mut self, versions: &Versions) -> Result<Option<(BooleanBuffer, Compared)>> {
        let Versions { new, old, key } = versions;
        let of = |batch: &RecordBatch| -> Vec<ArrayRef> {
            key.iter().map(|index| ArrayRef::clone(batch.column(*index))).collect()
        };
        let (new_key, old_key) = (of(new), of(old));
        if new_key.iter().chain(&old_key).any(|column| column.logical_null_count() > 0) {
            return Ok(None);
        }
        let form = match self.form.take() {
            Some(form) => form,
            None => KeyForm::try_new(new_key.iter().map(|column| column.data_type()))?,
        };
        let (new_keys, old_keys) = (form.keys(&new_key)?, form.keys(&old_key)?);
        self.form = Some(form);

        let (last, superseded) = LastRows::of(&new_keys);
        let there = Alignment::of(&last, new.num_rows(), &old_keys);
        let old = old.columns().iter().map(|column| there.apply(column)).collect::<Result<Vec<_>>>()?;
        let differ = changed_rows(new.columns(), &old, new.num_rows(), Zeros::Differ)?;
        let is_last = superseded.map_or_else(|| BooleanBuffer::new_set(new.num_rows()), |bits| !&bits);
        let found = there.found();
        let mut is_new = &!&found & &is_last;
        let mut is_updated = &(&differ & &found) & &is_last;
        if !self.held.keys.is_empty() {
            // The table does not contain the held rows yet.
            let is_held = &self.are_seen(&new_keys) & &is_last;
            is_new = &is_new & &!&is_held;
            is_updated = &is_updated | &is_held;
        }
        let is_written = &is_new | &is_updated;
        is_written.set_indices().for_each(|row| self.held.keys.insert(&new_keys, row));
        let counted = self.key_counts.count(&new_keys, &is_last, &is_new, &is_updated);
        let compared = match counted {
            Some(counted) => compared(counted, new.num_rows()),
            None => {
                let rows = |bits: &BooleanBuffer| bits.count_set_bits() as u64;
                let (inserted, updated) = (rows(&is_new), rows(&is_updated));
                let unchanged = rows(&is_last) - inserted - updated;
                let superseded = new.num_rows() as u64 - rows(&is_last);
                Compared { inserted, updated, unchanged, superseded, counts_again: true }
            }
        };
        self.stats.add_changed_later(counted.map_or(0, |counted| counted.changed_later));
        Ok(Some((is_written, compared)))
    }

    fn are_seen(&self, keys: &Keys) -> BooleanBuffer {
        let mut seen = BooleanBufferBuilder::new(keys.len());
        (0..keys.len()).for_each(|row| seen.append(self.held.keys.contains(keys, row)));
        seen.finish()
    }
}

/// The number of keys as a number of rows.
fn compared(counted: Counted, rows: usize) -> Compared {
    let Counted { inserted, updated, unchanged, .. } = counted;
    let superseded = rows as u64 - inserted - updated - unchanged;
    Compared { inserted, updated, unchanged, superseded, counts_again: false }
}

fn failed(error: ArrowError) -> Error {
    Error::internal(format!("could not select rows: {error}"))
}

/// The rows of a writer that were sent to its branch.
#[derive(Debug, Default)]
struct Sent {
    /// The numbers of rows of the branch and of the writer.
    rows: (u64, u64),
    /// For each batch, the numbers of rows of both before it, and the rows that were sent if not all were.
    parts: Vec<(u64, u64, Option<BooleanBuffer>)>,
}

impl Sent {
    fn add(&mut self, rows: usize, which: Option<BooleanBuffer>) {
        let sent = which.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        let goes_on = which.is_none()
            && self
                .parts
                .last()
                .is_some_and(|(first, before, which)| which.is_none() && self.rows.0 - first == self.rows.1 - before);
        if !goes_on && sent > 0 {
            self.parts.push((self.rows.0, self.rows.1, which));
        }
        self.rows = (self.rows.0 + sent as u64, self.rows.1 + rows as u64);
    }

    fn place(&self, row: u64) -> u64 {
        let at = self.parts.partition_point(|(first, ..)| *first < row);
        match at.checked_sub(1).map(|at| &self.parts[at]) {
            Some((first, before, None)) => before + row - first,
            Some((first, before, Some(which))) => {
                let place = which.set_indices().nth((row - first - 1) as usize);
                place.map_or(row, |place| before + place as u64 + 1)
            }
            None => row,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_branch_are_those_of_its_writer() {
        let mut sent = Sent::default();
        sent.add(3, None);
        sent.add(4, Some(BooleanBuffer::from(vec![false, true, false, true])));
        sent.add(2, Some(BooleanBuffer::from(vec![false, false])));
        sent.add(2, None);
        sent.add(1, Some(BooleanBuffer::from(vec![false])));
        sent.add(2, None);
        sent.add(2, None);
        let places: Vec<_> = (1..=11).map(|row| sent.place(row)).collect();
        assert_eq!(places, [1, 2, 3, 5, 7, 10, 11, 13, 14, 15, 16]);
        assert_eq!(sent.parts.len(), 4);
    }

    #[test]
    fn what_does_not_pay_is_tried_again_less_and_less() {
        let policy = Policy {
            is_fixed: false,
            pays: AtomicBool::new(false),
            blind: AtomicU64::new(0),
            pause: AtomicU64::new(PAUSE_ROWS),
        };
        let stats = WriteStats::default();
        let note = |rows: usize, written: usize| policy.note(rows, written, &stats);
        let blind_rows = || (0..).take_while(|_| !policy.compares(8_192)).count() as u64 * 8_192;
        assert_eq!((blind_rows(), policy.window()), (0, PROBE_ROWS));
        note(PROBE_ROWS, PROBE_ROWS);
        assert_eq!(blind_rows(), PAUSE_ROWS);
        note(PROBE_ROWS, PROBE_ROWS * 71 / 100);
        assert_eq!((blind_rows(), policy.window()), (2 * PAUSE_ROWS, PROBE_ROWS));
        note(PROBE_ROWS, PROBE_ROWS / 2);
        assert_eq!((blind_rows(), policy.window()), (0, WINDOW_ROWS));
        note(WINDOW_ROWS, WINDOW_ROWS);
        assert_eq!(blind_rows(), PAUSE_ROWS);

        // As measured: comparing takes two thirds of the time of writing here.
        stats.add_compared(Compared { unchanged: 20_000, ..Compared::default() });
        stats.add_compare(Duration::from_millis(20));
        stats.add_sent(40_000, 0);
        stats.add_send(Duration::from_millis(60));
        note(WINDOW_ROWS, WINDOW_ROWS / 2);
        assert_eq!(blind_rows(), 2 * PAUSE_ROWS);
        note(WINDOW_ROWS, WINDOW_ROWS / 4);
        assert_eq!(blind_rows(), 0);
    }
}
