//! A database of another crate, on the public API alone: the example `backend_parquet`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use datafusion_landfall::backend::conformance::{Subject, check_all, columns};
use datafusion_landfall::backend::{Backend, BackendFactory, NewTable};
use datafusion_landfall::{LandfallTable, SinkOptions, register, register_backend, sql};
use rusqlite::Connection;

use crate::landing::{error, says};
use crate::program::texts;

#[allow(dead_code)]
#[path = "../../examples/backend_parquet.rs"]
mod backend_parquet;

use backend_parquet::FolderFactory;

fn folder(path: &Path) -> Arc<dyn Backend> {
    FolderFactory.open(path.to_str().unwrap(), &SinkOptions::new()).unwrap()
}

/// Committed rows, as DataFusion's own reader of Parquet finds them.
async fn rows(table: &Path) -> usize {
    let context = SessionContext::new();
    let files = context.read_parquet(format!("{}/", table.display()), ParquetReadOptions::default()).await.unwrap();
    files.count().await.unwrap()
}

#[tokio::test]
async fn a_folder_keeps_the_promises_of_a_database() {
    check_all(|| {
        Box::pin(async {
            let files = tempfile::tempdir().unwrap();
            let rm = folder(files.path());
            let columns = columns();
            let nullable = columns.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
            let landing = NewTable {
                name: "landing".into(),
                schema: Arc::new(Schema::new(nullable.collect::<Vec<_>>())),
                primary_key: vec![],
                unique_keys: vec![],
                defaults: Default::default(),
            };
            rm.create_table(&landing).await.unwrap();
            let table = files.path().join("landing");
            Subject { rm, count: Box::new(move || Box::pin(count(table.clone()))), guard: Box::new(files) }
        })
    })
    .await;
}

async fn count(table: PathBuf) -> usize {
    rows(&table).await
}

async fn session(path: &Path) -> SessionContext {
    let context = SessionContext::new();
    register(&context);
    register_backend(&context, Arc::new(FolderFactory)).unwrap();
    let table =
        format!("CREATE EXTERNAL TABLE t (id BIGINT, name VARCHAR) STORED AS PARQUETDIR LOCATION '{}'", path.display());
    sql(&context, &table).await.unwrap();
    context
}

#[tokio::test]
async fn what_a_database_cannot_do_is_refused_when_the_plan_is_made() {
    let files = tempfile::tempdir().unwrap();
    let context = session(files.path()).await;
    let insert = "INSERT INTO t VALUES (1, 'a'), (2, NULL)";
    sql(&context, insert).await.unwrap().collect().await.unwrap();
    for (statement, what) in [
        ("UPDATE t SET name = 'b' WHERE id = 1", "UPDATE is not supported: use INSERT INTO"),
        ("DELETE FROM t WHERE id = 1", "DELETE is not supported: use INSERT INTO"),
        ("INSERT OVERWRITE t VALUES (3, 'c')", "INSERT OVERWRITE is not supported: use INSERT INTO"),
        ("REPLACE INTO t VALUES (3, 'c')", "REPLACE INTO requires a key"),
    ] {
        says(&error(&context, statement).await, &[what]);
    }
    for (options, why) in [
        ("'job' 'j'", &["has no ledger", "a job needs one: set the option 'log'"][..]),
        ("'commit' 'two_phase'", &["two-phase commit needs one: set the option 'log'"]),
    ] {
        let create = format!(
            "CREATE EXTERNAL TABLE {name} STORED AS PARQUETDIR LOCATION '{}' OPTIONS ('table' 't', {options})",
            files.path().display(),
            name = options.replace(['\'', ' '], "")
        );
        sql(&context, &create).await.unwrap();
        says(&error(&context, &insert.replace(" t ", &format!(" {} ", options.replace(['\'', ' '], "")))).await, why);
    }
    assert_eq!(rows(&files.path().join("t")).await, 2);
}

#[tokio::test]
async fn rows_are_read_by_columns_conditions_and_limits() {
    let files = tempfile::tempdir().unwrap();
    let context = session(files.path()).await;
    let query = |text: &'static str| {
        let context = context.clone();
        async move { crate::landing::rows_of(&sql(&context, text).await.unwrap().collect().await.unwrap()) }
    };
    query("INSERT INTO t SELECT value, 'n' || value FROM generate_series(1, 20000)").await;
    query("INSERT INTO t (id) VALUES (20001)").await;
    assert_eq!(query("SELECT count(*) FROM t").await, ["20001"]);
    assert_eq!(query("SELECT name, id FROM t WHERE id IN (7, 20001) ORDER BY id DESC").await, ["NULL|20001", "n7|7"]);
    assert_eq!(query("SELECT count(*) FROM (SELECT name FROM t LIMIT 8195)").await, ["8195"]);
    assert_eq!(query("SELECT count(*) FROM t WHERE name IS NULL").await, ["1"]);
}

#[tokio::test]
async fn options_of_its_own_are_checked_and_known_by_their_neighbours() {
    let files = tempfile::tempdir().unwrap();
    let context = session(files.path()).await;
    for (option, why) in [
        ("'row_group.rows' '0'", &["option 'row_group.rows' cannot be '0'", "1 or more"][..]),
        ("'row_group.row' '5'", &["unknown option 'row_group.row'", "did you mean 'row_group.rows'?"]),
        ("'pragma.synchronous' 'off'", &["unknown option 'pragma.synchronous'"]),
    ] {
        let create = format!(
            "CREATE EXTERNAL TABLE o STORED AS PARQUETDIR LOCATION '{}' OPTIONS ('table' 't', {option})",
            files.path().display()
        );
        says(&error(&context, &create).await, why);
    }
    let url = format!("parquetdir:{}", files.path().display());
    let wrong =
        LandfallTable::connect(&url, "t", SinkOptions::new().with_own("row_group.rows", "x")).await.unwrap_err();
    says(&wrong.to_string(), &["option 'row_group.rows' cannot be 'x'"]);
    let other = LandfallTable::connect("sqlite:x.db", "t", SinkOptions::new().with_own("row_group.rows", "5"));
    says(&other.await.unwrap_err().to_string(), &["unknown option 'row_group.rows'"]);
    let right = SinkOptions::new().with_own("row_group.rows", "5");
    assert!(LandfallTable::connect(&url, "t", right).await.is_ok());
}

/// Runs the example, perhaps until a point of the protocol.
fn example(statements: &[String], failpoint: Option<&str>) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_landfall")).parent().unwrap().join("examples/backend_parquet");
    let mut command = Command::new(program);
    if let Some(point) = failpoint {
        command.env("FAILPOINTS", format!("{point}=return"));
    }
    command.args(statements).output().unwrap()
}

#[test]
fn the_example_writes_two_databases_in_one_transaction() {
    let output = example(&[], None);
    assert!(output.status.success(), "{output:?}");
    says(&texts(&output).0, &["| 1  | Ada", "| 2  | Grace"]);
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_kill_between_prepare_and_commit_loses_and_doubles_nothing() {
    for (point, is_decided) in [
        ("prepare.one", false),
        ("prepare.all", false),
        ("last_agent.before", false),
        ("last_agent.after", true),
        ("complete.before", true),
    ] {
        let files = tempfile::tempdir().unwrap();
        let path = files.path().display();
        let statements = [
            format!("CREATE EXTERNAL TABLE files (id BIGINT, name VARCHAR) STORED AS PARQUETDIR LOCATION '{path}'"),
            format!("CREATE EXTERNAL TABLE lite (id BIGINT, name VARCHAR) STORED AS SQLITE LOCATION '{path}/lite.db'"),
            "CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'files, lite' OPTIONS ('job' 'j')".to_owned(),
            "INSERT INTO both SELECT value, 'n' || value FROM generate_series(1, 1000)".to_owned(),
        ];
        let counts = async || {
            let db = Connection::open(files.path().join("lite.db")).unwrap();
            let lite: i64 = db.query_row("SELECT count(*) FROM lite", [], |row| row.get(0)).unwrap();
            (rows(&files.path().join("files")).await, lite)
        };
        let killed = example(&statements, Some(point));
        assert!(!killed.status.success(), "{point}: {killed:?}");
        assert_eq!(counts().await, (0, if is_decided { 1000 } else { 0 }), "{point}");
        for _ in 0..2 {
            let again = example(&statements, None);
            assert!(again.status.success(), "{point}: {again:?}");
            assert_eq!(counts().await, (1000, 1000), "{point}");
        }
        let left = std::fs::read_dir(files.path().join("files")).unwrap();
        let left = left.map(|entry| entry.unwrap().path()).filter(|file| file.extension().unwrap() == "prepared");
        assert_eq!(left.count(), 0, "{point}");
    }
}

#[tokio::test]
async fn a_new_table_of_a_database_without_ledger_takes_a_job_with_a_log() {
    let files = tempfile::tempdir().unwrap();
    let context = session(files.path()).await;
    let create = format!(
        "CREATE EXTERNAL TABLE once STORED AS PARQUETDIR LOCATION '{path}' \
         OPTIONS ('table' 't', 'job' 'j', 'log' 'sqlite:{path}/log.db', 'writers' '2', 'row_group.rows' '7')",
        path = files.path().display()
    );
    Connection::open(files.path().join("log.db")).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
    sql(&context, &create).await.unwrap();
    for _ in 0..2 {
        let insert = sql(&context, "INSERT INTO once SELECT value, 'x' FROM generate_series(1, 100)").await.unwrap();
        insert.collect().await.unwrap();
    }
    assert_eq!(rows(&files.path().join("t")).await, 100);
}
