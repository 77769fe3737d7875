//! SQLite keeps the promises of a resource manager.

use std::sync::Arc;

use datafusion_landfall::SinkOptions;
use datafusion_landfall::sqlite::Sqlite;
use datafusion_landfall::xa::conformance::{Subject, check_all};
use rusqlite::Connection;

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
