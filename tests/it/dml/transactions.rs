//! Jobs, two phases, several databases, and who else writes meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::{ALL, Place, fill};
use crate::landing::{Landing, count, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_once() {
    for place in Place::all() {
        fill(&place).await;
        for (number, sql) in [
            "UPDATE job SET qty = qty + 1 WHERE qty IS NOT NULL",
            "DELETE FROM job WHERE id = 5",
            "MERGE INTO job USING s ON job.id = s.id WHEN MATCHED THEN UPDATE SET qty = job.qty + 100",
            "MERGE INTO job USING s ON job.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name
             WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)",
            "TRUNCATE TABLE job",
        ]
        .into_iter()
        .enumerate()
        {
            place.context().deregister_table("job").unwrap();
            place.register("job", "", &format!("'table' 't', 'job' 'change {number}'")).await;
            let first = place.run(sql).await.unwrap_or_else(|error| panic!("{}: {sql}: {error}", place.name()));
            assert!(first > 0, "{}: {sql}", place.name());
            let after = place.read(ALL).await;
            assert_eq!(place.run(sql).await.unwrap(), 0, "{}: {sql}", place.name());
            assert_eq!(place.read(ALL).await, after, "{}: {sql}", place.name());
        }
        let decisions = "SELECT count(*) FROM landfall_ledger WHERE decision = 'commit'";
        assert_eq!(place.client(decisions), ["5"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_commit_in_two_phases() {
    for place in [Place::Postgres(Postgres::new("")), Place::MySql(MySql::new(""))] {
        fill(&place).await;
        place.register("two", "", "'table' 't', 'commit' 'two_phase'").await;
        for (sql, rows) in [
            ("UPDATE two SET qty = 1 WHERE id = 1", 1),
            ("UPDATE two SET qty = qty + 1 WHERE id < 3", 2),
            ("DELETE FROM two WHERE id = 5", 1),
            (
                "MERGE INTO two USING s ON two.id = s.id WHEN MATCHED THEN UPDATE SET qty = s.qty
                 WHEN NOT MATCHED THEN INSERT (id, qty) VALUES (s.id, s.qty)",
                4,
            ),
            ("MERGE INTO two USING s ON two.id = s.id AND two.qty > 0 WHEN MATCHED THEN DELETE", 3),
            ("TRUNCATE TABLE two", 3),
        ] {
            let done = place.run(sql).await.unwrap_or_else(|error| panic!("{}: {sql}: {error}", place.name()));
            assert_eq!(done, rows, "{}: {sql}", place.name());
        }
        assert_eq!(place.read("SELECT count(*) FROM t").await, ["0"], "{}", place.name());
    }
    let landing = Landing::new("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)");
    landing.register("t", "", "'commit' 'two_phase'").await.unwrap();
    says(&landing.error("DELETE FROM t WHERE k = 1").await, &["DELETE t", "cannot prepare transactions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fanout_is_emptied_at_once() {
    let landing = Landing::new("CREATE TABLE a (k INTEGER PRIMARY KEY, v TEXT); INSERT INTO a VALUES (1, 'x')");
    let server =
        Postgres::new("CREATE TABLE b (k bigint PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'x'), (2, 'y')");
    landing.register("a", "", "").await.unwrap();
    let url = server.url();
    let both = format!("CREATE EXTERNAL TABLE b STORED AS POSTGRES LOCATION '{url}'");
    landing.sql(&both).await.unwrap();
    landing.sql("CREATE EXTERNAL TABLE both STORED AS FANOUT LOCATION 'a, b'").await.unwrap();
    for sql in [
        "DELETE FROM both WHERE k = 1",
        "UPDATE both SET v = 'z'",
        "MERGE INTO both USING (SELECT 1 AS k) AS s ON both.k = s.k WHEN MATCHED THEN DELETE",
    ] {
        says(&landing.error(sql).await, &["datafusion_landfall::sql", "(a, b)", "one transaction"]);
    }
    assert_eq!(count(&landing.sql("TRUNCATE TABLE both").await.unwrap()), 3);
    assert_eq!(landing.rows("SELECT count(*) FROM a"), ["0"]);
    assert_eq!(server.rows("SELECT count(*) FROM b"), ["0"]);
}

/// What was read is what is there when it is written: whoever changes it meanwhile waits, or was first.
#[tokio::test(flavor = "multi_thread")]
async fn nobodys_change_is_lost() {
    const WRITERS: usize = 6;
    const TIMES: usize = 10;
    for place in Place::all() {
        let place = Arc::new(place);
        // Of four connections each statement needs two.
        place.register("c", "(k INT PRIMARY KEY, n INT)", "'lock_timeout' '60s', 'pool.max' '4'").await;
        place.run("INSERT INTO c VALUES (1, 0), (2, 0)").await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let place = Arc::clone(&place);
            tasks.spawn(async move {
                let sql = match writer % 2 {
                    0 => "UPDATE c SET n = n + 1 WHERE k = 1",
                    _ => {
                        "MERGE INTO c USING (SELECT 1 AS k) AS s ON c.k = s.k WHEN MATCHED THEN UPDATE SET n = c.n + 1
                         WHEN NOT MATCHED THEN INSERT (k, n) VALUES (s.k, 0)"
                    }
                };
                for _ in 0..TIMES {
                    place.run(sql).await.unwrap();
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        assert_eq!(place.read("SELECT n FROM c ORDER BY k").await, [(WRITERS * TIMES).to_string().as_str(), "0"]);
    }
}

/// What a condition found, and that there is nothing else, stays so until the rows are changed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_statement_reads_of_mysql_is_serializable() {
    let place = Arc::new(Place::MySql(MySql::new("")));
    fill(&place).await;
    let holds = tokio::task::spawn_blocking({
        let place = Arc::clone(&place);
        move || place.client("START TRANSACTION; UPDATE t SET qty = 11 WHERE id = 1; SELECT SLEEP(3); COMMIT")
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let waits = tokio::spawn({
        let place = Arc::clone(&place);
        async move { place.run("UPDATE t SET qty = qty + 1 WHERE id = 1").await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let levels = place.client(
        "SELECT trx_isolation_level FROM information_schema.INNODB_TRX WHERE trx_query LIKE '%FOR UPDATE' AND
         trx_query LIKE CONCAT('%', DATABASE(), '%')",
    );
    holds.await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), 1);
    assert_eq!(levels, ["SERIALIZABLE"]);
    assert_eq!(place.read("SELECT qty FROM t WHERE id = 1").await, ["12"]);
}

/// What is prepared is ended before what has not begun.
#[tokio::test(flavor = "multi_thread")]
async fn more_statements_than_connections_commit_in_two_phases() {
    for place in [Place::Postgres(Postgres::new("")), Place::MySql(MySql::new(""))] {
        let options = "'commit' 'two_phase', 'pool.max' '4', 'pool.acquire_timeout' '10s'";
        place.register("c", "(k INT PRIMARY KEY, n INT)", options).await;
        // The ledger is there.
        place.run("INSERT INTO c VALUES (-1, 0)").await.unwrap();
        let place = Arc::new(place);
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let place = Arc::clone(&place);
            tasks.spawn(async move {
                for round in 0..5 {
                    let rows = format!("SELECT value + {}, 0 FROM generate_series(1, 100)", (writer * 5 + round) * 100);
                    place.run(&format!("INSERT INTO c {rows}")).await.unwrap();
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        assert_eq!(place.read("SELECT count(*) FROM c").await, ["4001"], "{}", place.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_row_is_waited_for() {
    for place in [Place::Postgres(Postgres::new("")), Place::MySql(MySql::new(""))] {
        fill(&place).await;
        place.register("w", "", "'table' 't', 'lock_timeout' '1s'").await;
        let holder = match &place {
            Place::Postgres(_) => "BEGIN; UPDATE t SET qty = 11 WHERE id = 1; SELECT pg_sleep(4); COMMIT",
            _ => "START TRANSACTION; UPDATE t SET qty = 11 WHERE id = 1; SELECT SLEEP(4); COMMIT",
        };
        let place = Arc::new(place);
        let holds = tokio::task::spawn_blocking({
            let place = Arc::clone(&place);
            move || place.client(holder)
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        for sql in ["UPDATE w SET qty = qty + 1 WHERE id = 1", "DELETE FROM w WHERE id = 1"] {
            says(&place.error(sql).await, &["lock_timeout"]);
        }
        holds.await.unwrap();
        assert_eq!(place.run("UPDATE w SET qty = qty + 1 WHERE id = 1").await.unwrap(), 1);
        assert_eq!(place.read("SELECT qty FROM t WHERE id = 1").await, ["12"], "{}", place.name());
    }
}

/// Wherever the program dies, and however often: the next run of the job makes it whole.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_run_dies_is_done_once() {
    const COMMITS: &[&str] = &["branch.started", "branch.written", "commit.before", "commit.after"];
    const TWO_PHASES: &[&str] = &["prepare.before", "prepare.after", "decide.before", "decide.after", "complete.all"];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db").display().to_string();
    let (postgres, mysql) = (Postgres::with_database(""), MySql::new(""));
    for (stored_as, backend, commit, points) in [
        (format!("SQLITE LOCATION '{file}'"), "sqlite", "", COMMITS),
        (format!("POSTGRES LOCATION '{}'", postgres.url()), "postgres", "", COMMITS),
        (format!("POSTGRES LOCATION '{}'", postgres.url()), "postgres", ", 'commit' 'two_phase'", TWO_PHASES),
        (format!("MYSQL LOCATION '{}'", mysql.url()), "mysql", "", COMMITS),
        (format!("MYSQL LOCATION '{}'", mysql.url()), "mysql", ", 'commit' 'two_phase'", TWO_PHASES),
    ] {
        let table = |options: &str| {
            format!(
                "CREATE EXTERNAL TABLE t (k BIGINT PRIMARY KEY, n BIGINT) STORED AS {stored_as} OPTIONS ({options})"
            )
        };
        let run = |point: Option<&str>, sql: &str| {
            let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_landfall"));
            program.args(["sql", "--format", "csv", "-c", sql]).env("LANDFALL_HISTORY", "");
            if let Some(point) = point {
                program.env("FAILPOINTS", format!("{point}=return"));
            }
            let output = program.output().unwrap();
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
            )
        };
        let fill = format!("{}; INSERT OVERWRITE t VALUES (1, 0), (2, 0), (3, 0)", table("'lock_timeout' '30s'"));
        for point in points {
            assert!(run(None, &fill).0);
            let point = match *point {
                "commit.before" | "commit.after" | "prepare.before" | "prepare.after" => format!("{backend}.{point}"),
                point => point.to_owned(),
            };
            let job = format!("'lock_timeout' '30s', 'job' 'dies at {point}{}'{commit}", commit.len());
            // What was done before must not be done again: n + 1 would show it.
            let merge = format!(
                "{}; MERGE INTO t USING (VALUES (1, 1), (2, 1), (4, 1)) AS s (k, n) ON t.k = s.k
                 WHEN MATCHED THEN UPDATE SET n = t.n + s.n WHEN NOT MATCHED THEN INSERT (k, n) VALUES (s.k, s.n)
                 WHEN NOT MATCHED BY SOURCE THEN DELETE",
                table(&job)
            );
            let (is_well, said) = run(Some(&point), &merge);
            assert!(!is_well, "{backend}{commit}: it did not die at {point}: {said}");
            let (is_well, said) = run(None, &merge);
            assert!(is_well, "{backend}{commit}, {point}: {said}");
            let read = format!("{}; SELECT k, n FROM t ORDER BY k", table("'lock_timeout' '30s'"));
            let (_, said) = run(None, &read);
            says(&format!("{backend}{commit}, {point}: {said}"), &["k,n\n1,1\n2,1\n4,1\n"]);
        }
    }
}
