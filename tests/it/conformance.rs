//! SQLite keeps the promises of a resource manager.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Schema;
use datafusion_landfall::SinkOptions;
use datafusion_landfall::backend::{Backend, WriteSpec};
use datafusion_landfall::backend::{conformance::Subject, conformance::check_all, conformance::columns};
use datafusion_landfall::sqlite::Sqlite;
use datafusion_landfall::txn::{Epoch, Gtrid, JobNumber, Xid};
use rusqlite::Connection;

use crate::landing::Landing;

async fn conforms(journal_mode: &'static str) {
    check_all(|| {
        Box::pin(async move {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("landing.db");
            let setup = format!(
                "PRAGMA journal_mode = {journal_mode}; CREATE TABLE landing (id BIGINT PRIMARY KEY, name TEXT)"
            );
            Connection::open(&file).unwrap().execute_batch(&setup).unwrap();
            let sqlite = Sqlite::try_new(file.to_str().unwrap(), &SinkOptions::new()).unwrap();
            Subject {
                rm: Arc::new(sqlite),
                count: Box::new(move || {
                    let db = Connection::open(&file).unwrap();
                    let rows = db.query_row("SELECT count(*) FROM landing", [], |row| row.get(0)).unwrap();
                    Box::pin(async move { rows })
                }),
                guard: Box::new(folder),
            }
        })
    })
    .await;
}

#[tokio::test]
async fn sqlite_conforms_with_a_rollback_journal() {
    conforms("delete").await;
}

#[tokio::test]
async fn sqlite_conforms_with_a_write_ahead_log() {
    conforms("wal").await;
}

#[tokio::test]
async fn a_branch_that_refused_a_row_cannot_be_committed() {
    let landing = Landing::new("CREATE TABLE landing (id INTEGER PRIMARY KEY, name TEXT)");
    let sqlite = Sqlite::try_new(landing.file().to_str().unwrap(), &SinkOptions::new()).unwrap();
    let spec = WriteSpec::new("landing", columns());
    let gtrid = Gtrid::new(JobNumber::draw(), Epoch(1), uuid::Uuid::nil());
    let mut branch = sqlite.start(&Xid { gtrid, bqual: 0 }, &spec).await.unwrap();
    let batch = |id: Option<i64>| {
        let nullable =
            columns().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
        let (ids, names) = (Int64Array::from(vec![id]), StringArray::from(vec!["x"]));
        RecordBatch::try_new(Arc::new(Schema::new(nullable)), vec![Arc::new(ids), Arc::new(names)]).unwrap()
    };
    branch.write(batch(Some(1))).await.unwrap();
    branch.write(batch(None)).await.unwrap_err();
    branch.commit_one_phase(None).await.unwrap_err();
    assert_eq!(landing.rows("SELECT count(*) FROM landing"), ["0"]);
}
