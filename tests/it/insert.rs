//! INSERT INTO, INSERT OVERWRITE, REPLACE INTO and on_conflict, from SQL and from code.

use datafusion::arrow::array::{Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::logical_expr::dml::InsertOp;
use datafusion_landfall::{ErrorKind, LandfallTable, OnConflict, SinkOptions};
use std::sync::Arc;

use crate::landing::{Landing, count, says};

const TABLE: &str = "CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT, b TEXT DEFAULT 'fresh');
    INSERT INTO t VALUES (1, 'one', 'old'), (2, 'two', 'old')";

#[tokio::test]
async fn rows_of_a_query_are_appended() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    let answer = landing.sql("INSERT INTO t VALUES (3, 'three', 'new'), (4, NULL, '')").await.unwrap();
    assert_eq!(count(&answer), 2);
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|one|old", "2|two|old", "3|three|new", "4|NULL|"]);
}

#[tokio::test]
async fn sqlite_numbers_rows_behind_those_that_were_given() {
    let landing = Landing::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT); CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT)",
    );
    for table in ["t", "u"] {
        landing.register(table, "", "").await.unwrap();
        landing.sql(&format!("INSERT INTO {table} VALUES (0, 'zero'), (7, 'seven'), (5, 'five')")).await.unwrap();
        landing.sql(&format!("INSERT INTO {table} (v) VALUES ('next')")).await.unwrap();
        landing.sql(&format!("REPLACE INTO {table} VALUES (20, 'a')")).await.unwrap();
        landing.db().execute_batch(&format!("INSERT INTO {table} (v) VALUES ('own')")).unwrap();
        assert_eq!(landing.rows(&format!("SELECT id FROM {table} ORDER BY id")), ["0", "5", "7", "8", "20", "21"]);
    }
    landing.register("w", "", "'table' 't', 'overwrite' 'truncate'").await.unwrap();
    says(&landing.error("INSERT OVERWRITE w VALUES (1, 'a')").await, &["SQLite has no TRUNCATE", "remove the option"]);
}

#[tokio::test]
async fn an_overwrite_leaves_only_its_own_rows() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    landing.sql("INSERT OVERWRITE t VALUES (2, 'zwei', 'new')").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["2|zwei|new"]);
    // It can read what it overwrites.
    landing.sql("INSERT OVERWRITE t SELECT k + 1, a, b FROM t").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["3|zwei|new"]);
    landing.sql("INSERT OVERWRITE t SELECT * FROM t WHERE false").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), [""; 0]);
}

#[tokio::test]
async fn replace_into_replaces_whole_rows_and_the_last_row_of_a_key_wins() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    landing.sql("REPLACE INTO t (k, a) VALUES (2, 'x'), (3, 'y'), (2, 'zwei')").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|one|old", "2|zwei|fresh", "3|y|fresh"]);
}

#[tokio::test]
async fn on_conflict_update_sets_only_the_columns_that_are_written() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'on_conflict' 'update'").await.unwrap();
    landing.sql("INSERT INTO t (k, a) VALUES (2, 'x'), (3, 'y'), (2, 'zwei')").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|one|old", "2|zwei|old", "3|y|fresh"]);
}

#[tokio::test]
async fn on_conflict_ignore_keeps_what_is_there() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'on_conflict' 'ignore'").await.unwrap();
    let answer = landing.sql("INSERT INTO t VALUES (2, 'x', ''), (3, 'y', ''), (3, 'z', '')").await.unwrap();
    assert_eq!(count(&answer), 1, "rows stored");
    assert_eq!(landing.rows("SELECT k, a FROM t"), ["1|one", "2|two", "3|y"]);
}

#[tokio::test]
async fn ignore_ignores_key_conflicts_only() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT NOT NULL CHECK (a <> 'bad'))");
    landing.register("t", "", "'on_conflict' 'ignore'").await.unwrap();
    says(&landing.error("INSERT INTO t VALUES (1, 'bad')").await, &["row 1", "CHECK constraint failed"]);
    says(&landing.error("INSERT INTO t VALUES (1, NULL)").await, &["row 1", "\"a\"", "NOT NULL"]);
}

#[tokio::test]
async fn conflicts_are_found_by_another_key_where_it_is_named() {
    let landing = Landing::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT UNIQUE, v INTEGER);
        INSERT INTO t VALUES (1, 'a', 1)",
    );
    landing.register("t", "", "'on_conflict' 'update', 'conflict_key' 'code'").await.unwrap();
    landing.sql("INSERT INTO t (code, v) VALUES ('a', 10), ('b', 20)").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|a|10", "2|b|20"]);
    let error = landing.register("u", "", "'table' 't', 'on_conflict' 'update', 'conflict_key' 'v'").await;
    says(&error.unwrap_err().to_string(), &["conflict_key", "(v)", "create a unique index"]);
}

#[tokio::test]
async fn a_key_of_several_columns_and_a_null_in_it() {
    let landing = Landing::new("CREATE TABLE t (a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b))");
    landing.register("t", "", "").await.unwrap();
    landing.sql("REPLACE INTO t VALUES ('x', 1, 'first'), ('x', 2, 'other'), ('x', 1, 'last')").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t ORDER BY b"), ["x|1|last", "x|2|other"]);
    let error = landing.error("REPLACE INTO t VALUES ('y', 3, ''), (NULL, 1, '')").await;
    says(&error, &["row 2", "column \"a\"", "key"]);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["2"]);
}

#[tokio::test]
async fn a_statement_that_fails_at_its_last_row_leaves_the_table_as_it_was() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    let before = landing.rows("SELECT * FROM t");
    for insert in ["INSERT INTO t", "INSERT OVERWRITE t"] {
        let last_repeats = "SELECT CASE WHEN value = 100000 THEN 50 ELSE value + 10 END, 'x', 'y' \
                            FROM generate_series(1, 100000)";
        let error = landing.error(&format!("{insert} {last_repeats}")).await;
        says(&error, &["row 100000", "UNIQUE constraint failed: t.k", "on_conflict"]);
        assert_eq!(landing.rows("SELECT * FROM t"), before);
    }
}

#[tokio::test]
async fn a_table_is_written_from_the_same_file() {
    let landing = Landing::new(
        "CREATE TABLE s (k INTEGER PRIMARY KEY, a TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
        INSERT INTO s SELECT i, printf('%0100d', i) FROM n;
        CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT)",
    );
    landing.register("s", "", "").await.unwrap();
    landing.register("t", "", "'lock_timeout' '30s'").await.unwrap();
    // More than SQLite's cache holds: its pages cannot go to the file while the query reads it.
    let began = std::time::Instant::now();
    landing.sql("INSERT INTO t SELECT * FROM s").await.unwrap();
    assert!(began.elapsed().as_secs() < 25, "it waited for itself");
    assert_eq!(landing.rows("SELECT count(*) FROM t JOIN s USING (k, a)"), ["300000"]);
}

#[tokio::test]
async fn rows_keep_the_order_of_their_source_so_that_the_last_one_of_a_key_wins() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER PRIMARY KEY, a INTEGER)");
    landing.register("t", "", "").await.unwrap();
    // Key k comes again and again, in many files, and last with a = 100,000 - k.
    landing.context.sql("SET datafusion.execution.target_partitions = 4").await.unwrap();
    landing.context.sql("SET datafusion.optimizer.repartition_file_min_size = 1").await.unwrap();
    let copy = format!(
        "COPY (SELECT value % 100 AS k, value AS a FROM generate_series(1, 100000)) TO '{}/s.csv'",
        landing.folder.path().display()
    );
    landing.sql(&copy).await.unwrap();
    let source = format!("'{}/s.csv'", landing.folder.path().display());
    let source = format!("CREATE EXTERNAL TABLE s (k BIGINT, a BIGINT) STORED AS CSV LOCATION {source}");
    landing.sql(&source).await.unwrap();
    let plan = landing.sql("EXPLAIN REPLACE INTO t SELECT k, a FROM s").await.unwrap();
    let plan = datafusion::arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    says(&plan, &["ReplayExec: sequential", "4 groups"]);
    for _ in 0..5 {
        landing.sql("REPLACE INTO t SELECT k, a FROM s").await.unwrap();
        assert_eq!(landing.rows("SELECT count(*), min(a), max(a) FROM t"), ["100|99901|100000"]);
    }
    // What has no order is merged as it comes, and lands too.
    let grouped = "INSERT OVERWRITE t SELECT k, max(a) FROM s GROUP BY k";
    let plan = landing.sql(&format!("EXPLAIN {grouped}")).await.unwrap();
    let plan = datafusion::arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    says(&plan, &["ReplayExec: unordered"]);
    assert_eq!(count(&landing.sql(grouped).await.unwrap()), 100);
}

#[tokio::test]
async fn names_are_taken_as_they_are_spelled() {
    let landing =
        Landing::new(r#"CREATE TABLE "Order ""Lines""" ("Select" INTEGER PRIMARY KEY, "a`b" TEXT, "ä" TEXT)"#);
    landing.register("lines", "", r#"'table' 'Order "Lines"'"#).await.unwrap();
    landing.sql(r#"INSERT INTO lines VALUES (1, 'x', 'y'), (2, 'z', NULL)"#).await.unwrap();
    landing.sql(r#"REPLACE INTO lines ("Select", "a`b") VALUES (1, 'w')"#).await.unwrap();
    assert_eq!(landing.rows(r#"SELECT * FROM "Order ""Lines""""#), ["1|w|NULL", "2|z|NULL"]);
    let read = landing.sql(r#"SELECT "Select" FROM lines WHERE "a`b" = 'z' AND "ä" IS NULL"#).await.unwrap();
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_table_of_many_columns_is_written() {
    let columns = |suffix: &str| (0..1_500).map(|i| format!("c{i}{suffix}")).collect::<Vec<_>>().join(", ");
    let landing = Landing::new(&format!("CREATE TABLE t ({})", columns(" INTEGER")));
    landing.register("t", "", "").await.unwrap();
    let values = (0..1_500).map(|i| format!("value + {i}")).collect::<Vec<_>>().join(", ");
    landing.sql(&format!("INSERT INTO t SELECT {values} FROM generate_series(1, 100)")).await.unwrap();
    assert_eq!(landing.rows("SELECT count(*), sum(c0), sum(c1499) FROM t"), ["100|5050|154950"]);
}

fn people(names: [&str; 2]) -> RecordBatch {
    let fields = names.map(|name| match name {
        "k" => Field::new(name, DataType::Int32, true),
        _ => Field::new(name, DataType::Utf8, true),
    });
    let column = |name: &str| -> Arc<dyn datafusion::arrow::array::Array> {
        match name {
            "k" => Arc::new(Int32Array::from(vec![7, 8])),
            _ => Arc::new(StringArray::from(vec![Some("seven"), None])),
        }
    };
    RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), names.map(column).to_vec()).unwrap()
}

#[tokio::test]
async fn a_data_frame_is_written_by_column_names() {
    let landing = Landing::new(TABLE);
    let url = format!("sqlite:{}", landing.file().display());
    let options = SinkOptions::new().with_on_conflict(OnConflict::Update).unwrap();
    let table = LandfallTable::connect(&url, "t", options).await.unwrap();
    landing.context.register_table("t", Arc::new(table)).unwrap();
    // Another order, a narrower type, and a column left out.
    let frame = landing.context.read_batch(people(["a", "k"])).unwrap();
    frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap();
    let landed = landing.rows("SELECT * FROM t WHERE k > 2");
    assert_eq!(landed, ["7|seven|fresh", "8|NULL|fresh"]);

    let frame = landing.context.read_batch(people(["a", "k"])).unwrap();
    let overwrite = DataFrameWriteOptions::new().with_insert_operation(InsertOp::Overwrite);
    frame.write_table("t", overwrite).await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), landed);

    let frame = landing.context.read_batch(people(["K", "k"])).unwrap();
    let error = frame.write_table("t", DataFrameWriteOptions::new()).await.unwrap_err().to_string();
    says(&error, &["column \"K\"", "does not exist in the table", "AS"]);
}

#[tokio::test]
async fn connecting_to_what_is_not_there_says_what_to_do() {
    let landing = Landing::new("");
    let url = format!("sqlite:{}", landing.file().display());
    let error = LandfallTable::connect(&url, "t", SinkOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    says(&error.to_string(), &["no table \"t\"", "specify columns to create the table"]);
    let error = LandfallTable::connect("oracle://x", "t", SinkOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn explain_analyze_shows_what_a_write_did() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    let plan = landing.sql("EXPLAIN ANALYZE INSERT INTO t VALUES (3, 'three', 'new')").await.unwrap();
    let plan = datafusion::arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    says(&plan, &["rows=1,", "bytes=16", "encode_time=", "send_time=", "commit_time=", "table=t"]);
    assert_eq!(landing.rows("SELECT a FROM t WHERE k = 3"), ["three"]);
}

#[tokio::test]
async fn order_by_decides_which_row_of_a_key_is_the_last() {
    let landing = Landing::new(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER); CREATE TABLE s (k INTEGER, v INTEGER);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
         INSERT INTO s SELECT 1, (i * 7919) % 50000 FROM n",
    );
    landing.register("t", "", "").await.unwrap();
    landing.register("s", "", "").await.unwrap();
    landing.sql("REPLACE INTO t SELECT k, v FROM s ORDER BY v").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|49999"]);
    landing.sql("REPLACE INTO t SELECT k, v FROM s ORDER BY v DESC").await.unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|0"]);
}

#[tokio::test]
async fn a_row_number_counts_the_rows_of_the_source_whatever_is_computed_from_them() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL)");
    landing.register("t", "", "").await.unwrap();
    let computed = "SELECT value, CASE WHEN value = 90000 THEN NULL ELSE 'new' END FROM generate_series(1, 100000)";
    for _ in 0..3 {
        says(&landing.error(&format!("INSERT INTO t {computed}")).await, &["row 90000,", "\"v\""]);
        let filtered = format!("INSERT INTO t {computed} WHERE value > 10");
        says(&landing.error(&filtered).await, &["row 89990,", "\"v\""]);
    }
}

#[tokio::test]
async fn the_row_is_named_where_rows_before_it_were_ignored() {
    let landing = Landing::new(
        "CREATE TABLE t (k INT PRIMARY KEY CHECK (k <> 50)) WITHOUT ROWID; INSERT INTO t VALUES (1), (2), (3)",
    );
    for mode in ["update", "ignore"] {
        landing.register(mode, "", &format!("'table' 't', 'on_conflict' '{mode}'")).await.unwrap();
        let error = landing.error(&format!("INSERT INTO {mode} SELECT value FROM generate_series(1, 64)")).await;
        says(&error, &["rows 1 to 64", "CHECK constraint failed"]);
    }
}

#[tokio::test]
async fn an_empty_query_for_some_columns_is_no_error() {
    let landing = Landing::new("CREATE TABLE t (a INTEGER, g INTEGER AS (a * 2)); INSERT INTO t VALUES (1)");
    landing.register("t", "", "").await.unwrap();
    assert_eq!(count(&landing.sql("INSERT INTO t (a) SELECT 1 WHERE false").await.unwrap()), 0);
    landing.sql("INSERT OVERWRITE t (a) SELECT 1 WHERE false").await.unwrap();
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
}

/// Whoever looks at the first rows, to know how many writers pay, sees the end of a short input; who writes them, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_input_of_several_pieces_lands_by_writers_that_are_chosen_by_themselves() {
    let server = crate::postgres::Postgres::new("CREATE TABLE t (id bigint)");
    server.register("t", "", "").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for part in 0..5 {
        let lines: String = (0..100).map(|row| format!("{}\n", part * 100 + row)).collect();
        std::fs::write(folder.path().join(format!("{part}.csv")), lines).unwrap();
    }
    let location = folder.path().display();
    let create = format!(
        "CREATE EXTERNAL TABLE parts (id BIGINT) STORED AS CSV LOCATION '{location}' OPTIONS ('format.has_header' 'false')"
    );
    server.sql(&create).await.unwrap();
    server.sql("INSERT INTO t SELECT id FROM parts").await.unwrap();
    assert_eq!(server.rows("SELECT count(*), sum(id) FROM t"), ["500|124750"]);
}
