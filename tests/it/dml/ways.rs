//! Which way a statement goes: as one of the database's own, or by the keys that its query finds.

use std::sync::Arc;

use datafusion::prelude::{SessionContext, col, lit};
use datafusion_landfall::{LandfallTable, SinkOptions};

use super::{ALL, Place, fill};
use crate::landing::{Landing, read, says};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_answers_as_datafusion_would_is_its_own_statement() {
    for place in Place::all() {
        fill(&place).await;
        for (sql, parts) in [
            ("DELETE FROM t WHERE id > 3 AND qty IS NULL", vec!["DELETE WHERE", "qty", "IS NULL"]),
            ("DELETE FROM t WHERE CAST(id AS INT) + 0 > 3", vec!["DELETE of the rows that the query finds, by (id)"]),
            ("DELETE FROM t WHERE id IN (SELECT id FROM s)", vec!["DELETE joined at the server, by (id)"]),
            (
                "UPDATE t AS o SET qty = 2 WHERE EXISTS (SELECT 1 FROM s WHERE s.id = o.id AND s.qty > 7)",
                vec!["UPDATE joined at the server, by (id)"],
            ),
            // The value is of the table's row, the column is no key, or a condition is of both tables.
            ("UPDATE t SET qty = qty + 1 WHERE id IN (SELECT id FROM s)", vec!["UPDATE of the rows", "Join"]),
            ("DELETE FROM t WHERE name IN (SELECT name FROM s)", vec!["DELETE of the rows", "Join"]),
            ("DELETE FROM t WHERE id IN (SELECT id FROM s) AND qty > 3", vec!["DELETE of the rows", "Join"]),
            ("DELETE FROM t WHERE id NOT IN (SELECT id FROM s)", vec!["DELETE of the rows", "Join"]),
            (
                "DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE s.id = t.id AND s.qty > t.qty)",
                vec!["DELETE of the rows", "Join"],
            ),
            ("DELETE FROM t WHERE id = 1 AND name LIKE 'o%'", vec!["DELETE of the rows", "FilterExec", "LIKE"]),
            ("UPDATE t SET qty = 1 + 1, name = NULL WHERE id = 3", vec!["UPDATE WHERE"]),
            ("UPDATE t SET qty = qty + 1 WHERE id = 3", vec!["UPDATE of the rows that the query finds, by (id)"]),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET qty = s.qty",
                vec!["MERGE joined at the server, by (id)"],
            ),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.qty > 3 THEN UPDATE
                 SET qty = s.qty + 1, name = coalesce(s.name, 'none'), x = s.qty * 2, price = s.qty
                 WHEN NOT MATCHED THEN INSERT (id, day) VALUES (s.id, now())",
                vec!["MERGE joined at the server, by (id)"],
            ),
            (
                "MERGE INTO t USING (SELECT 1 AS id, TIMESTAMP '2024-01-01' AS at, 1.5 AS d) AS v ON t.id = v.id
                 WHEN MATCHED THEN UPDATE SET day = v.at, price = v.d WHEN NOT MATCHED THEN INSERT (id, day) VALUES (v.id, v.at)",
                vec!["MERGE joined at the server, by (id)"],
            ),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET qty = 1 / s.qty",
                vec!["MERGE of the rows that the query finds, by (id)", "Join"],
            ),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND random() < 2 THEN UPDATE SET qty = s.qty",
                vec!["MERGE of the rows that the query finds, by (id)", "Join"],
            ),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET qty = t.qty",
                vec!["MERGE of the rows that the query finds, by (id)", "Join"],
            ),
        ] {
            says(&format!("{}: {}", place.name(), place.plan(sql).await), &parts);
        }
        // Nothing was done.
        assert_eq!(place.read("SELECT count(*) FROM t").await, ["5"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_kept() {
    for place in Place::all() {
        fill(&place).await;
        assert_eq!(place.run("DELETE FROM t WHERE id > 1 LIMIT 2").await.unwrap(), 2, "{}", place.name());
        assert_eq!(place.read("SELECT count(*) FROM t WHERE id > 1").await, ["2"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_takes_statements_of_the_database() {
    for place in Place::all() {
        place.register("k", "(a INT, b VARCHAR)", "").await;
        place.run("INSERT INTO k VALUES (1, 'x'), (1, 'x'), (2, 'y')").await.unwrap();
        assert_eq!(place.run("UPDATE k SET b = 'z' WHERE a = 1").await.unwrap(), 2);
        assert_eq!(place.run("DELETE FROM k WHERE a > 1").await.unwrap(), 1);
        assert_eq!(place.run("DELETE FROM k WHERE a = 1 AND a = 2").await.unwrap(), 0);
        assert_eq!(place.run("UPDATE k SET a = a + 1 WHERE false").await.unwrap(), 0);
        let parts = ["table", "neither a primary key nor a unique index", "create a unique index"];
        says(&place.error("UPDATE k SET a = a + 1").await, &parts);
        says(&place.error("DELETE FROM k WHERE b LIKE 'z%'").await, &parts);
        let merge = "MERGE INTO k USING (SELECT 1 AS a) AS s ON k.a = s.a WHEN MATCHED THEN DELETE";
        says(&place.error(merge).await, &parts);
        let merge =
            "MERGE INTO k USING (SELECT 9 AS a) AS s ON k.a = s.a WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)";
        assert_eq!(place.run(merge).await.unwrap(), 1);
        assert_eq!(place.read("SELECT * FROM k ORDER BY a").await, ["1|z", "1|z", "9|NULL"], "{}", place.name());
    }
}

#[tokio::test]
async fn statements_from_code_take_their_filters() {
    let landing =
        Landing::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    let url = format!("sqlite:{}", landing.file().display());
    let table = Arc::new(LandfallTable::connect(&url, "t", SinkOptions::new()).await.unwrap());
    let state = landing.context.state();
    let run = async |plan| datafusion::physical_plan::collect(plan, landing.context.task_ctx()).await.unwrap();
    use datafusion::catalog::TableProvider;
    let set = vec![("v".to_owned(), lit("neu"))];
    run(table.update(&state, set, vec![col("k").eq(lit(2i64))]).await.unwrap()).await;
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|a", "2|neu"]);
    run(table.delete_from(&state, vec![col("k").lt(lit(2i64)), col("v").eq(lit("a"))]).await.unwrap()).await;
    assert_eq!(landing.rows("SELECT * FROM t"), ["2|neu"]);
    let error = table.update(&state, vec![("w".to_owned(), lit(1))], vec![]).await.unwrap_err().to_string();
    says(&error, &["\"w\""]);

    // DataFusion alone would hand over none of this condition.
    let bare = SessionContext::new();
    bare.register_table("t", table).unwrap();
    let error = crate::landing::error(&bare, "DELETE FROM t WHERE k IN (SELECT 7)").await;
    says(&error, &["does not push all WHERE conditions down to the table", "datafusion_landfall::register"]);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_counts_what_became_of_rows() {
    for place in Place::all() {
        fill(&place).await;
        let merge = "EXPLAIN ANALYZE MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.qty > 30 THEN DELETE
             WHEN MATCHED THEN UPDATE SET qty = s.qty WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)";
        let plan = place.read(merge).await.join("\n");
        says(&format!("{}: {plan}", place.name()), &["inserted=2", "updated=1", "deleted=1"]);
        let merge = "EXPLAIN ANALYZE MERGE INTO t USING s ON t.id = s.id
             WHEN MATCHED THEN UPDATE SET qty = s.qty WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (s.id, s.qty)";
        place.run("DELETE FROM t WHERE id = 6").await.unwrap();
        let plan = place.read(merge).await.join("\n");
        says(&format!("{}: {plan}", place.name()), &["inserted=2", "updated=2", "deleted=0"]);
        assert_eq!(place.read(ALL).await.len(), 7, "{}", place.name());
    }
}

/// A type that SQLite has no word for is declared by Arrow's, which are no words of its language.
#[tokio::test(flavor = "multi_thread")]
async fn columns_of_any_declared_type_are_staged_in_sqlite() {
    let landing = Landing::new("");
    let columns = "(id BIGINT PRIMARY KEY, at TIMESTAMP, zone TIMESTAMP WITH TIME ZONE, price DECIMAL(10, 2), \
                   small SMALLINT UNSIGNED, raw BYTEA, day DATE, list BIGINT[])";
    landing.register("t", columns, "").await.unwrap();
    let row = |id: u32, at: &str| {
        format!(
            "SELECT {id} AS id, TIMESTAMP '{at}' AS at, TIMESTAMP '{at}Z' AS zone, 1.50 AS price, 7 AS small, \
             X'00ff' AS raw, DATE '2024-02-29' AS day, [1, NULL, {id}] AS list"
        )
    };
    let (old, new) = ("2024-01-01 00:00:00.000000001", "2024-02-02 12:00:00.5");
    landing.sql(&format!("INSERT INTO t {} UNION ALL {}", row(1, old), row(2, old))).await.unwrap();
    let merge = format!(
        "MERGE INTO t USING ({} UNION ALL {}) AS s ON t.id = s.id \
         WHEN MATCHED THEN UPDATE SET at = s.at, zone = s.zone, price = s.price, small = s.small, raw = s.raw, \
             day = s.day, list = s.list \
         WHEN NOT MATCHED THEN INSERT (id, at, zone, price, small, raw, day, list) \
             VALUES (s.id, s.at, s.zone, s.price, s.small, s.raw, s.day, s.list)",
        row(2, new),
        row(3, new)
    );
    landing.sql(&merge).await.unwrap();
    landing.sql("UPDATE t SET price = price * 2, small = small + 1 WHERE id = 3").await.unwrap();
    let (rest, changed) = ("1.50|7|00ff|2024-02-29|", "3.00|8|00ff|2024-02-29|");
    assert_eq!(
        read(&landing.context, "SELECT * FROM t ORDER BY id").await,
        [
            format!("1|2024-01-01T00:00:00.000000001|2024-01-01T00:00:00.000000001|{rest}[1, NULL, 1]"),
            format!("2|2024-02-02T12:00:00.500|2024-02-02T12:00:00.500|{rest}[1, NULL, 2]"),
            format!("3|2024-02-02T12:00:00.500|2024-02-02T12:00:00.500|{changed}[1, NULL, 3]"),
        ]
    );
    let same = "SELECT count(DISTINCT typeof(at)), count(DISTINCT typeof(price)), count(DISTINCT typeof(list)) FROM t";
    assert_eq!(landing.rows(same), ["1|1|1"], "what is staged is stored as what is inserted");
}
