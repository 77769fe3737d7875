//! Runs of a job, and recoveries, that fail, lose answers and are abandoned at random moments, on doubles. A seed decides what
//! fails, so that a failing schedule can be played again: LANDFALL_SEED=123 cargo test … simulation

use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion_landfall::SinkOptions;
use datafusion_landfall::backend::conformance::{columns, rows};
use datafusion_landfall::backend::fault::{Fault, Faulty, FaultyLog, Script, Step};
use datafusion_landfall::backend::{Backend, DecisionLog, Protocol, WriteSpec};
use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::manager::{EpochExtent, JobSpec, Member, Opened, Selection, TransactionManager, recover};
use datafusion_landfall::txn::{Decision, JobId};
use datafusion_landfall_oracle::Oracle;
use fastrand::Rng;

use crate::conformance::landing;
use crate::double::Double;

/// Schedules that are played; LANDFALL_SCHEDULES says otherwise.
const SCHEDULES: u64 = 40;

/// Fails steps at random. A hanging step hangs until its process is abandoned.
fn script(mut rng: Rng, per_mille: u32) -> Script {
    let rng = Mutex::new(rng.fork());
    Script::new(move |_: Step| {
        let mut rng = rng.lock().unwrap();
        match rng.u32(0..1000) {
            chance if chance >= per_mille => Fault::None,
            _ => match rng.u8(0..6) {
                0 => Fault::Hang,
                1 => Fault::Twice,
                2..=3 => Fault::Fail,
                _ => Fault::Lose,
            },
        }
    })
}

/// A run of the job. Returns whether it wrote.
async fn write(databases: Vec<Arc<dyn Backend>>, log: Arc<dyn DecisionLog>, first: i64) -> Result<bool, Error> {
    let job = Some(JobId::try_new("the job").unwrap());
    let job_spec = JobSpec { log, job, subject: "landing".into(), resources: databases.clone() };
    let run = match TransactionManager::default().open(job_spec).await? {
        Opened::Finished(_) => return Ok(false),
        Opened::Run(mut run) => run.begin(),
    };
    run.announce().await?;
    let mut members = Vec::new();
    for (bqual, resource) in (0..).zip(databases) {
        let protocol = Protocol::TwoPhase;
        let spec = WriteSpec { protocol, ..WriteSpec::new("landing", columns()) };
        let xid = run.xid(bqual);
        let mut branch = resource.start(&xid, &spec).await?;
        branch.write(rows(first..first + 3)).await?;
        members.push(Member { resource, xid, protocol, branch });
    }
    run.commit(members, EpochExtent { rows: 3, end: true, ..EpochExtent::default() }).await?;
    Ok(true)
}

/// The numbers of the write that is in a database, three for each.
fn landed(double: &Double) -> Vec<i64> {
    let ids = double.committed("SELECT ID FROM LANDING ORDER BY ID");
    ids.iter().map(|id| id.parse::<i64>().unwrap() / 3).collect()
}

/// What holds at every moment: a write is in a database as a whole, and only one is.
fn check(seed: u64, doubles: &[Double]) {
    for double in doubles {
        let landed = landed(double);
        assert!(matches!(landed.len(), 0 | 3), "seed {seed}: a part of a write, or two: {landed:?}");
        assert!(landed.windows(2).all(|two| two[0] == two[1]), "seed {seed}: parts of two writes: {landed:?}");
    }
}

async fn play(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let worlds: Vec<_> = (0..rng.usize(1..=3)).map(|_| landing(&SinkOptions::new())).collect();
    let doubles: Vec<Double> = worlds.iter().map(|(_, double, _)| double.clone()).collect();
    let oracles: Vec<Oracle> = worlds.iter().map(|(.., oracle)| oracle.clone()).collect();
    let log = oracles[0].decision_log().unwrap();
    let per_mille = [0, 20, 60, 150][rng.usize(0..4)];
    let mut processes = Vec::new();
    for number in 0..rng.i64(2..7) {
        let faulty: Vec<Arc<dyn Backend>> = oracles
            .iter()
            .map(|oracle| {
                Arc::new(Faulty::new(Arc::new(oracle.clone()), script(rng.fork(), per_mille))) as Arc<dyn Backend>
            })
            .collect();
        let faulty_log = Arc::new(FaultyLog::new(Arc::clone(&log), script(rng.fork(), per_mille)));
        let process = match rng.u8(0..4) {
            0 => tokio::spawn(async move {
                for database in &faulty {
                    recover(database.as_ref(), faulty_log.as_ref(), &Selection::default()).await?;
                }
                Ok(false)
            }),
            _ => tokio::spawn(write(faulty, faulty_log, number * 3)),
        };
        processes.push(process);
        tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
        check(seed, &doubles);
        // A process dies where it stands.
        if rng.u8(0..3) == 0 {
            processes[rng.usize(0..processes.len())].abort();
        }
    }
    for process in processes {
        let ended = tokio::time::timeout(Duration::from_millis(1_500), process).await;
        if let Ok(Ok(Err(error))) = ended {
            assert!(error.kind() != ErrorKind::Internal, "seed {seed}: {error}");
        }
        check(seed, &doubles);
    }
    // Now nothing fails any more.
    for oracle in &oracles {
        recover(oracle, log.as_ref(), &Selection::default())
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let all: Vec<Arc<dyn Backend>> =
        oracles.iter().map(|oracle| Arc::new(oracle.clone()) as Arc<dyn Backend>).collect();
    let wrote = write(all.clone(), Arc::clone(&log), 300).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert!(!write(all, Arc::clone(&log), 600).await.unwrap(), "seed {seed}: a finished job wrote again");
    check(seed, &doubles);
    let first = landed(&doubles[0]);
    assert_eq!(first.len(), 3, "seed {seed}: the job is lost");
    assert!(!wrote || first[0] == 100, "seed {seed}: the last run wrote, and its rows are not there: {first:?}");
    for (double, oracle) in doubles.iter().zip(&oracles) {
        assert_eq!(landed(double), first, "seed {seed}: not in all databases");
        assert!(oracle.in_doubt(None).await.unwrap().is_empty(), "seed {seed}: left in doubt");
    }
    let jobs = log.jobs().await.unwrap();
    let records = jobs.iter().flat_map(|entry| entry.state.records());
    assert_eq!(records.filter(|record| record.decision == Decision::Commit).count(), 1, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_schedule_ends_with_all_rows_once() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect(name));
    let seeds = match number("LANDFALL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LANDFALL_SCHEDULES").unwrap_or(SCHEDULES),
    };
    for seed in seeds {
        play(seed).await;
    }
}
