//! The protocol under every crash that can be arranged in memory: runs of a job, zombies of earlier ones, recoveries,
//! resource managers that restart, answers that are lost or never come. A seed decides what happens when, so that a
//! failing one can be played again: LANDFALL_SEED=123 tests/run simulation

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use datafusion_landfall::backend::memory::MemoryBackend;
use datafusion_landfall::backend::{Backend, Capability, DecisionLog, Protocol, WriteSpec};
use datafusion_landfall::backend::{conformance::columns, conformance::rows};
use datafusion_landfall::backend::{fault::Fault, fault::Faulty, fault::FaultyLog, fault::Script, fault::Step};
use datafusion_landfall::manager::{EpochExtent, JobSpec, Member, Opened, Selection, TransactionManager, recover};
use datafusion_landfall::txn::{Decision, JobId};
use datafusion_landfall::{Error, ErrorKind};
use fastrand::Rng;

/// Schedules that are played; LANDFALL_SCHEDULES says otherwise.
pub(crate) const SCHEDULES: u64 = 10_000;

/// Rows of the job in each database.
const ROWS: i64 = 3;

type Process = Pin<Box<dyn Future<Output = Result<Option<bool>, Error>>>>;

/// One random world.
struct World {
    seed: u64,
    databases: Vec<MemoryBackend>,
    log: Arc<dyn DecisionLog>,
    job: Option<JobId>,
    of_log: Faults,
    of_databases: Vec<Faults>,
}

/// What goes wrong at one place: single answers, and outages, which can begin with an answer that is lost.
#[derive(Clone)]
pub(crate) struct Faults {
    pub(crate) is_out: Arc<AtomicBool>,
    pub(crate) script: Script,
}

impl Faults {
    pub(crate) fn new(rng: Rng, per_mille: u32) -> Self {
        let is_out = Arc::new(AtomicBool::new(false));
        let (seen, rng) = (Arc::clone(&is_out), Mutex::new(rng));
        let script = Script::new(move |_: Step| {
            let mut rng = rng.lock().unwrap();
            if seen.load(Relaxed) {
                return Fault::Fail;
            }
            match rng.u32(0..1000) {
                chance if chance >= per_mille => Fault::None,
                _ => match rng.u8(0..8) {
                    0 => Fault::Hang,
                    1..=2 => Fault::Twice,
                    3..=4 => Fault::Fail,
                    5 => Fault::Lose,
                    _ => {
                        seen.store(true, Relaxed);
                        Fault::Lose
                    }
                },
            }
        });
        Self { is_out, script }
    }
}

/// What a write said that it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Committed,
    Nothing,
    DoesNotKnow,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut databases: Vec<_> = (0..rng.usize(1..=4)).map(|_| MemoryBackend::default()).collect();
        let mut log = databases[0].decision_log().unwrap();
        match rng.u8(0..3) {
            0 => {
                let agent = MemoryBackend::one_phase();
                log = agent.decision_log().unwrap();
                let at = rng.usize(0..databases.len());
                databases[at] = agent;
            }
            1 => log = MemoryBackend::default().decision_log().unwrap(),
            _ => {}
        }
        let job = rng.bool().then(|| JobId::try_new("the job").unwrap());
        let per_mille = [0, 5, 30, 100][rng.usize(0..4)];
        let mut faults = || Faults::new(rng.fork(), per_mille);
        let (of_log, of_databases) = (faults(), databases.iter().map(|_| faults()).collect());
        Self { seed, databases, log, job, of_log, of_databases }
    }

    /// A run of the job, or a statement of its own; it says whether it wrote.
    fn write(&self, id: i64, faulty: bool) -> Process {
        let log: Arc<dyn DecisionLog> = match faulty {
            true => Arc::new(FaultyLog::new(Arc::clone(&self.log), self.of_log.script.clone())),
            false => Arc::clone(&self.log),
        };
        let databases: Vec<Arc<dyn Backend>> = self
            .databases
            .iter()
            .zip(&self.of_databases)
            .map(|(database, faults)| -> Arc<dyn Backend> {
                match faulty {
                    true => Arc::new(Faulty::new(Arc::new(database.clone()), faults.script.clone())),
                    false => Arc::new(database.clone()),
                }
            })
            .collect();
        let job = self.job.clone();
        Box::pin(async move {
            let job_spec = JobSpec { log, job, subject: "t".into(), resources: databases.clone() };
            // Each is a process of its own.
            let run = match TransactionManager::default().open(job_spec).await? {
                Opened::Finished(_) => return Ok(Some(false)),
                Opened::Run(mut run) => run.begin(),
            };
            run.announce().await?;
            let mut members = Vec::new();
            for (bqual, resource) in (0..).zip(databases) {
                let protocol = match resource.capability().await? {
                    Capability::OnePhase => Protocol::OnePhase,
                    Capability::TwoPhase { .. } => Protocol::TwoPhase,
                };
                let spec = WriteSpec { protocol, ..WriteSpec::new("t", columns()) };
                let xid = run.xid(bqual);
                let mut branch = resource.start(&xid, &spec).await?;
                branch.write(rows(id * ROWS..(id + 1) * ROWS)).await?;
                members.push(Member { resource, xid, protocol, branch });
            }
            run.commit(members, EpochExtent { rows: ROWS as u64, end: true, ..EpochExtent::default() }).await?;
            Ok(Some(true))
        })
    }

    fn recovery(&self, faulty: bool) -> Process {
        let recovery = recovery(&self.databases, &self.of_databases, &self.log, &self.of_log, faulty);
        Box::pin(async move { recovery.await.map(|()| None) })
    }

    /// How often each write is in each database.
    fn landed(&self) -> Vec<HashMap<i64, usize>> {
        let of = |database: &MemoryBackend| {
            let mut counts = HashMap::new();
            for batch in database.batches() {
                let ids = batch.column(0).as_any().downcast_ref::<datafusion::arrow::array::Int64Array>().unwrap();
                assert_eq!(ids.len(), ROWS as usize, "seed {}: a part of a write", self.seed);
                *counts.entry(ids.value(0) / ROWS).or_insert(0) += 1;
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
            assert!(counts.values().all(|count| *count == 1), "seed {seed}: written twice: {counts:?}");
            if self.job.is_some() {
                assert!(counts.len() <= 1, "seed {seed}: two runs of the job wrote: {counts:?}");
                assert!(counts.len() <= self.commits().await, "seed {seed}: committed without a decision");
            }
        }
        if self.job.is_some() {
            assert!(self.commits().await <= 1, "seed {seed}: decided twice");
        }
    }

    async fn play(&self) {
        let seed = self.seed;
        let mut rng = Rng::with_seed(!seed);
        let mut processes: Vec<(Option<i64>, Process)> = Vec::new();
        let (mut started, mut said) = (0, HashMap::new());
        for _ in 0..rng.usize(50..400) {
            // Lets the runtime wake who waits for another of its own futures.
            tokio::task::yield_now().await;
            match rng.u8(0..100) {
                // A process dies where it stands.
                0..3 if !processes.is_empty() => {
                    let (id, died) = processes.swap_remove(rng.usize(0..processes.len()));
                    drop(died);
                    id.map(|id| said.insert(id, Said::DoesNotKnow));
                }
                3..4 => {
                    let places: Vec<_> = self.of_databases.iter().chain([&self.of_log]).collect();
                    let out = &places[rng.usize(0..places.len())].is_out;
                    out.store(!out.load(Relaxed), Relaxed);
                }
                4..6 => self.databases[rng.usize(0..self.databases.len())].restart(),
                6..16 => tokio::time::advance(Duration::from_millis(rng.u64(1..3000))).await,
                16..21 if processes.len() < 5 => processes.push((None, self.recovery(true))),
                21..30 if processes.len() < 5 && started < 6 => {
                    processes.push((Some(started), self.write(started, true)));
                    started += 1;
                }
                _ if processes.is_empty() => {}
                chance => {
                    let at = rng.usize(0..processes.len());
                    // Now and then the others stand still until one of them has lost its patience.
                    let steps = if chance < 33 { 60 } else { 1 };
                    for _ in 0..steps {
                        let polled = processes[at].1.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                        if let Poll::Ready(ended) = polled {
                            let (id, _) = processes.swap_remove(at);
                            let says = match ended {
                                Ok(Some(true)) => Said::Committed,
                                Err(error) if error.kind() == ErrorKind::InDoubt => Said::DoesNotKnow,
                                Err(error) if error.kind() == ErrorKind::Internal => panic!("seed {seed}: {error}"),
                                _ => Said::Nothing,
                            };
                            id.map(|id| said.insert(id, says));
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
        for (id, _) in processes.drain(..) {
            id.map(|id| said.insert(id, Said::DoesNotKnow));
        }

        // Now nothing fails any more: whoever recovers, as often as they like, ends all.
        for _ in 0..rng.usize(1..3) {
            self.recovery(false).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            self.check().await;
        }
        if self.job.is_some() {
            let finished = self.write(started, false).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            said.insert(started, if finished == Some(true) { Said::Committed } else { Said::Nothing });
            let again = self.write(started + 1, false).await.unwrap();
            assert_eq!(again, Some(false), "seed {seed}: a finished job wrote again");
            assert_eq!(self.commits().await, 1, "seed {seed}");
        }
        self.check().await;
        let landed = self.landed();
        for database in &self.databases {
            let left = database.in_doubt(None).await.unwrap();
            assert!(left.is_empty(), "seed {seed}: left in doubt: {left:?}");
        }
        assert!(landed.iter().all(|counts| *counts == landed[0]), "seed {seed}: not in all databases: {landed:?}");
        if self.job.is_some() {
            assert_eq!(landed[0].len(), 1, "seed {seed}: the job is lost");
        }
        for (id, said) in said {
            let is_there = landed[0].contains_key(&id);
            assert!(said != Said::Committed || is_there, "seed {seed}: write {id} said it committed, and is lost");
            assert!(said != Said::Nothing || !is_there, "seed {seed}: write {id} said it did nothing, and is there");
        }
    }
}

/// Recovers all databases.
pub(crate) fn recovery(
    databases: &[MemoryBackend],
    of_databases: &[Faults],
    log: &Arc<dyn DecisionLog>,
    of_log: &Faults,
    faulty: bool,
) -> impl Future<Output = Result<(), Error>> + use<> {
    let places: Vec<_> = databases.iter().cloned().zip(of_databases.to_vec()).collect();
    let (log, of_log) = (Arc::clone(log), of_log.script.clone());
    async move {
        for (database, faults) in places {
            let all = Selection::default();
            if faulty {
                let database = Faulty::new(Arc::new(database), faults.script);
                let log = FaultyLog::new(Arc::clone(&log), of_log.clone());
                recover(&database, &log, &all).await?;
            } else {
                recover(&database, log.as_ref(), &all).await?;
            }
        }
        Ok(())
    }
}

/// The number of COMMIT records.
pub(crate) async fn commits(log: &dyn DecisionLog) -> usize {
    let jobs = log.jobs().await.unwrap();
    let records = jobs.iter().flat_map(|entry| entry.state.records());
    records.filter(|record| record.decision == Decision::Commit).count()
}

/// Plays all schedules, on all processors.
pub(crate) fn play_all<F: Future<Output = ()>>(name: &str, schedules: u64, play: impl Fn(u64) -> F + Sync) {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect(name));
    let schedules = number("LANDFALL_SCHEDULES").unwrap_or(schedules);
    let seeds = match number("LANDFALL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..schedules,
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (seeds, play) = (seeds.clone(), &play);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                let runtime = runtime.unwrap();
                for seed in seeds.filter(|seed| seed % threads == thread) {
                    let playing = std::panic::AssertUnwindSafe(|| runtime.block_on(play(seed)));
                    if std::panic::catch_unwind(playing).is_err() {
                        panic!("the schedule failed: play it again with LANDFALL_SEED={seed} tests/run {name}");
                    }
                }
            });
        }
    });
}

#[test]
fn every_schedule_ends_with_all_rows_or_none_once() {
    play_all("simulation", SCHEDULES, |seed| async move { World::new(seed).play().await });
}
