//! A job is written once, whatever happens to its runs.

use crate::dml::Place;
use crate::landing::{Landing, count, says};
use crate::mysql::MySql;

const TABLE: &str = "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)";

#[tokio::test]
async fn a_second_run_of_a_finished_job_writes_nothing() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'load 1'").await.unwrap();
    let insert = "INSERT INTO t VALUES (1, 'a'), (2, 'b')";
    assert_eq!(count(&landing.sql(insert).await.unwrap()), 2);
    assert_eq!(count(&landing.sql(insert).await.unwrap()), 0);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["2"]);
    assert_eq!(landing.rows("SELECT job, decision, rows FROM landfall_ledger"), [r#"load 1|commit|2"#]);
    let position = landing.rows("SELECT positions FROM landfall_ledger").remove(0);
    let position: serde_json::Value = serde_json::from_str(&position).unwrap();
    assert_eq!((&position["version"], &position["end"], &position["table"]), (&2.into(), &true.into(), &"t".into()));
    assert_eq!(position["statements"][0]["operation"], "INSERT");
}

/// A table with a job, and the same one without.
async fn with_a_job(place: &Place) {
    place.client("CREATE TABLE t (k INTEGER PRIMARY KEY, v VARCHAR(30))");
    place.register("t", "", "'job' 'j'").await;
    place.register("free", "", "'table' 't'").await;
}

#[tokio::test]
async fn a_finished_job_refuses_another_statement() {
    for place in &Place::all() {
        with_a_job(place).await;
        let insert = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e'), (6, 'f')";
        assert_eq!(place.run(insert).await.unwrap(), 6);
        let there = place.client("SELECT k, v FROM t ORDER BY k");
        for (statement, what) in [
            // A plan shows but the first five rows of VALUES.
            (
                "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e'), (6, 'g')",
                "has run another INSERT",
            ),
            ("INSERT INTO t SELECT 7, 'h'", "has run another INSERT"),
            ("INSERT OVERWRITE t VALUES (7, 'h')", "has run INSERT"),
            ("UPDATE t SET v = 'x'", "this UPDATE was not run"),
            ("DELETE FROM t WHERE k = 1", "this DELETE was not run"),
            ("TRUNCATE TABLE t", "this TRUNCATE was not run"),
            (
                "MERGE INTO t USING (VALUES (1, 'z')) AS s (k, v) ON t.k = s.k WHEN MATCHED THEN DELETE",
                "this MERGE was",
            ),
        ] {
            says(
                &place.error(statement).await,
                &["job 'j'", what, "with a different name in the option 'job', or without the option"],
            );
            assert_eq!(place.client("SELECT k, v FROM t ORDER BY k"), there, "{}: {statement}", place.name());
        }
        // However it is laid out, and by the front end too.
        assert_eq!(place.run(&insert.to_lowercase().replace("values", "\nVALUES  ")).await.unwrap(), 0);
        let again = datafusion_landfall::sql(place.context(), insert).await.unwrap().collect().await.unwrap();
        assert_eq!(count(&again), 0, "{}", place.name());
    }
}

#[tokio::test]
async fn a_finished_change_refuses_another_one() {
    for place in &Place::all() {
        with_a_job(place).await;
        place.run("INSERT INTO free VALUES (1, 'a'), (2, 'b')").await.unwrap();
        let merge = |value: &str, condition: &str| {
            format!(
                "MERGE INTO t USING (SELECT 1 AS k) AS s ON t.k = s.k WHEN MATCHED {condition} THEN UPDATE SET v = '{value}'"
            )
        };
        assert_eq!(place.run(&merge("x", "")).await.unwrap(), 1, "{}", place.name());
        assert_eq!(place.run(&merge("x", "")).await.unwrap(), 0, "{}", place.name());
        for other in [merge("y", ""), merge("x", "AND t.v = 'a'")] {
            says(&place.error(&other).await, &["has run another MERGE", "this MERGE was not run"]);
        }
        assert_eq!(place.client("SELECT k, v FROM t ORDER BY k"), ["1|x", "2|b"]);
    }
}

#[tokio::test]
async fn data_and_what_is_only_faster_do_not_make_another_statement() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'j'").await.unwrap();
    landing.sql("CREATE TABLE source AS VALUES (1, 'a')").await.unwrap();
    let insert = "INSERT INTO t SELECT * FROM source";
    landing.sql(insert).await.unwrap();
    landing.sql("DROP TABLE source").await.unwrap();
    landing.sql("CREATE TABLE source AS VALUES (1, 'b'), (2, 'c')").await.unwrap();
    for (options, same) in [
        ("'job' 'j', 'writers' '1', 'flush.interval' '1 s'", true),
        ("'job' 'j', 'on_conflict' 'update', 'conflict_key' 'k'", false),
        ("'job' 'j', 'assignment' 'cast'", false),
    ] {
        landing.sql("DROP TABLE t").await.unwrap();
        landing.register("t", "", options).await.unwrap();
        match same {
            true => assert_eq!(count(&landing.sql(insert).await.unwrap()), 0, "{options}"),
            false => says(&landing.error(insert).await, &["has run another INSERT"]),
        }
    }
}

#[tokio::test]
async fn another_file_makes_another_statement() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'j'").await.unwrap();
    for (name, rows) in [("one.csv", "k,v\n1,a\n"), ("two.csv", "k,v\n2,b\n")] {
        std::fs::write(landing.folder.path().join(name), rows).unwrap();
    }
    let source = async |name: &str| {
        landing.sql("DROP TABLE IF EXISTS source").await.unwrap();
        let file = landing.folder.path().join(name);
        let create = format!("CREATE EXTERNAL TABLE source STORED AS CSV LOCATION '{}'", file.display());
        landing.sql(&create).await.unwrap();
    };
    source("one.csv").await;
    assert_eq!(count(&landing.sql("INSERT INTO t SELECT * FROM source").await.unwrap()), 1);
    source("two.csv").await;
    says(&landing.error("INSERT INTO t SELECT * FROM source").await, &["has run another INSERT"]);
    source("one.csv").await;
    assert_eq!(count(&landing.sql("INSERT INTO t SELECT * FROM source").await.unwrap()), 0);
}

#[tokio::test]
async fn long_binary_values_are_told_apart_to_their_end() {
    let landing = Landing::new("CREATE TABLE t (b BLOB)");
    landing.register("t", "", "'job' 'j'").await.unwrap();
    landing.sql("INSERT INTO t VALUES (X'000102030405060708090A0B0C0D')").await.unwrap();
    let other = landing.error("INSERT INTO t VALUES (X'000102030405060708090A0B0C0E')").await;
    says(&other, &["has run another INSERT"]);
}

#[tokio::test]
async fn what_a_clock_says_makes_no_other_statement() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER, at TIMESTAMP)");
    landing.register("t", "(k BIGINT, at TIMESTAMP)", "'job' 'j'").await.unwrap();
    for insert in ["INSERT INTO t VALUES (1, now())", "INSERT INTO t SELECT 1, now()"] {
        landing.db().execute_batch("DROP TABLE IF EXISTS landfall_ledger").unwrap();
        for rows in [1, 0] {
            let frame = datafusion_landfall::sql(&landing.context, insert).await.unwrap();
            assert_eq!(count(&frame.collect().await.unwrap()), rows, "{insert}");
        }
    }
}

#[tokio::test]
async fn a_ledger_of_version_0_1_is_gone_on_with() {
    for place in &Place::all() {
        with_a_job(place).await;
        place.register("other", "", "'table' 't', 'job' 'k'").await;
        place.run("INSERT INTO t VALUES (1, 'a')").await.unwrap();
        // As 0.1 wrote it.
        let written = place.client("SELECT positions FROM landfall_ledger WHERE decision = 'commit'").remove(0);
        let written: serde_json::Value = serde_json::from_str(&written).unwrap();
        let before = format!(r#"{{"end":true,"table":"{}"}}"#, written["table"].as_str().unwrap());
        place.client(&format!("UPDATE landfall_ledger SET positions = '{before}' WHERE decision = 'commit'"));
        assert_eq!(place.run("INSERT INTO t VALUES (1, 'a')").await.unwrap(), 0, "{}", place.name());
        assert_eq!(place.run("INSERT INTO other VALUES (2, 'b')").await.unwrap(), 1);
        assert_eq!(place.run("INSERT INTO other VALUES (2, 'b')").await.unwrap(), 0);
        let jobs = place.client("SELECT job FROM landfall_ledger WHERE decision = 'commit' ORDER BY job");
        assert_eq!(jobs, ["j", "k"], "{}", place.name());
    }
}

#[tokio::test]
async fn a_job_that_failed_can_be_run_again() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'j'").await.unwrap();
    says(&landing.error("INSERT INTO t VALUES (1, 'a'), (1, 'b')").await, &["row 2"]);
    assert_eq!(landing.rows("SELECT decision FROM landfall_ledger"), ["abort"]);
    assert_eq!(count(&landing.sql("INSERT INTO t VALUES (1, 'a')").await.unwrap()), 1);
    assert_eq!(count(&landing.sql("INSERT INTO t VALUES (1, 'a')").await.unwrap()), 0);
    assert_eq!(landing.rows("SELECT k, v FROM t"), ["1|a"]);
}

#[tokio::test]
async fn a_job_without_rows_is_finished_too() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'j'").await.unwrap();
    for _ in 0..2 {
        assert_eq!(count(&landing.sql("INSERT INTO t SELECT 1, 'a' WHERE false").await.unwrap()), 0);
    }
    says(&landing.error("INSERT INTO t VALUES (1, 'a')").await, &["has run another INSERT"]);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn a_job_of_another_table_is_an_error() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER); CREATE TABLE u (k INTEGER)");
    landing.register("t", "", "'job' 'j'").await.unwrap();
    landing.register("u", "", "'job' 'j'").await.unwrap();
    landing.sql("INSERT INTO t VALUES (1)").await.unwrap();
    says(&landing.error("INSERT INTO u VALUES (1)").await, &["job 'j'", "\"t\"", "\"u\"", "use a different job name"]);
    assert_eq!(landing.rows("SELECT count(*) FROM u"), ["0"]);
}

#[tokio::test]
async fn without_a_job_nothing_is_remembered() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "").await.unwrap();
    landing.sql("INSERT INTO t VALUES (1, 'a')").await.unwrap();
    assert_eq!(landing.rows("SELECT name FROM sqlite_schema WHERE type = 'table'"), ["t"]);
}

#[tokio::test]
async fn of_runs_at_once_one_writes() {
    let landing = Landing::new(TABLE);
    landing.register("t", "", "'job' 'j'").await.unwrap();
    let insert = || landing.sql("INSERT INTO t SELECT value, 'v' FROM generate_series(1, 50000)");
    let (a, b, c) = tokio::join!(insert(), insert(), insert());
    let written: Vec<u64> = [a, b, c].iter().flatten().map(|answer| count(answer)).collect();
    assert!(written.contains(&50_000), "{written:?}");
    assert_eq!(landing.rows("SELECT count(*), count(DISTINCT k) FROM t"), ["50000|50000"]);
    assert_eq!(landing.rows("SELECT count(*) FROM landfall_ledger WHERE decision = 'commit'"), ["1"]);
}

#[tokio::test]
async fn a_job_of_another_database_is_not_taken_for_done() {
    let log = tempfile::tempdir().unwrap();
    let options = format!("'job' 'j', 'log' 'file://{}'", log.path().display());
    let [first, second] = [(); 2].map(|()| MySql::new("CREATE TABLE t (k INTEGER PRIMARY KEY)"));
    for server in [&first, &second] {
        server.register("t", "", &options).await.unwrap();
    }
    let insert = "INSERT INTO t VALUES (1)";
    assert_eq!([count(&first.sql(insert).await.unwrap()), count(&first.sql(insert).await.unwrap())], [1, 0]);
    says(
        &second.error(insert).await,
        &["job 'j' has written table \"t\" in another database", "use a different job name"],
    );
    assert_eq!(second.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn arguments_of_a_function_and_options_of_a_format_make_another_statement() {
    let landing = Landing::new("CREATE TABLE t (k INTEGER PRIMARY KEY)");
    landing.register("t", "", "'job' 'j'").await.unwrap();
    landing.register("u", "", "'table' 't', 'job' 'k'").await.unwrap();
    let series = |first: u32| format!("INSERT INTO t SELECT value FROM generate_series({first}, {})", first + 9);
    assert_eq!(count(&landing.sql(&series(1)).await.unwrap()), 10);
    assert_eq!(count(&landing.sql(&series(1)).await.unwrap()), 0);
    says(&landing.error(&series(11)).await, &["has run another INSERT"]);
    let file = landing.folder.path().join("k.csv");
    std::fs::write(&file, "50\n51\n").unwrap();
    let read_as = async |option: &str| {
        landing.sql("DROP TABLE IF EXISTS source").await.unwrap();
        let create = "CREATE EXTERNAL TABLE source (k BIGINT) STORED AS CSV LOCATION";
        landing.sql(&format!("{create} '{}' OPTIONS ({option})", file.display())).await.unwrap();
    };
    read_as("'format.has_header' 'true'").await;
    assert_eq!(count(&landing.sql("INSERT INTO u SELECT k FROM source").await.unwrap()), 1);
    read_as("'format.has_header' 'false'").await;
    says(&landing.error("INSERT INTO u SELECT k FROM source").await, &["has run another INSERT"]);
}
