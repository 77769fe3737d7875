//! A branch that rejects rows which the database refuses, and writes the others.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::assignments::Assignments;
use super::rejects::Rejects;
use crate::backend::{Attempt, Branch, Encoded, LookupAnswer, OpenTransaction, Outcome, Vote};
use crate::buffer::Reservation;
use crate::columnar::{batch_bytes, sift, to_text};
use crate::error::{Error, Result};
use crate::manager::Member;
use crate::txn::DecisionRecord;

/// The number of rows that are collected for one attempt.
const MOST_ROWS: usize = 65_536;

/// The size in bytes of the rows that are collected for one attempt.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// The number of rows of the first attempt, so that the database does not wait for more; each next one has twice as many.
const FIRST_ROWS: usize = 8_192;

/// Attempts with fewer rows take as long.
const LEAST_ROWS: usize = 32;

/// The number of times that the database may name a row that it then accepts, before its words are ignored.
const WRONG_NAMES: usize = 8;

/// A branch that collects rows and writes them by attempts, while the next rows are collected. Rows that the database refuses
/// are divided, until it refuses a single row, which is rejected: no other row ever is.
pub(super) struct RejectingBranch {
    branch: Box<dyn Branch>,
    rejects: Arc<Rejects>,
    assignments: Arc<Assignments>,
    waiting: Piece,
    /// The same rows, encoded.
    encoded: Vec<Encoded>,
    bytes: u64,
    /// The rows that are being written.
    running: Option<Piece>,
    /// The memory of the waiting rows, and of the running ones.
    kept: [Option<Reservation>; 2],
    /// The number of rows of the next attempt: fewer after a refusal, so that an attempt contains about one bad row.
    next_rows: usize,
    wrong_names: usize,
}

/// Rows of one attempt.
#[derive(Debug, Default)]
struct Piece {
    batches: Vec<RecordBatch>,
    rows: usize,
    part: Part,
}

/// How rows were divided.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Part {
    /// The next rows, of which nothing is known.
    #[default]
    Next,
    /// Rows before the one that the database has named.
    BeforeNamed,
    /// The row that the database has named.
    Named,
    /// The halves of refused rows. If the first is accepted, the second contains the reason.
    FirstHalf,
    SecondHalf,
}

impl Piece {
    fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.batches.push(batch);
    }

    /// Divides the rows before row `at`.
    fn split(self, at: usize, (before, after): (Part, Part)) -> [Self; 2] {
        let mut first = Self { part: before, ..Self::default() };
        let mut rest = Self { part: after, ..Self::default() };
        for batch in self.batches {
            let count = at.saturating_sub(first.rows).min(batch.num_rows());
            if count > 0 {
                first.push(batch.slice(0, count));
            }
            if count < batch.num_rows() {
                rest.push(batch.slice(count, batch.num_rows() - count));
            }
        }
        [first, rest]
    }

    /// The row that an error names, by its number or by one of its values.
    fn named(&self, error: &Error) -> Option<usize> {
        if let Some((row @ 1.., last)) = error.rows()
            && row == last
            && let Some(row) = usize::try_from(row - 1).ok().filter(|row| *row < self.rows)
        {
            return Some(row);
        }
        let (name, value) = error.value()?;
        let mut before = 0;
        for batch in &self.batches {
            let columns = batch.schema_ref().fields().iter().zip(batch.columns());
            let columns = columns.filter(|(field, _)| name.is_none_or(|name| field.name() == name));
            let found =
                columns.filter_map(|(_, column)| to_text(column).ok()?.iter().position(|text| text == Some(value)));
            if let Some(row) = found.min() {
                return Some(before + row);
            }
            before += batch.num_rows();
        }
        None
    }

    fn halves(self) -> [Self; 2] {
        let half = self.rows / 2;
        self.split(half, (Part::FirstHalf, Part::SecondHalf))
    }
}

impl RejectingBranch {
    /// The same branch, which rejects rows.
    pub(super) fn around(member: Member, rejects: &Arc<Rejects>, assignments: &Arc<Assignments>) -> Member {
        Member { branch: Box::new(Self::new(member.branch, rejects, assignments)), ..member }
    }

    fn new(branch: Box<dyn Branch>, rejects: &Arc<Rejects>, assignments: &Arc<Assignments>) -> Self {
        Self {
            branch,
            rejects: Arc::clone(rejects),
            assignments: Arc::clone(assignments),
            waiting: Piece::default(),
            encoded: Vec::new(),
            bytes: 0,
            running: None,
            kept: [None, None],
            next_rows: FIRST_ROWS,
            wrong_names: 0,
        }
    }

    /// Encodes rows. Those that cannot be encoded are rejected.
    fn encode(&mut self, batch: RecordBatch) -> Result<(RecordBatch, Encoded)> {
        let Self { branch, rejects, assignments, .. } = self;
        let mut encode = |rows: &RecordBatch| branch.encode_rows(&assignments.split_source(rows)?.0);
        match encode(&batch) {
            Ok(encoded) => Ok((batch, encoded)),
            Err(error) if error.is_of_a_row() => {
                let refuse = |row: &RecordBatch, error| rejects.add(&assignments.split_source(row)?.1, error);
                let good = sift(batch, |rows| encode(rows).map(drop), refuse)?;
                let encoded = encode(&good)?;
                Ok((good, encoded))
            }
            Err(error) => Err(error),
        }
    }

    /// Starts to write the collected rows, after the running ones.
    async fn start(&mut self) -> Result<()> {
        self.settle().await?;
        let (piece, encoded) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.encoded));
        (self.bytes, self.kept) = (0, [None, self.kept[0].take()]);
        match piece.rows {
            0 => Ok(()),
            rows if rows > self.most_rows() => self.write_pieces(vec![piece]).await,
            _ => {
                self.running = Some(piece);
                self.branch.attempt(encoded).await
            }
        }
    }

    /// Waits until the running rows are written.
    async fn settle(&mut self) -> Result<()> {
        let Some(piece) = self.running.take() else { return Ok(()) };
        match self.branch.attempted().await? {
            Attempt::Accepted => self.note_accepted(&piece),
            Attempt::Refused(error) => {
                let pieces = self.refused(piece, error)?;
                self.write_pieces(pieces).await?;
            }
        }
        Ok(())
    }

    /// The maximum number of rows of an attempt. A few rows more are no reason for another one.
    fn most_rows(&self) -> usize {
        if self.next_rows >= FIRST_ROWS { 2 * self.next_rows } else { self.next_rows }
    }

    /// Writes pieces of rows, the last one first.
    async fn write_pieces(&mut self, mut pieces: Vec<Piece>) -> Result<()> {
        let mut is_first_half_stored = false;
        while let Some(piece) = pieces.pop() {
            let is_refused = piece.part == Part::SecondHalf && is_first_half_stored && piece.rows > 1;
            is_first_half_stored = false;
            if piece.rows == 0 {
                continue;
            }
            if piece.rows > self.most_rows() {
                let [first, rest] = piece.split(self.next_rows, (Part::Next, Part::Next));
                pieces.extend([rest, first]);
                continue;
            }
            if is_refused {
                let [first, rest] = piece.halves();
                pieces.extend([rest, first]);
                continue;
            }
            let Self { branch, assignments, .. } = self;
            let encoded = piece.batches.iter().map(|rows| branch.encode_rows(&assignments.split_source(rows)?.0));
            let encoded = encoded.collect::<Result<_>>()?;
            self.branch.attempt(encoded).await?;
            match self.branch.attempted().await? {
                Attempt::Accepted => {
                    is_first_half_stored = piece.part == Part::FirstHalf;
                    self.note_accepted(&piece);
                }
                Attempt::Refused(error) => pieces.extend(self.refused(piece, error)?),
            }
        }
        Ok(())
    }

    fn note_accepted(&mut self, piece: &Piece) {
        match piece.part {
            Part::Next if piece.rows >= self.next_rows => self.next_rows = (2 * self.next_rows).min(MOST_ROWS),
            Part::Named => self.wrong_names += 1,
            _ => {}
        }
    }

    /// The parts of refused rows, the first one last. A single row is rejected.
    fn refused(&mut self, piece: Piece, error: Error) -> Result<Vec<Piece>> {
        if let ([row], 1) = (piece.batches.as_slice(), piece.rows) {
            self.rejects.add(&self.assignments.split_source(row)?.1, error)?;
            if piece.part == Part::Named {
                self.wrong_names = self.wrong_names.saturating_sub(1);
            }
            return Ok(Vec::new());
        }
        if piece.part == Part::Next {
            self.next_rows = (piece.rows / 2).max(LEAST_ROWS);
        }
        Ok(match piece.named(&error).filter(|_| self.wrong_names < WRONG_NAMES) {
            Some(row) => {
                let [before, rest] = piece.split(row, (Part::BeforeNamed, Part::Next));
                let [named, after] = rest.split(1, (Part::Named, Part::Next));
                vec![after, named, before]
            }
            None => {
                let [first, rest] = piece.halves();
                vec![rest, first]
            }
        })
    }
}

#[async_trait]
impl Branch for RejectingBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let (batch, encoded) = self.encode(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.bytes += batch_bytes(&batch);
        self.waiting.push(batch);
        self.encoded.push(encoded);
        self.kept[0] = Some(self.rejects.memory().reserve_now(usize::try_from(self.bytes).unwrap_or(usize::MAX)));
        match self.waiting.rows >= self.next_rows.max(FIRST_ROWS) || self.bytes >= MOST_BYTES {
            true => self.start().await,
            false => Ok(()),
        }
    }

    async fn lookup(&mut self, rows: &RecordBatch) -> Result<Option<LookupAnswer>> {
        self.start().await?;
        self.settle().await?;
        self.branch.lookup(rows).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.start().await?;
        self.settle().await?;
        self.branch.flush().await
    }

    async fn end_statement(self: Box<Self>) -> Result<Box<dyn OpenTransaction>> {
        self.branch.end_statement().await
    }

    async fn prepare(self: Box<Self>) -> Result<Vote> {
        self.branch.prepare().await
    }

    async fn commit_one_phase(self: Box<Self>, record: Option<DecisionRecord>) -> Result<Outcome> {
        self.branch.commit_one_phase(record).await
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        self.branch.rollback().await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use crossbeam_queue::SegQueue;

    use super::*;
    use crate::backend::conformance::{columns, rows};
    use crate::error::ErrorKind;

    /// What a database says about a refused row.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Says {
        Nothing,
        ItsRow,
        /// Always the same, wrong row.
        AnotherRow,
    }

    /// A branch that refuses some rows, and cannot encode others.
    struct Picky {
        says: Says,
        refused: BTreeSet<i64>,
        not_encoded: BTreeSet<i64>,
        stored: Arc<SegQueue<i64>>,
        attempts: Arc<AtomicUsize>,
        attempted: Option<Attempt>,
    }

    fn ids(batch: &RecordBatch) -> Vec<i64> {
        batch.column(0).as_primitive::<Int64Type>().values().to_vec()
    }

    #[async_trait]
    impl Branch for Picky {
        async fn write(&mut self, _: RecordBatch) -> Result<()> {
            panic!("written without an attempt")
        }

        fn encode_rows(&mut self, rows: &RecordBatch) -> Result<Encoded> {
            match ids(rows).iter().any(|id| self.not_encoded.contains(id)) {
                true => Err(Error::new(ErrorKind::Encode, "not encoded")),
                false => Ok(Encoded::new(ids(rows))),
            }
        }

        async fn attempt(&mut self, rows: Vec<Encoded>) -> Result<()> {
            assert!(self.attempted.is_none(), "an attempt beside another");
            let ids: Vec<i64> = rows.into_iter().flat_map(|rows| rows.into_form::<Vec<i64>>().unwrap()).collect();
            assert!(!ids.is_empty() && ids.len() <= 2 * MOST_ROWS);
            self.attempts.fetch_add(1, Relaxed);
            let refused = || Error::new(ErrorKind::Constraint, "bad");
            self.attempted = Some(match ids.iter().position(|id| self.refused.contains(id)) {
                None => {
                    ids.iter().for_each(|id| self.stored.push(*id));
                    Attempt::Accepted
                }
                Some(bad) => Attempt::Refused(match self.says {
                    Says::Nothing => refused(),
                    Says::ItsRow => refused().in_rows(bad as u64 + 1, bad as u64 + 1, ""),
                    Says::AnotherRow => refused().in_rows(1, 1, ""),
                }),
            });
            Ok(())
        }

        async fn attempted(&mut self) -> Result<Attempt> {
            Ok(self.attempted.take().unwrap())
        }

        async fn commit_one_phase(self: Box<Self>, _: Option<DecisionRecord>) -> Result<Outcome> {
            Ok(Outcome::Committed)
        }

        async fn rollback(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    /// The number of attempts for rows of which each `every`th is bad.
    async fn attempts(says: Says, count: i64, every: i64) -> usize {
        let bad: BTreeSet<_> = (0..count).filter(|id| id % every == every / 2).collect();
        let (not_encoded, refused) = bad.iter().partition(|id| **id % 7 == 0);
        let (stored, attempts) = (Arc::new(SegQueue::new()), Arc::new(AtomicUsize::new(0)));
        let branch = Picky {
            says,
            refused,
            not_encoded,
            stored: Arc::clone(&stored),
            attempts: Arc::clone(&attempts),
            attempted: None,
        };
        let rejects = Arc::new(Rejects::unlimited());
        let mut branch = RejectingBranch::new(Box::new(branch), &rejects, &Arc::new(Assignments::none(columns())));
        for first in (0..count).step_by(3_000) {
            branch.write(rows(first..(first + 3_000).min(count))).await.unwrap();
        }
        branch.flush().await.unwrap();
        let stored: Vec<_> = std::iter::from_fn(|| stored.pop()).collect();
        let good: Vec<_> = (0..count).filter(|id| !bad.contains(id)).collect();
        assert_eq!(stored, good, "{says:?}: each good row once, in their order");
        assert_eq!(rejects.count(), bad.len() as u64);
        attempts.load(Relaxed)
    }

    #[tokio::test]
    async fn good_rows_are_stored_and_bad_ones_are_rejected_whatever_the_database_says() {
        for says in [Says::Nothing, Says::ItsRow, Says::AnotherRow] {
            for (count, every) in [(1, 1), (2, 2), (100, 1), (5_000, 3), (70_000, 1_000), (200_000, 100_000)] {
                attempts(says, count, every).await;
            }
        }
    }

    #[tokio::test]
    async fn few_bad_rows_cost_few_attempts() {
        assert_eq!(attempts(Says::Nothing, 200_000, 1_000_000).await, 8, "of 8,192 rows first, and of 65,536 later");
        // Per bad row.
        assert!(attempts(Says::ItsRow, 200_000, 1_000).await <= 200 * 5);
        assert!(attempts(Says::Nothing, 200_000, 1_000).await <= 200 * 15);
    }
}
