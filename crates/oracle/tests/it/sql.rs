//! SQL statements on tables of the double.

use crate::session::{context, double, rows, run, table};

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_written_and_read() {
    let (context, double) = (context(), double("ROWS"));
    double.create(
        "CREATE TABLE PEOPLE (ID NUMBER(9) PRIMARY KEY, NAME VARCHAR2(20 CHAR) NOT NULL, BORN DATE, SEEN TIMESTAMP(6), \
         AT TIMESTAMP(3) WITH TIME ZONE, PAY NUMBER(10, 2), RATIO BINARY_DOUBLE, PHOTO RAW(10), IS_ADMIN NUMBER(1))",
    );
    table(&context, "people", "ROWS", "'table' 'people'").await;
    let insert = "INSERT INTO people VALUES \
        (1, 'Ada', '1815-12-10 01:02:03', '2024-01-31 12:00:00.123456', '2024-01-31T12:00:00.500Z', 12.50, 0.5, X'00ff', true), \
        (2, 'Grace', NULL, NULL, NULL, NULL, NULL, NULL, NULL), (3, 'Edsger', NULL, NULL, NULL, 7, -1e300, NULL, false)";
    run(&context, insert).await.unwrap();
    assert_eq!(
        rows(&context, "SELECT * FROM people WHERE id = 1").await.unwrap(),
        ["1|Ada|1815-12-10T01:02:03|2024-01-31T12:00:00.123456|2024-01-31T12:00:00.500Z|12.50|0.5|00ff|1"]
    );
    for (query, found) in [
        ("SELECT id FROM people WHERE pay > 7 ORDER BY id", "1"),
        ("SELECT name FROM people WHERE seen = TIMESTAMP '2024-01-31 12:00:00.123456'", "Ada"),
        ("SELECT name FROM people WHERE born < '1900-01-01'", "Ada"),
        ("SELECT name FROM people WHERE at >= '2024-01-31T12:00:00.5Z'", "Ada"),
        ("SELECT name FROM people WHERE name > 'E' ORDER BY id DESC LIMIT 1", "Edsger"),
        ("SELECT name FROM people WHERE ratio < 0", "Edsger"),
        ("SELECT count(*) FROM people WHERE seen IS NULL", "2"),
        ("SELECT count(*) FROM people", "3"),
    ] {
        assert_eq!(rows(&context, query).await.unwrap(), [found], "{query}");
    }
    let plan = run(&context, "EXPLAIN SELECT name FROM people WHERE id = 1 ORDER BY name LIMIT 1").await.unwrap();
    assert!(!plan.contains("FilterExec") && !plan.contains("SortExec"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_resolved_by_merge() {
    let (context, double) = (context(), double("MERGE"));
    double.create("CREATE TABLE T (ID NUMBER(9) PRIMARY KEY, A VARCHAR2(9), B NUMBER(9))");
    table(&context, "t", "MERGE", "'table' 't'").await;
    table(&context, "updated", "MERGE", "'table' 't', 'on_conflict' 'update'").await;
    table(&context, "ignored", "MERGE", "'table' 't', 'on_conflict' 'ignore'").await;
    run(&context, "INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2)").await.unwrap();
    let error = run(&context, "INSERT INTO t VALUES (3, 'x', 3), (1, 'x', 3)").await.unwrap_err();
    assert!(error.to_string().contains("the key already exists"), "{error}");
    run(&context, "INSERT INTO updated (id, a) VALUES (2, 'new'), (4, 'four')").await.unwrap();
    run(&context, "INSERT INTO ignored VALUES (1, 'x', 9), (5, 'five', 5)").await.unwrap();
    let all = || rows(&context, "SELECT * FROM t ORDER BY id");
    assert_eq!(all().await.unwrap(), ["1|one|1", "2|new|2", "4|four|", "5|five|5"]);
    run(&context, "REPLACE INTO t (id, a) VALUES (2, 'r')").await.unwrap();
    assert_eq!(all().await.unwrap()[1], "2|r|");
    run(&context, "INSERT OVERWRITE t VALUES (7, 'seven', 7)").await.unwrap();
    assert_eq!(all().await.unwrap(), ["7|seven|7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_string_is_an_error_unless_it_may_become_null() {
    let (context, double) = (context(), double("EMPTY"));
    double.create("CREATE TABLE T (ID NUMBER(9) PRIMARY KEY, A VARCHAR2(9))");
    table(&context, "t", "EMPTY", "'table' 't'").await;
    table(&context, "n", "EMPTY", "'table' 't', 'empty_strings' 'null'").await;
    let error = run(&context, "INSERT INTO t VALUES (1, 'a'), (2, '')").await.unwrap_err();
    assert!(error.to_string().contains("row 2, column \"a\""), "{error}");
    assert!(error.to_string().contains("'empty_strings' to 'null'"), "{error}");
    run(&context, "INSERT INTO n VALUES (1, 'a'), (2, '')").await.unwrap();
    assert_eq!(double.committed("SELECT * FROM T ORDER BY ID"), ["1|a", "2|NULL"]);
    // It is NULL, and equal to nothing.
    assert_eq!(rows(&context, "SELECT id FROM n WHERE a = ''").await.unwrap(), [""; 0]);
    assert_eq!(rows(&context, "SELECT id FROM n WHERE a IS NULL").await.unwrap(), ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_oracle_would_change_is_refused() {
    let (context, double) = (context(), double("REFUSED"));
    double.create(
        "CREATE TABLE T (ID NUMBER(9) PRIMARY KEY, FIXED CHAR(3 CHAR), SHORT VARCHAR2(3 BYTE), BITS FLOAT(126), \
         TENS NUMBER(5, -1), SECOND TIMESTAMP(0), PLACE SDO_GEOMETRY, TWICE NUMBER(9) GENERATED ALWAYS AS (ID * 2) VIRTUAL, \
         NR NUMBER(9) GENERATED ALWAYS AS IDENTITY)",
    );
    table(&context, "t", "REFUSED", "'table' 't'").await;
    for (columns, values, part) in [
        ("fixed", "'ab'", "Oracle would add blanks"),
        ("short", "'äb'", ""),
        ("short", "'äbc'", "the text has 4 bytes, and the column at most 3"),
        ("bits", "1.5", "round them to its binary digits"),
        ("tens", "10", "round them to its negative scale"),
        ("second", "TIMESTAMP '2024-01-01 00:00:00.5'", "second"),
        ("place", "'x'", "Landfall does not write this type"),
        ("twice", "1", "generated by the database"),
        ("nr", "1", "generated by the database"),
    ] {
        let id = columns.len() + values.len();
        let done = run(&context, &format!("INSERT INTO t (id, {columns}) VALUES ({id}, {values})")).await;
        match (done, part) {
            (Ok(_), "") => {}
            (Err(error), part) if !part.is_empty() && error.to_string().contains(part) => {}
            (done, _) => panic!("{columns} {values}: {done:?}"),
        }
    }
    let error = run(&context, "SELECT place FROM t").await.unwrap_err();
    assert!(error.to_string().contains("Landfall does not read"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_created_and_attached() {
    let context = context();
    let create = "CREATE EXTERNAL TABLE made (id BIGINT PRIMARY KEY, name VARCHAR NOT NULL, at TIMESTAMP, ok BOOLEAN, d DECIMAL(9,2)) \
         STORED AS ORACLE LOCATION 'oracle://scott@db.example/MADE'";
    if let Err(error) = run(&context, create).await {
        panic!("{error}");
    }
    run(&context, "INSERT INTO made VALUES (1, 'a', '2024-01-01T00:00:00', true, 1.25)").await.unwrap();
    assert_eq!(double("MADE").committed("SELECT * FROM MADE"), ["1|a|2024-01-01 00:00:00.000000000|1|1.25"]);
    run(&context, "ATTACH 'oracle://scott@db.example/MADE' AS ora").await.unwrap();
    assert_eq!(rows(&context, "SELECT d FROM ora.scott.made").await.unwrap(), ["1.25"]);
    let listed =
        rows(&context, "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'ora'");
    let listed = listed.await.unwrap_or_default();
    assert!(listed.is_empty() || listed.iter().any(|row| row == "scott|made"), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_written_once() {
    let (context, double) = (context(), double("JOB"));
    double.create("CREATE TABLE T (ID NUMBER(9))");
    table(&context, "t", "JOB", "'table' 't', 'job' 'once'").await;
    for _ in 0..2 {
        run(&context, "INSERT INTO t VALUES (1), (2)").await.unwrap();
    }
    assert_eq!(double.committed("SELECT count(*) FROM T"), ["2"]);
    assert_eq!(double.committed("SELECT job, decision FROM LANDFALL_LEDGER"), ["once|commit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_are_written_in_one_transaction() {
    let context = context();
    for service in ["LEFT", "RIGHT"] {
        double(service).create("CREATE TABLE T (ID NUMBER(9) PRIMARY KEY)");
        table(&context, &service.to_lowercase(), service, "'table' 't'").await;
    }
    run(&context, "CREATE EXTERNAL TABLE both_ STORED AS FANOUT LOCATION 'left, right'").await.unwrap();
    run(&context, "INSERT INTO both_ VALUES (1), (2)").await.unwrap();
    let error = run(&context, "INSERT INTO both_ VALUES (3), (1)").await.unwrap_err();
    assert!(error.to_string().contains("the key already exists"), "{error}");
    for service in ["LEFT", "RIGHT"] {
        assert_eq!(double(service).committed("SELECT count(*) FROM T"), ["2"]);
        assert_eq!(double(service).open_branches(), 0);
        assert_eq!(double(service).committed("SELECT count(*) FROM DBA_PENDING_TRANSACTIONS"), ["0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_privileges_the_error_has_the_grants() {
    let context = context();
    for service in ["NO_LEFT", "NO_RIGHT"] {
        double(service).create("CREATE TABLE T (ID NUMBER(9) PRIMARY KEY)");
        double(service).revoke();
        table(&context, &service.to_lowercase(), service, "'table' 't'").await;
    }
    run(&context, "CREATE EXTERNAL TABLE no_both STORED AS FANOUT LOCATION 'no_left, no_right'").await.unwrap();
    let error = run(&context, "INSERT INTO no_both VALUES (1)").await.unwrap_err().to_string();
    for grant in ["EXECUTE ON SYS.DBMS_XA", "SYS.DBA_PENDING_TRANSACTIONS", "SYS.PENDING_TRANS$", "SYS.DBA_2PC_PENDING"]
    {
        assert!(error.contains(grant), "{error}");
    }
    // One branch needs no privilege.
    run(&context, "INSERT INTO no_left VALUES (1)").await.unwrap();
    assert_eq!(double("NO_LEFT").committed("SELECT count(*) FROM T"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_changed() {
    let (context, double) = (context(), double("CHANGES"));
    double.create("CREATE TABLE T (ID NUMBER(9) PRIMARY KEY, A VARCHAR2(9), AT TIMESTAMP(6) WITH TIME ZONE)");
    double.create("CREATE TABLE S (ID NUMBER(9) PRIMARY KEY, A VARCHAR2(9))");
    table(&context, "t", "CHANGES", "'table' 't'").await;
    table(&context, "s", "CHANGES", "'table' 's'").await;
    let refill = async || {
        run(&context, "INSERT OVERWRITE t (id, a) VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')")
            .await
            .unwrap();
        run(&context, "INSERT OVERWRITE s VALUES (2, 'new'), (9, 'nine')").await.unwrap();
    };
    for (statement, count, left) in [
        ("UPDATE t SET a = 'x', at = '2024-01-01T00:00:00Z' WHERE id > 2", 2, "1|one,2|two,3|x,4|x"),
        ("UPDATE t SET a = a || id WHERE id < 3", 2, "1|one1,2|two2,3|three,4|four"),
        ("UPDATE t SET id = id + 10 WHERE a = 'four'", 1, "1|one,2|two,3|three,14|four"),
        ("DELETE FROM t WHERE id = 2 OR a = 'four'", 2, "1|one,3|three"),
        ("DELETE FROM t WHERE length(a) = 3", 2, "3|three,4|four"),
        ("DELETE FROM t WHERE id IN (SELECT id FROM s)", 1, "1|one,3|three,4|four"),
        ("TRUNCATE TABLE t", 4, ""),
        (
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = s.a \
             WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, s.a)",
            2,
            "1|one,2|new,3|three,4|four,9|nine",
        ),
        (
            "MERGE INTO t USING (SELECT id + 1 AS id, a FROM s) AS s ON t.id = s.id WHEN MATCHED AND t.a = 'three' THEN DELETE",
            1,
            "1|one,2|two,4|four",
        ),
    ] {
        refill().await;
        let done = rows(&context, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(done.first().map(String::as_str).unwrap_or_default(), count.to_string(), "{statement}");
        assert_eq!(double.committed("SELECT ID, A FROM T ORDER BY ID").join(","), left, "{statement}");
    }
    refill().await;
    let twice =
        "MERGE INTO t USING (SELECT 1 AS id, a FROM s) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = s.a";
    let error = run(&context, twice).await.unwrap_err();
    assert!(error.to_string().contains("cannot affect a row of table t twice"), "{error}");
    let error = run(&context, "UPDATE t SET id = 1 WHERE id = 2").await.unwrap_err();
    assert!(error.to_string().contains("would store a key twice"), "{error}");
    assert_eq!(double.committed("SELECT ID, A FROM T ORDER BY ID").join(","), "1|one,2|two,3|three,4|four");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_row_frees_its_key_for_an_inserted_one() {
    let (context, double) = (context(), double("FREED"));
    double.create("CREATE TABLE T (ID NUMBER(9) PRIMARY KEY, A VARCHAR2(9), UNIQUE (A))");
    table(&context, "t", "FREED", "'table' 't'").await;
    run(&context, "INSERT INTO t VALUES (1, 'one'), (2, 'two')").await.unwrap();
    let merge = "MERGE INTO t USING (VALUES (9, 'two')) AS s (id, a) ON t.id = s.id \
         WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, s.a) WHEN NOT MATCHED BY SOURCE AND t.id = 2 THEN DELETE";
    run(&context, merge).await.unwrap();
    assert_eq!(double.committed("SELECT ID, A FROM T ORDER BY ID"), ["1|one", "9|two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_table_keeps_is_an_error() {
    let (context, double) = (context(), double("KEPT"));
    double.create("CREATE TABLE T (ID NUMBER(9) PRIMARY KEY, A VARCHAR2(9))");
    table(&context, "t", "KEPT", "'table' 't'").await;
    run(&context, "INSERT INTO t VALUES (1, 'one'), (2, 'two')").await.unwrap();
    double.committed("CREATE TRIGGER kept BEFORE DELETE ON T WHEN old.ID = 2 BEGIN SELECT RAISE(IGNORE); END");
    let error = run(&context, "DELETE FROM t WHERE length(a) = 3").await.unwrap_err();
    assert!(
        error.to_string().contains("changed 1 rows of table t by their keys, and the query had found 2"),
        "{error}"
    );
    assert_eq!(double.committed("SELECT count(*) FROM T"), ["2"]);
}
