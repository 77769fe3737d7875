//! Statements, and what they say of what they assign.

use datafusion::error::Result as DfResult;
use datafusion::prelude::SessionContext;

use crate::dml::Place;
use crate::landing::{Landing, says};
use crate::postgres::Postgres;

const COLUMNS: &str = "(id BIGINT PRIMARY KEY, a INT, b VARCHAR, n DECIMAL(10, 2), f DOUBLE, d DATE)";

async fn sql(context: &SessionContext, statement: &str) -> DfResult<()> {
    datafusion_landfall::sql(context, statement).await?.collect().await.map(drop)
}

/// Runs statements that must not fail.
async fn run_all(place: &Place, statements: &[&str]) {
    for statement in statements {
        sql(place.context(), statement).await.unwrap_or_else(|error| panic!("{}: {statement}: {error}", place.name()));
    }
}

async fn refused(context: &SessionContext, statement: &str) -> String {
    match sql(context, statement).await {
        Ok(()) => panic!("{statement} succeeded"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cast_of_the_users_is_done_and_the_planners_is_not() {
    for place in Place::all() {
        place.register("t", COLUMNS, "").await;
        let context = place.context();
        let statements = [
            "INSERT INTO t (id, a) VALUES (1, CAST(1.7 AS INT)), (2, 2.0), (3, '3'), (4, TRY_CAST('x' AS INT))",
            "INSERT INTO t (id, a) SELECT 5, CAST(v AS INT) FROM (VALUES (5.5)) AS s (v)",
            "UPDATE t SET a = (1.7::INT) + 20 WHERE id = 4",
            "UPDATE t SET a = 2.9::INT WHERE id = 5",
            "MERGE INTO t USING (SELECT 3 AS k, 7.9 AS v) AS s ON t.id = s.k WHEN MATCHED THEN UPDATE SET a = CAST(s.v AS INT)",
        ];
        run_all(&place, &statements).await;
        let stored = place.client("SELECT id, a FROM t ORDER BY id");
        assert_eq!(stored, ["1|1", "2|2", "3|7", "4|21", "5|2"], "{}", place.name());
        for (statement, parts) in [
            ("INSERT INTO t (id, a) VALUES (6, 6), (7, 1.7)", &["row 2", "\"a\"", "1.7", "round(x)"][..]),
            ("INSERT INTO t (id, a) SELECT 6, 0.5 + 0.25", &["row 1", "\"a\"", "0.75"]),
            ("UPDATE t SET a = a + 0.5", &["\"a\"", "1.5"]),
            ("UPDATE t SET a = (SELECT 1.5) WHERE id = 1", &["\"a\"", "1.5"]),
            ("INSERT INTO t (id, d) VALUES (6, 18262)", &["row 1", "\"d\"", "DATE '1970-01-01'"]),
            ("INSERT INTO t (id, a) SELECT 6, DATE '2020-01-01'", &["\"a\"", "Date32", "date_part"]),
            ("INSERT INTO t (id, d) SELECT 6, true", &["\"d\"", "Boolean"]),
        ] {
            says(&refused(context, statement).await, parts);
        }
        assert_eq!(place.client("SELECT id, a FROM t ORDER BY id"), stored, "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_the_digits_that_were_written() {
    for place in Place::all() {
        place.register("t", "(id BIGINT PRIMARY KEY, w DECIMAL(38, 10), b VARCHAR)", "").await;
        let statements = [
            "INSERT INTO t VALUES (9007199254740993, 12345678901234567890.12, '1'), (-9223372036854775808, -(0.1), 'x')",
            "INSERT INTO t (id, w) SELECT 3, 12345678901234567890.5",
            "INSERT INTO t (id, w) SELECT * FROM (VALUES (4, 12345678901234567890.25)) AS s",
            "INSERT INTO t (id, w) WITH s (k, v) AS (VALUES (5, 98765432109876543210.125), (6, 1)) SELECT k, v FROM s",
            "INSERT INTO t (id, w) VALUES (7, 0), (8, 0)",
            "UPDATE t SET w = 12345678901234567890.0625 WHERE id = 7",
            "MERGE INTO t USING (SELECT 8 AS k) AS s ON t.id = s.k WHEN MATCHED THEN UPDATE SET w = 10000000000000000.0001",
        ];
        run_all(&place, &statements).await;
        let expected = [
            "-9223372036854775808|-0.1000000000",
            "3|12345678901234567890.5000000000",
            "4|12345678901234567890.2500000000",
            "5|98765432109876543210.1250000000",
            "6|1.0000000000",
            "7|12345678901234567890.0625000000",
            "8|10000000000000000.0001000000",
            "9007199254740993|12345678901234567890.1200000000",
        ];
        assert_eq!(place.client("SELECT id, w FROM t ORDER BY id"), expected, "{}", place.name());
        let plain = |statement: &'static str| place.error(statement);
        says(
            &plain("INSERT INTO t (id, w) VALUES (10, 12345678901234567890.12)").await,
            &["row 1", "\"w\"", "as text"],
        );
        says(&plain("UPDATE t SET w = 12345678901234567890.12").await, &["\"w\"", "as text"]);
        says(&plain("INSERT INTO t (id, w) SELECT 10, 12345678901234567890.12").await, &["\"w\"", "as text"]);
        let nested =
            "INSERT INTO t (id, w) SELECT 10, v FROM (VALUES (1), (12345678901234567890.12)) AS s (v) ORDER BY v";
        says(&plain(nested).await, &["\"w\"", "as text"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_keep_their_digits_in_what_is_computed() {
    for place in Place::all() {
        place.register("t", "(id BIGINT PRIMARY KEY, w DECIMAL(30, 2), y BIGINT)", "").await;
        let context = place.context();
        let statements = [
            "INSERT INTO t (id, w) VALUES (1, COALESCE(NULL, 12345678901234567890.12)), (2, 12345678901234567890.12 + 0),
                (3, CASE WHEN true THEN 12345678901234567890.12 ELSE 0 END), (4, 1.50), (5, true)",
            "INSERT INTO t (id, y) VALUES (6, COALESCE(9007199254740993.0, 0)), (7, CAST(9007199254740993.0 AS BIGINT))",
            "INSERT INTO t (id, w) VALUES (8, CAST(12345678901234567890.12 AS DECIMAL(30, 2)))",
            "UPDATE t SET w = w + 0.01 WHERE id = 1",
            "UPDATE t SET w = w * 1.1 WHERE id = 2",
            "UPDATE t SET w = CASE WHEN id = 3 THEN 98765432109876543210.12 ELSE w END",
            "UPDATE t SET w = w * 1.105 WHERE id = 4",
            "INSERT INTO t (id, w) WITH x (id, v) AS (VALUES (9, 1.5), (10, 9007199254740993)) SELECT id, v FROM x",
            "INSERT INTO t (id, w) SELECT id + 10, w * 1.005 FROM t WHERE id = 8",
        ];
        run_all(&place, &statements).await;
        let expected = [
            "1|12345678901234567890.13|NULL",
            "2|13580246791358024679.13|NULL",
            "3|98765432109876543210.12|NULL",
            "4|1.66|NULL",
            "5|1.00|NULL",
            "6|NULL|9007199254740993",
            "7|NULL|9007199254740993",
            "8|12345678901234567890.12|NULL",
            "9|1.50|NULL",
            "10|9007199254740993.00|NULL",
            "18|12407407295740740729.57|NULL",
        ];
        assert_eq!(place.client("SELECT id, w, y FROM t ORDER BY id"), expected, "{}", place.name());
        says(&refused(context, "UPDATE t SET w = w + 0.001 WHERE id = 4").await, &["\"w\"", "1.661", "round(x, 2)"]);
        sql(context, "DELETE FROM t WHERE w > 98765432109876543210.12 OR y = 9007199254740992.0").await.unwrap();
        assert_eq!(place.client("SELECT count(*) FROM t"), ["11"], "{}", place.name());
        sql(context, "DELETE FROM t WHERE w = 98765432109876543210.12").await.unwrap();
        assert_eq!(place.client("SELECT count(*) FROM t"), ["10"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_statement_means_what_it_says() {
    for place in Place::all() {
        place.register("t", "(id BIGINT PRIMARY KEY, d DOUBLE, n DECIMAL(20, 10), a INT, l TIMESTAMP)", "").await;
        let context = place.context();
        sql(context, "SET datafusion.execution.time_zone = '+00:00'").await.unwrap();
        let statements = [
            "INSERT INTO t (id, d) VALUES (1, 1 / 3.141592653589793)",
            "INSERT INTO t (id, n) SELECT 2, 1 / 3.0",
            "INSERT INTO t (id, n) VALUES (3, CASE WHEN 0.5000000000000001 > 0.5 THEN 0.25 ELSE 0.75 END)",
            "INSERT INTO t (id, n, a) SELECT 4, floor(v / 0.5) * 0.5, count(*) FROM (VALUES (1.1), (1.2)) AS s (v)
             GROUP BY floor(v / 0.5) * 0.5",
            "INSERT INTO t (id, a) SELECT DISTINCT 5, CAST(v AS INT) FROM (VALUES (1.1), (1.2)) AS s (v)",
            "INSERT INTO t (id, a) SELECT 6, round(-0.3)",
            "INSERT INTO t (id, a) VALUES (7, +CAST(1.7 AS INT))",
            "INSERT INTO t (id, l) VALUES (8, now() + INTERVAL '200 years')",
            "INSERT INTO t (id, l) VALUES (9, to_local_time(now() AT TIME ZONE '+02:00'))",
        ];
        run_all(&place, &statements).await;
        let third = place.client("SELECT d FROM t WHERE id = 1").join("");
        assert_eq!(third.parse::<f64>().unwrap(), 1.0 / std::f64::consts::PI, "{}", place.name());
        let stored = place.client("SELECT id, n, a FROM t WHERE id BETWEEN 2 AND 7 ORDER BY id");
        let expected =
            ["2|0.3333333333|NULL", "3|0.2500000000|NULL", "4|1.0000000000|2", "5|NULL|1", "6|NULL|0", "7|NULL|1"];
        assert_eq!(stored, expected, "{}", place.name());
        let far = "SELECT date_part('year', l) > 2200, l > now() FROM t WHERE id = 8";
        assert_eq!(place.read(far).await, ["true|true"], "{}", place.name());
        let ahead =
            "SELECT date_part('epoch', l) - date_part('epoch', now()) BETWEEN 7000 AND 7300 FROM t WHERE id = 9";
        assert_eq!(place.read(ahead).await, ["true"], "{}", place.name());
        // A data frame's own casts are the user's.
        let frame = context.sql("SELECT CAST(d + 20.7 AS BIGINT) AS id, d, n, a, l FROM t WHERE id = 1").await.unwrap();
        frame.write_table("t", Default::default()).await.unwrap();
        assert_eq!(place.client("SELECT count(*) FROM t WHERE id = 21"), ["1"], "{}", place.name());
        for far in ["1e-70000", "'1e-70000'", "'1e-9223372036854775808'", "'1e99999999999999999999'"] {
            says(&refused(context, &format!("INSERT INTO t (id, a) VALUES (30, {far})")).await, &["row 1", "\"a\""]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_selects_twice_has_a_column_each() {
    for place in Place::all() {
        place.register("t", "(id BIGINT PRIMARY KEY, a INT, b INT, l TIMESTAMP, d DOUBLE, s VARCHAR)", "").await;
        let context = place.context();
        sql(context, "SET datafusion.execution.time_zone = '+00:00'").await.unwrap();
        let statements = [
            "INSERT INTO t (id, a, b, s) SELECT 1, 1, 1, 1.50",
            "INSERT INTO t (id, a, b) SELECT id + 1, a, a FROM t",
            "INSERT INTO t (id, l, s) VALUES (3, now(), 0.10)",
            "UPDATE t SET l = COALESCE(l, now()), b = 7",
            "UPDATE t SET l = CASE WHEN id = 3 THEN now() ELSE l END",
        ];
        run_all(&place, &statements).await;
        let stored = place.client("SELECT id, a, b, s, l IS NULL FROM t ORDER BY id").join(" ");
        let no = if matches!(place, Place::Postgres(_)) { "f" } else { "0" };
        assert_eq!(stored, format!("1|1|7|1.50|{no} 2|1|7|NULL|{no} 3|NULL|7|0.10|{no}"), "{}", place.name());
        for number in ["1e400", "1e-400"] {
            let message = refused(context, &format!("INSERT INTO t (id, d) VALUES (4, {number})")).await;
            says(&message, &["row 1", "\"d\"", "out of range"]);
        }
        says(&refused(context, "INSERT INTO t (id, a) VALUES (4, X'41')").await, &["\"a\"", "Binary"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_below_other_parts_of_a_query_are_rows_of_their_own() {
    for place in Place::all() {
        place.register("t", COLUMNS, "").await;
        let context = place.context();
        for (id, statement) in [
            (1, "INSERT INTO t (b, a, id) SELECT y, length(x), id FROM (VALUES ('abc', '007', 1)) AS s (x, y, id)"),
            (2, "INSERT INTO t (b, id) WITH s (x, y) AS (VALUES ('007', 2)) SELECT x, y FROM s"),
            (3, "INSERT INTO t (id, b) SELECT 3, '007' UNION ALL VALUES (4, '008')"),
            (5, "INSERT INTO t (id, b) SELECT 5, '007' WHERE 1 IN (VALUES (1), (2))"),
        ] {
            sql(context, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
            assert_eq!(place.client(&format!("SELECT b FROM t WHERE id = {id}")), ["007"], "{}", place.name());
        }
        let plain = "INSERT INTO t (id, b) SELECT id, x FROM (VALUES ('007', 6)) AS s (x, id)";
        context.sql(plain).await.unwrap().collect().await.unwrap();
        assert_eq!(place.client("SELECT b FROM t WHERE id = 6"), ["007"], "{}", place.name());
        let with = "INSERT INTO t (id, b) WITH s (x, y) AS (VALUES ('7', 7)) SELECT x, y FROM s";
        says(&place.error(with).await, &["FROM (VALUES", "datafusion_landfall::sql"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_a_list_leaves_out_keep_what_they_have() {
    for place in Place::all() {
        let declared = "id BIGINT NOT NULL PRIMARY KEY, a INT, b VARCHAR(10) DEFAULT 'new', c INT";
        place.client(&format!("CREATE TABLE t ({declared}); INSERT INTO t VALUES (1, 1, 'old', 1), (2, 2, 'old', 2)"));
        for (name, upsert) in [("blind", "blind"), ("diff", "diff")] {
            place.register(name, "", &format!("'table' 't', 'on_conflict' 'update', 'upsert' '{upsert}'")).await;
        }
        for (statement, expected) in [
            ("INSERT INTO blind (id, a) VALUES (1, 10), (3, 30)", ["1|10|old|1", "2|2|old|2", "3|30|new|NULL"]),
            ("INSERT INTO diff (id, a) VALUES (1, 11), (3, 30)", ["1|11|old|1", "2|2|old|2", "3|30|new|NULL"]),
            (
                "MERGE INTO blind AS t USING (VALUES (2, 20)) AS s (k, v) ON t.id = s.k
                 WHEN MATCHED THEN UPDATE SET a = s.v WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.k, s.v)",
                ["1|11|old|1", "2|20|old|2", "3|30|new|NULL"],
            ),
            ("REPLACE INTO blind (id, a) VALUES (2, 22)", ["1|11|old|1", "2|22|new|NULL", "3|30|new|NULL"]),
        ] {
            sql(place.context(), statement).await.unwrap();
            assert_eq!(
                place.client("SELECT id, a, b, c FROM t ORDER BY id"),
                expected,
                "{}: {statement}",
                place.name()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_is_assigned() {
    for place in Place::all() {
        place.register("t", COLUMNS, "").await;
        let plan = place.plan("INSERT INTO t (id, a, n, f) SELECT 1, 2.0, 1.005, 3").await;
        says(&plan, &["id: Int64 -> ", " exact, a: Float64 -> ", " checked, n: Float64 -> ", " rounded, f: Int64 -> "]);
        let cast = "INSERT INTO t (id, a) SELECT id, CAST(f AS INT) FROM t";
        says(&place.plan(cast).await, &["a: Int32 -> ", " cast by the statement]"]);
        place.run("INSERT INTO t (id, n) SELECT 1, 1.005").await.unwrap();
        let stored = place.read("SELECT CAST(n AS VARCHAR) FROM t").await;
        assert_eq!(stored, ["1.01"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datafusions_casts_can_be_had() {
    for place in Place::all() {
        place.register("t", COLUMNS, "'assignment' 'cast'").await;
        let context = place.context();
        place.run("INSERT INTO t (id, a, d) VALUES (1, 1.7, TIMESTAMP '2020-01-02 03:04:05')").await.unwrap();
        sql(context, "INSERT INTO t (id, a) VALUES (2, 2.7)").await.unwrap();
        sql(context, "UPDATE t SET a = 5.9 WHERE id = 2").await.unwrap();
        assert_eq!(
            place.client("SELECT id, a, d FROM t ORDER BY id"),
            ["1|1|2020-01-02", "2|5|NULL"],
            "{}",
            place.name()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_statement_is_that_of_the_session() {
    for place in Place::all() {
        let digits = if matches!(place, Place::Sqlite(_)) { "TIMESTAMP" } else { "TIMESTAMP(0)" };
        let zoned = match place {
            Place::Postgres(_) => "timestamptz",
            Place::MySql(_) => "timestamp NULL",
            Place::Sqlite(_) => "TIMESTAMPTZ",
        };
        let local = if matches!(place, Place::MySql(_)) { "datetime" } else { digits };
        place.client(&format!("CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, l {local}, z {zoned}, d DATE, c TIME)"));
        place.register("t", "", "").await;
        let context = place.context();
        sql(context, "SET datafusion.execution.time_zone = '+09:00'").await.unwrap();
        let statements = [
            "INSERT INTO t VALUES (1, now(), now(), current_date, current_time)",
            "INSERT INTO t SELECT 2, n, n AS z, n AS d, n AS c FROM (SELECT now() AS n) AS s",
            "INSERT INTO t (id) VALUES (3)",
            "UPDATE t SET l = now(), z = current_timestamp, d = now(), c = current_time WHERE id = 3",
        ];
        run_all(&place, &statements).await;
        let ahead = "date_part('epoch', l) - date_part('epoch', z) BETWEEN 32399 AND 32401";
        let read = place.read(&format!("SELECT id, {ahead} AND CAST(l AS DATE) = d FROM t ORDER BY id")).await;
        assert_eq!(read, ["1|true", "2|true", "3|true"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_of_a_fanout_has_its_own_types() {
    let place = Postgres::new("CREATE TABLE b (id integer PRIMARY KEY, v integer)");
    place.register("b", "", "").await.unwrap();
    let landing = Landing::new("CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT)");
    let file = landing.file().display().to_string();
    let context = &place.context;
    for statement in [
        format!("CREATE EXTERNAL TABLE a STORED AS SQLITE LOCATION '{file}'"),
        "CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b'".into(),
        "INSERT INTO both VALUES (1, '7'), (2, 8)".into(),
        "INSERT INTO both SELECT 3, '9'".into(),
    ] {
        sql(context, &statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    says(&refused(context, "INSERT INTO both VALUES (4, '4'), (5, 'x')").await, &["row 2", "\"v\"", "not a number"]);
    let rows = "SELECT id, v FROM";
    assert_eq!(landing.rows(&format!("{rows} a ORDER BY id")), ["1|7", "2|8", "3|9"]);
    assert_eq!(place.rows(&format!("{rows} b ORDER BY id")), ["1|7", "2|8", "3|9"]);
}

#[tokio::test]
async fn a_session_without_the_rule_has_datafusions_casts() {
    let landing = Landing::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)");
    landing.register("t", "", "").await.unwrap();
    let table = landing.context.table_provider("t").await.unwrap();
    let plain = SessionContext::new();
    plain.register_table("t", table).unwrap();
    plain.sql("INSERT INTO t VALUES (1, 1.7)").await.unwrap().collect().await.unwrap();
    assert_eq!(landing.rows("SELECT v FROM t"), ["1"]);
    // The front end brings the rule along.
    says(&refused(&plain, "INSERT INTO t VALUES (2, 1.7)").await, &["row 1", "\"v\""]);
}

#[tokio::test]
async fn a_prepared_statement_takes_a_value_for_each_parameter() {
    for place in Place::all() {
        place.register("t", "(id BIGINT PRIMARY KEY, n DECIMAL(10, 2))", "").await;
        let context = place.context();
        sql(context, "PREPARE p AS INSERT INTO t VALUES ($1, $2)").await.unwrap();
        sql(context, "EXECUTE p(1, 2.5)").await.unwrap();
        let more = sql(context, "EXECUTE p(2, 2.5, 3, 4)").await.unwrap_err().to_string();
        assert!(more.contains("\"p\" expects 2 parameters, but 4 were given"), "{more}");
        let fewer = sql(context, "EXECUTE p(3)").await.unwrap_err().to_string();
        assert!(fewer.contains("$2"), "{fewer}");
        assert_eq!(place.client("SELECT id, n FROM t"), ["1|2.50"], "{}", place.name());
    }
}

/// Arrow counts 12 in months, and PostgreSQL counts it in seconds.
#[tokio::test]
async fn a_number_without_a_unit_is_no_interval() {
    let server = Postgres::new("CREATE TABLE t (id INT PRIMARY KEY, v INTERVAL)");
    server.register("t", "", "").await.unwrap();
    for value in ["12", "1.5", "1 day 12", "-3"] {
        for insert in [format!("VALUES (1, '{value}')"), format!("SELECT 1, '{value}' FROM generate_series(1, 1)")] {
            says(&server.error(&format!("INSERT INTO t {insert}")).await, &["row 1", "\"v\"", "unit", value]);
        }
    }
    server.sql("INSERT INTO t VALUES (1, '1 day 2 hours'), (2, 'P1DT2H'), (3, '-1.5 hours')").await.unwrap();
    assert_eq!(server.rows("SELECT v FROM t ORDER BY id"), ["1 day 02:00:00", "1 day 02:00:00", "-01:30:00"]);
}

/// The values of parameters have all their digits, as those of VALUES have.
#[tokio::test]
async fn a_parameter_is_stored_as_it_is_written() {
    for place in Place::all() {
        place.register("t", "(id BIGINT PRIMARY KEY, n DECIMAL(30, 2), v VARCHAR, d DOUBLE)", "").await;
        let context = place.context();
        sql(context, "PREPARE p AS INSERT INTO t VALUES ($1, $2, $3, $4)").await.unwrap();
        sql(context, "PREPARE q (INT, DECIMAL(30, 2)) AS INSERT INTO t (id, n) VALUES ($1, $2)").await.unwrap();
        for execute in [
            "EXECUTE p(1, 12345678901234567890.12, 1.50, 1.5)",
            "EXECUTE p(2, -9999999999999999999999999999, 12345678901234567890.12, -0.25)",
            "EXECUTE p(3, 9007199254740993.0, 'x', 1e3)",
            "EXECUTE q(4, 12345678901234567890.12)",
        ] {
            sql(context, execute).await.unwrap_or_else(|error| panic!("{}: {execute}: {error}", place.name()));
        }
        let rows = place.client("SELECT id, n, v FROM t ORDER BY id");
        assert_eq!(rows[0], "1|12345678901234567890.12|1.50", "{}", place.name());
        assert_eq!(rows[1], "2|-9999999999999999999999999999.00|12345678901234567890.12", "{}", place.name());
        assert_eq!(rows[2], "3|9007199254740993.00|x", "{}", place.name());
        assert!(rows[3].starts_with("4|12345678901234567890.12|"), "{}: {rows:?}", place.name());
        assert_eq!(place.client("SELECT count(*) FROM t WHERE (id, d) IN ((1, 1.5), (2, -0.25), (3, 1000))"), ["3"]);
        says(&refused(context, "EXECUTE p(5, 1.255, 'x', 1)").await, &["\"n\""]);
        assert_eq!(place.client("SELECT count(*) FROM t"), ["4"], "{}", place.name());
    }
}
