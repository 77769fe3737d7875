//! A SQLite file and a session to write it with; the file is looked at by SQLite's own eyes.

use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use datafusion::arrow;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use rusqlite::Connection;
use tempfile::TempDir;

pub struct Landing {
    pub folder: TempDir,
    pub context: SessionContext,
}

impl Landing {
    /// An empty SQLite file `t.db`, after `setup`.
    pub fn new(setup: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let landing = Self { folder, context: session() };
        landing.db().execute_batch(setup).unwrap();
        landing
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("t.db")
    }

    /// SQLite itself.
    pub fn db(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    /// Registers the table `name` of the file under its own name; `columns` can be empty.
    pub async fn register(&self, name: &str, columns: &str, options: &str) -> Result<(), DataFusionError> {
        let options = if options.is_empty() { String::new() } else { format!("OPTIONS ({options})") };
        let file = self.file();
        let sql =
            format!("CREATE EXTERNAL TABLE {name} {columns} STORED AS SQLITE LOCATION '{}' {options}", file.display());
        self.context.sql(&sql).await.map(drop)
    }

    pub async fn sql(&self, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
        self.context.sql(sql).await?.collect().await
    }

    /// The message of a statement that must fail.
    pub async fn error(&self, sql: &str) -> String {
        error(&self.context, sql).await
    }

    /// What SQLite says to a query: a row a line, its values separated by |.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let db = self.db();
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let value = |column| Ok(shown(row.get_ref(column)?));
            Ok((0..columns).map(value).collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }
}

pub fn shown(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(value) => String::from_utf8_lossy(value).into_owned(),
        ValueRef::Blob(value) => format!("{value:?}"),
    }
}

pub fn session() -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(true));
    datafusion_landfall::register(&context);
    context
}

/// The count that a write answers with.
pub fn count(batches: &[RecordBatch]) -> u64 {
    use arrow::array::AsArray;
    batches[0].column(0).as_primitive::<arrow::datatypes::UInt64Type>().value(0)
}

/// Asserts that a message has all these parts.
pub fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "«{part}» is not in: {message}");
    }
}

/// The message of a statement that must fail.
pub async fn error(context: &SessionContext, sql: &str) -> String {
    let run = async { context.sql(sql).await?.collect().await };
    match run.await {
        Ok(batches) => panic!("{sql} succeeded with {}", pretty_format_batches(&batches).unwrap()),
        Err(error) => error.to_string(),
    }
}

/// What DataFusion says to a query, a row a line, its values separated by |.
pub async fn read(context: &SessionContext, sql: &str) -> Vec<String> {
    rows_of(&context.sql(sql).await.unwrap().collect().await.unwrap())
}

/// The rows of batches, a row a line, their values separated by |.
pub fn rows_of(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap());
        let columns: Vec<_> = columns.collect();
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows
}
