//! What is refused, and that nothing is changed then.

use super::{ALL, Place, fill};
use crate::landing::{Landing, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_changes_nothing() {
    for place in Place::all() {
        fill(&place).await;
        let before = place.read(ALL).await;
        for (sql, parts) in [
            // Two rows of the source for one of the table.
            (
                "MERGE INTO t USING (VALUES (1, 5), (1, 6)) AS v (id, qty) ON t.id = v.id
                 WHEN MATCHED THEN UPDATE SET qty = v.qty",
                vec!["MERGE"],
            ),
            (
                "MERGE INTO t USING (VALUES (1, 5), (8, 7), (1, 6)) AS v (id, qty) ON t.id = v.id
                 WHEN MATCHED THEN UPDATE SET qty = v.qty WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (v.id, v.qty)",
                vec!["MERGE"],
            ),
            (
                "MERGE INTO t USING (VALUES (1, 5), (NULL, 7)) AS v (id, qty) ON t.id = v.id
                 WHEN MATCHED THEN UPDATE SET qty = v.qty WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (v.id, v.qty)",
                vec!["id"],
            ),
            // The server would make a number of it.
            (
                "MERGE INTO t USING (SELECT CAST(NULL AS BIGINT) AS id, 7 AS qty) AS v ON t.id = v.id
                 WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (v.id, v.qty)",
                vec!["MERGE", "\"id\""],
            ),
            (
                "MERGE INTO t USING (VALUES (1, 5), (1, 6)) AS v (id, qty) ON t.id = v.id AND t.qty = 10
                 WHEN MATCHED THEN UPDATE SET qty = v.qty",
                vec!["twice", "(id)"],
            ),
            ("UPDATE t SET qty = s.qty FROM s WHERE t.id = s.id", vec!["UPDATE ... FROM is not supported"]),
            // The second action of a MERGE hits a key that is there.
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET qty = 1
                 WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (5, 1)",
                vec!["key"],
            ),
            ("UPDATE t SET id = 1 WHERE id > 3", vec!["key"]),
            // Types, names.
            ("UPDATE t SET qty = 3000000000 WHERE id = 1", vec!["3000000000"]),
            ("UPDATE t SET day = 'no day' WHERE id = 1", vec!["no day"]),
            ("UPDATE t SET nothing = 1", vec!["nothing"]),
            ("UPDATE t SET qty = nothing", vec!["nothing"]),
            ("DELETE FROM t WHERE nothing = 1", vec!["nothing"]),
            ("MERGE INTO t USING s ON id = s.id WHEN MATCHED THEN DELETE", vec!["Ambiguous"]),
            ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET nothing = 1", vec!["nothing"]),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id)",
                vec!["2 column(s) but 1 value"],
            ),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (s.id, t.qty)",
                vec![
                    "WHEN NOT MATCHED applies to source rows that match no row of the target",
                    "cannot reference a target column",
                ],
            ),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET qty = s.qty",
                vec![
                    "BY SOURCE applies to target rows that match no row of the source",
                    "cannot reference a source column",
                ],
            ),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN MATCHED THEN UPDATE SET qty = 1",
                vec!["unreachable WHEN MATCHED"],
            ),
            ("MERGE INTO t USING t ON t.id = t.id WHEN MATCHED THEN DELETE", vec!["t."]),
        ] {
            says(&format!("{}: {sql}: {}", place.name(), place.error(sql).await), &parts);
            assert_eq!(place.read(ALL).await, before, "{}: {sql}", place.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volatile_value_is_computed_once_for_each_row() {
    for place in Place::all() {
        fill(&place).await;
        place.run("UPDATE t SET x = random() WHERE id > 0").await.unwrap();
        assert_eq!(place.read("SELECT count(DISTINCT x), min(x) >= 0, max(x) < 1 FROM t").await, ["5|true|true"]);
        place.run("DELETE FROM t WHERE random() < 0").await.unwrap();
        assert_eq!(place.read("SELECT count(*) FROM t").await, ["5"], "{}", place.name());
        // So is a condition, though an action and a value depend on it.
        place.run("INSERT INTO t (id, qty) SELECT value, 1 FROM generate_series(100, 1099)").await.unwrap();
        place
            .run(
                "MERGE INTO t USING (SELECT value AS id, 2 AS qty FROM generate_series(100, 1099)) AS s ON t.id = s.id
                 WHEN MATCHED AND random() < 0.5 THEN UPDATE SET qty = s.qty",
            )
            .await
            .unwrap();
        let values = "SELECT DISTINCT qty FROM t WHERE id >= 100 ORDER BY qty NULLS FIRST";
        assert_eq!(place.read(values).await, ["1", "2"], "{}", place.name());
    }
}

#[tokio::test]
async fn keys_that_are_not_found_again_are_named() {
    let landing = Landing::new(
        "CREATE TABLE m (at TIMESTAMP PRIMARY KEY, v INTEGER);
         INSERT INTO m VALUES (datetime('2024-01-01'), 1), ('2024-01-02 00:00:00.000000', 2);
         CREATE TABLE u (email TEXT UNIQUE, n INTEGER); INSERT INTO u VALUES ('a', 1)",
    );
    landing.register("m", "", "").await.unwrap();
    landing.register("u", "", "").await.unwrap();
    says(&landing.error("UPDATE m SET v = v + 1").await, &["UPDATE", "(at)", "2024-01-31 12:00:00.000000"]);
    assert_eq!(landing.rows("SELECT v FROM m ORDER BY v"), ["1", "2"]);
    landing.sql("UPDATE m SET v = v + 1 WHERE v = 2").await.unwrap();
    assert_eq!(landing.rows("SELECT v FROM m ORDER BY v"), ["1", "3"]);
    says(&landing.error("UPDATE u SET n = n + 1").await, &["columns that allow NULL (email)", "declare them NOT NULL"]);
}

#[tokio::test]
async fn constraints_defaults_and_generated_columns_of_sqlite() {
    let landing = Landing::new(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'fresh' CHECK (a <> 'bad'), n INTEGER,
            g INTEGER AS (n * 2), \"landfall_0\" INTEGER);
         INSERT INTO t (k, a, n) VALUES (1, 'one', 1), (2, 'two', 2)",
    );
    landing.register("t", "", "").await.unwrap();
    says(&landing.error("UPDATE t SET a = 'bad' WHERE k = 1").await, &["UPDATE", "CHECK constraint failed"]);
    says(&landing.error("UPDATE t SET a = NULL").await, &["NOT NULL"]);
    says(&landing.error("UPDATE t SET g = 1").await, &["\"g\"", "generated"]);
    landing.sql("UPDATE t SET landfall_0 = n + 1").await.unwrap();
    landing
        .sql(
            "MERGE INTO t USING (VALUES (2), (3)) AS s (k) ON t.k = s.k WHEN MATCHED AND t.g = 4 THEN UPDATE SET n = 5
              WHEN NOT MATCHED THEN INSERT (n) VALUES (s.k)",
        )
        .await
        .unwrap();
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|one|1|2|2", "2|two|5|10|3", "3|fresh|3|6|NULL"]);
}

#[tokio::test]
async fn what_sqlite_would_do_with_a_conflict_it_does_not() {
    let landing = Landing::new(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, code TEXT UNIQUE ON CONFLICT REPLACE, n INTEGER);
         INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)",
    );
    landing.register("t", "", "").await.unwrap();
    for sql in [
        "UPDATE t SET code = 'a' WHERE k = 2",
        "UPDATE t SET code = lower('A') WHERE k = 2 AND code LIKE 'b'",
        "MERGE INTO t USING (SELECT 3 AS k) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET code = 'a'
         WHEN NOT MATCHED THEN INSERT (k, code) VALUES (s.k, 'a')",
        "MERGE INTO t USING (SELECT 3 AS k) AS s ON t.k = s.k WHEN NOT MATCHED THEN INSERT (k, code) VALUES (s.k, 'a')",
    ] {
        says(&landing.error(sql).await, &["UNIQUE constraint failed: t.code"]);
        assert_eq!(landing.rows("SELECT * FROM t"), ["1|a|1", "2|b|2"], "{sql}");
    }
    // Rows that the database left out are missed.
    landing
        .db()
        .execute_batch("CREATE TRIGGER tr BEFORE UPDATE ON t WHEN NEW.n > 5 BEGIN SELECT RAISE(IGNORE); END")
        .unwrap();
    says(&landing.error("UPDATE t SET n = n * 4").await, &["changed 1 rows instead of 2", "trigger"]);
    assert_eq!(landing.rows("SELECT * FROM t"), ["1|a|1", "2|b|2"]);
}

/// SQLite looks at what an INSERT may not do before it sees that the row is there, and only an UPDATE is meant.
#[tokio::test]
async fn a_row_that_is_there_is_not_refused_for_what_is_not_set() {
    let landing = Landing::new(
        "CREATE TABLE plain (k INTEGER PRIMARY KEY, a TEXT NOT NULL, n INTEGER); INSERT INTO plain VALUES (1, 'a', 1);
         CREATE TABLE checked (k INTEGER PRIMARY KEY, a TEXT CHECK (a = 'a'), n INTEGER); INSERT INTO checked VALUES (1, 'a', 1);
         CREATE TABLE keyed (k INTEGER PRIMARY KEY, a TEXT UNIQUE, n INTEGER); INSERT INTO keyed VALUES (1, 'b', 1), (2, 'x', 1);
         CREATE TABLE watched (k INTEGER PRIMARY KEY, a TEXT, n INTEGER); INSERT INTO watched VALUES (1, 'a', 1);
         CREATE TRIGGER tr BEFORE INSERT ON watched BEGIN SELECT RAISE(ABORT, 'an INSERT'); END",
    );
    for table in ["plain", "checked", "keyed", "watched"] {
        landing.register(table, "", "").await.unwrap();
        for (values, columns) in [("'x', s.n", "a, n"), ("s.n", "n")] {
            let merge = format!(
                "MERGE INTO {table} AS t USING (SELECT 1 AS k, 7 AS n) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET n = s.n
                 WHEN NOT MATCHED THEN INSERT (k, {columns}) VALUES (s.k, {values})"
            );
            assert_eq!(crate::landing::count(&landing.sql(&merge).await.unwrap()), 1, "{table}: {merge}");
            assert_eq!(landing.rows(&format!("SELECT n FROM {table} WHERE k = 1")), ["7"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_defaults_identities_and_types_of_postgres() {
    let server = Postgres::new(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN short AS varchar(3) NOT NULL;
         CREATE TABLE t (k bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE, a text NOT NULL DEFAULT 'fresh',
            n int, g int GENERATED ALWAYS AS (n * 2) STORED, m mood, d short DEFAULT 'abc', j jsonb, p point, l int[],
            at timestamptz);
         INSERT INTO t (code, n, m, j, p, l, at) VALUES ('a', 1, 'ok', '{\"x\": 1}', '(1,2)', '{1,2}', '2024-05-05 12:00+02'),
            ('b', 2, 'sad', NULL, NULL, NULL, NULL)",
    );
    server.register("t", "", "").await.unwrap();
    let merge = |condition: &str| {
        format!(
            "MERGE INTO t USING (VALUES ('b', 5), ('c', 7)) AS s (code, n) ON t.code = s.code{condition}
             WHEN MATCHED THEN UPDATE SET n = s.n, m = 'ok', j = '[1]', d = 'xyz', p = '(3,4)'
             WHEN NOT MATCHED THEN INSERT (code, n) VALUES (s.code, s.n)"
        )
    };
    server.sql(&merge("")).await.unwrap();
    let rows = [
        "1|a|fresh|1|2|ok|abc|{\"x\": 1}|(1,2)|{1,2}|2024-05-05 10:00:00+00",
        "2|b|fresh|5|10|ok|xyz|[1]|(3,4)|NULL|NULL",
        "3|c|fresh|7|14|NULL|abc|NULL|NULL|NULL|NULL",
    ];
    let all = "SET TimeZone = 'UTC'; SELECT * FROM t ORDER BY k";
    assert_eq!(server.rows(all), rows);
    server.sql("UPDATE t SET n = n - 3, l = l, p = p, at = at WHERE code LIKE 'c'").await.unwrap();
    server.sql(&merge(" AND t.n > 0")).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(server.rows("SELECT code, n FROM t ORDER BY k"), ["a|1", "b|5", "c|7"]);
    says(&server.error("UPDATE t SET d = 'long'").await, &["\"d\""]);
    says(&server.error("UPDATE t SET d = NULL WHERE k = 1").await, &["UPDATE"]);
    says(&server.error("UPDATE t SET m = 'glad'").await, &["glad"]);
    says(&server.error("UPDATE t SET g = 1").await, &["\"g\"", "generated"]);
    assert_eq!(server.rows("SELECT code, n, d FROM t ORDER BY k"), ["a|1|abc", "b|5|xyz", "c|7|xyz"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_and_partitions_of_postgres() {
    let server = Postgres::new(
        "CREATE TABLE parts (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);
         CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10);
         CREATE TABLE high PARTITION OF parts FOR VALUES FROM (10) TO (20);
         INSERT INTO parts VALUES (1, 'a'), (11, 'b');
         CREATE VIEW v AS SELECT k, v FROM parts",
    );
    server.register("parts", "", "").await.unwrap();
    server.register("v", "", "").await.unwrap();
    let merge =
        "EXPLAIN ANALYZE MERGE INTO parts USING (VALUES (1, 'x'), (12, 'y')) AS s (k, v) ON parts.k = CAST(s.k AS INT)
         WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v)";
    says(&server.read(merge).await.join("\n"), &["inserted=1", "updated=1"]);
    assert_eq!(server.rows("SELECT * FROM parts ORDER BY k"), ["1|x", "11|b", "12|y"]);
    server.sql("UPDATE v SET v = 'seen' WHERE k = 1").await.unwrap();
    server.sql("DELETE FROM v WHERE k > 11").await.unwrap();
    assert_eq!(server.rows("SELECT * FROM parts ORDER BY k"), ["1|seen", "11|b"]);
    server.rows("CREATE TABLE refers (k int REFERENCES parts)");
    says(&server.error("TRUNCATE TABLE parts").await, &["TRUNCATE", "use DELETE FROM", "foreign key"]);
    server.rows("DROP TABLE refers");
    server.sql("TRUNCATE TABLE parts").await.unwrap();
    assert_eq!(server.rows("SELECT count(*) FROM parts"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_defaults_and_types_of_mysql() {
    let server = MySql::new(
        "CREATE TABLE t (k bigint AUTO_INCREMENT PRIMARY KEY, code varchar(10) CHARACTER SET latin1 COLLATE latin1_german1_ci
                UNIQUE NOT NULL, a varchar(5) NOT NULL DEFAULT 'fresh', n int UNSIGNED, g int AS (n * 2) STORED,
            m enum('sad', 'ok'), j json, at timestamp(6) NULL, b bit(3), y year);
         INSERT INTO t (code, n, m, j, at, b, y) VALUES ('z', 1, 'ok', '{}', '2024-05-05 10:00:00', b'101', 2024),
            ('Ä', 2, 'sad', NULL, NULL, NULL, NULL)",
    );
    server.register("t", "", "").await.unwrap();
    server
        .sql(
            "MERGE INTO t USING (VALUES ('Ä', 5), ('c', 7)) AS s (code, n) ON t.code = s.code
              WHEN MATCHED THEN UPDATE SET n = s.n, m = 'ok', j = '[1]', y = 2000
              WHEN NOT MATCHED THEN INSERT (code, n) VALUES (s.code, s.n)",
        )
        .await
        .unwrap();
    server.sql("UPDATE t SET b = b, at = at, n = n + 1 WHERE code LIKE 'z%'").await.unwrap();
    assert_eq!(
        server.rows("SELECT k, code, a, n, g, m, j, at, b + 0, y FROM t ORDER BY k"),
        [
            "1|z|fresh|2|4|ok|{}|2024-05-05 10:00:00.000000|5|2024",
            "2|Ä|fresh|5|10|ok|[1]|NULL|NULL|2000",
            "3|c|fresh|7|14|NULL|NULL|NULL|NULL|NULL",
        ]
    );
    says(&server.error("UPDATE t SET a = 'too long'").await, &["\"a\"", "5 characters"]);
    says(&server.error("UPDATE t SET a = NULL").await, &["UPDATE"]);
    says(&server.error("UPDATE t SET m = 'glad'").await, &["\"m\""]);
    says(&server.error("UPDATE t SET g = 1").await, &["\"g\"", "generated"]);
    // The collation's idea of a key is not DataFusion's: rows are found as DataFusion does.
    assert_eq!(server.read("SELECT count(*) FROM t WHERE code = 'A'").await, ["0"]);
    server.sql("DELETE FROM t WHERE code = 'A'").await.unwrap();
    assert_eq!(server.rows("SELECT count(*) FROM t"), ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_mysql_sets_itself_are_those_of_the_source() {
    let server = MySql::new(
        "CREATE TABLE t (k bigint PRIMARY KEY, at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
            b timestamp NULL);
         INSERT INTO t VALUES (1, '2001-01-01', '2001-01-01'), (2, '2002-02-02', '2002-02-02')",
    );
    server.register("t", "", "").await.unwrap();
    let source = "(VALUES (2, TIMESTAMP '2022-02-02 02:02:02'), (3, TIMESTAMP '2023-03-03 03:03:03')) AS s (k, at)";
    for merge in [
        format!(
            "MERGE INTO t USING {source} ON t.k = s.k WHEN MATCHED THEN UPDATE SET at = s.at, b = NULL
             WHEN NOT MATCHED THEN INSERT (k, at) VALUES (s.k, s.at)"
        ),
        format!("MERGE INTO t USING {source} ON t.k = s.k AND t.k > 0 WHEN MATCHED THEN UPDATE SET at = s.at"),
    ] {
        server.sql(&merge).await.unwrap();
        assert_eq!(
            server.rows("SELECT * FROM t ORDER BY k"),
            [
                "1|2001-01-01 00:00:00.000000|2001-01-01 00:00:00",
                "2|2022-02-02 02:02:02.000000|NULL",
                "3|2023-03-03 03:03:03.000000|NULL",
            ]
        );
    }
}
