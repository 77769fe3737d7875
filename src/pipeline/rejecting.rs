//! A branch that rejects rows which the database refuses, and writes the others.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::rejects::Rejects;
use crate::backend::{Attempt, Branch, LookupAnswer, OpenTransaction, Outcome, Vote};
use crate::buffer::Reservation;
use crate::columnar::{batch_bytes, sift};
use crate::error::{Error, Result};
use crate::manager::Member;
use crate::txn::DecisionRecord;

/// The number of rows that are collected for one attempt.
const MOST_ROWS: usize = 65_536;

/// The size in bytes of the rows that are collected for one attempt.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// Attempts with fewer rows take as long.
const LEAST_ROWS: usize = 32;

/// The number of times that the database may name a row that it then accepts, before its words are ignored.
const WRONG_NAMES: usize = 8;

/// A branch that collects rows and writes them by attempts. Rows that the database refuses are divided, until it refuses a
/// single row, which is rejected: no other row ever is.
pub(super) struct RejectingBranch {
    branch: Box<dyn Branch>,
    rejects: Arc<Rejects>,
    waiting: Piece,
    bytes: u64,
    /// The memory of the waiting rows.
    kept: Option<Reservation>,
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

    fn halves(self) -> [Self; 2] {
        let half = self.rows / 2;
        self.split(half, (Part::FirstHalf, Part::SecondHalf))
    }
}

impl RejectingBranch {
    /// The same branch, which rejects rows.
    pub(super) fn around(member: Member, rejects: &Arc<Rejects>) -> Member {
        Member { branch: Box::new(Self::new(member.branch, rejects)), ..member }
    }

    fn new(branch: Box<dyn Branch>, rejects: &Arc<Rejects>) -> Self {
        Self {
            branch,
            rejects: Arc::clone(rejects),
            waiting: Piece::default(),
            bytes: 0,
            kept: None,
            next_rows: MOST_ROWS,
            wrong_names: 0,
        }
    }

    /// Writes the collected rows.
    async fn write_waiting(&mut self) -> Result<()> {
        // The pieces that are still to be written, the next one last.
        let mut pieces = vec![std::mem::take(&mut self.waiting)];
        let mut is_first_half_stored = false;
        while let Some(piece) = pieces.pop() {
            if piece.rows == 0 {
                continue;
            }
            // A few rows more are no reason for another attempt.
            let most = if self.next_rows == MOST_ROWS { 2 * MOST_ROWS } else { self.next_rows };
            if piece.rows > most {
                let [first, rest] = piece.split(self.next_rows, (Part::Next, Part::Next));
                pieces.extend([rest, first]);
                continue;
            }
            if piece.part == Part::SecondHalf && is_first_half_stored && piece.rows > 1 {
                is_first_half_stored = false;
                let [first, rest] = piece.halves();
                pieces.extend([rest, first]);
                continue;
            }
            is_first_half_stored = false;
            match self.branch.attempt(&piece.batches).await? {
                Attempt::Accepted => {
                    is_first_half_stored = piece.part == Part::FirstHalf;
                    self.note_accepted(&piece);
                }
                Attempt::NotEncoded(error) => pieces.push(self.encodable(piece, error)?),
                Attempt::Refused(error) if piece.rows == 1 => self.reject(&piece, error)?,
                Attempt::Refused(error) => pieces.extend(self.divided(piece, &error).into_iter().rev()),
            }
        }
        (self.bytes, self.kept) = (0, None);
        Ok(())
    }

    fn note_accepted(&mut self, piece: &Piece) {
        match piece.part {
            Part::Next if piece.rows == self.next_rows => self.next_rows = (2 * self.next_rows).min(MOST_ROWS),
            Part::Named => self.wrong_names += 1,
            _ => {}
        }
    }

    /// The parts of refused rows.
    fn divided(&mut self, piece: Piece, error: &Error) -> Vec<Piece> {
        if piece.part == Part::Next {
            self.next_rows = (piece.rows / 2).max(LEAST_ROWS);
        }
        match error.rows() {
            Some((row @ 1.., last)) if row == last && row as usize <= piece.rows && self.wrong_names < WRONG_NAMES => {
                let [before, rest] = piece.split(row as usize - 1, (Part::BeforeNamed, Part::Next));
                let [named, after] = rest.split(1, (Part::Named, Part::Next));
                vec![before, named, after]
            }
            _ => piece.halves().into(),
        }
    }

    /// The rows that can be encoded. The others are rejected.
    fn encodable(&mut self, piece: Piece, error: Error) -> Result<Piece> {
        let mut good = Piece { part: piece.part, ..Piece::default() };
        for batch in piece.batches {
            let Self { branch, rejects, .. } = self;
            good.push(sift(batch, |rows| branch.check_rows(rows), |row, error| rejects.add(row, error))?);
        }
        // Otherwise it would never end.
        if good.rows == piece.rows { Err(error) } else { Ok(good) }
    }

    fn reject(&self, piece: &Piece, error: Error) -> Result<()> {
        let row = piece.batches.iter().find(|batch| batch.num_rows() > 0);
        let row = row.ok_or_else(|| Error::internal("an attempt without rows was refused"))?;
        self.rejects.add(row, error)
    }
}

#[async_trait]
impl Branch for RejectingBranch {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.bytes += batch_bytes(&batch);
        self.waiting.push(batch);
        if self.waiting.rows >= MOST_ROWS || self.bytes >= MOST_BYTES {
            return self.write_waiting().await;
        }
        self.kept = Some(self.rejects.memory().reserve_now(usize::try_from(self.bytes).unwrap_or(usize::MAX)));
        Ok(())
    }

    async fn lookup(&mut self, rows: &RecordBatch) -> Result<Option<LookupAnswer>> {
        self.write_waiting().await?;
        self.branch.lookup(rows).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.write_waiting().await?;
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
    use crate::backend::conformance::rows;
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
    }

    fn ids(batches: &[RecordBatch]) -> Vec<i64> {
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[async_trait]
    impl Branch for Picky {
        async fn write(&mut self, _: RecordBatch) -> Result<()> {
            panic!("written without an attempt")
        }

        async fn attempt(&mut self, rows: &[RecordBatch]) -> Result<Attempt> {
            let ids = ids(rows);
            assert!(!ids.is_empty() && ids.len() <= 2 * MOST_ROWS);
            let error = || Error::new(ErrorKind::Constraint, "bad");
            if ids.iter().any(|id| self.not_encoded.contains(id)) {
                return Ok(Attempt::NotEncoded(error()));
            }
            self.attempts.fetch_add(1, Relaxed);
            let Some(bad) = ids.iter().position(|id| self.refused.contains(id)) else {
                ids.iter().for_each(|id| self.stored.push(*id));
                return Ok(Attempt::Accepted);
            };
            let row = bad as u64 + 1;
            Ok(Attempt::Refused(match self.says {
                Says::Nothing => error(),
                Says::ItsRow => error().in_rows(row, row, ""),
                Says::AnotherRow => error().in_rows(1, 1, ""),
            }))
        }

        fn check_rows(&mut self, rows: &RecordBatch) -> Result<()> {
            match ids(std::slice::from_ref(rows)).iter().any(|id| self.not_encoded.contains(id)) {
                true => Err(Error::new(ErrorKind::Encode, "not encoded")),
                false => Ok(()),
            }
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
        let branch = Picky { says, refused, not_encoded, stored: Arc::clone(&stored), attempts: Arc::clone(&attempts) };
        let rejects = Arc::new(Rejects::unlimited());
        let mut branch = RejectingBranch::new(Box::new(branch), &rejects);
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
        assert_eq!(attempts(Says::Nothing, 200_000, 1_000_000).await, 4, "one for each 65,536 rows");
        // Per bad row.
        assert!(attempts(Says::ItsRow, 200_000, 1_000).await <= 200 * 5);
        assert!(attempts(Says::Nothing, 200_000, 1_000).await <= 200 * 15);
    }
}
