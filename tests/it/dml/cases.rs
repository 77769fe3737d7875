//! Statements that every database answers as PostgreSQL does by itself.

use super::{ALL, Place, fill};
use crate::postgres::Postgres;

/// What PostgreSQL makes of a statement by itself.
async fn reference(place: &Place, sql: &str) -> Vec<String> {
    fill(place).await;
    place.client(sql);
    place.read(ALL).await
}

/// A statement and the number of rows that it changes.
type Case = (&'static str, u64);

async fn agree(cases: &[Case]) {
    let (postgres, places) = (Place::Postgres(Postgres::new("")), Place::all());
    for (sql, rows) in cases {
        let expected = reference(&postgres, sql).await;
        for place in &places {
            fill(place).await;
            let count = place.run(sql).await.unwrap_or_else(|error| panic!("{}: {sql}: {error}", place.name()));
            assert_eq!(place.read(ALL).await, expected, "{}: {sql}", place.name());
            assert_eq!(count, *rows, "{}: {sql}", place.name());
        }
    }
}

/// The database finds the rows by the keys of the subquery.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_subquery_agree() {
    let cases = [
        ("DELETE FROM t WHERE id IN (SELECT id FROM s)", 2),
        ("DELETE FROM t WHERE id IN (SELECT id FROM s UNION ALL SELECT id FROM s)", 2),
        ("DELETE FROM t WHERE id IN (SELECT qty FROM s)", 0),
        ("DELETE FROM t WHERE id IN (SELECT qty / 10 FROM s)", 2),
        ("DELETE FROM t WHERE id IN (SELECT NULL::BIGINT FROM s)", 0),
        ("DELETE FROM t WHERE id IN (SELECT id + 1 FROM t)", 4),
        ("DELETE FROM t WHERE id IN (SELECT id FROM s ORDER BY id LIMIT 1)", 1),
        ("DELETE FROM t WHERE id IN (SELECT CAST(id AS SMALLINT) FROM s WHERE qty IS NOT NULL)", 2),
        ("DELETE FROM t WHERE id IN (SELECT CAST(id AS NUMERIC(30)) FROM s)", 2),
        ("DELETE FROM t WHERE id IN (SELECT max(id) FROM t GROUP BY ok)", 3),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE s.id = t.id)", 2),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE t.id = s.id + 2 AND s.price > 1)", 1),
        ("DELETE FROM t WHERE EXISTS (SELECT s.name FROM s, (SELECT 3 AS n) AS o WHERE s.id = t.id AND s.id = o.n)", 1),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE s.id = t.id AND s.id = t.id + 0)", 2),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE t.id = t.id AND s.id = t.id)", 2),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s)", 5),
        ("DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM s WHERE s.id = t.id)", 3),
        ("UPDATE t SET qty = 7, name = 'seven' WHERE id IN (SELECT id FROM s)", 2),
        ("UPDATE t SET qty = NULL, price = 1.5, day = DATE '2024-03-01' WHERE id IN (SELECT id FROM s)", 2),
        ("UPDATE t SET qty = 2 * 3 WHERE EXISTS (SELECT 1 FROM s WHERE s.id = t.id)", 2),
        ("UPDATE t SET name = 'x' || 'y' WHERE id IN (SELECT id FROM s WHERE id > 2)", 1),
        ("UPDATE t SET id = 9 WHERE id IN (SELECT id FROM s WHERE qty = 33)", 1),
        ("UPDATE t SET qty = qty WHERE id IN (SELECT id FROM s)", 2),
        ("UPDATE t SET qty = qty + 1 WHERE id IN (SELECT id FROM s)", 2),
        ("UPDATE t AS o SET ok = false WHERE o.id IN (SELECT id FROM s)", 2),
        ("UPDATE t AS o SET ok = false WHERE EXISTS (SELECT 1 FROM s AS o2 WHERE o2.id = o.id AND o2.qty < 33)", 1),
        ("UPDATE t SET x = 0.1 WHERE id IN (SELECT id FROM s WHERE false)", 0),
    ];
    agree(&cases).await;
}

/// A number that the key's type cannot store equals no key, and a number that overflows it none either.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_integer_type_agree() {
    for place in Place::all() {
        place.register("n", "(id INT PRIMARY KEY, v INT)", "").await;
        place.register("m", "(a SMALLINT, b BIGINT, v VARCHAR, PRIMARY KEY (a, b))", "").await;
        place.run("INSERT INTO n VALUES (-2147483648, 0), (1, 1), (2, 2), (2147483647, 3)").await.unwrap();
        place.run("INSERT INTO m VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c'), (2, 2, 'd')").await.unwrap();
        let big = "SELECT value FROM (VALUES (-4294967295), (4294967298), (2147483647), (2), (NULL)) AS v(value)";
        let sql = format!("UPDATE n SET v = 9 WHERE id IN ({big})");
        assert!(place.plan(&sql).await.contains("joined at the server, by (id)"), "{}", place.name());
        assert_eq!(place.run(&sql).await.unwrap(), 2, "{}", place.name());
        assert_eq!(
            place.read("SELECT id, v FROM n ORDER BY id").await,
            ["-2147483648|0", "1|1", "2|9", "2147483647|9"],
            "{}",
            place.name()
        );
        let both = "SELECT 1 FROM (VALUES (1, 2), (1, 2), (2, 7), (65537, 1)) AS v(x, y) WHERE v.y = m.b AND m.a = v.x";
        let sql = format!("DELETE FROM m WHERE EXISTS ({both})");
        assert!(place.plan(&sql).await.contains("joined at the server, by "), "{}", place.name());
        assert_eq!(place.run(&sql).await.unwrap(), 1, "{}", place.name());
        assert_eq!(place.read("SELECT v FROM m ORDER BY v").await, ["a", "c", "d"], "{}", place.name());
        let merge = format!("MERGE INTO n USING ({big}) AS s ON n.id = s.value WHEN MATCHED THEN DELETE");
        assert_eq!(place.run(&merge).await.unwrap(), 2, "{}", place.name());
        let merge = format!(
            "MERGE INTO n USING ({big}) AS s ON n.id = s.value WHEN NOT MATCHED THEN INSERT (id) VALUES (s.value)"
        );
        let error = place.error(&merge).await;
        assert!(error.contains("4294967298") || error.contains("-4294967295"), "{}: {error}", place.name());
        assert_eq!(place.read("SELECT count(*) FROM n").await, ["2"], "{}", place.name());
    }
}

/// It is no value to store: it only equals no key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_compared_with_a_value_that_its_column_cannot_store() {
    for place in Place::all() {
        place.client("CREATE TABLE w (code VARCHAR(5) PRIMARY KEY, v INT)");
        place.register("w", "", "").await;
        for (change, rows) in [
            ("DELETE FROM w WHERE code IN (SELECT code FROM s)", 1),
            ("UPDATE w SET v = 9 WHERE EXISTS (SELECT 1 FROM s WHERE s.code = w.code)", 1),
            ("MERGE INTO w USING s ON w.code = s.code WHEN MATCHED THEN DELETE", 1),
            ("DELETE FROM w WHERE v IN (SELECT 4294967297 UNION ALL SELECT 1)", 1),
        ] {
            place.client("DELETE FROM w");
            place.client("INSERT INTO w VALUES ('a', 1), ('b', 2)");
            let s = "(SELECT 'a' AS code UNION ALL SELECT 'too long a code') AS s";
            let sql = change.replace("FROM s ", &format!("FROM {s} ")).replace("FROM s)", &format!("FROM {s})"));
            let sql = sql.replace("USING s ", &format!("USING {s} "));
            assert_eq!(place.run(&sql).await.unwrap(), rows, "{}: {sql}", place.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_agree() {
    agree(&[
        ("DELETE FROM t WHERE id = 2", 1),
        ("DELETE FROM t WHERE qty > 5 AND name IS NOT NULL", 2),
        ("DELETE FROM t WHERE false", 0),
        ("DELETE FROM t WHERE id = 1 AND id = 2", 0),
        ("DELETE FROM t WHERE NULL", 0),
        ("DELETE FROM t WHERE id = NULL", 0),
        ("DELETE FROM t WHERE id = 1 OR name = 'five '", 2),
        ("DELETE FROM t WHERE name = 'five'", 0),
        ("DELETE FROM t WHERE name = 'THREE'", 0),
        ("DELETE FROM t WHERE name LIKE 't%'", 1),
        ("DELETE FROM t WHERE lower(name) = 'three'", 1),
        ("DELETE FROM t WHERE qty / 4 = 2", 1),
        ("DELETE FROM t WHERE qty NOT IN (10, 30)", 2),
        ("DELETE FROM t WHERE NOT (qty = 10)", 3),
        ("DELETE FROM t WHERE qty BETWEEN -5 AND 10", 2),
        ("DELETE FROM t WHERE price = 2.25", 1),
        ("DELETE FROM t WHERE ok", 2),
        ("DELETE FROM t WHERE ok IS NOT TRUE", 3),
        ("DELETE FROM t WHERE day < DATE '2024-01-02'", 2),
        ("DELETE FROM t WHERE x > 0.5", 2),
        ("DELETE FROM t", 5),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_with_subqueries_agree() {
    agree(&[
        ("DELETE FROM t WHERE id IN (SELECT id FROM s)", 2),
        ("DELETE FROM t WHERE id > 2 AND id IN (SELECT id FROM s)", 1),
        ("DELETE FROM t WHERE id NOT IN (SELECT id FROM s)", 3),
        ("DELETE FROM t WHERE qty NOT IN (SELECT qty FROM s)", 0),
        ("DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM s WHERE s.id = t.id)", 3),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE s.id = t.id AND s.qty > t.qty)", 1),
        ("DELETE FROM t WHERE qty > (SELECT avg(qty) FROM s)", 2),
        ("DELETE FROM t WHERE qty = (SELECT max(qty) FROM t)", 1),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_agree() {
    agree(&[
        ("UPDATE t SET qty = 7 WHERE id = 3", 1),
        ("UPDATE t SET qty = NULL, name = 'x' WHERE qty >= 10", 3),
        ("UPDATE t SET qty = 10 WHERE id = 1", 1),
        ("UPDATE t SET qty = 1 WHERE false", 0),
        ("UPDATE t SET name = 'it''s \"so\" \\ Ärger 🎣', price = 1, ok = false, day = DATE '2000-02-29', x = 1.25", 5),
        ("UPDATE t SET qty = qty + 1", 5),
        ("UPDATE t SET qty = id, x = qty WHERE id <> 2", 4),
        ("UPDATE t SET name = upper(name) WHERE length(name) > 3", 2),
        ("UPDATE t SET price = price * 2 WHERE price < 3", 3),
        ("UPDATE t SET id = id + 100", 5),
        ("UPDATE t SET id = id + 100, qty = id WHERE name IS NULL", 1),
        ("UPDATE t SET qty = CASE WHEN ok THEN 1 ELSE 0 END", 5),
        ("UPDATE t AS a SET name = 'a' WHERE a.id = 1", 1),
        ("UPDATE t AS a SET qty = a.qty * 2 WHERE a.id = 1", 1),
        ("UPDATE t SET qty = (SELECT max(qty) FROM s) WHERE id < 3", 2),
        ("UPDATE t SET qty = (SELECT s.qty FROM s WHERE s.id = t.id)", 5),
        ("UPDATE t SET name = 'in s' WHERE id IN (SELECT id FROM s WHERE qty > 20)", 1),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncates_agree() {
    agree(&[("TRUNCATE TABLE t", 5)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_agree() {
    agree(&[
        // The server can join these.
        (
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name, qty = s.qty
             WHEN NOT MATCHED THEN INSERT (id, name, qty) VALUES (s.id, s.name, s.qty)",
            4,
        ),
        ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE", 2),
        ("MERGE INTO t USING s ON s.id = t.id WHEN MATCHED THEN UPDATE SET qty = 0", 2),
        (
            "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED AND s.qty > 0 THEN INSERT (id, qty) VALUES (s.id, s.qty)",
            1,
        ),
        (
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.qty > 30 THEN DELETE
             WHEN MATCHED AND s.qty > 15 THEN UPDATE SET qty = s.qty + 1, name = upper(s.name)
             WHEN NOT MATCHED AND s.qty IS NULL THEN INSERT (id, name) VALUES (s.id, 'no quantity')
             WHEN NOT MATCHED THEN INSERT (id, name, price) VALUES (s.id * 10, coalesce(s.name, '?'), s.price)",
            4,
        ),
        (
            "MERGE INTO t USING (SELECT id - 1 AS id, max(qty) AS qty FROM s GROUP BY id) AS q ON t.id = q.id
             WHEN MATCHED THEN UPDATE SET qty = q.qty WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (q.id, q.qty)",
            4,
        ),
        // What a row does not take is not computed for it.
        (
            "MERGE INTO t USING (VALUES (1, 0), (3, 5)) AS v (id, n) ON t.id = v.id WHEN MATCHED AND v.n = 0 THEN DELETE
             WHEN MATCHED THEN UPDATE SET qty = 100 / v.n",
            2,
        ),
        (
            "MERGE INTO t USING (VALUES (1, 5), (9, 0)) AS v (id, n) ON t.id = v.id
             WHEN MATCHED THEN UPDATE SET qty = 100 / v.n",
            1,
        ),
        // These need the table's rows.
        (
            "MERGE INTO t AS a USING s ON a.id = s.id WHEN MATCHED AND a.qty IS NULL THEN UPDATE SET qty = s.qty
             WHEN MATCHED THEN UPDATE SET qty = a.qty + s.qty, x = s.qty
             WHEN NOT MATCHED THEN INSERT (id, name, qty) VALUES (s.id, s.name, s.qty)",
            4,
        ),
        ("MERGE INTO t USING s ON t.id = s.id AND t.qty < s.qty WHEN MATCHED THEN UPDATE SET qty = s.qty", 1),
        (
            "MERGE INTO t USING s ON t.id = s.id AND s.qty > 20 WHEN MATCHED THEN DELETE
             WHEN NOT MATCHED AND s.id > 5 THEN INSERT (id, name) VALUES (s.id, s.name)",
            3,
        ),
        ("MERGE INTO t USING s ON t.qty = s.qty - 3 WHEN MATCHED THEN UPDATE SET name = s.name", 1),
        (
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND t.price > 2.00 THEN UPDATE SET id = t.id + 50, qty = s.qty
             WHEN MATCHED AND NULL THEN DELETE",
            1,
        ),
        (
            "MERGE INTO t USING (SELECT t.id, s.qty FROM t JOIN s ON t.id = s.id) AS q ON t.id = q.id
             WHEN MATCHED AND t.id > 0 THEN UPDATE SET qty = q.qty",
            2,
        ),
        ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND t.id < 0 THEN DELETE", 0),
        // The table is its own source.
        (
            "MERGE INTO t USING (SELECT id + 1 AS id, qty FROM t) AS q ON t.id = q.id
             WHEN MATCHED THEN UPDATE SET qty = q.qty WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (q.id, q.qty)",
            5,
        ),
    ])
    .await;
}

/// PostgreSQL has no BY SOURCE before 17: what it would do is written here as two statements.
#[tokio::test(flavor = "multi_thread")]
async fn merges_by_source_agree() {
    let (postgres, places) = (Place::Postgres(Postgres::new("")), Place::all());
    for (merge, plain, rows) in [
        (
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET qty = s.qty
             WHEN NOT MATCHED BY TARGET THEN INSERT (id, name, qty) VALUES (s.id, s.name, s.qty)
             WHEN NOT MATCHED BY SOURCE AND t.qty < 0 THEN UPDATE SET name = 'below', qty = t.qty - 1
             WHEN NOT MATCHED BY SOURCE AND t.qty >= 40 THEN DELETE",
            "DELETE FROM t WHERE qty >= 40 AND id NOT IN (SELECT id FROM s);
             UPDATE t SET name = 'below', qty = t.qty - 1 WHERE qty < 0 AND id NOT IN (SELECT id FROM s);
             UPDATE t SET qty = s.qty FROM s WHERE t.id = s.id;
             INSERT INTO t (id, name, qty) SELECT id, name, qty FROM s WHERE id NOT IN (SELECT id FROM t)",
            6,
        ),
        (
            "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
            "DELETE FROM t WHERE id NOT IN (SELECT id FROM s)",
            3,
        ),
    ] {
        let expected = reference(&postgres, plain).await;
        for place in &places {
            fill(place).await;
            assert_eq!(place.run(merge).await.unwrap(), rows, "{}: {merge}", place.name());
            assert_eq!(place.read(ALL).await, expected, "{}: {merge}", place.name());
        }
    }
}

/// DataFusion's own table in memory is the reference for what needs no key of a server.
#[tokio::test(flavor = "multi_thread")]
async fn tables_in_memory_agree() {
    for sql in [
        "UPDATE m SET a = a / 2, b = concat(b, '!') WHERE a % 2 = 1",
        "UPDATE m SET b = NULL WHERE b ILIKE 'X%'",
        "UPDATE m SET a = CAST(b AS INT) WHERE b = '12'",
        "DELETE FROM m WHERE a > 3 AND b <> 'y'",
        "DELETE FROM m WHERE coalesce(b, 'none') = 'none'",
        "DELETE FROM m WHERE abs(a) = 7",
    ] {
        let context = crate::landing::session();
        let rows = "VALUES (1, 1, 'x'), (2, 3, 'X'), (3, 5, NULL), (4, 7, 'y'), (5, -7, '12'), (6, 8, 'z')";
        context.sql("CREATE TABLE m (k INT, a INT, b VARCHAR)").await.unwrap().collect().await.unwrap();
        for statement in [&format!("INSERT INTO m {rows}"), sql] {
            context.sql(statement).await.unwrap().collect().await.unwrap();
        }
        let expected = crate::landing::read(&context, "SELECT * FROM m ORDER BY k").await;
        for place in Place::all() {
            place.register("m", "(k INT PRIMARY KEY, a INT, b VARCHAR)", "").await;
            place.run(&format!("INSERT INTO m {rows}")).await.unwrap();
            place.run(sql).await.unwrap_or_else(|error| panic!("{}: {sql}: {error}", place.name()));
            assert_eq!(place.read("SELECT * FROM m ORDER BY k").await, expected, "{}: {sql}", place.name());
        }
    }
}
