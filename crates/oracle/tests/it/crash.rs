//! A process dies at every step of the protocol, and the next run of the job completes it: all rows, once, in all databases,
//! and no branch left. The doubles are in files, which survive the process.

use std::process::{Command, ExitStatus};

use datafusion::prelude::SessionContext;
use datafusion_landfall::backend::POINTS as OF_LIBRARY;
use datafusion_landfall_oracle::POINTS;

use crate::session::{FOLDER, context, double, folder, run, table};

/// The statements of a child process, separated by `;;`.
const STATEMENTS: &str = "LANDFALL_TEST_STATEMENTS";

/// Registers the table of a service as `a`, or those of two as `ab`, with a job.
async fn tables(services: &[String]) -> SessionContext {
    let context = context();
    match services {
        [only] => table(&context, "a", only, "'table' 't', 'job' 'crash'").await,
        services => {
            for (service, name) in services.iter().zip(["a", "b"]) {
                table(&context, name, service, "'table' 't'").await;
            }
            let both = "CREATE EXTERNAL TABLE ab STORED AS FANOUT LOCATION 'a, b' OPTIONS ('job' 'crash')";
            run(&context, both).await.unwrap();
        }
    }
    context
}

/// What a child process does. Without its variables, nothing.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(statements) = std::env::var(STATEMENTS) else { return };
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let (services, statement) = statements.split_once(";;").unwrap();
    let services: Vec<_> = services.split(',').map(str::to_owned).collect();
    run(&tables(&services).await, statement).await.unwrap();
}

/// Runs a statement in a child process that dies at a point.
fn die(point: &str, services: &[String], statement: &str) -> ExitStatus {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--test-threads=1"])
        .env(FOLDER, folder())
        .env(STATEMENTS, format!("{};;{statement}", services.join(",")))
        .env("FAILPOINTS", format!("{point}=return"))
        .output()
        .unwrap();
    assert!(output.status.success() || is_aborted(output.status), "{point}: {output:?}");
    output.status
}

fn is_aborted(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status).is_some()
}

/// Dies at every point, runs the job again, and returns the points at which the process died.
async fn die_at_every_point(name: &str, databases: usize) -> Vec<&'static str> {
    let of_others = ["postgres.", "mysql.", "sqlite.", "log."];
    let of_library = OF_LIBRARY.iter().filter(|point| !of_others.iter().any(|other| point.starts_with(other)));
    let statement = format!("INSERT INTO {} VALUES (1), (2), (3)", if databases == 1 { "a" } else { "ab" });
    let mut reached = Vec::new();
    for (number, point) in POINTS.iter().chain(of_library).enumerate() {
        let services: Vec<_> = (0..databases).map(|database| format!("{name}_{number}_{database}")).collect();
        for service in &services {
            // In this process only for this moment: the child is another one.
            double(service).create("CREATE TABLE T (ID NUMBER(9) PRIMARY KEY)");
        }
        if is_aborted(die(point, &services, &statement)) {
            reached.push(*point);
        }
        run(&tables(&services).await, &statement).await.unwrap_or_else(|error| panic!("{point}: {error}"));
        for service in &services {
            let double = double(service);
            assert_eq!(double.committed("SELECT count(*) FROM T"), ["3"], "{point}");
            assert_eq!(double.committed("SELECT count(*) FROM DBA_PENDING_TRANSACTIONS"), ["0"], "{point}");
        }
    }
    reached
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_completes_the_job_of_one_database_after_every_crash() {
    let reached = die_at_every_point("ONE", 1).await;
    for point in ["oracle.commit.before", "oracle.commit.after", "open.claimed", "branch.written"] {
        assert!(reached.contains(&point), "{point} was not reached: {reached:?}");
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_completes_the_job_of_two_databases_after_every_crash() {
    let reached = die_at_every_point("TWO", 2).await;
    for point in [
        "oracle.prepare.before",
        "oracle.prepare.after",
        "prepare.one",
        "prepare.all",
        "oracle.ledger.before",
        "oracle.ledger.after",
        "decide.after",
        "oracle.complete.before",
        "oracle.complete.after",
        "complete.one",
    ] {
        assert!(reached.contains(&point), "{point} was not reached: {reached:?}");
    }
}

#[cfg(not(feature = "failpoints"))]
#[test]
fn crashes_need_the_feature_failpoints() {
    let _ = (die_at_every_point, POINTS);
}
