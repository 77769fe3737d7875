//! INSERT as a distributed transaction: each partition of the query is a branch, and one record decides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_landfall::{FanoutTable, LandfallTable, SinkOptions, register};
use uuid::Uuid;

use crate::dml::Place;
use crate::landing::{count, says};

const ROWS: u64 = 20_000;

/// The numbers from 1 on, in four partitions.
async fn session(place: &Place, options: &[(&str, &str)], run: Uuid) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4).with_batch_size(500));
    register(&context);
    let options = SinkOptions::try_from_pairs(options.iter().copied()).unwrap();
    let table = LandfallTable::connect(&place.url(), "t", options).await.unwrap().distributed(run);
    context.register_table("t", Arc::new(table)).unwrap();
    context
}

fn insert(rows: u64) -> String {
    format!("INSERT INTO t SELECT value AS id, 'row ' || value AS name FROM generate_series(1, {rows})")
}

async fn run(context: &SessionContext, sql: &str) -> Result<u64, DataFusionError> {
    Ok(count(&context.sql(sql).await?.collect().await?))
}

fn servers() -> impl Iterator<Item = Place> {
    Place::all().into_iter().filter(|place| !matches!(place, Place::Sqlite(_)))
}

/// What is prepared of any transaction of this test's database.
fn prepared(place: &Place) -> usize {
    match place {
        Place::Postgres(_) => {
            place.client("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()").len()
        }
        // The branches of other tests are in the list, too: those of this one name its job.
        _ => 0,
    }
}

/// Other tests prepare branches in the same database meanwhile.
async fn until_nothing_is_prepared(place: &Place) {
    let until = Instant::now() + Duration::from_secs(10);
    while prepared(place) > 0 {
        assert!(Instant::now() < until, "a branch stays prepared in {}", place.name());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn partitions_are_written_by_branches_and_all_of_them_land_once() {
    for place in servers() {
        for key in ["", "PRIMARY KEY"] {
            place.client("DROP TABLE IF EXISTS t");
            place.client(&format!("CREATE TABLE t (id BIGINT {key}, name VARCHAR(20))"));
            let context = session(&place, &[("writers", "3")], Uuid::new_v4()).await;
            let plan = context.sql(&insert(ROWS)).await.unwrap().create_physical_plan().await.unwrap();
            let shown = displayable(plan.as_ref()).indent(true).to_string();
            says(&shown, &["CommitExec: table=", "WriterExec: writers=3", "RepartitionExec"]);

            let rows = datafusion::physical_plan::collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
            assert_eq!(count(&rows), ROWS, "{} {key}", place.name());
            let sum = "SELECT concat(count(*), ' ', count(DISTINCT id), ' ', sum(id)) FROM t";
            let expected = [format!("{ROWS} {ROWS} {}", ROWS * (ROWS + 1) / 2)];
            assert_eq!(place.client(sum), expected);
            assert_eq!(place.client("SELECT name FROM t WHERE id = 7"), ["row 7"]);

            // The same execution again, as a scheduler repeats it: it finds that it is decided.
            let again = run(&context, &insert(ROWS)).await.unwrap();
            assert_eq!((again, place.client(sum)), (ROWS, expected.to_vec()), "{} {key}", place.name());
            until_nothing_is_prepared(&place).await;
        }
    }
}

#[tokio::test]
async fn a_finished_job_is_not_written_by_another_run() {
    for place in servers() {
        place.client("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))");
        let options = [("writers", "2"), ("job", "numbers")];
        let first = session(&place, &options, Uuid::new_v4()).await;
        assert_eq!(run(&first, &insert(ROWS)).await.unwrap(), ROWS);
        let second = session(&place, &options, Uuid::new_v4()).await;
        assert_eq!(run(&second, &insert(ROWS)).await.unwrap(), 0, "{}", place.name());
        assert_eq!(place.client("SELECT count(*) FROM t"), [ROWS.to_string()]);
        // The process that writes it alone finds it finished, too.
        let options = SinkOptions::try_from_pairs(options).unwrap();
        let table = LandfallTable::connect(&place.url(), "t", options).await.unwrap();
        first.register_table("alone", Arc::new(table)).unwrap();
        let alone = insert(ROWS).replace("INTO t", "INTO alone");
        assert_eq!(run(&first, &alone).await.unwrap(), 0, "{}", place.name());
    }
}

#[tokio::test]
async fn a_part_that_fails_rolls_all_of_them_back() {
    for place in servers() {
        place.client("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(8))");
        let context = session(&place, &[("writers", "3"), ("job", "too long")], Uuid::new_v4()).await;
        let error = run(&context, &insert(ROWS)).await.unwrap_err().to_string();
        says(&error, &["name", "t"]);
        assert_eq!(place.client("SELECT count(*) FROM t"), ["0"], "{}: {error}", place.name());
        // A part that was being prepared is rolled back by its writer.
        until_nothing_is_prepared(&place).await;
        // The job can run again.
        let next = session(&place, &[("writers", "3"), ("job", "too long")], Uuid::new_v4()).await;
        assert_eq!(run(&next, &insert(9_999)).await.unwrap(), 9_999);
    }
}

#[tokio::test]
async fn each_partition_is_written_by_a_branch_of_every_member() {
    let places: Vec<_> = servers().collect();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4).with_batch_size(500));
    register(&context);
    let mut members: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
    for (place, key) in places.iter().zip(["PRIMARY KEY", ""]) {
        place.client(&format!("CREATE TABLE t (id BIGINT {key}, name VARCHAR(20))"));
        let options = SinkOptions::try_from_pairs([("writers", "4")]).unwrap();
        let table = LandfallTable::connect(&place.url(), "t", options).await.unwrap();
        members.push((place.name().into(), Arc::new(table)));
    }
    let options = SinkOptions::try_from_pairs([("job", "to all")]).unwrap();
    let sum = "SELECT concat(count(*), ' ', count(DISTINCT id), ' ', sum(id)) FROM t";
    // The same run again, as a scheduler repeats it, and another one.
    let first = Uuid::new_v4();
    for (run_id, rows) in [(first, ROWS), (first, ROWS), (Uuid::new_v4(), 0)] {
        let all = FanoutTable::try_new("t", members.clone(), &options).unwrap().distributed(run_id);
        let _ = context.deregister_table("t");
        context.register_table("t", Arc::new(all)).unwrap();
        let plan = context.sql(&insert(ROWS)).await.unwrap().create_physical_plan().await.unwrap();
        let shown = displayable(plan.as_ref()).indent(true).to_string();
        says(
            &shown,
            &["WriterExec: writers=4, postgres://", "mysql://", "RepartitionExec: partitioning=Hash([id@0], 4)"],
        );
        assert_eq!(run(&context, &insert(ROWS)).await.unwrap(), rows);
        for place in &places {
            assert_eq!(place.client(sum), [format!("{ROWS} {ROWS} {}", ROWS * (ROWS + 1) / 2)], "{}", place.name());
        }
    }
    until_nothing_is_prepared(&places[0]).await;
}

#[tokio::test]
async fn what_a_distributed_insert_does_not_support_is_refused_when_it_is_planned() {
    for place in Place::all() {
        place.client("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))");
        let planned = async |options: &[(&str, &str)]| {
            let context = session(&place, options, Uuid::new_v4()).await;
            match context.sql(&insert(10)).await.unwrap().create_physical_plan().await {
                Ok(plan) => displayable(plan.as_ref()).indent(true).to_string(),
                Err(error) => format!("error: {error}"),
            }
        };
        if matches!(place, Place::Sqlite(_)) {
            says(&planned(&[]).await, &["error", "distributed statement", "cannot prepare transactions"]);
            continue;
        }
        let checkpoints = [("job", "j"), ("checkpoint.rows", "5")];
        says(&planned(&checkpoints).await, &["error", "checkpoint", "distributed statement"]);
        let one_phase = [("commit", "one_phase"), ("writers", "2")];
        says(&planned(&one_phase).await, &["error", "one_phase"]);
        // The order in which rows with the same key are written would be undefined.
        let upsert = planned(&[("on_conflict", "update")]).await;
        says(&upsert, &["WriterExec: writers=1"]);
    }
}
