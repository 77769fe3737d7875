//! What every resource manager must do: one suite, run against each backend and against [`memory`](crate::xa::memory).
//!
//! Each case is a public function whose name is the sentence that it proves; [`check_all`] runs them all, each on a
//! fresh [`Subject`]. A case panics where the promise is broken. For those who write a resource manager of their own:
//!
//! ```no_run
//! # use datafusion_landfall::xa::conformance::{Subject, check_all};
//! # async fn my_subject() -> Subject { unimplemented!() }
//! # async fn test() {
//! check_all(|| Box::pin(my_subject())).await;
//! # }
//! ```

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::xa::{
    Branch, Capability, Decision, DecisionRecord, Epoch, Existing, JobId, OnConflict, Outcome, Positions, Resolution,
    ResourceManager, Vote, WriteSpec, Xid,
};

/// A resource manager with an empty table `landing (id BIGINT PRIMARY KEY, name TEXT)` in it.
pub struct Subject {
    /// The resource manager.
    pub rm: Arc<dyn ResourceManager>,
    /// Counts the table's rows in a session of its own, seeing only what is committed.
    pub count: Box<dyn Fn() -> BoxFuture<'static, usize> + Send + Sync>,
    /// What keeps the table alive.
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

/// Runs every case that fits the capability of the resource manager.
pub async fn check_all(fresh: impl Fn() -> BoxFuture<'static, Subject>) {
    nothing_is_visible_before_the_commit(&fresh().await).await;
    rows_and_record_are_committed_together(&fresh().await).await;
    without_a_record_nothing_is_remembered(&fresh().await).await;
    an_empty_branch_leaves_a_record(&fresh().await).await;
    a_rollback_leaves_the_table_as_it_was(&fresh().await).await;
    a_dropped_branch_is_rolled_back(&fresh().await).await;
    an_overwrite_that_is_rolled_back_keeps_the_old_rows(&fresh().await).await;
    an_overwrite_replaces_all_rows(&fresh().await).await;
    a_branch_is_fenced_by_its_own_epoch(&fresh().await).await;
    a_branch_is_fenced_by_a_later_epoch(&fresh().await).await;
    the_first_decision_stands(&fresh().await).await;
    deciding_again_the_same_changes_nothing(&fresh().await).await;
    jobs_are_decided_apart(&fresh().await).await;
    a_forgotten_epoch_stays_decided(&fresh().await).await;
    forgetting_keeps_the_checkpoint(&fresh().await).await;
    completing_an_unknown_branch_says_so(&fresh().await).await;
    let subject = fresh().await;
    match subject.rm.capability() {
        Capability::OnePhase => preparing_is_refused_and_rolls_back(&subject).await,
        Capability::TwoPhase => {
            a_prepared_branch_waits_for_its_outcome(&subject).await;
            a_prepared_branch_can_be_rolled_back(&fresh().await).await;
            a_branch_that_wrote_nothing_is_read_only(&fresh().await).await;
        }
    }
}

/// Rows of an open branch cannot be seen from another session.
pub async fn nothing_is_visible_before_the_commit(subject: &Subject) {
    let branch = written(subject, &job("j"), 2, Existing::Keep).await;
    subject.has_rows(0).await;
    must(branch.rollback().await);
}

/// A one-phase commit makes rows and record durable at once.
pub async fn rows_and_record_are_committed_together(subject: &Subject) {
    let branch = written(subject, &job("j"), 1, Existing::Keep).await;
    let record = record("j", 1, "a", Decision::Commit);
    assert_eq!(must(branch.commit_one_phase(Some(record.clone())).await), Outcome::Committed);
    subject.has_rows(ROWS).await;
    let state = must(subject.rm.decision_log().read(&job("j")).await);
    assert_eq!((state.last_epoch, state.checkpoint), (Some(Epoch(1)), Some(record)));
}

/// A commit without a record is atomic and leaves no trace in the ledger.
pub async fn without_a_record_nothing_is_remembered(subject: &Subject) {
    let branch = written(subject, &job("j"), 1, Existing::Keep).await;
    assert_eq!(must(branch.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(ROWS).await;
    assert_eq!(must(subject.rm.decision_log().read(&job("j")).await).last_epoch, None);
}

/// An epoch without rows is decided all the same.
pub async fn an_empty_branch_leaves_a_record(subject: &Subject) {
    let branch = must(subject.rm.start(&xid(&job("j"), 1), &spec(Existing::Keep)).await);
    let record = record("j", 1, "a", Decision::Commit);
    assert_eq!(must(branch.commit_one_phase(Some(record.clone())).await), Outcome::Committed);
    assert_eq!(must(subject.rm.decision_log().read(&job("j")).await).checkpoint, Some(record));
}

/// A rollback undoes what was written, and leaves room for the next branch at once.
pub async fn a_rollback_leaves_the_table_as_it_was(subject: &Subject) {
    must(written(subject, &job("j"), 1, Existing::Keep).await.rollback().await);
    subject.has_rows(0).await;
    commit(subject, 2).await;
    subject.has_rows(ROWS).await;
}

/// Dropping a branch undoes what was written.
pub async fn a_dropped_branch_is_rolled_back(subject: &Subject) {
    drop(written(subject, &job("j"), 1, Existing::Keep).await);
    commit(subject, 2).await;
    subject.has_rows(ROWS).await;
}

/// An overwrite that fails has deleted nothing.
pub async fn an_overwrite_that_is_rolled_back_keeps_the_old_rows(subject: &Subject) {
    commit(subject, 1).await;
    must(written(subject, &job("j"), 2, Existing::Delete).await.rollback().await);
    subject.has_rows(ROWS).await;
}

/// An overwrite leaves its own rows only, even where they have the keys of the old ones.
pub async fn an_overwrite_replaces_all_rows(subject: &Subject) {
    commit(subject, 1).await;
    let branch = written(subject, &job("j"), 2, Existing::Delete).await;
    assert_eq!(must(branch.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(ROWS).await;
}

/// A branch whose epoch was decided by another run commits nothing and learns what stands.
pub async fn a_branch_is_fenced_by_its_own_epoch(subject: &Subject) {
    let abort = record("j", 1, "other", Decision::Abort);
    must(subject.rm.decision_log().decide(abort.clone()).await);
    let branch = written(subject, &job("j"), 1, Existing::Keep).await;
    let outcome = must(branch.commit_one_phase(Some(record("j", 1, "a", Decision::Commit))).await);
    assert_eq!(outcome, Outcome::Fenced(abort));
    subject.has_rows(0).await;
}

/// A branch of an epoch that the job has passed commits nothing, though its own epoch has no record.
pub async fn a_branch_is_fenced_by_a_later_epoch(subject: &Subject) {
    let abort = record("j", 3, "other", Decision::Abort);
    must(subject.rm.decision_log().decide(abort.clone()).await);
    let branch = written(subject, &job("j"), 2, Existing::Keep).await;
    let outcome = must(branch.commit_one_phase(Some(record("j", 2, "a", Decision::Commit))).await);
    assert_eq!(outcome, Outcome::Fenced(abort));
    subject.has_rows(0).await;
}

/// The second proposal for an epoch gets the first as its answer.
pub async fn the_first_decision_stands(subject: &Subject) {
    let log = subject.rm.decision_log();
    let first = record("j", 1, "a", Decision::Commit);
    assert_eq!(must(log.decide(first.clone()).await), first);
    assert_eq!(must(log.decide(record("j", 1, "b", Decision::Abort)).await), first);
    assert_eq!(must(log.read(&job("j")).await).checkpoint, Some(first));
}

/// A proposal whose answer was lost can be made again.
pub async fn deciding_again_the_same_changes_nothing(subject: &Subject) {
    let log = subject.rm.decision_log();
    let first = record("j", 1, "a", Decision::Commit);
    assert_eq!(must(log.decide(first.clone()).await), first);
    assert_eq!(must(log.decide(first.clone()).await), first);
}

/// The epochs of one job say nothing about another's.
pub async fn jobs_are_decided_apart(subject: &Subject) {
    let log = subject.rm.decision_log();
    must(log.decide(record("a 'quoted' job", 7, "a", Decision::Commit)).await);
    assert_eq!(must(log.read(&job("b")).await).last_epoch, None);
    let of_b = record("b", 1, "b", Decision::Abort);
    assert_eq!(must(log.decide(of_b.clone()).await), of_b);
    assert_eq!(must(log.read(&job("a 'quoted' job")).await).last_epoch, Some(Epoch(7)));
}

/// An old run cannot slip into an epoch whose record was removed.
pub async fn a_forgotten_epoch_stays_decided(subject: &Subject) {
    let log = subject.rm.decision_log();
    must(log.decide(record("j", 1, "a", Decision::Abort)).await);
    let last = record("j", 2, "b", Decision::Commit);
    must(log.decide(last.clone()).await);
    must(log.forget(&job("j"), Epoch(2)).await);
    assert_eq!(must(log.decide(record("j", 1, "z", Decision::Commit)).await), last);
}

/// Forgetting removes neither the last record nor the last checkpoint.
pub async fn forgetting_keeps_the_checkpoint(subject: &Subject) {
    let log = subject.rm.decision_log();
    let checkpoint = record("j", 1, "a", Decision::Commit);
    must(log.decide(checkpoint.clone()).await);
    must(log.decide(record("j", 2, "b", Decision::Abort)).await);
    must(log.forget(&job("j"), Epoch(9)).await);
    let state = must(log.read(&job("j")).await);
    assert_eq!((state.last_epoch, state.checkpoint), (Some(Epoch(2)), Some(checkpoint)));
}

/// Completing a branch that was never prepared is answered, not an error.
pub async fn completing_an_unknown_branch_says_so(subject: &Subject) {
    let xid = xid(&job("j"), 1);
    assert_eq!(must(subject.rm.commit(&xid).await), Resolution::Unknown);
    assert_eq!(must(subject.rm.rollback(&xid).await), Resolution::Unknown);
    assert_eq!(must(subject.rm.in_doubt(None).await), []);
}

/// A resource manager that cannot prepare says so, and what was written is undone.
pub async fn preparing_is_refused_and_rolls_back(subject: &Subject) {
    let branch = written(subject, &job("j"), 1, Existing::Keep).await;
    match branch.prepare().await {
        Ok(vote) => panic!("a one-phase resource manager voted {vote:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
    }
    subject.has_rows(0).await;
}

/// A prepared branch is listed, invisible, and can be committed by name, once.
pub async fn a_prepared_branch_waits_for_its_outcome(subject: &Subject) {
    let name = xid(&job("j"), 1);
    let branch = written(subject, &job("j"), 1, Existing::Keep).await;
    assert_eq!(must(branch.prepare().await), Vote::Prepared);
    subject.has_rows(0).await;
    assert_eq!(must(subject.rm.in_doubt(Some(&job("j"))).await).len(), 1);
    assert_eq!(must(subject.rm.in_doubt(Some(&job("other"))).await), []);
    assert_eq!(must(subject.rm.commit(&name).await), Resolution::Done);
    subject.has_rows(ROWS).await;
    assert_eq!(must(subject.rm.commit(&name).await), Resolution::Unknown);
    assert_eq!(must(subject.rm.in_doubt(None).await), []);
}

/// A prepared branch can be rolled back by name, once.
pub async fn a_prepared_branch_can_be_rolled_back(subject: &Subject) {
    let name = xid(&job("j"), 1);
    let branch = written(subject, &job("j"), 1, Existing::Keep).await;
    assert_eq!(must(branch.prepare().await), Vote::Prepared);
    assert_eq!(must(subject.rm.rollback(&name).await), Resolution::Done);
    assert_eq!(must(subject.rm.rollback(&name).await), Resolution::Unknown);
    subject.has_rows(0).await;
}

/// A branch without rows has nothing to complete.
pub async fn a_branch_that_wrote_nothing_is_read_only(subject: &Subject) {
    let branch = must(subject.rm.start(&xid(&job("j"), 1), &spec(Existing::Keep)).await);
    assert_eq!(must(branch.prepare().await), Vote::ReadOnly);
    assert_eq!(must(subject.rm.in_doubt(None).await), []);
}

const ROWS: usize = 3;

impl Subject {
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

fn xid(job: &JobId, epoch: u64) -> Xid {
    Xid::new(Some(job), Epoch(epoch), Uuid::nil())
}

fn spec(existing: Existing) -> WriteSpec {
    WriteSpec {
        table: "landing".into(),
        columns: columns(),
        existing,
        on_conflict: OnConflict::Error,
        key: Vec::new(),
        stats: Arc::default(),
    }
}

fn record(job_name: &str, epoch: u64, gtrid: &str, decision: Decision) -> DecisionRecord {
    DecisionRecord {
        job: job(job_name),
        epoch: Epoch(epoch),
        gtrid: gtrid.into(),
        decision,
        rows: 3,
        positions: Positions { table: "landing".into(), end: true },
    }
}

async fn written(subject: &Subject, job: &JobId, epoch: u64, existing: Existing) -> Box<dyn Branch> {
    let mut branch = must(subject.rm.start(&xid(job, epoch), &spec(existing)).await);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("")]));
    let batch = RecordBatch::try_new(columns(), vec![ids, names]);
    must(branch.write(must(batch.map_err(|error| Error::internal(error.to_string())))).await);
    branch
}

async fn commit(subject: &Subject, epoch: u64) {
    let branch = written(subject, &job("j"), epoch, Existing::Keep).await;
    assert_eq!(must(branch.commit_one_phase(None).await), Outcome::Committed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xa::memory::MemoryResource;

    #[tokio::test]
    async fn the_memory_resource_conforms() {
        check_all(|| {
            Box::pin(async {
                let memory = MemoryResource::default();
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
