//! Filters that go to the database give the answer that DataFusion gives.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use proptest::prelude::*;

use crate::dml::Place;
use crate::landing::{Landing, says};

const SETUP: &str = "
    CREATE TABLE t (i INTEGER, r REAL, s TEXT, ci TEXT COLLATE NOCASE, b BOOLEAN, d DATE, ts \"Timestamp(ms)\");
    INSERT INTO t VALUES
        (1, 1.5, 'a', 'A', 1, '2013-01-01', '2013-01-01 00:00:00.000'),
        (2, -0.1, 'A', 'a', 0, '2013-01-02', '2013-01-02 12:30:00.500'),
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (9223372036854775807, 1e300, 'it''s ''''x\\''', '', 1, '1969-12-31', '1969-12-31 23:59:59.999'),
        (-5, 0.1, '', 'b', 0, '2013-02-28', '2013-01-02 12:30:00.501')";

async fn landing() -> Landing {
    let landing = Landing::new(SETUP);
    landing.register("t", "", "").await.unwrap();
    let rows = landing.sql("SELECT * FROM t").await.unwrap();
    let reference = MemTable::try_new(rows[0].schema(), vec![rows]).unwrap();
    landing.context.register_table("reference", Arc::new(reference)).unwrap();
    landing
}

async fn plan(landing: &Landing, query: &str) -> String {
    pretty_format_batches(&landing.sql(&format!("EXPLAIN {query}")).await.unwrap()).unwrap().to_string()
}

async fn sorted(landing: &Landing, table: &str, filter: &str) -> String {
    let query = format!("SELECT * FROM {table} WHERE {filter} ORDER BY i, s, d");
    pretty_format_batches(&landing.sql(&query).await.unwrap_or_else(|error| panic!("{query}: {error}")))
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn projection_filter_and_limit_reach_sqlite() {
    let landing = landing().await;
    let pushed = plan(&landing, "SELECT s FROM t WHERE i > 1 AND s = 'A' LIMIT 3").await;
    says(&pushed, &["columns=[s] WHERE", "`i` > ?1", "`s` = ?2", "LIMIT 3", "Integer(1), Text(\"A\")"]);
    assert!(!pushed.contains("FilterExec"), "{pushed}");
    let counted = landing.sql("SELECT count(*) FROM t WHERE b").await.unwrap();
    assert_eq!(format!("{:?}", counted[0].column(0)).matches('2').count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_compute_aggregates() {
    for place in Place::all() {
        place.register("t", "(id BIGINT PRIMARY KEY, kind VARCHAR, qty INT, price DOUBLE)", "").await;
        place
            .run("INSERT INTO t VALUES (1, 'a', 2147483647, 0.5), (2, 'a', 2147483647, 1.5), (3, NULL, NULL, 2)")
            .await
            .unwrap();
        let name = place.name();
        for (sql, rows) in [
            ("SELECT count(*) FROM t", &["3"][..]),
            ("SELECT count(*), count(kind), max(id) - 1 AS m FROM t WHERE id > 1", &["2|1|2"]),
            ("SELECT count(*) AS n FROM (SELECT * FROM t WHERE id < 0)", &["0"]),
            ("SELECT min(id), max(id) FROM t WHERE id > 7", &["NULL|NULL"]),
            ("SELECT o.n + 1 FROM (SELECT count(1) AS n FROM t AS x) AS o", &["4"]),
            ("SELECT id FROM t WHERE id = (SELECT max(id) FROM t)", &["3"]),
            ("SELECT count(*) FROM t HAVING count(*) > 7", &[]),
        ] {
            says(&format!("{name}: {}", place.plan(sql).await), &["aggregates=["]);
            assert_eq!(place.read(sql).await, rows, "{name}: {sql}");
        }
        let is_sqlite = name == "SQLite";
        for (sql, rows) in [
            ("SELECT sum(qty) FROM t", &["4294967294"][..]),
            ("SELECT kind, count(*) FROM t GROUP BY kind ORDER BY kind LIMIT 1", &["a|2"]),
            ("SELECT DISTINCT kind FROM t ORDER BY 1", &["a", "NULL"]),
            ("SELECT count(DISTINCT kind) FROM t", &["1"]),
        ] {
            // A column of SQLite that is no row number can store a value of any type.
            let is_computed = place.plan(sql).await.contains("aggregates=[");
            assert_eq!(is_computed, !is_sqlite, "{name}: {sql}");
            assert_eq!(place.read(sql).await, rows, "{name}: {sql}");
        }
        for sql in [
            "SELECT sum(price) FROM t",
            "SELECT avg(qty) FROM t",
            "SELECT max(price) FROM t",
            "SELECT max(kind) FROM t",
            "SELECT count(*) FROM t WHERE kind LIKE 'a%'",
            "SELECT id, count(*) FROM t GROUP BY id",
            "SELECT count(*) FILTER (WHERE qty > 1) FROM t",
        ] {
            assert!(!place.plan(sql).await.contains("aggregates=["), "{name}: {sql}");
        }
        let analyzed = place.read("EXPLAIN ANALYZE SELECT id FROM t WHERE id > 1").await.join("\n");
        says(&format!("{name}: {analyzed}"), &["LandfallScan", "output_rows=2", "output_bytes=", "time_waiting="]);
        // A statement that writes, and a table that it reads.
        place.register("n", "(n BIGINT)", "").await;
        assert_eq!(place.run("INSERT INTO n SELECT count(*) FROM t").await.unwrap(), 1, "{name}");
        assert_eq!(place.run("UPDATE t SET qty = 7 WHERE id = (SELECT count(*) FROM t)").await.unwrap(), 1, "{name}");
        assert_eq!(place.run("DELETE FROM t WHERE id IN (SELECT max(id) FROM t)").await.unwrap(), 1, "{name}");
        assert_eq!(place.read("SELECT n, (SELECT count(*) FROM t) FROM n").await, ["3|2"], "{name}");
        let context = place.context();
        context.remove_optimizer_rule(datafusion_landfall::provider::COMPUTE_AGGREGATES);
        assert!(!place.plan("SELECT count(*) FROM t").await.contains("aggregates=["), "{name}");
    }
}

/// DataFusion's sum would begin anew at the other end.
#[tokio::test(flavor = "multi_thread")]
async fn a_sum_that_is_too_large_is_an_error_at_the_database() {
    for place in Place::all() {
        place.register("t", "(id BIGINT PRIMARY KEY, other BIGINT)", "").await;
        place.run("INSERT INTO t VALUES (9223372036854775807, 1), (9223372036854775806, 1)").await.unwrap();
        match place.name() {
            // A sum of bigint is not computed.
            "MySQL" => assert!(!place.plan("SELECT sum(id) FROM t").await.contains("aggregates=[")),
            name => {
                let error = place.error("SELECT sum(id) FROM t").await;
                assert!(
                    error.contains("the result of sum needs more than 64 bits") || error.contains("overflow"),
                    "{name}: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_sqlite_answers_differently_stays_in_datafusion() {
    let landing = landing().await;
    for filter in ["ci = 'a'", "s LIKE 'a%'", "i + 1 > 2", "upper(s) = 'A'", "r = 'NaN'::DOUBLE"] {
        let kept = plan(&landing, &format!("SELECT s FROM t WHERE {filter} LIMIT 1")).await;
        says(&kept, &["FilterExec"]);
        assert!(!kept.contains(" WHERE "), "{kept}");
    }
    // Times are narrowed to days and asked again.
    let narrowed = plan(&landing, "SELECT s FROM t WHERE ts > '2013-01-02T12:30:00.500' LIMIT 1").await;
    says(&narrowed, &["FilterExec", "`ts` >= ?1", "2013-01-01"]);
    assert!(!narrowed.contains("LIMIT 1 "), "{narrowed}");
}

/// Filters made of every operator that is pushed, and some that are not.
fn filters() -> impl Strategy<Value = String> {
    let comparison = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let operand = prop::sample::select(vec![
        ("i", "1"),
        ("i", "-5"),
        ("i", "9223372036854775807"),
        ("r", "0.1"),
        ("r", "1e300"),
        ("r", "-1.0"),
        ("s", "'A'"),
        ("s", "''"),
        ("s", "'it''s ''''x\\'''"),
        ("s", "'zz'"),
        ("ci", "'a'"),
        ("b", "true"),
        ("d", "DATE '2013-01-02'"),
        ("d", "DATE '1969-12-31'"),
        ("ts", "TIMESTAMP '2013-01-02T12:30:00.500'"),
        ("ts", "TIMESTAMP '1970-01-01T00:00:00'"),
    ]);
    let leaf = prop_oneof![
        (operand, comparison, any::<bool>()).prop_map(|((column, literal), op, turned)| match turned {
            false => format!("{column} {op} {literal}"),
            true => format!("{literal} {op} {column}"),
        }),
        prop::sample::select(vec![
            "i IS NULL",
            "ts IS NOT NULL",
            "b",
            "i IN (1, 2, 7)",
            "s NOT IN ('a', 'b')",
            "s IN ('A', NULL)",
            "i BETWEEN 0 AND 2",
            "r NOT BETWEEN 0 AND 1",
            "d BETWEEN DATE '2013-01-01' AND DATE '2013-01-02'",
            "s LIKE 'a%'",
            "i * 2 > 2",
            "s = ci",
            "s > s",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

#[test]
fn any_filter_gives_the_same_rows_as_in_memory() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let landing = runtime.block_on(landing());
    proptest!(ProptestConfig::with_cases(300), |(filter in filters())| {
        let (ours, expected) = runtime.block_on(async {
            (sorted(&landing, "t", &filter).await, sorted(&landing, "reference", &filter).await)
        });
        prop_assert_eq!(ours, expected, "WHERE {}", filter);
    });
}

#[tokio::test]
async fn a_scan_streams_and_stops_when_nobody_reads_on() {
    use futures::StreamExt;
    let landing = Landing::new(
        "CREATE TABLE t (k INTEGER); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
         INSERT INTO t SELECT i FROM n",
    );
    landing.register("t", "", "").await.unwrap();
    let mut stream = landing.context.sql("SELECT * FROM t").await.unwrap().execute_stream().await.unwrap();
    let first: RecordBatch = stream.next().await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 8_192);
    drop(stream);
    // Its lock is gone: an exclusive one can be had.
    let db = landing.db();
    db.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    db.execute_batch("BEGIN EXCLUSIVE; COMMIT").unwrap();
}

#[tokio::test]
async fn keys_that_can_be_null_are_not_taken_for_distinct() {
    let landing = Landing::new(
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES (NULL, 'a'), (NULL, 'b'), ('x', 'c')",
    );
    landing.register("t", "", "").await.unwrap();
    let groups = landing.sql("SELECT k, count(*) FROM t GROUP BY k, v").await.unwrap();
    assert_eq!(groups.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
}

#[tokio::test]
async fn texts_of_another_encoding_are_compared_in_datafusion() {
    let landing =
        Landing::new("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('a'), ('Ā')");
    landing.register("t", "", "").await.unwrap();
    let found = landing.sql("SELECT a FROM t WHERE a > 'b'").await.unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}
