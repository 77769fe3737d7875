//! UPDATE, DELETE and MERGE of FANOUT tables.

use datafusion::prelude::SessionContext;
use datafusion_landfall::{begin, register, sql};

use crate::dml::Place;
use crate::landing::{Landing, count, rows_of, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;

/// A session with a table of each database, and `all` of them together. The columns have other types in each.
async fn session(places: &[Place; 3], options: &str) -> SessionContext {
    let context = SessionContext::new();
    register(&context);
    for (place, name) in places.iter().zip(["a", "b", "c"]) {
        let number = ["BIGINT", "INTEGER", "SMALLINT"][usize::from(name.as_bytes()[0] - b'a')];
        place.client(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, n {number}, v VARCHAR(40))"));
        place.client("INSERT INTO t VALUES (1, 1, 'one'), (2, 2, 'two'), (3, 3, 'three')");
        let (kind, location) = match place {
            Place::Sqlite(landing) => ("SQLITE", landing.file().display().to_string()),
            Place::Postgres(_) => ("POSTGRES", place.url()),
            Place::MySql(_) => ("MYSQL", place.url()),
        };
        let create =
            format!("CREATE EXTERNAL TABLE {name} STORED AS {kind} LOCATION '{location}' OPTIONS ('table' 't')");
        sql(&context, &create).await.unwrap();
    }
    sql(&context, &format!("CREATE EXTERNAL TABLE every STORED AS FANOUT LOCATION 'a, b, c' {options}")).await.unwrap();
    context
}

fn places() -> [Place; 3] {
    [Place::Postgres(Postgres::new("")), Place::MySql(MySql::new("")), Place::Sqlite(Landing::new(""))]
}

fn rows(places: &[Place; 3]) -> Vec<String> {
    let rows = places.each_ref().map(|place| place.client("SELECT id, n, v FROM t ORDER BY id"));
    assert!(rows.iter().all(|of| *of == rows[0]), "{rows:?}");
    rows[0].clone()
}

async fn run(context: &SessionContext, text: &str) -> Result<u64, String> {
    let frame = sql(context, text).await.map_err(|error| error.to_string())?;
    Ok(count(&frame.collect().await.map_err(|error| error.to_string())?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_every_member_or_none() {
    let places = places();
    let context = session(&places, "").await;
    assert_eq!(run(&context, "UPDATE every SET n = every.n + 10, v = v || '!' WHERE every.id >= 2").await.unwrap(), 6);
    assert_eq!(rows(&places), ["1|1|one", "2|12|two!", "3|13|three!"]);
    assert_eq!(run(&context, "DELETE FROM every WHERE id = 3").await.unwrap(), 3);
    let merge = "MERGE INTO every AS x USING (VALUES (1, 'new'), (7, 'seven')) AS s (id, v) ON x.id = s.id
                 WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)";
    assert_eq!(run(&context, merge).await.unwrap(), 6);
    assert_eq!(
        run(&context, "UPDATE every SET n = s.n FROM (VALUES (7, 77)) AS s (id, n) WHERE every.id = s.id")
            .await
            .unwrap(),
        3
    );
    let before = rows(&places);
    assert_eq!(before, ["1|1|new", "2|12|two!", "7|77|seven"]);

    // The last member refuses it: 40,000 is no SMALLINT of MariaDB, but a number of the others.
    let failed = run(&context, "UPDATE every SET n = 400000 * id * 10000 WHERE id = 2").await.unwrap_err();
    says(&failed, &["member b"]);
    assert_eq!(rows(&places), before);
    let read = run(&context, "UPDATE every SET n = (SELECT max(n) FROM every)").await.unwrap_err();
    says(&read, &["FANOUT table", "cannot be read"]);
    for (statement, why) in [
        ("UPDATE every SET n = (SELECT max(n) + 1 FROM a) WHERE id = 1", "the query reads a"),
        (
            "MERGE INTO every USING (SELECT id + 10 AS id FROM b) AS s ON every.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            "the query reads b",
        ),
        ("UPDATE every SET n = CAST(random() * 5 AS INT)", "random()"),
        ("DELETE FROM every WHERE random() < 0.5", "random()"),
        (
            "MERGE INTO every USING (VALUES (1)) AS s (id) ON every.id = s.id WHEN MATCHED THEN UPDATE SET v = uuid()",
            "uuid()",
        ),
        ("DELETE FROM every LIMIT 1", "LIMIT without ORDER BY"),
    ] {
        let refused = run(&context, statement).await.unwrap_err();
        says(&refused, &[why, "run the statement on each member"]);
    }
    assert_eq!(rows(&places), before);
    let plain = context.sql("DELETE FROM every").await.unwrap().collect().await.unwrap_err().to_string();
    says(&plain, &["datafusion_landfall::sql", "in one transaction"]);
    let plan = sql(&context, "EXPLAIN DELETE FROM every WHERE id = 1").await.unwrap().collect().await.unwrap();
    says(&rows_of(&plan).join("\n"), &["TransactionExec: members=[a, b, c]", "DELETE"]);
    assert_eq!(rows(&places), before);

    let transaction = begin(&context).await.unwrap();
    transaction.sql("DELETE FROM every WHERE id = 7").await.unwrap().collect().await.unwrap();
    transaction.sql("UPDATE every SET n = 0").await.unwrap().collect().await.unwrap();
    transaction.rollback().await;
    assert_eq!(rows(&places), before);
    let transaction = begin(&context).await.unwrap();
    transaction.sql("DELETE FROM every WHERE id = 7").await.unwrap().collect().await.unwrap();
    transaction.sql("UPDATE every SET n = 0").await.unwrap().collect().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(rows(&places), ["1|0|new", "2|0|two!"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_every_member_is_a_job() {
    let [one, two, three] = places();
    // The database that cannot prepare is changed first.
    let places = [three, one, two];
    let context = session(&places, "OPTIONS ('job' 'plus one')").await;
    assert_eq!(run(&context, "UPDATE every SET n = n + 1").await.unwrap(), 9);
    assert_eq!(run(&context, "UPDATE every SET n = n + 1").await.unwrap(), 0);
    says(&run(&context, "UPDATE every SET n = n + 2").await.unwrap_err(), &["is finished", "another UPDATE"]);
    assert_eq!(rows(&places), ["1|2|one", "2|3|two", "3|4|three"]);
}
