//! The cases of changes, of upserts by difference, and of transactions of several statements.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::{ROWS, Subject, commit, job, must, names, rows, spec, xid};
use crate::backend::{
    Capability, Change, Existing, Join, OpenTransaction, Operation, Outcome, Protocol, Query, Repeats, Rescue,
    Resolution, RowChange, Savepoint, Staged, Vote, WriteSpec,
};
use crate::error::{Error, ErrorKind};
use crate::options::{OnConflict, Upsert};

/// Runs the cases that apply to the backend.
pub(super) async fn check(fresh: &impl Fn() -> BoxFuture<'static, Subject>) {
    let subject = fresh().await;
    let table = must(must(subject.rm.table("landing").await).ok_or_else(|| Error::internal("there is no table")));
    let changes = subject.rm.check_change(&table, &staged(Protocol::OnePhase), &change()).is_ok();
    if changes {
        a_change_applies_the_action_of_each_staged_row(&subject).await;
        a_change_that_is_rolled_back_leaves_the_rows(&fresh().await).await;
    }
    let subject = fresh().await;
    if subject.takes(&by_difference()).await {
        a_lookup_finds_the_rows_with_the_keys(&subject).await;
    }
    let subject = fresh().await;
    match subject.rm.begin(&xid(&job("j"), 1), Protocol::OnePhase, None).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return,
        begun => must(must(begun).rollback().await),
    }
    several_statements_are_committed_together(&fresh().await).await;
    several_statements_are_rolled_back_together(&fresh().await).await;
    a_statement_sees_what_the_transaction_wrote(&fresh().await).await;
    a_savepoint_undoes_later_statements(&fresh().await).await;
    a_statement_that_is_rolled_back_hands_the_transaction_over(&fresh().await).await;
    if changes {
        a_change_is_a_statement_of_a_transaction(&fresh().await).await;
    }
    let subject = fresh().await;
    if matches!(must(subject.rm.capability().await), Capability::TwoPhase { .. }) {
        a_transaction_of_several_statements_can_be_prepared(&subject).await;
    }
}

/// Updates row 0, deletes row 1, and inserts row 9.
fn change() -> Arc<Change> {
    let value = |name: &str, index| (name.to_owned(), index);
    let actions = vec![
        RowChange::Update(vec![value("name", 2)]),
        RowChange::Delete,
        RowChange::Insert(vec![value("id", 1), value("name", 2)]),
    ];
    Arc::new(Change {
        verb: "MERGE",
        staged: vec![Staged::Action, Staged::Key("id".to_owned()), Staged::Value("name".to_owned())],
        operation: Operation::ByKey { actions, join: Join::InQuery, repeats: Repeats::Never },
        lock: None,
        done: Arc::default(),
    })
}

fn staged(protocol: Protocol) -> WriteSpec {
    let columns = [("landfall_0", DataType::Int64), ("landfall_1", DataType::Int64), ("landfall_2", DataType::Utf8)];
    let columns = columns.map(|(name, data_type)| Field::new(name, data_type, true));
    WriteSpec { columns: Arc::new(Schema::new(columns.to_vec())), ..spec(Existing::Keep, protocol) }
}

fn staged_rows() -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2, 3])),
        Arc::new(Int64Array::from(vec![0, 1, 9])),
        Arc::new(StringArray::from(vec![Some("changed"), None, Some("new")])),
    ];
    let batch = RecordBatch::try_new(staged(Protocol::OnePhase).columns, columns);
    must(batch.map_err(|error| Error::internal(error.to_string())))
}

/// A change is counted, and applied before the commit.
pub async fn a_change_applies_the_action_of_each_staged_row(subject: &Subject) {
    commit(subject, 1).await;
    let change = change();
    let mut branch = must(subject.rm.start_change(&xid(&job("j"), 2), &staged(Protocol::OnePhase), &change).await);
    must(branch.write(staged_rows()).await);
    must(branch.flush().await);
    subject.has_rows(ROWS).await;
    assert_eq!(must(branch.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(ROWS).await;
    assert_eq!(change.done.get().rows(), 3, "{change:?}");
    // Row 1 is deleted now: a second deletion finds nothing, or is refused.
    let again = self::change();
    let mut branch = must(subject.rm.start_change(&xid(&job("j"), 3), &staged(Protocol::OnePhase), &again).await);
    must(branch.write(staged_rows().slice(1, 1)).await);
    match branch.flush().await {
        Ok(()) => assert_eq!(again.done.get().rows(), 0, "{again:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Constraint),
    }
    must(branch.rollback().await);
    subject.has_rows(ROWS).await;
}

/// A change that was applied, and not committed, changes nothing.
pub async fn a_change_that_is_rolled_back_leaves_the_rows(subject: &Subject) {
    commit(subject, 1).await;
    let delete = Arc::new(Change {
        verb: "TRUNCATE",
        staged: Vec::new(),
        operation: Operation::Truncate,
        lock: None,
        done: Arc::default(),
    });
    let nothing = WriteSpec { columns: Arc::new(Schema::empty()), ..spec(Existing::Keep, Protocol::OnePhase) };
    let mut branch = must(subject.rm.start_change(&xid(&job("j"), 2), &nothing, &delete).await);
    must(branch.flush().await);
    must(branch.rollback().await);
    subject.has_rows(ROWS).await;
}

fn by_difference() -> WriteSpec {
    WriteSpec {
        on_conflict: OnConflict::Update,
        key: vec!["id".to_owned()],
        upsert: Upsert::Diff,
        ..spec(Existing::Keep, Protocol::OnePhase)
    }
}

/// A lookup returns at least the rows with these keys, and the branch can be written after it.
pub async fn a_lookup_finds_the_rows_with_the_keys(subject: &Subject) {
    commit(subject, 1).await;
    let mut branch = must(subject.rm.start(&xid(&job("j"), 2), &by_difference()).await);
    let new = rows(1..5);
    if let Some(answer) = must(branch.lookup(&new).await)
        && let Some(versions) = must(answer.await)
    {
        assert_eq!(versions.new.num_rows(), 4);
        assert!((2..=ROWS).contains(&versions.old.num_rows()), "{versions:?}");
        assert_eq!(versions.key.len(), 1);
    }
    must(branch.write(new).await);
    assert_eq!(must(branch.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(5).await;
}

async fn begin(subject: &Subject, protocol: Protocol) -> Box<dyn OpenTransaction> {
    must(subject.rm.begin(&xid(&job("j"), 1), protocol, None).await)
}

/// Writes rows in a statement.
async fn written(open: Box<dyn OpenTransaction>, ids: std::ops::Range<i64>) -> Box<dyn OpenTransaction> {
    let mut branch = must(open.start(&spec(Existing::Keep, Protocol::OnePhase), None, None).await);
    must(branch.write(rows(ids)).await);
    must(branch.flush().await);
    must(branch.end_statement().await)
}

/// No statement is visible before the commit of all.
pub async fn several_statements_are_committed_together(subject: &Subject) {
    let open = written(written(begin(subject, Protocol::OnePhase).await, 0..3).await, 3..5).await;
    subject.has_rows(0).await;
    assert_eq!(must(open.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(5).await;
}

/// A rollback undoes all statements, and leaves room for the next transaction.
pub async fn several_statements_are_rolled_back_together(subject: &Subject) {
    let open = written(written(begin(subject, Protocol::OnePhase).await, 0..3).await, 3..5).await;
    must(open.rollback().await);
    subject.has_rows(0).await;
    drop(written(begin(subject, Protocol::OnePhase).await, 0..3).await);
    commit(subject, 2).await;
    subject.has_rows(ROWS).await;
}

/// A query between two statements reads what the first one wrote.
pub async fn a_statement_sees_what_the_transaction_wrote(subject: &Subject) {
    commit(subject, 1).await;
    let mut open = written(begin(subject, Protocol::OnePhase).await, 3..7).await;
    assert_eq!(count(subject, open.as_mut()).await, 7);
    let open = written(open, 7..8).await;
    assert_eq!(must(open.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(8).await;
}

/// The number of rows that a transaction sees.
async fn count(subject: &Subject, open: &mut dyn OpenTransaction) -> usize {
    let table = must(subject.rm.table("landing").await);
    let table = Arc::new(must(table.ok_or_else(|| Error::internal("there is no table"))));
    let fields = table.columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let query = Query {
        projection: (0..table.columns.len()).collect(),
        table,
        aggregates: None,
        condition: String::new(),
        parameters: Vec::new(),
        order: Vec::new(),
        limit: None,
        schema,
        batch_size: 2,
    };
    let (sender, mut receiver) = mpsc::channel(2);
    let reading = async {
        must(open.query(&query, &sender).await);
        drop(sender);
    };
    let counting = async {
        let mut rows = 0;
        while let Some(batch) = receiver.recv().await {
            rows += must(batch).num_rows();
        }
        rows
    };
    futures::future::join(reading, counting).await.1
}

/// Rolling back to a savepoint keeps what was written before it; releasing it keeps all.
pub async fn a_savepoint_undoes_later_statements(subject: &Subject) {
    let mut open = written(begin(subject, Protocol::OnePhase).await, 0..1).await;
    must(open.savepoint(Savepoint::Set(0)).await);
    let mut open = written(open, 1..3).await;
    must(open.savepoint(Savepoint::Set(1)).await);
    let mut open = written(open, 3..6).await;
    must(open.savepoint(Savepoint::RollBackTo(0)).await);
    assert_eq!(count(subject, open.as_mut()).await, 1);
    let mut open = written(open, 6..8).await;
    must(open.savepoint(Savepoint::Release(0)).await);
    assert_eq!(must(open.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(3).await;
}

/// With a rescue, a statement that is rolled back hands its transaction over, which returns to a savepoint.
pub async fn a_statement_that_is_rolled_back_hands_the_transaction_over(subject: &Subject) {
    let mut open = written(begin(subject, Protocol::OnePhase).await, 0..2).await;
    must(open.savepoint(Savepoint::Set(7)).await);
    let (rescue, receiver) = Rescue::new();
    let mut branch = must(open.start(&spec(Existing::Keep, Protocol::OnePhase), None, Some(rescue)).await);
    must(branch.write(rows(2..5)).await);
    must(branch.rollback().await);
    let mut open = must(receiver.await.map_err(|_| Error::internal("the transaction was not handed over")));
    must(open.savepoint(Savepoint::RollBackTo(7)).await);
    let open = written(open, 5..6).await;
    assert_eq!(must(open.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(3).await;
}

/// A change sees the rows of earlier statements.
pub async fn a_change_is_a_statement_of_a_transaction(subject: &Subject) {
    let mut open = written(begin(subject, Protocol::OnePhase).await, 0..3).await;
    let (change, spec) = (change(), staged(Protocol::OnePhase));
    must(open.lock(&spec, &change).await);
    let mut branch = must(open.start(&spec, Some(&change), None).await);
    must(branch.write(staged_rows().slice(0, 2)).await);
    must(branch.flush().await);
    let open = must(branch.end_statement().await);
    assert_eq!(must(open.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(2).await;
}

/// A transaction of several statements is prepared as one branch.
pub async fn a_transaction_of_several_statements_can_be_prepared(subject: &Subject) {
    let name = xid(&job("j"), 1);
    let begin = must(subject.rm.begin(&name, Protocol::TwoPhase, None).await);
    let open = two_phase(two_phase(begin, 0..2).await, 2..5).await;
    assert_eq!(must(open.prepare().await), Vote::Prepared);
    subject.has_rows(0).await;
    assert_eq!(names(&must(subject.rm.in_doubt(None).await)), [name]);
    assert_eq!(must(subject.rm.commit(&name).await), Resolution::Done);
    subject.has_rows(5).await;
    // One that stays alone is committed in one phase.
    let alone = must(subject.rm.begin(&xid(&job("j"), 2), Protocol::TwoPhase, None).await);
    let alone = two_phase(alone, 5..6).await;
    assert_eq!(must(alone.commit_one_phase(None).await), Outcome::Committed);
    subject.has_rows(6).await;
    assert_eq!(must(subject.rm.in_doubt(None).await), []);
}

async fn two_phase(open: Box<dyn OpenTransaction>, ids: std::ops::Range<i64>) -> Box<dyn OpenTransaction> {
    let mut branch = must(open.start(&spec(Existing::Keep, Protocol::TwoPhase), None, None).await);
    must(branch.write(rows(ids)).await);
    must(branch.end_statement().await)
}
