//! The measured database, and the table that is created in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use uuid::Uuid;

use crate::message::Failure;
use datafusion_landfall::backend::{Backend, NewTable, Parameter, Scan};
use datafusion_landfall::error::{Error, ErrorKind, Result};
use datafusion_landfall::options::SinkOptions;
use datafusion_landfall::{LandfallTable, database};

/// A database, and rows for a table with a unique name.
pub(crate) struct Subject {
    url: String,
    pub(crate) database: Arc<dyn Backend>,
    base: SinkOptions,
    table: String,
    ledger: String,
    /// The temporary database file, which is removed at the end.
    own_file: Option<std::path::PathBuf>,
    /// Whether the table may exist.
    is_created: AtomicBool,
    context: SessionContext,
    schema: SchemaRef,
    /// The rows, and the same rows with one of a hundred changed.
    versions: [Vec<RecordBatch>; 2],
}

/// The number of rows of a multi-row INSERT.
const MANY: usize = 1_000;

impl Subject {
    pub(crate) async fn open(url: Option<String>, password_env: Option<&str>, rows: u32) -> Result<Self, Failure> {
        let tag = Uuid::new_v4().simple().to_string();
        let (url, own_file) = match url {
            Some(url) => (url, None),
            None => {
                let file = std::env::temp_dir().join(format!("landfall_bench_{tag}.db"));
                (format!("sqlite:{}", file.display()), Some(file))
            }
        };
        let (table, ledger) = (format!("landfall_bench_{}", &tag[..12]), format!("landfall_bench_{}_log", &tag[..12]));
        let mut base = SinkOptions::new().with_ledger_table(&ledger)?;
        if let Some(variable) = password_env {
            base = base.with_password_env(variable)?;
        }
        let database = database(&url, &base)?;
        let context = SessionContext::new();
        let rows_of = |kind: &str| {
            format!(
                "SELECT value AS id, value * 7919 % 100000 AS user_id, {kind} AS kind, value / 100.0 AS amount, \
                 to_timestamp_micros(1704067200000000 + value * 1000003) AS ts FROM generate_series(1, {rows})"
            )
        };
        let kind = "'kind of event ' || (value % 5)";
        let changed = format!("CASE WHEN value % 100 = 0 THEN 'another kind' ELSE {kind} END");
        let mut versions = Vec::with_capacity(2);
        for kind in [kind, &changed] {
            versions.push(context.sql(&rows_of(kind)).await?.collect().await?);
        }
        let schema = versions.first().and_then(|batches| batches.first()).map(RecordBatch::schema);
        let schema = schema.ok_or_else(|| Error::new(ErrorKind::Internal, "there are no rows to measure with"))?;
        let versions = versions
            .try_into()
            .map_err(|_| Error::new(ErrorKind::Internal, "there must be two versions of the rows"))?;
        let is_created = AtomicBool::new(false);
        Ok(Self { url, database, base, table, ledger, own_file, is_created, context, schema, versions })
    }

    pub(crate) fn location(&self) -> String {
        self.database.location()
    }

    /// The default options of a write.
    pub(crate) fn options(&self) -> SinkOptions {
        self.base.clone()
    }

    /// Drops the table, and creates it again.
    pub(crate) async fn fresh(&self) -> Result<()> {
        self.drop_table(&self.table).await?;
        let table = NewTable {
            name: self.table.clone(),
            schema: Arc::clone(&self.schema),
            primary_key: vec!["id".into()],
            unique_keys: vec![],
            defaults: Default::default(),
        };
        self.is_created.store(true, Relaxed);
        self.database.create_table(&table).await
    }

    /// Drops the created objects, and removes a temporary SQLite file.
    pub(crate) async fn clean_up(&self) -> Result<()> {
        let done = match self.is_created.load(Relaxed) {
            true => match self.drop_table(&self.table).await {
                Ok(()) => self.drop_table(&self.ledger).await,
                failed => failed,
            },
            false => Ok(()),
        };
        if let Some(file) = &self.own_file {
            for end in ["", "-wal", "-shm", "-journal"] {
                // Not all of these files exist.
                let _ = std::fs::remove_file(format!("{}{end}", file.display()));
            }
            return Ok(());
        }
        done.map_err(|error| {
            error.with_context(format!("dropping {} and {} (drop them manually)", self.table, self.ledger))
        })
    }

    async fn drop_table(&self, name: &str) -> Result<()> {
        self.database.run(format!("DROP TABLE IF EXISTS {name}"), vec![vec![]]).await
    }

    /// Measures an INSERT INTO of a version of the rows, or of its first rows.
    pub(crate) async fn land(&self, options: SinkOptions, version: usize, rows: usize) -> Result<Duration, Failure> {
        let mut left = rows;
        let mut batches = Vec::new();
        for batch in &self.versions[version] {
            batches.push(batch.slice(0, batch.num_rows().min(left)));
            left -= batch.num_rows().min(left);
        }
        let source = MemTable::try_new(Arc::clone(&self.schema), vec![batches])?;
        let table = LandfallTable::connect(&self.url, &self.table, options).await?;
        self.context.register_table("source", Arc::new(source))?;
        self.context.register_table("target", Arc::new(table))?;
        let began = Instant::now();
        let landed = async { self.context.sql("INSERT INTO target SELECT * FROM source").await?.collect().await }.await;
        let took = began.elapsed();
        self.context.deregister_table("source")?;
        self.context.deregister_table("target")?;
        landed?;
        Ok(took)
    }

    /// Measures INSERTs of some rows each, prepared once, in one transaction.
    pub(crate) async fn insert(&self, rows: usize, each: Each) -> Result<Duration> {
        let at_once = match each {
            Each::Row => 1,
            Each::Many => MANY,
        };
        let statement = self.insert_statement(at_once);
        let mut first = Vec::with_capacity(rows);
        for batch in &self.versions[0] {
            let left = batch.num_rows().min(rows - first.len());
            first.extend(values(&batch.slice(0, left))?);
        }
        if first.len() < rows || !rows.is_multiple_of(at_once) {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("cannot insert {rows} of {} rows in INSERTs of {at_once}", first.len()),
            ));
        }
        let parameters = first.chunks(at_once).map(<[_]>::concat).collect();
        let began = Instant::now();
        self.database.run(statement, parameters).await?;
        Ok(began.elapsed())
    }

    fn insert_statement(&self, rows: usize) -> String {
        let dialect = self.database.scan().and_then(Scan::dialect);
        let place = |row: usize, column: usize| match dialect {
            Some(dialect) => dialect.parameter(row * 5 + column, self.schema.field(column - 1).data_type()),
            None => "?".into(),
        };
        let row = |row| format!("({})", (1..=5).map(|column| place(row, column)).collect::<Vec<_>>().join(", "));
        let rows = (0..rows).map(row).collect::<Vec<_>>().join(", ");
        format!("INSERT INTO {} (id, user_id, kind, amount, ts) VALUES {rows}", self.table)
    }
}

/// The number of rows of an INSERT.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Each {
    Row,
    Many,
}

/// The number of rows that are inserted in this way, out of this many.
impl Each {
    pub(crate) fn rows_of(self, rows: usize) -> usize {
        match self {
            Self::Row => (rows / 20).max(1_000),
            Self::Many => (rows / 4).max(MANY) / MANY * MANY,
        }
    }
}

/// The values of each row.
fn values(batch: &RecordBatch) -> Result<Vec<Vec<Parameter>>> {
    let text = |index: usize| {
        cast(batch.column(index), &DataType::Utf8).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
    };
    let (kinds, times) = (text(2)?, text(4)?);
    let (kinds, times) = (kinds.as_string::<i32>(), times.as_string::<i32>());
    let (ids, users) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
    let amounts = batch.column(3).as_primitive::<Float64Type>();
    let row = |row: usize| {
        vec![
            Parameter::Integer(ids.value(row)),
            Parameter::Integer(users.value(row)),
            Parameter::Text(kinds.value(row).to_owned()),
            Parameter::Real(amounts.value(row)),
            Parameter::Text(times.value(row).replace('T', " ")),
        ]
    };
    Ok((0..batch.num_rows()).map(row).collect())
}
