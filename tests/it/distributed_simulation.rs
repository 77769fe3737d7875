//! The distributed transaction under every crash that can be arranged in memory: writers that die, or are believed dead and
//! come back, statuses that are lost, parts that are written again after the decision, a second coordinator, statements that
//! are stopped, later runs of the job. A seed decides what happens when: LANDFALL_SEED=123 tests/run distributed

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use datafusion_landfall::backend::memory::MemoryBackend;
use datafusion_landfall::backend::{Backend, DecisionLog, Protocol, WriteSpec};
use datafusion_landfall::backend::{conformance::columns, conformance::rows};
use datafusion_landfall::backend::{fault::Faulty, fault::FaultyLog};
use datafusion_landfall::manager::{DistributedRun, JobSpec, Joined, Member};
use datafusion_landfall::txn::{JobId, Xid};
use datafusion_landfall::{Error, ErrorKind};
use fastrand::Rng;
use uuid::Uuid;

use crate::simulation::{Faults, SCHEDULES, commits, play_all, recovery};

/// Rows of one part.
const ROWS: i64 = 3;

/// What a process did.
#[derive(Debug)]
enum Did {
    /// A writer: its run, its part, and its branches, none if the transaction was over.
    Wrote(usize, usize, Vec<Xid>),
    /// A coordinator committed a run, or found it committed.
    Committed(usize),
    /// Something that is not asked about.
    Other,
}

type Process = Pin<Box<dyn Future<Output = Result<Did, Error>>>>;

/// One execution of the statement.
struct Execution {
    run: Uuid,
    /// The branches that arrived for each part.
    arrived: Vec<Option<Vec<Xid>>>,
}

struct World {
    seed: u64,
    databases: Vec<MemoryBackend>,
    log: Arc<dyn DecisionLog>,
    job: Option<JobId>,
    parts: usize,
    of_log: Faults,
    of_databases: Vec<Faults>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let databases: Vec<_> = (0..rng.usize(1..=2)).map(|_| MemoryBackend::default()).collect();
        let log = match rng.bool() {
            true => databases[0].decision_log().unwrap(),
            false => MemoryBackend::default().decision_log().unwrap(),
        };
        let job = rng.bool().then(|| JobId::try_new("the job").unwrap());
        let per_mille = [0, 5, 30, 100][rng.usize(0..4)];
        let parts = rng.usize(1..=3);
        let mut faults = || Faults::new(rng.fork(), per_mille);
        let (of_log, of_databases) = (faults(), databases.iter().map(|_| faults()).collect());
        Self { seed, databases, log, job, parts, of_log, of_databases }
    }

    /// The run as a new process knows it.
    fn joined(&self, run: Uuid, faulty: bool) -> (DistributedRun, Vec<Arc<dyn Backend>>) {
        let log: Arc<dyn DecisionLog> = match faulty {
            true => Arc::new(FaultyLog::new(Arc::clone(&self.log), self.of_log.script.clone())),
            false => Arc::clone(&self.log),
        };
        let databases = self.databases.iter().zip(&self.of_databases).map(|(database, faults)| -> Arc<dyn Backend> {
            match faulty {
                true => Arc::new(Faulty::new(Arc::new(database.clone()), faults.script.clone())),
                false => Arc::new(database.clone()),
            }
        });
        let resources: Vec<_> = databases.collect();
        let job_spec = JobSpec { log, job: self.job.clone(), subject: "t".into(), resources: resources.clone() };
        (DistributedRun::new(job_spec, run), resources)
    }

    /// An attempt at one part.
    fn writer(&self, execution: usize, run: Uuid, part: usize, faulty: bool) -> Process {
        let (run, databases) = self.joined(run, faulty);
        Box::pin(async move {
            let transaction = match run.join().await? {
                Joined::Finished(_) => return Ok(Did::Wrote(execution, part, Vec::new())),
                Joined::Open(transaction) => transaction,
            };
            let mut branches = Vec::new();
            for resource in databases {
                let protocol = Protocol::TwoPhase;
                let spec = WriteSpec { protocol, ..WriteSpec::new("t", columns()) };
                let xid = transaction.draw_xid();
                let mut branch = resource.start(&xid, &spec).await?;
                let first = (execution as i64 * 100 + part as i64) * ROWS;
                branch.write(rows(first..first + ROWS)).await?;
                if transaction.prepare(Member { resource, xid, protocol, branch }).await? {
                    branches.push(xid);
                }
            }
            Ok(Did::Wrote(execution, part, branches))
        })
    }

    fn coordinator(&self, execution: usize, run: Uuid, branches: Vec<Xid>, faulty: bool) -> Process {
        let (run, _) = self.joined(run, faulty);
        Box::pin(async move {
            match run.join().await? {
                Joined::Finished(record) => run.complete(&record).await?,
                Joined::Open(transaction) => drop(transaction.commit(&branches, 1).await?),
            }
            Ok(Did::Committed(execution))
        })
    }

    /// The client stops the statement.
    fn stopping(&self, run: Uuid, faulty: bool) -> Process {
        let (run, _) = self.joined(run, faulty);
        Box::pin(async move {
            if let Joined::Open(transaction) = run.join().await? {
                transaction.abort().await?;
            }
            Ok(Did::Other)
        })
    }

    fn recovery(&self, faulty: bool) -> Process {
        let recovery = recovery(&self.databases, &self.of_databases, &self.log, &self.of_log, faulty);
        Box::pin(async move { recovery.await.map(|()| Did::Other) })
    }

    /// How often each part of each execution is in each database.
    fn landed(&self) -> Vec<HashMap<(usize, usize), usize>> {
        let of = |database: &MemoryBackend| {
            let mut counts = HashMap::new();
            for batch in database.batches() {
                let ids = batch.column(0).as_any().downcast_ref::<datafusion::arrow::array::Int64Array>().unwrap();
                let part = (ids.value(0) / ROWS) as usize;
                *counts.entry((part / 100, part % 100)).or_insert(0) += 1;
            }
            counts
        };
        self.databases.iter().map(of).collect()
    }

    async fn commits(&self) -> usize {
        commits(self.log.as_ref()).await
    }

    /// What must hold at every moment.
    async fn check(&self) {
        let seed = self.seed;
        for counts in self.landed() {
            assert!(counts.values().all(|count| *count == 1), "seed {seed}: a part is written twice: {counts:?}");
            let mut executions: Vec<_> = counts.keys().map(|(execution, _)| *execution).collect();
            executions.sort_unstable();
            executions.dedup();
            assert!(executions.len() <= self.commits().await, "seed {seed}: committed without a decision");
            assert!(self.job.is_none() || executions.len() <= 1, "seed {seed}: two runs of the job wrote: {counts:?}");
        }
    }

    async fn play(&self) {
        let seed = self.seed;
        let mut rng = Rng::with_seed(!seed);
        let mut processes: Vec<Process> = Vec::new();
        let mut executions: Vec<Execution> = Vec::new();
        let mut committed = Vec::new();
        for _ in 0..rng.usize(100..500) {
            // Lets the runtime wake who waits for another of its own futures.
            tokio::task::yield_now().await;
            match rng.u8(0..100) {
                // A process dies where it stands.
                0..3 if !processes.is_empty() => drop(processes.swap_remove(rng.usize(0..processes.len()))),
                3..4 => {
                    let places: Vec<_> = self.of_databases.iter().chain([&self.of_log]).collect();
                    let out = &places[rng.usize(0..places.len())].is_out;
                    out.store(!out.load(Relaxed), Relaxed);
                }
                4..6 => self.databases[rng.usize(0..self.databases.len())].restart(),
                6..12 => tokio::time::advance(Duration::from_millis(rng.u64(1..3000))).await,
                12..14 if processes.len() < 6 => processes.push(self.recovery(true)),
                14..18 if executions.len() < 3 => {
                    let run = Uuid::from_u64_pair(rng.u64(..), rng.u64(..));
                    executions.push(Execution { run, arrived: vec![None; self.parts] });
                }
                18..19 if !executions.is_empty() && processes.len() < 6 => {
                    processes.push(self.stopping(executions[rng.usize(0..executions.len())].run, true));
                }
                // An attempt at a part; also at one that was written already.
                19..35 if !executions.is_empty() && processes.len() < 6 => {
                    let at = rng.usize(0..executions.len());
                    processes.push(self.writer(at, executions[at].run, rng.usize(0..self.parts), true));
                }
                35..42 if processes.len() < 6 => {
                    let ready = |(at, execution): (usize, &Execution)| {
                        let all: Option<Vec<_>> = execution.arrived.iter().cloned().collect();
                        all.map(|parts| (at, execution.run, parts.concat()))
                    };
                    let ready: Vec<_> = executions.iter().enumerate().filter_map(ready).collect();
                    if !ready.is_empty() {
                        let (at, run, branches) = ready[rng.usize(0..ready.len())].clone();
                        processes.push(self.coordinator(at, run, branches, true));
                    }
                }
                _ if processes.is_empty() => {}
                chance => {
                    let at = rng.usize(0..processes.len());
                    // Now and then the others stand still until one of them has lost its patience.
                    let steps = if chance < 45 { 60 } else { 1 };
                    for _ in 0..steps {
                        let polled = processes[at].as_mut().poll(&mut Context::from_waker(Waker::noop()));
                        if let Poll::Ready(ended) = polled {
                            drop(processes.swap_remove(at));
                            match ended {
                                // Its status is lost now and then, or arrives after that of another attempt.
                                Ok(Did::Wrote(execution, part, branches)) if rng.u8(0..5) > 0 => {
                                    executions[execution].arrived[part] = Some(branches);
                                }
                                Ok(Did::Committed(execution)) => committed.push(execution),
                                Err(error) if error.kind() == ErrorKind::Internal => panic!("seed {seed}: {error}"),
                                _ => {}
                            }
                            break;
                        }
                        if steps > 1 {
                            tokio::time::advance(Duration::from_secs(1)).await;
                        }
                    }
                    self.check().await;
                }
            }
        }
        processes.clear();
        self.end(&mut rng, executions, &mut committed).await;
        for execution in committed {
            let all =
                self.landed().iter().all(|counts| (0..self.parts).all(|part| counts.contains_key(&(execution, part))));
            // Another run of a job can have finished it before.
            assert!(all || self.job.is_some(), "seed {seed}: execution {execution} said it committed, and is lost");
        }
    }

    /// Nothing fails any more: one more run, and recovery.
    async fn end(&self, rng: &mut Rng, executions: Vec<Execution>, committed: &mut Vec<usize>) {
        let seed = self.seed;
        let (last, run) = (executions.len(), Uuid::from_u64_pair(rng.u64(..), rng.u64(..)));
        let mut branches = Vec::new();
        for part in 0..self.parts {
            match self.writer(last, run, part, false).await.unwrap_or_else(|error| panic!("seed {seed}: {error}")) {
                Did::Wrote(_, _, own) => branches.extend(own),
                other => panic!("{other:?}"),
            }
        }
        for _ in 0..2 {
            self.coordinator(last, run, branches.clone(), false)
                .await
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        committed.push(last);
        self.recovery(false).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        self.check().await;
        let landed = self.landed();
        for database in &self.databases {
            let left = database.in_doubt(None).await.unwrap();
            assert!(left.is_empty(), "seed {seed}: left in doubt: {left:?}");
        }
        for counts in &landed {
            assert_eq!(counts, &landed[0], "seed {seed}: not in all databases");
            for (execution, _) in counts.keys() {
                let parts = (0..self.parts).filter(|part| counts.contains_key(&(*execution, *part))).count();
                assert_eq!(parts, self.parts, "seed {seed}: a part of execution {execution} is lost: {counts:?}");
            }
        }
        assert!(!landed[0].is_empty(), "seed {seed}: the statement is lost");
        if self.job.is_some() {
            assert_eq!(self.commits().await, 1, "seed {seed}: decided twice");
        }
    }
}

#[test]
fn every_schedule_of_a_distributed_write_ends_with_each_part_once_or_none() {
    play_all("distributed_simulation", SCHEDULES, |seed| async move { World::new(seed).play().await });
}
