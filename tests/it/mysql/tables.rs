//! Real tables: modes of writing, keys, defaults, engines, names, sizes, queries.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use datafusion::dataframe::DataFrameWriteOptions;

use super::{MySql, client};
use crate::cluster::Cluster;
use crate::landing::{count, error, read, says, session};

const KEYED: &str = "CREATE TABLE t (id bigint PRIMARY KEY, name text, n int DEFAULT 7 CHECK (n < 1000))";

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_does_what_it_says() {
    let server = MySql::new(&format!("{KEYED}; INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2)"));
    server.register("t", "", "").await.unwrap();
    let error = server.error("INSERT INTO t (id, name) VALUES (3, 'three'), (2, 'twice')").await;
    says(&error, &["rows 1 to 2", "the key already exists in the table", "on_conflict", "Duplicate entry '2'"]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["2"]);
    assert_eq!(count(&server.sql("INSERT INTO t VALUES (3, 'three', NULL)").await.unwrap()), 1);
    // The last row of a key stays, and what is not written gets its default.
    server.sql("REPLACE INTO t (id, name) VALUES (2, 'a'), (4, 'b'), (2, 'c')").await.unwrap();
    let rows = ["1|one|1", "2|c|7", "3|three|NULL", "4|b|7"];
    assert_eq!(server.rows("SELECT * FROM t ORDER BY id"), rows);
    assert_eq!(count(&server.sql("INSERT OVERWRITE t SELECT id, name, n FROM t WHERE id > 2").await.unwrap()), 2);
    assert_eq!(server.rows("SELECT * FROM t ORDER BY id"), rows[2..]);
    assert_eq!(count(&server.sql("INSERT OVERWRITE t VALUES (9, 'nine', 9)").await.unwrap()), 1);
    assert_eq!(server.rows("SELECT * FROM t"), ["9|nine|9"]);
    assert_eq!(count(&server.sql("INSERT OVERWRITE t SELECT * FROM t WHERE id > 100").await.unwrap()), 0);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_resolved_as_the_option_says() {
    let server = MySql::new(&format!("{KEYED}; INSERT INTO t VALUES (1, 'one', 1)"));
    for (option, expected) in [("update", ["1|b|1", "2|d|7"]), ("ignore", ["1|one|1", "2|c|7"])] {
        server.rows("DELETE FROM t; INSERT INTO t VALUES (1, 'one', 1)");
        let _ = server.sql("DROP TABLE IF EXISTS t").await;
        server.register("t", "", &format!("'on_conflict' '{option}'")).await.unwrap();
        server.sql("INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'c'), (1, 'b'), (2, 'd')").await.unwrap();
        assert_eq!(server.rows("SELECT * FROM t ORDER BY id"), expected, "{option}");
        // Only conflicts are ignored.
        says(&server.error("INSERT INTO t (id, n) VALUES (7, 5000)").await, &["a constraint of the table"]);
    }
    let error = server.error("INSERT INTO t (id, name) VALUES (5, 'e'), (NULL, 'n')").await;
    says(&error, &["row 2", "\"id\"", "NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_conflicts_by_another_key_is_refused() {
    let server = MySql::new(
        "CREATE TABLE t (id int PRIMARY KEY, mail varchar(20) NOT NULL, n int, UNIQUE (mail)); \
         INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2); \
         CREATE TABLE u (k binary(2) PRIMARY KEY, x int, n int, UNIQUE (x)); INSERT INTO u VALUES ('aa', 1, 1)",
    );
    for option in ["update", "ignore"] {
        let _ = server.sql("DROP TABLE IF EXISTS t").await;
        server.register("t", "", &format!("'on_conflict' '{option}'")).await.unwrap();
        let error = server.error("INSERT INTO t VALUES (1, 'a', 5), (3, 'b', 3)").await;
        says(&error, &["unique index (mail) of table t", "the key (id)", "row"]);
        assert_eq!(server.rows("SELECT * FROM t ORDER BY id"), ["1|a|1", "2|b|2"], "{option}");
        server.sql("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)").await.unwrap();
    }
    server.register("m", "", "'table' 't', 'on_conflict' 'update', 'conflict_key' 'mail'").await.unwrap();
    server.sql("INSERT INTO m (id, mail, n) VALUES (1, 'a', 9), (4, 'd', 4)").await.unwrap();
    assert_eq!(server.rows("SELECT * FROM t ORDER BY id"), ["1|a|9", "2|b|2", "4|d|4"]);
    says(&server.error("INSERT INTO m VALUES (2, 'z', 0)").await, &["unique index (id)", "the key (mail)"]);
    server.register("u", "", "").await.unwrap();
    server.sql("REPLACE INTO u VALUES (X'6161', 2, 2), (X'6262', NULL, 3)").await.unwrap();
    says(&server.error("REPLACE INTO u VALUES (X'6363', 2, 2)").await, &["unique index", "the key (k)"]);
    assert_eq!(server.rows("SELECT * FROM u"), ["aa|2|2", "bb|NULL|3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_must_be_one_of_the_servers() {
    let server = MySql::new("CREATE TABLE t (a int, b int, c text, UNIQUE (a, b), UNIQUE (c(5)))");
    server.register("t", "", "'on_conflict' 'update', 'conflict_key' 'b,a'").await.unwrap();
    server.sql("INSERT INTO t VALUES (1, 2, 'x'), (1, 2, 'y')").await.unwrap();
    assert_eq!(server.rows("SELECT * FROM t"), ["1|2|y"]);
    // The first five characters are a key too.
    says(&server.error("INSERT INTO t VALUES (7, 7, 'y')").await, &["the unique index \"c\"", "the key (a, b)"]);
    says(&server.error("INSERT INTO t VALUES (1, NULL, 'z')").await, &["row 1", "\"b\"", "key of an upsert"]);
    let error = server.register("t2", "", "'table' 't', 'on_conflict' 'update', 'conflict_key' 'c'").await.unwrap_err();
    says(&error.to_string(), &["conflict_key", "no unique key on exactly these columns"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_filled_in_by_the_server() {
    let server = MySql::new(
        "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, name varchar(9) DEFAULT 'anon' NOT NULL, n int, \
         twice int AS (n * 2) STORED, thrice int AS (n * 3) VIRTUAL, \
         at datetime(6) NOT NULL DEFAULT '2020-01-01', changed timestamp NULL ON UPDATE CURRENT_TIMESTAMP); \
         CREATE TABLE place (id int, at point)",
    );
    server.register("place", "", "").await.unwrap();
    server.sql("INSERT INTO place (id) VALUES (1)").await.unwrap();
    assert_eq!(server.read("SELECT * FROM place").await, ["1|NULL"]);
    says(
        &server.error("INSERT INTO place VALUES (2, X'00')").await,
        &["\"at\"", "its type point is not supported", "omit the column"],
    );
    server.register("t", "", "").await.unwrap();
    server.sql("INSERT INTO t (n) VALUES (5), (6)").await.unwrap();
    server.sql("INSERT INTO t (id, n) VALUES (77, 7)").await.unwrap();
    server.sql("INSERT INTO t (id, n) VALUES (0, 1)").await.unwrap();
    let rows = ["0|anon|1|2|3|2020-01-01 00:00:00.000000|NULL", "1|anon|5|10|15|2020-01-01 00:00:00.000000|NULL"];
    assert_eq!(server.rows("SELECT * FROM t ORDER BY id LIMIT 2"), rows);
    server.sql("REPLACE INTO t (id, n) VALUES (77, 8)").await.unwrap();
    assert_eq!(server.rows("SELECT id, name, n FROM t WHERE id > 1"), ["2|anon|6", "77|anon|8"]);
    says(&server.error("INSERT INTO t (twice) VALUES (1)").await, &["\"twice\"", "generated by the database"]);
    says(
        &server.error("INSERT INTO t (name) VALUES (NULL)").await,
        &["row 1", "\"name\"", "NOT NULL", "omit the column"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_and_triggers_are_the_servers() {
    let server = MySql::new(
        "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1); \
         CREATE TABLE t (id int CHECK (id < 100), parent int, FOREIGN KEY (parent) REFERENCES parent (id)); \
         CREATE TABLE log (id int); \
         CREATE TRIGGER note BEFORE INSERT ON t FOR EACH ROW INSERT INTO log VALUES (NEW.id)",
    );
    for option in ["", "'lock_timeout' '3s'"] {
        let _ = server.sql("DROP TABLE IF EXISTS t").await;
        server.register("t", "", option).await.unwrap();
        says(&server.error("INSERT INTO t (id) VALUES (1), (100)").await, &["a constraint of the table", "CONSTRAINT"]);
        says(&server.error("INSERT INTO t (id, parent) VALUES (1, 2)").await, &["foreign key"]);
        assert_eq!(server.rows("SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM log)"), ["0"]);
    }
    server.sql("INSERT INTO t VALUES (1, 1), (2, NULL)").await.unwrap();
    assert_eq!(server.rows("SELECT id FROM log ORDER BY id"), ["1", "2"]);
    server.register("parent", "", "").await.unwrap();
    says(&server.error("INSERT OVERWRITE parent VALUES (5)").await, &["deleting the old rows", "foreign key"]);
    assert_eq!(server.rows("SELECT id FROM parent"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_rolled_back_is_refused() {
    let server = MySql::new(
        "CREATE TABLE isam (id int) ENGINE = MyISAM; CREATE TABLE memory (id int) ENGINE = MEMORY; \
         CREATE TABLE base (id int); INSERT INTO base VALUES (1); CREATE VIEW v AS SELECT id FROM base; \
         CREATE TABLE p (id int) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10))",
    );
    for (table, said) in [("isam", "MyISAM"), ("memory", "MEMORY"), ("v", "is a view")] {
        server.register(table, "", "").await.unwrap();
        says(&server.error(&format!("INSERT INTO {table} VALUES (2)")).await, &[said, table]);
    }
    says(&server.error("INSERT INTO isam VALUES (2)").await, &["ENGINE = InnoDB"]);
    assert_eq!(server.read("SELECT * FROM v").await, ["1"]);
    server.register("p", "", "").await.unwrap();
    says(&server.error("INSERT INTO p VALUES (1), (10)").await, &["partition"]);
    server.sql("INSERT INTO p VALUES (1)").await.unwrap();
    assert_eq!(server.rows("SELECT count(*) FROM p"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_as_they_are() {
    let server = MySql::new("");
    let odd = format!("{}.Odd", server.database);
    let long = "x".repeat(64);
    server.rows(&format!(
        "CREATE DATABASE \"{odd}\"; CREATE TABLE \"{odd}\".\"Order \"\"Lines\"\"`\" \
         (\"select\" int PRIMARY KEY, \"Mixed Case\" text, \"{long}\" int, \"a.b\" int, \"t`i`c\"\"k\" int)"
    ));
    let table = format!("\"{odd}\".\"Order \"\"Lines\"\"`\"").replace('\'', "''");
    server.register("lines", "", &format!("'table' '{table}', 'on_conflict' 'update'")).await.unwrap();
    for name in ["one", "two"] {
        server.sql(&format!("INSERT INTO lines VALUES (1, '{name}', 3, 4, 5)")).await.unwrap();
    }
    assert_eq!(server.read("SELECT \"Mixed Case\", \"a.b\" FROM lines WHERE \"select\" = 1").await, ["two|4"]);
    assert_eq!(server.read("SELECT \"Mixed Case\" FROM lines WHERE \"t`i`c\"\"k\" = 5").await, ["two"]);
    server.register("plain", "", &format!("'table' '{table}'")).await.unwrap();
    server.sql("INSERT INTO plain VALUES (2, 'x', 3, 4, 5)").await.unwrap();
    server.rows(&format!("DROP DATABASE \"{odd}\""));

    says(&server.register("none", "", "").await.unwrap_err().to_string(), &["has no table \"none\""]);
    let error = server.register(&format!("{long}x"), "(a INT)", "").await.unwrap_err();
    says(&error.to_string(), &["longer than the 64 characters", "shorten the name"]);
    server.register("named", "(\"Up\" INT)", "'table' 'Made'").await.unwrap();
    server.sql("INSERT INTO named VALUES (1)").await.unwrap();
    assert_eq!(server.rows("SELECT Up FROM Made"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_at_the_edge_are_written() {
    let columns: Vec<_> = (0..1_000).map(|column| format!("c{column} smallint")).collect();
    let server = MySql::new(&format!(
        "CREATE TABLE wide ({}); CREATE TABLE big (id bigint PRIMARY KEY, v longblob); \
         CREATE TABLE one (v text)",
        columns.join(", ")
    ));
    server.register("wide", "", "").await.unwrap();
    let ids: Vec<_> = (0..1_000).map(|column| format!("CAST({column} AS SMALLINT)")).collect();
    server.sql(&format!("INSERT INTO wide SELECT {} FROM generate_series(1, 20)", ids.join(", "))).await.unwrap();
    assert_eq!(server.rows("SELECT count(*), sum(c999) FROM wide"), ["20|19980"]);
    assert_eq!(server.read("SELECT sum(c999) FROM wide").await, ["19980"]);

    // More than a packet: as a file it goes, as a statement it cannot.
    server.register("big", "", "").await.unwrap();
    let huge = vec![0x0a; 9_000_000];
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let blobs: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"small", &huge, b"last"]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("v", blobs)]).unwrap();
    let frame = server.context.read_batch(batch).unwrap();
    frame.write_table("big", DataFrameWriteOptions::new()).await.unwrap();
    assert_eq!(server.rows("SELECT id, length(v) FROM big ORDER BY id"), ["1|5", "2|9000000", "3|4"]);
    assert_eq!(
        server.read("SELECT id, length(encode(v, 'hex')) / 2 FROM big ORDER BY id").await,
        ["1|5", "2|9000000", "3|4"]
    );
    // Lines that are empty, or look like something else.
    server.register("one", "", "").await.unwrap();
    server.sql("INSERT INTO one VALUES (''), (NULL), ('\\N'), ('NULL'), ('\\.')").await.unwrap();
    assert_eq!(server.rows("SELECT count(*), count(v), sum(v = '') FROM one"), ["5|4|1"]);
    assert_eq!(count(&server.sql("INSERT INTO one SELECT v FROM one WHERE v = 'nothing'").await.unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_row_of_a_trigger_s_statement_is_not_taken_for_one_of_the_stream() {
    let server = MySql::new(
        "CREATE TABLE log (id bigint CHECK (id < 3)); CREATE TABLE t (id bigint PRIMARY KEY, CHECK (id < 4)); \
         CREATE TRIGGER logs AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (1), (NEW.id)",
    );
    for (name, options) in [("load", ""), ("one_insert", ", 'on_conflict' 'update'")] {
        server.register(name, "", &format!("'table' 't'{options}")).await.unwrap();
        let insert = |rows: &str| format!("INSERT INTO {name} VALUES {rows}");
        says(&server.error(&insert("(1), (2), (4)")).await, &["row 3:", "CONSTRAINT"]);
        says(&server.error(&insert("(0), (1), (3)")).await, &["rows 1 to 3:", "CONSTRAINT", "`log`"]);
    }
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_load_names_the_row_of_the_stream() {
    let server = MySql::new("CREATE TABLE t (id bigint PRIMARY KEY, v varchar(100), n int CHECK (n < 800000))");
    server.register("t", "", "'writers' '1'").await.unwrap();
    // In the second of its statements.
    let insert =
        "INSERT INTO t SELECT value, repeat('long', 20) || ' ' || value, value AS n FROM generate_series(1, 800000)";
    says(&server.error(insert).await, &["row 800000:", "CONSTRAINT"]);
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["0"]);
    let too_long = "INSERT INTO t SELECT value, repeat('x', CASE WHEN value = 70001 THEN 101 ELSE 5 END), 1 \
                    FROM generate_series(1, 80000)";
    says(&server.error(too_long).await, &["row 70001", "\"v\"", "longer than the 100 characters"]);
    let upsert = "REPLACE INTO t SELECT value % 50000, 'v' || value, 1 FROM generate_series(1, 200000)";
    assert_eq!(count(&server.sql(upsert).await.unwrap()), 200_000);
    assert_eq!(server.rows("SELECT count(*), min(v), max(v) FROM t"), ["50000|v150001|v200000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_take_the_place_of_files_where_the_server_forbids_those() {
    let (_cluster, url) = Cluster::start("mysql");
    let url: url::Url = url.parse().unwrap();
    let rows = |sql: &str| client(&url, "landfall", sql).unwrap();
    rows(
        "SET GLOBAL local_infile = 0; SET GLOBAL max_allowed_packet = 65536; \
         CREATE TABLE t (id bigint PRIMARY KEY, v varchar(40000) CHARACTER SET latin1, b bit(5))",
    );
    let context = session();
    let create = format!("CREATE EXTERNAL TABLE t STORED AS MYSQL LOCATION '{url}'");
    context.sql(&create).await.unwrap();
    let insert = "INSERT INTO t SELECT value, 'it''s ä \\' || value, value % 32 FROM generate_series(1, 50000)";
    context.sql(insert).await.unwrap().collect().await.unwrap();
    says(&error(&context, "INSERT INTO t VALUES (60000, '日本', 1)").await, &["row 1", "Incorrect string value"]);
    says(&error(&context, "INSERT INTO t VALUES (60000, 'x', 1), (7, 'x', 1)").await, &["Duplicate entry '7'"]);
    let long = "INSERT INTO t VALUES (60000, repeat('''', 35000), 1)";
    says(&error(&context, long).await, &["row 1", "max_allowed_packet"]);
    says(&error(&context, &long.replace("INSERT", "REPLACE")).await, &["row 1", "max_allowed_packet"]);
    rows("SET GLOBAL max_allowed_packet = 1024");
    let small = session();
    small.sql(&create).await.unwrap();
    let few = "INSERT INTO t VALUES (70001, repeat('x', 100), 1), (70002, 'y', 2), (70003, repeat('x', 500), 3)";
    small.sql(few).await.unwrap().collect().await.unwrap();
    let long = "INSERT INTO t VALUES (70004, repeat('x', 900), 1)";
    says(&error(&small, long).await, &["row 1", "increase the server's max_allowed_packet to 2048 or more"]);
    rows("SET GLOBAL max_allowed_packet = 2048");
    let enough = session();
    enough.sql(&create).await.unwrap();
    enough.sql(long).await.unwrap().collect().await.unwrap();
    rows("DELETE FROM t WHERE id > 70000");
    let sums = "SELECT count(*), sum(CONVERT(v USING utf8mb4) = concat('it''s ä \\\\', id)), sum(b + 0) FROM t";
    assert_eq!(rows(sums), ["50000|50000|774888"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_order_and_limits_are_pushed_down_where_they_mean_the_same() {
    let server = MySql::new(
        "CREATE TABLE t (id bigint PRIMARY KEY, c int, name varchar(30), exact varchar(30) COLLATE utf8mb4_nopad_bin, \
         d double, day date, at datetime(6), tz timestamp(6), price decimal(10,2), ok tinyint(1)); \
         INSERT INTO t VALUES (1, NULL, 'Ada', 'Ada', 0.5, '2020-02-29', '2020-02-29 12:00:00.5', '2020-02-29 12:00:00', 9.99, 1), \
            (2, 5, 'ada ', 'ada ', -0e0, '1999-12-31', '1999-12-31 23:59:59.999999', '2000-01-01', 10, 0), \
            (3, 4, 'O''Brien \\\\', 'ada', 7, NULL, NULL, NULL, NULL, NULL)",
    );
    server.register("t", "", "").await.unwrap();
    for (filter, pushed, rows) in [
        ("id = 2", "`id` = ?", "2"),
        ("id > 1 AND c < 5", "`c` < ?", "3"),
        ("name = 'ada'", "`name` = ?", ""),
        ("name = 'Ada'", "`name` = ?", "1"),
        ("exact = 'ada'", "`exact` = ?", "3"),
        ("exact > 'Z'", "`exact` > ?", "2,3"),
        ("d >= 0.5", "`d` >= ?", "1,3"),
        ("d > -1.0", "`d` > ?", "1,2,3"),
        ("d >= 0.0", "`d` >= ?", "1,2,3"),
        ("day = DATE '2020-02-29'", "DATE'2020-02-29'", "1"),
        ("at < TIMESTAMP '2000-01-01'", "TIMESTAMP'2000-01-01 00:00:00", "2"),
        ("tz = TIMESTAMP '2020-02-29T12:00:00Z'", "TIMESTAMP'2020-02-29 12:00:00", "1"),
        ("price < 10", "< 10", "1"),
        ("ok", "`ok`", "1"),
        ("name IS NULL OR id IN (1, 3)", "`name` IS NULL OR", "1,3"),
        ("id BETWEEN 2 AND 3", "`id` >= ?", "2,3"),
        ("name LIKE 'A%'", "", "1"),
    ] {
        let sql =
            format!("SELECT coalesce(string_agg(CAST(id AS VARCHAR), ',' ORDER BY id), '') FROM t WHERE {filter}");
        assert_eq!(server.read(&sql).await, [rows], "{filter}");
        let plan = server.read(&format!("EXPLAIN SELECT id FROM t WHERE {filter}")).await.join("\n");
        assert!(plan.contains(pushed), "{filter}: {plan}");
    }
    for (order, rows) in [
        ("ASC NULLS FIRST", ["1", "3", "2"]),
        ("ASC NULLS LAST", ["3", "2", "1"]),
        ("DESC NULLS FIRST", ["1", "2", "3"]),
        ("DESC NULLS LAST", ["2", "3", "1"]),
    ] {
        let sql = format!("SELECT id FROM t ORDER BY c {order} LIMIT 3");
        assert_eq!(server.read(&sql).await, rows, "{order}");
        let plan = server.read(&format!("EXPLAIN {sql}")).await.join("\n");
        assert!(!plan.contains("SortExec"), "{order}: {plan}");
    }
    assert_eq!(server.read("SELECT count(*) FROM t").await, ["3"]);
    assert_eq!(server.read("SELECT count(*) FROM (SELECT * FROM t LIMIT 2)").await, ["2"]);
    assert!(server.read("EXPLAIN SELECT id FROM t ORDER BY name LIMIT 2").await.join("\n").contains("SortExec"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_compares_otherwise_is_compared_here() {
    let server = MySql::new(
        "CREATE TABLE t (id int, y year, l varchar(20) CHARACTER SET latin1, three varchar(20) CHARACTER SET utf8mb3, \
         long_text longtext COLLATE utf8mb4_nopad_bin, d date NOT NULL, KEY (y)); \
         INSERT INTO t VALUES (1, 2013, 'ä', 'ä', concat(repeat('a', 2000), 'z'), '2020-01-01'), \
            (2, 1999, 'b', 'b', concat(repeat('a', 2000), 'b'), '2020-01-01'), \
            (3, 0, 'c', '漢', concat(repeat('a', 2000), 'm'), '2020-01-01'); \
         CREATE TABLE zero (id int, d date NOT NULL); SET sql_mode = ''; INSERT INTO zero VALUES (1, '0000-00-00')",
    );
    server.register("t", "", "").await.unwrap();
    server.register("zero", "", "").await.unwrap();
    for (filter, rows) in [
        ("y = 13", ""),
        ("y < 70", "3"),
        ("y < 3000", "1,2,3"),
        ("y IN (13, 99)", ""),
        ("y BETWEEN 10 AND 2000", "2"),
        ("l = '漢'", ""),
        ("l = 'ä'", "1"),
        ("three = '😀'", ""),
        ("three = '漢'", "3"),
        ("long_text = repeat('a', 2000) || 'm'", "3"),
    ] {
        let sql =
            format!("SELECT coalesce(string_agg(CAST(id AS VARCHAR), ',' ORDER BY id), '') FROM t WHERE {filter}");
        assert_eq!(server.read(&sql).await, [rows], "{filter}");
    }
    assert_eq!(server.read("SELECT id FROM t ORDER BY long_text").await, ["2", "3", "1"]);
    says(&server.error("SELECT id FROM zero WHERE d IS NULL").await, &["0000-00-00 cannot be read as Date32"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_column_would_change_without_a_word_is_refused_or_kept() {
    let server = MySql::new(
        "CREATE TABLE f (id int, v float(10,2)); CREATE TABLE d (id int, v double(5,1)); \
         CREATE TABLE folded (k varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n int); \
         CREATE TABLE small (v tinytext CHARACTER SET latin1); \
         CREATE TABLE g (id int PRIMARY KEY, a bigint, b bigint AS (a * 9223372036854775807) STORED); \
         CREATE TABLE old_ledger (job varchar(10)) ENGINE = MyISAM",
    );
    for (table, hint) in [("f", "float(10,2)"), ("d", "double(5,1)")] {
        server.register(table, "", "").await.unwrap();
        says(
            &server.error(&format!("INSERT INTO {table} VALUES (1, 1.2345)")).await,
            &[hint, "rounds", "alter the column"],
        );
        server.sql(&format!("INSERT INTO {table} (id) VALUES (1)")).await.unwrap();
    }
    // The key's letters are those of the row that came last.
    server.register("folded", "", "'on_conflict' 'update'").await.unwrap();
    server.sql("INSERT INTO folded VALUES ('abc', 1)").await.unwrap();
    for (verb, key) in [("REPLACE", "ABC "), ("INSERT", "aBc")] {
        server.sql(&format!("{verb} INTO folded VALUES ('{key}', 2)")).await.unwrap();
        assert_eq!(server.rows("SELECT concat(k, '|'), n FROM folded"), [format!("{key}||2")]);
    }
    server.register("small", "", "").await.unwrap();
    server.sql("INSERT INTO small SELECT repeat('ü', 200)").await.unwrap();
    says(&server.error("INSERT INTO small SELECT repeat('ü', 300)").await, &["row 1", "Data truncated"]);
    assert_eq!(server.rows("SELECT length(v) FROM small"), ["200"]);
    server.register("g", "", "'on_conflict' 'update'").await.unwrap();
    let said = server.error("INSERT INTO g (id, a) VALUES (1, 2)").await;
    says(&said, &["out of range"]);
    assert!(!said.contains("applies only to the key"), "{said}");
    let context = session();
    let create = format!(
        "CREATE EXTERNAL TABLE small STORED AS MYSQL LOCATION '{}' OPTIONS ('job' 'j', 'ledger_table' 'old_ledger')",
        server.url()
    );
    context.sql(&create).await.unwrap();
    says(&error(&context, "INSERT INTO small VALUES ('x')").await, &["old_ledger", "MyISAM", "ENGINE = InnoDB"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_rely_on_what_the_server_has_for_others() {
    let (_cluster, url) = Cluster::start("mysql");
    let url: url::Url = url.parse().unwrap();
    client(
        &url,
        "landfall",
        "SET GLOBAL tx_read_only = 1, autocommit = 0, tx_isolation = 'SERIALIZABLE', wait_timeout = 1, \
         net_read_timeout = 1, sql_mode = 'PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH', time_zone = '+09:00', \
         unique_checks = 0, foreign_key_checks = 0, character_set_server = ucs2, sql_notes = 0, max_error_count = 0, \
         sql_select_limit = 1, max_statement_time = 0.5, idle_transaction_timeout = 1, sql_auto_is_null = 1, \
         completion_type = 1, innodb_lock_wait_timeout = 1, check_constraint_checks = 0, \
         idle_write_transaction_timeout = 1, idle_readonly_transaction_timeout = 1; \
         CREATE TABLE checked (v int CHECK (v > 0), j json)",
    )
    .unwrap();
    let context = session();
    let create = format!(
        "CREATE EXTERNAL TABLE t (id BIGINT PRIMARY KEY, v VARCHAR, ts TIMESTAMP WITH TIME ZONE) \
         STORED AS MYSQL LOCATION '{url}' OPTIONS ('writers' '2', 'on_conflict' 'update')"
    );
    context.sql(&create).await.unwrap();
    let values = "SELECT value, 'ä😀 ' || value, TIMESTAMP '2020-01-01 00:00:00.5Z' FROM generate_series(1, 5000)";
    for verb in ["INSERT INTO", "REPLACE INTO", "INSERT OVERWRITE"] {
        let write = context.sql(&format!("{verb} t {values}")).await.unwrap();
        assert_eq!(count(&write.collect().await.unwrap()), 5_000, "{verb}");
    }
    let all = "SELECT count(*), count(DISTINCT v), min(v), max(ts) FROM t";
    assert_eq!(read(&context, all).await, ["5000|5000|ä😀 1|2020-01-01T00:00:00.500"]);
    let all = "SET sql_select_limit = DEFAULT; SELECT count(*), min(HEX(v)), max(ts) FROM t";
    assert_eq!(client(&url, "landfall", all).unwrap(), ["5000|C3A4F09F98802031|2020-01-01 00:00:00.500000"]);
    context.sql(&format!("CREATE EXTERNAL TABLE checked STORED AS MYSQL LOCATION '{url}'")).await.unwrap();
    says(&error(&context, "INSERT INTO checked VALUES (-5, '{}')").await, &["a constraint of the table"]);
    let error = error(&context, "INSERT INTO checked VALUES (5, 'no json')").await;
    assert!(["a constraint of the table", "as JSON"].iter().any(|said| error.contains(said)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_given_is_kept_whatever_stands_behind_it() {
    // Each column but the first is set by an expression, or by the server; the last table has a trigger that sets nothing.
    let tables = [
        ("a", "int", "v varchar(20) CHARACTER SET latin1"),
        ("b", "bigint unsigned", "v varchar(20) CHARACTER SET utf8mb4"),
        ("c", "smallint", "v text CHARACTER SET latin1, w bit(7)"),
        ("d", "int", "v json"),
        ("e", "bigint", "v varchar(20)"),
        ("f", "int", "v varchar(20) CHARACTER SET ucs2"),
    ];
    for (table, number, columns) in tables {
        let server = MySql::new(&format!("CREATE TABLE {table} (id {number} AUTO_INCREMENT PRIMARY KEY, {columns})"));
        if table == "e" {
            server.rows(&format!("CREATE TRIGGER g BEFORE INSERT ON {table} FOR EACH ROW SET NEW.v = NEW.v"));
        }
        let given = if number == "bigint unsigned" { ["0", "5", "40"] } else { ["-3", "0", "40"] };
        for (way, options) in
            ["", "'on_conflict' 'update'", "'on_conflict' 'ignore'", "'writers' '2', 'commit' 'two_phase'"]
                .into_iter()
                .enumerate()
        {
            server.rows(&format!("DELETE FROM {table}; ALTER TABLE {table} AUTO_INCREMENT = 1"));
            let name = format!("{table}{way}");
            let options = format!("'table' '{table}'{}{options}", if options.is_empty() { "" } else { ", " });
            server.register(&name, "", &options).await.unwrap();
            let rows = given.map(|id| format!("({id}, '1')")).join(", ");
            server.sql(&format!("INSERT INTO {name} (id, v) VALUES {rows}")).await.unwrap();
            assert_eq!(server.rows(&format!("SELECT id FROM {table} ORDER BY id")), given, "{name}");
            // The server goes on behind them by itself.
            server.rows(&format!("INSERT INTO {table} (v) VALUES ('2')"));
            assert_eq!(server.rows(&format!("SELECT max(id) FROM {table}")), ["41"], "{name}");
        }
        server.rows(&format!("DELETE FROM {table}"));
        let merge = format!(
            "MERGE INTO {table}0 AS t USING (VALUES (0, '1'), (60, '2')) AS s (id, v) ON t.id = s.id \
             WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)"
        );
        server.sql(&merge).await.unwrap();
        server.sql(&format!("REPLACE INTO {table}0 (id, v) VALUES (0, '3')")).await.unwrap();
        assert_eq!(server.rows(&format!("SELECT id, v FROM {table} ORDER BY id")), ["0|3", "60|2"], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_that_would_commit_is_refused() {
    let server = MySql::new("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    server.register("t", "", "'overwrite' 'truncate'").await.unwrap();
    says(
        &server.error("INSERT OVERWRITE t VALUES (2)").await,
        &["'truncate'", "TRUNCATE commits", "remove the option"],
    );
    server.sql("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(server.rows("SELECT id FROM t ORDER BY id"), ["1", "2"]);
}
