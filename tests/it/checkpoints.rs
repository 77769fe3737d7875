//! Long writes in epochs: what is committed stays, and a job goes on behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::MemTable;
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::Interrupt;
use datafusion_landfall::provider::{PositionedStream, ReplayableSource, ReplayableTable};
use futures::{StreamExt, stream};

use crate::landing::{Landing, count, error, read, says, session};
use crate::mysql::MySql;
use crate::postgres::Postgres;

/// Refuses one row until it is dropped.
const STOP: &str =
    "CREATE TRIGGER stop BEFORE INSERT ON t WHEN NEW.k = 15000 BEGIN SELECT raise(ABORT, 'stopped here'); END";

const TABLE: &str = "CREATE TABLE t (k INTEGER, v TEXT)";

fn stopping() -> Landing {
    Landing::new(&format!("{TABLE}; {STOP}"))
}

impl Landing {
    fn let_go(&self) {
        self.db().execute_batch("DROP TRIGGER stop").unwrap();
    }

    /// Files of so many rows each, as an external table `source`.
    async fn files(&self, format: &str, rows: &[i64]) {
        let folder = self.folder.path().join("source");
        std::fs::create_dir_all(&folder).unwrap();
        let mut first = 1;
        for (number, rows) in rows.iter().enumerate() {
            let file = folder.join(format!("{number:03}.{format}"));
            let query =
                format!("SELECT value AS k, 'v' || value AS v FROM generate_series({first}, {})", first + rows - 1);
            let copy = format!("COPY ({query}) TO '{}' STORED AS {format}", file.display());
            self.sql(&copy).await.unwrap();
            first += rows;
        }
        let create = format!("CREATE EXTERNAL TABLE source STORED AS {format} LOCATION '{}/'", folder.display());
        self.sql(&create).await.unwrap();
    }

    /// Another session, as another process has it.
    async fn anew(&mut self, format: &str, options: &str) {
        self.context = session();
        let source = self.folder.path().join("source");
        let create = format!("CREATE EXTERNAL TABLE source STORED AS {format} LOCATION '{}/'", source.display());
        self.sql(&create).await.unwrap();
        self.register("t", "", options).await.unwrap();
    }

    /// That the table has the rows 1 to `last`, each once.
    fn has(&self, last: u64) {
        let all = format!("{last}|{last}|{}|{last}", last * (last + 1) / 2);
        assert_eq!(self.rows("SELECT count(*), count(DISTINCT k), sum(k), sum(v = 'v' || k) FROM t"), [all]);
    }
}

fn metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |sum| sum.as_usize());
    own + plan.children().into_iter().map(|child| metric(child, name)).sum::<usize>()
}

#[tokio::test]
async fn a_job_goes_on_behind_its_last_checkpoint_and_reads_less() {
    for (format, query) in [
        ("parquet", "SELECT * FROM source WHERE k > 0"),
        ("csv", "SELECT k, v FROM source"),
        ("parquet", "SELECT * FROM source UNION ALL SELECT k, v FROM source WHERE k < 0"),
    ] {
        let landing = stopping();
        landing.files(format, &[2_000, 5_000, 1, 5_999, 7_000, 10_000]).await;
        landing.register("t", "", "'job' 'j', 'checkpoint.rows' '1000'").await.unwrap();
        let insert = format!("INSERT INTO t {query}");
        let message = landing.error(&insert).await;
        says(&message, &["after 14000 committed rows", "rows 14993 to 15000", "stopped here"]);
        landing.has(14_000);
        let checkpoint = "SELECT job, epoch, rows, total_rows, finished FROM landfall_checkpoints('t')";
        assert_eq!(read(&landing.context, checkpoint).await, ["j|15|1000|14000|false"]);

        landing.let_go();
        let whole = landing.context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
        collect(Arc::clone(&whole), landing.context.task_ctx()).await.unwrap();
        let plan = landing.context.sql(&insert).await.unwrap().create_physical_plan().await.unwrap();
        let answer = collect(Arc::clone(&plan), landing.context.task_ctx()).await.unwrap();
        assert_eq!(count(&answer), 16_000);
        landing.has(30_000);
        assert_eq!((metric(&plan, "resumed"), metric(&plan, "epochs")), (14_000, 17));
        let (all, rest) = (metric(&whole, "bytes_scanned"), metric(&plan, "bytes_scanned"));
        if format == "parquet" {
            // Two of the six files, of 17,000 of the 30,000 rows.
            assert!(rest * 10 < all * 8 && rest > 0, "{rest} of {all} bytes were read");
        }
        assert_eq!(count(&landing.sql(&insert).await.unwrap()), 0);
    }
}

#[tokio::test]
async fn a_large_file_is_read_again_from_the_last_piece_only() {
    let landing = Landing::new(&format!("{TABLE}; {}", STOP.replace("15000", "1500000")));
    landing.context.sql("SET datafusion.execution.target_partitions = 1").await.unwrap();
    landing.files("csv", &[2_000_000]).await;
    landing.register("t", "", "'job' 'j', 'checkpoint.rows' '400000'").await.unwrap();
    let insert = "INSERT INTO t SELECT * FROM source";
    says(&landing.error(insert).await, &["after 1200000 committed rows"]);
    // Other cores cut the files otherwise, which must not matter.
    let other = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(7));
    datafusion_landfall::register(&other);
    let source = landing.folder.path().join("source");
    let create = format!("CREATE EXTERNAL TABLE source STORED AS csv LOCATION '{}/'", source.display());
    other.sql(&create).await.unwrap();
    landing.let_go();
    let create = format!(
        "CREATE EXTERNAL TABLE t STORED AS SQLITE LOCATION '{}' OPTIONS ('job' 'j', 'checkpoint.rows' '400000')",
        landing.file().display()
    );
    other.sql(&create).await.unwrap();
    let positions = read(&other, "SELECT positions FROM landfall_checkpoints('t')").await;
    assert!(positions[0].starts_with("{\"done\":0,") || positions[0].starts_with("{\"done\":1,"), "{positions:?}");
    let answer = other.sql(insert).await.unwrap().collect().await.unwrap();
    assert_eq!(count(&answer), 800_000);
    landing.has(2_000_000);
}

#[tokio::test]
async fn a_job_that_began_with_checkpoints_goes_on_without_them() {
    let mut landing = stopping();
    landing.context.sql("SET datafusion.execution.target_partitions = 3").await.unwrap();
    landing.files("csv", &[2_000, 9_000, 9_000]).await;
    landing.register("t", "", "'job' 'j', 'checkpoint.rows' '1000'").await.unwrap();
    let insert = "INSERT INTO t SELECT * FROM source";
    says(&landing.error(insert).await, &["after 14000 committed rows"]);
    landing.let_go();
    landing.anew("csv", "'job' 'j'").await;
    assert_eq!(count(&landing.sql(insert).await.unwrap()), 6_000);
    landing.has(20_000);
}

#[tokio::test]
async fn what_was_written_up_to_a_checkpoint_is_not_overwritten_by_its_job() {
    let landing = stopping();
    landing.files("csv", &[20_000]).await;
    landing.register("t", "", "'job' 'j', 'checkpoint.rows' '1000'").await.unwrap();
    landing.error("INSERT INTO t SELECT * FROM source").await;
    landing.register("whole", "", "'table' 't', 'job' 'j'").await.unwrap();
    let message = landing.error("INSERT OVERWRITE whole SELECT * FROM source").await;
    says(&message, &["job 'j' has run INSERT on table \"t\"", "this INSERT OVERWRITE was not run"]);
    landing.has(14_000);
}

#[tokio::test]
async fn sorted_rows_are_cut_where_their_key_changes() {
    let landing = stopping();
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Utf8, false),
        Field::new("g", DataType::Int64, false),
    ]));
    // Seven rows a key, in another order each time.
    let register = |turn: i64| {
        let ks: Vec<i64> = (0..3_000).flat_map(|g| (0..7).map(move |i| g * 7 + (i + turn) % 7 + 1)).collect();
        let columns: Vec<Arc<dyn datafusion::arrow::array::Array>> = vec![
            Arc::new(Int64Array::from(ks.clone())),
            Arc::new(StringArray::from_iter_values(ks.iter().map(|k| format!("v{k}")))),
            Arc::new(Int64Array::from_iter_values(ks.iter().map(|k| (k - 1) / 7))),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let batches = (0..21).rev().map(|part| batch.slice(part * 1000, 1000)).collect();
        let table = MemTable::try_new(Arc::clone(&schema), vec![batches]).unwrap();
        let _ = landing.context.deregister_table("source");
        landing.context.register_table("source", Arc::new(table)).unwrap();
    };
    register(0);
    landing.sql("SET datafusion.execution.batch_size = 100").await.unwrap();
    landing.register("t", "", "'job' 'j', 'checkpoint.rows' '1000'").await.unwrap();
    let insert = "INSERT INTO t SELECT k, v FROM source ORDER BY (k - 1) / 7";
    says(&landing.error(insert).await, &["committed rows", "stopped here"]);
    let first: u64 = landing.rows("SELECT count(*) FROM t")[0].parse().unwrap();
    assert!(first > 13_000 && first.is_multiple_of(7), "{first} rows");
    landing.let_go();
    register(3);
    assert_eq!(count(&landing.sql(insert).await.unwrap()), 21_000 - first);
    landing.has(21_000);
}

#[tokio::test]
async fn an_input_that_may_bring_other_rows_is_refused_with_what_to_change() {
    let landing = Landing::new(&format!("{TABLE}; CREATE TABLE u (k INTEGER PRIMARY KEY, v TEXT)"));
    landing.files("csv", &[100, 100]).await;
    landing.register("t", "", "'job' 'j', 'checkpoint.rows' '10'").await.unwrap();
    landing.register("u", "", "").await.unwrap();
    let other = Landing::new("CREATE TABLE o (k INTEGER PRIMARY KEY, v TEXT)");
    let create = format!("CREATE EXTERNAL TABLE o STORED AS SQLITE LOCATION '{}'", other.file().display());
    landing.sql(&create).await.unwrap();
    for (query, parts) in [
        (
            "SELECT s.k, s.v FROM source s JOIN source r ON s.k = r.k",
            &["ORDER BY on a unique key", "remove the checkpoint options"][..],
        ),
        ("SELECT k, max(v) FROM source GROUP BY k", &["ORDER BY on a unique key"]),
        ("SELECT * FROM source LIMIT 50", &["LIMIT", "remove the checkpoint options"]),
        ("SELECT * FROM source ORDER BY k LIMIT 50", &["LIMIT", "remove the checkpoint options"]),
        ("SELECT * FROM source WHERE random() < 0.5", &["its filter can return a different result each time"]),
        (
            "SELECT k, v FROM (SELECT k, v, k % 7 AS g FROM source) ORDER BY g",
            &["does not sort by columns of the result", "sort by columns that the statement writes"],
        ),
        (
            "SELECT k, v FROM (SELECT k, v, random() AS r FROM source) WHERE r < 0.5",
            &["its filter can return a different result each time"],
        ),
        (
            "SELECT row_number() OVER () AS k, v FROM source ORDER BY k",
            &["can return different rows for the same input"],
        ),
        ("SELECT k, v FROM source ORDER BY CAST(k AS DOUBLE)", &["is a float", "ORDER BY on a unique key"]),
        (
            "SELECT k, v FROM source WHERE k > (SELECT max(k) FROM o)",
            &["its filter can return a different result each time"],
        ),
        (
            "SELECT * FROM u ORDER BY k",
            &["reads from sqlite:", "could see rows that the statement commits at checkpoints"],
        ),
        ("SELECT * FROM o", &["LandfallScan", "ORDER BY on a unique key"]),
    ] {
        let message = landing.error(&format!("INSERT INTO t {query}")).await;
        says(&message, parts);
        assert_eq!(landing.rows("SELECT name FROM sqlite_schema WHERE name = 'landfall_ledger'"), [""; 0], "{query}");
    }
    says(&landing.error("INSERT OVERWRITE t SELECT * FROM source").await, &["INSERT OVERWRITE", "checkpoint"]);
    // What is sorted, or one epoch, is taken.
    let joined = "INSERT INTO t SELECT s.k, s.v FROM source s JOIN source r ON s.k = r.k ORDER BY s.k";
    assert_eq!(count(&landing.sql(joined).await.unwrap()), 200);
    landing.has(200);
}

#[tokio::test]
async fn an_input_that_was_changed_is_named() {
    let mut landing = stopping();
    landing.files("csv", &[10_000, 10_000]).await;
    let options = "'job' 'j', 'checkpoint.rows' '3000'";
    landing.register("t", "", options).await.unwrap();
    let insert = "INSERT INTO t SELECT * FROM source WHERE k > 0";
    landing.error(insert).await;
    landing.let_go();
    says(
        &landing.error("INSERT INTO t SELECT * FROM source WHERE k > 1").await,
        &["resuming job 'j' after row 12000", "its filter has changed"],
    );
    let file = landing.folder.path().join("source/001.csv");
    let (kept, more) = (std::fs::read(&file).unwrap(), landing.folder.path().join("source/002.csv"));
    let time = std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::write(&file, "k,v\n1,v1\n").unwrap();
    // A session remembers its files.
    says(&landing.error(insert).await, &["001.csv was changed after the query was planned"]);
    landing.anew("csv", options).await;
    says(&landing.error(insert).await, &["001.csv has changed", "rows that are already committed stay in the table"]);
    std::fs::write(&file, kept).unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    std::fs::write(&more, "k,v\n1,v1\n").unwrap();
    landing.anew("csv", options).await;
    says(&landing.error(insert).await, &["the number of its files has changed"]);
    std::fs::remove_file(&more).unwrap();
    landing.anew("csv", options).await;
    assert_eq!(count(&landing.sql(insert).await.unwrap()), 8_000);
    landing.has(20_000);
}

#[tokio::test]
async fn options_that_cannot_be_meant_are_told() {
    let landing = Landing::new(TABLE);
    for (options, parts) in [
        ("'checkpoint.rows' '0'", &["checkpoint.rows", "1 or more"][..]),
        ("'checkpoint.rows' '-3'", &["checkpoint.rows", "1 or more"]),
        ("'checkpoint.bytes' '0'", &["checkpoint.bytes", "64MB"]),
        ("'checkpoint.interval' '0s'", &["checkpoint.interval", "10s"]),
        ("'flush.interval' '5'", &["flush.interval", "500ms"]),
        ("'retry.max' 'often'", &["retry.max", "0 to 1000"]),
        ("'retry.backof' '1s'", &["did you mean 'retry.backoff'?"]),
    ] {
        let error = landing.register("t", "", options).await.unwrap_err();
        says(&error.to_string(), parts);
    }
}

#[tokio::test]
async fn explain_analyze_shows_what_was_read_and_written() {
    let landing = Landing::new(TABLE);
    landing.files("csv", &[1_000]).await;
    landing.register("t", "", "").await.unwrap();
    let query = "SELECT * FROM source WHERE CAST(k AS INT) % 2 = 0";
    let plan = read(&landing.context, &format!("EXPLAIN ANALYZE INSERT INTO t {query}")).await.join("\n");
    says(&plan, &["rows=500", "epochs=1", "ReplayExec: sequential"]);
    let filter = plan.lines().find(|line| line.contains("FilterExec")).expect("a filter");
    says(filter, &["output_rows=500"]);
}

#[tokio::test]
async fn each_limit_ends_an_epoch() {
    for (option, epochs) in [("'checkpoint.rows' '250'", 4..=5), ("'checkpoint.bytes' '1KB'", 5..=40)] {
        let landing = Landing::new(TABLE);
        landing.sql("SET datafusion.execution.batch_size = 100").await.unwrap();
        landing.files("csv", &[1_000]).await;
        landing.register("t", "", option).await.unwrap();
        let plan = landing.context.sql("INSERT INTO t SELECT * FROM source").await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        assert_eq!(count(&collect(Arc::clone(&plan), landing.context.task_ctx()).await.unwrap()), 1_000);
        assert!(epochs.contains(&metric(&plan, "epochs")), "{option}: {} epochs", metric(&plan, "epochs"));
        landing.has(1_000);
    }
}

/// A stream that never ends: rows 1 to `rows` in batches of ten, then silence.
#[derive(Debug)]
struct Silent {
    schema: SchemaRef,
    rows: i64,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, false), Field::new("v", DataType::Utf8, false)]))
}

fn batch(ids: std::ops::Range<i64>) -> RecordBatch {
    let names = StringArray::from_iter_values(ids.clone().map(|k| format!("v{k}")));
    RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(ids)), Arc::new(names)]).unwrap()
}

impl PartitionStream for Silent {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = (1..=self.rows).step_by(10).map(|first| Ok(batch(first..first + 10)));
        let stream = stream::iter(batches.collect::<Vec<_>>()).chain(stream::pending());
        Box::pin(RecordBatchStreamAdapter::new(schema(), stream))
    }
}

/// A session whose writes stop when the interrupt says so.
fn stoppable() -> (SessionContext, Interrupt) {
    let interrupt = Interrupt::new();
    let config = SessionConfig::new().with_extension(Arc::new(interrupt.clone()));
    let context = SessionContext::new_with_config(config);
    datafusion_landfall::register(&context);
    (context, interrupt)
}

#[tokio::test]
async fn a_stream_that_never_ends_is_seen_and_stopped() {
    let mut landing = Landing::new("PRAGMA journal_mode = wal; CREATE TABLE t (k INTEGER, v TEXT)");
    let interrupt;
    (landing.context, interrupt) = stoppable();
    // Two partitions, of which the first never ends.
    let silent = |rows| Arc::new(Silent { schema: schema(), rows }) as Arc<dyn PartitionStream>;
    let table = StreamingTable::try_new(schema(), vec![silent(500), silent(500)]).unwrap().with_infinite_table(true);
    landing.context.register_table("source", Arc::new(table)).unwrap();
    landing.register("t", "", "'checkpoint.interval' '50ms'").await.unwrap();
    says(&landing.error("INSERT OVERWRITE t SELECT * FROM source").await, &["its input is unbounded"]);
    let insert = landing.sql("INSERT INTO t SELECT * FROM source WHERE k <= 495");
    let watch = async {
        let began = Instant::now();
        while landing.rows("SELECT count(*) FROM t") != ["990"] {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", landing.rows("SELECT count(*) FROM t"));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        interrupt.stop();
    };
    let (answer, ()) = tokio::join!(insert, watch);
    assert_eq!(count(&answer.unwrap()), 990);

    landing.register("j", "", "'table' 't', 'job' 'j'").await.unwrap();
    says(&landing.error("INSERT INTO j SELECT * FROM source").await, &["is a stream", "ReplayableSource"]);
}

/// Rows from 1 on in batches of ten, which can be read from any row on; it fails once when it comes to a row.
#[derive(Debug)]
struct Numbers {
    rows: i64,
    ends: bool,
    reads: AtomicUsize,
}

impl ReplayableSource for Numbers {
    fn name(&self) -> String {
        "numbers".into()
    }

    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn read(&self, position: Option<&str>, _: Arc<TaskContext>) -> DfResult<PositionedStream> {
        let first = position.map_or(1, |position| position.parse::<i64>().unwrap() + 1);
        assert!(first == 1 || first % 10 == 1, "read from {first}");
        self.reads.fetch_add(usize::try_from(self.rows - first + 1).unwrap(), Relaxed);
        let batches =
            (first..=self.rows).step_by(10).map(|first| Ok((batch(first..first + 10), (first + 9).to_string())));
        let batches = stream::iter(batches.collect::<Vec<_>>());
        Ok(if self.ends { batches.boxed() } else { batches.chain(stream::pending()).boxed() })
    }
}

#[tokio::test]
async fn a_source_that_can_seek_is_gone_on_with() {
    let mut landing = stopping();
    let interrupt;
    (landing.context, interrupt) = stoppable();
    let source = Arc::new(Numbers { rows: 30_000, ends: false, reads: AtomicUsize::new(0) });
    let table = ReplayableTable::try_new(vec![Arc::clone(&source) as _]).unwrap().unbounded();
    landing.context.register_table("source", Arc::new(table)).unwrap();
    // The projection and the filter are computed batch by batch.
    let insert = "INSERT INTO t (v, k) SELECT v, k FROM source WHERE k % 1000 > 0 OR k > 0";
    landing.register("t", "", "'job' 'j', 'checkpoint.rows' '1000'").await.unwrap();
    says(&landing.error(insert).await, &["after 14000 committed rows", "stopped here"]);
    let plain = "SELECT positions FROM landfall_checkpoints('t')";
    assert_eq!(read(&landing.context, plain).await, [r#"{"done":0,"pieces":{"0":"14000"}}"#]);
    landing.let_go();
    let watch = async {
        while landing.rows("SELECT count(*) FROM t") != ["30000"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        interrupt.stop();
    };
    let (answer, ()) = tokio::join!(landing.sql(insert), watch);
    assert_eq!(count(&answer.unwrap()), 16_000);
    landing.has(30_000);
    assert_eq!(source.reads.load(Relaxed), 30_000 + 16_000);
}

#[tokio::test]
async fn servers_go_on_from_a_checkpoint_with_any_number_of_writers() {
    let rows: Vec<i64> = vec![3_000; 8];
    for (writers, verb) in [(1, "INSERT"), (3, "INSERT"), (3, "REPLACE"), (12, "INSERT")] {
        let postgres = Postgres::with_database("CREATE TABLE t (k bigint PRIMARY KEY, v text)");
        let mysql = MySql::new("CREATE TABLE t (k bigint PRIMARY KEY, v varchar(20))");
        let landing = Landing::new(TABLE);
        landing.files("csv", &rows).await;
        let options = format!("'job' 'j', 'checkpoint.rows' '1700', 'writers' '{writers}', 'retry.max' '0'");
        for (name, stored_as, url) in [("p", "POSTGRES", postgres.url()), ("m", "MYSQL", mysql.url())] {
            let create = format!(
                "CREATE EXTERNAL TABLE {name} STORED AS {stored_as} LOCATION '{url}' OPTIONS ('table' 't', {options})"
            );
            landing.sql(&create).await.unwrap();
        }
        // A duplicate is refused under INSERT, and its epoch with it.
        postgres.rows("ALTER TABLE t ADD CONSTRAINT stop CHECK (k <> 15000)");
        mysql.rows("ALTER TABLE t ADD CONSTRAINT stop CHECK (k <> 15000)");
        for (table, let_go) in [("p", true), ("m", false)] {
            let insert = format!("{verb} INTO {table} SELECT * FROM source");
            let message = landing.error(&insert).await;
            says(&message, &["committed rows"]);
            let all = "SELECT count(*), count(DISTINCT k), sum(k) FROM t";
            match let_go {
                true => drop(postgres.rows("ALTER TABLE t DROP CONSTRAINT stop")),
                false => drop(mysql.rows("ALTER TABLE t DROP CONSTRAINT stop")),
            }
            let rest = count(&landing.sql(&insert).await.unwrap());
            assert!(rest < 24_000 && (24_000 - rest).is_multiple_of(1_700), "{table}, {writers} writers: {rest} rows");
            let found = if let_go { postgres.rows(all) } else { mysql.rows(all) };
            assert_eq!(found, ["24000|24000|288012000"], "{table}, {writers} writers, {verb}");
        }
        assert_eq!(postgres.rows("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"), ["0"]);
    }
}

#[tokio::test]
async fn the_same_keys_in_many_epochs_do_not_wait_for_each_other_for_ever() {
    let postgres = Postgres::new("CREATE TABLE t (k bigint PRIMARY KEY, v text)");
    for (writers, job) in [(1, "one"), (2, "two")] {
        let options = format!("'on_conflict' 'update', 'job' '{job}', 'checkpoint.rows' '500', 'writers' '{writers}'");
        postgres.register(job, "", &format!("'table' 't', {options}")).await.unwrap();
        let query = "SELECT value % 300 AS k, 'v' || value AS v FROM generate_series(1, 20000)";
        assert_eq!(count(&postgres.sql(&format!("INSERT INTO {job} {query}")).await.unwrap()), 20_000);
        // The last row of a key wins, across epochs as in one.
        assert_eq!(
            postgres.rows("SELECT count(*), min(substr(v, 2)::int), max(substr(v, 2)::int) FROM t"),
            ["300|19701|20000"]
        );
    }
}

#[tokio::test]
async fn an_epoch_does_not_wait_for_the_tables_of_the_one_before() {
    let postgres = Postgres::with_database("CREATE TABLE t (k bigint PRIMARY KEY, v text)");
    let options = "'on_conflict' 'update', 'commit' 'two_phase', 'checkpoint.rows' '40000', 'lock_timeout' '100ms'";
    postgres.register("t", "", &format!("{options}, 'retry.max' '0'")).await.unwrap();
    let insert = "INSERT INTO t SELECT value, 'v' || value FROM generate_series(1, 200000)";
    assert_eq!(count(&postgres.sql(insert).await.unwrap()), 200_000);
    assert_eq!(postgres.rows("SELECT count(*) FROM t"), ["200000"]);
}

#[tokio::test]
async fn a_lost_connection_is_gone_on_from_by_itself() {
    let postgres = Postgres::with_database("CREATE TABLE t (k bigint, v text)");
    let name = postgres.database.clone();
    for (options, is_job) in
        [("'job' 'j', 'checkpoint.rows' '20000', ", true), ("'checkpoint.rows' '20000', ", false), ("", false)]
    {
        postgres.rows("TRUNCATE t");
        let landing = Landing::new("");
        let create = format!(
            "CREATE EXTERNAL TABLE p STORED AS POSTGRES LOCATION '{}' OPTIONS ({options}'table' 't', 'retry.backoff' '20ms', 'writers' '1')",
            postgres.url()
        );
        landing.sql(&create).await.unwrap();
        let insert = "INSERT INTO p SELECT value, 'v' || value FROM generate_series(1, 600000)";
        let plan = landing.context.sql(insert).await.unwrap().create_physical_plan().await.unwrap();
        let task = landing.context.task_ctx();
        let write = tokio::spawn(collect(Arc::clone(&plan), task));
        // Whoever writes to the table is sent away, twice; not one that waits for its next epoch, whom nobody would miss.
        let mut sent_away = 0;
        while sent_away < 2 && !write.is_finished() {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let kill = format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}' AND \
                 application_name = 'landfall' AND xact_start IS NOT NULL"
            );
            let killed: i32 = postgres.rows(&kill)[0].parse().unwrap();
            sent_away += i32::from(killed > 0);
        }
        let answer = match write.await.unwrap() {
            Ok(answer) => answer,
            // Nobody can know, without a job.
            Err(error) if !is_job && error.to_string().contains("the connection was lost during the commit") => {
                continue;
            }
            Err(error) => panic!("{options}: {error}"),
        };
        assert_eq!(count(&answer), 600_000, "{options}");
        assert_eq!(postgres.rows("SELECT count(*), sum(k) FROM t"), ["600000|180000300000"], "{options}");
        assert!(sent_away == 0 || metric(&plan, "retries") > 0, "{options}: nobody was sent away");
    }
}

#[tokio::test]
async fn a_fan_out_has_checkpoints_of_its_own() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER, v TEXT)");
    let postgres = Postgres::with_database("CREATE TABLE t (k bigint, v text)");
    landing.files("csv", &[5_000, 5_000]).await;
    landing.register("a", "", "'table' 't'").await.unwrap();
    let create =
        format!("CREATE EXTERNAL TABLE b STORED AS POSTGRES LOCATION '{}' OPTIONS ('table' 't')", postgres.url());
    landing.sql(&create).await.unwrap();
    let both =
        "CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b' OPTIONS ('job' 'j', 'checkpoint.rows' '900')";
    landing.sql(both).await.unwrap();
    assert_eq!(count(&landing.sql("INSERT INTO both SELECT * FROM source").await.unwrap()), 10_000);
    landing.has(10_000);
    assert_eq!(postgres.rows("SELECT count(*), count(DISTINCT k) FROM t"), ["10000|10000"]);
    let checkpoint = "SELECT total_rows, finished FROM landfall_checkpoints('both')";
    assert_eq!(read(&landing.context, checkpoint).await, ["10000|true"]);
    // A member's own option would cut the others' transaction.
    landing.register("c", "", "'table' 't', 'checkpoint.rows' '5'").await.unwrap();
    let message = landing.error("CREATE EXTERNAL TABLE no STORED AS FANOUT LOCATION 'c, b'").await;
    says(&message, &["'checkpoint.…'", "set the option on the FANOUT table"]);
}

#[tokio::test]
async fn checkpoints_are_shown_for_tables_that_have_some() {
    let context = session();
    says(&error(&context, "SELECT * FROM landfall_checkpoints('none')").await, &["table none does not exist"]);
    says(&error(&context, "SELECT * FROM landfall_checkpoints()").await, &["landfall_checkpoints('t')"]);
    let table = MemTable::try_new(schema(), vec![vec![]]).unwrap();
    context.register_table("memory", Arc::new(table)).unwrap();
    says(&error(&context, "SELECT * FROM landfall_checkpoints('memory')").await, &["memory", "has no checkpoints"]);
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    assert_eq!(read(&landing.context, "SELECT * FROM landfall_checkpoints('t')").await, [""; 0]);
}

#[tokio::test]
async fn files_that_are_read_in_another_way_are_another_input() {
    let mut landing = stopping();
    landing.files("csv", &[20_000]).await;
    landing.register("t", "", "'job' 'j', 'checkpoint.rows' '1000'").await.unwrap();
    let read_as = async |landing: &Landing, options: &str| {
        landing.sql("DROP TABLE source").await.unwrap();
        let folder = landing.folder.path().join("source");
        let columns = "CREATE EXTERNAL TABLE source (k BIGINT, v VARCHAR) STORED AS CSV";
        landing.sql(&format!("{columns} LOCATION '{}/' {options}", folder.display())).await.unwrap();
    };
    read_as(&landing, "").await;
    let insert = "INSERT INTO t SELECT * FROM source";
    landing.error(insert).await;
    landing.let_go();
    let there = landing.rows("SELECT count(*) FROM t");
    landing.anew("csv", "'job' 'j', 'checkpoint.rows' '1000'").await;
    for option in [
        "'format.has_header' 'false'",
        "'format.quote' ''''",
        "'format.escape' '\\'",
        "'format.comment' '#'",
        "'format.terminator' ';'",
        "'format.newlines_in_values' 'true'",
        "'format.truncated_rows' 'true'",
    ] {
        read_as(&landing, &format!("OPTIONS ({option})")).await;
        says(&landing.error(insert).await, &["job 'j'", "the options 'format.…'"]);
        assert_eq!(landing.rows("SELECT count(*) FROM t"), there, "{option}");
    }
}
