//! What a filter finds is what it says, whatever form its constants and the values of the table have.

use std::collections::BTreeSet;

use crate::dml::Place;
use crate::landing::{Landing, says};
use crate::postgres::Postgres;

const COLUMNS: &str = "(id BIGINT PRIMARY KEY, d DATE, ts TIMESTAMP(6), n DECIMAL(10, 2), i BIGINT, x DOUBLE)";

/// Two rows, and one of NULLs.
const ROWS: &str = "INSERT INTO t VALUES
    (1, DATE '2020-01-31', TIMESTAMP '2020-01-31 00:00:00', 1.50, 9007199254740992, 0.5),
    (2, DATE '1969-12-31', TIMESTAMP '1969-12-31 23:59:59.999999', 0.00, 9007199254740993, 0.25),
    (3, NULL, NULL, NULL, NULL, NULL)";

/// Conditions, and the rows that they find.
const CONDITIONS: &[(&str, &[i64])] = &[
    // A nanosecond is no microsecond.
    ("ts = TIMESTAMP '2020-01-31 00:00:00.000000001'", &[]),
    ("ts <> TIMESTAMP '2020-01-31 00:00:00.000000001'", &[1, 2]),
    ("NOT (ts = TIMESTAMP '2020-01-31 00:00:00.000000001')", &[1, 2]),
    ("ts < TIMESTAMP '2020-01-31 00:00:00.000000001'", &[1, 2]),
    ("ts >= TIMESTAMP '2020-01-31 00:00:00.000000001'", &[]),
    ("TIMESTAMP '2020-01-31 00:00:00.000000001' > ts", &[1, 2]),
    ("ts > TIMESTAMP '1969-12-31 23:59:59.999998999'", &[1, 2]),
    ("ts <= TIMESTAMP '1969-12-31 23:59:59.999999001'", &[2]),
    ("ts < TIMESTAMP '1969-12-31 23:59:59.999999001'", &[2]),
    ("ts IN (TIMESTAMP '2020-01-31 00:00:00.000000001', TIMESTAMP '1969-12-31 23:59:59.999999')", &[2]),
    ("ts IN (TIMESTAMP '2020-01-31 00:00:00.000000001')", &[]),
    ("ts NOT IN (TIMESTAMP '2020-01-31 00:00:00.000000001')", &[1, 2]),
    ("ts BETWEEN TIMESTAMP '2020-01-31 00:00:00.000000001' AND TIMESTAMP '2021-01-01 00:00:00'", &[]),
    ("ts NOT BETWEEN TIMESTAMP '2020-01-31 00:00:00.000000001' AND TIMESTAMP '2021-01-01 00:00:00'", &[1, 2]),
    ("ts = TIMESTAMP '2020-01-30 23:59:59.999999999' + INTERVAL '1 nanosecond'", &[1]),
    ("ts = TIMESTAMP '2020-01-31 00:00:00' + INTERVAL '1 nanosecond'", &[]),
    ("ts = '2020-01-31 00:00:00.0000001'", &[]),
    ("ts = '2020-01-31T00:00:00.0000000001'", &[]),
    ("ts = '2020-01-31 00:00:00'", &[1]),
    ("ts IS DISTINCT FROM TIMESTAMP '2020-01-31 00:00:00.000000001'", &[1, 2, 3]),
    ("ts IS NOT DISTINCT FROM TIMESTAMP '2020-01-31 00:00:00.000000001'", &[]),
    // Years that nanoseconds do not reach.
    ("ts < '9999-12-31 00:00:00'", &[1, 2]),
    ("ts > '0001-01-01'", &[1, 2]),
    ("ts < DATE '9999-12-31'", &[1, 2]),
    // A time of day is no day.
    ("d = '2020-01-31 01:00:00'", &[]),
    ("d <> '2020-01-31 01:00:00'", &[1, 2]),
    ("d < '2020-01-31 01:00:00'", &[1, 2]),
    ("d >= '2020-01-31 01:00:00'", &[]),
    ("d > '1969-12-31 23:59:59.9999999'", &[1]),
    ("d = '2020-01-31 00:00:00'", &[1]),
    ("d = '2020-01-31'", &[1]),
    ("d IN ('2020-01-31 01:00:00', '1969-12-31')", &[2]),
    ("d NOT IN ('2020-01-31 01:00:00')", &[1, 2]),
    ("d BETWEEN '2020-01-31 01:00:00' AND '2020-02-01'", &[]),
    ("d = TIMESTAMP '2020-01-31 00:00:00.000000001'", &[]),
    ("d = TIMESTAMP '2020-01-31 00:00:00'", &[1]),
    ("d < TIMESTAMP '2020-01-31 00:00:00.000000001'", &[1, 2]),
    // A cast that is written is the user's.
    ("d = CAST('2020-01-31 01:00:00' AS DATE)", &[1]),
    // A digit too many is not rounded.
    ("n = '1.499'", &[]),
    ("n = '1.500'", &[1]),
    ("n < '1.501'", &[1, 2]),
    ("n >= '-0.001'", &[1, 2]),
    ("n <= '-0.001'", &[]),
    ("n = 1e-16", &[]),
    ("n >= 1e-16", &[1]),
    ("n < 1e-16", &[2]),
    ("n > -1e-16", &[1, 2]),
    ("n < 1e30", &[1, 2]),
    ("n > -1e30", &[1, 2]),
    ("n > 1e300", &[]),
    ("n = 1.5", &[1]),
    ("n IN (1.499, '0')", &[2]),
    // Integers that a float has not.
    ("i = 9007199254740992e0", &[1]),
    ("i > 9007199254740992e0", &[2]),
    ("i < 9007199254740993e0", &[]),
    ("i = 1.5", &[]),
    ("i < 1e30", &[1, 2]),
    ("i BETWEEN 0.5 AND 9007199254740992e0", &[1]),
    // A decimal is a float as its digits say.
    ("x = CAST(0.5 AS DECIMAL(38, 30))", &[1]),
    ("x > CAST('0.00000000000000000001' AS DECIMAL(38, 30))", &[1, 2]),
    ("x IN (CAST('0.25' AS DECIMAL(38, 30)), CAST('0.00000000000000000001' AS DECIMAL(38, 30)))", &[2]),
];

fn lines(ids: impl IntoIterator<Item = i64>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

#[tokio::test]
async fn filters_cut_nothing_off_their_constants() {
    for place in Place::all() {
        place.register("t", COLUMNS, "").await;
        place.run(ROWS).await.unwrap();
        let mut differing = Vec::new();
        for (condition, expected) in CONDITIONS {
            let found = place.read(&format!("SELECT id FROM t WHERE {condition} ORDER BY id")).await;
            if found != lines(expected.iter().copied()) {
                differing.push(format!("{condition} finds {found:?}"));
            }
        }
        assert_eq!(differing, [""; 0], "{}", place.name());
    }
}

#[tokio::test]
async fn statements_that_write_take_the_rows_that_the_filter_says() {
    for place in Place::all() {
        place.register("t", COLUMNS, "").await;
        let name = place.name();
        for (number, (condition, expected)) in CONDITIONS.iter().enumerate() {
            place.client("DELETE FROM t");
            place.run(ROWS).await.unwrap();
            let merge = format!(
                "MERGE INTO t USING (SELECT 1 AS one) AS s ON ({condition}) AND one = 1 WHEN MATCHED THEN UPDATE SET x = 9"
            );
            // Each asks the client several times, which takes its time.
            let is_updated = number % 5 == 0;
            for update in [format!("UPDATE t SET x = 9 WHERE {condition}"), merge].into_iter().filter(|_| is_updated) {
                place.client("UPDATE t SET x = CASE id WHEN 1 THEN 0.5 WHEN 2 THEN 0.25 END");
                place.run(&update).await.unwrap_or_else(|error| panic!("{name}: {update}: {error}"));
                let updated = place.client("SELECT id FROM t WHERE x = 9 ORDER BY id");
                assert_eq!(updated, lines(expected.iter().copied()), "{name}: {update}");
            }
            if is_updated {
                place.client("UPDATE t SET x = CASE id WHEN 1 THEN 0.5 WHEN 2 THEN 0.25 END");
            }
            place.run(&format!("DELETE FROM t WHERE {condition}")).await.unwrap();
            let left = (1..=3).filter(|id| !expected.contains(id));
            assert_eq!(place.client("SELECT id FROM t ORDER BY id"), lines(left), "{name}: {condition}");
        }
    }
}

#[tokio::test]
async fn a_constant_that_is_one_of_the_column_goes_to_the_database() {
    for place in Place::all() {
        place.register("t", COLUMNS, "").await;
        let conditions: &[&str] = match &place {
            // Decimals and times are texts there.
            Place::Sqlite(_) => &["i > 1.5", "i = 3e0", "i < 1e30 AND i IN (1.5, 2)"],
            _ => {
                &["i > 1.5", "n < 1e-16", "ts < TIMESTAMP '2020-01-31 00:00:00.000000001'", "d = '2020-01-31 01:00:00'"]
            }
        };
        for condition in conditions {
            let plan = place.plan(&format!("DELETE FROM t WHERE {condition}")).await;
            says(&plan, &["DELETE WHERE"]);
        }
    }
}

#[tokio::test]
async fn a_time_with_a_zone_is_compared_in_that_zone() {
    for place in Place::all() {
        place.register("t", COLUMNS, "").await;
        place.run("INSERT INTO t (id, ts) VALUES (1, TIMESTAMP '2020-01-31 00:00:00')").await.unwrap();
        place.context().sql("SET datafusion.execution.time_zone = '+05:30'").await.unwrap();
        let zoned = "CAST('2020-01-31T00:00:00+05:30' AS TIMESTAMP WITH TIME ZONE)";
        for (condition, count) in [(format!("ts = {zoned}"), 1), (format!("ts < {zoned}"), 0)] {
            let found = place.read(&format!("SELECT id FROM t WHERE {condition}")).await;
            assert_eq!(found.len(), count, "{}: {condition}", place.name());
        }
        // What it is there now, five hours later than in UTC.
        place.run("INSERT INTO t (id, ts) SELECT 2, to_local_time(now()) - INTERVAL '1 hour'").await.unwrap();
        assert_eq!(place.run("DELETE FROM t WHERE id = 2 AND ts < now() - INTERVAL '2 hours'").await.unwrap(), 0);
        assert_eq!(place.run("DELETE FROM t WHERE id = 2 AND ts < now()").await.unwrap(), 1, "{}", place.name());
    }
}

/// A value of another class in every column, one a row.
const FOREIGN: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s TEXT, r REAL, m NUMERIC, b BOOLEAN, k \"Int8\", u \"UInt64\");
    INSERT INTO t VALUES (1, 10, 'a', 1.5, 1.5, 0, 5, 5), (2, 20, 'b', 2.5, 2, 1, 6, 6), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO t (id, n) VALUES (11, 'abc'), (12, x'00'), (13, 1.5);
    INSERT INTO t (id, s) VALUES (21, x'7A');
    INSERT INTO t (id, r) VALUES (31, 'abc');
    INSERT INTO t (id, m) VALUES (41, 'abc'), (42, 9007199254740993);
    INSERT INTO t (id, b) VALUES (51, 2), (52, 'yes');
    INSERT INTO t (id, k) VALUES (61, 300);
    INSERT INTO t (id, u) VALUES (71, -1)";

#[tokio::test]
async fn comparisons_find_no_value_of_another_storage_class() {
    for (condition, expected) in [
        ("n > 15", vec![2]),
        ("NOT (n > 15)", vec![1]),
        ("n <> 10", vec![2]),
        ("n NOT IN (10, 11)", vec![2]),
        ("n BETWEEN -5 AND 15", vec![1]),
        ("n NOT BETWEEN -5 AND 15", vec![2]),
        ("n > 15 OR id = 1", vec![1, 2]),
        ("n = 10", vec![1]),
        ("s > 'a'", vec![2]),
        ("s <> 'a'", vec![2]),
        ("r > 1.5", vec![2]),
        ("NOT (r < 2)", vec![2]),
        ("m > 1.5", vec![2]),
        ("m >= 2.0", vec![2]),
        ("b", vec![2]),
        ("NOT b", vec![1]),
        ("b <> false", vec![2]),
        ("k > 4", vec![1, 2]),
        ("u < 6", vec![1]),
        ("n > 15 AND s > 'a'", vec![2]),
        ("(n IS NULL OR n > 15) AND id < 10", vec![2, 3]),
        ("n IS NULL AND id < 10", vec![3]),
    ] {
        let landing = Landing::new(FOREIGN);
        landing.register("t", "", "").await.unwrap();
        let found =
            crate::landing::read(&landing.context, &format!("SELECT id FROM t WHERE {condition} ORDER BY id")).await;
        assert_eq!(found, lines(expected.iter().copied()), "{condition}");
        let before: BTreeSet<_> = landing.rows("SELECT id FROM t").into_iter().collect();
        landing.sql(&format!("DELETE FROM t WHERE {condition}")).await.unwrap();
        let after: BTreeSet<_> = landing.rows("SELECT id FROM t").into_iter().collect();
        let gone: Vec<_> = before.difference(&after).cloned().collect();
        assert_eq!(gone, lines(expected), "DELETE WHERE {condition}");
    }
    let landing = Landing::new(FOREIGN);
    landing.register("t", "", "").await.unwrap();
    says(&landing.error("SELECT n FROM t WHERE n IS NOT NULL").await, &["the text 'abc'", "typeof"]);
}

#[tokio::test]
async fn strict_tables_and_row_numbers_are_compared_as_they_are() {
    let landing =
        Landing::new("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER) STRICT; INSERT INTO t VALUES (1, 2)");
    landing.register("t", "", "").await.unwrap();
    let plan =
        crate::landing::read(&landing.context, "EXPLAIN SELECT n FROM t WHERE n > 1 AND id = 1").await.join("\n");
    assert!(!plan.contains("typeof"), "{plan}");
    // An index is used beside what makes sure of the class.
    landing.db().execute_batch("CREATE TABLE u (id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX i ON u (n)").unwrap();
    let search =
        landing.rows("EXPLAIN QUERY PLAN SELECT n FROM u WHERE (n > 1) AND (typeof(n) IN ('integer', 'null'))");
    assert!(search[0].contains("USING COVERING INDEX i (n>?)"), "{search:?}");
}

#[tokio::test]
async fn the_json_text_null_is_null_in_every_filter() {
    let setup = "CREATE TABLE t (id INTEGER PRIMARY KEY, j \"List(Int32)\");
        INSERT INTO t VALUES (1, '[1]'), (2, 'null'), (3, NULL), (4, ' null '), (5, '[null]')";
    let landing = Landing::new(setup);
    landing.register("t", "", "").await.unwrap();
    let shown = crate::landing::read(&landing.context, "SELECT id, j FROM t ORDER BY id").await;
    assert_eq!(shown[1..4], ["2|NULL", "3|NULL", "4|NULL"]);
    let nulls = crate::landing::read(&landing.context, "SELECT id FROM t WHERE j IS NULL ORDER BY id").await;
    assert_eq!(nulls, ["2", "3", "4"]);
    landing.sql("DELETE FROM t WHERE j IS NOT NULL").await.unwrap();
    assert_eq!(landing.rows("SELECT id FROM t ORDER BY id"), ["2", "3", "4"]);
    landing.sql("UPDATE t SET j = make_array(7) WHERE j IS NULL").await.unwrap();
    assert_eq!(landing.rows("SELECT DISTINCT j FROM t"), ["[7]"]);
}

#[tokio::test]
async fn any_column_of_a_strict_table_keeps_every_text() {
    let landing = Landing::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v ANY, w TEXT) STRICT");
    landing.register("t", "", "'on_conflict' 'update'").await.unwrap();
    let texts = ["007", "1e3", " 1", "0x10", "-0", "9999999999999999999", "abc", ""];
    let values: Vec<_> = texts.iter().enumerate().map(|(id, text)| format!("({id}, '{text}', '{text}')")).collect();
    landing.sql(&format!("INSERT INTO t VALUES {}", values.join(", "))).await.unwrap();
    assert_eq!(landing.rows("SELECT id FROM t WHERE typeof(v) <> 'text' OR v <> w"), [""; 0]);
    let read = crate::landing::read(&landing.context, "SELECT id FROM t WHERE v = w").await;
    assert_eq!(read.len(), texts.len());
    // On the ways by a table for staging, and by difference.
    landing.sql("UPDATE t SET v = concat('0', w) WHERE length(w) >= 0").await.unwrap();
    assert_eq!(landing.rows("SELECT id FROM t WHERE typeof(v) <> 'text' OR v <> '0' || w"), [""; 0]);
    landing.register("t", "", "'on_conflict' 'update', 'upsert' 'diff'").await.unwrap_err();
    landing.sql("DROP TABLE t").await.unwrap();
    landing.register("t", "", "'on_conflict' 'update', 'upsert' 'diff'").await.unwrap();
    landing.sql(&format!("INSERT INTO t VALUES {}", values.join(", "))).await.unwrap();
    assert_eq!(landing.rows("SELECT id FROM t WHERE typeof(v) <> 'text' OR v <> w"), [""; 0]);
    // Outside of STRICT the same word makes numbers of texts.
    landing.db().execute_batch("CREATE TABLE loose (v ANY)").unwrap();
    landing.register("loose", "", "").await.unwrap();
    says(&landing.error("INSERT INTO loose VALUES ('007')").await, &["would be stored as a number"]);
}

/// Encodings of PostgreSQL, and texts that they have, whose bytes are in another order than the characters.
const ENCODINGS: &[(&str, &[&str])] = &[
    ("UTF8", &["", "a", "z", "é", "ž", "€", "漢", "😀"]),
    ("SQL_ASCII", &["", "a", "z", "é", "ž", "€", "漢", "😀"]),
    ("LATIN1", &["", "a", "z", "é", "ÿ", "\u{a0}", "aé"]),
    ("WIN1252", &["", "a", "z", "é", "ž", "€", "œ", "ÿ", "aé"]),
    ("LATIN2", &["", "a", "z", "é", "ŕ", "á", "ˇ", "ą"]),
    ("LATIN9", &["", "a", "z", "é", "€", "¥", "œ"]),
    ("WIN1251", &["", "a", "я", "ё", "Ђ", "№"]),
    ("KOI8R", &["", "a", "я", "б", "ю", "ё"]),
    ("EUC_JP", &["", "a", "あ", "亜", "ｱ", "漢", "一"]),
];

#[tokio::test]
async fn texts_of_every_encoding_are_compared_by_their_characters() {
    for (encoding, texts) in ENCODINGS {
        let rows: Vec<_> = texts.iter().enumerate().map(|(id, text)| format!("({id}, '{text}')")).collect();
        let fill = format!("INSERT INTO t VALUES {}", rows.join(", "));
        let place = Postgres::with_encoding(encoding, &format!("CREATE TABLE t (id int PRIMARY KEY, s text); {fill}"));
        place.register("t", "", "").await.unwrap();
        let constants = ["b", "é", "ÿ", "€", "ŕ", "я", "ｱ", "漢", "😀", "it''s"];
        let matching = |holds: &dyn Fn(&str) -> bool| {
            lines(texts.iter().zip(0..).filter(|(text, _)| holds(text)).map(|(_, id)| id))
        };
        for constant in constants {
            let plain = constant.replace("''", "'");
            let conditions: [(String, Vec<String>); 6] = [
                (format!("s > '{constant}'"), matching(&|text| text > plain.as_str())),
                (format!("s <= '{constant}'"), matching(&|text| text <= plain.as_str())),
                (format!("s = '{constant}'"), matching(&|text| text == plain)),
                (format!("s <> '{constant}'"), matching(&|text| text != plain)),
                (format!("s IN ('a', '{constant}')"), matching(&|text| text == "a" || text == plain)),
                (format!("s BETWEEN 'a' AND '{constant}'"), matching(&|text| "a" <= text && text <= plain.as_str())),
            ];
            for (condition, expected) in conditions {
                let found = place.read(&format!("SELECT id FROM t WHERE {condition} ORDER BY id")).await;
                assert_eq!(found, expected, "{encoding}: {condition}");
                // Each is a query of psql's, which takes its time.
                if !condition.starts_with("s >") && !condition.starts_with("s <>") {
                    continue;
                }
                place.sql(&format!("DELETE FROM t WHERE {condition}")).await.unwrap();
                let all = (0..texts.len()).map(|id| id.to_string());
                let left: Vec<_> = all.filter(|id| !expected.contains(id)).collect();
                assert_eq!(place.rows("SELECT id FROM t ORDER BY id"), left, "{encoding}: DELETE WHERE {condition}");
                place.rows(&format!("TRUNCATE t; {fill}"));
            }
        }
        let mut sorted = texts.to_vec();
        sorted.sort_unstable();
        assert_eq!(place.read("SELECT s FROM t ORDER BY s").await, sorted, "{encoding}");
        sorted.reverse();
        assert_eq!(place.read("SELECT s FROM t ORDER BY s DESC LIMIT 3").await, sorted[..3], "{encoding}");
    }
}

#[tokio::test]
async fn a_text_is_compared_with_nanoseconds_to_its_last_digit() {
    let context = crate::landing::session();
    let make = "CREATE TABLE t AS SELECT column1 AS id, arrow_cast(column2, 'Timestamp(Nanosecond, None)') AS ts FROM (VALUES \
                (1, '2020-01-31 00:00:00.123456789'), (2, '2020-01-31 00:00:00.123456500'))";
    context.sql(make).await.unwrap().collect().await.unwrap();
    for (condition, expected) in [
        ("ts = '2020-01-31 00:00:00.123456789'", &["1"][..]),
        ("ts > '2020-01-31 00:00:00.1234565'", &["1"]),
        ("ts < '2020-01-31 00:00:00.123456789'", &["2"]),
        ("ts = '2020-01-31 00:00:00.1234567891'", &[]),
    ] {
        let sql = format!("SELECT id FROM t WHERE {condition} ORDER BY id");
        assert_eq!(crate::landing::read(&context, &sql).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn a_real_is_compared_with_an_integer_as_a_double() {
    for place in &crate::dml::Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL)");
        place.client("INSERT INTO t VALUES (1, 16777216), (2, 16777218)");
        place.register("t", "(id INT, r REAL)", "").await;
        for (condition, expected) in [
            ("r = 16777217", &[][..]),
            ("r < 16777217", &["1"]),
            ("r IN (16777217, 16777218)", &["2"]),
            ("r >= 3", &["1", "2"]),
        ] {
            let sql = format!("SELECT id FROM t WHERE {condition} ORDER BY id");
            assert_eq!(place.read(&sql).await, expected, "{}: {condition}", place.name());
        }
    }
}

#[tokio::test]
async fn a_value_of_another_class_takes_no_other_alternative_with_it() {
    let landing = crate::landing::Landing::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v TEXT); \
         INSERT INTO t VALUES (1, 20, 'a'), (2, 3, 'b'), (11, 'abc', 'c'), (12, NULL, 'd')",
    );
    landing.register("t", "", "").await.unwrap();
    for (condition, expected) in [
        ("n > 15 OR id = 11", &["1", "11"][..]),
        ("NOT (n > 15 AND id < 10) AND id > 1", &["2", "11", "12"]),
        ("n IS NULL OR id = 11", &["11", "12"]),
        ("n > 15 OR n < 5", &["1", "2"]),
    ] {
        let sql = format!("SELECT id FROM t WHERE {condition} ORDER BY id");
        let plan = crate::landing::read(&landing.context, &format!("EXPLAIN {sql}")).await.join("\n");
        assert!(plan.contains("WHERE"), "{plan}");
        if !condition.starts_with("NOT") {
            assert_eq!(crate::landing::read(&landing.context, &sql).await, expected, "{condition}");
        }
    }
}
