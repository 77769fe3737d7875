//! Transactions of several statements, in one or several databases.

use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion_landfall::{Transaction, begin, register, sql};

use crate::dml::Place;
use crate::landing::{Landing, count, rows_of, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;
use crate::program::{program, texts};

/// A session with these databases attached as `a`, `b`, …, each with a table `t`.
async fn session(places: &[&Place]) -> SessionContext {
    let context = SessionContext::new();
    register(&context);
    for (place, name) in places.iter().zip(["a", "b", "c"]) {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v VARCHAR(40))");
        sql(&context, &format!("ATTACH '{}' AS {name}", place.url())).await.unwrap();
    }
    context
}

async fn run(transaction: &Transaction, text: &str) -> Result<u64, DataFusionError> {
    Ok(count(&transaction.sql(text).await?.collect().await?))
}

async fn rows(transaction: &Transaction, text: &str) -> Vec<String> {
    rows_of(&transaction.sql(text).await.unwrap().collect().await.unwrap())
}

const ROWS: &str = "SELECT id, n, v FROM t ORDER BY id";

#[tokio::test(flavor = "multi_thread")]
async fn statements_see_what_the_transaction_wrote_and_others_do_not() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        place.client("INSERT INTO t VALUES (1, 10, 'old'), (2, 20, 'old')");
        let transaction = begin(&context).unwrap();
        let name = place.name();
        assert_eq!(run(&transaction, "INSERT INTO a.t VALUES (3, 30, 'new')").await.unwrap(), 1, "{name}");
        assert_eq!(rows(&transaction, "SELECT count(*), sum(n) FROM a.t").await, ["3|60"], "{name}");
        assert_eq!(run(&transaction, "UPDATE a.t SET n = n + 1 WHERE id >= 2").await.unwrap(), 2, "{name}");
        assert_eq!(run(&transaction, "UPDATE a.t SET v = v || '-' || (SELECT max(n) FROM a.t)").await.unwrap(), 3);
        assert_eq!(run(&transaction, "DELETE FROM a.t WHERE id = 1").await.unwrap(), 1, "{name}");
        assert_eq!(run(&transaction, "INSERT INTO a.t SELECT id + 10, n, v FROM a.t").await.unwrap(), 2, "{name}");
        let merge = "MERGE INTO a.t USING (SELECT id, n FROM a.t WHERE id > 10) AS s ON t.id = s.id - 10
                     WHEN MATCHED THEN UPDATE SET n = s.n * 2";
        assert_eq!(run(&transaction, merge).await.unwrap(), 2, "{name}");
        let upsert = "INSERT INTO a.t (id, n) VALUES (12, 5), (20, 6) ON CONFLICT (id) DO UPDATE SET n = excluded.n";
        assert_eq!(run(&transaction, upsert).await.unwrap(), 2, "{name}");
        let inside = rows(&transaction, "SELECT id, n, v FROM a.t ORDER BY id").await;
        assert_eq!(inside, ["2|42|old-31", "3|62|new-31", "12|5|old-31", "13|31|new-31", "20|6|NULL"], "{name}");
        if !matches!(place, Place::MySql(_)) {
            assert_eq!(place.client(ROWS), ["1|10|old", "2|20|old"], "{name}");
        }
        transaction.commit().await.unwrap();
        assert_eq!(place.client(ROWS), inside, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_rolled_back_dropped_or_failed_changes_nothing() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        place.client("INSERT INTO t VALUES (1, 10, 'old')");
        let transaction = begin(&context).unwrap();
        run(&transaction, "UPDATE a.t SET n = 11").await.unwrap();
        transaction.rollback().await;
        let transaction = begin(&context).unwrap();
        run(&transaction, "DELETE FROM a.t").await.unwrap();
        let late = transaction.sql("SELECT * FROM a.t").await.unwrap();
        drop(transaction);
        says(&late.collect().await.unwrap_err().to_string(), &["the transaction has ended"]);

        let transaction = begin(&context).unwrap();
        run(&transaction, "INSERT INTO a.t VALUES (2, 20, 'new')").await.unwrap();
        let twice = run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'twice')").await.unwrap_err().to_string();
        says(&twice, &["key already exists"]);
        let next = run(&transaction, "INSERT INTO a.t VALUES (3, 30, 'new')").await.unwrap_err().to_string();
        says(&next, &["the transaction has failed", "key already exists", "ROLLBACK"]);
        says(&transaction.commit().await.unwrap_err().to_string(), &["COMMIT", "rolled back"]);
        // Nobody waits for locks of those that were dropped.
        for attempt in 0..50 {
            let again = begin(&context).unwrap();
            if run(&again, "UPDATE a.t SET n = n").await.is_ok() || attempt == 49 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(place.client(ROWS), ["1|10|old"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_commit_together() {
    let places = [Place::Postgres(Postgres::new("")), Place::MySql(MySql::new("")), Place::Sqlite(Landing::new(""))];
    let all: Vec<_> = places.iter().collect();
    let context = session(&all).await;
    for (ends_well, id) in [(true, 1), (false, 2)] {
        let transaction = begin(&context).unwrap();
        for name in ["a", "b", "c"] {
            run(&transaction, &format!("INSERT INTO {name}.t VALUES ({id}, 1, 'x')")).await.unwrap();
        }
        // From one database to another.
        let copy = format!("INSERT INTO b.t SELECT id + 100, n, v FROM a.t WHERE id = {id}");
        assert_eq!(run(&transaction, &copy).await.unwrap(), 1);
        match ends_well {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await,
        }
        let ids = places.each_ref().map(|place| place.client("SELECT id FROM t ORDER BY id").join(" "));
        assert_eq!(ids, ["1", "1 101", "1"]);
    }
    assert_eq!(places[0].client("SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'landfall-%' AND database = current_database() AND prepared < now() - interval '1 minute'"), ["0"]);

    let (one, two) = (Place::Sqlite(Landing::new("")), Place::Sqlite(Landing::new("")));
    let context = session(&[&one, &two]).await;
    let transaction = begin(&context).unwrap();
    run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await.unwrap();
    let second = run(&transaction, "INSERT INTO b.t VALUES (1, 1, 'x')").await.unwrap_err().to_string();
    says(&second, &["cannot prepare transactions", "only one such database", &one.url()[7..]]);
    drop(transaction);
    assert_eq!([one.client("SELECT count(*) FROM t"), two.client("SELECT count(*) FROM t")], [["0"], ["0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_part_of_a_transaction_is_refused() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        place.register("once", "", "'table' 't', 'job' 'once'").await;
        for (statement, parts) in [
            ("CREATE TABLE a.u AS SELECT 1 AS id", &["before BEGIN"][..]),
            ("DROP TABLE a.t", &["before BEGIN"]),
            ("BEGIN", &["datafusion_landfall::begin"]),
            ("SAVEPOINT s", &["savepoint"]),
        ] {
            let transaction = begin(&context).unwrap();
            says(&run(&transaction, statement).await.unwrap_err().to_string(), parts);
        }
        let transaction = begin(place.context()).unwrap();
        let job = run(&transaction, "INSERT INTO once VALUES (1, 1, 'x')").await.unwrap_err().to_string();
        says(&job, &["'job'", "transaction"]);
        assert!(begin(transaction.context()).is_err());
        assert_eq!(place.client("SELECT count(*) FROM t"), ["0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_runs_transactions() {
    for place in &Place::all() {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v VARCHAR(40))");
        let said = |script: &str| {
            let script = format!("ATTACH '{}' AS a; {script}", place.url());
            let output = program(&std::env::temp_dir()).args(["sql", "-c", &script]).output().unwrap();
            (output.status.success(), texts(&output))
        };
        let (is_done, (out, _)) = said(
            "BEGIN; INSERT INTO a.t VALUES (1, 1, 'x'); SELECT count(*) AS c FROM a.t; UPDATE a.t SET n = 2; COMMIT",
        );
        assert!(is_done);
        says(&out, &["transaction begun", "| 1 ", "1 row changed", "committed in"]);
        let (is_done, (_, error)) = said("BEGIN; INSERT INTO a.t VALUES (2, 1, 'x')");
        assert!(is_done);
        says(&error, &["was not committed, and is rolled back"]);
        let (is_done, (_, error)) =
            said("BEGIN; INSERT INTO a.t VALUES (2, 1, 'x'); INSERT INTO a.t VALUES (1, 1, 'x'); COMMIT");
        assert!(!is_done);
        says(&error, &["statement 4", "key already exists"]);
        says(&said("COMMIT").1.1, &["no transaction is open"]);
        says(&said("BEGIN; BEGIN").1.1, &["a transaction is open"]);
        assert_eq!(place.client(ROWS), ["1|2|x"], "{}", place.name());
    }
}
