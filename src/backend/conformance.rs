//! The conformance suite of resource managers. It runs against each backend and against
//! [`memory`](crate::backend::memory).
//!
//! Each case is a public function whose name is the sentence that it tests. [`check_all`] runs all cases, each on a new
//! [`Subject`]. A case panics if the backend violates it. To test your own backend:
//!
//! ```no_run
//! # use datafusion_landfall::backend::conformance::{Subject, check_all};
//! # async fn my_subject() -> Subject { unimplemented!() }
//! # async fn test() {
//! check_all(|| Box::pin(my_subject())).await;
//! # }
//! ```

pub mod transactions;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::backend::{
    Backend, Branch, Capability, DecisionLog, Existing, InDoubt, Outcome, Protocol, Resolution, Vote, WriteSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnConflict;
use crate::txn::{Decision, DecisionRecord, Epoch, Gtrid, JobId, JobNumber, Positions, Xid};

/// A resource manager with an empty table `landing (id BIGINT PRIMARY KEY, name TEXT)` in it.
pub struct Subject {
    /// The resource manager.
    pub rm: Arc<dyn Backend>,
    /// Counts the table's committed rows in a separate session.
    pub count: Box<dyn Fn() -> BoxFuture<'static, usize> + Send + Sync>,
    /// A guard that keeps the table.
    pub guard: Box<dyn Send + Sync>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("rm", &self.rm).finish_non_exhaustive()
    }
}

/// The columns that the suite writes.
pub fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true)]))
}

/// Runs every case that applies to the capability of the resource manager.
pub async fn check_all(fresh: impl Fn() -> BoxFuture<'static, Subject>) {
    nothing_is_visible_before_the_commit(&fresh().await).await;
    what_is_committed_is_visible(&fresh().await).await;
    a_rollback_leaves_the_table_as_it_was(&fresh().await).await;
    a_dropped_branch_is_rolled_back(&fresh().await).await;
    completing_an_unknown_branch_says_so(&fresh().await).await;
    let subject = fresh().await;
    let overwrites = subject.takes(&spec(Existing::Delete, Protocol::OnePhase)).await;
    let upserts = subject.takes(&ignoring(Protocol::TwoPhase)).await;
    if let Some(log) = subject.rm.decision_log() {
        rows_and_record_are_committed_together(&fresh().await).await;
        without_a_record_nothing_is_remembered(&fresh().await).await;
        an_empty_branch_leaves_a_record(&fresh().await).await;
        a_branch_is_fenced_by_its_own_epoch(&fresh().await).await;
        a_branch_is_fenced_by_a_later_epoch(&fresh().await).await;
        check_log(log).await;
    }
    if overwrites {
        an_overwrite_that_is_rolled_back_keeps_the_old_rows(&fresh().await).await;
        an_overwrite_replaces_all_rows(&fresh().await).await;
    }
    transactions::check(&fresh).await;
    let subject = fresh().await;
    match must(subject.rm.capability().await) {
        Capability::OnePhase => preparing_is_refused_and_rolls_back(&subject).await,
        Capability::TwoPhase { .. } => {
            a_prepared_branch_waits_for_its_outcome(&subject).await;
            a_prepared_branch_can_be_rolled_back(&fresh().await).await;
            a_branch_that_wrote_nothing_is_read_only(&fresh().await).await;
            branches_are_prepared_side_by_side(&fresh().await).await;
            if upserts {
                an_upsert_can_be_prepared(&fresh().await).await;
            }
            if overwrites {
                a_prepared_overwrite_keeps_the_old_rows_until_its_commit(&fresh().await).await;
            }
        }
    }
}

/// Runs every case for a decision log, each with separate jobs.
pub async fn check_log(log: Arc<dyn DecisionLog>) {
    the_first_decision_stands(log.as_ref()).await;
    deciding_again_the_same_changes_nothing(log.as_ref()).await;
    jobs_are_decided_apart(log.as_ref()).await;
    a_forgotten_epoch_stays_decided(log.as_ref()).await;
    forgetting_keeps_the_checkpoint(log.as_ref()).await;
    of_several_proposals_at_once_one_stands(Arc::clone(&log)).await;
    jobs_are_listed_until_they_are_removed(log.as_ref()).await;
}

/// Rows of an open branch cannot be seen from another session.
pub async fn nothing_is_visible_before_the_commit(subject: &Subject) {
    let branch = written(subject, &job("j"), 2, Existing::Keep, Protocol::OnePhase).await;
    subject.has_rows(0).await;
    must(branch.rollback().await);
}

/// A one-phase commit without a record makes rows visible.
pub async fn what_is_committed_is_visible(subject: &Subject) {
    commit(subject, 1).await;
    subject.has_rows(ROWS).await;
}

/// A one-phase commit makes rows and record durable at once.
pub async fn rows_and_record_are_committed_together(subject: &Subject) {
    let branch = written(subject, &job("j"), 1, Existing::Keep, Protocol::OnePhase).await;
    let record = record("j", 1, 1, Decision::Commit);
    assert_eq!(must(branch.commit_one_phase(Some(record.clone())).await), Outcome::Committed);
    subject.has_rows(ROWS).await;
    let state = must(subject.log().read(&job("j")).await);
    assert_eq!(state.records(), [record]);
}

/// A commit without a record is atomic and leaves no trace in the ledger.
pub async fn without_a_record_nothing_is_remembered(subject: &Subject) {
    let branch = written(subject, &job("j"), 1, Existing::Keep, Protocol::OnePhase).await;
    assert_eq!(must(branch.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(ROWS).await;
    assert_eq!(must(subject.log().read(&job("j")).await).records(), []);
}

/// An epoch without rows is decided, too.
pub async fn an_empty_branch_leaves_a_record(subject: &Subject) {
    let branch = must(subject.rm.start(&xid(&job("j"), 1), &spec(Existing::Keep, Protocol::OnePhase)).await);
    let record = record("j", 1, 1, Decision::Commit);
    assert_eq!(must(branch.commit_one_phase(Some(record.clone())).await), Outcome::Committed);
    assert_eq!(must(subject.log().read(&job("j")).await).checkpoint(), Some(&record));
}

/// A rollback undoes what was written, and leaves room for the next branch at once.
pub async fn a_rollback_leaves_the_table_as_it_was(subject: &Subject) {
    must(written(subject, &job("j"), 1, Existing::Keep, Protocol::OnePhase).await.rollback().await);
    subject.has_rows(0).await;
    commit(subject, 2).await;
    subject.has_rows(ROWS).await;
}

/// Dropping a branch undoes what was written.
pub async fn a_dropped_branch_is_rolled_back(subject: &Subject) {
    drop(written(subject, &job("j"), 1, Existing::Keep, Protocol::OnePhase).await);
    commit(subject, 2).await;
    subject.has_rows(ROWS).await;
}

/// An overwrite that fails has deleted nothing.
pub async fn an_overwrite_that_is_rolled_back_keeps_the_old_rows(subject: &Subject) {
    commit(subject, 1).await;
    must(written(subject, &job("j"), 2, Existing::Delete, Protocol::OnePhase).await.rollback().await);
    subject.has_rows(ROWS).await;
}

/// An overwrite leaves its own rows only, even where they have the keys of the old ones.
pub async fn an_overwrite_replaces_all_rows(subject: &Subject) {
    commit(subject, 1).await;
    let branch = written(subject, &job("j"), 2, Existing::Delete, Protocol::OnePhase).await;
    assert_eq!(must(branch.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(ROWS).await;
}

/// A branch whose epoch was decided by another run commits nothing and learns what stands.
pub async fn a_branch_is_fenced_by_its_own_epoch(subject: &Subject) {
    let abort = record("j", 1, 2, Decision::Abort);
    must(subject.log().decide(abort.clone()).await);
    let branch = written(subject, &job("j"), 1, Existing::Keep, Protocol::OnePhase).await;
    let outcome = must(branch.commit_one_phase(Some(record("j", 1, 1, Decision::Commit))).await);
    assert_eq!(outcome, Outcome::Fenced(Box::new(abort)));
    subject.has_rows(0).await;
}

/// A branch of an epoch that the job has passed commits nothing, though its own epoch has no record.
pub async fn a_branch_is_fenced_by_a_later_epoch(subject: &Subject) {
    let abort = record("j", 3, 2, Decision::Abort);
    must(subject.log().decide(abort.clone()).await);
    let branch = written(subject, &job("j"), 2, Existing::Keep, Protocol::OnePhase).await;
    let outcome = must(branch.commit_one_phase(Some(record("j", 2, 1, Decision::Commit))).await);
    assert_eq!(outcome, Outcome::Fenced(Box::new(abort)));
    subject.has_rows(0).await;
}

/// The second proposal for an epoch gets the first as its answer.
pub async fn the_first_decision_stands(log: &dyn DecisionLog) {
    let first = record("stands", 1, 1, Decision::Commit);
    assert_eq!(must(log.decide(first.clone()).await), first);
    assert_eq!(must(log.decide(record("stands", 1, 2, Decision::Abort)).await), first);
    assert_eq!(must(log.read(&job("stands")).await).checkpoint(), Some(&first));
}

/// A proposal whose answer was lost can be made again.
pub async fn deciding_again_the_same_changes_nothing(log: &dyn DecisionLog) {
    let first = record("again", 1, 1, Decision::Commit);
    assert_eq!(must(log.decide(first.clone()).await), first);
    assert_eq!(must(log.decide(first.clone()).await), first);
    assert_eq!(must(log.read(&job("again")).await).records(), [first]);
}

/// The epochs of one job say nothing about another's.
pub async fn jobs_are_decided_apart(log: &dyn DecisionLog) {
    let quoted = "a 'quoted' \"job\" / \\ %2F ../ ä";
    must(log.decide(record(quoted, 7, 1, Decision::Commit)).await);
    assert_eq!(must(log.read(&job("apart")).await).records(), []);
    let of_b = record("apart", 1, 2, Decision::Abort);
    assert_eq!(must(log.decide(of_b.clone()).await), of_b);
    assert_eq!(must(log.read(&job(quoted)).await).last().map(|last| last.epoch), Some(Epoch(7)));
}

/// An old run cannot slip into an epoch whose record was removed, nor into one that was passed over.
pub async fn a_forgotten_epoch_stays_decided(log: &dyn DecisionLog) {
    must(log.decide(record("forgotten", 1, 1, Decision::Abort)).await);
    let last = record("forgotten", 2, 2, Decision::Commit);
    must(log.decide(last.clone()).await);
    must(log.forget(&job("forgotten"), Epoch(2)).await);
    for _ in 0..2 {
        assert_eq!(must(log.decide(record("forgotten", 1, 4, Decision::Commit)).await), last);
        assert_eq!(must(log.read(&job("forgotten")).await).records(), std::slice::from_ref(&last));
    }
}

/// Forgetting removes neither the last record nor the last checkpoint.
pub async fn forgetting_keeps_the_checkpoint(log: &dyn DecisionLog) {
    must(log.decide(record("kept", 1, 1, Decision::Abort)).await);
    let checkpoint = record("kept", 2, 1, Decision::Commit);
    must(log.decide(checkpoint.clone()).await);
    let abort = record("kept", 3, 3, Decision::Abort);
    must(log.decide(abort.clone()).await);
    must(log.forget(&job("kept"), Epoch(9)).await);
    assert_eq!(must(log.read(&job("kept")).await).records(), [checkpoint, abort]);
}

/// However many propose at once, all get the same answer.
pub async fn of_several_proposals_at_once_one_stands(log: Arc<dyn DecisionLog>) {
    for epoch in 1..4 {
        let proposers = (0..6).map(|run| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { must(log.decide(record("race", epoch, run, Decision::Commit)).await) })
        });
        let stands = futures::future::join_all(proposers).await;
        let stands: Vec<_> = stands.into_iter().map(Result::ok).collect();
        assert!(stands.iter().all(|record| record.is_some() && *record == stands[0]), "{stands:?}");
        let state = must(log.read(&job("race")).await);
        assert_eq!(state.last(), stands[0].as_ref());
    }
}

/// A job is listed with its records; removing it leaves the others.
pub async fn jobs_are_listed_until_they_are_removed(log: &dyn DecisionLog) {
    let (first, other) = (record("listed", 1, 1, Decision::Abort), record("also", 1, 1, Decision::Abort));
    must(log.decide(first.clone()).await);
    must(log.decide(other).await);
    let listed = async |name| must(log.jobs().await).into_iter().find(|entry| entry.job == job(name));
    assert_eq!(listed("listed").await.map(|entry| entry.state.records().to_vec()), Some(vec![first]));
    must(log.remove(&job("listed")).await);
    assert_eq!(listed("listed").await, None);
    assert!(listed("also").await.is_some());
}

/// Completing a branch that was never prepared is answered, not an error.
pub async fn completing_an_unknown_branch_says_so(subject: &Subject) {
    let xid = xid(&job("j"), 1);
    assert_eq!(must(subject.rm.commit(&xid).await), Resolution::Unknown);
    assert_eq!(must(subject.rm.rollback(&xid).await), Resolution::Unknown);
    assert_eq!(must(subject.rm.in_doubt(None).await), []);
}

/// A resource manager that cannot prepare returns an error, and rolls back what was written.
pub async fn preparing_is_refused_and_rolls_back(subject: &Subject) {
    let branch = written(subject, &job("j"), 1, Existing::Keep, Protocol::TwoPhase).await;
    match branch.prepare().await {
        Ok(vote) => panic!("a one-phase resource manager voted {vote:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
    }
    subject.has_rows(0).await;
}

/// A prepared branch is listed, invisible, and can be committed by name, once.
pub async fn a_prepared_branch_waits_for_its_outcome(subject: &Subject) {
    let name = xid(&job("j"), 1);
    let branch = written(subject, &job("j"), 1, Existing::Keep, Protocol::TwoPhase).await;
    assert_eq!(must(branch.prepare().await), Vote::Prepared);
    subject.has_rows(0).await;
    assert_eq!(names(&must(subject.rm.in_doubt(Some(number(&job("j")))).await)), [name]);
    assert_eq!(names(&must(subject.rm.in_doubt(None).await)), [name]);
    assert_eq!(must(subject.rm.in_doubt(Some(number(&job("other")))).await), []);
    assert_eq!(must(subject.rm.commit(&name).await), Resolution::Done);
    subject.has_rows(ROWS).await;
    assert_eq!(must(subject.rm.commit(&name).await), Resolution::Unknown);
    assert_eq!(must(subject.rm.in_doubt(None).await), []);
}

/// A prepared branch can be rolled back by name, once.
pub async fn a_prepared_branch_can_be_rolled_back(subject: &Subject) {
    let name = xid(&job("j"), 1);
    let branch = written(subject, &job("j"), 1, Existing::Keep, Protocol::TwoPhase).await;
    assert_eq!(must(branch.prepare().await), Vote::Prepared);
    assert_eq!(must(subject.rm.rollback(&name).await), Resolution::Done);
    assert_eq!(must(subject.rm.rollback(&name).await), Resolution::Unknown);
    subject.has_rows(0).await;
}

/// Branches of one epoch are prepared apart, and end apart.
pub async fn branches_are_prepared_side_by_side(subject: &Subject) {
    let (first, second) = (xid(&job("j"), 1), Xid { bqual: 1, ..xid(&job("j"), 1) });
    for (name, ids) in [(first, 0..3), (second, 3..6)] {
        let mut branch = must(subject.rm.start(&name, &spec(Existing::Keep, Protocol::TwoPhase)).await);
        must(branch.write(rows(ids)).await);
        assert_eq!(must(branch.prepare().await), Vote::Prepared);
    }
    assert_eq!(names(&must(subject.rm.in_doubt(None).await)), [first, second]);
    assert_eq!(must(subject.rm.rollback(&first).await), Resolution::Done);
    assert_eq!(must(subject.rm.commit(&second).await), Resolution::Done);
    subject.has_rows(ROWS).await;
}

/// Rows with conflicts can be prepared, too.
pub async fn an_upsert_can_be_prepared(subject: &Subject) {
    commit(subject, 1).await;
    let name = xid(&job("j"), 2);
    let mut branch = must(subject.rm.start(&name, &ignoring(Protocol::TwoPhase)).await);
    must(branch.write(rows(ROWS as i64..5)).await);
    assert_eq!(must(branch.prepare().await), Vote::Prepared);
    assert_eq!(must(subject.rm.commit(&name).await), Resolution::Done);
    subject.has_rows(5).await;
}

/// An overwrite deletes nothing before it is committed.
pub async fn a_prepared_overwrite_keeps_the_old_rows_until_its_commit(subject: &Subject) {
    commit(subject, 1).await;
    let name = xid(&job("j"), 2);
    for (end, left) in [(Decision::Abort, ROWS), (Decision::Commit, 0)] {
        let branch = must(subject.rm.start(&name, &spec(Existing::Delete, Protocol::TwoPhase)).await);
        assert_eq!(must(branch.prepare().await), Vote::Prepared);
        let ended = match end {
            Decision::Commit => subject.rm.commit(&name).await,
            Decision::Abort => subject.rm.rollback(&name).await,
        };
        assert_eq!(must(ended), Resolution::Done);
        subject.has_rows(left).await;
    }
}

/// A branch without rows has nothing to complete.
pub async fn a_branch_that_wrote_nothing_is_read_only(subject: &Subject) {
    let branch = must(subject.rm.start(&xid(&job("j"), 1), &spec(Existing::Keep, Protocol::TwoPhase)).await);
    assert_eq!(must(branch.prepare().await), Vote::ReadOnly);
    assert_eq!(must(subject.rm.in_doubt(None).await), []);
}

const ROWS: usize = 3;

impl Subject {
    fn log(&self) -> Arc<dyn DecisionLog> {
        must(self.rm.decision_log().ok_or_else(|| Error::internal("there is no ledger")))
    }

    /// Whether the database accepts such a write when the statement is planned.
    async fn takes(&self, spec: &WriteSpec) -> bool {
        let table = must(self.rm.table(&spec.table).await);
        let table = must(table.ok_or_else(|| Error::internal("there is no table")));
        self.rm.check(&table, spec).is_ok()
    }

    async fn has_rows(&self, expected: usize) {
        assert_eq!((self.count)().await, expected, "rows visible from another session");
    }
}

fn must<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:?}"),
    }
}

fn job(name: &str) -> JobId {
    must(JobId::try_new(name))
}

/// A number that is derived from the name.
fn number(job: &JobId) -> JobNumber {
    let uuid = Uuid::new_v5(&Uuid::NAMESPACE_OID, job.as_str().as_bytes());
    let gtrid = Gtrid::parse(&format!("landfall-{:016x}-1-{:016x}", uuid.as_u64_pair().0, 0));
    must(gtrid.ok_or_else(|| Error::internal("no gtrid"))).job()
}

fn xid(job: &JobId, epoch: u64) -> Xid {
    Xid { gtrid: Gtrid::new(number(job), Epoch(epoch), Uuid::nil()), bqual: 0 }
}

fn names(found: &[InDoubt]) -> Vec<Xid> {
    let mut names: Vec<_> = found.iter().map(|found| found.xid).collect();
    names.sort();
    names
}

fn spec(existing: Existing, protocol: Protocol) -> WriteSpec {
    WriteSpec { existing, protocol, ..WriteSpec::new("landing", columns()) }
}

fn ignoring(protocol: Protocol) -> WriteSpec {
    let key = vec!["id".to_owned()];
    WriteSpec { on_conflict: OnConflict::Ignore, key, ..spec(Existing::Keep, protocol) }
}

fn record(job_name: &str, epoch: u64, run: u128, decision: Decision) -> DecisionRecord {
    DecisionRecord {
        job: job(job_name),
        epoch: Epoch(epoch),
        gtrid: Gtrid::new(number(&job(job_name)), Epoch(epoch), Uuid::from_u128(run << 64)),
        decision,
        rows: 3,
        positions: Positions::new("landing", true),
    }
}

/// Rows with these ids.
pub fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let names = ids.clone().map(|id| (id % 3 != 1).then_some("a name"));
    let names: ArrayRef = Arc::new(names.collect::<StringArray>());
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    must(RecordBatch::try_new(columns(), vec![ids, names]).map_err(|error| Error::internal(error.to_string())))
}

async fn written(
    subject: &Subject,
    job: &JobId,
    epoch: u64,
    existing: Existing,
    protocol: Protocol,
) -> Box<dyn Branch> {
    let mut branch = must(subject.rm.start(&xid(job, epoch), &spec(existing, protocol)).await);
    must(branch.write(rows(0..ROWS as i64)).await);
    branch
}

async fn commit(subject: &Subject, epoch: u64) {
    let branch = written(subject, &job("j"), epoch, Existing::Keep, Protocol::OnePhase).await;
    assert_eq!(must(branch.commit_one_phase(None).await), Outcome::Committed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::MemoryBackend;

    #[tokio::test]
    async fn the_memory_resource_conforms() {
        check_all(|| {
            Box::pin(async {
                let memory = MemoryBackend::default();
                let counted = memory.clone();
                Subject {
                    rm: Arc::new(memory),
                    count: Box::new(move || {
                        let rows = counted.row_count();
                        Box::pin(async move { rows })
                    }),
                    guard: Box::new(()),
                }
            })
        })
        .await;
    }
}
