//! A cluster of real processes, which are killed while they write.

use std::time::{Duration, Instant};

use datafusion::prelude::SessionContext;

use crate::cluster::{COLUMNS, files, register, run, session_at, source};
use crate::databases::Database;
use crate::programs::Processes;

const ROWS: u64 = 300_000;

/// The number of rounds for each database and each way to disturb a statement: LANDFALL_TEST_KILLS, by hand.
fn rounds() -> u64 {
    std::env::var("LANDFALL_TEST_KILLS").map_or(2, |rounds| rounds.parse().unwrap())
}

/// A time in the life of a statement, which takes about two seconds.
fn moment(round: u64) -> Duration {
    Duration::from_millis(100 + (round + 1) * 1_237 % 2_300)
}

const INSERT: &str = "INSERT INTO t SELECT * FROM source";

/// Runs a job, does something to the cluster in the middle, and runs the job again until it is finished: no row is lost or
/// doubled, and nothing is left prepared.
async fn disturbed(
    context: &mut SessionContext,
    database: &Database,
    round: u64,
    disturb: impl AsyncFnOnce(&mut SessionContext),
) {
    database.client("DELETE FROM t");
    let options = [("job", format!("job {round}")), ("writers", "4".to_owned())];
    let options = options.each_ref().map(|(key, value)| (*key, value.as_str()));
    let _ = context.deregister_table("t");
    register(context, database, "t", &options).await;
    let session = context.clone();
    let running = tokio::spawn(async move { run(&session, INSERT).await });
    tokio::time::sleep(moment(round)).await;
    disturb(context).await;
    let ended = tokio::time::timeout(Duration::from_secs(120), running).await;
    let ended = ended.expect("the statement ends within two minutes").unwrap();
    let _ = context.deregister_table("t");
    register(context, database, "t", &options).await;
    // Committed, or nothing of it remains. The next run finishes the job.
    let end = Instant::now() + Duration::from_secs(60);
    let mut rerun = run(context, INSERT).await;
    while rerun.is_err() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(500)).await;
        rerun = run(context, INSERT).await;
    }
    let how = if ended.is_ok() { "survived" } else { "failed" };
    println!("{:?}, round {round}, after {:?}: the statement {how}", database.kind, moment(round));
    let rerun = rerun.unwrap();
    // An error of a lost scheduler may hide that the statement was committed by then: the rerun wrote nothing.
    assert!(ended.is_err() || ended.unwrap() + rerun == ROWS, "{:?}, round {round}", database.kind);
    let counted = database.client("SELECT count(*), count(DISTINCT id), sum(id) FROM t");
    assert_eq!(counted, [format!("{ROWS}|{ROWS}|{}", ROWS * (ROWS + 1) / 2)], "{:?}", database.kind);
    // A process that was believed dead rolls its branch back when it continues.
    let end = Instant::now() + Duration::from_secs(10);
    while !database.prepared().is_empty() {
        assert!(Instant::now() < end, "{:?}, round {round}: {:?}", database.kind, database.prepared());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn table(database: &Database) {
    database.client(&format!("CREATE TABLE t (id BIGINT PRIMARY KEY, {COLUMNS})"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_executor_that_is_killed_loses_and_doubles_nothing() {
    let processes = Processes::start();
    let mut context = session_at(&processes.url, 4).await;
    let _folder = files(&context, 4, ROWS).await;
    for database in Database::each() {
        table(&database);
        for round in 0..rounds() {
            disturbed(&mut context, &database, round, async |_| {
                assert!(processes.signal("executor1", "-9"));
                tokio::time::sleep(Duration::from_millis(300)).await;
                processes.start_executor("executor1");
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_executor_that_is_believed_dead_and_continues_loses_and_doubles_nothing() {
    let processes = Processes::start();
    let mut context = session_at(&processes.url, 4).await;
    let _folder = files(&context, 4, ROWS).await;
    for database in Database::each() {
        table(&database);
        for round in 0..rounds() {
            disturbed(&mut context, &database, round, async |_| {
                assert!(processes.signal("executor1", "-STOP"));
                // It counts as lost after 5 s, and ends itself when it hears of that.
                tokio::time::sleep(Duration::from_secs(8)).await;
                processes.signal("executor1", "-CONT");
                tokio::time::sleep(Duration::from_secs(5)).await;
                if !processes.signal("executor1", "-0") {
                    processes.start_executor("executor1");
                }
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scheduler_that_is_killed_loses_and_doubles_nothing() {
    let mut processes = Processes::start();
    let mut context = session_at(&processes.url, 4).await;
    let folder = files(&context, 4, ROWS).await;
    for database in Database::each() {
        table(&database);
        for round in 0..rounds() {
            disturbed(&mut context, &database, round, async |context| {
                assert!(processes.signal("scheduler", "-9"));
                // Its executors go on for a while.
                tokio::time::sleep(Duration::from_secs(1)).await;
                processes = Processes::start();
                *context = session_at(&processes.url, 4).await;
                source(context, &folder).await;
            })
            .await;
        }
    }
}
