//! UPDATE, DELETE and MERGE.

use crate::cluster::{files, register, run, session};
use crate::databases::{Database, Kind};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_are_those_of_one_process() {
    let cluster = session(4).await;
    let _folder = files(&cluster, 4, 2_000).await;
    for database in Database::each() {
        let table = "(id BIGINT PRIMARY KEY, name VARCHAR(20), share DOUBLE PRECISION)";
        database.client(&format!("CREATE TABLE t {table}"));
        let _ = cluster.deregister_table("t");
        register(&cluster, &database, "t", &[]).await;
        assert_eq!(run(&cluster, "INSERT INTO t SELECT id, name, share FROM source").await.unwrap(), 2_000);
        let look = |sql: &str| database.client(sql).join(" ");
        for (statement, rows, query, expected) in [
            ("DELETE FROM t WHERE id > 1900", 100, "SELECT count(*), max(id) FROM t", "1900|1900"),
            ("DELETE FROM t WHERE id % 10 = 0", 190, "SELECT count(*) FROM t", "1710"),
            ("UPDATE t SET name = 'few' WHERE id < 10", 9, "SELECT count(*) FROM t WHERE name = 'few'", "9"),
            (
                "UPDATE t SET name = name || '!', share = share + 1 WHERE id BETWEEN 11 AND 13",
                3,
                "SELECT name, share FROM t WHERE id = 12",
                "row 12!|2.5",
            ),
            (
                "MERGE INTO t USING source ON t.id = source.id
                 WHEN MATCHED THEN UPDATE SET name = source.name
                 WHEN NOT MATCHED THEN INSERT (id, name) VALUES (source.id, 'new')",
                2_000,
                "SELECT count(*), count(share), sum(CASE WHEN name = 'new' THEN 1 ELSE 0 END) FROM t",
                "2000|1710|290",
            ),
        ] {
            assert_eq!(run(&cluster, statement).await.unwrap(), rows, "{:?}: {statement}", database.kind);
            assert_eq!(look(query), expected, "{:?}: {statement}", database.kind);
        }
        // An earlier stage would read the rows, before they are locked.
        let joined = "MERGE INTO t USING source ON t.id = source.id
                      WHEN MATCHED AND source.share >= t.share THEN UPDATE SET name = 'old'";
        let error = run(&cluster, joined).await.unwrap_err().to_string();
        assert!(error.contains("several stages") && error.contains("one process"), "{:?}: {error}", database.kind);
        assert_eq!(look("SELECT count(*) FROM t WHERE name = 'new'"), "290");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_with_a_job_is_made_once() {
    let cluster = session(2).await;
    let place = Database::new(Kind::Postgres);
    place.client(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, n INT); INSERT INTO t SELECT n, 0 FROM generate_series(1, 5) n",
    );
    register(&cluster, &place, "t", &[("job", "count")]).await;
    let sql = "UPDATE t SET n = n + 1 WHERE id < 4";
    assert_eq!(run(&cluster, sql).await.unwrap(), 3);
    assert_eq!(run(&cluster, sql).await.unwrap(), 0);
    assert_eq!(place.client("SELECT sum(n) FROM t"), ["3"]);
}
