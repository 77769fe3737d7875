//! Jobs, savepoints and options of transactions of several statements.

use std::time::Duration;

use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion_landfall::txn::JobId;
use datafusion_landfall::{Isolation, Transaction, TransactionOptions, begin, begin_with, register, sql};

use crate::dml::Place;
use crate::group::Sites;
use crate::landing::{Landing, count, rows_of, says};
use crate::mysql::MySql;
use crate::postgres::Postgres;
use crate::program::{program, texts};

async fn session(places: &[&Place]) -> SessionContext {
    let context = SessionContext::new();
    register(&context);
    for (place, name) in places.iter().zip(["a", "b", "c"]) {
        place.client("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n < 100), v VARCHAR(40))");
        sql(&context, &format!("ATTACH '{}' AS {name}", place.url())).await.unwrap();
    }
    context
}

async fn run(transaction: &Transaction, text: &str) -> Result<u64, DataFusionError> {
    Ok(count(&transaction.sql(text).await?.collect().await?))
}

async fn fails(transaction: &Transaction, text: &str) -> String {
    run(transaction, text).await.unwrap_err().to_string()
}

fn places() -> [Place; 3] {
    [Place::Postgres(Postgres::new("")), Place::MySql(MySql::new("")), Place::Sqlite(Landing::new(""))]
}

const ROWS: &str = "SELECT id, n FROM t ORDER BY id";

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_returns_to_a_savepoint() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        let transaction = begin(&context).await.unwrap();
        transaction.savepoint("before").await.unwrap();
        assert_eq!(run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x'), (2, 2, 'x')").await.unwrap(), 2);
        transaction.savepoint("one").await.unwrap();
        run(&transaction, "UPDATE a.t SET n = 50").await.unwrap();
        transaction.savepoint("one").await.unwrap();
        run(&transaction, "DELETE FROM a.t").await.unwrap();
        // The last one of the name.
        transaction.rollback_to("one").await.unwrap();
        let rows = transaction.sql("SELECT id, n FROM a.t ORDER BY id").await.unwrap().collect().await.unwrap();
        assert_eq!(rows_of(&rows), ["1|50", "2|50"], "{}", place.name());
        transaction.release("one").await.unwrap();
        transaction.rollback_to("one").await.unwrap();
        run(&transaction, "INSERT INTO a.t VALUES (3, 3, 'x')").await.unwrap();
        let unknown = transaction.rollback_to("two").await.unwrap_err().to_string();
        says(&unknown, &["savepoint \"two\" does not exist"]);
        transaction.commit().await.unwrap();
        assert_eq!(place.client(ROWS), ["1|1", "2|2", "3|3"], "{}", place.name());

        let transaction = begin(&context).await.unwrap();
        transaction.savepoint("s").await.unwrap();
        run(&transaction, "DELETE FROM a.t").await.unwrap();
        transaction.rollback_to("s").await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(place.client(ROWS).len(), 3, "{}", place.name());
    }
}

/// Each statement fails at another step: while it starts, encodes, sends, changes, or reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_statement_is_undone_to_a_savepoint() {
    for place in &Place::all() {
        let name = place.name();
        let context = session(&[place]).await;
        place.client("CREATE TABLE gone (id INTEGER PRIMARY KEY)");
        place.client("CREATE TABLE child (id INTEGER PRIMARY KEY, k INTEGER)");
        for (statement, parts) in [
            ("INSERT INTO a.t VALUES (8, 8, 'x'), (1, 1, 'twice')", &["key already exists"][..]),
            ("INSERT INTO a.t VALUES (8, 8, 'x'), (9, NULL, 'x')", &["row 2"]),
            ("INSERT INTO a.t VALUES (8, 200, 'x')", &[]),
            (
                "INSERT INTO a.t SELECT value + 10, CASE WHEN value = 5 THEN 'zz' ELSE '1' END, 'x' FROM range(0, 10)",
                &["row 6", "zz"],
            ),
            ("UPDATE a.t SET n = n + 99", &[]),
            ("INSERT INTO a.t (id, n) VALUES (1, 300) ON CONFLICT (id) DO UPDATE SET n = excluded.n", &[]),
            ("MERGE INTO a.t USING (VALUES (1), (1)) AS s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 5", &[]),
            ("INSERT INTO a.t SELECT 9, 10 / (n - 1), 'x' FROM a.t WHERE id = 1", &["zero"]),
        ] {
            let transaction = begin(&context).await.unwrap();
            run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await.unwrap();
            transaction.savepoint("s").await.unwrap();
            run(&transaction, "INSERT INTO a.t VALUES (2, 2, 'x')").await.unwrap();
            let failed = fails(&transaction, statement).await;
            says(&failed, &["the statement was rolled back", "ROLLBACK TO"]);
            says(&failed, parts);
            says(&fails(&transaction, "INSERT INTO a.t VALUES (3, 3, 'x')").await, &["has failed", "ROLLBACK TO"]);
            transaction.rollback_to("s").await.unwrap();
            run(&transaction, "INSERT INTO a.t VALUES (4, 4, 'x')").await.unwrap();
            transaction.commit().await.unwrap();
            assert_eq!(place.client(ROWS), ["1|1", "4|4"], "{name}: {statement}");
            place.client("DELETE FROM t");
        }
        // The table is dropped by others before the statement starts.
        let transaction = begin(&context).await.unwrap();
        run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await.unwrap();
        transaction.savepoint("s").await.unwrap();
        if !matches!(place, Place::Sqlite(_)) {
            let plan = transaction.sql("INSERT INTO a.gone VALUES (1)").await.unwrap();
            place.client("DROP TABLE gone");
            says(
                &plan.collect().await.unwrap_err().to_string(),
                &["the statement was rolled back", "no longer exists"],
            );
            transaction.rollback_to("s").await.unwrap();
        }
        // Without a way back, COMMIT rolls back.
        fails(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await;
        says(
            &transaction.commit().await.unwrap_err().to_string(),
            &["COMMIT", "has failed", "was rolled back: run the transaction again"],
        );
        assert_eq!(place.client("SELECT count(*) FROM t"), ["0"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_are_those_of_all_databases() {
    let places = places();
    let all: Vec<_> = places.iter().collect();
    let context = session(&all).await;
    let transaction = begin(&context).await.unwrap();
    run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await.unwrap();
    transaction.savepoint("s").await.unwrap();
    for name in ["a", "b", "c"] {
        run(&transaction, &format!("INSERT INTO {name}.t VALUES (2, 2, 'x')")).await.unwrap();
    }
    fails(&transaction, "INSERT INTO b.t VALUES (2, 2, 'x')").await;
    transaction.rollback_to("s").await.unwrap();
    run(&transaction, "INSERT INTO b.t VALUES (3, 3, 'x')").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(places.each_ref().map(|place| place.client(ROWS).join(" ")), ["1|1", "3|3", ""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolation_level_is_that_of_postgres() {
    let place = Place::Postgres(Postgres::new(""));
    let context = session(&[&place]).await;
    place.client("INSERT INTO t VALUES (1, 1, 'x'), (2, 1, 'x')");
    let sum = "INSERT INTO a.t SELECT 10 + count(*), sum(n), 'x' FROM a.t WHERE id < 10";
    let repeatable = TransactionOptions { isolation: Some(Isolation::RepeatableRead), ..TransactionOptions::default() };
    for (options, expected) in [(TransactionOptions::default(), "12|6"), (repeatable, "12|2")] {
        let transaction = begin_with(&context, options.clone()).await.unwrap();
        run(&transaction, "INSERT INTO a.t VALUES (20, 1, 'x')").await.unwrap();
        place.client("UPDATE t SET n = 5 WHERE id = 1");
        run(&transaction, sum).await.unwrap();
        let update = run(&transaction, "UPDATE a.t SET n = n + 1 WHERE id = 1").await;
        if options.isolation.is_some() {
            says(&update.unwrap_err().to_string(), &["run the transaction again"]);
            assert_eq!(place.client(ROWS), ["1|5", "2|1"]);
            continue;
        }
        update.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(place.client(ROWS), ["1|6", "2|1", expected, "20|1"]);
        place.client("DELETE FROM t WHERE id > 2; UPDATE t SET n = 1");
    }
    for place in &Place::all() {
        let said = |begin: &str| {
            let script = format!("ATTACH '{}' AS a; {begin}; DELETE FROM a.t; COMMIT", place.url());
            let output = program(&std::env::temp_dir()).args(["sql", "-c", &script]).output().unwrap();
            (output.status.success(), texts(&output))
        };
        place.client("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)");
        for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
            let (is_done, (out, error)) = said(&format!("BEGIN ISOLATION LEVEL {level}, READ WRITE"));
            assert!(is_done, "{error}");
            says(&out, &["committed in"]);
        }
        says(&said("BEGIN READ ONLY").1.1, &["READ ONLY is not supported"]);
        says(&said("START TRANSACTION ISOLATION LEVEL READ UNCOMMITTED").1.1, &["use ISOLATION LEVEL READ COMMITTED"]);
        says(&said("BEGIN OPTIONS ('jobs' 'x')").1.1, &["no option 'jobs'", "use 'log' or 'idle_timeout'"]);
        says(&said("BEGIN OPTIONS ('idle_timeout' 'soon')").1.1, &["cannot be 'soon': use a time"]);
        says(&said("BEGIN JOB").1.1, &["Expected: literal string"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_transaction_is_rolled_back() {
    for place in &Place::all() {
        let context = session(&[place]).await;
        let timeout = Duration::from_millis(600);
        let options = TransactionOptions { idle_timeout: Some(timeout), ..TransactionOptions::default() };
        let transaction = begin_with(&context, options).await.unwrap();
        for id in 0..3 {
            run(&transaction, &format!("INSERT INTO a.t VALUES ({id}, 1, 'x')")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        // It holds no locks any more.
        place.client("INSERT INTO t VALUES (1, 1, 'other')");
        says(
            &fails(&transaction, "INSERT INTO a.t VALUES (3, 1, 'x')").await,
            &["no statement was run for 600ms", "idle_timeout"],
        );
        says(&transaction.commit().await.unwrap_err().to_string(), &["COMMIT", "idle_timeout"]);
        assert_eq!(place.client("SELECT v FROM t"), ["other"], "{}", place.name());
    }
}

fn job(name: &str) -> TransactionOptions {
    TransactionOptions { job: Some(JobId::try_new(name).unwrap()), ..TransactionOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_committed_once() {
    let places = places();
    // A database that cannot prepare is written first.
    for (order, first) in [(["a", "b", "c"], 0), (["c", "a", "b"], 2)] {
        if first == 2 {
            places.iter().for_each(|place| drop(place.client("DROP TABLE t")));
        }
        let all: Vec<_> = places.iter().collect();
        let context = session(&all).await;
        let count = if first == 0 { 2 } else { 3 };
        let statements: Vec<_> =
            order.iter().take(count).map(|name| format!("INSERT INTO {name}.t VALUES (1, 1, 'x')")).collect();
        let change = format!("UPDATE {}.t SET n = n + 1", order[0]);
        let name = format!("close {first}");
        for attempt in 0..3 {
            let transaction = begin_with(&context, job(&name)).await.unwrap();
            for statement in &statements {
                assert_eq!(run(&transaction, statement).await.unwrap(), u64::from(attempt == 0), "{statement}");
            }
            run(&transaction, &change).await.unwrap();
            assert_eq!(transaction.is_finished(), attempt > 0);
            transaction.commit().await.unwrap();
        }
        let ids = places.each_ref().map(|place| place.client(ROWS).join(" "));
        assert_eq!(ids, if first == 0 { ["1|2", "1|1", ""] } else { ["1|1", "1|1", "1|2"] });

        let transaction = begin_with(&context, job(&name)).await.unwrap();
        let other = fails(&transaction, &format!("INSERT INTO {}.t VALUES (2, 1, 'x')", order[0])).await;
        says(&other, &["is finished", "has run another INSERT as number 1", "another job name"]);
        let transaction = begin_with(&context, job(&name)).await.unwrap();
        run(&transaction, &statements[0]).await.unwrap();
        let fewer = transaction.commit().await.unwrap_err().to_string();
        says(&fewer, &[&format!("has run {} statements that write, not 1", count + 1)]);
        let transaction = begin_with(&context, job(&name)).await.unwrap();
        for statement in &statements {
            run(&transaction, statement).await.unwrap();
        }
        run(&transaction, &change).await.unwrap();
        says(&fails(&transaction, &change).await, &["has run fewer statements"]);
        // Begun in another database, so that its ledger would be the log.
        let transaction = begin_with(&context, job(&name)).await.unwrap();
        run(&transaction, &format!("INSERT INTO {}.t VALUES (3, 1, 'x')", order[1])).await.unwrap();
        let moved = fails(&transaction, &format!("INSERT INTO {}.t VALUES (3, 1, 'x')", order[0])).await;
        says(&moved, &["was committed with the decision log"]);
        drop(transaction);
    }
    let context = session(&[]).await;
    sql(&context, &format!("ATTACH '{}' AS a", places[0].url())).await.unwrap();
    sql(&context, &format!("ATTACH '{}' AS c", places[2].url())).await.unwrap();
    let transaction = begin_with(&context, job("late")).await.unwrap();
    run(&transaction, "INSERT INTO a.t VALUES (7, 1, 'x')").await.unwrap();
    says(&fails(&transaction, "INSERT INTO c.t VALUES (7, 1, 'x')").await, &["cannot prepare", "first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_have_a_separate_log() {
    let (place, logs) = (Place::Postgres(Postgres::new("")), tempfile::tempdir().unwrap());
    let context = session(&[&place]).await;
    let url = format!("file://{}", logs.path().display());
    for attempt in 0..2 {
        let options = TransactionOptions { log: Some(url.clone()), ..job("elsewhere") };
        let transaction = begin_with(&context, options).await.unwrap();
        assert_eq!(run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await.unwrap(), 1 - attempt);
        transaction.commit().await.unwrap();
    }
    assert_eq!(place.client(ROWS), ["1|1"]);
    assert_eq!(place.client("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"), ["0"]);
    let lite = Place::Sqlite(Landing::new(""));
    let context = session(&[&lite]).await;
    let options = TransactionOptions { log: Some(url.clone()), ..job("other") };
    let transaction = begin_with(&context, options).await.unwrap();
    says(&fails(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await, &["remove the option 'log'"]);
}

/// Two processes lock the same rows of two databases in opposite order, which neither database sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_between_databases_ends_and_a_job_is_run_again() {
    let (one, two) = (Place::Postgres(Postgres::new("")), Place::MySql(MySql::new("")));
    session(&[&one, &two]).await;
    for place in [&one, &two] {
        place.client("INSERT INTO t VALUES (1, 0, 'x')");
    }
    let update = |name: &str| format!("UPDATE {name}.t SET n = n + 1 WHERE id = 1; ");
    let pause = "SELECT count(*) FROM range(0, 3000000) AS x JOIN range(0, 3000000) AS y ON x.value = y.value; ";
    let script = |kind: &str, names: [&str; 2]| {
        let options = "OPTIONS ('lock_timeout' '2s')";
        let attach = format!("ATTACH '{}' AS a {options}; ATTACH '{}' AS b {options}; ", one.url(), two.url());
        format!("{attach}BEGIN{kind}; {}{pause}{}COMMIT", update(names[0]), update(names[1]))
    };
    let start = |script: &str| {
        let mut command = program(&std::env::temp_dir());
        command.args(["sql", "-c", script]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let both = |kinds: [&str; 2]| {
        let running = [start(&script(kinds[0], ["a", "b"])), start(&script(kinds[1], ["b", "a"]))];
        running.map(|child| {
            let output = child.wait_with_output().unwrap();
            (output.status.success(), texts(&output).1)
        })
    };
    let plain = both(["", ""]);
    for (is_done, error) in &plain {
        if !is_done {
            says(
                error,
                &[
                    "holds a lock",
                    "a deadlock between two databases also causes this error",
                    "run the transaction again",
                ],
            );
        }
    }
    let jobs = both([" JOB 'one'", " JOB 'two'"]);
    assert!(jobs.iter().all(|(is_done, _)| *is_done), "{jobs:?}");
    let done = 2 + plain.iter().filter(|(is_done, _)| *is_done).count();
    for place in [&one, &two] {
        assert_eq!(place.client("SELECT n FROM t"), [done.to_string()], "{plain:?} {jobs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_an_open_transaction() {
    for place in [Place::Postgres(Postgres::with_database("")), Place::MySql(MySql::new(""))] {
        let context = session(&[&place]).await;
        let transaction = begin(&context).await.unwrap();
        run(&transaction, "INSERT INTO a.t VALUES (1, 1, 'x')").await.unwrap();
        let status = || {
            let output = program(&std::env::temp_dir()).args(["status", &place.url()]).output().unwrap();
            assert!(output.status.success(), "{:?}", texts(&output));
            texts(&output).0
        };
        says(&status(), &["open transactions", "| session ", "idle in transaction"]);
        transaction.commit().await.unwrap();
        // InnoDB refreshes its list ten times a second.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!status().contains("idle in transaction"), "{}", place.name());
    }
}

/// Killed at a random time and run again, with all three databases. By hand: LANDFALL_TEST_KILLS=200 tests/run
/// group_job::a_job_that_is_killed_at_any_time
#[test]
fn a_job_that_is_killed_at_any_time_is_done_once() {
    let rounds = std::env::var("LANDFALL_TEST_KILLS").ok().map_or(4, |rounds| rounds.parse().unwrap());
    let sites = Sites::new(true);
    sites.rows("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
    let (mut rng, mut kills, mut last) = (fastrand::Rng::with_seed(1), 0, 1_500);
    for round in 0..rounds {
        let statements = ["c", "a", "b"].map(|name| {
            format!(
                "INSERT INTO {name}.t SELECT value + {round} * 1000, 1 FROM range(0, 1000); \
                 UPDATE {name}.t SET n = n + 1 WHERE id >= {round} * 1000; "
            )
        });
        let script = format!("{}BEGIN JOB 'round {round}'; {}COMMIT", sites.attach(), statements.concat());
        let start = || {
            let mut command = program(&std::env::temp_dir());
            command.args(["sql", "-c", &script]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        for _ in 0..rng.usize(1..4) {
            let mut child = start();
            let (born, life) = (std::time::Instant::now(), Duration::from_millis(rng.u64(..last + 200)));
            while child.try_wait().unwrap().is_none() {
                if born.elapsed() > life {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    kills += 1;
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let began = std::time::Instant::now();
        for _ in 0..2 {
            let output = start().wait_with_output().unwrap();
            assert!(output.status.success(), "round {round}: {:?}", texts(&output));
        }
        last = u64::try_from(began.elapsed().as_millis()).unwrap() / 2;
        let count = "SELECT count(*), min(n), max(n) FROM t WHERE id >= ";
        for rows in sites.rows(&format!("{count}{} AND id < {}", round * 1000, round * 1000 + 1000)) {
            assert_eq!(rows, ["1000|2|2"], "round {round}");
        }
        sites.holds_nothing();
    }
    println!("{rounds} rounds, {kills} kills");
}

/// Killed anywhere and run again, by the same script alone.
#[test]
#[cfg(feature = "failpoints")]
fn a_job_that_was_killed_is_done_once() {
    const POINTS: &[&str] = &[
        "open.claimed",
        "branch.written",
        "prepare.before",
        "postgres.prepare.after",
        "mysql.prepare.after",
        "prepare.one",
        "prepare.all",
        "decide.before",
        "last_agent.before",
        "sqlite.commit.before",
        "sqlite.commit.after",
        "last_agent.after",
        "decide.after",
        "complete.before",
        "complete.one",
        "complete.all",
        "forget.after",
    ];
    for has_agent in [false, true] {
        let sites = Sites::new(has_agent);
        sites.rows("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
        let names = if has_agent { &["c", "a", "b"][..] } else { &["a", "b"] };
        for (id, point) in POINTS.iter().enumerate() {
            let of_agent = point.starts_with("sqlite") || point.starts_with("last_agent");
            if of_agent && !has_agent || point.starts_with("decide.") && has_agent {
                continue;
            }
            let inserts = names.iter().map(|name| {
                format!("INSERT INTO {name}.t VALUES ({id}, 1); UPDATE {name}.t SET n = n + 1 WHERE id = {id}; ")
            });
            let script = format!("{}BEGIN JOB 'job {id}'; {}COMMIT", sites.attach(), inserts.collect::<String>());
            let died = program(&std::env::temp_dir())
                .args(["sql", "-c", &script])
                .env("FAILPOINTS", format!("{point}=return"))
                .output()
                .unwrap();
            assert!(!died.status.success(), "it did not die at {point}: {:?}", texts(&died));
            for _ in 0..2 {
                let again = program(&std::env::temp_dir()).args(["sql", "-c", &script]).output().unwrap();
                assert!(again.status.success(), "{point}: {:?}", texts(&again));
            }
            for rows in sites.rows(&format!("SELECT id, n FROM t WHERE id = {id}")) {
                assert_eq!(rows, [format!("{id}|2")], "{point}, with SQLite: {has_agent}");
            }
            sites.holds_nothing();
        }
    }
}
