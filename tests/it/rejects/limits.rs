//! Limits, and what is not a bad row.

use std::collections::BTreeMap;

use super::{Bad, create, options, register_input, rejected, rows, stored};
use crate::dml::Place;
use crate::landing::{Landing, says};
use crate::program::{run, texts};

/// Every tenth row violates a CHECK.
fn every_tenth(count: i64) -> BTreeMap<i64, Bad> {
    (1..count).filter(|id| id % 10 == 5).map(|id| (id, Bad::Check)).collect()
}

const INSERT: &str = "INSERT INTO t SELECT * FROM input";

#[tokio::test]
async fn above_the_limit_nothing_is_written_and_the_first_reasons_are_told() {
    for place in &Place::all() {
        create(place, "t");
        register_input(place, &rows(0..1_000, &every_tenth(1_000)), 100);
        for limit in ["99", "9.9 %", "0"] {
            place
                .register(
                    &format!("t{}", limit.len()),
                    "",
                    &options(place, &format!("'table' 't', 'reject.max' '{limit}'")),
                )
                .await;
            let error = place.error(&INSERT.replace(" t ", &format!(" t{} ", limit.len()))).await;
            says(&error, &["rejected row", "'reject.max' allows", limit, "\"id\":5", "\"sign\":-1"]);
            assert_eq!(error.matches("\"id\":").count(), if limit == "0" { 1 } else { 3 }, "{error}");
            assert_eq!((stored(place, "t").len(), rejected(place).len()), (0, 0), "{}", place.name());
        }
        for (name, limit) in [("rows", "100"), ("share", "10 %")] {
            place.register(name, "", &options(place, &format!("'table' 't', 'reject.max' '{limit}'"))).await;
            assert_eq!(place.run(&INSERT.replace(" t ", &format!(" {name} "))).await.unwrap(), 900, "{}", place.name());
            assert_eq!((stored(place, "t").len(), rejected(place).len()), (900, 100));
            place.client("DELETE FROM t WHERE id >= 0");
            place.client("DELETE FROM rejects");
        }
    }
}

#[tokio::test]
async fn the_limit_of_a_job_counts_over_its_runs() {
    for place in &Place::all() {
        create(place, "t");
        let bad = every_tenth(1_000);
        register_input(place, &rows(0..1_000, &bad), 100);
        let job = "'job' 'j', 'checkpoint.rows' '200', 'writers' '1'";
        place.register("t", "", &options(place, &format!("'reject.max' '50', {job}"))).await;
        let error = place.error(INSERT).await;
        says(&error, &["t: 51 rejected rows are more than", "allows (50)"]);
        // Two epochs, each with 20 rejected rows.
        assert_eq!((stored(place, "t").len(), rejected(place).len()), (360, 40), "{}", place.name());
        let checkpoint = "SELECT total_rows, rejected, finished FROM landfall_checkpoints('t')";
        assert_eq!(place.read(checkpoint).await, ["400|40|false"], "{}", place.name());
        let error = place.error(INSERT).await;
        says(&error, &["t: 51 rejected rows are more than"]);
        place.register("more", "", &options(place, &format!("'table' 't', 'reject.max' '100', {job}"))).await;
        assert_eq!(place.run("INSERT INTO more SELECT * FROM input").await.unwrap(), 540, "{}", place.name());
        assert_eq!((stored(place, "t").len(), rejected(place).len()), (900, 100), "{}", place.name());
        assert_eq!(place.run("INSERT INTO more SELECT * FROM input").await.unwrap(), 0);
        assert_eq!((stored(place, "t").len(), rejected(place).len()), (900, 100), "{}", place.name());
    }
}

#[tokio::test]
async fn what_is_not_about_a_row_is_no_reject() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (k INT PRIMARY KEY, v INT)");
        place.register("t", "", &options(place, "'reject.max' '1000'")).await;
        place.client("DROP TABLE t");
        let error = place.error("INSERT INTO t SELECT * FROM (VALUES (1, 1), (2, 2))").await;
        says(&error, &["t"]);
        assert_eq!(place.client("SELECT count(*) FROM rejects"), ["0"], "{}", place.name());
    }
}

#[tokio::test]
async fn a_reject_table_is_one_that_has_the_columns() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (k INT PRIMARY KEY, v INT CHECK (v > 0))");
        place.client("CREATE TABLE other (statement VARCHAR(99), message INT)");
        let options = |table: &str| format!("'table' 't', 'reject.max' '9', 'reject.table' '{table}'");
        place.register("bad", "", &options("other")).await;
        let error = place.error("INSERT INTO bad SELECT 1, 2").await;
        says(&error, &["the reject table other", "it has no column \"table_name\"", "reject.table"]);
        place.register("itself", "", &options("t")).await;
        says(&place.error("INSERT INTO itself SELECT 1, 2").await, &["it is also the table"]);
        place.register("alone", "", "'table' 't', 'reject.max' '9'").await;
        says(&place.error("INSERT INTO alone SELECT 1, 2").await, &["'reject.max' requires the option 'reject.table'"]);
        assert_eq!(place.client("SELECT count(*) FROM t"), ["0"]);

        // It cannot be created.
        if !matches!(place, Place::Sqlite(_)) {
            place.register("nowhere", "", &options("no_such_schema.rejects")).await;
            let error = place.error("INSERT INTO nowhere SELECT 1, 2").await;
            says(&error, &["the reject table no_such_schema.rejects", "no_such_schema"]);
            assert_eq!(place.client("SELECT count(*) FROM t"), ["0"]);
        }

        // One that the user has created has its own columns, too.
        place.client(
            "CREATE TABLE own (message TEXT, note VARCHAR(9), statement VARCHAR(99) NOT NULL, table_name VARCHAR(99),
                 job VARCHAR(99), epoch INT, rejected_at TIMESTAMP, source_row TEXT, column_name VARCHAR(99),
                 error_class VARCHAR(20))",
        );
        if matches!(place, Place::Postgres(_)) {
            place.client("ALTER TABLE own ALTER rejected_at TYPE timestamptz");
        }
        place.register("good", "", &options("own")).await;
        assert_eq!(place.run("INSERT INTO good SELECT * FROM (VALUES (1, 1), (2, -2))").await.unwrap(), 1);
        assert_eq!(place.client("SELECT source_row, note FROM own"), [r#"{"k":2,"v":-2}|NULL"#], "{}", place.name());
    }
}

#[tokio::test]
async fn a_transaction_and_a_cluster_refuse_the_option() {
    let landing = Landing::new("CREATE TABLE t (k INT PRIMARY KEY)");
    landing.register("t", "", "'reject.max' '9', 'reject.table' 'rejects'").await.unwrap();
    let transaction = datafusion_landfall::begin(&landing.context).await.unwrap();
    let error = transaction.sql("INSERT INTO t SELECT 1").await.unwrap().collect().await.unwrap_err();
    says(&error.to_string(), &["'reject.max'", "several statements"]);
    assert_eq!(landing.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn a_fanout_table_sets_rows_aside_that_cannot_be_converted_for_one_member() {
    let [sqlite, postgres, _] = Place::all();
    sqlite.client("CREATE TABLE here (k INT PRIMARY KEY, v DOUBLE)");
    postgres.client("CREATE TABLE there (k INT PRIMARY KEY, v SMALLINT CHECK (v > 0))");
    sqlite.register("here", "", "").await;
    let there = format!("CREATE EXTERNAL TABLE there STORED AS POSTGRES LOCATION '{}'", postgres.url());
    sqlite.context().sql(&there).await.unwrap();
    let both = "CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'here, there'
                OPTIONS ('reject.max' '5', 'reject.table' 'rejects')";
    sqlite.context().sql(both).await.unwrap();
    let insert = "INSERT INTO both SELECT * FROM (VALUES (1, '1'), (2, 'x'), (3, '70000'), (4, '4'))";
    assert_eq!(sqlite.run(insert).await.unwrap(), 2);
    assert_eq!(sqlite.client("SELECT k FROM here ORDER BY k"), ["1", "4"]);
    assert_eq!(postgres.client("SELECT k FROM there ORDER BY k"), ["1", "4"]);
    let rows = [r#"{"k":2,"v":"x"}|encode"#, r#"{"k":3,"v":"70000"}|encode"#];
    assert_eq!(sqlite.client("SELECT source_row, error_class FROM rejects ORDER BY 1"), rows);
    // What a server refuses is an error.
    let error = sqlite.error("INSERT INTO both SELECT * FROM (VALUES (5, '5'), (6, '-6'))").await;
    says(&error, &["violates"]);
    assert_eq!(sqlite.client("SELECT count(*) FROM here"), ["2"]);
}

#[test]
fn the_program_tells_how_many_rows_were_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let script = crate::program::repository().join("sql/rejects.sql");
    for _ in 0..2 {
        let output = run(folder.path(), &["sql", "--format", "csv", script.to_str().unwrap()]);
        assert!(output.status.success(), "{:?}", texts(&output));
        says(
            &texts(&output).0,
            &["sensor 0,13,21.5", "\"\"id\"\":30", "\"\"celsius\"\":\"\"n/a\"\"}\",celsius,encode"],
        );
        says(&texts(&output).1, &["38 rows written", "3 set aside", "3 rows were set aside in table bad_readings"]);
    }
}

#[tokio::test]
async fn an_untyped_null_is_null_in_the_reject_table() {
    for place in &Place::all() {
        place.client("CREATE TABLE n (id INTEGER NOT NULL, b VARCHAR(9))");
        place.register("n", "", "'reject.max' '9', 'reject.table' 'bad'").await;
        let insert = "INSERT INTO n SELECT CAST(NULL AS INT) AS id, NULL AS b";
        assert_eq!(place.run(insert).await.unwrap(), 0, "{}", place.name());
        let found = place.client("SELECT source_row FROM bad").join("").replace(' ', "");
        assert_eq!(found, r#"{"id":null,"b":null}"#, "{}", place.name());
    }
}
